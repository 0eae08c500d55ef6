"""The connection of one live stream: uvicorn's WebSocket protocol, within limits, to a clean end.

Uvicorn reads one message ahead of the application and no more, which is what holds back a client
that sends faster than its audio can be classified. It waits for ever for a client that reads
nothing, keeps any number of a message's fragments, takes as many frames in one turn of the event
loop as a read brings, and cuts off who breaks the protocol before the close frame that says why can
arrive; not here.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from uvicorn.config import Config
from uvicorn.protocols.utils import ClientDisconnected
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState
from websockets.frames import CloseCode, Frame

from app.write_patience import WritePatience

if TYPE_CHECKING:
    from uvicorn._types import ASGIReceiveEvent, ASGISendEvent

# Of the lines about each connection, and of what is in messages, nothing belongs into the log.
logger = logging.getLogger("hark.websockets")

# So much lies in the kernel on the way in and on the way out. Pings and their answers wait behind
# it, and a client that reads nothing is found out once it is full. Ten seconds of 16-bit stereo.
_KERNEL_BUFFER_BYTES: Final = 128 * 1024
_MAX_FRAGMENTS: Final = 1_000
# So much is looked at in one turn of the event loop. A read brings up to 256 KB, and in that 43 000
# empty frames, which take as long as a hundred classifications.
_PIECE_BYTES: Final = 8 * 1024
_CLOSE_SECONDS: Final = 2.0


@dataclass(frozen=True, slots=True)
class MessageLimits:
    """What a client may send, and how long it may take to read.

    How large the messages after the first may be is uvicorn's `ws_max_size`.

    Attributes:
        first_bytes: the largest first message, which comes before it is known who the client is.
        patience_seconds: how long a client may leave unread what it was sent.
    """

    first_bytes: int
    patience_seconds: float


class WebSocketProtocol(WritePatience, WebSocketsSansIOProtocol):
    """Uvicorn's protocol within limits.

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
        limits: MessageLimits,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._limits = limits
        self.patience_seconds = limits.patience_seconds
        self.close_timeout = _CLOSE_SECONDS
        self.logger = self.conn.logger = logger
        self.conn.debug = False
        self._bytes_before_message: int | None = 0  # None once the first message is there
        self._unread = bytearray()  # what was received and not looked at yet
        self._next_piece: asyncio.Handle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        connection = transport.get_extra_info("socket")
        for buffer in (socket.SO_RCVBUF, socket.SO_SNDBUF):
            connection.setsockopt(socket.SOL_SOCKET, buffer, _KERNEL_BUFFER_BYTES)

    def connection_lost(self, exc: Exception | None) -> None:
        self._unread.clear()
        if self.handshake_complete:  # uvicorn calls a connection that broke one without a status
            code = CloseCode.ABNORMAL_CLOSURE
            self.queue.put_nowait({"type": "websocket.disconnect", "code": code})
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._unread += data
        if self._next_piece is None:
            self._take_piece()

    async def receive(self) -> ASGIReceiveEvent:
        """Return the next event, and go on with what is unread once there is no other."""
        message = await super().receive()
        self._go_on()
        return message

    async def send(self, message: ASGISendEvent) -> None:
        """Pass on what the application says; once it has closed, reading goes on.

        Raises:
            ClientDisconnected: the stream has been closed: a client may break the protocol while
                its audio is in computation.
        """
        if self.close_sent:
            raise ClientDisconnected
        await super().send(message)
        self._go_on()

    def _take_piece(self) -> None:
        """Look at a piece of what is unread, and leave the rest to later turns."""
        self._next_piece = None
        piece = bytes(self._unread[:_PIECE_BYTES])
        del self._unread[:_PIECE_BYTES]
        if piece:
            self._take_in(piece)
        if self.transport.is_closing():
            self._unread.clear()
        elif not self.read_paused:
            self.transport.resume_reading()
        self._go_on()

    def _go_on(self) -> None:
        if self._unread and not self.read_paused:
            self.transport.pause_reading()
            if self._next_piece is None:
                self._next_piece = self.loop.call_soon(self._take_piece)

    def _take_in(self, data: bytes) -> None:
        if self.conn.parser_exc is not None:
            return  # of a client that has been told that it broke the protocol
        super().data_received(data)
        if self.conn.handshake_exc is not None and not self.handshake_initiated:
            self.transport.write(b"".join(self.conn.data_to_send()))
            self.transport.close()
        self._check_first_message(len(data))

    def send_receive_event_to_app(self) -> None:
        if self.curr_msg_data_type == "text" and not _is_utf8(b"".join(self.frames)):
            self._fail(CloseCode.INVALID_DATA, "a text is not UTF-8")
            return
        if self._bytes_before_message is not None:
            self._check_first_message(sum(map(len, self.frames)))
            self._bytes_before_message = None
        super().send_receive_event_to_app()  # which passes over what comes after a close frame

    def handle_cont(self, event: Frame) -> None:
        if self.close_sent:
            return
        if len(self.frames) == _MAX_FRAGMENTS:
            reason = f"a message has more than {_MAX_FRAGMENTS} fragments"
            self._fail(CloseCode.MESSAGE_TOO_BIG, reason)
            return
        super().handle_cont(event)

    def handle_ping(self) -> None:
        answer = b"".join(self.conn.data_to_send())
        if self.writable.is_set():  # or the answers to who reads none would pile up
            self.transport.write(answer)

    def handle_parser_exception(self) -> None:
        """Say what is wrong, and give the client time to read it.

        The connection is not closed at once: the system resets one that holds what nobody has read,
        and the client's end of it may be gone before the close frame has been looked at.
        """
        closing = self.conn.close_sent
        assert closing is not None
        gone = {"type": "websocket.disconnect", "code": closing.code, "reason": closing.reason}
        self.queue.put_nowait(gone)  # type: ignore[arg-type]
        self.transport.write(b"".join(self.conn.data_to_send()))
        self.close_sent = True
        self.close_timer = self.loop.call_later(self.close_timeout, self.transport.close)
        if self.transport.can_write_eof():
            self.transport.write_eof()

    def _check_first_message(self, n_bytes: int) -> None:
        if self._bytes_before_message is None or self.close_sent:
            return
        self._bytes_before_message += n_bytes
        if self._bytes_before_message > self._limits.first_bytes:
            reason = f"the first message has more than {self._limits.first_bytes} bytes"
            self._fail(CloseCode.MESSAGE_TOO_BIG, reason)

    def _fail(self, code: CloseCode, reason: str) -> None:
        self.conn.fail(code, reason)
        self.handle_parser_exception()

    def shutdown(self) -> None:
        """Leave it to the application to close the stream, which knows what to say."""
        if not self.handshake_complete:
            super().shutdown()


def _is_utf8(text: bytes) -> bool:
    try:
        text.decode()
    except UnicodeDecodeError:
        return False
    return True
