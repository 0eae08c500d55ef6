"""Ablation: what each change of a recipe's augmentation gives, every arm cross-validated alike.

An arm is the recipe with some of its changes. What an arm came to is kept in the cache under a
digest of the arm's recipe, the data, this code and its libraries: work that is interrupted goes on
where it was.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from app.progress import Begin
from training import runs
from training.augmentation.arms import arms_of, plan_with
from training.augmentation.plan import Augmentation
from training.datasets import Dataset
from training.features_cache import default_cache_folder
from training.fit_place import FitPlace
from training.recipe import Recipe, Training
from training.results import CrossValidation
from training.run_identity import digest_of, identity_of
from training.splits import SplitKind
from training.written_whole import write_whole


class Arm(BaseModel):
    """The recipe with some of its changes, and how it did."""

    model_config = ConfigDict(frozen=True)

    name: str
    changes: list[str]
    result: CrossValidation

    @property
    def by_label(self) -> dict[str, float]:
        """The share of each label's clips that are recognised."""
        return {label: of.recall for label, of in self.result.together.by_label.items()}


def shortened(recipe: Recipe, epochs: int | None) -> Recipe:
    """Return a recipe of so many epochs at most."""
    if epochs is None:
        return recipe
    least = min(recipe.training.min_epochs, epochs)
    training = Training.model_validate(
        {**recipe.training.model_dump(), "epochs": epochs, "min_epochs": least}
    )
    return recipe.model_copy(update={"training": training})


def prepare(
    recipe: Recipe,
    dataset: Dataset,
    split: SplitKind,
    strict: bool,
    cache: Path | None,
    begin: Begin,
) -> runs.Run:
    """Make data ready for all arms of a recipe: its clips as they are, without variants.

    Raises:
        RecipeError: there is nothing to take apart, or it does not suit the data.
        DatasetError: as `runs.prepare`.
    """
    arms_of(recipe.augmentation, leave_one_out=False)
    if recipe.augmentation.waveform is not None:
        recipe.augmentation.waveform.check_labels(dataset.labels)
    plain = recipe.model_copy(update={"augmentation": Augmentation()})
    run = runs.prepare(plain, dataset, split, strict, cache, begin)
    return replace(run, recipe=recipe)


def ablate(
    run: runs.Run, cache: Path | None, begin: Begin, *, leave_one_out: bool = False
) -> Iterator[Arm]:
    """Cross-validate each arm, or take it from the cache; yield it as it comes.

    Args:
        run: a recipe with its data, as `prepare` makes it.
        cache: where features, variants and finished arms are kept; by default the user's cache.
        begin: is told how it goes on.
        leave_one_out: whether there is an arm of all but each change, too.
    """
    folder = (cache or default_cache_folder()) / "ablations"
    folder.mkdir(parents=True, exist_ok=True)
    for name, changes in arms_of(run.recipe.augmentation, leave_one_out=leave_one_out).items():
        plan = plan_with(run.recipe.augmentation, changes)
        recipe = run.recipe.model_copy(update={"augmentation": plan})
        arm_run = runs.with_variants(replace(run, recipe=recipe), cache, begin)
        identity = identity_of(arm_run.recipe, arm_run.dataset, arm_run.data, arm_run.folds)
        path = folder / f"{digest_of(identity)[:32]}.json"
        result = _kept(path)
        if result is None:
            result = runs.cross_validate_run(arm_run, FitPlace(_telling(name, begin))).figures
            write_whole(path, result.model_dump_json())
        yield Arm(name=name, changes=changes, result=result)


def _telling(name: str, begin: Begin) -> Begin:
    return lambda what, units: begin(f"{name}, {what}", units)


def _kept(path: Path) -> CrossValidation | None:
    try:
        return CrossValidation.model_validate_json(path.read_bytes())
    except (FileNotFoundError, ValidationError):
        return None


def ablation_json(recipe: Recipe, dataset: str, arms: Sequence[Arm]) -> str:
    """Return what each arm came to as JSON; differences are from the arm of no change."""
    first = arms[0]
    lines = [
        {
            "name": arm.name,
            "changes": arm.changes,
            "accuracy_mean": arm.result.accuracy_mean,
            "accuracy_deviation": arm.result.accuracy_deviation,
            "accuracy_difference": arm.result.accuracy_mean - first.result.accuracy_mean,
            "macro_f1_mean": arm.result.macro_f1_mean,
            "accuracies": {turn.test: turn.metrics.accuracy for turn in arm.result.rounds},
            "recall_by_label": arm.by_label,
        }
        for arm in arms
    ]
    values = {
        "recipe": recipe.name,
        "dataset": dataset,
        "epochs": recipe.training.epochs,
        "seed": recipe.training.seed,
        "protocol": first.result.protocol,
        "warning": first.result.warning,
        "arms": lines,
    }
    return json.dumps(values, indent=2) + "\n"
