"""Messages between the HTTP process and its compute processes, pickled.

Jobs go out as packets through one socket that all compute processes read. What comes back, through
a socket of each process's own, stands behind its length.

A compute process decodes what strangers send. What it says is therefore read with care: a pickle
may name any function to be called, and here only the few classes that an answer is made of.
"""

import io
import pickle
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from app.audio.source import Source
from app.errors import HarkError
from app.inference.classification import Classification, StageSeconds, Window
from app.inference.compute import Job, Start
from app.inference.store import ModelReference

MAX_PACKET_BYTES: Final = 65_536
MAX_MESSAGE_BYTES: Final = 50_000_000  # of an answer of 5 000 windows and 1 000 labels

_LENGTH: Final = struct.Struct("!I")


@dataclass(frozen=True)  # without slots, as all that is pickled with each request
class NumberedJob:
    """A job under the number by which it is answered.

    Attributes:
        number: greater than that of every job sent before.
        job: what to do.
        give_up_at: when nobody waits for it any more, on the system's monotonic clock.
    """

    number: int
    job: Job
    give_up_at: float


@dataclass(frozen=True)
class Answer:
    """What became of a job: a classification, or the reason why there is none."""

    number: int
    result: Classification | None
    error: Exception | None


@dataclass(frozen=True)
class Progress:
    """What a compute process reports.

    Attributes:
        answer: of the job before.
        taken: the number of the job that it works on next.
    """

    answer: Answer | None
    taken: int | None


@dataclass(frozen=True)
class Started:
    """A compute process has loaded its models, or could not.

    Attributes:
        error: why it could not.
        load_seconds: how long each model took that it has loaded for this message.
    """

    error: Exception | None
    load_seconds: dict[ModelReference, float] = field(default_factory=dict)


class UnexpectedMessageError(Exception):
    """A compute process sent what is no message of its kind."""


def pack_down(content: Start | NumberedJob) -> bytes:
    """Return the packet of a message to compute processes."""
    return pickle.dumps(content, pickle.HIGHEST_PROTOCOL)


def unpack_down(packet: bytes) -> Any:
    """Return what is in a packet of the HTTP process."""
    return pickle.loads(packet)  # noqa: S301  # from the process above this one


def pack_up(content: Started | Progress) -> bytes:
    """Return the bytes of a message to the HTTP process."""
    pickled = pickle.dumps(content, pickle.HIGHEST_PROTOCOL)
    return _LENGTH.pack(len(pickled)) + pickled


def take_up(received: bytearray) -> Started | Progress | None:
    """Remove the first message from `received` and return what is in it; None until it is whole.

    Raises:
        UnexpectedMessageError: it is no message of a compute process.
    """
    if len(received) < _LENGTH.size:
        return None
    length = _LENGTH.unpack_from(received)[0]
    if length > MAX_MESSAGE_BYTES:
        raise UnexpectedMessageError(f"a message of {length} bytes")
    end = _LENGTH.size + length
    if len(received) < end:
        return None
    pickled = bytes(received[_LENGTH.size : end])
    del received[:end]
    try:
        content = _Unpickler(io.BytesIO(pickled)).load()
    except Exception as error:  # whatever a damaged or hostile pickle raises
        raise UnexpectedMessageError(str(error)) from error
    if not isinstance(content, Started | Progress):
        raise UnexpectedMessageError(f"a {type(content).__name__}")
    return content


class _Unpickler(pickle.Unpickler):
    """Makes what answers are made of, failures included, and nothing else."""

    def find_class(self, module_name: str, global_name: str) -> Any:
        try:
            return _KNOWN[module_name, global_name]
        except KeyError:
            raise pickle.UnpicklingError(f"{module_name}.{global_name} in a message") from None


def _with_subclasses(error_type: type[Exception]) -> Iterator[type[Exception]]:
    yield error_type
    for subclass in error_type.__subclasses__():
        yield from _with_subclasses(subclass)


_KNOWN: Final[dict[tuple[str, str], type]] = {
    (part.__module__, part.__qualname__): part
    for part in (
        *(Started, Progress, Answer, RuntimeError),
        *(Classification, Window, StageSeconds, Source, ModelReference),
        *_with_subclasses(HarkError),
    )
}
