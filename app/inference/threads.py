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
    """Return how many processors this process may keep busy: those it may run on, or its quota.

    A container's quota (of cgroups v1 or v2) is time, rounded up to whole processors here. Were
    there a process for each of the host's, all would be stopped whenever the quota is used up.
    """
    from loky import cpu_count  # a tenth of a second, once

    return int(cpu_count())


def one_thread_environment() -> dict[str, str]:
    """Return what has NumPy's and SciPy's matrix products use one thread, in a process's birth.

    A window's products are too small to share: on a busy machine, the threads that wait for each
    other cost several times what they compute. What runs in parallel are processes.
    """
    return dict.fromkeys(_VARIABLES, "1")


def compute_on_one_thread() -> None:
    """Have this process compute on one thread; call it before NumPy is imported."""
    os.environ.update(one_thread_environment())
