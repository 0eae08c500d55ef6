"""MFCCs: the numbers of `librosa.feature.mfcc`, from tables made once by librosa.

Source of the method: Davis and Mermelstein, "Comparison of Parametric Representations for
Monosyllabic Word Recognition", IEEE TASSP 28 (4), 1980; definitions as in librosa.
"""

from collections.abc import Mapping
from typing import Final

import numpy as np
import scipy.fft
from numpy.lib.stride_tricks import sliding_window_view
from numpy.typing import NDArray

from app.audio.spec import MfccSpec

MIN_POWER: Final = np.float32(1e-10)  # librosa.power_to_db's `amin`


def make_tables(spec: MfccSpec, sample_rate_hz: int) -> dict[str, NDArray[np.float32]]:
    """Make the constant arrays of the transform with librosa's own functions.

    Returns:
        `window` `[n_fft]` and `mel_filterbank` `[n_mels, 1 + n_fft // 2]`, both float32.
    """
    from librosa import filters  # slow, and not needed where the tables come from an artifact

    return {
        "window": filters.get_window("hann", spec.n_fft).astype(np.float32),
        "mel_filterbank": filters.mel(
            sr=sample_rate_hz,
            n_fft=spec.n_fft,
            n_mels=spec.n_mels,
            fmin=spec.mel_min_hz,
            fmax=spec.mel_max_hz,
        ).astype(np.float32),
    }


class MfccExtractor:
    """Computes MFCCs of windows.

    Args:
        spec: what to compute.
        tables: what `make_tables` returned for this spec.

    Raises:
        ValueError: a table is missing, or is of another shape than the spec's.
    """

    def __init__(self, spec: MfccSpec, tables: Mapping[str, NDArray[np.float32]]) -> None:
        n_bins = 1 + spec.n_fft // 2
        self._spec = spec
        self._window = _table(tables, "window", (spec.n_fft,))
        self._mel_filterbank = _table(tables, "mel_filterbank", (spec.n_mels, n_bins))

    def __call__(self, windows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map float32 `[n_windows, window_samples]` to `[n_windows, n_mfcc, n_frames, 1]`."""
        return np.stack([self._of_window(window) for window in windows])[..., np.newaxis]

    def _of_window(self, window: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map `[window_samples]` to `[n_mfcc, n_frames]`."""
        spec = self._spec
        padded = np.pad(window, spec.n_fft // 2)
        frames = sliding_window_view(padded, spec.n_fft)[:: spec.hop_length] * self._window
        spectrum = scipy.fft.rfft(frames, axis=1, overwrite_x=True)  # [n_frames, n_bins] complex64
        power = spectrum.real**2 + spectrum.imag**2
        mel_power = self._mel_filterbank @ power.T  # [n_mels, n_frames]
        decibels = 10 * np.log10(np.maximum(mel_power, MIN_POWER))
        np.maximum(decibels, decibels.max() - np.float32(spec.top_db), out=decibels)
        # Not a precomputed matrix: ten times the rounding error, for hundredths of a millisecond.
        coefficients: NDArray[np.float32] = scipy.fft.dct(decibels, axis=0, norm="ortho")
        return coefficients[: spec.n_mfcc]


def _table(
    tables: Mapping[str, NDArray[np.float32]], name: str, shape: tuple[int, ...]
) -> NDArray[np.float32]:
    if name not in tables:
        raise ValueError(f"the front end's table {name!r} is missing")
    table = tables[name]
    if table.shape != shape:
        raise ValueError(f"the front end's table {name!r} is {table.shape}, not {shape}")
    if not np.issubdtype(table.dtype, np.floating):
        raise ValueError(f"the front end's table {name!r} holds {table.dtype}, not numbers")
    return np.ascontiguousarray(table, dtype=np.float32)
