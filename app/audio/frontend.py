"""FrontEnd: the one composition of decoding, waveform, windows and features."""

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from app.audio.cutting import WHOLE, Cutting
from app.audio.decode import open_audio
from app.audio.features import Tables, make_extractor, make_tables
from app.audio.limits import DecodeLimits
from app.audio.spec import FrontEndSpec
from app.audio.waveform import (
    Stopwatch,
    Windows,
    are_silent,
    canonical_waveform,
    counted_seconds,
    cut_windows,
)


@dataclass(frozen=True, slots=True)
class ClipFeatures:
    """What a model is taught of one clip: its windows, silent ones only where all are.

    Attributes:
        features: float32 `[n_windows, *spec.feature_shape]`.
        audio_seconds: float64 `[n_windows]`: how much of each window is the clip's own audio.
        duration_seconds: length of the whole clip.
        truncated: whether its file ended early.
    """

    features: NDArray[np.float32]
    audio_seconds: NDArray[np.float64]
    duration_seconds: float
    truncated: bool


class FrontEnd:
    """Turns a file's bytes into features; training and serving both come through here.

    Args:
        spec: what to compute.
        tables: the spec's constant arrays, as `make_tables` returns them.

    Attributes:
        extract: maps windows `[n, window_samples]` to features `[n, *spec.feature_shape]`.

    Raises:
        ValueError: the tables do not fit the spec.
    """

    def __init__(self, spec: FrontEndSpec, tables: Tables) -> None:
        self.spec = spec
        self.tables = tables
        self.extract = make_extractor(spec, tables)

    @classmethod
    def build(cls, spec: FrontEndSpec) -> "FrontEnd":
        """Make a front end with tables fresh from librosa, as training does."""
        return cls(spec, make_tables(spec))

    def windows(
        self,
        data: bytes | memoryview,
        limits: DecodeLimits | None = None,
        cutting: Cutting = WHOLE,
    ) -> Windows:
        """Decode a file's bytes and cut them into windows.

        Raises:
            AudioError: the bytes cannot be used.
            InvalidParameterError: the clip cannot be cut so.
        """
        with open_audio(data, limits) as reader:
            resampling = Stopwatch()
            waveform = canonical_waveform(reader, self.spec, cutting, resampling)
            windows = cut_windows(waveform, self.spec, cutting, truncated=reader.truncated)
            return replace(windows, source=reader.source, resample_seconds=resampling.seconds)

    def features(
        self, data: bytes | memoryview, limits: DecodeLimits | None = None
    ) -> ClipFeatures:
        """Compute the features of a file's bytes, of all windows that count at once.

        Raises:
            AudioError: the bytes cannot be used.
        """
        return self.features_of(self.windows(data, limits))

    def features_of(self, windows: Windows) -> ClipFeatures:
        """Compute the features of windows, of all that count at once."""
        seconds = counted_seconds(windows.audio_seconds, are_silent(windows.samples))
        counted = seconds > 0
        return ClipFeatures(
            features=self.extract(windows.samples[counted]),
            audio_seconds=seconds[counted],
            duration_seconds=windows.duration_seconds,
            truncated=windows.truncated,
        )
