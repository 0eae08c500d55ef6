"""Workers: the compute processes, each with its own models, behind one queue of requests."""

import asyncio
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Final

from app.errors import HarkError, ModelError, NotReadyError
from app.inference import compute
from app.inference.arena import ArenaReader
from app.inference.classification import Classification
from app.inference.engine import EngineName
from app.inference.job_queue import JobQueue
from app.inference.store import ModelReference
from app.inference.worker_process import WorkerProcess

logger = logging.getLogger(__name__)

LOAD_SECONDS: Final = 120.0  # for a process to start, import TensorFlow, and load and warm models
RETRY_SECONDS: Final = 10.0  # between attempts to load a model that was refused


class Workers:
    """All compute processes, each kept alive, and the queue that they take jobs from.

    Args:
        count: how many.
        store: the model store's folder.
        engine: what runs the models.
        models: the models that each loads before it is ready.
        uploads: where uploads lie.
        memory_bytes: address space that each may take beyond what its models need.
        on_restart: called with a cause whenever a process is replaced.
        on_load: called with a version, and how long that took, whenever a process has loaded it.

    Attributes:
        count: how many processes there should be.
        refusal: why a model is refused, while it is.
    """

    def __init__(
        self,
        count: int,
        store: Path,
        engine: EngineName,
        models: list[ModelReference],
        uploads: ArenaReader,
        memory_bytes: int,
        on_restart: Callable[[str], None] = lambda _cause: None,
        on_load: Callable[[ModelReference, float], None] = lambda _model, _seconds: None,
    ) -> None:
        self.count = count
        self._start = compute.Start(store, uploads, engine, models, memory_bytes)
        self._on_restart = on_restart
        self._on_load = on_load
        self._jobs = JobQueue(count)
        self._processes: set[WorkerProcess] = set()
        self._ready: set[WorkerProcess] = set()
        self._keepers: list[asyncio.Task[None]] = []
        self._all_were_ready = False
        self._failure: Exception | None = None
        self._news = asyncio.Event()
        self._in_progress = 0
        self._none_in_progress = asyncio.Event()
        self._none_in_progress.set()
        self.refusal: ModelError | None = None

    def start(self) -> None:
        """Begin to start the processes; returns at once."""
        self._keepers = [asyncio.create_task(self._keep_one()) for _ in range(self.count)]

    async def stop(self) -> None:
        """End all processes."""
        for keeper in self._keepers:
            keeper.cancel()
        await asyncio.gather(*self._keepers, return_exceptions=True)
        await asyncio.gather(*map(self._end, list(self._processes)))
        self._jobs.close()

    async def wait_until_ready(self) -> None:
        """Return when every process has loaded the models.

        Raises:
            Exception: why one could not; it will be tried again, unless this is stopped.
        """
        while not self._all_were_ready:
            self._news.clear()
            await self._news.wait()
            if self._failure is not None:
                raise self._failure

    async def drain(self) -> None:
        """Return when nobody waits for an answer of these processes any more."""
        await self._none_in_progress.wait()

    @property
    def ready_count(self) -> int:
        """How many processes have loaded the models."""
        return len(self._ready)

    @property
    def waiting_count(self) -> int:
        """How many jobs no process has taken yet."""
        return self._in_progress - self._jobs.taken_count

    @property
    def busy_count(self) -> int:
        """How many processes work on a job."""
        return self._jobs.taken_count

    @property
    def process_ids(self) -> list[int]:
        """The numbers of the processes that run."""
        return [worker.process_id for worker in self._processes]

    @property
    def ready(self) -> bool:
        """Whether requests are taken: once every process was ready, as long as one is."""
        return self._all_were_ready and bool(self._ready)

    async def classify(
        self,
        job: compute.Job,
        deadline_seconds: float,
        on_settled: Callable[[], None] = lambda: None,
    ) -> Classification:
        """Classify an upload in the next process that is free.

        Args:
            job: the upload, and what to do with it.
            deadline_seconds: how long it may take, the wait included.
            on_settled: called once, when no process will read the upload any more. That may be
                after this has raised.

        Raises:
            NotReadyError: the processes are still starting.
            DeadlineExceededError: no answer in time.
            WorkerCrashedError: the process died.
            AudioError: the bytes cannot be used.
            ModelError: the model is refused.
        """
        try:
            self.check_ready()
        except HarkError:
            on_settled()
            raise
        self._in_progress += 1
        self._none_in_progress.clear()
        try:
            return await self._jobs.classify(job, deadline_seconds, on_settled)
        finally:
            self._in_progress -= 1
            if self._in_progress == 0:
                self._none_in_progress.set()

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

    async def _keep_one(self) -> None:
        """Keep one process ready: start it, and another whenever it is lost."""
        worker: WorkerProcess | None = None
        while True:
            try:
                if worker is not None and worker.lost.is_set() and worker in self._processes:
                    await self._end(worker)
                if worker is None or worker.lost.is_set():
                    worker = await WorkerProcess.start(
                        self._jobs.theirs,
                        self._start.uploads.file_descriptor,
                        self._jobs.on_progress,
                    )
                    self._processes.add(worker)
                loaded = await worker.load(self._start, LOAD_SECONDS)
            except Exception as error:  # whatever it is, the service stays up and says so
                if worker is not None and worker.lost.is_set():
                    self._jobs.on_lost(worker)
                    await self._end(worker)
                await self._after_failed_load(error)
                continue
            for model, seconds in loaded.items():
                self._on_load(model, seconds)
            self._take_in(worker)
            await worker.lost.wait()
            self._jobs.on_lost(worker)
            self._ready.discard(worker)
            logger.warning("compute process %s was lost; starting another", worker.process_id)
            self._on_restart(worker.cause_of_loss)
            await self._end(worker)

    def _take_in(self, worker: WorkerProcess) -> None:
        self.refusal = self._failure = None
        self._ready.add(worker)
        self._all_were_ready = self._all_were_ready or self.ready_count == self.count
        self._jobs.on_ready(worker)
        self._news.set()
        logger.info("compute process %s is ready", worker.process_id)

    async def _end(self, worker: WorkerProcess) -> None:
        await worker.end()
        self._processes.discard(worker)

    async def _after_failed_load(self, error: Exception) -> None:
        unforeseen = None if isinstance(error, HarkError) else error
        logger.error("a compute process could not start: %s", error, exc_info=unforeseen)
        if isinstance(error, ModelError):
            self.refusal = error
        self._failure = error
        self._news.set()
        self._on_restart("failed_to_load")
        await asyncio.sleep(RETRY_SECONDS)
