"""Data for the trials of a sweep, computed once for all that need the same."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Final

from app.progress import Begin
from training import runs
from training.datasets import Dataset
from training.recipe import Recipe
from training.splits import SplitKind
from training.workers import Places

_N_KEPT: Final = 4  # data sets at a time, beside the recipe's own: each may be gigabytes


class TrialData:
    """Data made ready for trials: once for all that share front end, variants and seed.

    Args:
        base: the recipe that is searched, with its data.
        dataset: the data as it was read.
        split: as for `runs.prepare`.
        strict: likewise.
        cache: likewise.
        places: who computes features.
        begin: is told how that goes on.
    """

    def __init__(
        self,
        base: runs.Run,
        dataset: Dataset,
        split: SplitKind,
        strict: bool,
        cache: Path | None,
        places: Places,
        begin: Begin,
    ) -> None:
        self._arguments = (dataset, split, strict, cache, begin, places)
        self._base = base
        self._others: dict[str, runs.Run] = {}

    def run_of(self, recipe: Recipe) -> runs.Run:
        """Return a recipe with its data.

        Raises:
            DatasetError: the data cannot be trained on.
            RecipeError: the recipe does not suit it.
        """
        key = _data_key(recipe)
        if key == _data_key(self._base.recipe):
            return replace(self._base, recipe=recipe)
        if key not in self._others:
            if len(self._others) == _N_KEPT:
                del self._others[next(iter(self._others))]  # the oldest
            self._others[key] = runs.prepare(recipe, *self._arguments)
        return replace(self._others[key], recipe=recipe)


def _data_key(recipe: Recipe) -> str:
    """Return what decides a recipe's features, variants and folds."""
    variants = recipe.augmentation.waveform
    decides = [
        recipe.front_end.to_manifest(),
        None if variants is None else variants.model_dump(mode="json"),
        recipe.training.seed,
    ]
    return json.dumps(decides, sort_keys=True)
