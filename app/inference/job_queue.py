"""The queue of jobs: a socket that all compute processes take from, and who has taken what.

A process that has finished one job finds the next in the socket, and need not wait until the event
loop has heard of it: with two processes on two processors that waiting was a fifth of their time.
"""

import asyncio
import itertools
import math
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from app.errors import DeadlineExceededError, OverloadedError, WorkerCrashedError
from app.inference import messages
from app.inference.classification import Classification
from app.inference.compute import Job
from app.inference.worker_process import WorkerProcess

# Jobs in the socket beyond those that are worked on: enough that no process finds it empty, few
# enough that nearly all of the waiting is done where a request can still be given up.
_SPARE_JOBS: Final = 16
# How long a process may take to say that it has taken a job, or to skip one that comes too late.
_REPORT_SECONDS: Final = 1.0
_HEAR_SECONDS: Final = 0.05


@dataclass(eq=False, slots=True)
class _Pending:
    """A job that is in the socket or in a process's hands."""

    number: int
    answer: asyncio.Future[Classification]
    on_settled: Callable[[], None]
    sent_at: float
    taken_by: WorkerProcess | None = None
    taken_at: float = math.inf


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
            OverloadedError: the socket is full.
            WorkerCrashedError: the process that worked on it died.
            HarkError: what the process raised.
        """
        pending: _Pending | None = None
        give_up_at = time.monotonic() + seconds
        try:
            async with asyncio.timeout(seconds):
                await self._room.acquire()
                pending = self._enqueue(job, give_up_at, on_settled)
                return await pending.answer
        except TimeoutError as timeout:
            if pending is not None:
                if pending.answer.done() and not pending.answer.cancelled():
                    return pending.answer.result()  # it came in the same turn of the event loop
                self._end_who_hangs(pending)
                if pending.taken_by is not None:
                    raise DeadlineExceededError(
                        f"The answer took longer than {seconds:.3g} seconds, and was given up. "
                        "Send a shorter clip, or try again when the service is less busy.",
                        worked_seconds=time.monotonic() - pending.taken_at,
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
        # What it took and could not report any more is found out once it is surely gone.
        asyncio.get_running_loop().call_later(_REPORT_SECONDS, self._suspect_untaken)

    @property
    def taken_count(self) -> int:
        """How many jobs processes say that they work on."""
        return sum(pending.taken_by is not None for pending in self._pending.values())

    def close(self) -> None:
        """Close the socket, and settle what is left; no process may be there any more."""
        self._ours.close()
        self.theirs.close()
        for pending in list(self._pending.values()):
            self._fail(pending)

    def _enqueue(self, job: Job, give_up_at: float, on_settled: Callable[[], None]) -> _Pending:
        answer = asyncio.get_running_loop().create_future()
        pending = _Pending(next(self._numbers), answer, on_settled, time.monotonic())
        numbered = messages.NumberedJob(pending.number, job, give_up_at)
        try:
            self._ours.send(messages.pack_down(numbered))
        except OSError as full:
            self._room.release()
            raise OverloadedError(
                "More requests wait than can be passed on. Try again in a second."
            ) from full
        self._pending[pending.number] = pending
        return pending

    def _end_who_hangs(self, pending: _Pending) -> None:
        """End the process that holds a late job, or all that left it lying with nothing to do."""
        if pending.taken_by is not None:
            pending.taken_by.kill()
            return
        if time.monotonic() - pending.sent_at < _REPORT_SECONDS:
            return  # nobody had the time to take it
        if pending.number < self._first_in_socket():
            # Somebody has it, and has not said so yet: it may have been taken this very moment.
            loop = asyncio.get_running_loop()
            loop.call_later(_REPORT_SECONDS, self._hear_and_end_takers, pending)
            return
        self._end_idle()

    def _hear_and_end_takers(self, pending: _Pending) -> None:
        """Let the event loop read what has come first, as `_hear_and_fail_untaken` does."""
        loop = asyncio.get_running_loop()
        loop.call_later(_HEAR_SECONDS, self._end_takers, pending)

    def _end_takers(self, pending: _Pending) -> None:
        """End all that may hold a job that was taken, and that nobody says to have."""
        if pending.taken_by is None and pending.number in self._pending:
            self._end_idle()

    def _end_idle(self) -> None:
        """End the processes that, as far as is known, have nothing to do."""
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
        self._suspect_untaken(below=number)  # jobs are taken in order
        pending = self._pending.get(number)
        if pending is None:
            return
        pending.taken_by, pending.taken_at = worker, time.monotonic()
        if worker.lost.is_set():  # it was ended meanwhile
            self._fail(pending)
        elif pending.answer.done():  # its deadline passed before this was known
            asyncio.get_running_loop().call_later(_REPORT_SECONDS, self._end_if_at, pending)

    def _suspect_untaken(self, below: int | None = None) -> None:
        """Give those who have taken jobs, and have not said so, a while to do it."""
        first = self._first_in_socket() if below is None else below
        suspects = [
            each for each in self._pending.values() if each.taken_by is None and each.number < first
        ]
        if suspects:
            loop = asyncio.get_running_loop()
            loop.call_later(_REPORT_SECONDS, self._hear_and_fail_untaken, suspects)

    def _hear_and_fail_untaken(self, suspects: list[_Pending]) -> None:
        """Let the event loop read what has come first: it may have been held up all the while."""
        loop = asyncio.get_running_loop()
        loop.call_later(_HEAR_SECONDS, self._fail_untaken, suspects)

    def _fail_untaken(self, suspects: list[_Pending]) -> None:
        """Fail jobs that were taken by a process that died before it could say so."""
        for pending in suspects:
            if pending.taken_by is None and pending.number in self._pending:
                self._fail(pending)

    def _end_if_at(self, pending: _Pending) -> None:
        """End a process that is still at a job that nobody waits for."""
        if pending.taken_by is not None and pending.number in self._pending:
            pending.taken_by.kill()

    def _first_in_socket(self) -> float:
        """Return the number of the job that is to be taken next, infinity where none waits."""
        try:
            packet = self.theirs.recv(
                messages.MAX_PACKET_BYTES, socket.MSG_PEEK | socket.MSG_DONTWAIT
            )
        except OSError:  # empty, or closed
            return math.inf
        numbered: messages.NumberedJob = messages.unpack_down(packet)
        return numbered.number

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
