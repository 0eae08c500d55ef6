"""The connection of one client: uvicorn's protocol, with limits where uvicorn has none.

Uvicorn waits for headers for as long as a client likes, lets them grow without end, and takes any
number of connections. What is refused here never becomes a request, so it is answered here too: in
particular, uploads that there is no place for. That costs a tenth of what a route's answer does, so
that a flood of them leaves time for those that were accepted, and for probes.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, cast

from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from app.api.problems import problem_before_a_request
from app.errors import (
    HarkError,
    HeadersTooLargeError,
    MalformedRequestError,
    OverloadedError,
    UploadTooSlowError,
)

# How long a connection is kept when the server stops: its first request, or another one, may be on
# its way.
_FIRST_REQUEST_SECONDS: Final = 2.0
_NEXT_REQUEST_SECONDS: Final = 0.2
_HEADER_PUNCTUATION: Final = len(b": \r\n")
# Asked for by operators, also when there is much to do.
_NEVER_SHED: Final = b"/reload"


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """What a client may do before it has sent a request.

    Attributes:
        max_connections: how many there may be at a time.
        max_header_bytes: the largest request line and headers.
        header_seconds: how long they may take to arrive.
        on_refused: called with the code of each refusal.
        overload: says why no upload is taken now, if none is.
        refused: the connections that were refused, and that their clients have not closed yet.
    """

    max_connections: int
    max_header_bytes: int
    header_seconds: float
    on_refused: Callable[[str], None] = lambda _code: None
    overload: Callable[[], OverloadedError | None] = lambda: None
    refused: set["HttpProtocol"] = field(default_factory=set)


class _PatientTransport:
    """The transport as a request sees it, which closes it after its answer.

    Args:
        protocol: whose transport it is.
    """

    def __init__(self, protocol: "HttpProtocol") -> None:
        self.write = protocol.transport.write
        self.is_closing = protocol.transport.is_closing
        self.close = protocol.close_after_message


class HttpProtocol(HttpToolsProtocol):
    """Uvicorn's protocol within limits, which also hands on a body without two of its copies.

    Args:
        limits: what a client may do.
        config, server_state, app_state, _loop: uvicorn's own.
    """

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
        *,
        limits: ConnectionLimits,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._limits = limits
        self._refused = False
        self._in_headers = False
        self._in_message = False
        self._body_came = False
        self._close_after_message = False
        self._header_bytes = 0
        self._header_timer: asyncio.TimerHandle | None = None
        self._stopping = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self._limits.refused) > 2 * self._limits.max_connections:
            self.transport.abort()  # courtesy has its limit too
        elif len(self.connections) - len(self._limits.refused) > self._limits.max_connections:
            self._refuse(
                OverloadedError(
                    f"{self._limits.max_connections} connections are open, which is all that this "
                    "service takes. Try again in a second."
                )
            )
        else:
            self._start_header_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_header_timer()
        self._limits.refused.discard(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        began_in_headers = self._in_headers
        self._body_came = False
        super().data_received(data)
        if self._is_over():
            return
        if self._in_headers:
            self._header_bytes += len(data) if began_in_headers else 0
        elif self._in_message and not self._body_came:
            self._header_bytes += len(data)  # of trailers, or extensions of a chunk
        elif self._in_message:
            self._header_bytes = 0
        self._check_header_bytes()
        if self._header_timer is None and (self._in_headers or self._idle()):
            self._start_header_timer()

    def eof_received(self) -> None:
        if self._refused:
            self.transport.close()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_headers = self._in_message = True
        self._header_bytes = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_headers:  # trailers are of no use here, and would be kept without a limit
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._in_headers = False
        self._stop_header_timer()
        self._header_bytes = len(self.url) + sum(
            len(name) + len(value) + _HEADER_PUNCTUATION for name, value in self.headers
        )
        self._check_header_bytes()
        self._check_transfer_encoding()
        self._check_overload()
        if self._refused:
            return
        super().on_headers_complete()
        self.cycle.transport = cast("asyncio.Transport", _PatientTransport(self))
        if self._stopping:
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        if self._refused:
            return
        self._body_came = True
        cycle = self.cycle
        if cycle.body or cycle.response_complete:
            waiting: object = cycle.body
            if isinstance(waiting, bytes):
                cycle.body = bytearray(waiting)  # to which pieces are added in linear time
            super().on_body(body)
            return
        # Nothing is waiting, so this piece is handed on as it is: 0.2 ms of a WAV's 4.
        super().on_body(b"")  # everything but the copy, and the look at its size
        cycle.body = body  # type: ignore[assignment]  # it is turned into bytes in any case
        if len(body) > HIGH_WATER_LIMIT:
            self.flow.pause_reading()

    def on_message_complete(self) -> None:
        self._in_message = False
        if self._refused:
            return
        super().on_message_complete()
        if self._close_after_message:
            self.transport.close()

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP; uvicorn calls this where its parser gives up."""
        self._refuse(_malformed())

    def shutdown(self) -> None:
        """Close the connection after its request; uvicorn calls this when it stops."""
        self._stopping = True
        if self._idle():
            seconds = _FIRST_REQUEST_SECONDS if self.cycle is None else _NEXT_REQUEST_SECONDS
            self.loop.call_later(seconds, self._close_if_idle)
        else:
            self.cycle.keep_alive = False

    def _close_if_idle(self) -> None:
        if self._idle() and not self._refused:
            self.transport.close()

    def close_after_message(self) -> None:
        """Close the connection, but not before the client has sent what it is sending."""
        if self._in_message:
            self._close_after_message = True
            self._close_in_a_while()
        else:
            self.transport.close()

    def _close_in_a_while(self) -> None:
        """Close the connection, unless the client does so before.

        Not at once, not even on this side: many clients read no answer before they have sent all
        they have, and none once they cannot. What comes is dropped.
        """
        self.loop.call_later(self._limits.header_seconds, self.transport.close)

    def _is_over(self) -> bool:
        return self._refused or self.transport.is_closing()

    def _idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _check_header_bytes(self) -> None:
        if self._header_bytes > self._limits.max_header_bytes:
            self._refuse(
                HeadersTooLargeError(
                    f"The request line and headers hold more than {self._limits.max_header_bytes} "
                    "bytes, which is the limit. Send fewer."
                )
            )

    def _check_transfer_encoding(self) -> None:
        for name, value in self.headers:
            if name == b"transfer-encoding" and value.strip().lower() != b"chunked":
                self._refuse(_malformed())

    def _check_overload(self) -> None:
        if self._refused or self.parser.get_method() != b"POST":
            return
        if self.url.partition(b"?")[0].endswith(_NEVER_SHED):
            return
        overload = self._limits.overload()
        if overload is not None:
            self._refuse(overload)

    def _start_header_timer(self) -> None:
        self._header_timer = self.loop.call_later(self._limits.header_seconds, self._headers_late)

    def _stop_header_timer(self) -> None:
        if self._header_timer is not None:
            self._header_timer.cancel()
            self._header_timer = None

    def _headers_late(self) -> None:
        self._header_timer = None
        if self.transport.is_closing():
            return
        if not self._in_headers:  # nothing was asked, so there is nothing to answer
            self.transport.close()
            return
        self._refuse(
            UploadTooSlowError(
                f"The request's headers did not arrive within {self._limits.header_seconds:g} "
                "seconds. Send them over a faster connection."
            )
        )

    def _refuse(self, error: HarkError) -> None:
        """Answer with a problem, and close the connection once the client has had time to read."""
        if self._refused:
            return
        self._refused = True
        self._limits.refused.add(self)
        self._stop_header_timer()
        self._limits.on_refused(error.code)
        if self._idle() and not self.transport.is_closing():
            self.transport.write(problem_before_a_request(error))
            self._close_in_a_while()
        else:
            # A request is being answered: its answer must stay whole. If it was this one, there is
            # no more of its body to come.
            self.cycle.keep_alive = False
            self.cycle.more_body = False
            self.cycle.message_event.set()


def _malformed() -> MalformedRequestError:
    return MalformedRequestError(
        "The bytes are not a request that HTTP/1.1 knows here. See GET /docs."
    )
