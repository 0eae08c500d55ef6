"""MFCCs: the numbers of `librosa.feature.mfcc`, from tables made once by librosa.

Source of the method: Davis and Mermelstein, "Comparison of Parametric Representations for
Monosyllabic Word Recognition", IEEE TASSP 28 (4), 1980; definitions as in librosa.
"""

from collections.abc import Mapping
from typing import Final

import numpy as np
import scipy.fft
import scipy.sparse
from numpy.typing import NDArray

from app.audio.overlap import overlapping
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
        # A band holds a few bins: of 40 x 513 numbers, 978 are not zero.
        self._mel_filterbank = scipy.sparse.csr_array(
            _table(tables, "mel_filterbank", (spec.n_mels, n_bins))
        )

    def __call__(self, windows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map float32 `[n_windows, window_samples]` to `[n_windows, n_mfcc, n_frames, 1]`."""
        spec = self._spec
        shape = (len(windows), spec.n_mfcc, spec.n_frames(windows.shape[1]), 1)
        features = np.empty(shape, dtype=np.float32)
        for window, of_window in zip(windows, features, strict=True):
            of_window[..., 0] = self._of_window(window)
        return features

    def _of_window(self, window: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map `[window_samples]` to `[n_mfcc, n_frames]`."""
        spec = self._spec
        frames = _overlapping_frames(window, spec) * self._window
        # Frames as columns, so that the bins of a band are rows and the sparse product runs along
        # them. Real and imaginary parts lie side by side: they are squared and summed over bands
        # as if they were frames of their own, and put together in the small result.
        spectrum = scipy.fft.rfft(frames.T, axis=0, overwrite_x=True)  # [n_bins, n_frames]
        squares = np.square(spectrum.view(np.float32))  # [n_bins, 2 * n_frames]
        sums = self._mel_filterbank @ squares  # [n_mels, 2 * n_frames]
        mel_power = sums[:, 0::2] + sums[:, 1::2]
        decibels = 10 * np.log10(np.maximum(mel_power, MIN_POWER))
        np.maximum(decibels, decibels.max() - np.float32(spec.top_db), out=decibels)
        # Not a precomputed matrix: ten times the rounding error, for hundredths of a millisecond.
        coefficients: NDArray[np.float32] = scipy.fft.dct(decibels, axis=0, norm="ortho")
        return coefficients[: spec.n_mfcc]


def _overlapping_frames(window: NDArray[np.float32], spec: MfccSpec) -> NDArray[np.float32]:
    """View `[window_samples]` as `[n_frames, n_fft]`, frames around every `hop_length`-th sample.

    What lies beyond the ends is zero. What `np.pad` does, without the Python in it: with that of
    `sliding_window_view` it took 0.08 ms, beside a transform of 0.4.
    """
    half = spec.n_fft // 2
    padded = np.empty(len(window) + 2 * half, dtype=np.float32)
    padded[:half] = padded[len(padded) - half :] = 0
    padded[half : half + len(window)] = window
    return overlapping(padded, spec.n_frames(len(window)), spec.n_fft, spec.hop_length)


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
