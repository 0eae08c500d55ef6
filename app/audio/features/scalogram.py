"""Scalograms: the magnitudes of a continuous wavelet transform, from wavelets made by PyWavelets.

Source of the method: Morlet, Arens, Fourgeau and Giard, "Wave propagation and sampling theory",
Geophysics 47 (2), 1982; definitions, and so the numbers, as `pywt.cwt`.
"""

from typing import Final

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from app.audio.feature_specs import ScalogramSpec
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


class ScalogramExtractor:
    """Computes scalograms of windows.

    Args:
        spec: what to compute.
        tables: what `make_tables` returned for this spec.

    Raises:
        ValueError: a table is missing, or is of another shape than the spec's.
    """

    def __init__(self, spec: ScalogramSpec, tables: Tables) -> None:
        self._spec = spec
        ends = table(tables, "wavelet_ends", (spec.n_scales,)).astype(np.intp)
        taps = table(tables, "wavelets", (2, int(ends[-1])))
        self._wavelets = np.split(taps[0] + 1j * taps[1], ends[:-1])
        # Of the window's length: known when the first window comes.
        self._responses: NDArray[np.complex64] = np.empty((0, 0), dtype=np.complex64)

    def __call__(self, windows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map float32 `[n_windows, window_samples]` to `[n_windows, n_scales, n_frames, 1]`."""
        spec = self._spec
        n_samples = windows.shape[1]
        features = np.empty((len(windows), *spec.shape(n_samples)), dtype=np.float32)
        starts = np.arange(spec.n_frames) * n_samples // spec.n_frames
        lengths = np.diff(starts, append=n_samples)
        for window, of_window in zip(windows, features, strict=True):
            power = np.empty((spec.n_scales, spec.n_frames), dtype=np.float32)
            for of_scale, magnitudes in zip(power, self._magnitudes(window), strict=True):
                of_scale[:] = np.add.reduceat(magnitudes, starts) / lengths
            of_window[..., 0] = decibels(np.square(power), spec.top_db)
        return features

    def _magnitudes(self, window: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map `[window_samples]` to the transform's magnitudes, `[n_scales, window_samples]`."""
        n_samples = len(window)
        longest = max(map(len, self._wavelets))
        n_fft = scipy.fft.next_fast_len(n_samples + longest)
        if self._responses.shape[1] != n_fft:
            self._responses = np.stack([scipy.fft.fft(taps, n_fft) for taps in self._wavelets])
        spectrum = scipy.fft.fft(window, n_fft)
        magnitudes = np.empty((len(self._wavelets), n_samples), dtype=np.float32)
        for taps, response, of_scale in zip(
            self._wavelets, self._responses, magnitudes, strict=True
        ):
            # What pywt.cwt keeps: the middle, as long as the window.
            start = (len(taps) - 1) // 2
            transformed = scipy.fft.ifft(spectrum * response, overwrite_x=True)
            of_scale[:] = np.abs(transformed[start : start + n_samples])
        return magnitudes
