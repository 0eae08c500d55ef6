"""Feature specs: every number that decides one kind of features, frozen; a class a kind.

A kind is chosen by name in a recipe or manifest. Light: no array is touched here, so that whoever
reads a manifest needs no numpy.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Final, Literal, get_args

COLOUR_CHANNELS: Final = 3
STATISTICS: Final = ("minimum", "maximum", "median", "mean", "variance", "skewness", "kurtosis")

ColourMap = Literal["gray", "viridis", "magma", "inferno", "plasma"]


class SpecError(ValueError):
    """A spec contradicts itself, or holds a value that no front end can honour."""


def require(condition: bool, message: str) -> None:
    """Raise a SpecError with `message` unless the condition holds."""
    if not condition:
        raise SpecError(message)


def is_count(value: object) -> bool:
    """Whether a value is a positive whole number."""
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def require_exactly(cls: type, values: Mapping[str, Any]) -> None:
    """Refuse values that are not one for each field of a class."""
    expected = {field.name for field in fields(cls)}
    unknown, missing = set(values) - expected, expected - set(values)
    require(not unknown, f"unknown fields: {', '.join(sorted(unknown))}")
    require(not missing, f"missing fields: {', '.join(sorted(missing))}")


@dataclass(frozen=True, slots=True, kw_only=True)
class FramedSpec:
    """What all kinds share that see a window as frames, with librosa's definitions.

    A frame is `n_fft` samples under a Hann window, centred (the window's ends are padded with
    zeros); powers become decibels, floored `top_db` below the window's maximum.
    """

    kind: str
    n_fft: int = 2048
    hop_length: int = 512
    top_db: float = 80.0

    def __post_init__(self) -> None:
        self._require_counts("n_fft", "hop_length")
        require(self.hop_length <= self.n_fft, "hop_length must not exceed n_fft")
        require(0 < self.top_db < math.inf, "top_db must be positive and finite")

    def _require_counts(self, *names: str) -> None:
        for name in names:
            require(is_count(getattr(self, name)), f"{name} must be a positive whole number")

    def n_frames(self, n_samples: int) -> int:
        """Return how many frames a window of `n_samples` has."""
        padded_samples = n_samples + 2 * (self.n_fft // 2)
        return 1 + (padded_samples - self.n_fft) // self.hop_length

    def check_window(self, _sample_rate_hz: int, window_samples: int) -> None:
        """Refuse windows of which these features cannot be taken.

        Raises:
            SpecError: the window is too short, or its sample rate too low.
        """
        require(
            window_samples >= self.n_fft, "a window must hold at least one frame of n_fft samples"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class MelSpec(FramedSpec):
    """Frames whose power spectrum goes through a mel filterbank.

    `n_mels` Slaney-normalised triangles between `mel_min_hz` and `mel_max_hz`.
    """

    n_mels: int = 128
    mel_min_hz: float = 0.0
    mel_max_hz: float = 11025.0

    def __post_init__(self) -> None:
        FramedSpec.__post_init__(self)
        self._require_counts("n_mels")
        require(0 <= self.mel_min_hz < self.mel_max_hz, "mel_min_hz must lie in [0, mel_max_hz)")

    def check_window(self, sample_rate_hz: int, window_samples: int) -> None:
        """Refuse windows of which these features cannot be taken.

        Raises:
            SpecError: the window is too short, or its sample rate too low.
        """
        FramedSpec.check_window(self, sample_rate_hz, window_samples)
        require(
            self.mel_max_hz <= sample_rate_hz / 2, "mel_max_hz must not exceed half the sample rate"
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class CepstralSpec(MelSpec):
    """Mel-frequency cepstral coefficients, with librosa's definitions.

    The first `n_mfcc` terms of the orthonormal DCT-II of the mel bands in decibels.
    """

    n_mfcc: int

    def __post_init__(self) -> None:
        MelSpec.__post_init__(self)
        self._require_counts("n_mfcc")
        require(self.n_mfcc <= self.n_mels, "n_mfcc must not exceed n_mels")


@dataclass(frozen=True, slots=True, kw_only=True)
class MfccSpec(CepstralSpec):
    """The coefficients of each frame of a window, as a picture of one channel."""

    kind: Literal["mfcc"] = "mfcc"
    n_mfcc: int = 40

    def shape(self, n_samples: int) -> tuple[int, ...]:
        """Return `[n_mfcc, n_frames, 1]`, the shape of a window of `n_samples`."""
        return (self.n_mfcc, self.n_frames(n_samples), 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class MfccStatisticsSpec(CepstralSpec):
    """How each MFCC is spread over a window's frames: `STATISTICS`, one vector for the window."""

    kind: Literal["mfcc_statistics"] = "mfcc_statistics"
    n_mfcc: int = 20

    def shape(self, _n_samples: int) -> tuple[int, ...]:
        """Return `[7 * n_mfcc]`, the shape of any window."""
        return (len(STATISTICS) * self.n_mfcc,)


@dataclass(frozen=True, slots=True, kw_only=True)
class LogMelSpec(MelSpec):
    """Mel bands in decibels, with `deltas` orders of their change over `delta_frames` frames.

    Bands, first and second deltas are channels, as colours are a picture's.
    """

    kind: Literal["log_mel"] = "log_mel"
    deltas: int = 0
    delta_frames: int = 9

    def __post_init__(self) -> None:
        MelSpec.__post_init__(self)
        require(self.deltas in (0, 1, 2), "deltas must be 0, 1 or 2")
        require(
            is_count(self.delta_frames) and self.delta_frames >= 3 and self.delta_frames % 2 == 1,
            "delta_frames must be an odd whole number from 3",
        )

    def shape(self, n_samples: int) -> tuple[int, ...]:
        """Return `[n_mels, n_frames, 1 + deltas]`, the shape of a window of `n_samples`."""
        return (self.n_mels, self.n_frames(n_samples), 1 + self.deltas)

    def check_window(self, sample_rate_hz: int, window_samples: int) -> None:
        """Refuse windows of which these features cannot be taken.

        Raises:
            SpecError: the window is too short, or its sample rate too low.
        """
        MelSpec.check_window(self, sample_rate_hz, window_samples)
        require(
            self.deltas == 0 or self.n_frames(window_samples) >= self.delta_frames,
            "deltas need a window of delta_frames frames",
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class SpectrogramSpec(FramedSpec):
    """A picture of the spectrogram: `height` by `width`, in the colours of a colour map.

    The power spectrogram in decibels, from 0 at `top_db` below the window's maximum to 1 at the
    maximum, resized with a triangle filter, low frequencies first, and coloured. Every window's
    own maximum is 1: how loud it was is not in the picture.
    """

    kind: Literal["spectrogram"] = "spectrogram"
    height: int = 256
    width: int = 256
    colour_map: ColourMap = "viridis"

    def __post_init__(self) -> None:
        FramedSpec.__post_init__(self)
        self._require_counts("height", "width")
        require(
            self.colour_map in get_args(ColourMap),
            f"colour_map must be one of {get_args(ColourMap)}",
        )

    def shape(self, _n_samples: int) -> tuple[int, ...]:
        """Return `[height, width, 3]`, the shape of any window."""
        return (self.height, self.width, COLOUR_CHANNELS)


@dataclass(frozen=True, slots=True, kw_only=True)
class ScalogramSpec:
    """Magnitudes of a continuous wavelet transform, averaged over `n_frames` stretches.

    Complex Morlet wavelets of `bandwidth` and a centre frequency of one cycle (PyWavelets'
    `cmor<bandwidth>-1.0`), at `n_scales` frequencies, geometrically spaced from `max_hz` down to
    `min_hz`; in decibels, floored `top_db` below the window's maximum.
    """

    kind: Literal["scalogram"] = "scalogram"
    n_scales: int = 64
    n_frames: int = 128
    min_hz: float = 50.0
    max_hz: float = 8000.0
    bandwidth: float = 1.5
    top_db: float = 80.0

    def __post_init__(self) -> None:
        for name in ("n_scales", "n_frames"):
            require(is_count(getattr(self, name)), f"{name} must be a positive whole number")
        require(self.n_scales >= 2, "n_scales must be at least 2")
        require(0 < self.min_hz < self.max_hz < math.inf, "min_hz must lie in (0, max_hz)")
        require(0 < self.bandwidth < math.inf, "bandwidth must be positive and finite")
        require(0 < self.top_db < math.inf, "top_db must be positive and finite")

    def shape(self, _n_samples: int) -> tuple[int, ...]:
        """Return `[n_scales, n_frames, 1]`, the shape of any window."""
        return (self.n_scales, self.n_frames, 1)

    def check_window(self, sample_rate_hz: int, window_samples: int) -> None:
        """Refuse windows of which these features cannot be taken.

        Raises:
            SpecError: the window is too short, or its sample rate too low.
        """
        require(self.max_hz <= sample_rate_hz / 2, "max_hz must not exceed half the sample rate")
        require(window_samples >= self.n_frames, "a window must hold a sample for each frame")


@dataclass(frozen=True, slots=True, kw_only=True)
class StackSpec:
    """Several kinds at once, for models with several inputs.

    A window's features lie end to end in one vector, part after part, each in C order: whatever
    carries features carries an array, and the model takes the vector apart.
    """

    kind: Literal["stack"] = "stack"
    parts: "tuple[PartSpec, ...]"

    def __post_init__(self) -> None:
        require(len(self.parts) >= 2, "a stack needs two parts or more")

    def shapes(self, n_samples: int) -> list[tuple[int, ...]]:
        """Return the shape of each part of a window of `n_samples`."""
        return [part.shape(n_samples) for part in self.parts]

    def shape(self, n_samples: int) -> tuple[int, ...]:
        """Return `[total]`: as many numbers as all parts have."""
        return (sum(math.prod(shape) for shape in self.shapes(n_samples)),)

    def check_window(self, sample_rate_hz: int, window_samples: int) -> None:
        """Refuse windows of which a part cannot be taken.

        Raises:
            SpecError: the window is too short, or its sample rate too low.
        """
        for part in self.parts:
            part.check_window(sample_rate_hz, window_samples)


PartSpec = MfccSpec | MfccStatisticsSpec | LogMelSpec | SpectrogramSpec | ScalogramSpec
FeatureSpec = PartSpec | StackSpec

KINDS: Final[dict[str, type[FeatureSpec]]] = {
    "mfcc": MfccSpec,
    "mfcc_statistics": MfccStatisticsSpec,
    "log_mel": LogMelSpec,
    "spectrogram": SpectrogramSpec,
    "scalogram": ScalogramSpec,
    "stack": StackSpec,
}


def feature_spec(values: object, *, complete: bool = True) -> FeatureSpec:
    """Read features from plain values.

    Args:
        values: a mapping, with the kind's name as `kind`.
        complete: whether every field must be there, as in a manifest, or what is left out takes its
            default, as in a recipe.

    Raises:
        SpecError: a field is unknown, missing, or out of range.
    """
    if not isinstance(values, Mapping):
        raise SpecError("features must be a table of values")
    if "kind" not in values:
        raise SpecError("missing fields: kind")
    kind = values["kind"]
    cls = KINDS.get(kind) if isinstance(kind, str) else None
    if cls is None:
        raise SpecError(f"features of kind {kind!r} are not known; there is: {', '.join(KINDS)}")
    if complete:
        require_exactly(cls, values)
    given = dict(values)
    if cls is StackSpec:
        given["parts"] = _parts(given.get("parts"), complete)
    try:
        return cls(**given)
    except TypeError as error:
        raise SpecError(f"a field has a value of the wrong type: {error}") from error


def _parts(values: object, complete: bool) -> tuple[FeatureSpec, ...]:
    if not isinstance(values, (list, tuple)):
        raise SpecError("parts must be a list of features")
    parts = tuple(feature_spec(part, complete=complete) for part in values)
    require(not any(isinstance(part, StackSpec) for part in parts), "a stack cannot hold a stack")
    return parts
