"""A client of live streams for tests: opens them, sends audio, and collects what is said."""

import io
import json
import wave
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

import httpx
import numpy as np
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from tests.live_server import LiveServer
from tests.sounds import Samples, encode, noisy_sweep

END: Final = json.dumps({"type": "end"})
QUICK: Final = {"HARK_ENGINE": "onnx", "HARK_WORKERS": "2", "HARK_DRAIN_SECONDS": "0"}
SAME: Final = ("label", "silence", "uncertain", "probabilities", "top", "model")


@dataclass(frozen=True)
class Sound:
    """Samples `[frames, channels]`, and how they are to be sent."""

    samples: Samples
    sample_rate: int = 16_000
    encoding: str = "pcm_s16le"

    @property
    def configuration(self) -> dict[str, Any]:
        """The first message for it."""
        return {
            "sample_rate": self.sample_rate,
            "encoding": self.encoding,
            "channels": self.samples.shape[1],
        }

    @property
    def data(self) -> bytes:
        """The raw samples."""
        if self.encoding == "pcm_f32le":
            return self.samples.astype("<f4").tobytes()
        return np.rint(self.samples * 32_767).astype("<i2").tobytes()

    def wav(self, start_seconds: float, end_seconds: float) -> bytes:
        """The bytes of a file with a part of it, as others would write it."""
        start, end = (round(each * self.sample_rate) for each in (start_seconds, end_seconds))
        part = self.samples[start:end]
        if self.encoding == "pcm_f32le":
            return encode(part, self.sample_rate, "WAV", "FLOAT")
        buffer = io.BytesIO()
        with wave.open(buffer, "wb") as file:
            file.setnchannels(part.shape[1])
            file.setsampwidth(2)
            file.setframerate(self.sample_rate)
            file.writeframes(Sound(part, self.sample_rate).data)
        return buffer.getvalue()


def sound(seconds: float, sample_rate: int = 16_000, channels: int = 1, **others: Any) -> Sound:
    """Return a sweep under noise."""
    return Sound(noisy_sweep(seconds, sample_rate, channels), sample_rate, **others)


@dataclass
class Said:
    """All that a service said on a stream."""

    messages: list[dict[str, Any]] = field(default_factory=list)
    code: int = 0
    reason: str = ""

    def of_type(self, kind: str) -> list[dict[str, Any]]:
        return [message for message in self.messages if message["type"] == kind]

    @property
    def results(self) -> list[dict[str, Any]]:
        return self.of_type("result")

    @property
    def problem(self) -> dict[str, Any]:
        (problem,) = self.of_type("problem")
        assert self.messages[-1] is problem
        return problem


@contextmanager
def opened(server: LiveServer, **others: Any) -> Iterator[ClientConnection]:
    """Open a WebSocket."""
    address = f"ws://127.0.0.1:{server.port}/v1/stream"
    with connect(
        address, proxy=None, compression=None, max_size=None, max_queue=None, **others
    ) as connection:
        yield connection


@contextmanager
def ready(server: LiveServer, audio: Sound, **options: Any) -> Iterator[ClientConnection]:
    """Open a stream that audio may be sent to."""
    with opened(server) as connection:
        connection.send(json.dumps({**audio.configuration, **options}))
        answer = json.loads(connection.recv(timeout=10))
        assert answer["type"] == "ready", answer
        yield connection


def all_said(connection: ClientConnection) -> Said:
    """Read until the service closes the stream."""
    said = Said()
    try:
        while True:
            said.messages.append(json.loads(connection.recv(timeout=20)))
    except ConnectionClosed as closed:
        if closed.rcvd is not None:
            said.code, said.reason = closed.rcvd.code, closed.rcvd.reason
    return said


def conversation(server: LiveServer, *messages: str | bytes, **others: Any) -> Said:
    """Send messages, whatever comes back, and return all that does."""
    with opened(server, **others) as connection:
        try:
            for message in messages:
                connection.send(message)
        except ConnectionClosed:
            pass  # what was said before is to be read
        return all_said(connection)


def streamed(
    server: LiveServer, audio: Sound, chunk_bytes: int | None = None, **options: Any
) -> Said:
    """Stream a sound as fast as it is taken, to its end."""
    data = audio.data
    size = min(chunk_bytes or 1_000_000, max(1, len(data)))
    chunks = (data[start : start + size] for start in range(0, len(data), size))
    return conversation(server, json.dumps({**audio.configuration, **options}), *chunks, END)


def posted(server: LiveServer, wav: bytes, **options: Any) -> dict[str, Any]:
    """Return what POST /v1/classify says of a file."""
    answer = httpx.post(
        f"{server.url}/v1/classify", files={"file": wav}, params=options, timeout=60
    )
    assert answer.status_code == 200, answer.text
    content: dict[str, Any] = answer.json()
    return content


def metric(server: LiveServer, line: str) -> float:
    """Return a sample of /metrics, by its name and labels; 0 where there is none."""
    for found in httpx.get(f"{server.url}/metrics").text.splitlines():
        if found.startswith(f"{line} "):
            return float(found.rpartition(" ")[2])
    return 0.0
