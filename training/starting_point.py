"""What a recipe's starting point has learned, and with it every version that begins so."""

from pathlib import Path

from app.inference.artifact import EarlierTraining, Manifest, TrainingRecord, read_manifest
from app.inference.store import ModelReference
from training.datasets import Dataset
from training.recipe import Recipe
from training.recipe_error import RecipeError


def check_starting_point(recipe: Recipe, dataset: Dataset) -> None:
    """Refuse data that the starting point has learned already: it would be tested on that.

    Raises:
        RecipeError: the starting point has learned it.
    """
    if recipe.starting_point is None:
        return
    if was_fitted_on(_manifest_of(recipe).training, dataset):
        raise RecipeError(
            f"{recipe.starting_point}, which {recipe.name} starts from, was fitted on clips of "
            f"{dataset.name}, so none of them can test what comes of it: take other data, or other "
            "folds by --folds. (Data is known by its name: call other data otherwise.)"
        )


def earlier_training(recipe: Recipe) -> list[EarlierTraining]:
    """Return what the weights that a recipe starts from have learned, the latest first."""
    if recipe.starting_point is None:
        return []
    start = _manifest_of(recipe)
    last = EarlierTraining(
        model=str(ModelReference(start.name, start.version)),
        dataset=start.training.dataset,
        licence=start.training.licence,
        folds=start.training.folds,
    )
    return [last, *start.training.earlier]


def was_fitted_on(trained: TrainingRecord, dataset: Dataset) -> bool:
    """Whether a version has learned clips of a data set, as far as the names of its data tell.

    Also those that its weights had learned when they began as another version's.
    """
    learned: list[TrainingRecord | EarlierTraining] = [trained, *trained.earlier]
    return any(
        _whole_of(each.dataset) == _whole_of(dataset.name)
        and (not each.folds or bool(set(each.folds) & set(dataset.folds)))
        for each in learned
    )


def _whole_of(name: str) -> str:
    """Return the data set that one is a part of, with the same folds; else itself."""
    return "ESC-50" if name == "ESC-10" else name


def _manifest_of(recipe: Recipe) -> Manifest:
    return read_manifest(Path(recipe.model.options["model"]).parent)
