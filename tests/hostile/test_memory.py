"""How much memory and time the worst clips take that are accepted, with the default limits.

Measured on two processors: a compute process that has answered a few requests holds 110 MB (onnx)
or 620 MB (keras). Ten minutes add up to 155 MB, whatever the rate and the channels. The HTTP
process grows by the upload, and gives that back.
"""

import os
import struct
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final

import httpx
import numpy as np
import pytest

from app.audio.limits import DecodeLimits
from tests.conftest import SAMPLES
from tests.hostile.corpus import MEGABYTE, noise
from tests.hostile.forge import lengthened_ogg, ogg_pages, silent_flac
from tests.hostile.test_isolation import ticks
from tests.live_server import LiveServer, live_server
from tests.sounds import encode, noisy_sweep, patched

GOOD: Final = (SAMPLES / "siren.mp3").read_bytes()
LARGEST: Final = 24 * MEGABYTE + 900_000
LONGEST_SECONDS: Final = 599
MOST_MEMORY_OF_A_CLIP: Final = 200 * MEGABYTE
# What the HTTP process may take beside the upload itself: the pieces that it comes in.
MOST_MEMORY_OF_A_REQUEST: Final = 10 * MEGABYTE
TICKS_A_SECOND: Final = os.sysconf("SC_CLK_TCK")
# What the default deadline leaves to one clip on a processor that has other things to do.
MOST_SECONDS_OF_A_CLIP: Final = 20
# The slow clips are such a part of the longest and largest ones.
PART: Final = 20


@pytest.fixture(scope="module")
def lone_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """One compute process, so that it is known who works."""
    log = tmp_path_factory.mktemp("memory") / "log"
    with live_server(log, HARK_WORKERS="1", HARK_ENGINE="onnx") as running:
        yield running


@pytest.fixture
def lone_client(lone_server: LiveServer) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=lone_server.url, timeout=60) as http_client:
        for _ in range(3):
            assert post(http_client, GOOD).status_code == 200
        yield http_client


def post(client: httpx.Client, data: bytes) -> httpx.Response:
    return client.post("/v1/classify", files={"file": data})


class Memory:
    """The memory of a process, from now on."""

    def __init__(self, process_id: int) -> None:
        self._folder = Path(f"/proc/{process_id}")
        (self._folder / "clear_refs").write_text("5")  # the peak is counted from here, proc(5)
        self._before = self._status("VmRSS")

    @property
    def peak(self) -> int:
        """How many bytes more than in the beginning there were at most."""
        return self._status("VmHWM") - self._before

    @property
    def kept(self) -> int:
        """How many bytes more than in the beginning there are."""
        return self._status("VmRSS") - self._before

    def _status(self, name: str) -> int:
        lines = (self._folder / "status").read_text()
        return 1_024 * int(lines.split(name + ":")[1].split()[0])


def uniform(n_frames: int) -> np.ndarray[tuple[int], np.dtype[np.float64]]:
    return np.random.default_rng(0).uniform(-0.5, 0.5, n_frames)


def long_wav(rate: int, subtype: str) -> bytes:
    return encode(uniform(LONGEST_SECONDS * rate), rate, subtype=subtype)


def long_mp3() -> bytes:
    """Return the same ten seconds again and again, without the frames' number in the first one."""
    piece = encode(noisy_sweep(10, 48_000, 2), 48_000, "MP3", "MPEG_LAYER_III")
    return piece.replace(b"Xing", bytes(4)).replace(b"Info", bytes(4)) * 58


def silent_vorbis(seconds: float, channels: int) -> bytes:
    """Return silence at 384 kHz, which an encoder would not write but a decoder reads."""
    data = encode(np.zeros((2 * 192_000, channels)), 192_000, "OGG", "VORBIS")
    first = ogg_pages(data)[0]
    rate = first.content.index(struct.pack("<I", 192_000))
    forged = first._replace(content=patched(first.content, rate, struct.pack("<I", 384_000)))
    data = forged.to_bytes() + data[len(first.to_bytes()) :]
    return lengthened_ogg(data, seconds, 384_000, n_header_pages=2, packet_frames=1_024)


def silent_opus(seconds: float, channels: int) -> bytes:
    data = encode(np.zeros((2 * 48_000, channels)), 48_000, "OGG", "OPUS")
    return lengthened_ogg(data, seconds, 48_000, n_header_pages=2, packet_frames=960)


def noisy_opus(seconds: float) -> bytes:
    data = encode(noisy_sweep(3, 48_000, 16), 48_000, "OGG", "OPUS")
    return lengthened_ogg(data, seconds, 48_000, n_header_pages=2, packet_frames=960)


def noisy_au(encoding: int, rate: int, n_bytes: int) -> bytes:
    """Return noise in an encoding of telephones: 23 is G.721, 25 and 26 are G.723."""
    return b".snd" + struct.pack(">5I", 24, n_bytes, encoding, rate, 1) + noise(n_bytes)


LARGE: Final[dict[str, Callable[[], bytes]]] = {
    "flac, 4 channels at 48 kHz": lambda: silent_flac(LONGEST_SECONDS, 48_000, 4),
    "flac at 4 kHz": lambda: silent_flac(LONGEST_SECONDS, 4_000),
    "wav of floats": lambda: long_wav(10_380, "FLOAT"),
    "wav of 8 bits": lambda: long_wav(41_500, "PCM_U8"),
    "wav at the model's rate": lambda: long_wav(22_050, "PCM_U8"),
    "wav of doubles, 16 channels at 384 kHz": lambda: encode(
        uniform(16 * 194_000).reshape(-1, 16), 384_000, subtype="DOUBLE"
    ),
    "mp3": long_mp3,
}


@pytest.mark.parametrize("name", LARGE)
def test_the_largest_and_longest_clips_take_a_bounded_memory(
    lone_server: LiveServer, lone_client: httpx.Client, name: str
) -> None:
    data = LARGE[name]()
    assert len(data) < LARGEST + 100_000
    (worker,) = lone_server.worker_process_ids()
    compute, http = Memory(worker), Memory(lone_server.process.pid)
    response = post(lone_client, data)
    assert response.status_code == 200, response.text
    assert compute.peak < MOST_MEMORY_OF_A_CLIP
    assert http.peak < len(data) + MOST_MEMORY_OF_A_REQUEST
    assert http.kept < MOST_MEMORY_OF_A_REQUEST
    assert lone_server.worker_process_ids() == {worker}


def test_large_uploads_one_after_the_other_leave_nothing_behind(
    lone_server: LiveServer, lone_client: httpx.Client
) -> None:
    data = bytes(LARGEST)
    (worker,) = lone_server.worker_process_ids()
    assert post(lone_client, data).status_code == 415
    compute, http = Memory(worker), Memory(lone_server.process.pid)
    for _ in range(20):
        assert post(lone_client, data).status_code == 415
    assert http.peak < LARGEST + MOST_MEMORY_OF_A_REQUEST
    assert http.kept < MOST_MEMORY_OF_A_REQUEST
    assert compute.kept < MOST_MEMORY_OF_A_REQUEST


def test_large_uploads_at_a_time_take_what_they_hold_and_give_it_back(
    lone_server: LiveServer, lone_client: httpx.Client
) -> None:
    data = bytes(LARGEST)
    http = Memory(lone_server.process.pid)
    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda _: post(lone_client, data), range(8)))
    assert {answer.status_code for answer in answers} == {415}
    assert http.peak < 8 * (LARGEST + MOST_MEMORY_OF_A_REQUEST)
    # Of each of the eight blocks the first 2 MiB are kept for the next upload.
    assert http.kept < 8 * 2.2 * MEGABYTE + MOST_MEMORY_OF_A_REQUEST


def test_a_clip_that_is_too_long_takes_no_more_memory_than_the_longest_one(
    lone_server: LiveServer, lone_client: httpx.Client
) -> None:
    (worker,) = lone_server.worker_process_ids()
    compute = Memory(worker)
    response = post(lone_client, silent_flac(100_000, 8_000))
    assert response.json()["code"] == "audio_too_long"
    assert compute.peak < MOST_MEMORY_OF_A_CLIP


# But for HARK_MAX_SAMPLES and the list of accepted encodings, the last four would take 15, 21, 26
# and 28 seconds of an idle processor's time, and half as much again of a busy one's: beyond
# HARK_DEADLINE_SECONDS, so that one megabyte would cost a compute process.
SLOW: Final[dict[str, Callable[[], bytes]]] = {
    "flac, 8 channels at 384 kHz": lambda: silent_flac(LONGEST_SECONDS / PART, 384_000, 8),
    "noisy opus, 16 channels": lambda: noisy_opus(190 / PART),
    "silent opus, 16 channels": lambda: silent_opus(LONGEST_SECONDS / PART, 16),
    "g721": lambda: noisy_au(23, 83_000, LARGEST // PART),
    "silent vorbis, 16 channels at 384 kHz": lambda: silent_vorbis(LONGEST_SECONDS / PART, 16),
    "g723": lambda: noisy_au(25, 110_700, LARGEST // PART),
}


# How many samples those hold in whole that are given up before their end.
WHOLE_SAMPLES: Final = {
    "flac, 8 channels at 384 kHz": LONGEST_SECONDS * 384_000 * 8,
    "noisy opus, 16 channels": 190 * 48_000 * 16,
    "silent opus, 16 channels": LONGEST_SECONDS * 48_000 * 16,
    "silent vorbis, 16 channels at 384 kHz": LONGEST_SECONDS * 384_000 * 16,
}


@pytest.mark.parametrize("name", SLOW)
def test_the_slowest_clips_are_done_well_before_the_deadline(
    lone_server: LiveServer, lone_client: httpx.Client, name: str
) -> None:
    data = SLOW[name]()
    (worker,) = lone_server.worker_process_ids()
    before = ticks(worker)
    response = post(lone_client, data)
    assert response.status_code in {200, 422}, response.text  # or it is refused at once
    seconds = PART * (ticks(worker) - before) / TICKS_A_SECOND
    seconds *= min(1.0, DecodeLimits.max_samples / WHOLE_SAMPLES.get(name, 1))
    assert seconds < MOST_SECONDS_OF_A_CLIP
