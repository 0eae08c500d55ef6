"""Messages between the HTTP process and a compute process: pickled, each behind its length.

A compute process decodes what strangers send. What it answers is therefore read with care: a pickle
may name any function to be called, and here only the few classes that an answer is made of.
"""

import io
import pickle
import struct
from collections.abc import Iterator
from typing import Any, BinaryIO, Final

from app.errors import HarkError
from app.inference.classification import Classification, StageSeconds
from app.inference.store import ModelReference

_LENGTH: Final = struct.Struct("!I")


class UnexpectedMessageError(Exception):
    """A compute process sent what is no answer."""


def pack(content: object) -> bytes:
    """Return the bytes of a message."""
    pickled = pickle.dumps(content, pickle.HIGHEST_PROTOCOL)
    return _LENGTH.pack(len(pickled)) + pickled


def read_call(stream: BinaryIO) -> Any:
    """Wait for a message of the HTTP process, and return what is in it.

    Raises:
        EOFError: the other side is gone.
    """
    (length,) = _LENGTH.unpack(_read_exactly(stream, _LENGTH.size))
    return pickle.loads(_read_exactly(stream, length))  # noqa: S301  # from the process above this


def take_answer(received: bytearray) -> Any | None:
    """Remove the first message from `received` and return what is in it; None until it is whole.

    Raises:
        UnexpectedMessageError: it is no answer.
    """
    if len(received) < _LENGTH.size:
        return None
    end = _LENGTH.size + _LENGTH.unpack_from(received)[0]
    if len(received) < end:
        return None
    pickled = bytes(received[_LENGTH.size : end])
    del received[:end]
    try:
        return _AnswerUnpickler(io.BytesIO(pickled)).load()
    except Exception as error:  # whatever a damaged or hostile pickle raises
        raise UnexpectedMessageError(str(error)) from error


class _AnswerUnpickler(pickle.Unpickler):
    """Reads answers, failures included, and nothing else."""

    def find_class(self, module_name: str, global_name: str) -> Any:
        try:
            return _ANSWERS[module_name, global_name]
        except KeyError:
            raise pickle.UnpicklingError(f"{module_name}.{global_name} in an answer") from None


def _with_subclasses(error_type: type[Exception]) -> Iterator[type[Exception]]:
    yield error_type
    for subclass in error_type.__subclasses__():
        yield from _with_subclasses(subclass)


_ANSWERS: Final[dict[tuple[str, str], type]] = {
    (part.__module__, part.__qualname__): part
    for part in (
        *(Classification, StageSeconds, ModelReference, RuntimeError),
        *_with_subclasses(HarkError),
    )
}


def _read_exactly(stream: BinaryIO, n_bytes: int) -> bytes:
    data = stream.read(n_bytes)
    if len(data) < n_bytes:
        raise EOFError
    return data
