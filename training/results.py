"""What a cross-validation found, as `metrics.json` holds it; reading it needs no TensorFlow."""

from pydantic import BaseModel, ConfigDict

from app.inference.artifact import Calibration
from training.calibration import Marks, Reliability
from training.evaluate import Metrics


class RoundResult(BaseModel):
    """One round's test part, how the model did on it, and how it was fitted and calibrated.

    `calibration` is fitted on the test parts of the other rounds.
    """

    model_config = ConfigDict(frozen=True)

    test: str
    epochs: int
    calibration: Calibration
    metrics: Metrics
    history: dict[str, list[float]]


class CrossValidation(BaseModel):
    """All rounds, and all test clips together.

    `warning` marks a random split, whose figures promise too much; it is None for any other.
    `split` is a digest of which clips were in which part; None in a file of an earlier release.
    `accuracy_mean` and `accuracy_deviation` (of the population) are over the rounds. `calibration`
    is fitted on all test parts. `ece_before`, `ece_after` (expected calibration errors without and
    with calibration), `reliability` (the bins behind them; None in a file of an earlier release)
    and `marks` are of all test clips, each with its own round's calibration.
    """

    model_config = ConfigDict(frozen=True)

    protocol: str
    warning: str | None = None
    split: str | None = None
    labels: list[str]
    rounds: list[RoundResult]
    accuracy_mean: float
    accuracy_deviation: float
    macro_f1_mean: float
    epochs: int
    calibration: Calibration
    ece_before: float
    ece_after: float
    reliability: Reliability | None = None
    marks: Marks
    together: Metrics

    @property
    def figures(self) -> dict[str, float]:
        """The figures that stand for all others, by name."""
        names = ("accuracy_mean", "accuracy_deviation", "macro_f1_mean", "ece_before", "ece_after")
        return {name: getattr(self, name) for name in names}
