"""Service: one upload at a time from admission to answer, for whatever protocol asks."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Final

from app.audio.cutting import WHOLE, Cutting
from app.catalogue import Catalogue, Reloaded
from app.errors import DeadlineExceededError, HarkError, OverloadedError, UploadTooSlowError
from app.inference.arena import Arena, Block
from app.inference.classification import Classification
from app.inference.compute import Job
from app.inference.fleet import Fleet
from app.inference.store import ModelReference, ModelStore
from app.inference.workers import Workers
from app.metrics import definitions
from app.metrics.recorder import Metrics
from app.settings import Settings

# So long an upload may take in any case; a WAV of a megabyte needs 4 Mbit/s for that.
_SLOW_UPLOAD_SECONDS: Final = 2.0


class Service:
    """Admits uploads, holds their bytes, and has them classified.

    Args:
        settings: the knobs.
        metrics: what is counted.

    Attributes:
        catalogue: which versions serve.
        stopping: whether the service has been asked to stop.

    Raises:
        ModelError: the default model is not in the store.
    """

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self.settings = settings
        self.metrics = metrics
        self.stopping = False
        self.catalogue = Catalogue(
            ModelStore(settings.model_store), settings.default_model, metrics.count_reload
        )
        self._limits = settings.decode_limits
        self._capacity = settings.workers + settings.queue_size
        self._admitted = 0
        self._receiving: dict[asyncio.Timeout, float] = {}
        self._arena = Arena(self._capacity, settings.max_upload_bytes)
        self._fleet = Fleet(self._make_workers, self.catalogue.versions())
        self._watch()

    @property
    def workers(self) -> Workers:
        """The compute processes that serve now."""
        return self._fleet.workers

    def start(self) -> None:
        """Begin to start the compute processes; returns at once."""
        self._fleet.start()

    async def stop(self) -> None:
        """End the compute processes and release the memory."""
        await self._fleet.stop()
        self._arena.close()

    async def reload(self, name: str) -> Reloaded:
        """Serve what the store says now of a model, without a gap.

        Raises:
            UnknownModelError: there is no such model.
            ReloadRefusedError: a version fails its check; those from before serve on.
        """
        return await self.catalogue.reload(name, self._fleet.change)

    async def reload_all(self) -> None:
        """Serve what the store says now of every model; what is refused is logged."""
        await self.catalogue.reload_all(self._fleet.change)

    def why_not(self, n_begun: int = 0) -> HarkError | None:
        """Return why no further upload is taken now, or None where one is.

        Args:
            n_begun: uploads that are under way, whether they have been admitted yet or not.
        """
        try:
            self.workers.check_ready()
        except HarkError as error:
            return error
        if max(self._admitted, n_begun) < self._capacity:
            return None
        self._give_up_a_slow_upload()
        return OverloadedError(
            f"{self._capacity} requests are being served, which is all that this service holds at "
            "a time. Try again in a second."
        )

    @contextmanager
    def admitted(self) -> Iterator[Block]:
        """Hold a place in the queue, and memory for an upload, for as long as the context lasts.

        Raises:
            OverloadedError: as many requests as the service can hold are being served.
            NotReadyError: no compute process is ready yet.
            ModelError: none will be, since a model is refused.
        """
        if reason := self.why_not():
            raise reason
        self._admitted += 1
        block = self._arena.take()
        try:
            yield block
        finally:
            if not block.handed_over:
                self._give_back(block)

    @asynccontextmanager
    async def receiving(self) -> AsyncIterator[None]:
        """Receive an upload within this context, which ends early if it is slow and in the way.

        Otherwise as many slow clients as there are places would keep all others out.

        Raises:
            UploadTooSlowError: it took more than two seconds, and others had no place.
        """
        timeout = asyncio.timeout(None)
        try:
            async with timeout:
                self._receiving[timeout] = time.monotonic()
                yield
        except TimeoutError as error:
            raise UploadTooSlowError(
                "The upload was slow, and its place was needed for others. Try again in a minute, "
                "over a faster connection, or send a smaller file (MP3)."
            ) from error
        finally:
            self._receiving.pop(timeout, None)

    async def classify(
        self,
        name: str | None,
        version: str | None,
        upload: Block,
        give_up_at: float,
        cutting: Cutting = WHOLE,
        *,
        is_live: bool = False,
    ) -> Classification:
        """Classify an upload that has been received whole.

        Args:
            name: a model's, or None for the default.
            version: a number or an alias, or None for what serves.
            upload: the file.
            give_up_at: when nobody waits any more, on the system's monotonic clock.
            cutting: which part of it, in which windows.
            is_live: whether it is no file that was sent, but a window of a live stream.

        Raises:
            AudioError: the bytes cannot be used.
            InvalidParameterError: the clip cannot be cut so.
            ModelError: the version is unknown or refused.
            UnavailableError: the service cannot answer now.
        """
        # Now, and not before the upload came: what serves may have changed meanwhile.
        model: ModelReference = self.catalogue.resolve(name, version)
        job = Job(model, upload.offset, upload.length, self._limits, cutting)
        upload.handed_over = True  # a process may still read it when nobody waits any more
        return await self._compute(
            job, give_up_at, lambda: self._give_back(upload), is_live=is_live
        )

    async def classify_each(
        self,
        name: str | None,
        version: str | None,
        upload: Block,
        extents: Sequence[tuple[int, int]],
        give_up_at: float,
        cutting: Cutting = WHOLE,
    ) -> list[Classification | Exception]:
        """Classify several files that lie in one block, each for itself.

        No more at a time than there are compute processes, so that others get their turn between.

        Args:
            name: a model's, or None for the default.
            version: a number or an alias, or None for what serves.
            upload: the files.
            extents: where in it each lies: its start and its length, in bytes.
            give_up_at: when nobody waits any more, on the system's monotonic clock.
            cutting: which part of each, in which windows.

        Returns:
            In the order of `extents`, each file's answer, or why there is none.

        Raises:
            ModelError: the version is unknown or refused.
        """
        model = self.catalogue.resolve(name, version)
        jobs = [
            Job(model, upload.offset + start, length, self._limits, cutting)
            for start, length in extents
        ]
        n_left = len(jobs)
        upload.handed_over = True

        def on_settled() -> None:
            nonlocal n_left
            n_left -= 1
            if n_left == 0:
                self._give_back(upload)

        waiting = iter(jobs)
        answers: dict[Job, Classification | Exception] = {}

        async def work_off() -> None:
            for job in waiting:
                try:
                    answers[job] = await self._compute_in_turn(job, give_up_at, on_settled)
                except Exception as error:  # whatever it is, the others go on
                    answers[job] = error

        try:
            await asyncio.gather(*(work_off() for _ in range(self.workers.count)))
        finally:
            for _ in waiting:  # where this was cancelled
                on_settled()
        return [answers[job] for job in jobs]

    async def _compute_in_turn(
        self, job: Job, give_up_at: float, on_settled: Callable[[], None]
    ) -> Classification:
        """Begin no job after its time; one that has begun has as long as any other.

        With what is left of the batch's time, the last ones would end the processes that hold them.
        """
        now = time.monotonic()
        if now >= give_up_at:
            on_settled()
            raise DeadlineExceededError(
                "The files before this one took all the time there is. Send it in a smaller batch."
            )
        return await self._compute(job, now + self.settings.deadline_seconds, on_settled)

    async def _compute(
        self,
        job: Job,
        give_up_at: float,
        on_settled: Callable[[], None],
        *,
        is_live: bool = False,
    ) -> Classification:
        started = time.monotonic()
        answer = await self._fleet.classify(job, max(0.0, give_up_at - started), on_settled)
        waited = max(0.0, time.monotonic() - started - answer.stage_seconds.total)
        self.metrics.observe_classification(answer, job.length, waited, is_live=is_live)
        return answer

    def _give_up_a_slow_upload(self) -> None:
        """End the receiving of the oldest upload, if that has had its time."""
        for timeout, began in self._receiving.items():  # the oldest comes first
            if time.monotonic() - began > _SLOW_UPLOAD_SECONDS:
                del self._receiving[timeout]
                timeout.reschedule(0)
            return

    def _make_workers(self, models: list[ModelReference]) -> Workers:
        settings = self.settings
        return Workers(
            count=settings.workers,
            store=settings.model_store,
            engine=settings.engine,
            models=models,
            uploads=self._arena.share(),
            memory_bytes=settings.worker_memory_bytes,
            on_restart=self.metrics.count_restart,
            on_load=self.metrics.observe_load,
        )

    def _watch(self) -> None:
        """Have the metrics look here whenever somebody asks for them."""
        watch, fleet = self.metrics.watch, self._fleet
        watch(definitions.IN_FLIGHT, lambda: self._admitted)
        watch(definitions.IN_FLIGHT_LIMIT, lambda: self._capacity)
        watch(definitions.QUEUE_DEPTH, lambda: fleet.waiting_count)
        watch(definitions.WORKERS_CONFIGURED, lambda: self.workers.count)
        watch(definitions.WORKERS_ALIVE, lambda: len(fleet.process_ids))
        watch(definitions.WORKERS_READY, lambda: self.workers.ready_count)
        watch(definitions.WORKERS_BUSY, lambda: fleet.busy_count)
        self.metrics.watch_models(lambda: self.catalogue.names, self.catalogue.roles)
        self.metrics.watch_processes(lambda: fleet.process_ids)

    def _give_back(self, block: Block) -> None:
        self._arena.give_back(block)
        self._admitted -= 1
