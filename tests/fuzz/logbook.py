"""What the fuzzing process leaves behind: its input and its counts, even where it is killed."""

import mmap
import struct
from pathlib import Path
from typing import Final, Self

_HEAD: Final = struct.Struct("<QdQ")  # inputs, seconds of the slowest, bytes of the last
_MAX_OUTCOMES: Final = 64
_COUNTS: Final = struct.Struct(f"<{_MAX_OUTCOMES}Q")
_DATA_START: Final = _HEAD.size + _COUNTS.size


class Logbook:
    """A file that two processes share.

    Args:
        path: the file.
        outcomes: what may come of an input.
        max_bytes: the largest input.

    Attributes:
        inputs: how many were begun.
        slowest_seconds: how long the slowest took, of those that ended.
        counts: how many came to each outcome.
    """

    def __init__(self, path: Path, outcomes: tuple[str, ...], max_bytes: int) -> None:
        self._outcomes = outcomes
        self._indices = {outcome: index for index, outcome in enumerate(outcomes)}
        size = _DATA_START + max_bytes
        if not path.exists():
            path.write_bytes(bytes(size))
        with path.open("r+b") as file:
            self._memory = mmap.mmap(file.fileno(), size)
        self.inputs = 0
        self.slowest_seconds = 0.0
        self._counts = [0] * _MAX_OUTCOMES
        self.read()

    def read(self) -> Self:
        """Take over what the other process has written."""
        self.inputs, self.slowest_seconds, self._last = _HEAD.unpack_from(self._memory)
        self._counts = list(_COUNTS.unpack_from(self._memory, _HEAD.size))
        return self

    def begin(self, data: bytes) -> None:
        """Write an input down before it is tried."""
        self.inputs += 1
        self._memory[_DATA_START : _DATA_START + len(data)] = data
        _HEAD.pack_into(self._memory, 0, self.inputs, self.slowest_seconds, len(data))

    def end(self, outcome: str, seconds: float) -> None:
        """Write down what came of the input."""
        index = self._indices[outcome]
        self._counts[index] += 1
        struct.pack_into("<Q", self._memory, _HEAD.size + 8 * index, self._counts[index])
        self.slowest_seconds = max(self.slowest_seconds, seconds)

    @property
    def counts(self) -> dict[str, int]:
        return {
            name: count for name, count in zip(self._outcomes, self._counts, strict=False) if count
        }

    @property
    def last_input(self) -> bytes:
        """The input that was tried last."""
        return self._memory[_DATA_START : _DATA_START + self._last]
