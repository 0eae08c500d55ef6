"""Classification: the answer for one clip. Light, since it crosses between processes.

Without slots, with which dataclasses are pickled field by field in Python.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from app.audio.source import Source
from app.errors import InvalidParameterError
from app.inference.labels import check_labels
from app.inference.store import ModelReference


@dataclass(frozen=True)
class StageSeconds:
    """Where the time of one classification went.

    Attributes:
        decode: opening, decoding, mixing down, cutting into windows.
        resample: the resampler, in pieces between those of decoding.
        features: windows to features.
        model: features to probabilities.
    """

    decode: float
    resample: float
    features: float
    model: float

    @property
    def total(self) -> float:
        """All of it."""
        return self.decode + self.resample + self.features + self.model


@dataclass(frozen=True)
class Window:
    """The answer for one window of a clip.

    Attributes:
        start_seconds: where in the clip it begins.
        end_seconds: where its audio ends.
        probabilities: one for each label of the clip's answer, in its order; they sum to 1.
        silence: whether there is nothing in it that could be heard.
    """

    start_seconds: float
    end_seconds: float
    probabilities: tuple[float, ...]
    silence: bool


@dataclass(frozen=True)
class Classification:
    """The answer for one clip.

    Attributes:
        model: the version that answered.
        duration_seconds: length of the audio that was classified.
        truncated: whether the file ended before its own structure says that it does.
        probabilities: one for each label, in the model's order; they sum to 1.
        windows: the answers that these are the average of, in the order of time.
        silence: whether there is nothing in the audio that could be heard.
        uncertain_below: the probability below which the most probable label is more likely wrong
            than right, as the version says of itself.
        stage_seconds: where the time went.
        source: what the file was before it was decoded; None where nobody has said.
    """

    model: ModelReference
    duration_seconds: float
    truncated: bool
    probabilities: dict[str, float]
    windows: tuple[Window, ...]
    silence: bool
    uncertain_below: float
    stage_seconds: StageSeconds
    source: Source | None = None

    @property
    def label(self) -> str:
        """The most probable label."""
        return max(self.probabilities, key=self.probabilities.__getitem__)  # the first of equals

    @property
    def uncertain(self) -> bool:
        """Whether the label is more likely wrong than right."""
        return self.silence or self.probabilities[self.label] < self.uncertain_below

    def top(self, k: int | None = None) -> list[tuple[str, float]]:
        """Return the `k` most probable labels, or all, with their probabilities, highest first."""
        return sorted(self.probabilities.items(), key=lambda item: -item[1])[:k]

    def only(self, labels: Sequence[str]) -> "Classification":
        """Return the answer without all labels but these; probabilities stay what they are.

        Raises:
            InvalidParameterError: there is no label, or one that the model does not know.
        """
        known = list(self.probabilities)
        if not labels:
            raise InvalidParameterError(f"labels: it is empty. There is: {', '.join(known)}.")
        check_labels(self.model, known, labels)
        kept = [place for place, label in enumerate(known) if label in labels]
        windows = (
            replace(window, probabilities=tuple(window.probabilities[place] for place in kept))
            for window in self.windows
        )
        return replace(
            self,
            probabilities={known[place]: self.probabilities[known[place]] for place in kept},
            windows=tuple(windows),
        )
