"""Probes, metrics, documentation; start, overload, crash and stop of a server of its own."""

import asyncio
import http.client
import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import numpy as np
import pytest
from prometheus_client.parser import text_string_to_metric_families

from app.main import create_app
from app.settings import Settings
from tests.api.test_problems import check_problem, wav
from tests.conftest import SAMPLES
from tests.live_server import LiveServer, live_server

SIREN = (SAMPLES / "siren.wav").read_bytes()
# Eighty minutes of noise: seconds of work, so that there is time to act while it is computed.
LONG_CLIP = wav(np.random.default_rng(0).uniform(-0.5, 0.5, 4_000 * 4_800), 4_000, "PCM_U8")


def post(url: str, data: bytes) -> httpx.Response:
    return httpx.post(f"{url}/v1/classify", files={"file": data}, timeout=60)


def processor_seconds(process_id: int) -> float:
    """Return the processor time that a process has taken."""
    # Behind the name in brackets; the 14th and 15th field of all, in ticks.
    fields = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def metric(client: httpx.Client, name: str, **labels: str) -> float:
    families = text_string_to_metric_families(client.get("/metrics").text)
    samples = (sample for family in families for sample in family.samples)
    return sum(
        sample.value
        for sample in samples
        if sample.name == name and labels.items() <= sample.labels.items()
    )


def test_live_and_ready(client: httpx.Client) -> None:
    assert client.get("/livez").json() == {"status": "alive"}
    assert client.get("/readyz").json() == {"status": "ready", "workers_ready": 2, "workers": 2}


def test_metrics_count_what_happened(client: httpx.Client) -> None:
    route = {"method": "POST", "route": "/v1/classify", "status": "200"}
    names = {
        "hark_http_requests_total": route,
        "hark_predictions_total": {"model": "urbansound"},
        "hark_stage_duration_seconds_count": {"stage": "model"},
    }
    before = {name: metric(client, name, **labels) for name, labels in names.items()}
    seconds = metric(client, "hark_audio_seconds_total")
    for _ in range(3):
        assert client.post("/v1/classify", files={"file": SIREN}).status_code == 200
    after = {name: metric(client, name, **labels) for name, labels in names.items()}
    assert after == {name: count + 3 for name, count in before.items()}
    assert metric(client, "hark_audio_seconds_total") == pytest.approx(seconds + 12)


def test_labels_hold_no_user_input(client: httpx.Client) -> None:
    client.get("/secret-path")
    client.request("BREW", "/livez")
    client.get("/v1/models/secret-name")
    text = client.get("/metrics").text
    assert not any(word in text for word in ("secret-path", "secret-name", "BREW"))


def test_documentation_asks_no_other_host(client: httpx.Client) -> None:
    page = client.get("/docs").text
    assert "https://" not in page
    assert "/v1/classify" in client.get("/openapi.json").json()["paths"]


@pytest.fixture(scope="module")
def small_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """One compute process, and one place in the queue."""
    log = tmp_path_factory.mktemp("small") / "log"
    limits = {
        "HARK_QUEUE_SIZE": "1",
        "HARK_MAX_AUDIO_SECONDS": "5000",
        "HARK_UPLOAD_SECONDS": "4",
    }
    with live_server(log, HARK_ENGINE="onnx", HARK_WORKERS="1", **limits) as running:
        yield running


def test_overload_is_refused_at_once_and_loses_nothing(small_server: LiveServer) -> None:
    with ThreadPoolExecutor(8) as pool:
        responses = list(pool.map(lambda _: post(small_server.url, LONG_CLIP), range(8)))
    served = [response for response in responses if response.status_code == 200]
    refused = [response for response in responses if response.status_code != 200]
    assert len(served) >= 2
    assert refused, "eight at a time found a place in a queue of two"
    for response in refused:
        check_problem(response, 503, "overloaded")
        assert response.headers["retry-after"] == "1"
        assert response.elapsed.total_seconds() < min(r.elapsed.total_seconds() for r in served)


def test_an_upload_that_stalls_gives_its_place_back(small_server: LiveServer) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", small_server.port, timeout=10)
    connection.putrequest("POST", "/v1/classify")
    connection.putheader("Content-Type", "multipart/form-data; boundary=b")
    connection.putheader("Content-Length", "1000")
    connection.endheaders(b"--b\r\n")
    with httpx.Client(base_url=small_server.url) as client:
        response = connection.getresponse()
        assert response.status == 408
        assert json.load(response)["code"] == "upload_too_slow"
        assert metric(client, "hark_requests_in_flight") == 0
    connection.close()


def test_slow_uploads_do_not_keep_others_out(small_server: LiveServer) -> None:
    """They have all the places there are, and send just enough to seem alive."""
    slow = [http.client.HTTPConnection("127.0.0.1", small_server.port) for _ in range(2)]
    for connection in slow:
        connection.putrequest("POST", "/v1/classify")
        connection.putheader("Content-Type", "multipart/form-data; boundary=b")
        connection.putheader("Content-Length", "1000")
        connection.endheaders(b"--b\r\n")
    time.sleep(0.2)
    check_problem(post(small_server.url, SIREN), 503, "overloaded")
    deadline = time.monotonic() + 6
    while post(small_server.url, SIREN).status_code != 200:
        assert time.monotonic() < deadline
        time.sleep(0.3)
    assert {connection.getresponse().status for connection in slow} == {408}
    for connection in slow:
        connection.close()


def test_a_defect_answers_500_with_its_request_id_and_no_trace() -> None:
    app = create_app(Settings(workers=1))

    @app.get("/defect")
    def fail() -> None:
        raise ZeroDivisionError("a secret")

    # In this process, since the running server has no route that fails.
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)

    async def get() -> httpx.Response:
        async with httpx.AsyncClient(transport=transport, base_url="http://hark") as client:
            return await client.get("/defect")

    response = asyncio.run(get())
    check_problem(response, 500, "internal_error")
    assert "secret" not in response.text


def test_a_killed_worker_costs_its_own_request_and_is_replaced(small_server: LiveServer) -> None:
    (worker,) = small_server.worker_process_ids()
    with ThreadPoolExecutor(1) as pool:
        idle = processor_seconds(worker)
        victim = pool.submit(post, small_server.url, LONG_CLIP)
        while (
            processor_seconds(worker) < idle + 0.3
        ):  # until it is at work, however slow the upload
            time.sleep(0.02)
        os.kill(worker, signal.SIGKILL)
        response = victim.result()
    check_problem(response, 503, "worker_crashed")
    assert "retry-after" in response.headers
    assert httpx.get(f"{small_server.url}/livez").status_code == 200
    small_server.wait_until("/readyz")
    assert post(small_server.url, SIREN).status_code == 200
    assert worker not in small_server.worker_process_ids()


def test_the_http_process_is_light_and_early(tmp_path: Path) -> None:
    server = LiveServer({"HARK_WORKERS": "1"}, tmp_path / "log")
    try:
        # 1.5 s where the machine is idle; tests share it with whatever else runs.
        assert server.wait_until("/livez") < 4
        response = httpx.get(f"{server.url}/readyz")
        check_problem(response, 503, "not_ready")
        check_problem(post(server.url, SIREN), 503, "not_ready")
        mapped = Path(f"/proc/{server.process.pid}/maps").read_text()
        assert not any(name in mapped for name in ("tensorflow", "libsndfile", "llvmlite"))
    finally:
        assert server.stop() == 0


def test_sigterm_finishes_what_is_in_flight(small_server: LiveServer) -> None:
    workers = small_server.worker_process_ids()
    answers: list[httpx.Response] = []
    request = threading.Thread(target=lambda: answers.append(post(small_server.url, LONG_CLIP)))
    request.start()
    time.sleep(0.4)
    assert small_server.stop() == 0
    request.join()
    assert answers[0].status_code == 200
    assert not any(Path(f"/proc/{pid}").exists() for pid in workers)


def test_a_service_ends_with_its_terminal(tmp_path: Path) -> None:
    ours, terminal = os.openpty()
    server = LiveServer({"HARK_ENGINE": "onnx"}, tmp_path / "log", standard_input=terminal)
    try:
        server.wait_until("/livez")
        server.process.send_signal(signal.SIGHUP)
        assert server.process.wait(timeout=40) == -signal.SIGHUP
    finally:
        server.process.kill()
        os.close(ours)
        os.close(terminal)


def test_a_damaged_model_stops_the_start_with_its_name(tmp_path: Path) -> None:
    store = tmp_path / "store" / "urbansound" / "1"
    store.mkdir(parents=True)
    server = LiveServer({"HARK_MODEL_STORE": str(tmp_path / "store")}, tmp_path / "log")
    assert server.process.wait(timeout=30) == 1
    log = server.log.read_text()
    assert "manifest.json" in log
    assert "Traceback" not in log
