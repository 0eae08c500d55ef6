"""How well a classifier does on labelled files, through the road that serves: bytes in."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict
from sklearn.metrics import accuracy_score, confusion_matrix, precision_recall_fscore_support

from app.errors import AudioError
from app.inference.classification import Classification
from app.inference.classifier import Classifier
from app.progress import Advance
from training.datasets import Clip
from training.features_cache import LIMITS, UnreadableClip


class LabelMetrics(BaseModel):
    """How well one label is recognised."""

    model_config = ConfigDict(frozen=True)

    precision: float
    recall: float
    f1: float
    clips: int


class Metrics(BaseModel):
    """How well clips are recognised.

    `confusion_matrix[i][j]` counts the clips of label `i` that were taken for label `j`.
    """

    model_config = ConfigDict(frozen=True)

    clips: int
    accuracy: float
    macro_f1: float
    by_label: dict[str, LabelMetrics]
    confusion_matrix: list[list[int]]


@dataclass(frozen=True, slots=True)
class Predictions:
    """What a classifier said of clips.

    Attributes:
        truth: int `[n]`: index of each clip's own label.
        predicted: int `[n]`: index of the most probable one.
        confidence: float `[n]`: its probability.
        uncertain: bool `[n]`: whether the classifier marks the answer as uncertain.
        unreadable: clips that could not be classified.
    """

    truth: NDArray[np.intp]
    predicted: NDArray[np.intp]
    confidence: NDArray[np.float64]
    uncertain: NDArray[np.bool]
    unreadable: tuple[UnreadableClip, ...] = ()

    @property
    def right(self) -> NDArray[np.bool]:
        """Whether each answer is right, bool `[n]`."""
        return np.equal(self.truth, self.predicted)


def pool_predictions(predictions: Sequence[Predictions]) -> Predictions:
    """Put the clips of several classifiers together."""
    return Predictions(
        truth=np.concatenate([part.truth for part in predictions]),
        predicted=np.concatenate([part.predicted for part in predictions]),
        confidence=np.concatenate([part.confidence for part in predictions]),
        uncertain=np.concatenate([part.uncertain for part in predictions]),
        unreadable=tuple(clip for part in predictions for clip in part.unreadable),
    )


def predict(
    classifier: Classifier, clips: Iterable[Clip], advance: Advance = lambda _note: None
) -> Predictions:
    """Classify files from their bytes. Every clip's label must be one of the classifier's."""
    labels = classifier.labels
    truth: list[int] = []
    answers: list[Classification] = []
    unreadable: list[UnreadableClip] = []
    for clip in clips:
        try:
            answer = classifier.classify(clip.path.read_bytes(), LIMITS)
        except (AudioError, OSError) as error:
            unreadable.append(UnreadableClip(Path(clip.path), str(error)))
        else:
            truth.append(labels.index(clip.label))
            answers.append(answer)
        advance("")
    return Predictions(
        truth=np.array(truth, dtype=np.intp),
        predicted=np.array([labels.index(answer.label) for answer in answers], dtype=np.intp),
        confidence=np.array([answer.probabilities[answer.label] for answer in answers]),
        uncertain=np.array([answer.uncertain for answer in answers], dtype=np.bool),
        unreadable=tuple(unreadable),
    )


def measure(truth: NDArray[np.intp], predicted: NDArray[np.intp], labels: Sequence[str]) -> Metrics:
    """Count what was right; scikit-learn's definitions, 0 where a ratio has no denominator."""
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
    )
