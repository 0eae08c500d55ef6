"""A contender's processes: found by a mark in their environment, whoever started them."""

import os
import signal
import subprocess
import time
import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from app.metrics.processes import processor_seconds

_MARK: Final = "BENCHMARK_RUN"


class ProcessTree:
    """A command and every process that came of it, daemons included.

    Args:
        command: what to run.
        environment: variables beyond this process's own.
        log: the file that all output goes to.
    """

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], log: Path) -> None:
        self._mark = f"{_MARK}={uuid.uuid4().hex}"
        self.log = log
        name, _, value = self._mark.partition("=")
        with log.open("wb") as output:
            self._process = subprocess.Popen(
                list(command),
                env={**os.environ, **environment, name: value},
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    @property
    def running(self) -> bool:
        """Whether the command itself runs."""
        return self._process.poll() is None

    def memory_bytes(self) -> int:
        """Return the proportional set size of all processes: shared pages are counted once."""
        return sum(map(_proportional_set_size, self._members()))

    def processor_seconds(self) -> tuple[float, float]:
        """Return what the command itself has used of processors, and what all others have."""
        used = {member: processor_seconds(member) for member in self._members()}
        own = used.pop(self._process.pid, 0.0)
        return own, sum(used.values())

    def stop(self) -> None:
        """Ask the command to end, and end what is left after ten seconds."""
        if self.running:
            self._process.send_signal(signal.SIGINT)
        deadline = time.monotonic() + 10
        while self._members() and time.monotonic() < deadline:
            self._process.poll()
            time.sleep(0.1)
        for process_id in self._members():
            os.kill(process_id, signal.SIGKILL)
        self._process.wait()

    def _members(self) -> list[int]:
        mark = self._mark.encode()
        return [
            int(path.name)
            for path in Path("/proc").glob("[0-9]*")
            if mark in _read(path / "environ").split(b"\0")
        ]


def _proportional_set_size(process_id: int) -> int:
    for line in _read(Path(f"/proc/{process_id}/smaps_rollup")).splitlines():
        if line.startswith(b"Pss:"):
            return int(line.split()[1]) * 1024
    return 0


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # it has ended
        return b""
