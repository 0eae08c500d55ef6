"""FeatureExtractor: what every kind of features is computed by."""

from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class FeatureExtractor(Protocol):
    """Computes the features of windows."""

    def __call__(self, windows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map `[n_windows, window_samples]` to `[n_windows, *spec.feature_shape]`, float32."""
        ...
