"""The queue of jobs: a socket that all compute processes take from, and who has taken what.

A process that has finished one job finds the next in the socket, and need not wait until the event
loop has heard of it: with two processes on two processors that waiting was a fifth of their time.
"""

import asyncio
import itertools
import socket
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from app.errors import DeadlineExceededError, WorkerCrashedError
from app.inference import messages
from app.inference.classification import Classification
from app.inference.compute import Job
from app.inference.worker_process import WorkerProcess

# Jobs in the socket beyond those that are worked on: enough that no process finds it empty, few
# enough that nearly all of the waiting is done where a request can still be given up.
_SPARE_JOBS: Final = 16


@dataclass(eq=False, slots=True)
class _Pending:
    """A job that is in the socket or in a process's hands."""

    number: int
    answer: asyncio.Future[Classification]
    on_settled: Callable[[], None]
    taken_by: WorkerProcess | None = None


class JobQueue:
    """Jobs for a number of compute processes.

    Args:
        n_workers: how many processes there should be.
    """

    def __init__(self, n_workers: int) -> None:
        self._ours, self.theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._ours.setblocking(False)
        self._room = asyncio.Semaphore(n_workers + min(n_workers, _SPARE_JOBS))
        self._numbers = itertools.count(1)
        self._pending: dict[int, _Pending] = {}
        self._workers: set[WorkerProcess] = set()

    async def classify(
        self, job: Job, seconds: float, on_settled: Callable[[], None]
    ) -> Classification:
        """Have a job done by the next process that is free.

        Args:
            job: what to do.
            seconds: how long it may take, the wait included.
            on_settled: called once, when no process will look at the upload any more. That may be
                after this has raised.

        Raises:
            DeadlineExceededError: it took longer.
            WorkerCrashedError: the process that worked on it died.
            HarkError: what the process raised.
        """
        pending: _Pending | None = None
        try:
            async with asyncio.timeout(seconds):
                await self._room.acquire()
                pending = self._enqueue(job, on_settled)
                return await pending.answer
        except TimeoutError as timeout:
            if pending is not None:
                self._end_who_hangs(pending)
            if pending is not None and pending.taken_by is not None:
                raise DeadlineExceededError(
                    f"The answer took longer than {seconds:.3g} seconds, and was given up. Send a "
                    "shorter clip, or try again when the service is less busy."
                ) from timeout
            raise DeadlineExceededError(
                f"No process was free within {seconds:.3g} seconds. Try again later."
            ) from timeout
        finally:
            if pending is None:
                on_settled()

    def on_progress(self, worker: WorkerProcess, progress: messages.Progress) -> None:
        """Note what a process reports: an answer, and what it has taken next."""
        if progress.answer is not None:
            self._answer(progress.answer)
        if progress.taken is not None:
            self._note_taken(worker, progress.taken)

    def on_ready(self, worker: WorkerProcess) -> None:
        """Count on a process from now on."""
        self._workers.add(worker)

    def on_lost(self, worker: WorkerProcess) -> None:
        """Fail what a process that is gone had taken."""
        self._workers.discard(worker)
        for pending in [each for each in self._pending.values() if each.taken_by is worker]:
            self._fail(pending)

    def close(self) -> None:
        """Close the socket: processes that wait for a job end."""
        self._ours.close()
        self.theirs.close()

    def _enqueue(self, job: Job, on_settled: Callable[[], None]) -> _Pending:
        answer = asyncio.get_running_loop().create_future()
        pending = _Pending(next(self._numbers), answer, on_settled)
        try:
            self._ours.send(messages.pack_down(messages.NumberedJob(pending.number, job)))
        except OSError:
            self._room.release()
            raise
        self._pending[pending.number] = pending
        return pending

    def _end_who_hangs(self, pending: _Pending) -> None:
        """End the process that holds a late job, or all that left it lying with nothing to do."""
        if pending.taken_by is not None:
            pending.taken_by.kill()
            return
        busy = {each.taken_by for each in self._pending.values()}
        for worker in self._workers - busy:
            worker.kill()

    def _answer(self, answer: messages.Answer) -> None:
        pending = self._pending.get(answer.number)
        if pending is None:
            return
        if not pending.answer.done():
            if answer.result is not None:
                pending.answer.set_result(answer.result)
            else:
                pending.answer.set_exception(answer.error or RuntimeError("an empty answer"))
        self._settle(pending)

    def _note_taken(self, worker: WorkerProcess, number: int) -> None:
        # Jobs are taken in order: an older one that nobody has was taken by a process that died
        # before it could say so, or will be heard of in this turn of the event loop.
        for older in [each for each in self._pending.values() if each.number < number]:
            if older.taken_by is None and older.answer.done():
                self._settle(older)
        pending = self._pending.get(number)
        if pending is not None:
            pending.taken_by = worker
            if worker.lost.is_set():  # it was ended meanwhile
                self._fail(pending)

    def _fail(self, pending: _Pending) -> None:
        if not pending.answer.done():
            pending.answer.set_exception(
                WorkerCrashedError(
                    "The process that computed this request died. Try once more; if it fails "
                    "again, the file breaks the decoder: convert it to WAV."
                )
            )
        self._settle(pending)

    def _settle(self, pending: _Pending) -> None:
        del self._pending[pending.number]
        self._room.release()
        pending.on_settled()
