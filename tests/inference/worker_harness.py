"""Harness: real compute processes, and what a test needs to speak to them."""

import asyncio
import os
import signal
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, TypeVar

from app.audio.limits import DecodeLimits
from app.inference.arena import Arena
from app.inference.classification import Classification
from app.inference.compute import Job
from app.inference.engine import EngineName
from app.inference.store import ModelReference
from app.inference.workers import Workers
from tests import processes

START_SECONDS = 90.0  # for processes to import TensorFlow on a busy machine

Result = TypeVar("Result")


async def until(condition: Callable[[], bool], seconds: float = START_SECONDS) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110  # what is waited for tells nobody
            await asyncio.sleep(0.02)


def worker_ids() -> set[int]:
    """The processes that this one has started and that live."""
    return processes.worker_ids(os.getpid())


@dataclass
class Harness:
    """Workers, the memory that they read, and an event loop that runs while a test does.

    They run ONNX Runtime, and so start in a second, where a test does not ask for Keras.
    """

    store: Path
    models: list[ModelReference]
    count: int
    engine: EngineName = "onnx"
    restarts: list[str] = field(default_factory=list)
    settled: int = 0
    memory_bytes: int = 1_000_000_000

    def __enter__(self) -> Self:
        self.runner = asyncio.Runner()
        self.arena = Arena(n_blocks=8, block_bytes=1_000_000)
        self.runner.run(self._start())
        return self

    def __exit__(self, *_: object) -> None:
        self.runner.run(self.workers.stop())
        self.runner.close()
        self.arena.close()

    async def _start(self) -> None:
        uploads = self.arena.share()
        self.workers = Workers(
            self.count,
            self.store,
            self.engine,
            self.models,
            uploads,
            self.memory_bytes,
            on_restart=self.restarts.append,
        )
        self.workers.start()

    def run(self, scenario: Coroutine[Any, Any, Result]) -> Result:
        return self.runner.run(scenario)

    async def ready(self, count: int) -> None:
        await until(lambda: self.workers.ready_count >= count)

    def when_ready(self, count: int, scenario: Coroutine[Any, Any, Result]) -> Result:
        async def wait_first() -> Result:
            await self.ready(count)
            return await scenario

        return self.run(wait_first())

    async def classify(
        self,
        data: bytes,
        deadline_seconds: float = 60,
        max_seconds: float = 600,
        model: ModelReference = ModelReference("tiny", 1),  # noqa: B008  # frozen
    ) -> Classification:
        block = self.arena.take()
        block.write(data)
        job = Job(model, block.offset, block.length, DecodeLimits(max_seconds=max_seconds))

        def on_settled() -> None:
            self.settled += 1
            self.arena.give_back(block)

        return await self.workers.classify(job, deadline_seconds, on_settled)


@contextmanager
def frozen(process_ids: set[int]) -> Iterator[None]:
    """Freeze processes, and kill those that are left in the end."""
    for process_id in process_ids:
        os.kill(process_id, signal.SIGSTOP)
    try:
        yield
    finally:
        for process_id in process_ids & worker_ids():
            os.kill(process_id, signal.SIGKILL)
