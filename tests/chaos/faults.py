"""What is done to the service while it answers: processes are killed, models are changed."""

import asyncio
import os
import random
import signal
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import aiohttp

from app.inference.serving import Aliases, write_aliases
from app.inference.store import ModelStore
from tests.live_server import LiveServer

NAME: Final = "urbansound"


@dataclass(slots=True)
class Faults:
    """What was done.

    Attributes:
        kills: how many processes were killed.
        reloads: what became of each reload: an outcome, or a problem's code.
        changing: whether a model is being changed now.
    """

    kills: int = 0
    reloads: Counter[str] = field(default_factory=Counter)
    changing: bool = False


async def kill_processes(
    server: LiveServer, faults: Faults, every: float, until: asyncio.Event
) -> None:
    """Kill one compute process after the other, chosen by chance."""
    chance = random.Random(1)
    while not await _happened(until, every):
        if processes := sorted(server.worker_process_ids()):
            os.kill(chance.choice(processes), signal.SIGKILL)
            faults.kills += 1


async def change_models(
    session: aiohttp.ClientSession,
    server: LiveServer,
    store: Path,
    faults: Faults,
    every: float,
    until: asyncio.Event,
) -> None:
    """Have the other of two versions serve, again and again."""
    stable = 2
    while not await _happened(until, every):
        stable = 3 - stable
        write_aliases(
            ModelStore(store), NAME,
            Aliases(stable=stable, canary=3 - stable, canary_percent=20),
        )  # fmt: skip
        faults.changing = True
        async with session.post(f"{server.url}/v1/models/{NAME}/reload") as response:
            answer = await response.json(content_type=None)
        faults.reloads[answer.get("outcome") or answer["code"]] += 1
        faults.changing = False


@dataclass(frozen=True, slots=True)
class MemorySample:
    """How much memory the service takes, in bytes.

    Attributes:
        at: when, in seconds since the beginning.
        http_process: what is the HTTP process's own. (How much of the shared uploads counts as its
            own depends on which compute processes have looked at them.)
        all_processes: everything, shared pages counted once.
    """

    at: float
    http_process: int
    all_processes: int


async def sample_memory(
    server: LiveServer, workers: int, faults: Faults, until: asyncio.Event
) -> list[MemorySample]:
    """Look at the memory once a second, in moments when no process starts or ends."""
    started = time.monotonic()
    samples: list[MemorySample] = []
    calm_since = time.monotonic()
    known: set[int] = set()
    while not await _happened(until, 1.0):
        processes = server.worker_process_ids()
        if processes != known or len(processes) != workers or faults.changing:
            known, calm_since = processes, time.monotonic()
        if time.monotonic() - calm_since < 4:  # it is loading, or has not been asked much yet
            continue
        try:
            sample = MemorySample(
                time.monotonic() - started,
                _memory_of(server.process.pid, "Pss_Anon"),
                sum(_memory_of(each, "Pss") for each in (server.process.pid, *processes)),
            )
        except FileNotFoundError:  # killed meanwhile
            continue
        samples.append(sample)
    return samples


def _memory_of(process_id: int, kind: str) -> int:
    for line in Path(f"/proc/{process_id}/smaps_rollup").read_text().splitlines():
        if line.startswith(f"{kind}:"):
            return int(line.split()[1]) * 1024
    return 0


async def _happened(event: asyncio.Event, seconds: float) -> bool:
    """Wait for an event, and return whether it came within so many seconds."""
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        return False
    return True
