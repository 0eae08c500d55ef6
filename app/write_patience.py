"""Patience with a client that does not read what it is sent; uvicorn would wait for ever."""

import asyncio


class WritePatience(asyncio.Protocol):
    """Goes before one of uvicorn's protocols: ends a connection whose client reads nothing.

    Attributes:
        loop: uvicorn's.
        transport: likewise.
        patience_seconds: how long a client may leave unread what it was sent.
    """

    loop: asyncio.AbstractEventLoop
    transport: asyncio.Transport
    patience_seconds: float
    _write_timer: asyncio.TimerHandle | None = None

    def pause_writing(self) -> None:
        """Give the client some time; the transport calls this when it holds too much."""
        super().pause_writing()
        self._write_timer = self.loop.call_later(self.patience_seconds, self.transport.abort)

    def resume_writing(self) -> None:
        """Go on; the transport calls this when the client has read."""
        super().resume_writing()
        self._stop_write_timer()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_write_timer()  # or it would keep all of this for as long
        super().connection_lost(exc)

    def _stop_write_timer(self) -> None:
        if self._write_timer is not None:
            self._write_timer.cancel()
            self._write_timer = None
