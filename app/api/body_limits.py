"""How large a request's body may be and how long it may take, counted as the bytes arrive.

This stands where the server hands on the bytes, before every route and every parser: a parser
writes down what it is sent for as long as it is sent, and a route that declares what it takes runs
when all of it has been received.
"""

import asyncio
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.request_context import record_of
from app.errors import UploadTooLargeError, UploadTooSlowError


class BodyLimits:
    """Has whoever receives a body get an error once it is too large or too late.

    Args:
        app: what receives it.
        max_bytes: the largest body; one that announces more in its Content-Length is refused at
            once.
        max_seconds: how long a body may take, from the request's first byte to its last.
    """

    def __init__(self, app: ASGIApp, max_bytes: int, max_seconds: float) -> None:
        self._app = app
        self._max_bytes = max_bytes
        self._max_seconds = max_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        n_received = 0
        complete = False

        async def receive_bounded() -> Message:
            nonlocal n_received, complete
            if complete:
                return await receive()  # what comes now is the news that the client is gone
            if n_received == 0 and _announced_bytes(scope) > self._max_bytes:
                raise self._too_large()
            try:
                async with asyncio.timeout(self._seconds_left(scope)):
                    message = await receive()
            except TimeoutError as error:
                raise UploadTooSlowError(
                    f"The upload did not arrive within {self._max_seconds:g} seconds. Send it over "
                    "a faster connection, or a smaller file (MP3)."
                ) from error
            n_received += len(message.get("body", b""))
            if n_received > self._max_bytes:
                raise self._too_large()
            complete = not message.get("more_body", False)
            return message

        await self._app(scope, receive_bounded, send)

    def _seconds_left(self, scope: Scope) -> float:
        return record_of(scope).received_at + self._max_seconds - time.monotonic()

    def _too_large(self) -> UploadTooLargeError:
        return UploadTooLargeError(
            f"The upload is larger than {self._max_bytes / 1e6:g} MB, which is the limit. Send a "
            "shorter clip, or a compressed one (MP3, FLAC)."
        )


def _announced_bytes(scope: Scope) -> int:
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit():
            # Zeros before it may be thousands, more than Python makes a number of.
            return int(value.lstrip(b"0") or b"0")
    return 0
