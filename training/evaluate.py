"""How well a classifier does on labelled files, through the road that serves: bytes in."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import get_args

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from sklearn.metrics import accuracy_score, confusion_matrix, precision_recall_fscore_support

from app.errors import AudioError
from app.inference.classification import Classification
from app.inference.classifier import Classifier
from app.progress import Advance
from training.datasets import Clip, Salience
from training.features_cache import LIMITS, UnreadableClip


class LabelMetrics(BaseModel):
    """How well one label is recognised."""

    model_config = ConfigDict(frozen=True)

    precision: float
    recall: float
    f1: float
    clips: int


class SalienceMetrics(BaseModel):
    """How well the sounds are recognised that are in the foreground, or in the background."""

    model_config = ConfigDict(frozen=True)

    accuracy: float
    clips: int


class Metrics(BaseModel):
    """How well clips are recognised.

    `confusion_matrix[i][j]` counts the clips of label `i` that were taken for label `j`.
    `by_salience` has those clips of which the data says where the sound is.
    """

    model_config = ConfigDict(frozen=True)

    clips: int
    accuracy: float
    macro_f1: float
    by_label: dict[str, LabelMetrics]
    confusion_matrix: list[list[int]]
    by_salience: dict[Salience, SalienceMetrics] = {}


@dataclass(frozen=True, slots=True)
class Predictions:
    """What a classifier said of clips.

    Attributes:
        clips: the `n` files that were classified.
        truth: int `[n]`: index of each clip's own label.
        predicted: int `[n]`: index of the most probable one.
        confidence: float `[n]`: its probability.
        probabilities: float `[n, n_labels]`: that of every label.
        uncertain: bool `[n]`: whether the classifier marks the answer as uncertain.
        unreadable: clips that could not be classified.
    """

    clips: tuple[Clip, ...]
    truth: NDArray[np.intp]
    predicted: NDArray[np.intp]
    confidence: NDArray[np.float64]
    probabilities: NDArray[np.float64]
    uncertain: NDArray[np.bool]
    unreadable: tuple[UnreadableClip, ...] = ()

    @property
    def right(self) -> NDArray[np.bool]:
        """Whether each answer is right, bool `[n]`."""
        return np.equal(self.truth, self.predicted)


def pool_predictions(predictions: Sequence[Predictions]) -> Predictions:
    """Put the clips of several classifiers together."""
    return Predictions(
        clips=tuple(clip for part in predictions for clip in part.clips),
        truth=np.concatenate([part.truth for part in predictions]),
        predicted=np.concatenate([part.predicted for part in predictions]),
        confidence=np.concatenate([part.confidence for part in predictions]),
        probabilities=np.concatenate([part.probabilities for part in predictions]),
        uncertain=np.concatenate([part.uncertain for part in predictions]),
        unreadable=tuple(clip for part in predictions for clip in part.unreadable),
    )


def predict(
    classifier: Classifier, clips: Iterable[Clip], advance: Advance = lambda _note: None
) -> Predictions:
    """Classify files from their bytes. Every clip's label must be one of the classifier's."""
    labels = classifier.labels
    classified: list[Clip] = []
    answers: list[Classification] = []
    unreadable: list[UnreadableClip] = []
    for clip in clips:
        try:
            answer = classifier.classify(clip.path.read_bytes(), LIMITS)
        except (AudioError, OSError) as error:
            unreadable.append(UnreadableClip(Path(clip.path), str(error)))
        else:
            classified.append(clip)
            answers.append(answer)
        advance("")
    return Predictions(
        clips=tuple(classified),
        truth=np.array([labels.index(clip.label) for clip in classified], dtype=np.intp),
        predicted=np.array([labels.index(answer.label) for answer in answers], dtype=np.intp),
        confidence=np.array([answer.probabilities[answer.label] for answer in answers]),
        probabilities=np.array(
            [[answer.probabilities[label] for label in labels] for answer in answers]
        ).reshape(-1, len(labels)),
        uncertain=np.array([answer.uncertain for answer in answers], dtype=np.bool),
        unreadable=tuple(unreadable),
    )


def measure(predictions: Predictions, labels: Sequence[str]) -> Metrics:
    """Count what was right; scikit-learn's definitions, 0 where a ratio has no denominator."""
    truth, predicted = predictions.truth, predictions.predicted
    indices = list(range(len(labels)))
    precision, recall, f1, support = precision_recall_fscore_support(
        truth, predicted, labels=indices, zero_division=0.0
    )
    return Metrics(
        clips=len(truth),
        accuracy=float(accuracy_score(truth, predicted)),
        macro_f1=float(np.mean(f1[support > 0])),
        by_label={
            label: LabelMetrics(
                precision=float(precision[index]),
                recall=float(recall[index]),
                f1=float(f1[index]),
                clips=int(support[index]),
            )
            for index, label in enumerate(labels)
        },
        confusion_matrix=confusion_matrix(truth, predicted, labels=indices).tolist(),
        by_salience=_by_salience(predictions),
    )


def _by_salience(predictions: Predictions) -> dict[Salience, SalienceMetrics]:
    salience = np.array([clip.salience or "" for clip in predictions.clips])
    return {
        which: SalienceMetrics(
            accuracy=float(predictions.right[salience == which].mean()),
            clips=int((salience == which).sum()),
        )
        for which in get_args(Salience)
        if (salience == which).any()
    }
