"""The log: one JSON object a line, with what an operator needs and nothing that a client chose."""

import http.client
import json
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from datetime import datetime
from typing import Any

import httpx
import numpy as np
import pytest

from tests.api.test_problems import check_problem, wav
from tests.live_server import LiveServer, live_server
from tests.two_versions import SIREN, eventually

QUICK = {"HARK_ENGINE": "onnx", "HARK_WORKERS": "1", "HARK_DRAIN_SECONDS": "0"}
STAGES = ["receive", "queue", "decode", "resample", "features", "model", "respond"]
TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TRACEPARENT = f"00-{TRACE}-{PARENT}-01"
# A minute of noise: long enough that the stages are most of the time.
MINUTE = wav(np.random.default_rng(0).uniform(-0.5, 0.5, 22_050 * 60), 22_050, "PCM_16")


class Logging:
    """A server, and the lines of its log."""

    def __init__(self, server: LiveServer) -> None:
        self.server = server
        self.client = httpx.Client(base_url=server.url, timeout=60)

    def lines(self) -> list[dict[str, Any]]:
        """Return all lines; each has to be a JSON object."""
        objects = [json.loads(line) for line in self.server.log.read_text().split("\n")[:-1]]
        assert all(isinstance(line, dict) for line in objects)
        return objects

    def line_of(self, response: httpx.Response) -> dict[str, Any]:
        """Return the one line that tells of a request, which may come just after its answer."""
        request_id = response.headers["x-request-id"]

        def found() -> list[dict[str, Any]]:
            return [line for line in self.lines() if line.get("request_id") == request_id]

        assert eventually(lambda: bool(found()))
        (line,) = found()
        return line

    def classify(
        self, data: bytes = SIREN, headers: dict[str, str] | None = None
    ) -> httpx.Response:
        files = {"file": ("private-name.wav", data)}
        return self.client.post("/v1/classify", files=files, headers=headers)


@pytest.fixture(scope="module")
def servers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Logging]]:
    """Starts servers that the tests of this file share, by their settings."""
    running: dict[tuple[tuple[str, str], ...], Logging] = {}
    with ExitStack() as stack:

        def start(**settings: str) -> Logging:
            key = tuple(sorted(settings.items()))
            if key not in running:
                log = tmp_path_factory.mktemp("logging") / "log"
                server = stack.enter_context(live_server(log, **QUICK, **settings))
                running[key] = Logging(server)
                stack.callback(running[key].client.close)
            return running[key]

        yield start


@pytest.fixture
def logging_server(servers: Callable[..., Logging]) -> Logging:
    return servers(HARK_LOG_FORMAT="json")


# A request's line


def test_a_line_says_who_asked_what_answered_and_where_the_time_went(
    logging_server: Logging,
) -> None:
    response = logging_server.classify()
    line = logging_server.line_of(response)
    assert {name: line[name] for name in ("method", "route", "path", "status")} == {
        "method": "POST",
        "route": "/v1/classify",
        "path": "/v1/classify",
        "status": 200,
    }
    assert line["message"] == "POST /v1/classify 200"
    assert (line["level"], line["logger"]) == ("INFO", "hark.requests")
    assert datetime.fromisoformat(line["time"]).utcoffset() is not None
    assert line["client"] == "127.0.0.1"
    assert (line["model"], line["version"]) == ("urbansound", 1)
    assert line["upload_bytes"] == len(SIREN)
    assert list(line["stage_seconds"]) == STAGES
    assert all(seconds >= 0 for seconds in line["stage_seconds"].values())
    assert "code" not in line


def test_the_stages_make_up_the_time_of_the_request(logging_server: Logging) -> None:
    line = logging_server.line_of(logging_server.classify(MINUTE))
    total = sum(line["stage_seconds"].values())
    assert total == pytest.approx(line["duration_seconds"], abs=1e-3)
    for stage in set(STAGES) - {"resample"}:  # it has the rate that the model wants
        assert line["stage_seconds"][stage] > 0


def test_a_named_version_is_logged_by_its_route_and_its_path(logging_server: Logging) -> None:
    path = "/v1/models/urbansound/versions/1/classify"
    response = logging_server.client.post(path, files={"file": SIREN})
    line = logging_server.line_of(response)
    assert line["route"] == "/v1/models/{name}/versions/{version}/classify"
    assert line["path"] == path


def test_a_request_id_that_was_sent_is_the_one_that_is_logged(logging_server: Logging) -> None:
    response = logging_server.classify(headers={"X-Request-ID": "order-66:retry.1"})
    assert response.headers["x-request-id"] == "order-66:retry.1"
    assert logging_server.line_of(response)["status"] == 200


@pytest.mark.parametrize(
    ("data", "status", "code"),
    [(b"no sound" * 100, 415, "not_audio"), (b"", 422, "empty_audio")],
)
def test_the_line_of_a_problem_has_its_code(
    logging_server: Logging, data: bytes, status: int, code: str
) -> None:
    response = logging_server.classify(data)
    check_problem(response, status, code)
    line = logging_server.line_of(response)
    assert (line["status"], line["code"]) == (status, code)
    assert line["request_id"] == response.json()["request_id"]
    assert line["upload_bytes"] == len(data)
    assert "model" not in line
    assert list(line["stage_seconds"]) == ["receive"]


def test_what_is_not_found_is_logged_without_a_route(logging_server: Logging) -> None:
    response = logging_server.client.get("/v3/secret")
    line = logging_server.line_of(response)
    assert (line["route"], line["path"], line["code"]) == ("unmatched", "/v3/secret", "not_found")
    assert line["message"] == "GET unmatched 404"


# Traces


def test_a_traceparent_is_echoed_and_logged(logging_server: Logging) -> None:
    response = logging_server.classify(headers={"traceparent": TRACEPARENT})
    assert response.headers["traceparent"] == TRACEPARENT
    line = logging_server.line_of(response)
    assert (line["trace_id"], line["parent_id"]) == (TRACE, PARENT)


def test_a_problem_belongs_to_its_trace_too(logging_server: Logging) -> None:
    response = logging_server.client.get("/nothing", headers={"traceparent": TRACEPARENT})
    assert response.headers["traceparent"] == TRACEPARENT
    assert logging_server.line_of(response)["trace_id"] == TRACE


@pytest.mark.parametrize(
    "traceparent",
    [
        "",
        "nonsense",
        TRACEPARENT.upper(),
        f"ff-{TRACE}-{PARENT}-01",
        f"00-{'0' * 32}-{PARENT}-01",
        f"00-{TRACE}-{'0' * 16}-01",
        f"00-{TRACE}-{PARENT}",
        f"00-{TRACE}-{PARENT}-01-extra",
        f"00-{TRACE[:-1]}-{PARENT}-01",
        f"00-{TRACE}-{PARENT}-01 x",
    ],
)
def test_what_is_no_traceparent_is_passed_over(logging_server: Logging, traceparent: str) -> None:
    response = logging_server.client.get("/v1/models", headers={"traceparent": traceparent})
    assert response.status_code == 200
    assert "traceparent" not in response.headers
    line = logging_server.line_of(response)
    assert "trace_id" not in line
    assert "parent_id" not in line


def test_without_a_traceparent_there_is_none(logging_server: Logging) -> None:
    response = logging_server.client.get("/v1/models")
    assert "traceparent" not in response.headers
    assert "trace_id" not in logging_server.line_of(response)


# What never stands in it


def test_neither_files_nor_their_names_nor_questions_are_logged(logging_server: Logging) -> None:
    for data in (SIREN, b"a private letter" * 10):
        logging_server.line_of(logging_server.classify(data))
    response = logging_server.client.get(
        "/v1/models?token=private-question",
        headers={"User-Agent": "private-agent", "Referer": "https://private.example"},
    )
    logging_server.line_of(response)
    log = logging_server.server.log.read_text()
    assert "private" not in log
    assert "RIFF" not in log


EVIL_PATHS = [
    b"/%0a%0d%7b%22level%22:%22ERROR%22%7d",
    b"/%1b[31mred%1b[0m",
    b"/%00%07%7f",
    b"/%e2%80%a8%c2%85",  # line breaks of Unicode, at which Python's splitlines breaks too
    b"/%22,%22status%22:200,%22x%22:%22",
    b"/%ff%fe",
    b"/" + b"a" * 5_000,
]


@pytest.mark.parametrize("path", EVIL_PATHS, ids=range(len(EVIL_PATHS)))
def test_a_path_cannot_write_a_line_of_its_own(logging_server: Logging, path: bytes) -> None:
    n_lines = len(logging_server.lines())
    with socket.create_connection(("127.0.0.1", logging_server.server.port), timeout=10) as raw:
        raw.sendall(b"GET " + path + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        answer = b"".join(iter(lambda: raw.recv(65_536), b""))
    assert answer.startswith(b"HTTP/1.1 404 ")
    assert eventually(lambda: len(logging_server.lines()) > n_lines)
    (line,) = logging_server.lines()[n_lines:]
    assert (line["status"], line["level"], line["route"]) == (404, "INFO", "unmatched")
    assert len(line["path"]) <= 200
    written = logging_server.server.log.read_bytes()
    assert not re.search(rb"[\x00-\x09\x0b-\x1f\x7f]|\xc2\x85|\xe2\x80\xa8", written)


@pytest.mark.parametrize("format_", ["json", "text"])
def test_a_method_or_a_header_cannot_write_a_line_of_its_own(
    servers: Callable[..., Logging], format_: str
) -> None:
    running = servers(HARK_LOG_FORMAT=format_)
    before = running.server.log.read_text().count("\n")
    connection = http.client.HTTPConnection("127.0.0.1", running.server.port, timeout=10)
    connection.putrequest("PROPFIND", "/v1/models")
    connection.putheader("X-Request-ID", "evil\tid")
    connection.endheaders()
    assert connection.getresponse().status == 405
    connection.close()
    assert eventually(lambda: running.server.log.read_text().count("\n") == before + 1)
    last = running.server.log.read_text().splitlines()[-1]
    assert "other" in last
    assert "PROPFIND" not in last
    assert "evil" not in last


# How much, and how it looks


def test_probes_are_not_worth_a_line(logging_server: Logging) -> None:
    for path in ("/livez", "/readyz", "/metrics"):
        assert logging_server.client.get(path).status_code == 200
    logging_server.line_of(logging_server.client.get("/v1/models"))
    routes = {line.get("route") for line in logging_server.lines()}
    assert not routes & {"/livez", "/readyz", "/metrics"}


def test_every_line_from_start_to_stop_is_an_object(servers: Callable[..., Logging]) -> None:
    """With «auto», which is JSON where nobody looks on."""
    running = servers()
    running.line_of(running.classify())
    assert running.server.stop() == 0
    messages = [line["message"] for line in running.lines()]
    assert any("is ready" in message for message in messages)
    assert any("Shutting down" in message for message in messages)
    assert all({"time", "level", "logger", "message"} <= line.keys() for line in running.lines())


def test_text_is_one_line_a_request_for_people(servers: Callable[..., Logging]) -> None:
    running = servers(HARK_LOG_FORMAT="text")
    response = running.classify(headers={"X-Request-ID": "abc-123", "traceparent": TRACEPARENT})
    assert response.status_code == 200
    assert eventually(lambda: "abc-123" in running.server.log.read_text())
    (line,) = (line for line in running.server.log.read_text().splitlines() if "abc-123" in line)
    assert re.match(r"\d{4}-\d\d-\d\d [\d:,]+ INFO +POST /v1/classify 200 ", line)
    for part in ("client='127.0.0.1'", "model='urbansound'", "version=1", f"trace_id='{TRACE}'"):
        assert part in line


def test_text_cannot_be_broken_by_a_path(servers: Callable[..., Logging]) -> None:
    running = servers(HARK_LOG_FORMAT="text")
    n_lines = running.server.log.read_text().count("\n")
    running.client.get("/%0aERROR%20all%20is%20lost%1b[31m")
    assert eventually(lambda: running.server.log.read_text().count("\n") > n_lines)
    last = running.server.log.read_text().split("\n")[-2]
    assert "INFO" in last
    assert r"\nERROR all is lost\x1b[31m" in last


def test_warnings_only_leaves_requests_out(servers: Callable[..., Logging]) -> None:
    running = servers(HARK_LOG_LEVEL="warning", HARK_LOG_FORMAT="json")
    assert running.classify().status_code == 200
    assert running.client.get("/nothing").status_code == 404
    assert running.lines() == []


def test_debug_shows_probes_too(servers: Callable[..., Logging]) -> None:
    running = servers(HARK_LOG_LEVEL="debug", HARK_LOG_FORMAT="json")
    line = running.line_of(running.client.get("/livez"))
    assert (line["level"], line["route"]) == ("DEBUG", "/livez")
