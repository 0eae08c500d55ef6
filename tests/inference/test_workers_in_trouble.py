"""Workers in trouble: processes that hang, die twice, are refused a model or never get to start."""

import asyncio
import os
import signal
import subprocess
import sys
import traceback
from collections.abc import Iterator
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from app.errors import CorruptArtifactError, DeadlineExceededError, ModelError, NotReadyError
from app.inference.store import ModelReference
from tests import processes
from tests.inference.worker_harness import Harness, frozen, until, worker_ids
from tests.tiny_model import TinyModel, sound, wav

NO_MODEL = ModelReference("tiny", 7)
CLIP = wav(sound("tone", seed=700, seconds=2.4))


@pytest.fixture
def quick_pool(tiny: TinyModel) -> Iterator[Harness]:
    """Two processes that load no model beforehand, and so are ready in no time."""
    with Harness(tiny.store, [], count=2) as harness:
        yield harness


async def answers(quick_pool: Harness) -> bool:
    """Whether a process answers: that it knows no such model."""
    with pytest.raises(ModelError, match="no manifest"):
        await quick_pool.classify(CLIP, model=NO_MODEL)
    return True


def test_a_process_that_was_replaced_takes_one_request_at_a_time(quick_pool: Harness) -> None:
    async def scenario() -> None:
        for process_id in worker_ids():
            os.kill(process_id, signal.SIGKILL)
        await until(lambda: not quick_pool.workers.ready)
        await quick_pool.ready(2)
        with frozen(worker_ids()):
            requests = [asyncio.create_task(quick_pool.classify(CLIP)) for _ in range(2)]
            await asyncio.sleep(0.1)
            with pytest.raises(DeadlineExceededError, match=r"No process was free within 0\.5 s"):
                async with asyncio.timeout(5):
                    await quick_pool.classify(CLIP, deadline_seconds=0.5)
        await asyncio.gather(*requests, return_exceptions=True)

    quick_pool.when_ready(2, scenario())


@pytest.fixture
def quick_keras_pool(tiny: TinyModel) -> Iterator[Harness]:
    """The same with Keras: to load a model, as the first request for it does, takes seconds."""
    with Harness(tiny.store, [], count=2, engine="keras") as harness:
        yield harness


@pytest.mark.parametrize("seconds_of_work", [0, 0.4], ids=["idle", "at work"])
def test_a_deadline_holds_even_where_a_process_hangs(
    quick_keras_pool: Harness, seconds_of_work: float
) -> None:
    """A frozen process stands for a decoder that hangs: it neither computes nor obeys.

    At work is one that loads a model.
    """

    async def seconds_until_given_up() -> float:
        started = monotonic()
        async with asyncio.timeout(5):
            with pytest.raises(DeadlineExceededError):
                # More than the second that a process has to say that it has taken a job.
                await quick_keras_pool.classify(CLIP, deadline_seconds=1.2)
        return monotonic() - started

    async def scenario() -> float:
        begun_before = asyncio.create_task(seconds_until_given_up()) if seconds_of_work else None
        await asyncio.sleep(seconds_of_work)
        hanging = worker_ids()
        with frozen(hanging):
            seconds = await (begun_before or seconds_until_given_up())
            # The one that had taken the request, or those that left it lying, are found out.
            await until(lambda: not hanging <= worker_ids(), seconds=20)
        # What hangs and was not found out, for it had nothing to do, is killed at the end.
        await until(lambda: len(quick_keras_pool.restarts) == 2)
        assert "hung" in quick_keras_pool.restarts
        return seconds

    assert quick_keras_pool.when_ready(2, scenario()) < 2
    assert quick_keras_pool.when_ready(1, answers(quick_keras_pool))


def test_stopping_while_they_start_leaves_no_process(tiny: TinyModel) -> None:
    others = worker_ids()
    with Harness(tiny.store, [tiny.reference], count=1, engine="keras") as starting:
        with pytest.raises(NotReadyError, match="is starting"):
            starting.run(starting.classify(CLIP))
        starting.run(until(lambda: worker_ids() > others))
        assert not starting.workers.ready
    assert worker_ids() <= others


def test_a_refused_model_is_told_and_nothing_is_ready(tiny: TinyModel, tmp_path: Path) -> None:
    model = tiny.copy_version(tmp_path) / "model.keras"
    model.write_bytes(model.read_bytes() + b"!")
    with Harness(tmp_path, [tiny.reference], count=1, engine="keras") as refused:
        refused.run(until(lambda: refused.workers.refusal is not None))
        assert isinstance(refused.workers.refusal, CorruptArtifactError)
        assert "tiny@1: model.keras" in str(refused.workers.refusal)
        assert refused.restarts == ["failed_to_load"]
        assert not refused.workers.ready
        assert error_lines_of(refused) == error_lines_of(refused)


def error_lines_of(refused: Harness) -> int:
    """How long the traceback is that a request gets: it must not grow with each."""
    with pytest.raises(CorruptArtifactError) as raised:
        refused.run(refused.classify(CLIP))
    return len(traceback.extract_tb(raised.value.__traceback__))


def test_an_unforeseen_failure_to_load_is_tried_again(
    tiny: TinyModel, caplog: pytest.LogCaptureFixture
) -> None:
    no_reference: Any = "tiny@1"
    with Harness(tiny.store, [no_reference], count=1) as failing:
        failing.run(until(lambda: bool(failing.restarts), seconds=10))
        assert failing.restarts == ["failed_to_load"]
        assert not failing.workers.ready
        assert len(worker_ids()) == 1
    assert "in _load" in caplog.text, "the trace did not travel from the other process"


def test_no_process_outlives_a_service_that_is_killed(tiny: TinyModel) -> None:
    """As the kernel does to one that runs out of memory: nothing of its own code runs then."""
    service = subprocess.Popen(
        [sys.executable, "-m", "app.cli", "serve", "--port", "0", "--workers", "2"],
        env={
            **os.environ,
            "HARK_ENGINE": "onnx",
            "HARK_MODEL_STORE": str(tiny.store),
            "HARK_DEFAULT_MODEL": "tiny",
        },
        stderr=subprocess.DEVNULL,
    )
    asyncio.run(until(lambda: len(processes.worker_ids(service.pid)) == 2))
    orphans = processes.worker_ids(service.pid)
    service.kill()
    service.wait()
    asyncio.run(until(lambda: not any(Path(f"/proc/{orphan}").exists() for orphan in orphans)))
