"""Cross-validation: each part of the data takes its turn as the test set.

What ships is fitted as long as the rounds found best, and calibrated by all their validation parts.
Its figures are those of the test parts, each measured with its own round's epochs and calibration.
"""

from statistics import mean, median, pstdev

from pydantic import BaseModel, ConfigDict

from app.inference.artifact import Calibration
from app.progress import Begin, silent
from training.calibration import (
    Marks,
    expected_calibration_error,
    fit_calibration,
    measure_marks,
)
from training.evaluate import Metrics, measure, pool_predictions
from training.features_cache import DatasetFeatures
from training.recipe import Recipe
from training.rounds import RoundResult, pool_calibrated, run_round
from training.splits import Folds


class CrossValidation(BaseModel):
    """All rounds, and all test clips together.

    `accuracy_mean` and `accuracy_deviation` (of the population) are over the rounds. `calibration`
    is fitted on all validation parts together. `ece_before`, `ece_after` (expected calibration
    errors without and with calibration) and `marks` are of all test clips, each with its own
    round's calibration. Without validation parts, what needs a calibration is None.
    """

    model_config = ConfigDict(frozen=True)

    protocol: str
    labels: list[str]
    rounds: list[RoundResult]
    accuracy_mean: float
    accuracy_deviation: float
    macro_f1_mean: float
    epochs: int
    calibration: Calibration | None
    ece_before: float
    ece_after: float | None
    marks: Marks | None
    together: Metrics

    @property
    def figures(self) -> dict[str, float]:
        """The figures that stand for all others, by name."""
        names = ("accuracy_mean", "accuracy_deviation", "macro_f1_mean", "ece_before", "ece_after")
        figures = {name: getattr(self, name) for name in names}
        return {name: figure for name, figure in figures.items() if figure is not None}


def cross_validate(
    recipe: Recipe,
    data: DatasetFeatures,
    folds: Folds,
    labels: list[str],
    begin: Begin = silent,
) -> CrossValidation:
    """Fit, calibrate and test a model for each part of the data.

    Returns:
        The rounds, with `epochs` being the median of theirs: for how long to fit on everything.
    """
    rounds = [run_round(recipe, data, turn, labels, begin) for turn in folds.rounds()]
    results = [finished.result for finished in rounds]
    accuracies = [result.metrics.accuracy for result in results]
    uncalibrated = pool_predictions([finished.uncalibrated for finished in rounds])
    calibrated = pool_calibrated(rounds)
    answers = uncalibrated if calibrated is None else calibrated.tested
    return CrossValidation(
        protocol=_protocol_in_words(folds),
        labels=labels,
        rounds=results,
        accuracy_mean=mean(accuracies),
        accuracy_deviation=pstdev(accuracies),
        macro_f1_mean=mean(result.metrics.macro_f1 for result in results),
        epochs=round(median(result.epochs for result in results)),
        calibration=calibrated and fit_calibration(calibrated.validation),
        ece_before=expected_calibration_error(uncalibrated.confidence, uncalibrated.right),
        ece_after=calibrated
        and expected_calibration_error(calibrated.tested.confidence, calibrated.tested.right),
        marks=calibrated and measure_marks(calibrated.tested.uncertain, calibrated.tested.right),
        together=measure(answers.truth, answers.predicted, labels),
    )


def _protocol_in_words(folds: Folds) -> str:
    kept = {
        "folds": "the data's official folds",
        "groups": "parts that keep each group of clips together",
        "random": "random parts, stratified by label",
    }[folds.kind]
    stopped = (
        "epochs counted on a validation part apart from the test part, then refitted on both"
        if len(folds.names) > 2
        else "fitted for a fixed number of epochs"
    )
    return (
        f"{len(folds.names)}-fold cross-validation over {kept}; {stopped}; "
        "test clips classified from their files' bytes"
    )
