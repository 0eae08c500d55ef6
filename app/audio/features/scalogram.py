"""Scalograms: the magnitudes of a continuous wavelet transform, from wavelets made by PyWavelets.

Source of the method: Morlet, Arens, Fourgeau and Giard, "Wave propagation and sampling theory",
Geophysics 47 (2), 1982; definitions, and so the numbers, as `pywt.cwt`.
"""

from typing import Final

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from app.audio.feature_specs import ScalogramSpec
from app.audio.features.extractor import WindowByWindow
from app.audio.features.mel import decibels
from app.audio.features.tables import Tables, table

_PRECISION: Final = 12  # pywt.cwt's default: the wavelet's integral is known at 2**12 points


def frequencies_hz(spec: ScalogramSpec) -> NDArray[np.float64]:
    """Return the scales' centre frequencies `[n_scales]`, highest first."""
    return np.geomspace(spec.max_hz, spec.min_hz, spec.n_scales)


def make_tables(spec: ScalogramSpec, sample_rate_hz: int) -> dict[str, NDArray[np.float32]]:
    """Make each scale's wavelet as a filter, from the integral that PyWavelets gives of it.

    Returns:
        `wavelets` `[2, n_taps]`, real and imaginary parts of all filters, end to end; and
        `wavelet_ends` `[n_scales]`, the tap before which each of them ends. Both float32.
    """
    import pywt  # not needed where the tables come from an artifact

    wavelet = pywt.ContinuousWavelet(f"cmor{spec.bandwidth:g}-1.0")
    integral, places = pywt.integrate_wavelet(wavelet, precision=_PRECISION)
    filters = []
    for frequency in frequencies_hz(spec):
        scale = sample_rate_hz / frequency  # of a wavelet whose centre frequency is one cycle
        width, step = places[-1] - places[0], places[1] - places[0]
        taps = (np.arange(scale * width + 1) / (scale * step)).astype(np.intp)
        # As pywt.cwt does it, which convolves with the integral and then takes differences.
        sampled = np.conj(integral[taps[taps < len(integral)]])[::-1]
        filters.append(-np.sqrt(scale) * np.diff(sampled, prepend=0, append=0))
    wavelets = np.concatenate(filters)
    ends = np.cumsum([len(taps) for taps in filters])
    return {
        "wavelets": np.stack([wavelets.real, wavelets.imag]).astype(np.float32),
        "wavelet_ends": ends.astype(np.float32),
    }


class ScalogramExtractor(WindowByWindow):
    """Computes scalograms of windows.

    Args:
        spec: what to compute.
        tables: what `make_tables` returned for this spec.
        window_samples: how long a window is.

    Raises:
        ValueError: a table is missing, or is of another shape than the spec's.
    """

    def __init__(self, spec: ScalogramSpec, tables: Tables, window_samples: int) -> None:
        super().__init__(spec.shape(window_samples))
        self._spec = spec
        ends = table(tables, "wavelet_ends", (spec.n_scales,)).astype(np.intp)
        taps = table(tables, "wavelets", (2, int(ends[-1])))
        wavelets = np.split(taps[0] + 1j * taps[1], ends[:-1])
        self._n_fft = scipy.fft.next_fast_len(window_samples + max(map(len, wavelets)))
        self._responses = [scipy.fft.fft(wavelet, self._n_fft) for wavelet in wavelets]
        # What pywt.cwt keeps: the middle, as long as the window.
        begins = [(len(wavelet) - 1) // 2 for wavelet in wavelets]
        self._kept = [slice(begin, begin + window_samples) for begin in begins]
        self._frame_starts = np.arange(spec.n_frames) * window_samples // spec.n_frames
        self._frame_lengths = np.diff(self._frame_starts, append=window_samples)

    def _fill(self, features: NDArray[np.float32], window: NDArray[np.float32]) -> None:
        """Write `[n_scales, n_frames, 1]`."""
        spectrum = scipy.fft.fft(window, self._n_fft)
        means = np.empty(features.shape[:2], dtype=np.float32)
        for of_scale, response, kept in zip(means, self._responses, self._kept, strict=True):
            magnitudes = np.abs(scipy.fft.ifft(spectrum * response, overwrite_x=True)[kept])
            of_scale[:] = np.add.reduceat(magnitudes, self._frame_starts) / self._frame_lengths
        features[..., 0] = decibels(np.square(means), self._spec.top_db)
