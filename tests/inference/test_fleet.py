"""Fleet: real compute processes that are exchanged for others, with work in hand or without."""

import asyncio
import os
import signal
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, TypeVar

import pytest

from app.audio.limits import DecodeLimits
from app.errors import (
    CorruptArtifactError,
    HarkError,
    ProbeMismatchError,
    WorkerCrashedError,
)
from app.inference.arena import Arena
from app.inference.classification import Classification
from app.inference.compute import Job
from app.inference.fleet import Fleet
from app.inference.store import ModelReference
from app.inference.workers import Workers
from tests.inference.worker_harness import frozen, until, worker_ids
from tests.two_versions import (
    NAME,
    SIREN,
    TwoVersions,
    label_of_siren,
    with_flipped_byte,
    with_other_probe,
)

COUNT = 2
ONE, TWO, THREE = (ModelReference(NAME, version) for version in (1, 2, 3))

Result = TypeVar("Result")


@dataclass
class FleetHarness:
    """A fleet, the memory that its processes read, and an event loop that runs while a test does.

    The models are the shipped one's and run by ONNX Runtime, so that processes start in a second.
    """

    store: TwoVersions
    settled: int = 0
    swapped: list[bool] = field(default_factory=list)

    def __enter__(self) -> Self:
        self.others = worker_ids()
        self.runner = asyncio.Runner()
        self.arena = Arena(n_blocks=8, block_bytes=1_000_000)
        self.run(self._start())
        return self

    def __exit__(self, *_: object) -> None:
        self.run(self.fleet.stop())
        self.runner.close()
        self.arena.close()

    async def _start(self) -> None:
        self.fleet = Fleet(self._make_workers, [ONE])
        self.fleet.start()
        await until(lambda: self.fleet.workers.ready)

    def _make_workers(self, models: list[ModelReference]) -> Workers:
        uploads = self.arena.share()
        return Workers(COUNT, self.store.root, "onnx", models, uploads, 1_000_000_000)

    def run(self, scenario: Coroutine[Any, Any, Result]) -> Result:
        return self.runner.run(scenario)

    def processes(self) -> set[int]:
        return worker_ids() - self.others

    async def change(self, *models: ModelReference) -> None:
        """Change to other models, and note whether they were ready when they took over."""
        await self.fleet.change(
            list(models), lambda: self.swapped.append(self.fleet.workers.ready_count == COUNT)
        )

    async def classify(self, model: ModelReference = ONE) -> Classification:
        block = self.arena.take()
        block.write(SIREN)
        job = Job(model, block.offset, block.length, DecodeLimits())

        def on_settled() -> None:
            self.settled += 1
            self.arena.give_back(block)

        return await self.fleet.classify(job, 60, on_settled)

    async def version_that_answers(self, model: ModelReference) -> int:
        answer = await self.classify(model)
        assert answer.label == label_of_siren(answer.model.version)
        return answer.model.version

    async def old_ones_are_gone(self, old: set[int]) -> None:
        await until(lambda: not old & worker_ids() and len(self.processes()) == COUNT)


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[FleetHarness]:
    store = TwoVersions(tmp_path)
    store.add(2)
    with FleetHarness(store) as running:
        yield running
    assert running.processes() == set()


def test_a_change_brings_new_processes_that_are_ready_when_they_take_over(
    harness: FleetHarness,
) -> None:
    async def scenario() -> None:
        old, workers = harness.processes(), harness.fleet.workers
        assert len(old) == COUNT
        assert await harness.version_that_answers(ONE) == 1
        await harness.change(TWO)
        assert harness.swapped == [True]
        assert harness.fleet.workers is not workers
        assert await harness.version_that_answers(TWO) == 2
        await harness.old_ones_are_gone(old)
        # What does not serve any more can still be asked for.
        assert await harness.version_that_answers(ONE) == 1

    harness.run(scenario())


def test_the_old_processes_answer_until_the_new_ones_are_ready(harness: FleetHarness) -> None:
    async def scenario() -> None:
        old = harness.processes()
        change = asyncio.create_task(harness.change(TWO))
        n_answers = 0
        while not change.done():
            assert await harness.version_that_answers(ONE) == 1
            n_answers += 1
        await change
        assert n_answers > 10, "requests waited for the change"
        await harness.old_ones_are_gone(old)

    harness.run(scenario())


def test_work_in_hand_is_finished_by_those_who_have_it(harness: FleetHarness) -> None:
    async def scenario() -> None:
        old = harness.processes()
        with frozen(old):
            # More than there are processes: some are in hand, some wait.
            held = [asyncio.create_task(harness.classify()) for _ in range(COUNT + 2)]
            await asyncio.sleep(0)
            await harness.change(TWO)
            assert await harness.version_that_answers(TWO) == 2
            assert not any(request.done() for request in held)
            assert old <= harness.processes()
            for process_id in old:
                os.kill(process_id, signal.SIGCONT)
            answers = await asyncio.gather(*held)
        assert [answer.model for answer in answers] == [ONE] * len(held)
        await harness.old_ones_are_gone(old)
        assert harness.settled == len(held) + 1

    harness.run(scenario())


def test_there_are_never_more_than_two_generations(harness: FleetHarness) -> None:
    async def scenario() -> None:
        old = harness.processes()
        with frozen(old):
            held = asyncio.create_task(harness.classify())
            await asyncio.sleep(0)
            await harness.change(TWO)
            second = asyncio.create_task(harness.change(ONE))
            for _ in range(20):
                await asyncio.sleep(0.05)
                assert len(harness.processes()) <= 2 * COUNT
            assert not second.done()
            assert await harness.version_that_answers(TWO) == 2
            for process_id in old:
                os.kill(process_id, signal.SIGCONT)
            await asyncio.gather(held, second)
        assert harness.swapped == [True, True]
        assert await harness.version_that_answers(ONE) == 1
        await until(lambda: len(harness.processes()) == COUNT)

    harness.run(scenario())


@pytest.mark.parametrize(
    ("prepare", "expected"),
    [
        (lambda store: store.add(3, damage=with_other_probe), ProbeMismatchError),
        (lambda store: store.add(3, damage=with_flipped_byte("model.onnx")), CorruptArtifactError),
        (lambda store: None, HarkError),
    ],
    ids=["another answer to the probe", "a damaged file", "not there"],
)
def test_a_version_that_cannot_be_loaded_touches_nothing(
    harness: FleetHarness, prepare: Callable[[TwoVersions], object], expected: type[HarkError]
) -> None:
    prepare(harness.store)

    async def scenario() -> None:
        old, workers = harness.processes(), harness.fleet.workers
        with pytest.raises(expected, match=f"{NAME}@3"):
            await harness.change(ONE, THREE)
        assert harness.swapped == []
        assert harness.fleet.workers is workers
        assert harness.processes() == old
        assert await harness.version_that_answers(ONE) == 1
        await harness.change(TWO)
        assert await harness.version_that_answers(TWO) == 2

    harness.run(scenario())


def test_a_process_that_dies_as_it_loads_touches_nothing(harness: FleetHarness) -> None:
    async def scenario() -> None:
        old = harness.processes()
        change = asyncio.create_task(harness.change(TWO))
        await until(lambda: bool(harness.processes() - old))
        for process_id in harness.processes() - old:
            os.kill(process_id, signal.SIGKILL)
        with pytest.raises(WorkerCrashedError):
            await change
        assert harness.swapped == []
        assert harness.processes() == old
        assert await harness.version_that_answers(ONE) == 1

    harness.run(scenario())


def test_a_change_that_is_given_up_leaves_no_process(harness: FleetHarness) -> None:
    async def scenario() -> None:
        old = harness.processes()
        change = asyncio.create_task(harness.change(TWO))
        await until(lambda: len(harness.processes()) > COUNT)
        change.cancel()
        with pytest.raises(asyncio.CancelledError):
            await change
        assert harness.processes() == old
        assert await harness.version_that_answers(ONE) == 1

    harness.run(scenario())


def test_a_change_can_be_given_up_at_any_moment_of_its_beginning(harness: FleetHarness) -> None:
    """Also where a process has been started, and is not known to its keeper yet."""

    async def scenario() -> None:
        old = harness.processes()
        left = []
        for n_turns in range(8):
            change = asyncio.create_task(harness.change(TWO))
            for _ in range(n_turns):
                await asyncio.sleep(0)
            change.cancel()
            await asyncio.gather(change, return_exceptions=True)
            if harness.processes() != old:
                left.append(n_turns)
                # They end by themselves some time after: each attempt begins without them.
                await until(lambda: harness.processes() == old)
        assert left == []

    harness.run(scenario())


def test_stopping_during_a_change_leaves_no_process(harness: FleetHarness) -> None:
    async def scenario() -> None:
        change = asyncio.create_task(harness.change(TWO))
        await until(lambda: len(harness.processes()) > COUNT)
        await harness.fleet.stop()
        assert harness.processes() == set()
        change.cancel()
        await asyncio.gather(change, return_exceptions=True)
        assert harness.swapped == []

    harness.run(scenario())


@pytest.mark.parametrize("seconds_later", [0.2, 0], ids=["later", "in the same instant"])
def test_stopping_while_old_processes_have_work_ends_them_and_settles_it(
    harness: FleetHarness, seconds_later: float
) -> None:
    async def scenario() -> None:
        old = harness.processes()
        with frozen(old):
            held = asyncio.create_task(harness.classify())
            await asyncio.sleep(0)
            await harness.change(TWO)
            assert harness.settled == 0
            if seconds_later:
                await asyncio.sleep(seconds_later)
            async with asyncio.timeout(20):
                await harness.fleet.stop()
            async with asyncio.timeout(5):
                with pytest.raises(WorkerCrashedError):
                    await held
        assert harness.settled == 1
        assert harness.processes() == set()

    harness.run(scenario())


def test_a_request_for_what_is_not_there_fails_alone(harness: FleetHarness) -> None:
    async def scenario() -> None:
        with pytest.raises(HarkError, match=f"{NAME}@9"):
            await harness.classify(ModelReference(NAME, 9))
        assert await harness.version_that_answers(ONE) == 1
        assert harness.settled == 2

    harness.run(scenario())
