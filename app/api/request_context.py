"""What surrounds every request: its identifiers, its count in the metrics, and its line in the log.

What happens to a request on its way is noted in its `RequestRecord`. Neither audio nor a file's
name nor a key ever stands there.
"""

import logging
import re
import secrets
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final, Self

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.inference.store import ModelReference
from app.metrics.recorder import Metrics

REQUEST_ID_HEADER: Final = "X-Request-ID"
TRACEPARENT_HEADER: Final = "traceparent"

logger = logging.getLogger("hark.requests")

_REQUEST_ID: Final = REQUEST_ID_HEADER.lower().encode()
_TRACEPARENT: Final = TRACEPARENT_HEADER.encode()
_WELL_FORMED_ID: Final = re.compile(rb"[A-Za-z0-9._:-]{1,128}")
# https://www.w3.org/TR/trace-context/#traceparent-header
_WELL_FORMED_TRACE: Final = re.compile(
    rb"(?!ff)[0-9a-f]{2}-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}"
)
_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
# Asked every few seconds by machines, so not worth a line each.
PROBES: Final = frozenset({"/livez", "/readyz", "/metrics", "/v2/health/live", "/v2/health/ready"})
_LONGEST_PATH: Final = 200


@dataclass(slots=True)
class RequestRecord:
    """What is known of one request while it is answered.

    Attributes:
        request_id: its name: the client's, if that is well-formed.
        traceparent: its place in a distributed trace, by W3C's recommendation.
        received_at: when its headers were there, on the system's monotonic clock.
        client: the name of the API key that was sent, or the address of who sent it.
        model: the version that answered.
        code: that of the problem that it was answered with.
        upload_bytes: size of the file in it.
        stage_seconds: where its time went, by stage.
    """

    request_id: str
    traceparent: str | None
    received_at: float
    client: str | None = None
    model: ModelReference | None = None
    code: str | None = None
    upload_bytes: int | None = None
    stage_seconds: dict[str, float] = field(default_factory=dict)

    @classmethod
    def begin(cls, scope: Scope, observer: "RequestObserver") -> Self:
        """Begin to take note of a request, where `record_of` finds it.

        Args:
            scope: the request's.
            observer: what knows of its trace.
        """
        record = scope["hark.record"] = cls(
            request_id=sent_request_id(scope["headers"]) or new_request_id(),
            traceparent=observer.traceparent_of(scope),
            received_at=time.monotonic(),
            client=scope["client"][0] if scope.get("client") else None,
        )
        return record

    def end_stage(self, stage: str, **after: float) -> None:
        """Note that a stage ends now that began where the last one ended.

        Args:
            stage: its name.
            after: stages that came after it, and how many seconds each of them took.
        """
        passed = time.monotonic() - self.received_at
        known = sum(self.stage_seconds.values()) + sum(after.values())
        self.stage_seconds[stage] = max(0.0, passed - known)
        self.stage_seconds.update(after)

    def end_answer(self) -> None:
        """Note that the answer has been sent, where there was something to answer."""
        if self.model is not None and self.stage_seconds:
            self.end_stage("respond")

    @property
    def trace_id(self) -> str | None:
        """The trace that its place is in, where that is recorded anywhere (its last bit)."""
        if self.traceparent is None or not int(self.traceparent[-2:], 16) & 1:
            return None
        return self.traceparent.split("-")[1]


class RequestObserver:
    """What knows of a request's trace: here, no more than what the client sent."""

    def traceparent_of(self, scope: Scope) -> str | None:
        """Return a request's place in its trace: the well-formed `traceparent` that was sent."""
        return _header(scope["headers"], _TRACEPARENT, _WELL_FORMED_TRACE)

    def note_answer(self, route: str, method: str, record: RequestRecord) -> None:
        """Take note of a request whose answer is about to be sent."""


class RequestContext:
    """Gives each request an identifier, echoes it, and counts and logs the request in the end.

    A well-formed `X-Request-ID` is taken over; another one would let a client write into logs.

    Args:
        app: what answers.
        metrics: where requests are counted.
        is_stopping: whether the service has been asked to stop: then connections are not kept.
        observer: what knows of a request's trace.
    """

    def __init__(
        self,
        app: ASGIApp,
        metrics: Metrics,
        is_stopping: Callable[[], bool],
        observer: RequestObserver,
    ) -> None:
        self._app = app
        self._metrics = metrics
        self._is_stopping = is_stopping
        self._observer = observer

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        record = RequestRecord.begin(scope, self._observer)
        echoed = [(_REQUEST_ID, record.request_id.encode())]
        if record.traceparent is not None:
            echoed.append((_TRACEPARENT, record.traceparent.encode()))
        status = 500

        async def send_with_id(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                self._observer.note_answer(*_route_and_method(scope), record)
                headers = (header for header in message["headers"] if header[0] != _REQUEST_ID)
                message["headers"] = [*headers, *echoed]
                if self._is_stopping():
                    message["headers"].append((b"connection", b"close"))
            await send(message)

        try:
            await self._app(scope, receive, send_with_id)
        finally:
            self._note_end(scope, record, status)

    def _note_end(self, scope: Scope, record: RequestRecord, status: int) -> None:
        route, method = _route_and_method(scope)
        record.end_answer()
        seconds = time.monotonic() - record.received_at
        self._metrics.observe_request(method, route, status, seconds, record.code, record.trace_id)
        self._metrics.observe_stages(record.stage_seconds)
        level = logging.DEBUG if route in PROBES else logging.INFO
        if logger.isEnabledFor(level):
            path = scope["path"][:_LONGEST_PATH]
            logger.log(
                level, "%s %s %d", method, route, status,
                extra=line_of(record, method, route, path, status, seconds),
            )  # fmt: skip


def new_request_id() -> str:
    """Return a name for a request that has none."""
    return secrets.token_hex(16)


def sent_request_id(headers: Iterable[tuple[bytes, bytes]]) -> str | None:
    """Return the well-formed `X-Request-ID` among headers, whose names are in lower case."""
    return _header(headers, _REQUEST_ID, _WELL_FORMED_ID)


def record_of(scope: Scope) -> RequestRecord:
    """Return what `RequestContext` knows of a request."""
    record: RequestRecord = scope["hark.record"]
    return record


def _route_and_method(scope: Scope) -> tuple[str, str]:
    """Return a route's template and a method, or fixed words where a client chose others."""
    method = scope["method"] if scope["method"] in _METHODS else "other"
    return getattr(scope.get("route"), "path", "unmatched"), method


def line_of(
    record: RequestRecord, method: str, route: str, path: str, status: int, seconds: float
) -> dict[str, Any]:
    """Compose what a log line says of a request."""
    line: dict[str, Any] = {
        "request_id": record.request_id,
        "client": record.client,
        "method": method,
        "route": route,
        "path": path,
        "status": status,
        "duration_seconds": round(seconds, 6),
    }
    if record.traceparent is not None:
        line["trace_id"], line["parent_id"] = record.traceparent.split("-")[1:3]
    if record.model is not None:
        line["model"], line["version"] = record.model.name, record.model.version
    if record.code is not None:
        line["code"] = record.code
    if record.upload_bytes is not None:
        line["upload_bytes"] = record.upload_bytes
    if record.stage_seconds:
        line["stage_seconds"] = {
            stage: round(seconds, 6) for stage, seconds in record.stage_seconds.items()
        }
    return line


def _header(
    headers: Iterable[tuple[bytes, bytes]], name: bytes, well_formed: re.Pattern[bytes]
) -> str | None:
    for sent_name, value in headers:
        if sent_name == name and well_formed.fullmatch(value):
            return value.decode()
    return None
