"""A compute process that dies, hangs or takes too much costs its own request, and no other one."""

import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import httpx
import pytest

from tests.api.test_operations import metric, post
from tests.api.test_problems import check_problem
from tests.conftest import SAMPLES
from tests.hostile.forge import silent_flac
from tests.live_server import LiveServer, live_server

GOOD: Final = (SAMPLES / "siren.mp3").read_bytes()
# A second or two of work, from 32 kB.
SLOW: Final = silent_flac(360, 96_000, 8)
# Two hours and a half: its waveform alone has 800 MB.
HUGE: Final = silent_flac(9_000, 8_000)
DEADLINE_SECONDS: Final = 5.0
# Ticks of a processor's time by which a process that works is told from one that does not.
BUSY_TICKS: Final = 8


@pytest.fixture(scope="module")
def fragile_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """Two compute processes, of 200 MB each, and little time."""
    settings = {
        "HARK_ENGINE": "onnx",
        "HARK_UPLOAD_SECONDS": "2",
        "HARK_DEADLINE_SECONDS": f"{DEADLINE_SECONDS:g}",
        "HARK_MAX_AUDIO_SECONDS": "20000",
        "HARK_WORKER_MEMORY_BYTES": "200000000",
    }
    log = tmp_path_factory.mktemp("fragile") / "log"
    with live_server(log, HARK_WORKERS="2", **settings) as running:
        yield running


@pytest.fixture
def fragile_client(fragile_server: LiveServer) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=fragile_server.url, timeout=60) as http_client:
        yield http_client


@pytest.fixture(autouse=True)
def as_it_was(fragile_server: LiveServer, fragile_client: httpx.Client) -> Iterator[None]:
    wait_until_ready(fragile_client, 2)
    yield
    wait_until_ready(fragile_client, 2)
    assert len(fragile_server.worker_process_ids()) == 2
    assert metric(fragile_client, "hark_requests_in_flight") == 0
    assert post(fragile_server.url, GOOD).status_code == 200
    assert "Traceback" not in fragile_server.log.read_text()


def wait_until_ready(client: httpx.Client, count: int) -> None:
    deadline = time.monotonic() + 30
    while client.get("/readyz").json().get("workers_ready", 0) != count:
        assert time.monotonic() < deadline, f"there are never {count} processes ready"
        time.sleep(0.02)


def ticks(process_id: int) -> int:
    spent = Path(f"/proc/{process_id}/stat").read_text().rpartition(")")[2].split()[11:13]
    return sum(map(int, spent))


def busy_worker(server: LiveServer) -> int:
    """Wait until one compute process works, and return it."""
    before = {worker: ticks(worker) for worker in server.worker_process_ids()}
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        for worker, idle_ticks in before.items():
            if ticks(worker) - idle_ticks >= BUSY_TICKS:
                return worker
        time.sleep(0.01)
    raise AssertionError("no process works")


@contextmanager
def requests_flowing(server: LiveServer) -> Iterator[list[httpx.Response]]:
    """Ask all the time, on two connections, and collect the answers."""
    answers: list[httpx.Response] = []
    stop = threading.Event()

    def ask() -> None:
        with httpx.Client(base_url=server.url, timeout=60) as client:
            while not stop.is_set():
                answers.append(client.post("/v1/classify", files={"file": GOOD}))

    with ThreadPoolExecutor(2) as pool:
        flows = [pool.submit(ask) for _ in range(2)]
        try:
            yield answers
        finally:
            stop.set()
    for flow in flows:
        flow.result()


@contextmanager
def victim_of(server: LiveServer, data: bytes) -> Iterator[Future[httpx.Response]]:
    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(post, server.url, data)


def check_all_served(answers: list[httpx.Response]) -> None:
    assert len(answers) > 10
    assert {answer.status_code for answer in answers} == {200}
    assert len({answer.text for answer in answers}) == 1


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV], ids=lambda number: number.name)
def test_a_process_that_dies_costs_its_own_request_and_no_other(
    fragile_server: LiveServer, fragile_client: httpx.Client, number: signal.Signals
) -> None:
    before = fragile_server.worker_process_ids()
    restarts = metric(fragile_client, "hark_worker_restarts_total", cause="crashed")
    with victim_of(fragile_server, SLOW) as victim:
        worker = busy_worker(fragile_server)
        with requests_flowing(fragile_server) as answers:
            time.sleep(0.1)
            os.kill(worker, number)
            response = victim.result()
            wait_until_ready(fragile_client, 1)
            wait_until_ready(fragile_client, 2)
    check_problem(response, 503, "worker_crashed")
    assert response.headers["retry-after"] == "1"
    check_all_served(answers)
    assert fragile_server.worker_process_ids() & before == before - {worker}
    assert metric(fragile_client, "hark_worker_restarts_total", cause="crashed") == restarts + 1


def test_a_clip_beyond_the_memory_costs_its_own_request_and_no_other(
    fragile_server: LiveServer, fragile_client: httpx.Client
) -> None:
    before = fragile_server.worker_process_ids()
    restarts = metric(fragile_client, "hark_worker_restarts_total", cause="out_of_memory")
    with victim_of(fragile_server, HUGE) as victim:
        busy_worker(fragile_server)
        with requests_flowing(fragile_server) as answers:
            response = victim.result()
            wait_until_ready(fragile_client, 2)
            deadline = time.monotonic() + 20
            while fragile_server.worker_process_ids() == before:
                assert time.monotonic() < deadline, "the process was not replaced"
                time.sleep(0.05)
            wait_until_ready(fragile_client, 2)
    check_problem(response, 503, "out_of_memory")
    assert response.headers["retry-after"] == "1"
    check_all_served(answers)
    assert len(fragile_server.worker_process_ids() & before) == 1
    after = metric(fragile_client, "hark_worker_restarts_total", cause="out_of_memory")
    assert after == restarts + 1


def test_a_process_that_hangs_is_given_up_at_the_deadline_and_costs_no_other(
    fragile_server: LiveServer, fragile_client: httpx.Client
) -> None:
    before = fragile_server.worker_process_ids()
    started = time.monotonic()
    with victim_of(fragile_server, SLOW) as victim:
        worker = busy_worker(fragile_server)
        os.kill(worker, signal.SIGSTOP)
        with requests_flowing(fragile_server) as answers:
            response = victim.result()
            seconds = time.monotonic() - started
            wait_until_ready(fragile_client, 1)
            wait_until_ready(fragile_client, 2)
    check_problem(response, 504, "deadline_exceeded")
    assert metric(fragile_client, "hark_worker_restarts_total", cause="hung") == 1
    assert response.headers["retry-after"] == "5"
    assert DEADLINE_SECONDS - 0.5 < seconds < DEADLINE_SECONDS + 2
    check_all_served(answers)
    assert fragile_server.worker_process_ids() & before == before - {worker}


def test_readiness_ends_with_the_last_process_and_requests_wait_for_the_next(
    fragile_server: LiveServer, fragile_client: httpx.Client
) -> None:
    for worker in fragile_server.worker_process_ids():
        os.kill(worker, signal.SIGKILL)
    deadline = time.monotonic() + 5
    while (response := fragile_client.get("/readyz")).status_code == 200:
        assert time.monotonic() < deadline, "it says that it is ready, with nobody there"
        time.sleep(0.005)
    check_problem(response, 503, "not_ready")
    assert fragile_client.get("/livez").status_code == 200
    assert post(fragile_server.url, GOOD).status_code == 200
    wait_until_ready(fragile_client, 2)


def test_processes_that_die_one_after_the_other_never_stop_the_service(
    fragile_server: LiveServer, fragile_client: httpx.Client
) -> None:
    with requests_flowing(fragile_server) as answers:
        for _ in range(3):
            time.sleep(0.2)
            os.kill(min(fragile_server.worker_process_ids()), signal.SIGKILL)
            wait_until_ready(fragile_client, 1)
            wait_until_ready(fragile_client, 2)
    served = [answer for answer in answers if answer.status_code == 200]
    for answer in answers:
        if answer not in served:
            check_problem(answer, 503, "worker_crashed")
    assert len(answers) - len(served) <= 3  # what was in the hands of those that died
    assert len(served) > 30
