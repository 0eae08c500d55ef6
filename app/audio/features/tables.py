"""Tables: the constant arrays of a front end, by name, as an artifact keeps them."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

Tables = Mapping[str, NDArray[np.float32]]


def table(tables: Tables, name: str, shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Return a table as contiguous float32.

    Raises:
        ValueError: it is missing, of another shape, or holds something else than numbers.
    """
    if name not in tables:
        raise ValueError(f"the front end's table {name!r} is missing")
    found = tables[name]
    if found.shape != shape:
        raise ValueError(f"the front end's table {name!r} is {found.shape}, not {shape}")
    if not np.issubdtype(found.dtype, np.floating):
        raise ValueError(f"the front end's table {name!r} holds {found.dtype}, not numbers")
    return np.ascontiguousarray(found, dtype=np.float32)
