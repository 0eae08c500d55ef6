"""The connection of one client: uvicorn's protocol, with limits where uvicorn has none.

Uvicorn waits for headers for as long as a client likes, lets them grow without end, and takes any
number of connections. What is refused here never becomes a request, so it is answered here too: in
particular, uploads that there is no place for. That costs a tenth of what a route's answer does, so
that a flood of them leaves time for those that were accepted, and for probes.
"""

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final, cast

from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from app.api.problems import problem_before_a_request
from app.api.request_context import new_request_id, sent_request_id
from app.api.stream_context import STREAM_PATH
from app.errors import (
    HarkError,
    HeadersTooLargeError,
    HeadersTooSlowError,
    MalformedRequestError,
    TooManyConnectionsError,
)
from app.write_patience import WritePatience

# How long a connection is kept when the server stops: its first request, or another one, may be on
# its way.
_FIRST_REQUEST_SECONDS: Final = 2.0
_NEXT_REQUEST_SECONDS: Final = 0.2
# Requests that may follow one another before the first is answered.
_MAX_PIPELINED: Final = 100
_OFFER_OF_HTTP2: Final = re.compile(rb"(?i)(\r\n)upgrade(:[ \t]*h2c[ \t]*\r\n)")
_STREAM_PATH: Final = STREAM_PATH.encode()
_HEADER_PUNCTUATION: Final = len(b": \r\n")
# Asked for by operators, also when there is much to do.
_NEVER_SHED: Final = b"/reload"


@dataclass(frozen=True, slots=True)
class Refusal:
    """What was refused before it was a request.

    Attributes:
        error: why.
        request_id: its name.
        method: its method, or «other» where it came to none.
    """

    error: HarkError
    request_id: str
    method: str


@dataclass(frozen=True, slots=True)
class ConnectionLimits:
    """What a client may do before it has sent a request.

    Attributes:
        max_connections: how many there may be at a time.
        max_header_bytes: the largest request line and headers.
        header_seconds: how long they may take to arrive.
        on_refused: called with what is wrong, at each refusal.
        why_not: says why no upload is taken now, if none is, so many being under way.
        uploads: the connections on which one is under way.
        refused: the connections that were refused, and that their clients have not closed yet.
    """

    max_connections: int
    max_header_bytes: int
    header_seconds: float
    on_refused: Callable[[Refusal], None] = lambda _refusal: None
    why_not: Callable[[int], HarkError | None] = lambda _n_uploads: None
    uploads: set["HttpProtocol"] = field(default_factory=set)
    refused: set["HttpProtocol"] = field(default_factory=set)


class _ShedCycle:
    """A request that was answered as soon as its headers were there, as uvicorn sees it."""

    def __init__(self) -> None:
        self.response_complete = True
        self.body = b""
        self.keep_alive = True
        self.more_body = False
        self.message_event = asyncio.Event()


class _PatientTransport:
    """The transport as a request sees it, which closes it after its answer.

    Args:
        protocol: whose transport it is.
    """

    def __init__(self, protocol: "HttpProtocol") -> None:
        self.write = protocol.transport.write
        self.is_closing = protocol.transport.is_closing
        self.close = protocol.close_after_message


class HttpProtocol(WritePatience, HttpToolsProtocol):
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
        self.patience_seconds = limits.header_seconds
        self._refused = False
        self._in_headers = False
        self._in_message = False
        self._body_came = False
        self._message_began = False
        self._has_shed = False
        self._close_after_message = False
        self._upgraded = False
        self._bytes_without_body = 0  # of headers, of trailers, of a chunk's extensions
        self._header_timer: asyncio.TimerHandle | None = None
        self._closing_timer: asyncio.TimerHandle | None = None
        self._stopping = False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        if len(self._limits.refused) > 2 * self._limits.max_connections:
            self.transport.abort()  # courtesy has its limit too
        elif len(self.connections) - len(self._limits.refused) > self._limits.max_connections:
            self._refuse(
                TooManyConnectionsError(
                    f"{self._limits.max_connections} connections are open, which is all that this "
                    "service takes. Try again in a second."
                )
            )
        else:
            self._start_header_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        for timer in (self._header_timer, self._closing_timer):
            if timer is not None:
                timer.cancel()  # or it would keep all of this for as long
        self._limits.refused.discard(self)
        self._limits.uploads.discard(self)
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        began_in_headers = self._in_headers
        began_in_body = self._in_message and not self._in_headers
        self._body_came = self._message_began = self._has_shed = False
        if not began_in_body:
            data = _without_offer_of_http2(data)
        super().data_received(data)
        if self._is_over() or self._upgraded:
            return
        if began_in_headers and self._in_headers and not self._message_began:
            self._check_bytes_without_body(self._bytes_without_body + len(data))
        elif began_in_body and self._in_message:
            more = 0 if self._body_came else self._bytes_without_body + len(data)
            self._check_bytes_without_body(more)
        if self._header_timer is None and (self._in_headers or self._idle()):
            self._start_header_timer()

    def eof_received(self) -> None:
        if self._refused:
            self.transport.close()

    def on_message_begin(self) -> None:
        if self._refused:
            raise ConnectionAbortedError  # ends the parser, which has more of this read before it
        self._message_began = True
        super().on_message_begin()
        self._in_headers = self._in_message = True
        self._bytes_without_body = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_headers:  # trailers are of no use here, and would be kept without a limit
            super().on_header(name, value)

    def on_headers_complete(self) -> None:
        self._in_headers = False
        self._stop_header_timer()
        self._check_bytes_without_body(
            len(self.url)
            + sum(len(name) + len(value) + _HEADER_PUNCTUATION for name, value in self.headers)
        )
        self._bytes_without_body = 0
        self._check_transfer_encoding()
        if len(self.pipeline) >= _MAX_PIPELINED:
            self._refuse(_malformed())
        before = self.cycle
        self._check_place()
        if self._refused or self.cycle is not before:
            return
        super().on_headers_complete()
        if self.cycle is before:  # it is to become a WebSocket
            self._upgraded = True
            return
        self.cycle.transport = cast("asyncio.Transport", _PatientTransport(self))
        if self._stopping or self.parser.should_upgrade():
            self.cycle.keep_alive = False

    def on_body(self, body: bytes) -> None:
        if self._refused or self._upgraded:
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

    def _should_upgrade(self) -> bool:
        """Whether a request becomes a WebSocket; wherever else one asks for it, HTTP goes on.

        RFC 9110 allows that. The connection is closed after the answer, since the parser reads
        nothing that comes after a request to upgrade.
        """
        return self._upgraded or (
            self.parser.get_method() == b"GET"
            and self.url.partition(b"?")[0] == _STREAM_PATH
            and self._idle()
            and not self._refused
            and super()._should_upgrade()
        )

    def _unsupported_upgrade_warning(self) -> None:
        """Write no line into the log for what any stranger may ask."""

    def send_400_response(self, msg: str) -> None:
        """Answer what is no HTTP; uvicorn calls this where its parser gives up."""
        self._refuse(_malformed())

    def on_response_complete(self) -> None:
        self._limits.uploads.discard(self)
        super().on_response_complete()

    def shutdown(self) -> None:
        """Close the connection after its request; uvicorn calls this when it stops."""
        self._stopping = True
        if self._refused:
            self._close_in(_FIRST_REQUEST_SECONDS)
        elif self._idle():
            seconds = _FIRST_REQUEST_SECONDS if self.cycle is None else _NEXT_REQUEST_SECONDS
            self.loop.call_later(seconds, self._close_if_idle)
        else:
            self.cycle.keep_alive = False

    def _close_if_idle(self) -> None:
        if self._idle() and not self._refused and not self._in_headers:
            self.transport.close()

    def close_after_message(self) -> None:
        """Close the connection, but not before the client has sent what it is sending."""
        if self._in_message:
            self._close_after_message = True
            self._close_in(self._limits.header_seconds)
        else:
            self.transport.close()

    def _close_in(self, seconds: float) -> None:
        """Close the connection in a while, unless the client does so before.

        Not at once, not even on this side: many clients read no answer before they have sent all
        they have, and none once they cannot. What comes is dropped.
        """
        if self._closing_timer is not None:
            self._closing_timer.cancel()
        self._closing_timer = self.loop.call_later(seconds, self.transport.close)

    def _is_over(self) -> bool:
        return self._refused or self.transport.is_closing()

    def _idle(self) -> bool:
        return self.cycle is None or self.cycle.response_complete

    def _check_bytes_without_body(self, n_bytes: int) -> None:
        self._bytes_without_body = n_bytes
        if n_bytes > self._limits.max_header_bytes:
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

    def _check_place(self) -> None:
        if self._refused or self.parser.get_method() != b"POST":
            return
        if self.url.partition(b"?")[0].endswith(_NEVER_SHED):
            return
        # Counted here, and not where they are admitted: many arrive in one turn of the event loop,
        # and each would find the place that only one of them will get.
        reason = self._limits.why_not(len(self._limits.uploads))
        if reason is None:
            self._limits.uploads.add(self)
        elif self._may_shed():
            self._shed(reason)
        else:
            self._refuse(reason)

    def _may_shed(self) -> bool:
        """Whether the connection is one to be kept: its client listens, and asks one by one."""
        return (
            self._idle()
            and not self._has_shed
            and not self._stopping
            and not self.expect_100_continue
            and not self.flow.write_paused
            and self.parser.should_keep_alive()
            and not self.parser.should_upgrade()
        )

    def _shed(self, error: HarkError) -> None:
        """Answer a request that there is no place for, drop its body, and take the next one."""
        self._has_shed = True
        self._answer(error, keep_alive=True)
        self.cycle = cast("RequestResponseCycle", _ShedCycle())
        self.on_response_complete()

    def _answer(self, error: HarkError, *, keep_alive: bool) -> None:
        headers: list[tuple[bytes, bytes]] = []
        path = method = ""
        if not self._in_headers and self._in_message:  # what was refused has headers
            headers, path = self.headers, self.url.decode("ascii", "replace")
            method = self.parser.get_method().decode("ascii")
        request_id = sent_request_id(headers) or new_request_id()
        self._limits.on_refused(Refusal(error, request_id, method or "other"))
        self.transport.write(
            problem_before_a_request(error, request_id, path, keep_alive=keep_alive)
        )

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
            HeadersTooSlowError(
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
        if self._idle() and not self.transport.is_closing():
            self._answer(error, keep_alive=False)
            self._close_in(self._limits.header_seconds)
        else:
            # A request is being answered: its answer must stay whole. If it was this one, there is
            # no more of its body to come.
            self.cycle.keep_alive = False
            self.cycle.more_body = False
            self.cycle.message_event.set()


def _without_offer_of_http2(data: bytes) -> bytes:
    """Rename the header by which a client offers to go on with HTTP/2, as Java's does by default.

    Such an offer may be passed over (RFC 9110, 7.8); the parser would take what follows for another
    protocol, and the body would be lost.
    """
    end = data.find(b"\r\n\r\n") + 2 or len(data)  # of the headers, as far as they have come
    if b"h2c" not in data[:end].lower():
        return data
    return _OFFER_OF_HTTP2.sub(rb"\1X-Passed-Over\2", data[:end]) + data[end:]


def _malformed() -> MalformedRequestError:
    return MalformedRequestError(
        "The bytes are not a request that HTTP/1.1 knows here. See GET /docs."
    )
