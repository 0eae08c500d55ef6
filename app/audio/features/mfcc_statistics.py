"""Statistics of MFCCs over a window's frames: a vector that a plain dense network takes.

Source: the 140 numbers (seven statistics of 20 coefficients) of several UrbanSound8K networks;
skewness and kurtosis (Fisher's, 0 for a normal distribution) are SciPy's, biased as its defaults.
"""

import numpy as np
from numpy.typing import NDArray

from app.audio.feature_specs import MfccStatisticsSpec
from app.audio.features.extractor import WindowByWindow
from app.audio.features.mfcc import Coefficients
from app.audio.features.tables import Tables


class MfccStatisticsExtractor(WindowByWindow):
    """Computes statistics of windows' MFCCs.

    Args:
        spec: what to compute.
        tables: what `mel.make_tables` returned for this spec.
        window_samples: how long a window is.

    Raises:
        ValueError: a table is missing, or is of another shape than the spec's.
    """

    def __init__(self, spec: MfccStatisticsSpec, tables: Tables, window_samples: int) -> None:
        super().__init__(spec.shape(window_samples))
        self._coefficients = Coefficients(spec, tables)

    def _fill(self, features: NDArray[np.float32], window: NDArray[np.float32]) -> None:
        """Write `[7 * n_mfcc]`: each of `STATISTICS` in order, of all coefficients."""
        features[:] = statistics(self._coefficients(window)).ravel()


def statistics(coefficients: NDArray[np.float32]) -> NDArray[np.float64]:
    """Map `[n_mfcc, n_frames]` to `[7, n_mfcc]`, in the order of `STATISTICS`.

    Skewness and kurtosis of what does not change (silence) are 0: they have no denominator.
    """
    values = coefficients.astype(np.float64)  # third and fourth powers lose too much in float32
    mean = values.mean(axis=1)
    deviations = values - mean[:, np.newaxis]
    variance = np.mean(deviations**2, axis=1)
    # Where SciPy finds nothing but rounding error, its answer is NaN; here it is 0.
    varies = variance > (np.finfo(np.float32).eps * np.abs(mean)) ** 2
    denominator = np.where(varies, variance, 1.0)
    skewness = np.where(varies, np.mean(deviations**3, axis=1) / denominator**1.5, 0.0)
    kurtosis = np.where(varies, np.mean(deviations**4, axis=1) / denominator**2 - 3, 0.0)
    return np.stack(
        [
            values.min(axis=1),
            values.max(axis=1),
            np.median(values, axis=1),
            mean,
            variance,
            skewness,
            kurtosis,
        ]
    )
