"""Processor time and memory of the HTTP process and of its compute processes."""

import os
import resource
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final

from prometheus_client.core import Metric
from prometheus_client.registry import Collector

from app.metrics import definitions
from app.metrics.registered import counter_family, gauge_family

HTTP: Final = "http"
COMPUTE: Final = "compute"

_TICKS_PER_SECOND: Final = os.sysconf("SC_CLK_TCK")
_PAGE_BYTES: Final = resource.getpagesize()


class ProcessesCollector(Collector):
    """Reads the system's statistics when somebody asks.

    Args:
        compute_processes: the numbers of those that live.
    """

    def __init__(self, compute_processes: Callable[[], Iterable[int]]) -> None:
        self._compute_processes = compute_processes
        self._compute_seconds = 0.0

    def collect(self) -> Iterator[Metric]:
        # Those that have ended first: one that ends meanwhile is missed for once, and not doubled.
        ended = resource.getrusage(resource.RUSAGE_CHILDREN)
        numbers = list(self._compute_processes())
        seconds = ended.ru_utime + ended.ru_stime + sum(map(processor_seconds, numbers))
        self._compute_seconds = max(self._compute_seconds, seconds)  # a counter never falls
        cpu = counter_family(definitions.CPU_SECONDS)
        cpu.add_metric([HTTP], time.process_time())
        cpu.add_metric([COMPUTE], self._compute_seconds)
        yield cpu
        memory = gauge_family(definitions.RESIDENT_MEMORY)
        memory.add_metric([HTTP], resident_bytes(os.getpid()))
        memory.add_metric([COMPUTE], sum(map(resident_bytes, numbers)))
        yield memory


def processor_seconds(process: int) -> float:
    """Return the processor time that a process has taken; 0 where there is none, or no /proc."""
    # Behind the name in brackets; the 14th and 15th field of all, in ticks (proc(5)).
    fields = _read(process, "stat").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS_PER_SECOND if len(fields) > 12 else 0.0


def resident_bytes(process: int) -> int:
    """Return the memory that a process uses; 0 where there is none, or no /proc."""
    fields = _read(process, "statm").split()
    return int(fields[1]) * _PAGE_BYTES if len(fields) > 1 else 0


def _read(process: int, name: str) -> str:
    try:
        return Path(f"/proc/{process}/{name}").read_text()
    except OSError:
        return ""
