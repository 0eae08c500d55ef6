"""Mel bands in decibels: the numbers of librosa's mel spectrogram, from tables made by librosa.

What MFCCs, their statistics and log-mel pictures have in common.
"""

from typing import Final

import numpy as np
import scipy.fft
import scipy.sparse
from numpy.typing import NDArray

from app.audio.feature_specs import FramedSpec, MelSpec
from app.audio.features.tables import Tables, table
from app.audio.overlap import overlapping

MIN_POWER: Final = np.float32(1e-10)  # librosa.power_to_db's `amin`


def make_window(spec: FramedSpec) -> NDArray[np.float32]:
    """Make the Hann window of a frame, float32 `[n_fft]`, with librosa's own function."""
    from librosa import filters  # slow, and not needed where the tables come from an artifact

    window: NDArray[np.float32] = filters.get_window("hann", spec.n_fft).astype(np.float32)
    return window


def make_tables(spec: MelSpec, sample_rate_hz: int) -> dict[str, NDArray[np.float32]]:
    """Make the constant arrays of the transform with librosa's own functions.

    Returns:
        `window` `[n_fft]` and `mel_filterbank` `[n_mels, 1 + n_fft // 2]`, both float32.
    """
    from librosa import filters

    return {
        "window": make_window(spec),
        "mel_filterbank": filters.mel(
            sr=sample_rate_hz,
            n_fft=spec.n_fft,
            n_mels=spec.n_mels,
            fmin=spec.mel_min_hz,
            fmax=spec.mel_max_hz,
        ).astype(np.float32),
    }


class MelDecibels:
    """Computes the mel bands of a window, in decibels.

    Args:
        spec: what to compute.
        tables: what `make_tables` returned for this spec.

    Raises:
        ValueError: a table is missing, or is of another shape than the spec's.
    """

    def __init__(self, spec: MelSpec, tables: Tables) -> None:
        n_bins = 1 + spec.n_fft // 2
        self._spec = spec
        self._window = table(tables, "window", (spec.n_fft,))
        # A band holds a few bins: of 40 x 513 numbers, 978 are not zero.
        self._mel_filterbank = scipy.sparse.csr_array(
            table(tables, "mel_filterbank", (spec.n_mels, n_bins))
        )

    def __call__(self, window: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map `[window_samples]` to `[n_mels, n_frames]`."""
        frames = overlapping_frames(window, self._spec) * self._window
        # Frames as columns, so that the bins of a band are rows and the sparse product runs along
        # them. Real and imaginary parts lie side by side: they are squared and summed over bands
        # as if they were frames of their own, and put together in the small result.
        spectrum = scipy.fft.rfft(frames.T, axis=0, overwrite_x=True)  # [n_bins, n_frames]
        squares = np.square(spectrum.view(np.float32))  # [n_bins, 2 * n_frames]
        sums = self._mel_filterbank @ squares  # [n_mels, 2 * n_frames]
        return decibels(sums[:, 0::2] + sums[:, 1::2], self._spec.top_db)


def decibels(power: NDArray[np.float32], top_db: float) -> NDArray[np.float32]:
    """Map powers to decibels, floored `top_db` below their maximum."""
    result = 10 * np.log10(np.maximum(power, MIN_POWER))
    np.maximum(result, result.max() - np.float32(top_db), out=result)
    return result


def overlapping_frames(window: NDArray[np.float32], spec: FramedSpec) -> NDArray[np.float32]:
    """View `[window_samples]` as `[n_frames, n_fft]`, frames around every `hop_length`-th sample.

    What lies beyond the ends is zero. What `np.pad` does, without the Python in it: with that of
    `sliding_window_view` it took 0.08 ms, beside a transform of 0.4.
    """
    half = spec.n_fft // 2
    padded = np.empty(len(window) + 2 * half, dtype=np.float32)
    padded[:half] = padded[len(padded) - half :] = 0
    padded[half : half + len(window)] = window
    return overlapping(padded, spec.n_frames(len(window)), spec.n_fft, spec.hop_length)
