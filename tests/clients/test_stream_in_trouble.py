"""Live audio when something is in the way: no place, no process, no reader, no key, no time."""

import json
import os
import signal
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
from websockets.exceptions import ConnectionClosed

from app.api_keys import hash_of, make_key
from tests.clients.live_audio import (
    END,
    QUICK,
    all_said,
    conversation,
    metric,
    opened,
    ready,
    sound,
    streamed,
)
from tests.live_server import LiveServer, live_server
from tests.two_versions import eventually

SHORT: Final = sound(0.5, 8_000)
BEGIN: Final = json.dumps(SHORT.configuration)
GOOD, ADMIN, STRANGER = (make_key() for _ in range(3))
UPGRADE: Final = (
    b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)


@pytest.fixture(scope="module")
def narrow(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A service with one compute process, no queue, and few connections."""
    with live_server(
        tmp_path_factory.mktemp("narrow") / "log",
        HARK_ENGINE="onnx",
        HARK_WORKERS="1",
        HARK_QUEUE_SIZE="0",
        HARK_MAX_CONNECTIONS="6",
        HARK_HEADER_SECONDS="1",
        HARK_DRAIN_SECONDS="0",
    ) as running:
        yield running


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A service that asks for keys, and grants four streams an hour to each."""
    folder = tmp_path_factory.mktemp("guarded")
    keys = folder / "keys.toml"
    keys.write_text(
        f'[[keys]]\nname = "good"\nsha256 = "{hash_of(GOOD)}"\nscopes = ["classify"]\n'
        f'[[keys]]\nname = "admin"\nsha256 = "{hash_of(ADMIN)}"\nscopes = ["admin"]\n'
    )
    with live_server(
        folder / "log",
        **QUICK,
        HARK_API_KEYS_FILE=str(keys),
        HARK_RATE_LIMIT="4/hour",
        HARK_LOG_LEVEL="debug",
    ) as running:
        yield running


# No place


def test_a_hop_waits_until_there_is_a_place(narrow: LiveServer) -> None:
    with ready(narrow, SHORT) as connection, half_an_upload(narrow):
        began = time.monotonic()
        connection.send(SHORT.data)
        # The upload is given up after two seconds, since its place is needed.
        assert json.loads(connection.recv(timeout=10))["type"] == "result"
        assert time.monotonic() - began > 1


def test_overload_that_lasts_ends_the_stream(narrow: LiveServer) -> None:
    (process,) = narrow.worker_process_ids()
    os.kill(process, signal.SIGSTOP)
    try:
        with ready(narrow, SHORT) as connection:
            holder = threading.Thread(
                target=httpx.post,
                args=(f"{narrow.url}/v1/classify",),
                kwargs={"content": SHORT.wav(0, 0.5), "timeout": 60},
            )
            holder.start()
            assert eventually(lambda: metric(narrow, "hark_requests_in_flight") == 1)
            connection.send(SHORT.data)
            said = all_said(connection)
    finally:
        os.kill(process, signal.SIGCONT)
    holder.join()
    assert (said.code, said.problem["code"]) == (1013, "overloaded")
    assert streamed(narrow, SHORT).code == 1000


def test_a_process_that_dies_between_hops_costs_nothing(narrow: LiveServer) -> None:
    with ready(narrow, SHORT) as connection:
        (process,) = narrow.worker_process_ids()
        os.kill(process, signal.SIGKILL)
        assert eventually(lambda: metric(narrow, "hark_workers_ready") == 0, 5)
        connection.send(SHORT.data)
        assert json.loads(connection.recv(timeout=20))["type"] == "result"


def test_streams_are_connections_of_which_there_are_only_so_many(narrow: LiveServer) -> None:
    with ExitStack() as stack:
        for _ in range(6):
            stack.enter_context(ready(narrow, SHORT))
        refusal = answer_to(
            narrow, b"GET /v1/stream HTTP/1.1\r\nHost: here\r\n" + UPGRADE + b"\r\n"
        )
    assert refusal.startswith(b"HTTP/1.1 503 ")
    assert b"too_many_connections" in refusal
    assert eventually(lambda: conversation(narrow, BEGIN, END).code == 1000)


# No reader


def frame(payload: bytes, opcode: int = 2) -> bytes:
    """Return a final frame of a client, masked with nothing."""
    length = len(payload)
    header = struct.pack("!BBQ", 0x80 | opcode, 0x80 | 127, length)
    return header + b"\x00" * 4 + payload


def raw_stream(server: LiveServer, **options: Any) -> socket.socket:
    """Open a stream by hand, with a socket that takes in little."""
    connection = socket.socket()
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    connection.connect(("127.0.0.1", server.port))
    connection.sendall(b"GET /v1/stream HTTP/1.1\r\nHost: here\r\n" + UPGRADE + b"\r\n")
    assert connection.recv(4_096).startswith(b"HTTP/1.1 101")
    connection.sendall(frame(json.dumps({**SHORT.configuration, **options}).encode(), 1))
    return connection


def bytes_taken(connection: socket.socket) -> int:
    """Send audio until no more is taken, and return how much was."""
    connection.settimeout(0.5)
    minute = frame(bytes(16_000 * 60))
    n_taken = 0
    try:
        while n_taken < 100e6:
            n_taken += connection.send(minute)
    except (TimeoutError, ConnectionError):
        pass
    return n_taken


def test_who_does_not_read_is_held_back_and_then_given_up(narrow: LiveServer) -> None:
    gone = 'hark_streams_total{code="1006"}'
    before = metric(narrow, gone)
    with raw_stream(narrow, hop_seconds=0.05, top_k=10) as connection:
        assert bytes_taken(connection) < 10e6  # what the system holds on both sides, and no more
        assert eventually(lambda: metric(narrow, gone) == before + 1)
    assert metric(narrow, "hark_streams_open") == 0


# No respect for others


def test_others_are_answered_between_frames_without_end(narrow: LiveServer) -> None:
    empty = b"\x82\x80\x00\x00\x00\x00" * 200_000  # which take seconds to look at
    with httpx.Client(base_url=narrow.url) as other, socket.socket() as connection:
        connection.connect(("127.0.0.1", narrow.port))
        connection.sendall(b"GET /v1/stream HTTP/1.1\r\nHost: here\r\n" + UPGRADE + b"\r\n")
        assert connection.recv(4_096).startswith(b"HTTP/1.1 101")
        connection.sendall(frame(BEGIN.encode(), 1))
        assert b"ready" in connection.recv(4_096)
        end = threading.Thread(target=connection.sendall, args=[empty + frame(END.encode(), 1)])
        end.start()
        n_answers = 0
        while not done(connection):
            assert other.get("/livez").status_code == 200
            n_answers += 1
        end.join()
    assert n_answers > 50  # a read brings a fifth of the frames: there were ten turns


def done(connection: socket.socket) -> bool:
    try:
        return b"done" in connection.recv(4_096, socket.MSG_DONTWAIT)
    except BlockingIOError:
        return False


def test_who_breaks_the_protocol_meanwhile_is_no_defect(narrow: LiveServer) -> None:
    broken = 'hark_streams_total{code="1002"}'
    before = metric(narrow, broken)
    with raw_stream(narrow, hop_seconds=0.05) as connection:
        connection.sendall(frame(SHORT.data * 20))
        while b"result" not in connection.recv(4_096):
            pass
        connection.sendall(frame(b"", 3))  # while the other windows are in computation
        assert eventually(lambda: metric(narrow, broken) == before + 1)
    assert metric(narrow, "hark_streams_open") == 0
    assert "Traceback" not in narrow.log.read_text()


# No key


@pytest.mark.parametrize(
    ("key", "code"),
    [(None, "missing_key"), (STRANGER, "unknown_key"), (ADMIN, "forbidden")],
    ids=["none", "a stranger's", "an admin's"],  # fixed ones: keys differ between test processes
)
def test_a_stream_takes_a_key(guarded: LiveServer, key: str | None, code: str) -> None:
    first = {**SHORT.configuration, **({} if key is None else {"api_key": key})}
    said = conversation(guarded, json.dumps(first))
    assert (said.code, said.problem["code"]) == (1008, code)
    if key is not None:
        said = conversation(guarded, BEGIN, additional_headers={"Authorization": f"Bearer {key}"})
        assert (said.code, said.problem["code"]) == (1008, code)


def test_a_key_is_sent_in_a_header_or_in_the_first_message(guarded: LiveServer) -> None:
    in_message = json.dumps({**SHORT.configuration, "api_key": GOOD})
    assert conversation(guarded, in_message, END).code == 1000
    for headers in ({"Authorization": f"Bearer {GOOD}"}, {"X-API-Key": GOOD}):
        assert conversation(guarded, BEGIN, END, additional_headers=headers).code == 1000
    malformed = json.dumps({"api_key": GOOD, "channels": "two"})
    said = conversation(guarded, malformed)
    assert (said.code, GOOD in said.problem["detail"]) == (1007, False)
    # The fourth is granted, and no fifth.
    assert conversation(guarded, in_message, END).code == 1000
    said = conversation(guarded, in_message, END)
    assert (said.code, said.problem["code"]) == (1008, "rate_limited")
    log = guarded.log.read_text()
    assert '"client": "good"' in log
    assert GOOD not in log


# No more time


def test_a_service_that_stops_says_so_to_its_streams(tmp_path: Path) -> None:
    with live_server(tmp_path / "log", **QUICK) as server, ExitStack() as stack:
        waiting = stack.enter_context(ready(server, SHORT))
        unopened = stack.enter_context(opened(server))
        busy = stack.enter_context(ready(server, SHORT, hop_seconds=0.05))
        sending = threading.Thread(target=send_until_closed, args=(busy,))
        sending.start()
        assert eventually(lambda: metric(server, "hark_stream_results_total") > 10)
        began = time.monotonic()
        server.process.send_signal(signal.SIGTERM)
        for connection in (waiting, unopened, busy):
            said = all_said(connection)
            assert (said.code, said.problem["code"]) == (1012, "stopping")
            assert said.reason == "stopping: The service is stopping"
        assert server.process.wait(timeout=20) == 0
        assert time.monotonic() - began < 5
        sending.join()
        assert "Traceback" not in server.log.read_text()


def send_until_closed(connection: Any) -> None:
    try:
        while True:
            connection.send(SHORT.data)
            time.sleep(0.01)
    except ConnectionClosed:
        pass


# No WebSocket


def answer_to(server: LiveServer, request: bytes) -> bytes:
    """Return all that comes back until the server closes the connection."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
        connection.sendall(request)
        received = b""
        while piece := connection.recv(65_536):
            received += piece
    return received


@pytest.mark.parametrize("protocol", [b"websocket", b"IRC/6.9"])
def test_elsewhere_http_goes_on_and_the_connection_ends(
    narrow: LiveServer, protocol: bytes
) -> None:
    headers = b"Host: here\r\n" + UPGRADE.replace(b"websocket", protocol)
    answer = answer_to(narrow, b"GET /livez HTTP/1.1\r\n" + headers + b"\r\n")
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"connection: close" in answer
    length = b"Content-Length: 3\r\n\r\nabc"
    for path, status in ((b"/v1/classify", b"422"), (b"/v1/stream", b"405")):
        answer = answer_to(narrow, b"POST " + path + b" HTTP/1.1\r\n" + headers + length)
        assert answer.startswith(b"HTTP/1.1 " + status)
        assert answer.count(b"HTTP/1.1") == 1
    assert eventually(lambda: metric(narrow, "hark_requests_in_flight") == 0)
    assert streamed(narrow, SHORT).code == 1000  # no place was lost


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        (UPGRADE.replace(b"Sec-WebSocket-Key", b"X-Other"), b"400"),
        (UPGRADE.replace(b"13", b"7"), b"400"),
        (UPGRADE + b"X-Large: " + b"x" * 9_000 + b"\r\n", b"431"),
        (UPGRADE + b"X-Large: " + b"x" * 20_000 + b"\r\n", b"431"),
        (UPGRADE + b"".join(b"X-%d: y\r\n" % n for n in range(200)), b"431"),
    ],
)
def test_a_handshake_that_is_none_is_refused(
    narrow: LiveServer, headers: bytes, status: bytes
) -> None:
    request = b"GET /v1/stream HTTP/1.1\r\nHost: here\r\n" + headers + b"\r\n"
    answer = answer_to(narrow, request)
    assert answer.startswith(b"HTTP/1.1 " + status)
    assert answer.count(b"HTTP/1.1") == 1


def half_an_upload(server: LiveServer) -> socket.socket:
    """Hold the only place by an upload that does not come to its end."""
    connection = socket.create_connection(("127.0.0.1", server.port))
    connection.sendall(
        b"POST /v1/classify HTTP/1.1\r\nHost: here\r\nContent-Length: 1000\r\n\r\nRIFF"
    )
    assert eventually(lambda: metric(server, "hark_requests_in_flight") == 1)
    return connection
