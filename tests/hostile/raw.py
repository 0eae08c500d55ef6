"""Bytes on a socket: what no HTTP client would send."""

import http.client
import select
import socket
import struct
import time
from typing import Final, Self

import httpx

from tests.live_server import LiveServer

TYPE: Final = "Content-Type: multipart/form-data; boundary=b"


class Connection:
    """A connection on which anything can be sent.

    Args:
        server: the other end.
        seconds: how long anything on it may take.
    """

    def __init__(self, server: LiveServer, seconds: float = 20) -> None:
        self.socket = socket.create_connection(("127.0.0.1", server.port), timeout=seconds)
        self._received = self.socket.makefile("rb")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._received.close()
        self.socket.close()

    def send(self, data: bytes) -> None:
        """Send all of these bytes."""
        self.socket.sendall(data)

    def answer(self, method: str = "POST") -> httpx.Response:
        """Read one answer, and no byte of what follows it."""
        version, status, _ = self._received.readline().split(b" ", 2)
        assert version == b"HTTP/1.1"
        headers = http.client.parse_headers(self._received)
        n_bytes = 0 if method == "HEAD" else int(headers["content-length"])
        content = self._received.read(n_bytes)
        return httpx.Response(int(status), headers=headers.items(), content=content)

    def has_answer(self) -> bool:
        """Say whether something has come, or the other end has closed the connection."""
        readable, _, _ = select.select([self.socket], [], [], 0)
        return bool(readable)

    def is_asked_to_continue(self) -> bool:
        """Say whether the answer that comes first is the one before the answer."""
        status_line = self._received.readline()
        self._received.readline()
        return status_line.startswith(b"HTTP/1.1 100 ")

    def finish(self) -> None:
        """Say that nothing more will come."""
        self.socket.shutdown(socket.SHUT_WR)

    def rest_within(self, seconds: float) -> bytes:
        """Read what has come after a while, and have the other end close the connection."""
        time.sleep(seconds)
        self.finish()
        return self.rest()

    def rest(self) -> bytes:
        """Read until the other end closes the connection, or resets it."""
        try:
            return self._received.read()
        except ConnectionResetError:
            return b""

    def reset(self) -> None:
        """Break the connection off, as a client that crashes does."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self._received.close()
        self.socket.close()


def head(request_line: str, *headers: str) -> bytes:
    """Return a request's line and headers, with the one that every request needs."""
    return "\r\n".join([request_line, "Host: hark", *headers, "", ""]).encode("latin-1")


def part(disposition: bytes, content: bytes) -> bytes:
    """Return a part of a multipart body."""
    return b"--b\r\nContent-Disposition: " + disposition + b"\r\n\r\n" + content + b"\r\n"


def file_part(content: bytes, file_name: bytes = b"sound.wav") -> bytes:
    """Return the part that holds the file."""
    return part(b'form-data; name="file"; filename="' + file_name + b'"', content)


def multipart(*parts: bytes) -> bytes:
    """Return a whole multipart body."""
    return b"".join(parts) + b"--b--\r\n"


def upload(body: bytes, *headers: str) -> bytes:
    """Return a whole request that uploads a multipart body."""
    length = f"Content-Length: {len(body)}"
    return head("POST /v1/classify HTTP/1.1", TYPE, length, *headers) + body
