"""Running the application under uvicorn, to a clean end."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn
from uvicorn.protocols.http.flow_control import HIGH_WATER_LIMIT
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

from app.inference.engine import check_engine
from app.inference.memory import keep_freed_memory
from app.main import create_app
from app.settings import Settings


class _Server(uvicorn.Server):
    """A server whose process exits with 0 when it was asked to stop and did.

    Uvicorn raises the signal once more after its shutdown, so that the exit status says «killed».
    """

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self.handle_exit)
        yield


class _Protocol(HttpToolsProtocol):
    """Uvicorn's protocol, which copies a body twice on its way to the application, made to do less.

    A piece that arrives while none is waiting is handed on as it is: 0.2 ms of a WAV's 4.
    """

    def on_body(self, body: bytes) -> None:
        cycle = self.cycle
        if cycle.body or cycle.response_complete:
            super().on_body(body)
            return
        super().on_body(b"")  # everything but the copy, and the look at its size
        cycle.body = body  # type: ignore[assignment]  # it is turned into bytes in any case
        if len(body) > HIGH_WATER_LIMIT:
            self.flow.pause_reading()


def serve(settings: Settings, host: str, port: int) -> bool:
    """Serve until asked to stop by SIGTERM or SIGINT; requests in flight are finished first.

    Returns:
        Whether the service ever started.

    Raises:
        ModelError: the engine is not installed, the store does not have the default model, or it
            is refused.
    """
    keep_freed_memory()  # uploads arrive in pieces of 256 KiB
    check_engine(settings.engine)
    app = create_app(settings)
    service = app.state.service
    for reference in service.served.values():
        service.store.open(reference)  # a damaged file is told before the port is open
    config = uvicorn.Config(
        app,
        http=_Protocol,
        host=host,
        port=port,
        access_log=False,
        timeout_graceful_shutdown=round(settings.shutdown_seconds),
        server_header=False,
        proxy_headers=False,  # nothing here asks for the client's address
    )
    server = _Server(config)
    server.run()
    return server.started
