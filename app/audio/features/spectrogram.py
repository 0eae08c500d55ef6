"""Spectrograms as pictures: what networks that were made for photographs take.

Source: the genre classifiers that save each clip's spectrogram as a picture of 256 x 256 pixels
and leave the rest to a network for pictures.
"""

from typing import Final

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from app.audio.feature_specs import COLOUR_CHANNELS, SpectrogramSpec
from app.audio.features.extractor import WindowByWindow
from app.audio.features.mel import decibels, make_window, overlapping_frames
from app.audio.features.tables import Tables, table

N_COLOURS: Final = 256


def make_tables(spec: SpectrogramSpec) -> dict[str, NDArray[np.float32]]:
    """Make the constant arrays of the picture, with librosa's and matplotlib's own functions.

    Returns:
        `window` `[n_fft]` and `colours` `[256, 3]`, from the lowest to the highest power, both
        float32.
    """
    from matplotlib import colormaps  # not needed where the tables come from an artifact

    colours = colormaps[spec.colour_map](np.arange(N_COLOURS))[:, :COLOUR_CHANNELS]
    return {"window": make_window(spec), "colours": colours.astype(np.float32)}


class SpectrogramExtractor(WindowByWindow):
    """Draws the spectrograms of windows.

    Args:
        spec: what to draw.
        tables: what `make_tables` returned for this spec.
        window_samples: how long a window is.

    Raises:
        ValueError: a table is missing, or is of another shape than the spec's.
    """

    def __init__(self, spec: SpectrogramSpec, tables: Tables, window_samples: int) -> None:
        super().__init__(spec.shape(window_samples))
        self._spec = spec
        self._window = table(tables, "window", (spec.n_fft,))
        self._colours = table(tables, "colours", (N_COLOURS, COLOUR_CHANNELS))
        self._rows = resizing(1 + spec.n_fft // 2, spec.height)
        self._columns = resizing(spec.n_frames(window_samples), spec.width)

    def _fill(self, features: NDArray[np.float32], window: NDArray[np.float32]) -> None:
        """Write `[height, width, 3]`, between 0 and 1."""
        shades = self._rows @ self._shades(window) @ self._columns.T
        features[:] = self._colours[np.round(shades * (N_COLOURS - 1)).astype(np.intp)]

    def _shades(self, window: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map `[window_samples]` to `[n_bins, n_frames]`, between 0 and 1."""
        spec = self._spec
        spectrum = scipy.fft.rfft(overlapping_frames(window, spec) * self._window, axis=1)
        power = np.square(spectrum.real) + np.square(spectrum.imag)
        levels = decibels(power.T, spec.top_db)
        shades: NDArray[np.float32] = 1 + (levels - levels.max()) / np.float32(spec.top_db)
        return np.maximum(shades, 0, out=shades)


def resizing(n_from: int, n_to: int) -> NDArray[np.float32]:
    """Return the matrix `[n_to, n_from]` that resizes a row of a picture with a triangle filter.

    As TensorFlow's and Pillow's bilinear resizing with antialiasing: where the row shrinks, the
    triangle is as wide as two new pixels, so that nothing between them is lost.
    """
    scale = n_from / n_to
    centres = (np.arange(n_to) + 0.5) * scale - 0.5
    distances = np.abs(np.arange(n_from) - centres[:, np.newaxis]) / max(scale, 1.0)
    weights = np.maximum(0.0, 1.0 - distances)
    resized: NDArray[np.float32] = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
    return resized
