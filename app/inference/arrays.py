"""Named arrays in an .npz file, read with every way in which such a file can be damaged in mind."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any
from zipfile import BadZipFile

if TYPE_CHECKING:
    from numpy.typing import NDArray


class DamagedArraysError(ValueError):
    """A file is no whole archive of named arrays."""


def load_arrays(path: Path) -> dict[str, NDArray[Any]]:
    """Read all arrays of an .npz file; runs no code that it may hold.

    Raises:
        DamagedArraysError: the file is missing, damaged, of another kind, or holds objects.
    """
    import numpy as np  # not above: the HTTP process reads manifests, and needs no numpy

    try:
        with path.open("rb") as file:
            # dict() fails on what is no archive of named arrays, but a single one.
            return dict(np.load(file, allow_pickle=False))
    except (OSError, ValueError, TypeError, EOFError, BadZipFile) as error:
        raise DamagedArraysError(str(error)) from error
