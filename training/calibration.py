"""Calibration: how far a model's probabilities can be believed, fitted and measured.

One temperature, after Guo, Pleiss, Sun and Weinberger, "On Calibration of Modern Neural Networks",
ICML 2017: it makes all answers more or less sure, and leaves a window's most probable label.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from scipy.optimize import minimize_scalar
from sklearn.metrics import log_loss

from app.inference.artifact import Calibration
from app.inference.averaging import averaged, tempered
from app.inference.engine import Engine
from training.features_cache import DatasetFeatures

N_BINS: Final = 15
BATCH_WINDOWS: Final = 256
# Where every answer is right, the likelihood rises without end as the temperature falls. Below 1 it
# enlarges the differences between engines and between machines, so it must not go far.
LOWEST_TEMPERATURE: Final = 0.5
HIGHEST_TEMPERATURE: Final = 20.0


@dataclass(frozen=True, slots=True)
class ClipOutputs:
    """What a model says of clips' windows, before any temperature.

    Attributes:
        by_window: for each clip, probabilities `[n_windows, n_labels]`.
        audio_seconds: for each clip, `[n_windows]`, up to a factor.
        truth: int `[n_clips]`: index of each clip's own label.
    """

    by_window: list[NDArray[np.float32]]
    audio_seconds: list[NDArray[np.float32]]
    truth: NDArray[np.intp]

    def answers(self, temperature: float) -> NDArray[np.float64]:
        """Return each clip's probabilities as serving makes them, `[n_clips, n_labels]`."""
        return np.stack(
            [
                averaged(tempered(by_window, temperature), seconds)
                for by_window, seconds in zip(self.by_window, self.audio_seconds, strict=True)
            ]
        )


class Marks(BaseModel):
    """What becomes of answers that are marked as uncertain; None where there are no such answers.

    Attributes:
        share: which share of the answers is marked.
        accuracy_marked: which share of those is right all the same.
        accuracy_unmarked: which share of the others is right.
    """

    model_config = ConfigDict(frozen=True)

    share: float
    accuracy_marked: float | None
    accuracy_unmarked: float | None


class ReliabilityBin(BaseModel):
    """The answers whose top probability lies above `above` and is at most `up_to`.

    Attributes:
        above: the bin's lower edge; the first bin holds 0, too.
        up_to: its upper edge.
        clips: how many answers there are.
        confidence: their mean top probability; None where there are none.
        accuracy: which share of them is right; None where there are none.
    """

    model_config = ConfigDict(frozen=True)

    above: float
    up_to: float
    clips: int
    confidence: float | None
    accuracy: float | None


class Reliability(BaseModel):
    """What a reliability diagram shows: answers by their top probability, in `N_BINS` bins.

    `before` is without calibration, `after` is with it.
    """

    model_config = ConfigDict(frozen=True)

    before: list[ReliabilityBin]
    after: list[ReliabilityBin]


def outputs_of(
    engine: Engine, data: DatasetFeatures, clips: NDArray[np.intp], labels: Sequence[str]
) -> ClipOutputs:
    """Run a model on the windows of some clips, given by their indices."""
    windows = np.flatnonzero(np.isin(data.clip_of_window, clips))
    clip_of_window = data.clip_of_window[windows]
    first_windows = np.flatnonzero(np.diff(clip_of_window, prepend=-1))
    by_window = np.concatenate(
        [
            engine.predict(data.features[windows[start : start + BATCH_WINDOWS]])
            for start in range(0, len(windows), BATCH_WINDOWS)
        ]
    )
    return ClipOutputs(
        by_window=np.split(by_window, first_windows[1:]),
        audio_seconds=np.split(data.weights[windows], first_windows[1:]),
        truth=np.array(
            [labels.index(data.clips[clip].label) for clip in clip_of_window[first_windows]]
        ),
    )


def pool_outputs(outputs: Sequence[ClipOutputs]) -> ClipOutputs:
    """Put the clips of several models together."""
    return ClipOutputs(
        by_window=[clip for part in outputs for clip in part.by_window],
        audio_seconds=[clip for part in outputs for clip in part.audio_seconds],
        truth=np.concatenate([part.truth for part in outputs]),
    )


def fit_calibration(outputs: ClipOutputs) -> Calibration:
    """Fit temperature and threshold on clips that the model was not fitted on."""
    temperature = fit_temperature(outputs)
    answers = outputs.answers(temperature)
    return Calibration(
        temperature=temperature,
        uncertain_below=fit_threshold(answers.max(axis=1), answers.argmax(axis=1) == outputs.truth),
    )


def fit_temperature(outputs: ClipOutputs) -> float:
    """Return the temperature, within bounds, of the lowest negative log-likelihood."""
    labels = range(outputs.by_window[0].shape[1])
    found = minimize_scalar(
        lambda log_temperature: float(
            log_loss(outputs.truth, outputs.answers(math.exp(log_temperature)), labels=labels)
        ),
        bounds=(math.log(LOWEST_TEMPERATURE), math.log(HIGHEST_TEMPERATURE)),
        method="bounded",
    )
    return math.exp(found.x)


def fit_threshold(confidence: NDArray[np.float64], right: NDArray[np.bool]) -> float:
    """Return the value below which answers are more likely wrong than right.

    It is where most answers are right and not below it, or wrong and below it; the lowest, where
    several do equally well, so that no answer is marked without a reason.

    Args:
        confidence: each answer's top probability, `[n]`.
        right: whether the answer was right, `[n]`.
    """
    order = np.argsort(confidence)
    thresholds = np.unique(np.concatenate([[0.0], confidence, [1.0]]))
    n_below = np.searchsorted(confidence[order], thresholds)
    # How many more of the `n` least sure answers are wrong than right.
    gains = np.concatenate([[0], np.cumsum(np.where(right[order], -1, 1))])
    return float(thresholds[np.argmax(gains[n_below])])


def expected_calibration_error(confidence: NDArray[np.float64], right: NDArray[np.bool]) -> float:
    """Return how far top probabilities are from the share of right answers, between 0 and 1.

    The answers are put into `N_BINS` bins of equal width by their top probability; each bin's
    difference between mean probability and accuracy counts by the answers in it.

    Args:
        confidence: each answer's top probability, `[n]`.
        right: whether the answer was right, `[n]`.
    """
    differences = np.bincount(_bin_of_answer(confidence), weights=right - confidence)
    return float(np.abs(differences).sum() / len(confidence))


def reliability_bins(
    confidence: NDArray[np.float64], right: NDArray[np.bool]
) -> list[ReliabilityBin]:
    """Return the bins from which the expected calibration error is computed.

    Args:
        confidence: each answer's top probability, `[n]`.
        right: whether the answer was right, `[n]`.
    """
    bins = _bin_of_answer(confidence)
    return [
        ReliabilityBin(
            above=index / N_BINS,
            up_to=(index + 1) / N_BINS,
            clips=int(inside.sum()),
            confidence=float(confidence[inside].mean()) if inside.any() else None,
            accuracy=float(right[inside].mean()) if inside.any() else None,
        )
        for index in range(N_BINS)
        for inside in [bins == index]
    ]


def _bin_of_answer(confidence: NDArray[np.float64]) -> NDArray[np.intp]:
    """Return the index of each answer's bin, `[n]`, by its top probability."""
    edges = np.linspace(0, 1, N_BINS + 1)[1:-1]
    return np.digitize(confidence, edges, right=True)


def measure_marks(marked: NDArray[np.bool], right: NDArray[np.bool]) -> Marks:
    """Count what becomes of answers, marked as uncertain or not `[n]`, right or not `[n]`."""
    return Marks(
        share=float(marked.mean()),
        accuracy_marked=float(right[marked].mean()) if marked.any() else None,
        accuracy_unmarked=float(right[~marked].mean()) if not marked.all() else None,
    )
