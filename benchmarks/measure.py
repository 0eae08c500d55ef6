"""Measuring one contender: started, asked once, warmed up, loaded, weighed, stopped."""

import socket
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import httpx

from benchmarks.clips import clip, multipart
from benchmarks.contenders import Contender
from benchmarks.load import Load, run_load
from benchmarks.processes import ProcessTree

START_SECONDS: Final = 180.0
WARM_UP_SECONDS: Final = 3.0
CONTAINERS: Final = ("wav", "mp3")


class ContenderError(Exception):
    """A contender did not start, or answers something else than the others."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is done to each contender.

    Attributes:
        seconds: how long each figure is measured.
        connections: numbers of connections to load it with.
        lengths: seconds of audio, for how Hark's time and memory grow with them.
    """

    seconds: float
    connections: tuple[int, ...]
    lengths: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Measurement:
    """What one contender did.

    Attributes:
        start_seconds: from its start to its first answer.
        memory_megabytes: all its processes after the load, as proportional set size.
        loads: by container and number of connections, as `wav/8`.
    """

    start_seconds: float
    memory_megabytes: float
    loads: dict[str, Load]

    def as_values(self) -> dict[str, Any]:
        """Return the measurement as plain values."""
        return asdict(self)


def measure(
    contender: Contender,
    plan: Plan,
    variables: Mapping[str, str],
    log: Path,
    check: Callable[[dict[str, float]], None],
) -> Measurement:
    """Measure a contender.

    Args:
        contender: what to start.
        plan: what to do with it.
        variables: environment variables beyond its own.
        log: the file that its output goes to.
        check: is shown its probabilities for the WAV, before any load.

    Raises:
        ContenderError: it does not start, or `check` found its answer wrong.
        LoadError: it did not answer everything.
    """
    port = free_port()
    url = f"http://127.0.0.1:{port}{contender.path}"
    started = time.monotonic()
    tree = ProcessTree(contender.command_line(port), {**contender.variables, **variables}, log)
    try:
        answer = first_answer(url, tree)
        start_seconds = time.monotonic() - started
        check(answer.get("probabilities", answer))
        loads = dict(_loads(url, plan))
        return Measurement(start_seconds, tree.memory_bytes() / 1e6, loads)
    finally:
        tree.stop()


def _loads(url: str, plan: Plan) -> Iterable[tuple[str, Load]]:
    for container in CONTAINERS:
        data = clip(container)
        run_load(url, data, connections=8, seconds=min(WARM_UP_SECONDS, plan.seconds))
        for connections in plan.connections:
            yield f"{container}/{connections}", run_load(url, data, connections, plan.seconds)


def first_answer(url: str, tree: ProcessTree) -> dict[str, Any]:
    """Post the WAV until it is answered, and return the answer.

    Raises:
        ContenderError: the command ended, or took too long.
    """
    content_type, body = multipart(clip("wav"))
    deadline = time.monotonic() + START_SECONDS
    while tree.running and time.monotonic() < deadline:
        with suppress(httpx.TransportError):
            response = httpx.post(
                url, content=body, headers={"Content-Type": content_type}, timeout=START_SECONDS
            )
            if response.is_success:
                answer: dict[str, Any] = response.json()
                return answer
        time.sleep(0.02)
    raise ContenderError(f"it did not answer; its last words: {_last_words(tree.log)}")


def _last_words(log: Path) -> str:
    return " / ".join(log.read_text(errors="replace").splitlines()[-3:])


def free_port() -> int:
    """Return a port of this machine that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
