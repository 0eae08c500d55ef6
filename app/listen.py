"""`hark listen`: a microphone or a file, streamed to a service at real speed, as live bars."""

import asyncio
import json
import time
from collections import deque
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any, Final, Protocol, Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed, InvalidHandshake, InvalidURI

from app.audio_sources import Source

_BAR_WIDTH: Final = 30
_OPEN_SECONDS: Final = 10.0
_MAX_MESSAGE_BYTES: Final = 1_000_000


class ListenError(Exception):
    """Listening cannot go on; the message is a sentence for the person who does."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What is asked of a service: its address, a key, and options as its first message has them."""

    url: str
    api_key: str | None
    options: dict[str, Any]

    @property
    def address(self) -> str:
        """Where the service takes streams."""
        scheme, _, rest = self.url.rpartition("://")
        secure = scheme in ("https", "wss")
        return f"{'wss' if secure else 'ws'}://{rest.rstrip('/')}/v1/stream"


@dataclass(frozen=True, slots=True)
class Heard:
    """A result, and the seconds that passed since the chunk that completed its window was sent."""

    message: dict[str, Any]
    latency_seconds: float


class SentChunks:
    """When which part of a stream was sent."""

    def __init__(self) -> None:
        self._sent: deque[tuple[float, float]] = deque()

    def note(self, end_seconds: float) -> None:
        """Note that everything up to a time of the stream is sent now."""
        self._sent.append((end_seconds, time.monotonic()))

    def seconds_since(self, end_seconds: float) -> float:
        """Return how long ago the stream was sent up to a time; later calls ask for later times."""
        while len(self._sent) > 1 and self._sent[0][0] < end_seconds - 1e-6:
            self._sent.popleft()
        return time.monotonic() - self._sent[0][1]


class Display(Protocol):
    """What shows results."""

    def begin(self) -> None:
        """Say that the service listens."""

    def show(self, heard: Heard) -> None:
        """Show a result."""


async def listen(source: Source, wish: Wish, display: Display) -> None:
    """Stream a source to a service, and show each result as it comes.

    Raises:
        ListenError: the service cannot be reached, refuses the stream, or ends it.
        OSError: the source cannot be read.
    """
    headers = {"Authorization": f"Bearer {wish.api_key}"} if wish.api_key else None
    try:
        connection = await connect(
            wish.address,
            additional_headers=headers,
            open_timeout=_OPEN_SECONDS,
            max_size=_MAX_MESSAGE_BYTES,
            compression=None,
        )
    except (OSError, ValueError, InvalidHandshake, InvalidURI) as error:
        raise ListenError(
            f"The service at {wish.url} cannot be reached ({error}). Start one with `hark serve`, "
            "or name another one with --url."
        ) from error
    async with connection:
        await _converse(connection, source, wish, display)


async def _converse(
    connection: ClientConnection, source: Source, wish: Wish, display: Display
) -> None:
    sent = SentChunks()
    first = {
        **wish.options,
        "sample_rate": source.sample_rate_hz,
        "encoding": "pcm_s16le",
        "channels": 1,
    }
    try:
        await connection.send(json.dumps(first))
        await _receive(connection)  # that it is ready, before a microphone is opened
        display.begin()
        sending = asyncio.create_task(_send(connection, source.chunks(), sent))
        try:
            while (message := await _receive(connection))["type"] != "done":
                display.show(Heard(message, sent.seconds_since(message["end_seconds"])))
        finally:
            sending.cancel()
            (failure,) = await asyncio.gather(sending, return_exceptions=True)
        if isinstance(failure, Exception):
            raise failure
    except ConnectionClosed as closed:
        reason = closed.rcvd.reason if closed.rcvd else ""
        raise ListenError(
            f"The service has closed the stream{f' ({reason})' if reason else ''}."
        ) from closed


async def _send(
    connection: ClientConnection, chunks: AsyncIterator[tuple[float, bytes]], sent: SentChunks
) -> None:
    """Send chunks as they come, each with the time of the stream that it ends at."""
    try:
        async for end_seconds, chunk in chunks:
            sent.note(end_seconds)
            await connection.send(chunk)
    finally:
        await connection.send(json.dumps({"type": "end"}))


async def _receive(connection: ClientConnection) -> dict[str, Any]:
    message: dict[str, Any] = json.loads(await connection.recv())
    if message["type"] == "problem":
        raise ListenError(message["detail"])
    return message


class JsonLines:
    """Results as one JSON object a line."""

    def begin(self) -> None:
        pass

    def show(self, heard: Heard) -> None:
        line = {**heard.message, "latency_seconds": round(heard.latency_seconds, 4)}
        print(json.dumps(line), flush=True)


class BarChart:
    """Bars in a terminal, one for each label, which move with each result.

    A context: the terminal is given back when it ends.

    Args:
        console: the terminal.
        name: what is listened to.
    """

    def __init__(self, console: Console, name: str) -> None:
        self._name = name
        self._live = Live(
            Text(f"Listening to {name}; Ctrl-C ends it."), console=console, auto_refresh=False
        )

    def __enter__(self) -> Self:
        return self

    def begin(self) -> None:
        self._live.start(refresh=True)

    def __exit__(self, *_: object) -> None:
        self._live.stop()

    def show(self, heard: Heard) -> None:
        self._live.update(self._picture(heard), refresh=True)

    def _picture(self, heard: Heard) -> RenderableType:
        message = heard.message
        doubt = "silence" if message["silence"] else "not sure" if message["uncertain"] else ""
        heading = Text.assemble(
            (f"{self._name} ({message['model']['name']}@{message['model']['version']})  ", "dim"),
            f"{_clock(message['start_seconds'])} - {_clock(message['end_seconds'])}  ",
            (f"{1000 * heard.latency_seconds:.0f} ms", "dim"),
        )
        verdict = Text(doubt or message["label"], "bold yellow" if doubt else "bold green")
        return Group(heading, verdict, _bars(message, quiet=message["silence"]))


def _bars(message: dict[str, Any], *, quiet: bool) -> Table:
    """Draw the labels in the model's order, so that each bar stays where it is."""
    table = Table(show_header=False, box=None)
    for label, probability in message["probabilities"].items():
        told = 0.0 if quiet else probability
        bar = "█" * round(told * _BAR_WIDTH)
        first = label == message["label"] and not quiet
        table.add_row(
            Text(label, "bold" if first else ""),
            Text(f"{bar:<{_BAR_WIDTH}}", "green" if first else "cyan"),
            Text("" if quiet else f"{probability:6.1%}"),
        )
    return table


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{seconds % 60:04.1f}"
