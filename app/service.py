"""Service: one upload at a time from admission to answer, for whatever protocol asks."""

from collections.abc import Iterator
from contextlib import contextmanager
from time import perf_counter

from app.errors import OverloadedError
from app.inference.arena import Arena, Block
from app.inference.classification import Classification
from app.inference.compute import Job
from app.inference.store import ModelReference, ModelStore
from app.inference.workers import Workers
from app.metrics import Metrics
from app.settings import Settings


class Service:
    """Admits uploads, holds their bytes, and has them classified.

    Args:
        settings: the knobs.
        metrics: what is counted.
    """

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self.settings = settings
        self.metrics = metrics
        self.store = ModelStore(settings.model_store)
        self._capacity = settings.workers + settings.queue_size
        self._admitted = 0
        self._arena = Arena(self._capacity, settings.max_upload_bytes)
        self.served = {name: self.store.resolve(name) for name in self.store.names()}
        self.workers = Workers(
            count=settings.workers,
            store=settings.model_store,
            engine=settings.engine,
            models=list(self.served.values()),
            uploads=self._arena.share(),
            on_restart=metrics.count_restart,
        )
        metrics.watch(lambda: self._admitted, lambda: self.workers.ready_count)

    async def stop(self) -> None:
        """End the compute processes and release the memory."""
        await self.workers.stop()
        self._arena.close()

    def resolve(self, name: str | None = None, version: int | None = None) -> ModelReference:
        """Return the version that answers for a name, the default model's where none is given.

        Raises:
            UnknownModelError: no such model.
            UnknownVersionError: no such version.
        """
        name = self.settings.default_model if name is None else name
        served = self.served.get(name)
        if served is not None and version in (None, served.version):
            return served  # without looking into the store, at each request
        return self.store.resolve(name, version)

    @contextmanager
    def admitted(self) -> Iterator[Block]:
        """Hold a place in the queue, and memory for an upload, for as long as the context lasts.

        Raises:
            OverloadedError: as many requests as the service can hold are being served.
        """
        if self._admitted >= self._capacity:
            raise OverloadedError(
                f"{self._capacity} requests are being served, which is all that this service "
                "holds at a time. Try again in a second."
            )
        self._admitted += 1
        block = self._arena.take()
        try:
            yield block
        finally:
            if not block.handed_over:
                self._give_back(block)

    async def classify(self, model: ModelReference, upload: Block) -> Classification:
        """Classify an upload that has been received whole.

        Raises:
            AudioError: the bytes cannot be used.
            ModelError: the version is refused.
            UnavailableError: the service cannot answer now.
        """
        started = perf_counter()
        job = Job(model, upload.offset, upload.length, self.settings.max_audio_seconds)
        upload.handed_over = True  # a process may still read it when nobody waits any more
        answer = await self.workers.classify(
            job, self.settings.deadline_seconds, lambda: self._give_back(upload)
        )
        stages = answer.stage_seconds
        computed = stages.decode + stages.features + stages.model
        waited = max(0.0, perf_counter() - started - computed)
        self.metrics.observe_classification(answer, upload.length, waited)
        return answer

    def _give_back(self, block: Block) -> None:
        self._arena.give_back(block)
        self._admitted -= 1
