"""Windows to features: one module a kind, chosen by the spec."""

from collections.abc import Mapping
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from app.audio.features import mfcc
from app.audio.spec import FrontEndSpec

Tables = Mapping[str, NDArray[np.float32]]


class FeatureExtractor(Protocol):
    """Computes the features of windows."""

    def __call__(self, windows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map `[n_windows, window_samples]` to `[n_windows, *spec.feature_shape]`, float32."""
        ...


def make_tables(spec: FrontEndSpec) -> Tables:
    """Compute, with librosa, the constant arrays that the spec's features need."""
    return mfcc.make_tables(spec.features, spec.sample_rate_hz)


def make_extractor(spec: FrontEndSpec, tables: Tables) -> FeatureExtractor:
    """Return the extractor of the spec's kind of features.

    Raises:
        ValueError: a table is missing, or is of another shape than the spec's.
    """
    return mfcc.MfccExtractor(spec.features, tables)
