"""Catalogue: which versions serve, and the change to newer ones while requests are answered."""

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Literal

from app.errors import HarkError, ModelError, ReloadRefusedError, UnknownModelError
from app.inference.serving import Serving, read_serving
from app.inference.store import ModelReference, ModelStore

logger = logging.getLogger(__name__)

Outcome = Literal["swapped", "unchanged"]
Change = Callable[[list[ModelReference], Callable[[], None]], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Reloaded:
    """What a reload did: which versions served before it, and which do now."""

    outcome: Outcome
    before: Serving | None
    after: Serving | None


class Catalogue:
    """The versions that serve, of all models of a store.

    Args:
        store: where they lie.
        default_model: the one that is asked where none is named.
        on_reload: called with a model's name and what became of an attempt to change it: an
            outcome, «refused» or «failed».

    Raises:
        ModelError: the default model is not in the store, or a file of aliases is not valid.
    """

    def __init__(
        self,
        store: ModelStore,
        default_model: str,
        on_reload: Callable[[str, str], None] = lambda _name, _outcome: None,
    ) -> None:
        self.store = store
        self.default_model = default_model
        self._on_reload = on_reload
        self._lock = asyncio.Lock()
        self._serving = {name: read_serving(store, name) for name in store.names()}
        self.serving(default_model)

    @property
    def names(self) -> list[str]:
        """The models that serve, in alphabetical order."""
        return sorted(self._serving)

    def serving(self, name: str) -> Serving:
        """Return the versions of a model that serve.

        Raises:
            UnknownModelError: none does.
        """
        try:
            return self._serving[name]
        except KeyError:
            known = f"There is: {', '.join(self.names)}." if self._serving else "There is none."
            raise UnknownModelError(f"There is no model {name[:64]!r} here. {known}") from None

    def stored_versions(self, name: str) -> list[int]:
        """Return the numbers of all versions of a model, in ascending order.

        Those that serve are among them, even where somebody has taken them out of the store.

        Raises:
            UnknownModelError: the model does not serve.
        """
        serving = {reference.version for reference in self.serving(name).versions}
        stored = self.store.versions(name) if name in self.store.names() else []
        return sorted({*serving, *stored})

    def versions(self) -> list[ModelReference]:
        """Return all versions that serve."""
        return _versions(self._serving)

    def roles(self) -> list[tuple[ModelReference, str]]:
        """Return all versions that serve, each with its alias."""
        return [
            (reference, role)
            for name in self.names
            for serving in [self._serving[name]]
            for role, reference in (("stable", serving.stable), ("canary", serving.canary))
            if reference is not None
        ]

    def resolve(self, name: str | None = None, version: str | None = None) -> ModelReference:
        """Return the version that answers a request.

        Args:
            name: a model's, or None for the default.
            version: a number or an alias, or None for the stable one and its canary's part.

        Raises:
            UnknownModelError: no such model.
            UnknownVersionError: no such version of it.
            UnknownAliasError: no version has that alias.
        """
        serving = self.serving(self.default_model if name is None else name)
        if version is None:
            return serving.pick()
        if not version.isdecimal():
            return serving.named(version)
        for reference in serving.versions:
            if reference.version == int(version):
                return reference  # without looking into the store, at each request
        return self.store.resolve(serving.stable.name, int(version))

    def verify(self) -> None:
        """Check every file of the versions that serve.

        Raises:
            ArtifactError: one is refused.
        """
        for reference in self.versions():
            self.store.open(reference)

    async def reload(self, name: str, change: Change) -> Reloaded:
        """Serve what the store says now of a model: newer versions, other aliases.

        Args:
            name: the model.
            change: has processes serve versions, and calls what it is given when they do.

        Raises:
            UnknownModelError: there is no such model.
            ReloadRefusedError: a version fails its check; those from before serve on.
            UnavailableError: a process died or hung as it loaded one; those from before serve on.
        """
        async with self._lock:
            if name not in self._serving and name not in self.store.names():
                self.serving(name)  # raises
            before = self._serving.get(name)
            try:
                after = await self._prepare(name)
                await self._change({name: after}, change)
            except Exception as error:
                self._note_failure(name, error)
                if isinstance(error, ModelError | OSError):
                    raise ReloadRefusedError(
                        f"{error} Nothing has changed: {before or 'nothing of it serves'}."
                    ) from error
                raise
            return self._note_success(name, before)

    async def reload_all(self, change: Change) -> None:
        """Reload every model; one that is refused keeps none of the others from it."""
        async with self._lock:
            before = dict(self._serving)
            after: dict[str, Serving | None] = {}
            for name in sorted({*before, *self.store.names()}):
                try:
                    after[name] = await self._prepare(name)
                except Exception as error:  # whatever it is, the others go on
                    self._note_failure(name, error)
            # At once, since new processes load all of them: also what another one's change takes
            # away. One that is refused is found by trying each.
            failure = await self._attempt(after, change)
            failures = dict.fromkeys(after, failure)
            if failure is not None and len(after) > 1:
                failures = {
                    name: await self._attempt({name: serving}, change)
                    for name, serving in after.items()
                }
            for name, failure in failures.items():
                if failure is None:
                    self._note_success(name, before.get(name))
                else:
                    self._note_failure(name, failure)

    async def _attempt(
        self, changes: dict[str, Serving | None], change: Change
    ) -> Exception | None:
        """Change models, and return why that failed, if it did."""
        try:
            await self._change(changes, change)
        except Exception as error:
            return error
        return None

    async def _prepare(self, name: str) -> Serving | None:
        """Find what is to serve, and check the files of what is new; None where nothing is left."""
        if name not in self.store.names() and name != self.default_model:
            return None
        after = read_serving(self.store, name)
        for reference in set(after.versions) - set(self.versions()):
            await asyncio.to_thread(self.store.open, reference)
        return after

    async def _change(self, changes: dict[str, Serving | None], change: Change) -> None:
        wanted = {**self._serving, **changes}
        serving = {name: each for name, each in wanted.items() if each is not None}

        def on_swapped() -> None:
            self._serving = serving

        if set(_versions(serving)) == set(self.versions()):
            on_swapped()
        else:
            await change(_versions(serving), on_swapped)

    def _note_success(self, name: str, before: Serving | None) -> Reloaded:
        after = self._serving.get(name)
        outcome: Outcome = "unchanged" if after == before else "swapped"
        self._on_reload(name, outcome)
        line = {"model": name, "outcome": outcome, "now": str(after)}
        logger.info("a model was reloaded", extra=line)
        return Reloaded(outcome, before, after)

    def _note_failure(self, name: str, error: Exception) -> None:
        refused = isinstance(error, ModelError | OSError)
        self._on_reload(name, "refused" if refused else "failed")
        unforeseen = None if isinstance(error, HarkError | OSError) else error
        logger.error(
            "a change of a model is refused" if refused else "a change of a model failed",
            extra={"model": name, "reason": str(error)},
            exc_info=unforeseen,
        )


def _versions(serving: dict[str, Serving]) -> list[ModelReference]:
    return [reference for name in sorted(serving) for reference in serving[name].versions]
