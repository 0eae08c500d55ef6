"""Running the application under uvicorn, to a clean end."""

import functools
import resource
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

import uvicorn

from app.http_protocol import ConnectionLimits, HttpProtocol
from app.inference.engine import check_engine
from app.inference.memory import keep_freed_memory
from app.logs import configure_logging
from app.main import create_app
from app.service import Service
from app.settings import Settings


class _Server(uvicorn.Server):
    """A server that stops in order, and whose process exits with 0 when it did.

    On SIGTERM it says that it is not ready and goes on for a while, so that whoever sends requests
    here learns of it before the port is closed; a second signal ends that. Uvicorn raises the
    signal once more after its shutdown, so that the exit status says «killed»: not here.
    """

    def __init__(self, config: uvicorn.Config, service: Service) -> None:
        super().__init__(config)
        self._service = service
        self._stop_at: float | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if sig == signal.SIGTERM and not self._service.stopping:
            self._service.stopping = True
            self._stop_at = time.monotonic() + self._service.settings.drain_seconds
        else:
            self._service.stopping = True
            super().handle_exit(sig, frame)

    async def on_tick(self, counter: int) -> bool:
        if self._stop_at is not None and time.monotonic() >= self._stop_at:
            self.should_exit = True
        return await super().on_tick(counter)

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
        KeysFileError: the file of API keys cannot be read.
    """
    keep_freed_memory()  # uploads arrive in pieces of 256 KiB
    configure_logging(settings.log_format, settings.log_level)
    _allow_many_files()
    signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until there is something to reload
    check_engine(settings.engine)
    app = create_app(settings)
    service: Service = app.state.service
    service.catalogue.verify()  # a damaged file is told before the port is open
    limits = ConnectionLimits(
        settings.max_connections,
        settings.max_header_bytes,
        settings.header_seconds,
        service.metrics.count_error,
    )
    protocol: Any = functools.partial(HttpProtocol, limits=limits)
    config = uvicorn.Config(
        app,
        http=protocol,
        host=host,
        port=port,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=round(settings.shutdown_seconds),
        server_header=False,
        proxy_headers=settings.trusted_proxies is not None,
        forwarded_allow_ips=settings.trusted_proxies or "",
    )
    server = _Server(config, service)
    server.run()
    return server.started


def _allow_many_files() -> None:
    """Take as many open files as the system grants: each connection is one."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
