"""FrontEndSpec: every number that decides what features a model sees, in one frozen object.

The spec is written into an artifact's manifest when a model is exported, and read from there when
it is served: no setting of the service can change a feature.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal, Self, get_args

from app.audio.feature_specs import (
    FeatureSpec,
    MfccSpec,
    SpecError,
    feature_spec,
    is_count,
    require,
    require_exactly,
)

Padding = Literal["zeros", "repeat"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FrontEndSpec:
    """The canonical waveform, its windows, and the features taken from each window.

    Clips are cut into consecutive windows of `window_seconds`. The last one is filled up by
    `padding`: `zeros` appends silence, `repeat` starts the window's audio again. A remainder
    shorter than `shortest_tail_seconds` that follows a whole window is left out: it is what
    encoders append, not sound.
    """

    sample_rate_hz: int = 22_050
    downmix: Literal["mean"] = "mean"
    resampler: Literal["soxr_hq"] = "soxr_hq"
    window_seconds: float = 4.0
    shortest_tail_seconds: float = 0.1
    padding: Padding = "zeros"
    features: FeatureSpec = field(default_factory=MfccSpec)

    def __post_init__(self) -> None:
        require(is_count(self.sample_rate_hz), "sample_rate_hz must be a positive whole number")
        require(self.downmix == "mean", "downmix must be 'mean'")
        require(self.resampler == "soxr_hq", "resampler must be 'soxr_hq'")
        require(self.padding in get_args(Padding), f"padding must be one of {get_args(Padding)}")
        require(math.isfinite(self.window_seconds), "window_seconds must be a finite number")
        self.features.check_window(self.sample_rate_hz, self.window_samples)
        require(
            0 <= self.shortest_tail_seconds < self.window_seconds,
            "shortest_tail_seconds must lie in [0, window_seconds)",
        )

    @property
    def window_samples(self) -> int:
        """Samples in a window, at the canonical rate."""
        return round(self.window_seconds * self.sample_rate_hz)

    @property
    def feature_shape(self) -> tuple[int, ...]:
        """Shape of one window's features."""
        return self.features.shape(self.window_samples)

    def to_manifest(self) -> dict[str, Any]:
        """Return the spec as plain values that JSON can hold."""
        return asdict(self)

    @classmethod
    def from_manifest(cls, values: Mapping[str, Any]) -> Self:
        """Read a spec back from plain values.

        Raises:
            SpecError: a field is unknown, missing, or out of range. Nothing is defaulted: an
                artifact states every field, so that a later default cannot change its features.
        """
        require_exactly(cls, values)
        features = feature_spec(values["features"])
        try:
            return cls(**{**values, "features": features})
        except TypeError as error:
            raise SpecError(f"a field has a value of the wrong type: {error}") from error
