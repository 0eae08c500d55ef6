"""How many processors there are, and how many threads the libraries below us use."""

import os
from typing import Final

_VARIABLES: Final = (
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "NUMBA_NUM_THREADS",
)


def available_processors() -> int:
    """Return how many processors this process may run on."""
    return len(os.sched_getaffinity(0))


def compute_on_one_thread() -> None:
    """Have NumPy's and SciPy's matrix products use one thread; call it before they are imported.

    A window's products are too small to share: on a busy machine, the threads that wait for each
    other cost several times what they compute. What runs in parallel are processes.
    """
    for name in _VARIABLES:
        os.environ[name] = "1"
