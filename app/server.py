"""Running the application under uvicorn, to a clean end."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager

import uvicorn

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
