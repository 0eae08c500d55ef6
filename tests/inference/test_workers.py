"""Workers: real compute processes that serve, are fed bad files, are killed and take too long.

The processes are started once: each test first waits until as many as it needs are ready again.
"""

import asyncio
import io
import os
import signal
from collections.abc import Callable, Coroutine, Iterator
from time import monotonic
from typing import Any

import numpy as np
import pytest
import soundfile

from app.errors import (
    AudioTooLongError,
    DeadlineExceededError,
    ModelError,
    NotAudioError,
    WorkerCrashedError,
)
from app.inference.classification import Classification
from app.inference.classifier import Classifier
from app.inference.store import ModelReference
from tests.inference.worker_harness import Harness, until, worker_ids
from tests.tiny_model import LABELS, TinyModel, sound, wav

BEGIN_SECONDS = 0.3  # for a request to reach its process


@pytest.fixture(scope="module")
def pool(tiny: TinyModel) -> Iterator[Harness]:
    """Two processes that serve the tiny model."""
    others = worker_ids()
    with Harness(tiny.store, [tiny.reference], count=2) as harness:
        yield harness
    assert worker_ids() <= others


@pytest.fixture(scope="module")
def long_clip() -> bytes:
    """Ten minutes of silence at 192 kHz: small to send, seconds to compute."""
    buffer = io.BytesIO()
    minute = np.zeros(60 * 192_000, dtype=np.int16)
    with soundfile.SoundFile(buffer, "w", 192_000, 1, format="FLAC") as file:
        for _ in range(10):
            file.write(minute)
    return buffer.getvalue()


def clip(label: str = "tone") -> bytes:
    return wav(sound(label, seed=700, seconds=2.4))


def test_all_are_ready(pool: Harness) -> None:
    pool.run(pool.ready(2))
    assert pool.workers.ready
    assert pool.workers.count == pool.workers.ready_count == len(worker_ids()) == 2
    assert pool.workers.refusal is None


@pytest.mark.parametrize("label", LABELS)
def test_a_process_answers_as_the_classifier_does(
    pool: Harness, tiny: TinyModel, label: str
) -> None:
    answer = pool.when_ready(2, pool.classify(clip(label)))
    expected = Classifier.load(tiny.open(), "onnx").classify(clip(label))
    assert answer.label == label
    assert tuple(answer.probabilities) == LABELS
    assert answer.probabilities == pytest.approx(expected.probabilities, abs=1e-6)
    assert (answer.model, answer.duration_seconds) == (expected.model, expected.duration_seconds)


def test_many_requests_at_once_get_each_its_own_answer(pool: Harness) -> None:
    async def eight_requests() -> list[Classification]:
        return await asyncio.gather(*(pool.classify(clip(LABELS[i % 3])) for i in range(8)))

    answers = pool.when_ready(2, eight_requests())
    assert [answer.label for answer in answers] == [LABELS[i % 3] for i in range(8)]


@pytest.mark.parametrize(
    ("request_of", "expected"),
    [
        (lambda pool: pool.classify(b"no sound" * 1000), NotAudioError),
        (lambda pool: pool.classify(clip(), max_seconds=1), AudioTooLongError),
        (lambda pool: pool.classify(clip(), model=ModelReference("tiny", 7)), ModelError),
    ],
    ids=["not audio", "too long", "no such version"],
)
def test_a_bad_request_is_refused_and_its_process_lives_on(
    pool: Harness,
    request_of: Callable[[Harness], Coroutine[Any, Any, Classification]],
    expected: type[Exception],
) -> None:
    pool.run(pool.ready(2))
    before, restarts = worker_ids(), len(pool.restarts)
    for _ in range(3):  # more than there are processes: each gets one
        with pytest.raises(expected):
            pool.run(request_of(pool))
    assert pool.run(pool.classify(clip())).label == "tone"
    assert worker_ids() == before
    assert len(pool.restarts) == restarts


def test_an_idle_process_that_dies_is_replaced_while_others_go_on(pool: Harness) -> None:
    async def scenario() -> None:
        dead = min(worker_ids())
        os.kill(dead, signal.SIGKILL)
        await until(lambda: pool.workers.ready_count == 1)
        await until(lambda: len(worker_ids() - {dead}) == 2)
        # More than there are processes: none may be sent to the one that is still loading.
        assert [(await pool.classify(clip())).label for _ in range(4)] == ["tone"] * 4
        assert pool.workers.ready
        assert pool.workers.ready_count == 1
        await pool.ready(2)
        assert dead not in worker_ids()
        assert pool.restarts[-1] == "crashed"

    pool.when_ready(2, scenario())
    assert pool.run(pool.classify(clip())).label == "tone"


def test_a_process_that_dies_costs_its_own_request_only(pool: Harness, long_clip: bytes) -> None:
    async def scenario() -> list[Classification | BaseException]:
        requests = [asyncio.create_task(pool.classify(long_clip)) for _ in range(2)]
        waiting = asyncio.create_task(pool.classify(clip()))
        await asyncio.sleep(BEGIN_SECONDS)
        os.kill(min(worker_ids()), signal.SIGKILL)
        return await asyncio.gather(*requests, waiting, return_exceptions=True)

    *long_answers, waited = pool.when_ready(2, scenario())
    crashed = [answer for answer in long_answers if isinstance(answer, WorkerCrashedError)]
    answered = [answer for answer in long_answers if isinstance(answer, Classification)]
    assert len(crashed) == len(answered) == 1
    assert "convert it to WAV" in str(crashed[0])
    assert answered[0].duration_seconds == 600
    assert isinstance(waited, Classification)


def test_an_upload_is_not_given_back_while_it_may_still_be_read(
    pool: Harness, long_clip: bytes
) -> None:
    """A request that is given up in the queue leaves its job there, for a process to take."""

    async def scenario() -> None:
        before = pool.settled
        long_requests = [asyncio.create_task(pool.classify(long_clip)) for _ in range(2)]
        await asyncio.sleep(BEGIN_SECONDS)
        with pytest.raises(DeadlineExceededError, match=r"No process was free within 0\.2 s"):
            await pool.classify(clip(), deadline_seconds=0.2)
        assert pool.settled == before
        await asyncio.gather(*long_requests)
        await until(lambda: pool.settled == before + 3)

    restarts = len(pool.restarts)
    pool.when_ready(2, scenario())
    assert len(pool.restarts) == restarts


@pytest.mark.parametrize("n_requests", [1, 8])
def test_every_upload_is_given_back_once(pool: Harness, n_requests: int) -> None:
    async def scenario() -> None:
        before = pool.settled
        for data in (clip(), b"no sound" * 100):
            requests = [pool.classify(data) for _ in range(n_requests)]
            await asyncio.gather(*requests, return_exceptions=True)
        assert pool.settled == before + 2 * n_requests

    pool.when_ready(2, scenario())


def test_a_request_that_takes_too_long_is_given_up_and_its_process_replaced(
    pool: Harness, long_clip: bytes
) -> None:
    async def scenario() -> None:
        before, restarts = worker_ids(), len(pool.restarts)
        started = monotonic()
        with pytest.raises(DeadlineExceededError, match=r"longer than 0\.\d+ seconds.*given up"):
            await pool.classify(long_clip, deadline_seconds=0.5)
        assert monotonic() - started < 2
        await until(lambda: len(before - worker_ids()) == 1)
        await until(lambda: len(pool.restarts) == restarts + 1)
        await until(lambda: len(worker_ids() - before) == 1)

    pool.when_ready(1, scenario())
