"""What surrounds every request: its identifier, and its count in the metrics."""

import re
import secrets
from time import perf_counter
from typing import Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.metrics import Metrics

REQUEST_ID_HEADER: Final = "X-Request-ID"
_HEADER_NAME: Final = REQUEST_ID_HEADER.lower().encode()
_WELL_FORMED: Final = re.compile(rb"[A-Za-z0-9._:-]{1,128}")


class RequestContext:
    """Gives each request an identifier, echoes it, and counts the request when it is answered.

    A well-formed `X-Request-ID` is taken over; another one would let a client write into logs.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics) -> None:
        self._app = app
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _given_request_id(scope) or secrets.token_hex(16)
        scope["hark.request_id"] = request_id
        started = perf_counter()
        status = 500

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [
                    *(header for header in message["headers"] if header[0] != _HEADER_NAME),
                    (_HEADER_NAME, request_id.encode()),
                ]
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        finally:
            method = scope["method"] if scope["method"] in _METHODS else "other"
            route = getattr(scope.get("route"), "path", "unmatched")
            self._metrics.observe_request(method, route, status, perf_counter() - started)


def _given_request_id(scope: Scope) -> str | None:
    for name, value in scope["headers"]:
        if name == _HEADER_NAME and _WELL_FORMED.fullmatch(value):
            given: bytes = value
            return given.decode()
    return None


_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def request_id_of(scope: Scope) -> str:
    """Return the identifier that `RequestContext` gave a request."""
    request_id: str = scope["hark.request_id"]
    return request_id
