"""Which versions of a model serve: the stable one, and a canary that gets a part of the requests.

`model_store/<name>/aliases.json` says so; without it the highest version is the stable one. It is
the one file of the store that changes: versions themselves never do.
"""

from __future__ import annotations

import random
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from app.errors import InvalidAliasesError, UnknownAliasError
from app.inference.store import ModelReference, ModelStore

ALIASES_FILE: Final = "aliases.json"


class Aliases(BaseModel):
    """What stands in a model's file of aliases.

    Attributes:
        stable: the version that answers; the highest where none is named.
        canary: the version that answers a part of the requests.
        canary_percent: how large that part is.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    stable: int | None = Field(None, ge=1)
    canary: int | None = Field(None, ge=1)
    canary_percent: float = Field(0.0, ge=0, le=100)

    @model_validator(mode="after")
    def _check_canary(self) -> Self:
        if self.canary is None and self.canary_percent > 0:
            raise ValueError("canary_percent without a canary")
        return self


@dataclass(frozen=True, slots=True)
class Serving:
    """The versions of a model that serve.

    Attributes:
        stable: answers, where no other is asked for.
        canary: answers `canary_percent` of those requests instead.
    """

    stable: ModelReference
    canary: ModelReference | None = None
    canary_percent: float = 0.0

    @property
    def versions(self) -> list[ModelReference]:
        """All versions that serve."""
        return [self.stable, *([self.canary] if self.canary else [])]

    def __str__(self) -> str:
        if self.canary is None:
            return f"{self.stable} serves"
        return f"{self.stable} serves, {self.canary} {self.canary_percent:g} % of its requests"

    def role_of(self, reference: ModelReference) -> str:
        """Return what a version is called here: an alias, or nothing."""
        if reference == self.stable:
            return "stable"
        return f"canary, {self.canary_percent:g} %" if reference == self.canary else ""

    def pick(self) -> ModelReference:
        """Choose the version for a request that asks for none."""
        if self.canary is not None and random.random() * 100 < self.canary_percent:  # noqa: S311
            return self.canary
        return self.stable

    def named(self, alias: str) -> ModelReference:
        """Return the version of an alias.

        Raises:
            UnknownAliasError: none has it.
        """
        references = {"stable": self.stable, "canary": self.canary}
        reference = references.get(alias)
        if reference is None:
            raise UnknownAliasError(
                f"No version of {self.stable.name!r} is called {alias[:64]!r}. Ask for a number."
            )
        return reference


def read_serving(store: ModelStore, name: str) -> Serving:
    """Find out which versions of a model are to serve.

    Raises:
        UnknownModelError: no such model.
        InvalidAliasesError: the file of aliases cannot be read, or names a version that is not
            there.
    """
    versions = store.versions(name)
    aliases = read_aliases(store, name)
    for version in (aliases.stable, aliases.canary):
        if version is not None and version not in versions:
            raise InvalidAliasesError(
                f"{name}: {ALIASES_FILE} names version {version}, which is not in the store. "
                "Restore it, or name another one: hark models promote."
            )
    stable = ModelReference(name, aliases.stable or versions[-1])
    canary = ModelReference(name, aliases.canary) if aliases.canary else None
    return Serving(stable, canary, aliases.canary_percent)


def read_aliases(store: ModelStore, name: str) -> Aliases:
    """Read a model's aliases.

    Raises:
        InvalidAliasesError: the file cannot be read.
    """
    path = store.root / name / ALIASES_FILE
    try:
        return Aliases.model_validate_json(path.read_bytes())
    except FileNotFoundError:
        return Aliases()
    except (ValidationError, OSError) as error:
        reason = error.errors()[0]["msg"] if isinstance(error, ValidationError) else error.strerror
        raise InvalidAliasesError(
            f"{name}: {ALIASES_FILE} cannot be read ({reason}). Write it anew: hark models promote."
        ) from error


def write_aliases(store: ModelStore, name: str, aliases: Aliases) -> None:
    """Write a model's aliases; a reader finds the old ones or the new ones, and never a half.

    Raises:
        OSError: the store cannot be written to.
    """
    folder = store.root / name
    content = aliases.model_dump_json(indent=2, exclude_defaults=True) + "\n"
    with tempfile.NamedTemporaryFile("w", dir=folder, prefix=".aliases-", delete=False) as file:
        file.write(content)
    Path(file.name).chmod(0o644)
    Path(file.name).replace(folder / ALIASES_FILE)
