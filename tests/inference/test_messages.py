"""Messages: what one process packs the other reads, in any pieces, and nothing but answers."""

import io
import os
from pathlib import Path
from typing import Any

import pytest

from app import errors
from app.inference import messages
from app.inference.classification import Classification, StageSeconds
from app.inference.store import ModelReference, ModelStore

ANSWER = Classification(
    ModelReference("tiny", 1), 4.0, {"tone": 0.75, "noise": 0.25}, StageSeconds(0.1, 0.2, 0.3)
)


def take(message: bytes) -> Any:
    return messages.take_answer(bytearray(message))


@pytest.mark.parametrize("piece", [1, 3, 1000])
def test_answers_are_taken_from_pieces_of_any_size(piece: int) -> None:
    stream = messages.pack((ANSWER, None)) + messages.pack((None, None))
    received, taken = bytearray(), []
    for start in range(0, len(stream), piece):
        received += stream[start : start + piece]
        while (answer := messages.take_answer(received)) is not None:
            taken.append(answer)
    assert taken == [(ANSWER, None), (None, None)]
    assert received == b""


@pytest.mark.parametrize(
    "error", [errors.NotAudioError("no audio"), errors.OverloadedError("full"), RuntimeError("why")]
)
def test_failures_arrive_as_they_were_raised(error: Exception) -> None:
    _, arrived = take(messages.pack((None, error)))
    assert type(arrived) is type(error)
    assert str(arrived) == str(error)


def test_calls_are_read_until_the_other_side_is_gone() -> None:
    stream = io.BytesIO(messages.pack((ModelReference, "a")) + messages.pack((len, "b"))[:-1])
    assert messages.read_call(stream) == (ModelReference, "a")
    with pytest.raises(EOFError):
        messages.read_call(stream)


class Malice:
    def __reduce__(self) -> tuple[object, ...]:
        return os.mkdir, ("harm",)


@pytest.mark.parametrize(
    "message",
    [
        messages.pack(Malice()),
        messages.pack((None, ModelStore)),
        messages.pack((None, eval)),
        messages.pack((ANSWER, None))[:4].ljust(400, b"!"),
        b"\0\0\0\0",
    ],
    ids=["a call", "another class", "a function", "garbage", "nothing"],
)
def test_what_is_no_answer_is_refused(
    message: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(messages.UnexpectedMessageError):
        take(message)
    assert list(tmp_path.iterdir()) == []
