"""Live audio over a real socket: the results, and every way in which a stream can go wrong."""

import json
import time
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest
from websockets.exceptions import InvalidStatus

from app.api.close_codes import CLOSE_CODE_OF_ERROR, close_code_of
from tests.clients.live_audio import (
    END,
    QUICK,
    SAME,
    Sound,
    all_said,
    conversation,
    metric,
    opened,
    posted,
    ready,
    sound,
    streamed,
)
from tests.live_server import LiveServer, live_server
from tests.two_versions import eventually

MAX_STREAMS = 3
PATIENCE_SECONDS = 1.5
SHORT = sound(0.5, 8_000)
BEGIN = json.dumps(SHORT.configuration)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A service that has little patience, and few places."""
    with live_server(
        tmp_path_factory.mktemp("stream") / "log",
        **QUICK,
        HARK_MAX_STREAMS=str(MAX_STREAMS),
        HARK_STREAM_IDLE_SECONDS=str(PATIENCE_SECONDS),
        HARK_HEADER_SECONDS=str(PATIENCE_SECONDS),
        HARK_CORS_ORIGINS="https://page.example",
        HARK_LOG_FORMAT="json",
    ) as running:
        yield running


# Results


@pytest.mark.parametrize(
    "audio",
    [
        sound(5.3, 16_000, 1),
        sound(5.3, 44_100, 2),
        sound(5.3, 8_000, 2, encoding="pcm_f32le"),
        sound(5.3, 48_000, 1, encoding="pcm_f32le"),
    ],
    ids=lambda audio: f"{audio.encoding}-{audio.sample_rate}-{audio.samples.shape[1]}",
)
def test_a_result_is_what_post_says_of_the_same_window(server: LiveServer, audio: Sound) -> None:
    said = streamed(server, audio, hop_seconds=1.0, top_k=2)
    times = [(result["start_seconds"], result["end_seconds"]) for result in said.results]
    assert times == [(0, 1), (0, 2), (0, 3), (0, 4), (1, 5), (pytest.approx(1.3), 5.3)]
    for result in said.results:
        wav = audio.wav(result["start_seconds"], result["end_seconds"])
        answer = posted(server, wav, top_k=2)
        assert {name: result[name] for name in SAME} == {name: answer[name] for name in SAME}
    assert len({json.dumps(result["probabilities"]) for result in said.results}) == 6
    done = {"type": "done", "results": 6, "audio_seconds": 5.3, "ignored_bytes": 0}
    assert (said.messages[-1], said.code, said.reason) == (done, 1000, "the stream has ended")


@pytest.mark.parametrize("chunk_bytes", [1, 7, 4_097])
def test_how_audio_is_divided_makes_no_difference(server: LiveServer, chunk_bytes: int) -> None:
    audio = sound(0.6 if chunk_bytes == 1 else 4.6, 4_000, 2)
    whole = streamed(server, audio, hop_seconds=0.25)
    assert len(whole.results) == (3 if chunk_bytes == 1 else 19)
    divided = streamed(server, audio, chunk_bytes, hop_seconds=0.25)
    assert divided.results == whole.results


def test_what_was_understood_is_said_first(server: LiveServer) -> None:
    asked: dict[str, Any] = {"model": "urbansound", "version": 1, "labels": ["siren", "car_horn"]}
    said = streamed(server, SHORT, **asked, top_k=1)
    first = said.messages[0]
    assert len(first.pop("request_id")) == 32
    assert first == {
        "type": "ready",
        "model": {"name": "urbansound", "version": 1},
        "labels": ["car_horn", "siren"],
        "window_seconds": 4.0,
        "hop_seconds": 0.5,
        **SHORT.configuration,
    }
    (result,) = said.results
    assert list(result["probabilities"]) == ["car_horn", "siren"]
    assert len(result["top"]) == 1


@pytest.mark.parametrize(
    "options", [{"version": "stable"}, {"threshold": 1.0}, {"labels": "siren"}]
)
def test_options_mean_what_they_mean_for_files(server: LiveServer, options: dict[str, Any]) -> None:
    (result,) = streamed(server, SHORT, **options).results
    query = {name: value for name, value in options.items() if name != "version"}
    answer = posted(server, SHORT.wav(0, 0.5), **query)
    assert {name: result[name] for name in SAME} == {name: answer[name] for name in SAME}


def test_silence_is_said_to_be_silence(server: LiveServer) -> None:
    loud = noisy = sound(4.0, 8_000).samples
    audio = Sound(np.concatenate([loud, np.zeros((8_000 * 5, 1)), noisy]), 8_000)
    said = streamed(server, audio, hop_seconds=1.0)
    silent = [result["end_seconds"] for result in said.results if result["silence"]]
    assert silent == [8.0, 9.0]
    assert all(result["uncertain"] for result in said.results if result["silence"])


def test_a_stream_without_audio_has_no_result(server: LiveServer) -> None:
    said = conversation(server, BEGIN, b"", b"\x01", END)
    assert [message["type"] for message in said.messages] == ["ready", "done"]
    assert said.messages[-1]["ignored_bytes"] == 1
    assert said.code == 1000


def test_who_sends_faster_than_real_time_gets_every_result(server: LiveServer) -> None:
    said = streamed(server, sound(60.0, 8_000), hop_seconds=0.5)
    ends = [result["end_seconds"] for result in said.results]
    assert ends == [0.5 * (n + 1) for n in range(120)]


def test_a_stream_lasts_longer_than_headers_may_take(server: LiveServer) -> None:
    began = time.monotonic()
    with ready(server, SHORT) as connection:
        while time.monotonic() - began < 2 * PATIENCE_SECONDS:
            connection.send(SHORT.data)
            assert json.loads(connection.recv(timeout=5))["type"] == "result"
            time.sleep(0.3)


# What goes wrong


def begin(**changes: Any) -> str:
    return json.dumps({**SHORT.configuration, **changes})


NAN = np.full((4_000, 1), np.nan)


@pytest.mark.parametrize(
    ("messages", "close_code", "code", "words"),
    [
        (["{"], 1007, "malformed_message", "not valid JSON"),
        (["[1]"], 1007, "malformed_message", "no JSON object"),
        (['{"sample_rate": NaN}'], 1007, "malformed_message", "not valid JSON"),
        ([b"\x00" * 100], 1003, "unexpected_message", "first message is binary"),
        (["{}"], 1007, "invalid_parameter", "sample_rate: "),
        ([begin(sample_rate="high")], 1007, "invalid_parameter", "sample_rate: "),
        ([begin(encoding="mp3")], 1007, "invalid_parameter", "encoding: "),
        ([begin(channels=0)], 1007, "invalid_parameter", "channels: "),
        ([begin(hop_seconds=0.01)], 1007, "invalid_parameter", "hop_seconds: "),
        ([begin(hop_seconds=4.5)], 1007, "invalid_parameter", "hop_seconds: "),
        ([begin(top_k=0)], 1007, "invalid_parameter", "top_k: "),
        ([begin(threshold=2)], 1007, "invalid_parameter", "threshold: "),
        ([begin(labels=["cat"])], 1007, "invalid_parameter", "labels: urbansound@1 has no label"),
        ([begin(windows=True)], 1007, "invalid_parameter", "windows: there is no such parameter"),
        ([begin(version="newest")], 1007, "invalid_parameter", "version: "),
        ([begin(sample_rate=1_000)], 1007, "sample_rate_out_of_range", "1000 Hz"),
        ([begin(channels=17)], 1007, "too_many_channels", "at most 16"),
        (
            [begin(sample_rate=192_000, channels=16)],
            1009,
            "stream_too_large",
            "would hold 24576000 bytes",
        ),
        ([begin(model="birds")], 4404, "unknown_model", "urbansound"),
        ([begin(version="99")], 4404, "unknown_version", "99"),
        ([begin(version="canary")], 4404, "unknown_alias", "canary"),
        ([BEGIN, '{"type": "stop"}'], 1003, "unexpected_message", '{"type": "end"}'),
        ([BEGIN, "end"], 1007, "malformed_message", "not valid JSON"),
        (
            [begin(encoding="pcm_f32le"), NAN.astype("<f4").tobytes()],
            1007,
            "invalid_samples",
            "not numbers",
        ),
        ([], 4408, "stream_idle", "No message came within 1.5 seconds"),
        ([BEGIN, b"\x00"], 4408, "stream_idle", "No audio came for 1.5 seconds"),
    ],
)
def test_what_is_wrong_is_told_before_the_stream_is_closed(
    server: LiveServer, messages: list[str | bytes], close_code: int, code: str, words: str
) -> None:
    said = conversation(server, *messages)
    assert (said.code, said.problem["code"]) == (close_code, code)
    assert words in said.problem["detail"]
    assert said.problem["error"] == said.problem["detail"]
    assert said.reason == f"{code}: {said.problem['title']}"
    assert len(said.problem["request_id"]) == 32


@pytest.mark.parametrize(
    ("messages", "close_code", "words"),
    [
        ([begin(model="x" * 20_000)], 1009, "first message has more than 16384 bytes"),
        ([BEGIN, bytes(1_000_001)], 1009, "exceeds limit of 1000000 bytes"),
        ([BEGIN, [b""] * 1_100], 1009, "more than 1000 fragments"),
    ],
)
def test_what_is_no_message_is_told_in_the_close_frame(
    server: LiveServer, messages: list[Any], close_code: int, words: str
) -> None:
    said = conversation(server, *messages)
    assert said.code == close_code
    assert words in said.reason
    assert not said.of_type("problem")


def test_text_that_is_not_utf_8_is_told_in_the_close_frame(server: LiveServer) -> None:
    with opened(server) as connection:
        connection.send(b"\xff", text=True)
        said = all_said(connection)
    assert (said.code, said.reason) == (1007, "a text is not UTF-8")


def test_every_error_has_a_close_code() -> None:
    for error in CLOSE_CODE_OF_ERROR:
        code = close_code_of(error)
        assert code == CLOSE_CODE_OF_ERROR[error]
        assert 1000 < code < 1016 or 4000 <= code < 5000


def test_there_are_no_more_streams_than_places(server: LiveServer) -> None:
    with ready(server, SHORT), ready(server, SHORT), ready(server, SHORT) as last:
        assert metric(server, "hark_streams_open") == MAX_STREAMS
        said = conversation(server, BEGIN)
        assert (said.code, said.problem["code"]) == (1013, "too_many_streams")
        last.close()
        assert eventually(lambda: metric(server, "hark_streams_open") == MAX_STREAMS - 1)
        assert streamed(server, SHORT).code == 1000
    assert eventually(lambda: metric(server, "hark_streams_open") == 0)


# Whose pages may ask


@pytest.mark.parametrize(
    "origin", ["https://evil.example", "null", "http://127.0.0.1:1", "http://["]
)
def test_pages_of_others_are_refused_before_the_upgrade(server: LiveServer, origin: str) -> None:
    with pytest.raises(InvalidStatus) as refused, opened(server, origin=origin):
        pass
    response = refused.value.response
    assert response.status_code == 403
    problem = json.loads(response.body)
    assert problem["code"] == "foreign_origin"
    assert response.headers["Content-Type"] == "application/problem+json"
    assert response.headers["X-Request-ID"] == problem["request_id"]
    assert response.headers["X-Content-Type-Options"] == "nosniff"


def test_pages_of_this_host_and_allowed_ones_may_ask(server: LiveServer) -> None:
    for origin in (server.url, "https://page.example"):
        assert conversation(server, BEGIN, END, origin=origin).code == 1000


# What is told


def test_a_stream_is_one_line_in_the_log_and_counted(server: LiveServer) -> None:
    ended = 'hark_streams_total{code="1000"}'
    before = metric(server, ended), metric(server, "hark_stream_results_total")
    headers = {"X-Request-ID": "my-stream"}
    with opened(server, additional_headers=headers) as connection:
        assert connection.response is not None
        assert connection.response.headers["X-Request-ID"] == "my-stream"
        for message in (begin(hop_seconds=0.25), SHORT.data, END):
            connection.send(message)
        said = all_said(connection)
    assert said.messages[0]["request_id"] == "my-stream"
    assert eventually(lambda: metric(server, ended) == before[0] + 1)
    assert metric(server, "hark_stream_results_total") == before[1] + 2
    (line,) = [json.loads(x) for x in server.log.read_text().splitlines() if "my-stream" in x]
    assert line.pop("duration_seconds") > 0
    expected = {
        "route": "/v1/stream",
        "status": 101,
        "close_code": 1000,
        "results": 2,
        "audio_seconds": 0.5,
        "model": "urbansound",
        "version": 1,
    }
    assert expected.items() <= line.items()


def test_a_client_that_leaves_is_no_error(server: LiveServer) -> None:
    left = 'hark_streams_total{code="1001"}'
    before = metric(server, left)
    with ready(server, SHORT) as connection:
        connection.send(SHORT.data)
        connection.close(1001, "off to lunch")
    assert eventually(lambda: metric(server, left) == before + 1)
    assert "Traceback" not in server.log.read_text()


def test_a_plain_request_is_told_to_take_a_websocket(server: LiveServer) -> None:
    answer = httpx.get(f"{server.url}/v1/stream")
    assert (answer.status_code, answer.json()["code"]) == (426, "upgrade_required")
