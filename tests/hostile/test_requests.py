"""Requests that nobody means well with: each gets its answer, and the next request is served."""

import json
import math
import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Final

import httptools
import httpx
import pytest

from tests.api.test_operations import metric
from tests.api.test_problems import check_problem
from tests.conftest import SAMPLES
from tests.hostile.forge import silent_flac
from tests.hostile.raw import TYPE, Connection, file_part, head, multipart, part, upload
from tests.live_server import LiveServer
from tests.sounds import encode, noisy_sweep, patched

GOOD: Final = (SAMPLES / "siren.mp3").read_bytes()
BODY: Final = multipart(file_part(GOOD))
# A second of work, from a few bytes.
SLOW: Final = silent_flac(200, 96_000, 8)
# What a client would have the server take for another request.
SMUGGLED: Final = head("GET /v1/models HTTP/1.1")
POST: Final = "POST /v1/classify HTTP/1.1"


@pytest.fixture(autouse=True)
def still_serving(strict_client: httpx.Client) -> Iterator[None]:
    yield
    assert strict_client.post("/v1/classify", files={"file": GOOD}).status_code == 200


def chunked(*pieces: bytes) -> bytes:
    return b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in pieces) + b"0\r\n\r\n"


def wait_until_none_is_in_flight(client: httpx.Client, seconds: float = 20) -> None:
    deadline = time.monotonic() + seconds
    while metric(client, "hark_requests_in_flight"):
        assert time.monotonic() < deadline, "a place in the queue is lost"
        time.sleep(0.05)


def wait_until_in_flight(client: httpx.Client, count: int) -> None:
    deadline = time.monotonic() + 10
    while metric(client, "hark_requests_in_flight") < count:
        assert time.monotonic() < deadline, "the requests did not arrive"
        time.sleep(0.01)


# Bodies that are too large


def test_an_announced_size_is_refused_at_once(strict_server: LiveServer) -> None:
    started = time.monotonic()
    with Connection(strict_server) as connection:
        connection.send(head(POST, TYPE, "Content-Length: 1000001"))
        check_problem(connection.answer(), 413, "upload_too_large")
    assert time.monotonic() - started < 1


def test_a_size_may_have_more_digits_than_python_reads(hostile_server: LiveServer) -> None:
    with Connection(hostile_server) as connection:
        connection.send(head(POST, TYPE, f"Content-Length: {len(BODY):05000}") + BODY)
        assert connection.answer().status_code == 200


def test_an_announced_size_is_refused_before_a_client_is_asked_to_go_on(
    strict_server: LiveServer,
) -> None:
    with Connection(strict_server) as connection:
        connection.send(head(POST, TYPE, "Content-Length: 1000001", "Expect: 100-continue"))
        check_problem(connection.answer(), 413, "upload_too_large")


def test_what_follows_a_refusal_is_a_body_and_no_request(strict_server: LiveServer) -> None:
    with Connection(strict_server) as connection:
        connection.send(head(POST, TYPE, "Content-Length: 1000001") + SMUGGLED)
        check_problem(connection.answer(), 413, "upload_too_large")
        assert connection.rest_within(0.3) == b""


def test_a_chunked_body_without_an_end_is_refused_at_the_limit(strict_server: LiveServer) -> None:
    n_sent = 0
    with Connection(strict_server) as connection:
        connection.send(head(POST, TYPE, "Transfer-Encoding: chunked"))
        connection.send(b"%x\r\n%b\r\n" % (len(BODY) // 2, BODY[: len(BODY) // 2]))
        while not connection.has_answer() and n_sent < 100_000_000:
            connection.send(b"10000\r\n%b\r\n" % bytes(0x10000))
            n_sent += 0x10000
        check_problem(connection.answer(), 413, "upload_too_large")
    assert n_sent < 50_000_000  # what lies in the system's buffers, and not all that was there


def test_a_body_of_another_type_is_bounded_too(strict_client: httpx.Client) -> None:
    response = strict_client.post("/v1/classify", json={"file": "x" * 2_000_000})
    assert response.status_code in {413, 422}
    assert response.json()["code"] in {"upload_too_large", "missing_file"}


# Clients that are too slow


def trickle(connection: Connection, piece: bytes) -> float:
    """Send a piece now and then until there is an answer, and return when that began."""
    started = time.monotonic()
    while not connection.has_answer() and time.monotonic() - started < 10:
        connection.send(piece)
        time.sleep(0.1)
    return started


def test_a_body_that_trickles_ends_in_time(strict_server: LiveServer) -> None:
    with Connection(strict_server) as connection:
        connection.send(head(POST, TYPE, f"Content-Length: {len(BODY)}") + BODY[:1_000])
        started = trickle(connection, b"-")
        check_problem(connection.answer(), 408, "upload_too_slow")
    assert 1.4 < time.monotonic() - started < 4


def test_headers_that_trickle_end_in_time(strict_server: LiveServer) -> None:
    with Connection(strict_server) as connection:
        connection.send(head(POST, TYPE)[:-2])
        started = trickle(connection, b"X: y\r\n")
        check_problem(connection.answer(), 408, "headers_too_slow")
    assert 0.9 < time.monotonic() - started < 4


def test_the_headers_of_a_second_request_have_no_more_time(strict_server: LiveServer) -> None:
    with Connection(strict_server) as connection:
        connection.send(head("GET /livez HTTP/1.1"))
        assert connection.answer().status_code == 200
        connection.send(b"GET /livez HTTP/1.1\r\n")
        check_problem(connection.answer(), 408, "headers_too_slow")


def test_a_client_that_says_nothing_is_left(strict_server: LiveServer) -> None:
    started = time.monotonic()
    with Connection(strict_server) as connection:
        assert connection.rest() == b""
    assert time.monotonic() - started < 4


def test_a_client_that_goes_on_sending_after_its_answer_is_left(strict_server: LiveServer) -> None:
    with Connection(strict_server) as connection:
        connection.send(head(POST, TYPE, "Content-Length: 1000001"))
        check_problem(connection.answer(), 413, "upload_too_large")
        started = time.monotonic()
        while not connection.has_answer() and time.monotonic() - started < 10:
            connection.send(b"-")
            time.sleep(0.1)
        assert connection.rest() == b""
    assert time.monotonic() - started < 4


# Headers that are too large


@pytest.mark.parametrize(
    "request_bytes",
    [
        head("GET /livez HTTP/1.1", "X: " + "y" * 5_000),
        head("GET /livez HTTP/1.1", *["X: y"] * 2_000),
        head("GET /livez HTTP/1.1", *["X:"] * 100_000),
        head("GET /" + "a" * 5_000 + " HTTP/1.1"),
        head("GET /?" + "a" * 5_000 + " HTTP/1.1"),
        head("GET /livez HTTP/1.1", "X" * 5_000 + ": y"),
        head("GET /livez HTTP/1.1", "X: " + "y" * 300_000),
    ],
    ids=["one", "many", "100 000 empty ones", "path", "query", "name", "of 300 kB"],
)
def test_headers_beyond_the_limit_are_refused(
    strict_server: LiveServer, request_bytes: bytes
) -> None:
    with Connection(strict_server) as connection:
        connection.send(request_bytes)
        check_problem(connection.answer(), 431, "headers_too_large")


def test_headers_within_the_limit_are_taken(strict_server: LiveServer) -> None:
    with Connection(strict_server) as connection:
        connection.send(head("GET /livez HTTP/1.1", "X: " + "y" * 3_900))
        assert connection.answer().status_code == 200


@pytest.mark.parametrize("piece", [b"X: y\r\n" * 100, b"y" * 600], ids=["many", "one"])
def test_headers_without_an_end_are_refused_at_the_limit(
    strict_server: LiveServer, piece: bytes
) -> None:
    n_sent = 0
    with Connection(strict_server) as connection:
        connection.send(b"GET /livez HTTP/1.1\r\nX: ")
        while not connection.has_answer() and n_sent < 1_000_000:
            connection.send(piece)
            n_sent += len(piece)
            time.sleep(0.01)
        check_problem(connection.answer(), 431, "headers_too_large")
    assert n_sent < 20_000


def resident_bytes(server: LiveServer) -> int:
    status = Path(f"/proc/{server.process.pid}/status").read_text()
    return 1_000 * int(status.split("VmRSS:")[1].split()[0])


# Uvicorn keeps trailers (headers behind a chunked body) without a limit: 130 MB a second.
@pytest.mark.parametrize("piece", [b"X: y\r\n" * 20_000, b"y" * 120_000], ids=["many", "one"])
def test_trailers_without_an_end_take_no_memory(strict_server: LiveServer, piece: bytes) -> None:
    before = resident_bytes(strict_server)
    peak = before
    with Connection(strict_server) as connection:
        connection.send(head(POST, TYPE, "Transfer-Encoding: chunked"))
        connection.send(chunked(BODY)[:-2] + b"X: ")
        started = time.monotonic()
        while not connection.has_answer() and time.monotonic() - started < 10:
            connection.send(piece)
            peak = max(peak, resident_bytes(strict_server))
        answer = connection.answer()
    assert answer.status_code in {200, 400, 408, 431}, answer.text
    assert peak - before < 20_000_000


# What is no HTTP

NO_HTTP: Final = {
    "noise": bytes(range(256)) * 4,
    "tls": bytes.fromhex("1603010200010001fc0303") + bytes(500),
    "http/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(20),
    "http/9.9": head("GET /livez HTTP/9.9"),
    "ssh": b"SSH-2.0-OpenSSH_9.6\r\n",
    "smtp": b"EHLO hark\r\n",
    "zeros": bytes(100),
    "no path": b"GET\r\n\r\n",
    "a path that is none": head("GET livez HTTP/1.1"),
    "a control character in the path": head("GET /\x01 HTTP/1.1"),
    "a half address": head("GET http://[::1 HTTP/1.1"),
    "a method that is none": head("BREW /livez HTTP/1.1"),
    "a tunnel": head("CONNECT 127.0.0.1:22 HTTP/1.1"),
    "lower case": head("get /livez HTTP/1.1"),
    "line feeds alone": head("GET /livez HTTP/1.1").replace(b"\r", b""),
    "a space before a colon": head("GET /livez HTTP/1.1", "X : y"),
    "a folded header": head("GET /livez HTTP/1.1", "X: y", " z"),
    "a header without a colon": head("GET /livez HTTP/1.1", "X"),
    "a zero in a header": head("GET /livez HTTP/1.1", "X: \0"),
    "a carriage return in a header": head("GET /livez HTTP/1.1", "X: y\rz"),
}


@pytest.mark.parametrize("name", NO_HTTP)
def test_what_is_no_http_is_told_so(strict_server: LiveServer, name: str) -> None:
    with Connection(strict_server) as connection:
        connection.send(NO_HTTP[name])
        response = connection.answer()
    check_problem(response, 400, "malformed_request")
    assert response.headers["connection"] == "close"


# Each ends where this server and a proxy before it might see the end at different places.
TWO_ENDS: Final = {
    "length, then chunks": head(POST, TYPE, "Content-Length: 4", "Transfer-Encoding: chunked"),
    "chunks, then length": head(POST, TYPE, "Transfer-Encoding: chunked", "Content-Length: 4"),
    "two lengths": head(POST, TYPE, "Content-Length: 4", f"Content-Length: {len(BODY)}"),
    "the same length twice": head(POST, TYPE, *[f"Content-Length: {len(BODY)}"] * 2),
    "lengths in one header": head(POST, TYPE, f"Content-Length: {len(BODY)}, {len(BODY)}"),
    "a length with a sign": head(POST, TYPE, f"Content-Length: +{len(BODY)}"),
    "a negative length": head(POST, TYPE, "Content-Length: -1"),
    "a hexadecimal length": head(POST, TYPE, "Content-Length: 0x10"),
    "a length beyond 64 bits": head(POST, TYPE, "Content-Length: 18446744073709551617"),
    "no length": head(POST, TYPE, "Content-Length: "),
    "two encodings": head(POST, TYPE, *["Transfer-Encoding: chunked, identity"]),
    "encodings in two headers": head(
        POST, TYPE, "Transfer-Encoding: chunked", "Transfer-Encoding: identity"
    ),
    "an encoding before a space": head(POST, TYPE, "Transfer-Encoding : chunked"),
    "an encoding that is none": head(POST, TYPE, "Transfer-Encoding: xchunked"),
}


@pytest.mark.parametrize("name", TWO_ENDS)
def test_a_body_that_might_end_elsewhere_is_refused(strict_server: LiveServer, name: str) -> None:
    with Connection(strict_server) as connection:
        connection.send(TWO_ENDS[name] + chunked(BODY) + SMUGGLED)
        check_problem(connection.answer(), 400, "malformed_request")
        assert connection.rest_within(0.2) == b""


# Such a request must not keep its place until HARK_UPLOAD_SECONDS are over.
@pytest.mark.parametrize("size", [b"FFFFFFFFFFFFFFFFF", b"-1", b"x", b""])
def test_a_chunk_of_no_size_is_told_so_at_once(strict_server: LiveServer, size: bytes) -> None:
    started = time.monotonic()
    with Connection(strict_server) as connection:
        connection.send(head(POST, TYPE, "Transfer-Encoding: chunked") + size + b"\r\n" + BODY)
        response = connection.answer()
    assert response.status_code == 400, response.text
    assert response.json()["code"] in {"malformed_request", "malformed_upload"}
    assert time.monotonic() - started < 1


def test_a_chunk_of_2_to_the_63_bytes_is_counted_as_it_arrives(strict_server: LiveServer) -> None:
    with Connection(strict_server) as connection:
        connection.send(head(POST, TYPE, "Transfer-Encoding: chunked") + b"7FFFFFFFFFFFFFFF\r\n")
        connection.send(file_part(bytes(1_100_000)))
        check_problem(connection.answer(), 413, "upload_too_large")


def processor_seconds(server: LiveServer) -> float:
    spent = Path(f"/proc/{server.process.pid}/stat").read_text().rpartition(")")[2].split()[11:13]
    return sum(map(int, spent)) / os.sysconf("SC_CLK_TCK")


class BytesCounter:
    """What the parser alone tells its pieces to."""

    def __init__(self) -> None:
        self.n_bytes = 0

    def on_body(self, body: bytes) -> None:
        self.n_bytes += len(body)


def parsing_seconds(request: bytes) -> float:
    """Return what it costs to parse a request as it arrives, and to do nothing with its body."""
    started = time.process_time()
    parser = httptools.HttpRequestParser(BytesCounter())
    for start in range(0, len(request), 256 * 1024):
        parser.feed_data(request[start : start + 256 * 1024])
    return time.process_time() - started


# The event loop answers nobody meanwhile. On one machine, taking them costs 3 times as much as
# parsing them, and 7 times as much if all pieces are copied for each new one; on another 5 and 15.
def test_a_body_in_chunks_of_a_byte_costs_no_more_than_reading_it(
    hostile_server: LiveServer,
) -> None:
    body = multipart(file_part(bytes(500_000)))
    pieces = chunked(*[body[index : index + 1] for index in range(len(body))])
    request = head(POST, TYPE, "Transfer-Encoding: chunked") + pieces
    ratios = [math.inf]
    while min(ratios) >= 6.5 and len(ratios) < 10:  # processors that are shared take longer, too
        before = processor_seconds(hostile_server)
        with Connection(hostile_server) as connection:
            connection.send(request)
            check_problem(connection.answer(), 415, "not_audio")
        spent = processor_seconds(hostile_server) - before
        ratios.append(spent / parsing_seconds(request))
    assert min(ratios) < 6.5


# Many at a time


def test_more_connections_than_the_limit_are_refused_and_the_others_served(
    strict_server: LiveServer,
) -> None:
    with ExitStack() as stack:
        early = [stack.enter_context(Connection(strict_server)) for _ in range(18)]
        for connection in early:
            connection.send(head("GET /livez HTTP/1.1"))
            assert connection.answer().status_code == 200
        late = [stack.enter_context(Connection(strict_server)) for _ in range(10)]
        time.sleep(0.2)
        refused = [connection for connection in late if connection.has_answer()]
        assert 7 <= len(refused) <= 9  # the other tests' client has one, or had
        for connection in refused:
            response = connection.answer()
            check_problem(response, 503, "too_many_connections")
            assert response.headers["retry-after"] == "1"
        for connection in early:
            connection.send(upload(BODY))
        assert {connection.answer().status_code for connection in early} == {200}


def test_refused_connections_take_no_places(strict_server: LiveServer) -> None:
    with ExitStack() as refused:
        with ExitStack() as early:
            for _ in range(20):
                early.enter_context(Connection(strict_server))
            late = [refused.enter_context(Connection(strict_server)) for _ in range(25)]
            time.sleep(0.2)
            assert sum(connection.has_answer() for connection in late) >= 24
        time.sleep(0.2)
        with Connection(strict_server) as connection:
            connection.send(head("GET /livez HTTP/1.1"))
            assert connection.answer().status_code == 200


def wait_until_served(server: LiveServer) -> None:
    """Wait until a new connection is taken: those before it have lost their places."""
    deadline = time.monotonic() + 10
    while True:
        with Connection(server) as connection:
            connection.send(head("GET /livez HTTP/1.1"))
            if connection.answer().status_code == 200:
                return
        assert time.monotonic() < deadline, "the others keep their places"
        time.sleep(0.1)


def test_connections_without_a_word_give_their_places_back(strict_server: LiveServer) -> None:
    with ExitStack() as stack:
        for _ in range(20):
            stack.enter_context(Connection(strict_server))
        wait_until_served(strict_server)


def test_pipelined_requests_are_answered_in_order(strict_server: LiveServer) -> None:
    with Connection(strict_server) as connection:
        connection.send(upload(BODY) + head("GET /nothing HTTP/1.1") + upload(BODY))
        assert [connection.answer().status_code for _ in range(3)] == [200, 404, 200]


def test_a_hundred_pipelined_requests_are_answered(strict_server: LiveServer) -> None:
    with Connection(strict_server) as connection:
        connection.send(head("GET /livez HTTP/1.1") * 100)
        assert {connection.answer().status_code for _ in range(100)} == {200}


def test_requests_cut_anywhere_are_answered(strict_server: LiveServer) -> None:
    with Connection(strict_server) as connection:
        requests = head("GET /livez HTTP/1.1", "X: " + "y" * 100) * 60
        for piece in (requests[:500], requests[500:8_000], requests[8_000:]):
            connection.send(piece)
            time.sleep(0.1)
        assert {connection.answer().status_code for _ in range(60)} == {200}


# Each takes memory before it is answered, and one read brings ten thousand.
def test_pipelined_requests_without_an_end_are_cut_off(strict_server: LiveServer) -> None:
    before = resident_bytes(strict_server)
    with Connection(strict_server) as connection, suppress(ConnectionError):
        connection.send(b"GET /openapi.json HTTP/1.1\r\n\r\n" * 9_000)
        connection.rest()
    assert resident_bytes(strict_server) - before < 10_000_000


# They would keep those away who read: 20 connections are all that there are.
def test_clients_that_do_not_read_are_left(strict_server: LiveServer) -> None:
    with ExitStack() as stack:
        for _ in range(19):
            connection = stack.enter_context(Connection(strict_server))
            connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 2_048)
            connection.send(head("GET /static-offline-docs/swagger-ui-bundle.js HTTP/1.1") * 4)
        wait_until_served(strict_server)


def test_headers_are_counted_once_where_the_body_comes_later(strict_server: LiveServer) -> None:
    request = upload(BODY, "X: " + "y" * 3_000)
    with Connection(strict_server) as connection:
        connection.send(request[: -len(BODY)])
        time.sleep(0.1)
        connection.send(BODY[:10])
        time.sleep(0.1)
        connection.send(BODY[10:])
        assert connection.answer().status_code == 200


# The bytes of a request are not to be counted as headers of the one behind it.
def test_half_a_request_behind_another_one_is_waited_for(strict_server: LiveServer) -> None:
    with Connection(strict_server) as connection:
        connection.send(upload(BODY) + SMUGGLED[:10])
        assert connection.answer().status_code == 200
        connection.send(SMUGGLED[10:])
        assert connection.answer().status_code == 200


def test_garbage_behind_a_request_costs_it_nothing(strict_server: LiveServer) -> None:
    with Connection(strict_server) as connection:
        connection.send(upload(BODY) + b"garbage\r\n\r\n")
        assert connection.answer().status_code == 200


# Multipart bodies

MULTIPART: Final[dict[str, tuple[bytes, int, str]]] = {
    "five parts": (
        multipart(*[part(b'form-data; name="x"', b"y")] * 4, file_part(GOOD)),
        413,
        "too_many_parts",
    ),
    "ten thousand parts": (multipart(*[part(b"form-data", b"")] * 10_000), 413, "too_many_parts"),
    "a file name of 10 kB": (
        multipart(file_part(GOOD, b"x" * 10_000)),
        413,
        "part_headers_too_large",
    ),
    "a header of a part of 500 kB": (
        b"--b\r\nX: " + b"y" * 500_000 + b"\r\n\r\n",
        413,
        "part_headers_too_large",
    ),
    "many headers of a part": (
        b"--b\r\n" + b"X: y\r\n" * 50_000 + b"\r\n",
        413,
        "part_headers_too_large",
    ),
    "two files": (multipart(file_part(GOOD), file_part(GOOD)), 422, "duplicate_file"),
    "no file": (multipart(part(b'form-data; name="sound"', GOOD)), 422, "missing_file"),
    "a file of no byte": (multipart(file_part(b"")), 422, "empty_audio"),
    "another boundary": (BODY.replace(b"--b", b"--c"), 400, "malformed_upload"),
    "no end": (BODY[: -len(b"--b--\r\n")], 400, "malformed_upload"),
    "half": (BODY[: len(BODY) // 2], 400, "malformed_upload"),
    "half a header": (b"--b\r\nContent-Dispo", 400, "malformed_upload"),
    "no byte": (b"", 400, "malformed_upload"),
    "dashes": (b"-" * 500_000, 400, "malformed_upload"),
    "line ends": (b"\r\n" * 250_000, 400, "malformed_upload"),
    "a header without a colon": (b"--b\r\nX\r\n\r\n", 400, "malformed_upload"),
}


@pytest.mark.parametrize("name", MULTIPART)
def test_a_hostile_multipart_body_is_refused(strict_server: LiveServer, name: str) -> None:
    body, status, code = MULTIPART[name]
    with Connection(strict_server) as connection:
        connection.send(upload(body))
        check_problem(connection.answer(), status, code)


def test_what_looks_like_boundaries_within_a_file_is_the_file(strict_server: LiveServer) -> None:
    wav = encode(noisy_sweep(1, 22_050), 22_050)
    hole = b"\r\n--\r\n-b\r\r\n--c--\r\n--" * 500
    with Connection(strict_server) as connection:
        connection.send(upload(multipart(file_part(patched(wav, 1_000, hole)))))
        response = connection.answer()
    assert response.status_code == 200
    assert response.json()["duration_seconds"] == 1
    assert not response.json()["truncated"]


@pytest.mark.parametrize(
    "headers",
    [
        ["Content-Encoding: gzip"],
        ["Content-Encoding: br"],
        ["Content-Encoding: identity, gzip"],
        ["Content-Encoding: identity", "Content-Encoding: gzip"],
    ],
    ids=str,
)
def test_a_compressed_body_is_refused(strict_server: LiveServer, headers: list[str]) -> None:
    with Connection(strict_server) as connection:
        connection.send(upload(BODY, *headers))
        check_problem(connection.answer(), 415, "compressed_upload")


FILE_NAMES: Final = {
    "folders": b"../../../../etc/passwd",
    "folders of windows": b"C:\\Windows\\passwd.wav",
    "a zero": b"passwd\0.wav",
    "colours of a terminal": b"\x1b[31mpasswd\x1b[0m",
    "all control characters": bytes(set(range(32)) - {10, 13}) + b"passwd",
    "other letters": "звук-passwd-音.wav".encode(),
    "letters turned around": "\u202epasswd\u202d.wav".encode(),
    "no letters of utf-8": b"\xff\xfepasswd",
    "a quote": b'passwd".wav',
    "an escaped quote": b'passwd\\".wav',
    "a carriage return": b"passwd\r.wav",
    "a line feed": b"passwd\n.wav",
    "a header of its own": b'passwd"\r\nX-Evil: "1',
    "the end of the headers": b'passwd"\r\n\r\nRIFF',
    "percents": b"passwd%0d%0a%00",
    "another parameter": b'passwd"; name="other',
    "parameters": b";" * 900 + b"passwd",
    "nothing": b"",
    "nine hundred letters": b"x" * 900,
    "a log line": b'"}\\n{"level": "ERROR", "message": "passwd"}',
}


@pytest.mark.parametrize("name", FILE_NAMES)
def test_a_file_may_be_called_anything_and_the_log_does_not_tell(
    strict_server: LiveServer, name: str
) -> None:
    with Connection(strict_server) as connection:
        connection.send(upload(multipart(file_part(GOOD, FILE_NAMES[name]))))
        response = connection.answer()
    assert response.status_code == 200 or 400 <= response.status_code < 500, response.text
    assert b"passwd" not in response.content
    check_log(strict_server)
    assert "passwd" not in strict_server.log.read_text()


@pytest.mark.parametrize(
    "request_bytes",
    [
        head("GET /%1b[31m%0d%0a%00{%22level%22:%22ERROR%22} HTTP/1.1"),
        head("GET /%zz%f%c0%ae HTTP/1.1"),
        head("GET /" + "%0a" * 500 + " HTTP/1.1"),
        head("GET /v1/models/%0a%1b HTTP/1.1"),
        head("GET /nothing HTTP/1.1", "X-Request-ID: \x1b[31m"),
        head("GET /nothing HTTP/1.1", "traceparent: 00-\xff"),
        head("GET /nothing HTTP/1.1", "User-Agent: \x1b]0;evil\x07"),
        head("GET /nothing?a=%0a&top_k=%1b HTTP/1.1"),
        head("POST /v1/classify?top_k=%1b%0a HTTP/1.1", TYPE, "Content-Length: 0"),
    ],
)
def test_nothing_that_is_sent_begins_a_line_of_the_log(
    strict_server: LiveServer, request_bytes: bytes
) -> None:
    with Connection(strict_server) as connection:
        connection.send(request_bytes)
        assert 400 <= connection.answer().status_code < 500
    check_log(strict_server)


# libsndfile writes some of its complaints to standard output.
def test_what_a_decoder_complains_of_is_not_in_the_log(
    strict_server: LiveServer, strict_client: httpx.Client
) -> None:
    caf = encode(noisy_sweep(0.4, 44_100), 44_100, "CAF", "ALAC_16")
    broken = patched(caf, caf.index(b"pakt") + 12 + 26, b"\xff" * 6)
    for _ in range(200):  # so many that what is written leaves C's buffer
        assert strict_client.post("/v1/classify", files={"file": broken}).status_code in {200, 422}
    check_log(strict_server)


def check_log(server: LiveServer) -> None:
    """Check that each line is an object of JSON, without a control character."""
    time.sleep(0.05)  # a line is written when the answer is on its way
    for line in server.log.read_bytes().splitlines(keepends=True):
        assert line.endswith(b"\n")
        assert all(byte >= 32 for byte in line[:-1]), line
        assert isinstance(json.loads(line), dict), line


# Clients that go away


def test_a_reset_in_the_middle_of_an_upload_gives_its_place_back(
    strict_server: LiveServer, strict_client: httpx.Client
) -> None:
    connections = [Connection(strict_server) for _ in range(10)]
    for connection in connections:
        connection.send(upload(BODY)[: -len(BODY) // 2])
    wait_until_in_flight(strict_client, 10)
    started = time.monotonic()
    for connection in connections:
        connection.reset()
    wait_until_none_is_in_flight(strict_client)
    assert time.monotonic() - started < 1  # and not when the uploads would be too late


def test_a_half_closed_upload_gives_its_place_back(
    strict_server: LiveServer, strict_client: httpx.Client
) -> None:
    with Connection(strict_server) as connection:
        connection.send(upload(BODY)[: -len(BODY) // 2])
        wait_until_in_flight(strict_client, 1)
        connection.finish()
        started = time.monotonic()
        wait_until_none_is_in_flight(strict_client)
        assert time.monotonic() - started < 1


@pytest.mark.parametrize("leave", [Connection.reset, Connection.finish], ids=["reset", "closed"])
def test_a_client_that_does_not_wait_for_its_answer_gives_its_place_back(
    strict_server: LiveServer, strict_client: httpx.Client, leave: Callable[[Connection], None]
) -> None:
    workers = strict_server.worker_process_ids()
    with Connection(strict_server) as connection:
        connection.send(upload(multipart(file_part(SLOW))))
        wait_until_in_flight(strict_client, 1)
        leave(connection)
        wait_until_none_is_in_flight(strict_client)
    assert strict_server.worker_process_ids() == workers


def test_a_client_that_is_late_to_read_holds_up_nobody_and_gets_all_answers(
    strict_server: LiveServer, strict_client: httpx.Client
) -> None:
    before = resident_bytes(strict_server)
    n_requests = 100  # their answers are 3 MB
    with Connection(strict_server) as connection:
        connection.send(head("GET /openapi.json HTTP/1.1") * n_requests)
        time.sleep(0.5)
        assert strict_client.get("/livez").status_code == 200
        assert resident_bytes(strict_server) - before < 20_000_000
        assert {connection.answer().status_code for _ in range(n_requests)} == {200}


# Requests that are only unusual


def test_a_get_with_a_body_is_answered_and_so_is_the_next_one(strict_server: LiveServer) -> None:
    request = head("GET /livez HTTP/1.1", f"Content-Length: {len(BODY)}") + BODY
    with Connection(strict_server) as connection:
        connection.send(request + SMUGGLED)
        assert connection.answer().json() == {"status": "alive"}
        assert "models" in connection.answer().json()


def test_head_is_answered_without_a_body(strict_server: LiveServer) -> None:
    with Connection(strict_server) as connection:
        connection.send(head("HEAD /livez HTTP/1.1") + head("HEAD /v1/classify HTTP/1.1"))
        assert connection.answer("HEAD").status_code == 200
        assert connection.answer("HEAD").status_code == 405
        connection.send(SMUGGLED)
        assert connection.answer().status_code == 200


def test_an_upgrade_is_passed_over(strict_server: LiveServer) -> None:
    upgrade = [
        "Connection: Upgrade",
        "Upgrade: websocket",
        "Sec-WebSocket-Version: 13",
        "Sec-WebSocket-Key: x",
    ]
    with Connection(strict_server) as connection:
        connection.send(head("GET /livez HTTP/1.1", *upgrade))
        assert connection.answer().json() == {"status": "alive"}


def test_a_client_that_waits_to_be_asked_is_asked(strict_server: LiveServer) -> None:
    with Connection(strict_server) as connection:
        length = f"Content-Length: {len(BODY)}"
        connection.send(head(POST, TYPE, length, "Expect: 100-continue"))
        assert connection.is_asked_to_continue()
        connection.send(BODY)
        assert connection.answer().status_code == 200
