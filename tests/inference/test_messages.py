"""Messages: what one process packs the other reads, in any pieces, and nothing but answers."""

import os
import pickle
import struct
from pathlib import Path

import pytest

from app import errors
from app.audio.limits import DecodeLimits
from app.audio.source import Source
from app.inference import messages
from app.inference.classification import Classification, StageSeconds, Window
from app.inference.compute import Job
from app.inference.messages import Answer, NumberedJob, Progress, Started
from app.inference.store import ModelReference, ModelStore

ANSWER = Answer(
    7,
    Classification(
        ModelReference("tiny", 1),
        4.0,
        True,
        {"tone": 0.75, "noise": 0.25},
        (Window(0.0, 3.5, (0.8, 0.2), silence=False),),
        False,
        0.4,
        StageSeconds(0.1, 0.05, 0.2, 0.3),
        Source("MP3", 44_100, 2),
    ),
    None,
)


def take(message: bytes) -> Started | Progress | None:
    return messages.take_up(bytearray(message))


@pytest.mark.parametrize("piece", [1, 3, 1000])
def test_what_comes_up_is_taken_from_pieces_of_any_size(piece: int) -> None:
    sent: list[Started | Progress] = [
        Started(None),
        Progress(None, 7),
        Progress(ANSWER, 8),
        Progress(None, None),
    ]
    stream = b"".join([messages.pack_up(message) for message in sent])
    received, taken = bytearray(), []
    for start in range(0, len(stream), piece):
        received += stream[start : start + piece]
        while (message := messages.take_up(received)) is not None:
            taken.append(message)
    assert taken == sent
    assert received == b""


@pytest.mark.parametrize(
    "error", [errors.NotAudioError("no audio"), errors.OverloadedError("full"), RuntimeError("why")]
)
def test_failures_arrive_as_they_were_raised(error: Exception) -> None:
    arrived = take(messages.pack_up(Progress(Answer(1, None, error), None)))
    assert isinstance(arrived, Progress)
    assert arrived.answer is not None
    assert type(arrived.answer.error) is type(error)
    assert str(arrived.answer.error) == str(error)


def test_jobs_go_down_as_packets() -> None:
    job = NumberedJob(3, Job(ModelReference("tiny", 1), 4096, 1000, DecodeLimits()), 12.5)
    packet = messages.pack_down(job)
    assert messages.unpack_down(packet) == job
    assert len(packet) < messages.MAX_PACKET_BYTES / 100


class Malice:
    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, ("harm",)


def framed(content: object) -> bytes:
    pickled = pickle.dumps(content)
    return struct.pack("!I", len(pickled)) + pickled


@pytest.mark.parametrize(
    "message",
    [
        framed(Malice()),
        framed(Started(ModelStore(Path("elsewhere")))),  # type: ignore[arg-type]
        framed((None, eval)),
        framed("only words"),
        framed(None),
        framed(Started(None))[:4].ljust(400, b"!"),
        b"\0\0\0\0",
    ],
    ids=["a call", "another class", "a function", "words", "nothing", "garbage", "no bytes"],
)
def test_what_is_no_message_is_refused(
    message: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(messages.UnexpectedMessageError):
        take(message)
    assert list(tmp_path.iterdir()) == []
