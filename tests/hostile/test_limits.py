"""The limits that an operator may set are kept, and those that contradict each other are told."""

from collections.abc import Iterator
from pathlib import Path
from typing import Final

import httpx
import pytest

from tests.api.test_problems import check_problem
from tests.hostile.forge import silent_flac
from tests.live_server import LiveServer, live_server
from tests.sounds import encode, noisy_sweep

LIMITS: Final = {
    "HARK_MAX_AUDIO_SECONDS": "2.5",
    "HARK_MIN_SAMPLE_RATE_HZ": "8000",
    "HARK_MAX_SAMPLE_RATE_HZ": "48000",
    "HARK_MAX_CHANNELS": "2",
    "HARK_MAX_UPLOAD_BYTES": "1000000",
}


def clip(seconds: float, rate: int = 8_000, channels: int = 1) -> bytes:
    return encode(noisy_sweep(seconds, rate, channels), rate)


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    log = tmp_path_factory.mktemp("limits") / "log"
    with (
        live_server(log, HARK_WORKERS="1", HARK_ENGINE="onnx", **LIMITS) as server,
        httpx.Client(base_url=server.url, timeout=60) as http_client,
    ):
        yield http_client


def post(client: httpx.Client, data: bytes) -> httpx.Response:
    return client.post("/v1/classify", files={"file": data})


@pytest.mark.parametrize(
    "data",
    [clip(2.5), clip(0.1), clip(1, 8_000), clip(1, 48_000), clip(1, 48_000, 2)],
    ids=["longest", "short", "lowest rate", "highest rate", "most channels"],
)
def test_what_is_just_within_the_limits_is_served(client: httpx.Client, data: bytes) -> None:
    assert post(client, data).status_code == 200


@pytest.mark.parametrize(
    ("data", "code", "words"),
    [
        (clip(2.51), "audio_too_long", "2.5 seconds"),
        (silent_flac(600, 48_000, 2), "audio_too_long", "2.5 seconds"),
        (clip(1, 7_999), "sample_rate_out_of_range", "from 8000 to 48000 Hz"),
        (clip(1, 48_001), "sample_rate_out_of_range", "from 8000 to 48000 Hz"),
        (clip(1, 8_000, 3), "too_many_channels", "at most 2"),
    ],
    ids=["too long", "far too long", "rate too low", "rate too high", "too many channels"],
)
def test_what_is_just_beyond_the_limits_is_refused_and_the_limit_told(
    client: httpx.Client, data: bytes, code: str, words: str
) -> None:
    response = post(client, data)
    check_problem(response, 422, code)
    assert words in response.json()["detail"]


def test_the_largest_upload_is_counted_with_all_that_is_around_the_file(
    client: httpx.Client,
) -> None:
    around = len(httpx.Request("POST", client.base_url, files={"file": b""}).read())
    response = post(client, bytes(1_000_000 - around))
    check_problem(response, 415, "not_audio")
    response = post(client, bytes(1_000_000 - around + 1))
    check_problem(response, 413, "upload_too_large")
    assert "1 MB" in response.json()["detail"]


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        (
            {"HARK_MIN_SAMPLE_RATE_HZ": "48000", "HARK_MAX_SAMPLE_RATE_HZ": "44100"},
            "HARK_MIN_SAMPLE_RATE_HZ is above HARK_MAX_SAMPLE_RATE_HZ",
        ),
        (
            {"HARK_UPLOAD_SECONDS": "30", "HARK_DEADLINE_SECONDS": "30"},
            "HARK_UPLOAD_SECONDS leaves nothing of HARK_DEADLINE_SECONDS",
        ),
        ({"HARK_MAX_CHANNELS": "0"}, "HARK_MAX_CHANNELS: Input should be greater than"),
        ({"HARK_WORKER_MEMORY_BYTES": "1000"}, "HARK_WORKER_MEMORY_BYTES: Input should be"),
        ({"HARK_MAX_UPLOAD_BYTES": "much"}, "HARK_MAX_UPLOAD_BYTES: Input should be a valid"),
        ({"HARK_MAX_AUDIO_SECONDS": "nan"}, "HARK_MAX_AUDIO_SECONDS: "),
        ({"HARK_MAX_AUDIO_SECONDS": "inf"}, "HARK_MAX_AUDIO_SECONDS: "),
        ({"HARK_DEADLINE_SECONDS": "inf"}, "HARK_DEADLINE_SECONDS: "),
    ],
    ids=str,
)
def test_limits_that_are_none_stop_the_start_with_a_sentence(
    tmp_path: Path, settings: dict[str, str], sentence: str
) -> None:
    server = LiveServer({"HARK_ENGINE": "onnx", **settings}, tmp_path / "log")
    try:
        assert server.process.wait(timeout=10) == 1
    finally:
        server.process.kill()
        server.process.wait()
    (line,) = server.log.read_text().splitlines()
    assert line.startswith("hark: ")
    assert sentence in line
