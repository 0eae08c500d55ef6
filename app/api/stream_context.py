"""What surrounds every live stream: its identifier, its count, and its line in the log."""

import logging
import time
from dataclasses import dataclass
from typing import Any, Final

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.api.close_codes import KNOWN_CODES
from app.api.request_context import (
    REQUEST_ID_HEADER,
    RequestObserver,
    RequestRecord,
    line_of,
)
from app.metrics.recorder import Metrics

logger = logging.getLogger("hark.requests")

STREAM_PATH: Final = "/v1/stream"
_GONE: Final = 1006  # what is said where a connection ended without a word


@dataclass(slots=True)
class StreamRecord(RequestRecord):
    """What is known of one live stream.

    Attributes:
        n_results: windows answered.
        audio_seconds: how much audio came.
    """

    n_results: int = 0
    audio_seconds: float = 0.0


class StreamContext:
    """Gives each stream an identifier, echoes it, and counts and logs the stream in the end.

    Args:
        app: what answers.
        metrics: where streams are counted.
        observer: what knows of a stream's trace.
    """

    def __init__(self, app: ASGIApp, metrics: Metrics, observer: RequestObserver) -> None:
        self._app = app
        self._metrics = metrics
        self._observer = observer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "websocket":
            await self._app(scope, receive, send)
            return
        record = StreamRecord.begin(scope, self._observer)
        status, close_code = 101, _GONE

        async def receive_and_note() -> Message:
            nonlocal close_code
            message = await receive()
            if message["type"] == "websocket.disconnect":
                close_code = message["code"]
            return message

        async def send_and_note(message: Message) -> None:
            nonlocal status, close_code
            if message["type"] in ("websocket.accept", "websocket.http.response.start"):
                status = message.get("status", status)
                echoed = (REQUEST_ID_HEADER.lower().encode(), record.request_id.encode())
                message["headers"] = [*message.get("headers", []), echoed]
            if message["type"] == "websocket.close":
                close_code = message["code"]
            await send(message)

        try:
            await self._app(scope, receive_and_note, send_and_note)
        finally:
            self._note_end(record, status, close_code)

    def _note_end(self, record: StreamRecord, status: int, close_code: int) -> None:
        seconds = time.monotonic() - record.received_at
        line: dict[str, Any] = line_of(record, "GET", STREAM_PATH, STREAM_PATH, status, seconds)
        if status == 101:
            known = close_code if close_code in KNOWN_CODES else None
            self._metrics.count_stream(known)
            line |= {
                "close_code": close_code,
                "results": record.n_results,
                "audio_seconds": round(record.audio_seconds, 3),
            }
        else:
            self._metrics.observe_request(
                "GET", STREAM_PATH, status, seconds, record.code, record.trace_id
            )
        logger.info("WebSocket %s %d", STREAM_PATH, status, extra=line)
