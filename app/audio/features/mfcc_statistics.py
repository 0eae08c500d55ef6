"""Statistics of MFCCs over a window's frames: a vector that a plain dense network takes.

Source: the 140 numbers (seven statistics of 20 coefficients) of several UrbanSound8K networks;
skewness and kurtosis (Fisher's, 0 for a normal distribution) are SciPy's, biased as its defaults.
"""

import numpy as np
from numpy.typing import NDArray

from app.audio.feature_specs import MfccStatisticsSpec
from app.audio.features.mfcc import Coefficients
from app.audio.features.tables import Tables


class MfccStatisticsExtractor:
    """Computes statistics of windows' MFCCs.

    Args:
        spec: what to compute.
        tables: what `mel.make_tables` returned for this spec.

    Raises:
        ValueError: a table is missing, or is of another shape than the spec's.
    """

    def __init__(self, spec: MfccStatisticsSpec, tables: Tables) -> None:
        self._spec = spec
        self._coefficients = Coefficients(spec, tables)

    def __call__(self, windows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map float32 `[n_windows, window_samples]` to `[n_windows, 7 * n_mfcc]`.

        Statistic after statistic, in the order of `STATISTICS`, each of all coefficients.
        """
        features = np.empty((len(windows), *self._spec.shape(windows.shape[1])), dtype=np.float32)
        for window, of_window in zip(windows, features, strict=True):
            of_window[:] = statistics(self._coefficients(window)).ravel()
        return features


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
