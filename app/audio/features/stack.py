"""A stack: several kinds of features of the same window, end to end in one vector."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from app.audio.features.extractor import FeatureExtractor
from app.audio.features.tables import Tables


def with_place(tables: Tables, place: int) -> dict[str, NDArray[np.float32]]:
    """Return a part's tables under names that say at which place of the stack it is."""
    return {f"part{place}_{name}": values for name, values in tables.items()}


def of_place(tables: Tables, place: int) -> dict[str, NDArray[np.float32]]:
    """Return the tables of the part at a place, under their own names."""
    prefix = f"part{place}_"
    return {
        name.removeprefix(prefix): values
        for name, values in tables.items()
        if name.startswith(prefix)
    }


class StackExtractor:
    """Computes several kinds of features of windows, by their extractors."""

    def __init__(self, parts: Sequence[FeatureExtractor]) -> None:
        self._parts = parts

    def __call__(self, windows: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map float32 `[n_windows, window_samples]` to `[n_windows, total]`."""
        return np.concatenate(
            [part(windows).reshape(len(windows), -1) for part in self._parts], axis=1
        )
