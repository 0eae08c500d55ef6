"""Comparison: which of several cross-validations did better, and whether that may be chance."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt
from pathlib import Path
from statistics import mean, stdev
from typing import Final

from pydantic import ValidationError
from scipy import stats

from app.inference.artifact import METRICS_FILE
from app.inference.store import ModelStore
from training.recipe_error import RecipeError
from training.results import CrossValidation
from training.versions import find_version

SIGNIFICANCE: Final = 0.05


@dataclass(frozen=True, slots=True)
class NamedRun:
    """A cross-validation, and what it is called on the command line."""

    name: str
    result: CrossValidation


@dataclass(frozen=True, slots=True)
class PairedTest:
    """What a paired test over folds says of two runs' accuracies.

    Attributes:
        difference: the mean of the second's accuracies minus the first's.
        p_value: how probable such a difference is, either way, where both are equally good.
        detectable: the smallest difference that would have been significant, folds varying as they
            do; None where the folds' differences do not vary at all.
    """

    difference: float
    p_value: float
    detectable: float | None

    @property
    def is_significant(self) -> bool:
        """Whether chance would do as much in less than one of twenty tries."""
        return self.p_value < SIGNIFICANCE


def load_run(name: str, store: Path) -> NamedRun:
    """Read a run by its folder, or a version's by `name` or `name@version`.

    Raises:
        RecipeError: no figures of a cross-validation are there.
        ModelError: there is no such version.
    """
    folder = Path(name)
    if not folder.is_dir():
        models = ModelStore(store)
        folder = models.folder(find_version(models, name))
    path = folder / METRICS_FILE
    try:
        return NamedRun(name, CrossValidation.model_validate_json(path.read_bytes()))
    except FileNotFoundError as error:
        raise RecipeError(
            f"{folder} has no {METRICS_FILE}: give a folder that cross-validate --out wrote, or a "
            "version of the store"
        ) from error
    except ValidationError as error:
        raise RecipeError(
            f"{path} holds no figures that this release reads: run the cross-validation again"
        ) from error


def check_comparable(runs: Sequence[NamedRun]) -> None:
    """Refuse runs that were not tested on the same clips.

    Raises:
        RecipeError: a run has other labels, folds, numbers of clips or clips in its folds than the
            first. A file of an earlier release does not tell the last.
    """
    first, *others = runs
    for other in others:
        not_alike = (
            f"{first.name} and {other.name} were not tested on the same folds of the same data"
        )
        if _tested_on(first.result) != _tested_on(other.result):
            raise RecipeError(
                f"{not_alike}: {_in_words(first.result)}, and {_in_words(other.result)}"
            )
        if _split_otherwise(first.result, other.result):
            raise RecipeError(
                f"{not_alike}: the folds hold other clips; cross-validate both on the same files "
                "with the same --split and training.seed"
            )


def paired_test(first: CrossValidation, second: CrossValidation) -> PairedTest:
    """Compare two runs' accuracies fold by fold.

    The corrected resampled t-test: folds share most of what they are fitted on, so their
    differences vary less than those of independent data would, and a plain t-test finds
    differences where there are none. Source: Nadeau and Bengio, "Inference for the Generalization
    Error", Machine Learning 52 (3), 2003. Accuracies come in steps of a clip: where each fold is
    better by the same one, that is no certainty; so they are taken to vary by their rounding at
    least.
    """
    accuracies = [part.metrics.accuracy for part in first.rounds]
    others = [part.metrics.accuracy for part in second.rounds]
    return corrected_t_test(
        accuracies,
        others,
        test_to_train=1 / (len(accuracies) - 1),
        # That of two numbers which are each rounded to a whole clip.
        least_deviation=1 / sqrt(6) / min(part.metrics.clips for part in first.rounds),
    )


def corrected_t_test(
    first: Sequence[float],
    second: Sequence[float],
    test_to_train: float,
    least_deviation: float = 0.0,
) -> PairedTest:
    """Test whether two runs' figures, of the same folds in the same order, differ.

    Args:
        first: the first run's figure on each fold, two or more.
        second: the second run's.
        test_to_train: how large a test part is beside what was fitted on; 0 is the plain paired
            t-test.
        least_deviation: what the differences' standard deviation is taken to be at least.
    """
    differences = [b - a for a, b in zip(first, second, strict=True)]
    n_folds = len(differences)
    error = max(stdev(differences), least_deviation) * sqrt(1 / n_folds + test_to_train)
    difference = mean(differences)
    if error == 0:
        return PairedTest(difference, 1.0 if difference == 0 else 0.0, None)
    p_value = 2 * stats.t.sf(abs(difference) / error, n_folds - 1)
    critical = stats.t.ppf(1 - SIGNIFICANCE / 2, n_folds - 1)
    return PairedTest(difference, float(p_value), float(critical * error))


def _tested_on(run: CrossValidation) -> tuple[list[str], list[tuple[str, int]]]:
    return run.labels, [(part.test, part.metrics.clips) for part in run.rounds]


def _split_otherwise(first: CrossValidation, second: CrossValidation) -> bool:
    return None not in (first.split, second.split) and first.split != second.split


def _in_words(run: CrossValidation) -> str:
    folds = ", ".join(f"{part.test} ({part.metrics.clips} clips)" for part in run.rounds)
    return f"{len(run.labels)} labels in folds {folds}"
