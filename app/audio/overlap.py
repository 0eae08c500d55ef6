"""Overlapping pieces of a signal, as a view: windows of a clip, frames of a window."""

import numpy as np
from numpy.typing import NDArray


def overlapping(
    samples: NDArray[np.float32], n_pieces: int, size: int, hop: int
) -> NDArray[np.float32]:
    """View contiguous `[n_samples]` as `[n_pieces, size]`, a piece every `hop` samples.

    What `sliding_window_view` does, without the Python in it. Not to be written to.
    """
    strides = (hop * samples.itemsize, samples.itemsize)
    return np.ndarray((n_pieces, size), np.float32, buffer=samples, strides=strides)
