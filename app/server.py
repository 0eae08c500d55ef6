"""Running the application under uvicorn, to a clean end."""

import asyncio
import contextlib
import ctypes
import functools
import logging
import os
import resource
import select
import signal
import socket
import struct
import time
from collections.abc import Iterator
from types import FrameType
from typing import Any, Final

import uvicorn

from app.api.problems import status_of
from app.http_protocol import ConnectionLimits, HttpProtocol, Refusal
from app.inference.engine import check_engine
from app.inference.memory import keep_freed_memory
from app.logs import configure_logging
from app.main import create_app
from app.reloading import hangup_means_reload
from app.service import Service
from app.settings import Settings
from app.streams import Streams
from app.websocket_protocol import MessageLimits, WebSocketProtocol

logger = logging.getLogger(__name__)

_ACCEPT_SECONDS: Final = 5.0
_SO_ATTACH_FILTER: Final = 26
_BPF_RETURN: Final = 0x06


class _Server(uvicorn.Server):
    """A server that stops in order, and whose process exits with 0 when it did.

    On SIGTERM it says that it is not ready and goes on for a while, so that whoever sends requests
    here learns of it before the port is closed; a second signal ends that. Uvicorn raises the
    signal once more after its shutdown, so that the exit status says «killed»: not here.
    """

    def __init__(self, config: uvicorn.Config, service: Service, streams: Streams) -> None:
        super().__init__(config)
        self._service = service
        self._streams = streams
        self._stop_at: float | None = None

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if sig == signal.SIGTERM and not self._service.stopping:
            self._service.stopping = True
            self._stop_at = time.monotonic() + self._service.settings.drain_seconds
        else:
            self._service.stopping = True
            super().handle_exit(sig, frame)

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        """Take in who is at the door, and nobody else, before the port is closed.

        The system has connections that nobody has accepted yet; it would reset them. Live streams
        have no end of their own, so they are told to end.
        """
        for server in self.servers:
            for listening in server.sockets:
                with socket.socket(fileno=os.dup(listening.fileno())) as same:
                    _take_no_more_connections(same)
                    await _until_all_are_accepted(same)
        self._streams.stop()
        await super().shutdown(sockets)

    async def on_tick(self, counter: int) -> bool:
        if self._stop_at is not None and time.monotonic() >= self._stop_at:
            self.should_exit = True
        return await super().on_tick(counter)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, self.handle_exit)
        yield


def _take_no_more_connections(listening: socket.socket) -> None:
    """Have the system drop what comes to a listening socket, which keeps what is waiting in it.

    A packet filter (SO_ATTACH_FILTER, socket(7)) of one instruction. Who is dropped tries again,
    and finds the port closed by then. Where the system has no such filters, a few may be reset.
    """
    program = ctypes.create_string_buffer(struct.pack("HBBI", _BPF_RETURN, 0, 0, 0))
    with contextlib.suppress(OSError):
        listening.setsockopt(
            socket.SOL_SOCKET, _SO_ATTACH_FILTER, struct.pack("HL", 1, ctypes.addressof(program))
        )


async def _until_all_are_accepted(listening: socket.socket) -> None:
    """Wait until no connection waits in a listening socket, while the event loop accepts them."""
    waiting = select.poll()
    waiting.register(listening, select.POLLIN)
    for _ in range(round(_ACCEPT_SECONDS / 0.05)):
        await asyncio.sleep(0.05)
        if not waiting.poll(0):
            return


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
    if hangup_means_reload():
        signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until there is something to reload
    check_engine(settings.engine)
    app = create_app(settings)
    service: Service = app.state.service
    service.catalogue.verify()  # a damaged file is told before the port is open
    limits = ConnectionLimits(
        settings.max_connections,
        settings.max_header_bytes,
        settings.header_seconds,
        functools.partial(_note_refusal, service),
        service.why_not,
    )
    protocol: Any = functools.partial(HttpProtocol, limits=limits)
    websocket_protocol: Any = functools.partial(
        WebSocketProtocol,
        limits=MessageLimits(settings.max_header_bytes, settings.header_seconds),
    )
    config = uvicorn.Config(
        app,
        http=protocol,
        ws=websocket_protocol,
        ws_max_size=settings.max_message_bytes,
        ws_ping_interval=None,  # an answer would wait behind audio; who sends none is idle
        ws_per_message_deflate=False,  # samples do not become smaller
        host=host,
        port=port,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=round(settings.shutdown_seconds),
        server_header=False,
        proxy_headers=settings.trusted_proxies is not None,
        forwarded_allow_ips=settings.trusted_proxies or "",
    )
    server = _Server(config, service, app.state.streams)
    server.run()
    return server.started


def _note_refusal(service: Service, refusal: Refusal) -> None:
    error = refusal.error
    status = status_of(type(error))
    service.metrics.count_error(error.code)
    service.metrics.observe_request(refusal.method, "refused", status, 0.0, error.code)
    logger.debug(
        "refused before it was a request",
        extra={"request_id": refusal.request_id, "status": status, "code": error.code},
    )


def _allow_many_files() -> None:
    """Take as many open files as the system grants: each connection is one."""
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
