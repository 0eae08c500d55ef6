"""POST /v1/classify/batch: many files in one request, each for itself."""

import subprocess
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.conftest import SAMPLES
from tests.live_server import LiveServer, live_server
from tests.sounds import encode, noisy_sweep, tone

BATCH = "/v1/classify/batch"
PATHS = sorted(SAMPLES.glob("*.mp3"))


def parts(*contents: bytes) -> list[tuple[str, tuple[str, bytes]]]:
    return [("file", (f"{place}.bin", content)) for place, content in enumerate(contents)]


def answers(response: httpx.Response) -> list[dict[str, Any]]:
    assert response.status_code == 200, response.text
    results: list[dict[str, Any]] = response.json()["results"]
    return results


def test_each_file_gets_its_own_answer_in_order(client: httpx.Client) -> None:
    contents = [path.read_bytes() for path in PATHS]
    results = answers(client.post(BATCH, files=parts(*contents)))
    alone = [client.post("/v1/classify", content=content).json() for content in contents]
    assert [result["answer"] for result in results] == alone
    assert len({each["label"] for each in alone}) > 3


def test_one_bad_file_spoils_nothing(client: httpx.Client) -> None:
    good = PATHS[0].read_bytes()
    results = answers(client.post(BATCH, files=parts(b"no sound", good, b"", good[:40], good)))
    codes = [result.get("problem", {}).get("code") for result in results]
    assert codes == ["not_audio", None, "empty_audio", "not_audio", None]
    assert results[1] == results[4]
    assert set(results[1]) == {"answer"}
    assert "Send WAV" in results[0]["problem"]["detail"]


def test_options_hold_for_every_file(client: httpx.Client) -> None:
    sound = encode(tone(6.0, 8_000), 8_000)
    url = "/v1/models/urbansound/versions/1/classify/batch"
    response = client.post(url, data={"windows": "true", "top_k": "1"}, files=parts(sound, sound))
    for result in answers(response):
        assert len(result["answer"]["top"]) == 1
        assert len(result["answer"]["windows"]) == 2


def test_sixty_four_files_are_classified_and_one_more_is_refused(client: httpx.Client) -> None:
    sounds = [encode(tone(0.1 + 0.01 * place, 8_000), 8_000) for place in range(65)]
    results = answers(client.post(BATCH, files=parts(*sounds[:64])))
    durations = [result["answer"]["duration_seconds"] for result in results]
    assert durations == pytest.approx([0.1 + 0.01 * place for place in range(64)], abs=1e-3)
    refused = client.post(BATCH, files=parts(*sounds))
    assert (refused.status_code, refused.json()["code"]) == (413, "too_many_parts")
    assert "more than 64" in refused.json()["detail"]


@pytest.mark.parametrize(
    ("request_content", "status", "code"),
    [
        ({"data": {"top_k": "1"}, "files": [("other", b"x")]}, 422, "missing_file"),
        ({"files": parts(b"x"), "params": {"labels": "tuba"}}, 200, None),
        ({"files": parts(b"x"), "params": {"top_k": 0}}, 422, "invalid_parameter"),
        ({"content": b""}, 422, "missing_file"),
    ],
)
def test_a_batch_that_cannot_be_read_is_refused_whole(
    client: httpx.Client, request_content: dict[str, Any], status: int, code: str | None
) -> None:
    response = client.post(BATCH, **request_content)
    assert (response.status_code, response.json().get("code")) == (status, code)


def test_a_label_that_is_unknown_is_told_of_the_whole_batch(client: httpx.Client) -> None:
    response = client.post(f"{BATCH}?labels=tuba", files=parts(PATHS[0].read_bytes()))
    assert response.status_code == 422
    assert response.json()["detail"].startswith("labels: ")


def test_the_memory_of_a_batch_is_given_back(server: LiveServer, client: httpx.Client) -> None:
    sounds = [encode(tone(0.2, 8_000), 8_000)] * 8
    for _ in range(90):  # more often than there are places
        answers(client.post(BATCH, files=parts(*sounds, b"bad")))
    metrics = client.get("/metrics").text
    assert "hark_requests_in_flight 0.0" in metrics
    assert server.process.poll() is None


def test_curl_sends_a_batch(server: LiveServer, tmp_path: Path) -> None:
    forms = [argument for path in PATHS for argument in ("-F", f"file=@{path}")]
    command = ["curl", "--silent", "--fail", *forms, f"{server.url}{BATCH}?top_k=1"]
    finished = subprocess.run(command, capture_output=True, check=True, cwd=tmp_path)
    assert finished.stdout.count(b'"answer"') == len(PATHS)


def test_what_has_no_time_left_costs_no_process(tmp_path: Path) -> None:
    """A file takes a tenth of the time there is, all of them three times as long as there is."""
    clip = encode(noisy_sweep(90, 8_000), 8_000, subtype="PCM_U8")
    settings = {"HARK_ENGINE": "onnx", "HARK_WORKERS": "2", "HARK_MAX_UPLOAD_BYTES": "50000000"}
    query = f"{BATCH}?hop_seconds=0.25"
    with live_server(tmp_path / "log", **settings) as server:
        began = time.monotonic()
        answers(httpx.post(server.url + query, files=parts(clip, clip), timeout=60))
        seconds = max(1.5, 10 * (time.monotonic() - began))
    times = {"HARK_UPLOAD_SECONDS": f"{0.9 * seconds}", "HARK_DEADLINE_SECONDS": f"{seconds}"}
    with live_server(tmp_path / "log", **settings, **times) as slow:
        processes = slow.worker_process_ids()
        results = answers(httpx.post(slow.url + query, files=parts(*[clip] * 64), timeout=300))
        assert slow.worker_process_ids() == processes
    codes = [result.get("problem", {}).get("code") for result in results]
    n_answered = codes.index("deadline_exceeded")
    assert n_answered > 0
    assert codes == [None] * n_answered + ["deadline_exceeded"] * (64 - n_answered)
