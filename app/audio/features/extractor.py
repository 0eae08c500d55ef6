"""FeatureExtractor: what every kind of features is computed by."""

from abc import ABC, abstractmethod
from typing import Protocol

import numpy as np
from numpy.typing import NDArray


class FeatureExtractor(Protocol):
    """Computes the features of windows."""

    def __call__(self, windows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map `[n_windows, window_samples]` to `[n_windows, *spec.feature_shape]`, float32."""
        ...


class WindowByWindow(ABC):
    """A FeatureExtractor that computes each window's features apart from the others'.

    Args:
        shape: that of one window's features.
    """

    def __init__(self, shape: tuple[int, ...]) -> None:
        self._shape = shape

    def __call__(self, windows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map `[n_windows, window_samples]` to `[n_windows, *shape]`, float32."""
        features = np.empty((len(windows), *self._shape), dtype=np.float32)
        for window, of_window in zip(windows, features, strict=True):
            self._fill(of_window, window)
        return features

    @abstractmethod
    def _fill(self, features: NDArray[np.float32], window: NDArray[np.float32]) -> None:
        """Write the features of `[window_samples]` into `features`, of `shape`."""
