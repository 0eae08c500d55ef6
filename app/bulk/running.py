"""Files through the compute processes: a few at a time, their answers in the files' order."""

import asyncio
import logging
from collections import deque
from collections.abc import AsyncIterator, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from app.audio.limits import DecodeLimits
from app.bulk.asked import Asked
from app.bulk.files import AudioFile
from app.bulk.remote import Place
from app.bulk.rows import INTERNAL_ERROR, Failure, Outcome
from app.errors import DeadlineExceededError, HarkError, ModelError, UploadTooLargeError
from app.inference.arena import Arena, Block
from app.inference.classification import Classification
from app.inference.compute import Job
from app.inference.engine import EngineName
from app.inference.workers import Workers
from app.settings import Settings

logger = logging.getLogger(__name__)

# Answers may be this far ahead of the first that is missing: a file that takes its time does not
# keep the other processes waiting, and what waits to be written stays small.
_MOST_AHEAD: Final = 256
# For each process, so many files are read or classified at a time: it has the next one ready as it
# ends one. A file that a URL names is tens of milliseconds away, in which several are classified.
_FILES_A_WORKER: Final = 2
_REMOTE_FILES_A_WORKER: Final = 16
_PIECE_BYTES: Final = 1024 * 1024
# A file that others kept waiting for most of its time had no part in that, and has another turn.
_MOST_TURNS: Final = 5


@dataclass(frozen=True, slots=True)
class Means:
    """What files are classified with.

    Attributes:
        store: the model store's folder.
        engine: what runs the model.
        workers: how many compute processes.
        worker_memory_bytes: address space that each may take beyond what its model needs.
        deadline_seconds: how long a file may take, once its turn has come.
        max_file_bytes: the largest file.
        limits: what a clip may be.
        files_a_worker: how many files are read or classified at a time for each process.
    """

    store: Path
    engine: EngineName
    workers: int
    worker_memory_bytes: int
    deadline_seconds: float
    max_file_bytes: int
    limits: DecodeLimits
    files_a_worker: int

    @classmethod
    def of(
        cls, settings: Settings, deadline_seconds: float | None, *, are_remote: bool = False
    ) -> "Means":
        """Take what the service would; but for the deadline, where another one is given.

        Args:
            settings: the service's.
            deadline_seconds: how long a file may take, or None.
            are_remote: whether URLs name the files.
        """
        return cls(
            store=settings.model_store,
            engine=settings.engine,
            workers=settings.workers,
            worker_memory_bytes=settings.worker_memory_bytes,
            deadline_seconds=deadline_seconds or settings.deadline_seconds,
            max_file_bytes=settings.max_upload_bytes,
            limits=settings.decode_limits,
            files_a_worker=_REMOTE_FILES_A_WORKER if are_remote else _FILES_A_WORKER,
        )


class Runner:
    """Classifies files in compute processes that are ready.

    Args:
        means: what with.
        asked: by which model, and how the clips are cut.
        workers: the processes.
        arena: the memory that they read.
    """

    def __init__(self, means: Means, asked: Asked, workers: Workers, arena: Arena) -> None:
        self._means = means
        self._asked = asked
        self._workers = workers
        self._arena = arena
        self._blocks = asyncio.Semaphore(means.workers * means.files_a_worker)
        self._readers = ThreadPoolExecutor(means.workers * means.files_a_worker)

    @classmethod
    @asynccontextmanager
    async def started(cls, means: Means, asked: Asked) -> AsyncIterator["Runner"]:
        """Start compute processes, and end them with the context.

        Raises:
            HarkError: they cannot load the model.
        """
        arena = Arena(means.workers * means.files_a_worker, means.max_file_bytes)
        workers = Workers(
            count=means.workers,
            store=means.store,
            engine=means.engine,
            models=[asked.model],
            uploads=arena.share(),
            memory_bytes=means.worker_memory_bytes,
        )
        try:
            workers.start()
            await workers.wait_until_ready()
            runner = cls(means, asked, workers, arena)
            with runner._readers:
                yield runner
        finally:
            await workers.stop()
            arena.close()

    async def run(
        self, files: Iterable[AudioFile], write: Callable[[AudioFile, Outcome], None]
    ) -> None:
        """Classify files, and hand each outcome to `write`, in the files' order.

        Where this is cancelled, what is there by then is handed over too.

        Raises:
            ModelError: the model can no longer be loaded.
            OSError: what `write` raises.
        """
        waiting: deque[tuple[AudioFile, asyncio.Task[Outcome]]] = deque()
        try:
            for file in files:
                waiting.append((file, asyncio.create_task(self._outcome(file))))
                while len(waiting) >= _MOST_AHEAD or (waiting and waiting[0][1].done()):
                    await self._write_first(waiting, write)
            while waiting:
                await self._write_first(waiting, write)
        except asyncio.CancelledError:
            for file, task in waiting:
                if task.done() and not task.cancelled() and task.exception() is None:
                    write(file, task.result())
            raise
        finally:
            tasks = [task for _, task in waiting]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    @staticmethod
    async def _write_first(
        waiting: deque[tuple[AudioFile, asyncio.Task[Outcome]]],
        write: Callable[[AudioFile, Outcome], None],
    ) -> None:
        file, task = waiting[0]
        outcome = await task
        waiting.popleft()
        write(file, outcome)

    async def _outcome(self, file: AudioFile) -> Outcome:
        """Classify a file; whatever is wrong with it is its outcome."""
        try:
            for turn in range(_MOST_TURNS):
                try:
                    return await self._classify(file)
                except DeadlineExceededError as error:
                    had_its_time = error.worked_seconds > 0.9 * self._means.deadline_seconds
                    if had_its_time or turn == _MOST_TURNS - 1:
                        raise
        except ModelError:
            raise
        except (HarkError, OSError) as error:
            return Failure.of(error)
        except RuntimeError as error:  # as a compute process tells of what was not foreseen
            logger.error("%s could not be classified: %s", file.name, error)  # noqa: TRY400
            return Failure(INTERNAL_ERROR, "Hark failed in a way that it should not. Report it.")
        raise AssertionError("the last turn returns or raises")

    async def _classify(self, file: AudioFile) -> Classification:
        await self._blocks.acquire()
        block = self._arena.take()

        def give_back() -> None:
            self._arena.give_back(block)
            self._blocks.release()

        try:
            loop = asyncio.get_running_loop()
            await loop.run_in_executor(self._readers, self._read, file.path, block)
        except BaseException:
            give_back()
            raise
        job = Job(
            self._asked.model, block.offset, block.length, self._means.limits, self._asked.cutting
        )
        return await self._workers.classify(job, self._means.deadline_seconds, give_back)

    def _read(self, path: Place, block: Block) -> None:
        """Copy a file into a block.

        Raises:
            UploadTooLargeError: it is larger than files may be.
            OSError: it cannot be read.
        """
        most = self._means.max_file_bytes
        with path.open("rb", buffering=0) as file:
            while piece := file.read(_PIECE_BYTES):
                if block.length + len(piece) > most:
                    raise UploadTooLargeError(
                        f"The file is larger than {most} bytes, which is the limit. Send a piece "
                        "of it, or a smaller format (MP3), or raise HARK_MAX_UPLOAD_BYTES."
                    )
                block.write(piece)
