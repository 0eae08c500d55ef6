"""How soon a live stream's result comes: within 150 ms at p95, while eight of them run."""

import asyncio
import json
import time
from collections.abc import Iterator
from typing import Final

import numpy as np
import pytest
from websockets.asyncio.client import ClientConnection, connect

from app.listen import SentChunks
from tests.clients.live_audio import END, QUICK, Sound, sound
from tests.live_server import LiveServer, live_server

N_STREAMS: Final = 8
SECONDS: Final = 10.0
CHUNK_SECONDS: Final = 0.02
HOP_SECONDS: Final = 0.5
P95_SECONDS: Final = 0.150


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    with live_server(tmp_path_factory.mktemp("latency") / "log", **QUICK) as running:
        yield running


def test_results_come_within_150_ms_while_eight_streams_run(server: LiveServer) -> None:
    audio = sound(SECONDS, 44_100)
    latencies = asyncio.run(run_streams(server, audio))
    assert len(latencies) == N_STREAMS * SECONDS / HOP_SECONDS
    p50, p95, worst = np.percentile(latencies, [50, 95, 100])
    print(f"p50 {1000 * p50:.0f} ms, p95 {1000 * p95:.0f} ms, max {1000 * worst:.0f} ms")
    assert p95 < P95_SECONDS


async def run_streams(server: LiveServer, audio: Sound) -> list[float]:
    """Stream a sound eight times at once, at real speed, and return all results' latencies."""
    streams = (latencies_of(server, audio, n / N_STREAMS) for n in range(N_STREAMS))
    return [seconds for found in await asyncio.gather(*streams) for seconds in found]


async def latencies_of(server: LiveServer, audio: Sound, phase: float) -> list[float]:
    """Stream a sound, and return how long each result took since its last chunk was sent."""
    await asyncio.sleep(phase * HOP_SECONDS)
    address = f"ws://127.0.0.1:{server.port}/v1/stream"
    async with connect(address, proxy=None, compression=None) as connection:
        first = {**audio.configuration, "hop_seconds": HOP_SECONDS}
        await connection.send(json.dumps(first))
        assert json.loads(await connection.recv())["type"] == "ready"
        sent = SentChunks()
        sending = asyncio.create_task(send(connection, audio, sent))
        latencies = []
        while (message := json.loads(await connection.recv()))["type"] == "result":
            latencies.append(sent.seconds_since(message["end_seconds"]))
        assert message["type"] == "done"
        await sending
    return latencies


async def send(connection: ClientConnection, audio: Sound, sent: SentChunks) -> None:
    began = time.monotonic()
    n_frames = round(CHUNK_SECONDS * audio.sample_rate)
    data = audio.data
    for start in range(0, len(data), 2 * n_frames):
        chunk = data[start : start + 2 * n_frames]
        end_seconds = (start + len(chunk)) / 2 / audio.sample_rate
        await asyncio.sleep(began + end_seconds - time.monotonic())
        sent.note(end_seconds)
        await connection.send(chunk)
    await connection.send(END)
