"""Tracing: what a collector that speaks OTLP receives from a service, and how the log fits it."""

import json
import os
import signal
import subprocess
import threading
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise
from pathlib import Path

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.api.test_onnx_service import PYTHON
from tests.api.test_problems import check_problem
from tests.live_server import LiveServer
from tests.two_versions import SIREN, eventually

TRACE, PARENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
TRACEPARENT = f"00-{TRACE}-{PARENT}-01"
STAGES = ["receive", "queue", "decode", "resample", "features", "model"]
START_SECONDS = 20  # less than what other tests wait: a service that traces once did not start


class Collector:
    """A collector on a real port, which keeps what it is sent."""

    def __init__(self) -> None:
        self.spans: list[Span] = []
        self.service_names: set[str] = set()
        self.paths: set[str] = set()
        collector = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                collector.receive(self.path, body)
                self.send_response(200)
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def receive(self, path: str, body: bytes) -> None:
        self.paths.add(path)
        for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
            self.service_names |= {
                attribute.value.string_value
                for attribute in resource.resource.attributes
                if attribute.key == "service.name"
            }
            self.spans += [span for scope in resource.scope_spans for span in scope.spans]

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def of_trace(self, trace_id: str, n_spans: int) -> list[Span]:
        """Wait for the spans of a trace, and return them in the order of their starts."""

        def found() -> list[Span]:
            return [span for span in list(self.spans) if span.trace_id.hex() == trace_id]

        assert eventually(lambda: len(found()) >= n_spans), [span.name for span in found()]
        assert len(found()) == n_spans
        return sorted(found(), key=lambda span: span.start_time_unix_nano)


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    running = Collector()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def traced(collector: Collector, tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    settings = {
        "HARK_ENGINE": "onnx",
        "HARK_WORKERS": "2",
        "HARK_DRAIN_SECONDS": "0",
        "HARK_LOG_FORMAT": "json",
        "HARK_TRACING": "true",
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_BSP_SCHEDULE_DELAY": "200",
    }
    server = LiveServer(settings, tmp_path_factory.mktemp("traced") / "log")
    try:
        server.wait_until("/readyz", START_SECONDS)
        yield server
        assert server.stop() == 0
    finally:
        end(server)


def end(server: LiveServer) -> None:
    """End a server and all that it started, also where it hangs as it starts a process."""
    listed = Path(f"/proc/{server.process.pid}/task/{server.process.pid}/children")
    children = listed.read_text().split() if listed.exists() else []
    server.process.kill()
    server.process.wait()
    for child in map(int, children):
        with suppress(ProcessLookupError):
            os.kill(child, signal.SIGKILL)


def attributes_of(span: Span) -> dict[str, str | int]:
    return {
        attribute.key: attribute.value.string_value or attribute.value.int_value
        for attribute in span.attributes
    }


def line_of(server: LiveServer, response: httpx.Response) -> dict[str, object]:
    """Return the one line of the log that tells of a request."""
    request_id = response.headers["x-request-id"]

    def found() -> list[dict[str, object]]:
        lines = map(json.loads, server.log.read_text().splitlines())
        return [line for line in lines if line.get("request_id") == request_id]

    assert eventually(lambda: bool(found()))
    (line,) = found()
    return line


def test_a_request_is_one_span_below_the_one_that_was_sent(
    traced: LiveServer, collector: Collector
) -> None:
    response = httpx.post(
        f"{traced.url}/v1/classify",
        files={"file": SIREN},
        headers={"traceparent": TRACEPARENT},
    )
    assert response.status_code == 200
    server_span, *stages = collector.of_trace(TRACE, n_spans=1 + len(STAGES))
    assert server_span.kind == Span.SPAN_KIND_SERVER
    assert server_span.parent_span_id.hex() == PARENT
    assert "/v1/classify" in server_span.name
    assert attributes_of(server_span)["http.status_code"] == 200
    assert collector.paths == {"/v1/traces"}
    assert collector.service_names == {"hark"}

    assert [span.name for span in stages] == STAGES
    for span in stages:
        assert span.parent_span_id == server_span.span_id
        assert span.end_time_unix_nano >= span.start_time_unix_nano
    for before, after in pairwise(stages):
        assert before.end_time_unix_nano == after.start_time_unix_nano
    # The two clocks that the times come from agree within much less than this.
    tolerance = 50_000_000
    assert stages[0].start_time_unix_nano >= server_span.start_time_unix_nano - tolerance
    assert stages[-1].end_time_unix_nano <= server_span.end_time_unix_nano + tolerance

    line = line_of(traced, response)
    assert line["trace_id"] == TRACE
    assert line["parent_id"] == server_span.span_id.hex()
    assert response.headers["traceparent"] == f"00-{TRACE}-{server_span.span_id.hex()}-01"


def test_a_request_without_a_parent_begins_a_trace(
    traced: LiveServer, collector: Collector
) -> None:
    response = httpx.get(f"{traced.url}/v1/models")
    _, trace_id, span_id, _ = response.headers["traceparent"].split("-")
    (span,) = collector.of_trace(trace_id, n_spans=1)
    assert span.span_id.hex() == span_id
    assert span.parent_span_id == b""
    assert line_of(traced, response)["trace_id"] == trace_id


def test_a_span_says_which_request_and_which_model_it_was(
    traced: LiveServer, collector: Collector
) -> None:
    response = httpx.post(f"{traced.url}/v1/classify", files={"file": SIREN})
    trace_id = response.headers["traceparent"].split("-")[1]
    server_span, *_ = collector.of_trace(trace_id, n_spans=1 + len(STAGES))
    attributes = attributes_of(server_span)
    assert attributes["hark.request_id"] == response.headers["x-request-id"]
    assert attributes["hark.model"] == "urbansound@1"


def test_the_span_of_a_problem_has_its_code(traced: LiveServer, collector: Collector) -> None:
    response = httpx.post(f"{traced.url}/v1/classify", files={"file": b"no sound" * 100})
    check_problem(response, 415, "not_audio")
    trace_id = response.headers["traceparent"].split("-")[1]
    server_span, received = collector.of_trace(trace_id, n_spans=2)
    assert received.name == "receive"
    attributes = attributes_of(server_span)
    assert attributes["http.status_code"] == 415
    assert attributes["hark.code"] == "not_audio"


def test_probes_have_no_span(traced: LiveServer, collector: Collector) -> None:
    for path in ("/livez", "/readyz", "/metrics"):
        response = httpx.get(
            traced.url + path, headers={"traceparent": f"00-{'a' * 32}-{PARENT}-01"}
        )
        assert response.status_code == 200
    after = httpx.get(f"{traced.url}/v1/models")
    collector.of_trace(after.headers["traceparent"].split("-")[1], n_spans=1)
    assert not [span for span in collector.spans if span.trace_id.hex() == "a" * 32]


def test_no_span_names_a_file_or_a_key(traced: LiveServer, collector: Collector) -> None:
    response = httpx.post(
        f"{traced.url}/v1/classify",
        files={"file": ("private-name.wav", SIREN)},
        headers={"Authorization": "Bearer private-key", "Cookie": "private-cookie"},
    )
    trace_id = response.headers["traceparent"].split("-")[1]
    spans = collector.of_trace(trace_id, n_spans=1 + len(STAGES))
    assert "private" not in " ".join(map(str, spans))


def test_tracing_says_nothing_in_the_log(traced: LiveServer) -> None:
    """Each request would have lines beside its own otherwise."""
    response = httpx.post(f"{traced.url}/v1/classify", files={"file": SIREN})
    line_of(traced, response)
    lines = [json.loads(line) for line in traced.log.read_text().splitlines()]
    assert [line for line in lines if line["level"] != "INFO"] == []


def test_a_process_that_dies_is_replaced_while_requests_are_traced(traced: LiveServer) -> None:
    """Starting a process forks one in which the exporter's thread is."""
    before = traced.worker_process_ids()
    lost = min(before)
    os.kill(lost, signal.SIGKILL)
    assert eventually(lambda: len(traced.worker_process_ids() - before) == 1)
    assert httpx.post(f"{traced.url}/v1/classify", files={"file": SIREN}).status_code == 200


def test_a_service_whose_collector_is_away_answers_and_stops(tmp_path: Path) -> None:
    settings = {
        "HARK_ENGINE": "onnx",
        "HARK_WORKERS": "1",
        "HARK_DRAIN_SECONDS": "0",
        "HARK_TRACING": "true",
        "OTEL_EXPORTER_OTLP_ENDPOINT": "http://127.0.0.1:9",
        "OTEL_EXPORTER_OTLP_TIMEOUT": "1",
    }
    server = LiveServer(settings, tmp_path / "log")
    try:
        server.wait_until("/readyz", START_SECONDS)
        response = httpx.post(f"{server.url}/v1/classify", files={"file": SIREN})
        assert response.status_code == 200
        assert server.stop() == 0
    finally:
        end(server)


@pytest.mark.skipif(not PYTHON.exists(), reason="`make test` makes the environment without it")
def test_an_environment_without_the_extra_says_what_to_install() -> None:
    finished = subprocess.run(
        [PYTHON, "-m", "app.cli", "serve", "--port", "0"],
        env={**os.environ, "HARK_ENGINE": "onnx", "HARK_TRACING": "true"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert finished.returncode == 1
    assert finished.stderr == "hark: HARK_TRACING needs OpenTelemetry: install hark[otel].\n"
