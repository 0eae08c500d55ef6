"""Streams: how many live streams there are, and the word to all of them that they are to end."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Protocol

from app.errors import TooManyStreamsError


class Stoppable(Protocol):
    """A stream that can be told to end."""

    def stop(self) -> None:
        """End it soon; returns at once."""


class Streams:
    """The live streams of this process.

    Args:
        max_open: how many may be answered at a time.

    Attributes:
        n_open: how many are.
    """

    def __init__(self, max_open: int) -> None:
        self._max_open = max_open
        self._connected: set[Stoppable] = set()
        self._stopping = False
        self.n_open = 0

    @contextmanager
    def connected(self, stream: Stoppable) -> Iterator[None]:
        """Tell a stream to end, if that comes to pass within this context."""
        self._connected.add(stream)
        if self._stopping:
            stream.stop()
        try:
            yield
        finally:
            self._connected.discard(stream)

    @contextmanager
    def place(self) -> Iterator[None]:
        """Hold one of the places, for as long as the context lasts.

        Raises:
            TooManyStreamsError: all are taken.
        """
        if self.n_open >= self._max_open:
            raise TooManyStreamsError(
                f"{self._max_open} live streams are open, which is all that this service takes. "
                "Try again later."
            )
        self.n_open += 1
        try:
            yield
        finally:
            self.n_open -= 1

    def stop(self) -> None:
        """Tell all streams to end, and those that are still to come."""
        self._stopping = True
        for stream in self._connected:
            stream.stop()
