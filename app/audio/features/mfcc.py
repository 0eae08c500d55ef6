"""MFCCs: the numbers of `librosa.feature.mfcc`, from tables made once by librosa.

Source of the method: Davis and Mermelstein, "Comparison of Parametric Representations for
Monosyllabic Word Recognition", IEEE TASSP 28 (4), 1980; definitions as in librosa.
"""

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from app.audio.feature_specs import CepstralSpec, MfccSpec
from app.audio.features.extractor import WindowByWindow
from app.audio.features.mel import MelDecibels
from app.audio.features.tables import Tables


class MfccExtractor(WindowByWindow):
    """Computes MFCCs of windows.

    Args:
        spec: what to compute.
        tables: what `mel.make_tables` returned for this spec.
        window_samples: how long a window is.

    Raises:
        ValueError: a table is missing, or is of another shape than the spec's.
    """

    def __init__(self, spec: MfccSpec, tables: Tables, window_samples: int) -> None:
        super().__init__(spec.shape(window_samples))
        self._coefficients = Coefficients(spec, tables)

    def _fill(self, features: NDArray[np.float32], window: NDArray[np.float32]) -> None:
        """Write `[n_mfcc, n_frames, 1]`."""
        features[..., 0] = self._coefficients(window)


class Coefficients:
    """Computes the MFCCs of one window; arguments and errors as `MfccExtractor`'s."""

    def __init__(self, spec: CepstralSpec, tables: Tables) -> None:
        self._n_mfcc = spec.n_mfcc
        self._mel_decibels = MelDecibels(spec, tables)

    def __call__(self, window: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map `[window_samples]` to `[n_mfcc, n_frames]`."""
        # Not a precomputed matrix: ten times the rounding error, for hundredths of a millisecond.
        coefficients: NDArray[np.float32] = scipy.fft.dct(
            self._mel_decibels(window), axis=0, norm="ortho"
        )
        return coefficients[: self._n_mfcc]
