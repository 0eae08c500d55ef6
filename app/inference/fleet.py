"""Fleet: the compute processes that serve now, and the change to others with other models.

New processes load the new models beside the old ones, so a version that is refused never touches
those that serve, and the memory of the old ones goes back to the system with them. While a change
lasts there are twice as many.
"""

import asyncio
import logging
from collections.abc import Callable

from app.inference.classification import Classification
from app.inference.compute import Job
from app.inference.store import ModelReference
from app.inference.workers import Workers

logger = logging.getLogger(__name__)


class Fleet:
    """Workers, and those that come after them.

    Args:
        make_workers: makes workers that load some models.
        models: the models to begin with.

    Attributes:
        workers: those that serve now.
    """

    def __init__(
        self, make_workers: Callable[[list[ModelReference]], Workers], models: list[ModelReference]
    ) -> None:
        self._make_workers = make_workers
        self.workers = make_workers(models)
        self._next: Workers | None = None
        self._old: Workers | None = None
        self._retirement: asyncio.Task[None] | None = None

    @property
    def process_ids(self) -> list[int]:
        """The numbers of all compute processes that run, those that come or go included."""
        return [number for workers in self._all for number in workers.process_ids]

    @property
    def waiting_count(self) -> int:
        """How many jobs wait for a process."""
        return sum(workers.waiting_count for workers in self._all)

    @property
    def busy_count(self) -> int:
        """How many processes work on a job."""
        return sum(workers.busy_count for workers in self._all)

    @property
    def _all(self) -> list[Workers]:
        found = (self._old, self._next, self.workers)
        return [workers for workers in found if workers is not None]

    def start(self) -> None:
        """Begin to start the processes; returns at once."""
        self.workers.start()

    async def stop(self) -> None:
        """End all processes."""
        if self._retirement is not None:
            self._retirement.cancel()
            await asyncio.gather(self._retirement, return_exceptions=True)
        for workers in self._all:
            await workers.stop()

    async def classify(
        self, job: Job, deadline_seconds: float, on_settled: Callable[[], None]
    ) -> Classification:
        """Classify an upload, as `Workers.classify` does, in the processes that serve now."""
        return await self.workers.classify(job, deadline_seconds, on_settled)

    async def change(self, models: list[ModelReference], on_swapped: Callable[[], None]) -> None:
        """Have new processes load models, and serve in place of the old ones once all are ready.

        One change at a time: the caller sees to it.

        Args:
            models: what the new processes load.
            on_swapped: called in the instant in which they take over.

        Raises:
            Exception: why a process could not load them; the old ones serve on.
        """
        if self._retirement is not None:
            await self._retirement
        self._next = self._make_workers(models)
        self._next.start()
        try:
            await self._next.wait_until_ready()
        except BaseException:
            await self._next.stop()
            self._next = None
            raise
        self._old, self.workers, self._next = self.workers, self._next, None
        on_swapped()
        self._retirement = asyncio.create_task(self._retire(self._old))

    async def _retire(self, workers: Workers) -> None:
        try:
            await workers.drain()
            await workers.stop()
        except Exception:
            logger.exception("the compute processes before could not be ended in order")
        else:
            logger.info("the compute processes before have ended")
        self._old = None
