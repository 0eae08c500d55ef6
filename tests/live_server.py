"""A real Hark on a real port, for tests that speak to it as clients do."""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx

from tests.processes import worker_ids

READY_SECONDS = 90.0


class LiveServer:
    """`hark serve` in a process of its own.

    Args:
        environment: HARK_* variables.
        log: the file that its output goes to.
        python: the interpreter of the environment that it is installed in.
        standard_input: the file descriptor of what it reads, nothing by default.
    """

    def __init__(
        self,
        environment: dict[str, str],
        log: Path,
        python: str | Path = sys.executable,
        standard_input: int = subprocess.DEVNULL,
    ) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = log
        command = [python, "-m", "app.cli", "serve", "--port", str(self.port)]
        self.started_at = time.monotonic()
        with log.open("wb") as output:
            self.process = subprocess.Popen(
                command,
                env={**os.environ, **environment},
                stdin=standard_input,
                stdout=output,
                stderr=output,
            )

    def wait_until(self, path: str, seconds: float = READY_SECONDS) -> float:
        """Wait until a path answers 200, and return the seconds since the start."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            assert self.process.poll() is None, self.log.read_text()
            try:
                if httpx.get(self.url + path, timeout=5).status_code == 200:
                    return time.monotonic() - self.started_at
            except httpx.TransportError:
                pass  # the port is not open yet
            time.sleep(0.02)
        raise AssertionError(f"{path} did not answer 200 in {seconds} s: {self.log.read_text()}")

    def worker_process_ids(self) -> set[int]:
        """Return the compute processes that live."""
        return worker_ids(self.process.pid)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Ask the server to stop, and return its exit status."""
        self.process.send_signal(number)
        return self.process.wait(timeout=40)


@contextmanager
def live_server(
    log: Path, python: str | Path = sys.executable, **environment: str
) -> Iterator[LiveServer]:
    """Run a server that is ready, and end it with the context, come what may."""
    server = LiveServer(environment, log, python)
    try:
        server.wait_until("/readyz")
        yield server
    finally:
        if server.process.poll() is None:
            server.stop(signal.SIGINT)  # Ctrl-C: without the second in which others learn of it


def free_port() -> int:
    """Return a port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
