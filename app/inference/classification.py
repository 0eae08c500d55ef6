"""Classification: the answer for one clip. Light, since it crosses between processes.

Without slots, with which dataclasses are pickled field by field in Python.
"""

from dataclasses import dataclass

from app.inference.store import ModelReference


@dataclass(frozen=True)
class StageSeconds:
    """Where the time of one classification went."""

    decode: float
    features: float
    model: float


@dataclass(frozen=True)
class Classification:
    """The answer for one clip.

    Attributes:
        model: the version that answered.
        duration_seconds: length of the clip.
        truncated: whether the file ended before its own structure says that it does.
        probabilities: one for each label, in the model's order; they sum to 1.
        stage_seconds: where the time went.
    """

    model: ModelReference
    duration_seconds: float
    truncated: bool
    probabilities: dict[str, float]
    stage_seconds: StageSeconds

    @property
    def label(self) -> str:
        """The most probable label."""
        return self.top(1)[0][0]

    def top(self, k: int | None = None) -> list[tuple[str, float]]:
        """Return the `k` most probable labels, or all, with their probabilities, highest first."""
        return sorted(self.probabilities.items(), key=lambda item: -item[1])[:k]
