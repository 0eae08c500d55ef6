"""FrontEndSpec: every number that decides what features a model sees, in one frozen object.

The spec is written into an artifact's manifest when a model is exported, and read from there when
it is served: no setting of the service can change a feature.
"""

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal, Self, get_args

Padding = Literal["zeros", "repeat"]


class SpecError(ValueError):
    """A spec contradicts itself, or holds a value that no front end can honour."""


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise SpecError(message)


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _require_exactly(cls: type, values: Mapping[str, Any]) -> None:
    expected = {field.name for field in fields(cls)}
    unknown, missing = set(values) - expected, expected - set(values)
    _require(not unknown, f"unknown fields: {', '.join(sorted(unknown))}")
    _require(not missing, f"missing fields: {', '.join(sorted(missing))}")


@dataclass(frozen=True, slots=True, kw_only=True)
class MfccSpec:
    """Mel-frequency cepstral coefficients, with librosa's definitions.

    A frame is `n_fft` samples under a Hann window, centred (the window's ends are padded with
    zeros); its power spectrum goes through `n_mels` Slaney-normalised triangles between
    `mel_min_hz` and `mel_max_hz`, then to decibels, floored `top_db` below the window's maximum;
    the first `n_mfcc` terms of the orthonormal DCT-II of the bands are the coefficients.
    """

    kind: Literal["mfcc"] = "mfcc"
    n_mfcc: int = 40
    n_mels: int = 128
    n_fft: int = 2048
    hop_length: int = 512
    mel_min_hz: float = 0.0
    mel_max_hz: float = 11025.0
    top_db: float = 80.0

    def __post_init__(self) -> None:
        _require(self.kind == "mfcc", f"features of kind {self.kind!r} are not known; use 'mfcc'")
        for name in ("n_mfcc", "n_mels", "n_fft", "hop_length"):
            _require(_is_count(getattr(self, name)), f"{name} must be a positive whole number")
        _require(self.n_mfcc <= self.n_mels, "n_mfcc must not exceed n_mels")
        _require(self.hop_length <= self.n_fft, "hop_length must not exceed n_fft")
        _require(0 <= self.mel_min_hz < self.mel_max_hz, "mel_min_hz must lie in [0, mel_max_hz)")
        _require(0 < self.top_db < math.inf, "top_db must be positive and finite")

    def n_frames(self, n_samples: int) -> int:
        """Return how many frames a window of `n_samples` has."""
        padded_samples = n_samples + 2 * (self.n_fft // 2)
        return 1 + (padded_samples - self.n_fft) // self.hop_length


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
    features: MfccSpec = MfccSpec()

    def __post_init__(self) -> None:
        _require(_is_count(self.sample_rate_hz), "sample_rate_hz must be a positive whole number")
        _require(self.downmix == "mean", "downmix must be 'mean'")
        _require(self.resampler == "soxr_hq", "resampler must be 'soxr_hq'")
        _require(self.padding in get_args(Padding), f"padding must be one of {get_args(Padding)}")
        _require(math.isfinite(self.window_seconds), "window_seconds must be a finite number")
        _require(
            self.window_samples >= self.features.n_fft,
            "a window must hold at least one frame of n_fft samples",
        )
        _require(
            0 <= self.shortest_tail_seconds < self.window_seconds,
            "shortest_tail_seconds must lie in [0, window_seconds)",
        )
        _require(
            self.features.mel_max_hz <= self.sample_rate_hz / 2,
            "mel_max_hz must not exceed half the sample rate",
        )

    @property
    def window_samples(self) -> int:
        """Samples in a window, at the canonical rate."""
        return round(self.window_seconds * self.sample_rate_hz)

    @property
    def n_frames(self) -> int:
        """Feature frames in a window."""
        return self.features.n_frames(self.window_samples)

    @property
    def feature_shape(self) -> tuple[int, int, int]:
        """Shape of one window's features: `[n_mfcc, n_frames, 1]`."""
        return (self.features.n_mfcc, self.n_frames, 1)

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
        _require_exactly(cls, values)
        features = values["features"]
        _require(isinstance(features, Mapping), "features must be a table of values")
        _require_exactly(MfccSpec, features)
        try:
            return cls(**{**values, "features": MfccSpec(**features)})
        except TypeError as error:
            raise SpecError(f"a field has a value of the wrong type: {error}") from error
