"""The compute processes: each loads the models, classifies one upload at a time, is replaced.

Audio comes from strangers and is decoded by a C library, so that never happens in the process that
holds the sockets. Each compute process is a Pebble pool of one, which gives tasks a deadline and
replaces a process that dies; a pool of several shares one pipe and one lock between its processes,
and the death of one at the wrong moment stops them all.
"""

import asyncio
import logging
import multiprocessing
import threading
from collections.abc import Callable
from concurrent.futures import Future
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Final, TypeVar

from pebble import ProcessExpired, ProcessPool

from app.errors import (
    DeadlineExceededError,
    HarkError,
    ModelError,
    NotReadyError,
    WorkerCrashedError,
)
from app.inference import compute
from app.inference.arena import ArenaReader
from app.inference.classification import Classification
from app.inference.store import ModelReference

logger = logging.getLogger(__name__)

Argument = TypeVar("Argument")
Result = TypeVar("Result")

LOAD_SECONDS: Final = 120.0  # for a process to start, import TensorFlow, and load and warm models
GRACE_SECONDS: Final = 0.5  # beyond a deadline, for Pebble to say that it was missed
POLL_SECONDS: Final = 0.25  # how often an idle process is looked after
RETRY_SECONDS: Final = 10.0  # between attempts to load a model that was refused


class _Worker:
    """One compute process, through all its replacements."""

    def __init__(self, store: Path, uploads: ArenaReader) -> None:
        self._initial_arguments = (store, uploads)
        self._pool = self._new_pool()
        self._stopping = threading.Lock()
        self.lost = asyncio.Event()
        self.process_id: int | None = None

    async def load(self, models: list[ModelReference]) -> None:
        """Have a fresh process load models.

        Raises:
            ModelError: a model is refused.
            WorkerCrashedError: the process died.
            DeadlineExceededError: it took too long.
        """
        if self.lost.is_set() or not self._pool.active:
            await asyncio.to_thread(self.stop)
            self._pool = self._new_pool()
        self.process_id = await self._run(compute.load, models, LOAD_SECONDS)
        self.lost.clear()

    async def classify(self, job: compute.Job, seconds: float) -> Classification:
        """Classify an upload.

        Raises:
            AudioError: the bytes cannot be used.
            ModelError: the model is refused.
            WorkerCrashedError: the process died.
            DeadlineExceededError: it took longer than `seconds`.
        """
        return await self._run(compute.classify, job, seconds)

    @property
    def alive(self) -> bool:
        """Whether the process runs, as far as is known."""
        return not self.lost.is_set() and self._pool.active

    def stop(self) -> None:
        """End the process, whatever it does. Blocks for some seconds at most."""
        # Two threads that close the same pipe at a time may close another's in its place.
        with self._stopping:
            self._pool.stop()  # type: ignore[no-untyped-call]
            self._pool.join()

    async def _run(
        self, function: Callable[[Argument], Result], argument: Argument, seconds: float
    ) -> Result:
        died = True
        try:
            # Pebble ends the process at the deadline, and tells only once it is gone; one that
            # hangs in the kernel or was stopped takes seconds to go, which nobody is to wait for.
            async with asyncio.timeout(seconds + GRACE_SECONDS):
                result = await asyncio.wrap_future(self._schedule(function, argument, seconds))
            died = False
        except TimeoutError as error:
            raise DeadlineExceededError(
                f"The answer took longer than {seconds:.3g} seconds, and was given up. Send a "
                "shorter clip, or try again when the service is less busy."
            ) from error
        except (ProcessExpired, BrokenProcessPool) as error:
            raise WorkerCrashedError(
                "The process that computed this request died. Try once more; if it fails again, "
                "the file breaks the decoder: convert it to WAV."
            ) from error
        except Exception:
            died = False  # raised by the function, in a process that lives on
            raise
        else:
            return result
        finally:
            if died:
                self.lost.set()

    def _schedule(
        self, function: Callable[[Argument], Result], argument: Argument, seconds: float
    ) -> "Future[Result]":
        try:
            return self._pool.schedule(function, args=[argument], timeout=seconds)
        except RuntimeError as error:  # Pebble's word for a pool that has lost its process
            raise BrokenProcessPool(str(error)) from error

    def _new_pool(self) -> ProcessPool:
        return ProcessPool(
            max_workers=1,
            initializer=compute.start,
            initargs=self._initial_arguments,
            context=multiprocessing.get_context("spawn"),
        )


class Workers:
    """All compute processes, and who of them is idle.

    Args:
        count: how many.
        store: the model store's folder.
        models: the models that each loads before it is ready.
        uploads: where uploads lie.
        on_restart: called with a cause whenever a process is replaced.
    """

    def __init__(
        self,
        count: int,
        store: Path,
        models: list[ModelReference],
        uploads: ArenaReader,
        on_restart: Callable[[str], None] = lambda _cause: None,
    ) -> None:
        self._workers = [_Worker(store, uploads) for _ in range(count)]
        self._models = models
        self._on_restart = on_restart
        self._idle: asyncio.Queue[_Worker] = asyncio.Queue()
        self._ready: set[_Worker] = set()
        self._keepers: list[asyncio.Task[None]] = []
        self._all_were_ready = False
        self.refusal: ModelError | None = None

    def start(self) -> None:
        """Begin to start the processes; returns at once."""
        self._keepers = [asyncio.create_task(self._keep(worker)) for worker in self._workers]

    async def stop(self) -> None:
        """End all processes."""
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        await asyncio.gather(*(asyncio.to_thread(worker.stop) for worker in self._workers))

    @property
    def count(self) -> int:
        """How many processes there should be."""
        return len(self._workers)

    @property
    def ready_count(self) -> int:
        """How many processes have loaded the models."""
        return len(self._ready)

    @property
    def ready(self) -> bool:
        """Whether requests are taken: once every process was ready, as long as one is."""
        return self._all_were_ready and bool(self._ready)

    async def classify(self, job: compute.Job, deadline_seconds: float) -> Classification:
        """Classify an upload in the next idle process.

        Raises:
            NotReadyError: the processes are still starting.
            DeadlineExceededError: no answer within `deadline_seconds`, the wait included.
            WorkerCrashedError: the process died.
            AudioError: the bytes cannot be used.
            ModelError: the model is refused.
        """
        self.check_ready()
        loop = asyncio.get_running_loop()
        give_up_at = loop.time() + deadline_seconds
        worker = await self._next_idle(deadline_seconds)
        try:
            return await worker.classify(job, max(give_up_at - loop.time(), 0.01))
        finally:
            if worker.alive:
                self._idle.put_nowait(worker)

    def check_ready(self) -> None:
        """Refuse a request that could not be answered in any case.

        Raises:
            NotReadyError: the processes are still starting.
            ModelError: none is there, since a model is refused.
        """
        if not self._all_were_ready or (self.refusal and not self._ready):
            raise self.refusal_now() or NotReadyError(
                "The service is starting. Try again in some seconds."
            )

    def refusal_now(self) -> ModelError | None:
        """Return why a model is refused, to be raised: without the traces of earlier raises."""
        return self.refusal and self.refusal.with_traceback(None)

    async def _next_idle(self, seconds: float) -> _Worker:
        try:
            async with asyncio.timeout(seconds):
                while not (worker := await self._idle.get()).alive:
                    pass  # it died while idle; its keeper will bring it back
                return worker
        except TimeoutError as error:
            raise DeadlineExceededError(
                f"No process was free within {seconds:.3g} seconds. Try again later."
            ) from error

    async def _keep(self, worker: _Worker) -> None:
        """Start a worker, and start it again whenever it is lost."""
        while True:
            try:
                await worker.load(self._models)
            except Exception as error:  # whatever it is, the service stays up and says so
                await self._after_failed_load(error)
                continue
            self.refusal = None
            self._ready.add(worker)
            self._all_were_ready = self._all_were_ready or self.ready_count == self.count
            self._idle.put_nowait(worker)
            logger.info("compute process %s is ready", worker.process_id)
            while worker.alive:
                await self._wait_for_loss(worker)
            self._ready.discard(worker)
            self._forget_idle(worker)
            logger.warning("compute process %s was lost; starting another", worker.process_id)
            self._on_restart("lost")

    def _forget_idle(self, worker: _Worker) -> None:
        """Take a worker that died while idle out of the queue, lest it stand there twice."""
        for _ in range(self._idle.qsize()):
            other = self._idle.get_nowait()
            if other is not worker:
                self._idle.put_nowait(other)

    async def _after_failed_load(self, error: Exception) -> None:
        unforeseen = None if isinstance(error, HarkError) else error
        logger.error("a compute process could not start: %s", error, exc_info=unforeseen)
        if isinstance(error, ModelError):
            self.refusal = error
        self._on_restart("failed_to_load")
        await asyncio.sleep(RETRY_SECONDS)

    @staticmethod
    async def _wait_for_loss(worker: _Worker) -> None:
        """Return when a request lost the process, or it is time to see whether it died idle."""
        try:
            async with asyncio.timeout(POLL_SECONDS):
                await worker.lost.wait()
        except TimeoutError:
            return
