"""Growth: how the time of a request, and the memory of one worker, grow with a clip's length."""

import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Final

import httpx

from benchmarks.clips import clip
from benchmarks.contenders import Contender
from benchmarks.measure import START_SECONDS, first_answer
from benchmarks.processes import ProcessTree

ROUNDS: Final = 5


def growth(
    contender: Contender, port: int, log: Path, lengths: Sequence[float]
) -> list[dict[str, float]]:
    """Post MP3s of growing length to one worker of Hark.

    Args:
        contender: one that is Hark.
        port: for it to listen on.
        log: the file that its output goes to.
        lengths: of the MP3s, in seconds.

    Returns:
        For each length: `audio_seconds`, `request_seconds` (median), `memory_megabytes` after it.
    """
    tree = ProcessTree(
        contender.command_line(port), {**contender.variables, "HARK_WORKERS": "1"}, log
    )
    try:
        url = f"http://127.0.0.1:{port}{contender.path}"
        first_answer(url, tree)
        with httpx.Client(timeout=START_SECONDS) as client:
            return [
                {
                    "audio_seconds": seconds,
                    "request_seconds": _request_seconds(client, url, clip("mp3", seconds)),
                    "memory_megabytes": tree.memory_bytes() / 1e6,
                }
                for seconds in lengths
            ]
    finally:
        tree.stop()


def _request_seconds(client: httpx.Client, url: str, data: bytes) -> float:
    seconds = []
    for _ in range(ROUNDS):
        started = time.perf_counter()
        client.post(url, files={"file": data}).raise_for_status()
        seconds.append(time.perf_counter() - started)
    return median(seconds)
