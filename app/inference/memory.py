"""How much memory this process may take, and what it does with memory that is given back to it."""

import ctypes
import resource
from pathlib import Path
from typing import Final

# mallopt(3)
_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3

_LARGEST_KEPT_ARRAY: Final = 32 * 1024 * 1024  # also the most that glibc accepts
_LARGEST_KEPT_TOTAL: Final = 16 * 1024 * 1024


def keep_freed_memory() -> None:
    """Have glibc keep what is freed for what comes next: arrays of up to 32 MiB, 16 MiB in all.

    By default it maps each array beyond 128 KiB anew, and unmaps it when it is freed: touching new
    pages cost as much as the front end's arithmetic. Does nothing where the C library is another.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _LARGEST_KEPT_ARRAY)
        mallopt(_M_TRIM_THRESHOLD, _LARGEST_KEPT_TOTAL)


def limit_address_space(extra_bytes: int) -> None:
    """Have this process get no more address space than it has now, and `extra_bytes`.

    Beyond that an allocation fails, in this process and at once, where otherwise the system would
    look for a process to kill. Does nothing where the system does not tell what the process has.
    """
    statistics = Path("/proc/self/statm")
    if statistics.exists():
        n_pages = int(statistics.read_text().split()[0])
        limit = n_pages * resource.getpagesize() + extra_bytes
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
