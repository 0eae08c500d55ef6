"""A client of its own, in a process of its own, that asks now and then and times the answers.

What the load's own client measures is how late it hears of answers, on a machine that it shares.
"""

import http.client
import json
import multiprocessing
import time
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Final

PROBES: Final = ("/livez", "/readyz", "/metrics")
_BOUNDARY: Final = "outsider"


class Outsider:
    """Asks every `pause` seconds, until it is ended.

    Args:
        port: the service's.
        clip: a file to classify.
        headers: sent with each request.
        pause: between rounds, in seconds.
    """

    def __init__(self, port: int, clip: Path, headers: dict[str, str], pause: float = 0.1) -> None:
        context = multiprocessing.get_context("spawn")
        self._ours, theirs = context.Pipe()
        arguments = (theirs, port, clip, headers, pause)
        self._process = context.Process(target=_ask_until_told, args=arguments)
        self._process.start()

    def take(self) -> dict[str, list[float]]:
        """Return the seconds of each answer since the last call, by path or problem's code."""
        self._ours.send("take")
        seconds: dict[str, list[float]] = self._ours.recv()
        return seconds

    def end(self) -> None:
        """End it."""
        self._process.kill()
        self._process.join()


def _ask_until_told(
    told: Connection, port: int, clip: Path, headers: dict[str, str], pause: float
) -> None:
    body = (
        f'--{_BOUNDARY}\r\nContent-Disposition: form-data; name="file"\r\n\r\n'.encode()
        + clip.read_bytes()
        + f"\r\n--{_BOUNDARY}--\r\n".encode()
    )
    headers = {**headers, "Content-Type": f"multipart/form-data; boundary={_BOUNDARY}"}
    seconds: dict[str, list[float]] = {}
    while True:
        if told.poll(pause):
            told.recv()
            told.send(seconds)
            seconds = {}
        for path in PROBES:
            passed, _, _ = _ask(port, "GET", path, None, {})
            seconds.setdefault(path, []).append(passed)
        passed, status, answer = _ask(port, "POST", "/v1/classify", body, headers)
        outcome = "answered" if status == http.HTTPStatus.OK else json.loads(answer)["code"]
        seconds.setdefault(outcome, []).append(passed)


def _ask(
    port: int, method: str, path: str, body: bytes | None, headers: dict[str, str]
) -> tuple[float, int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
    started = time.monotonic()
    connection.request(method, path, body, headers)
    response = connection.getresponse()
    answer = response.read()
    passed = time.monotonic() - started
    connection.close()
    return passed, response.status, answer
