"""JobQueue, where processes die or hang at moments that real ones cannot be brought to hit.

The processes here are scripted: they take jobs from the real socket and report when a test says so.
"""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, cast

import pytest

from app.audio.limits import DecodeLimits
from app.errors import DeadlineExceededError, WorkerCrashedError
from app.inference import messages
from app.inference.classification import Classification, StageSeconds
from app.inference.compute import Job
from app.inference.job_queue import JobQueue
from app.inference.store import ModelReference
from app.inference.worker_process import WorkerProcess

MODEL = ModelReference("tiny", 1)
JOB = Job(MODEL, 0, 100, DecodeLimits())
RESULT = Classification(MODEL, 1.0, False, {"tone": 1.0}, (), False, 0.0, StageSeconds(0, 0, 0, 0))


class ScriptedProcess:
    """What the queue sees of a process."""

    def __init__(self, queue: JobQueue) -> None:
        self.lost = asyncio.Event()
        self._queue = queue
        queue.on_ready(self._as_process)

    @property
    def _as_process(self) -> WorkerProcess:
        return cast("WorkerProcess", self)

    def take(self) -> int:
        """Take a job without saying so."""
        numbered: messages.NumberedJob = messages.unpack_down(self._queue.theirs.recv(65_536))
        return numbered.number

    def begin_next(self) -> int:
        """Take a job and say so."""
        number = self.take()
        self.report(taken=number)
        return number

    def report(self, answered: int | None = None, taken: int | None = None) -> None:
        answer = None if answered is None else messages.Answer(answered, RESULT, None)
        self._queue.on_progress(self._as_process, messages.Progress(answer, taken))

    def kill(self) -> None:
        self.lost.set()
        self._queue.on_lost(self._as_process)


Scenario = Callable[[JobQueue, list[str]], Coroutine[Any, Any, None]]


def play(scenario: Scenario, n_workers: int = 1) -> int:
    """Run a scenario and return how many uploads were given back."""
    settled: list[str] = []

    async def run() -> None:
        queue = JobQueue(n_workers)
        try:
            await scenario(queue, settled)
        finally:
            queue.close()

    asyncio.run(run())
    return len(settled)


def begin(
    queue: JobQueue, settled: list[str], seconds: float = 30
) -> "asyncio.Task[Classification]":
    return asyncio.create_task(queue.classify(JOB, seconds, lambda: settled.append("")))


def test_a_job_that_a_dying_process_took_unsaid_fails_soon_and_costs_no_other() -> None:
    async def scenario(queue: JobQueue, settled: list[str]) -> None:
        dying, healthy = ScriptedProcess(queue), ScriptedProcess(queue)
        swallowed = begin(queue, settled)
        await asyncio.sleep(0)
        dying.take()
        dying.kill()
        async with asyncio.timeout(5):
            with pytest.raises(WorkerCrashedError):
                await swallowed
        assert not healthy.lost.is_set()

    assert play(scenario, n_workers=2) == 1


def test_swallowed_jobs_leave_room_for_others() -> None:
    async def scenario(queue: JobQueue, settled: list[str]) -> None:
        for _ in range(2):  # as many as there is room for
            dying = ScriptedProcess(queue)
            swallowed = begin(queue, settled, seconds=0.05)
            await asyncio.sleep(0)
            dying.take()
            dying.kill()
            with pytest.raises((WorkerCrashedError, DeadlineExceededError)):
                await swallowed
        healthy = ScriptedProcess(queue)
        served = begin(queue, settled)
        await asyncio.sleep(3)
        number = healthy.begin_next()
        healthy.report(answered=number)
        assert await served == RESULT

    assert play(scenario) == 3


def test_an_answer_that_comes_with_its_deadline_is_given_and_kills_nobody() -> None:
    async def scenario(queue: JobQueue, settled: list[str]) -> None:
        process = ScriptedProcess(queue)
        first, second = begin(queue, settled, seconds=0.1), begin(queue, settled)
        await asyncio.sleep(0)
        number = process.begin_next()
        following = process.take()
        # In one turn of the loop, after the deadline's time and before its timer.
        asyncio.get_running_loop().call_later(0.09, process.report, number, following)
        await asyncio.sleep(0.05)
        blocked_until = asyncio.get_running_loop().time() + 0.2
        while asyncio.get_running_loop().time() < blocked_until:
            pass  # the loop lags
        assert await first == RESULT
        assert not process.lost.is_set()
        process.report(answered=following)
        assert await second == RESULT

    assert play(scenario) == 2


def test_a_process_that_hangs_over_a_job_given_up_before_is_ended() -> None:
    async def scenario(queue: JobQueue, settled: list[str]) -> None:
        process = ScriptedProcess(queue)
        first, second = begin(queue, settled), begin(queue, settled, seconds=0.1)
        await asyncio.sleep(0)
        number = process.begin_next()
        with pytest.raises(DeadlineExceededError, match="No process was free"):
            await second
        assert settled == []
        following = process.take()
        process.report(answered=number, taken=following)
        assert await first == RESULT
        async with asyncio.timeout(5):
            await process.lost.wait()

    assert play(scenario) == 2


def test_a_job_whose_time_was_short_ends_nobody() -> None:
    async def scenario(queue: JobQueue, settled: list[str]) -> None:
        idle = ScriptedProcess(queue)
        with pytest.raises(DeadlineExceededError, match="No process was free"):
            await begin(queue, settled, seconds=0.05)
        assert not idle.lost.is_set()
        idle.report(answered=idle.begin_next())
        assert settled == [""]

    play(scenario)


def test_a_job_that_lies_untouched_ends_those_who_do_nothing() -> None:
    async def scenario(queue: JobQueue, settled: list[str]) -> None:
        hanging = ScriptedProcess(queue)
        with pytest.raises(DeadlineExceededError, match="No process was free"):
            await begin(queue, settled, seconds=1.1)
        assert hanging.lost.is_set()
        assert settled == []  # the next process will find it
        successor = ScriptedProcess(queue)
        number = successor.begin_next()
        successor.report(answered=number)

    assert play(scenario) == 1
