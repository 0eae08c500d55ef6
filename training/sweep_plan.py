"""The plan of a sweep, and the folder that is its own."""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Final

from pydantic import ValidationError

from training import runs
from training.architectures import check_model
from training.recipe import Recipe, load_recipe
from training.recipe_error import RecipeError
from training.run_error import RunError
from training.run_identity import Identity, check_same, identity_of
from training.search_space import Dimension
from training.written_whole import write_whole

_ENSEMBLE: Final = "a trial fits one network, so all values would do the same; set it by --set"
# Fields that are not searched, and why.
_NOT_SEARCHED: Final = {
    "training.networks": _ENSEMBLE,
    "model.members": _ENSEMBLE,
    "training.seed": "the best of several seeds is the luckiest, and no better on other sounds",
    "starting_point": "what each was fitted on decides what can test it; sweep each by --set",
}


@dataclass(frozen=True, slots=True)
class Plan:
    """What is searched, and how.

    Attributes:
        recipe: a recipe's name or path.
        changes: fields that all trials set, as `--set` has them.
        space: the fields that are searched.
        trials: how many there are to be in all.
        batch: how many are proposed together, and fitted at once where there is a cluster. The next
            are proposed when all of them are done, so the result depends on it, and on nothing
            that is faster or slower.
        seed: decides what is proposed.
        store: where a starting point is looked for.
    """

    recipe: str
    changes: tuple[str, ...]
    space: tuple[Dimension, ...]
    trials: int
    batch: int
    seed: int
    store: Path

    def recipe_with(self, values: Sequence[str] = ()) -> Recipe:
        """Return the recipe with some values, each as `--set` has it.

        Raises:
            RecipeError: it does not validate.
        """
        return load_recipe(self.recipe, (*self.changes, *values), self.store)

    def check(self) -> Recipe:
        """Return the recipe itself; refuse fields that cannot be searched, before any work.

        Raises:
            RecipeError: the recipe does not validate, or names no network that can be built, or
                none with any of a field's values; or a field is none to search.
        """
        for dimension in self.space:
            if (reason := _NOT_SEARCHED.get(dimension.field)) is not None:
                raise RecipeError(f"--search {dimension.field}: {reason}")
            changes = [f"{dimension.field}={text}" for text in dimension.probes]
            refusals = list(takewhile(bool, map(self._refusal, changes)))
            if len(refusals) == len(changes):
                raise RecipeError(f"--search {dimension.field}: {refusals[0]}")
        return self.recipe_with()

    def _refusal(self, change: str) -> str | None:
        try:
            recipe = self.recipe_with([change])
            if change.startswith("model.options."):
                _check_options(recipe)
        except RecipeError as error:
            return str(error)
        return None


def _check_options(recipe: Recipe) -> None:
    """Refuse an option that the architecture has not; a value may suit what others are drawn."""
    try:
        check_model(recipe.model, recipe.front_end)
    except RecipeError as error:
        cause = error.__cause__
        wrong = cause.errors() if isinstance(cause, ValidationError) else []
        if any(each["type"] == "extra_forbidden" for each in wrong):
            raise


def identity_of_sweep(plan: Plan, run: runs.Run) -> Identity:
    """Return digests of all that decides a sweep's result but the number of its trials."""
    search = repr((plan.space, plan.batch, plan.seed)).encode()
    return {
        **identity_of(run.recipe, run.dataset, run.data, run.folds),
        "search": hashlib.sha256(search).hexdigest(),
    }


def claim(folder: Path, identity: Identity, resume: bool) -> None:
    """Make a folder a sweep's, or find that it is.

    Raises:
        RunError: it is another's, or not to be gone on with.
    """
    path = folder / "sweep.json"
    if path.exists():
        check_same(path, identity, "a sweep")
        if not resume:
            raise RunError(
                f"{folder} holds this sweep: go on with it by --resume, or remove it to begin anew"
            )
    folder.mkdir(parents=True, exist_ok=True)
    write_whole(path, json.dumps(identity))
