"""Ray's nodes on this machine: real processes, that can be killed as machines are lost."""

import os
import secrets
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.live_server import free_port
from tests.two_versions import eventually

ROOT = Path(__file__).parents[1]
# The command `ray`, of this very environment.
RAY = (sys.executable, "-m", "ray.scripts.scripts")
# No usage statistics, and a node that answers no more is given up within seconds.
QUIET = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_health_check_initial_delay_ms": "500",
    "RAY_health_check_period_ms": "500",
    "RAY_health_check_timeout_ms": "500",
    "RAY_health_check_failure_threshold": "3",
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN": secrets.token_hex(32),
    "PYTHONPATH": str(ROOT),
}


def wait_until(true: Callable[[], bool], seconds: float = 120) -> None:
    assert eventually(true, seconds)


class Nodes:
    """Ray's nodes on this machine: real processes, each node a session of its own."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = free_port()
        self.address = f"127.0.0.1:{self._port}"
        self.processes: list[subprocess.Popen[bytes]] = []

    def start(self, *options: str) -> subprocess.Popen[bytes]:
        command = [
            *(*RAY, "start", "--block", "--disable-usage-stats", "--num-cpus=1"),
            *("--object-store-memory=100000000", "--node-ip-address=127.0.0.1", *options),
        ]
        process = subprocess.Popen(
            command, env={**os.environ, **QUIET}, cwd=self._folder, start_new_session=True,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        self.processes.append(process)
        return process

    def start_head(self) -> None:
        self.start(
            *("--head", f"--port={self._port}"),
            *("--include-dashboard=false", f"--temp-dir={self._folder}"),
        )
        wait_until(lambda: listens(self._port))

    def start_worker(self) -> subprocess.Popen[bytes]:
        return self.start(f"--address={self.address}")


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def kill(process: subprocess.Popen[bytes]) -> None:
    """End a node as a power cut does: all its processes at once, with no time for a word."""
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def works_at(process: subprocess.Popen[bytes], what: str) -> bool:
    """Whether a node does a piece of work: Ray names a worker's process after it."""
    listed = subprocess.run(
        ["ps", "-o", "args=", "-s", str(process.pid)], capture_output=True, text=True, check=False
    )
    return what in listed.stdout


@contextmanager
def ray_nodes() -> Iterator[Nodes]:
    """Have nodes started as they are needed, and end them with the context, come what may."""
    # Ray's sockets lie below, and a socket's path has at most 107 characters.
    with tempfile.TemporaryDirectory(
        prefix="ray-", dir="/tmp", ignore_cleanup_errors=True
    ) as folder:
        started = Nodes(Path(folder))
        try:
            yield started
        finally:
            for process in started.processes:
                if process.poll() is None:
                    kill(process)
