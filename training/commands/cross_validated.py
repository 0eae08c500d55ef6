"""What `cross-validate` and `fit` begin with: a run made ready, and cross-validated."""

from dataclasses import dataclass
from pathlib import Path

from app.progress import Begin
from training import runs
from training.commands.output import print_unreadable
from training.cross_validation import Outcome
from training.datasets import Dataset
from training.fit_place import FitPlace
from training.recipe import Recipe
from training.run_folder import RunFolder
from training.splits import SplitKind
from training.workers import Places


@dataclass(frozen=True, slots=True)
class CrossValidated:
    """A run, what it came to, where its fits go on, and what keeps them."""

    run: runs.Run
    outcome: Outcome
    place: FitPlace
    keep: RunFolder


def cross_validated(
    recipe: Recipe,
    dataset: Dataset,
    split: SplitKind,
    strict: bool,
    cache: Path | None,
    out: Path | None,
    resume: bool,
    curves: Path | None,
    begin: Begin,
    places: Places,
) -> CrossValidated:
    """Make a run ready, tell of files that are left out, and cross-validate it.

    Errors are those of `runs.prepare`, `runs.open_folder` and `runs.cross_validate_run`.
    """
    run = runs.prepare(recipe, dataset, split, strict, cache, begin, places)
    print_unreadable(run.data.unreadable)  # now, and not after hours
    keep = runs.open_folder(run, out, resume)
    place = FitPlace(begin, keep, curves)
    return CrossValidated(run, runs.cross_validate_run(run, place, places), place, keep)
