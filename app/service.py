"""Service: one upload at a time from admission to answer, for whatever protocol asks."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

from app.catalogue import Catalogue, Reloaded
from app.errors import OverloadedError
from app.inference.arena import Arena, Block
from app.inference.classification import Classification
from app.inference.compute import Job
from app.inference.fleet import Fleet
from app.inference.store import ModelReference, ModelStore
from app.inference.workers import Workers
from app.metrics import Metrics
from app.settings import Settings


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
        self._arena = Arena(self._capacity, settings.max_upload_bytes)
        self._fleet = Fleet(self._make_workers, self.catalogue.versions())
        metrics.watch(lambda: self._admitted, lambda: self.workers.ready_count)

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

    def overload(self) -> OverloadedError | None:
        """Return why no upload is admitted now, or None where one is."""
        if self._admitted < self._capacity:
            return None
        return OverloadedError(
            f"{self._capacity} requests are being served, which is all that this service holds at "
            "a time. Try again in a second."
        )

    @contextmanager
    def admitted(self) -> Iterator[Block]:
        """Hold a place in the queue, and memory for an upload, for as long as the context lasts.

        Raises:
            OverloadedError: as many requests as the service can hold are being served.
        """
        if overload := self.overload():
            raise overload
        self._admitted += 1
        block = self._arena.take()
        try:
            yield block
        finally:
            if not block.handed_over:
                self._give_back(block)

    async def classify(
        self, name: str | None, version: str | None, upload: Block, give_up_at: float
    ) -> Classification:
        """Classify an upload that has been received whole.

        Args:
            name: a model's, or None for the default.
            version: a number or an alias, or None for what serves.
            upload: the file.
            give_up_at: when nobody waits any more, on the system's monotonic clock.

        Raises:
            AudioError: the bytes cannot be used.
            ModelError: the version is unknown or refused.
            UnavailableError: the service cannot answer now.
        """
        started = time.monotonic()
        # Now, and not before the upload came: what serves may have changed meanwhile.
        model: ModelReference = self.catalogue.resolve(name, version)
        job = Job(model, upload.offset, upload.length, self._limits)
        upload.handed_over = True  # a process may still read it when nobody waits any more
        answer = await self._fleet.classify(
            job, max(0.0, give_up_at - started), lambda: self._give_back(upload)
        )
        stages = answer.stage_seconds
        computed = stages.decode + stages.features + stages.model
        waited = max(0.0, time.monotonic() - started - computed)
        self.metrics.observe_classification(answer, upload.length, waited)
        return answer

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
        )

    def _give_back(self, block: Block) -> None:
        self._arena.give_back(block)
        self._admitted -= 1
