"""Servers for hostile clients, and what tells that they came to no harm."""

from collections.abc import Iterator
from typing import Final

import httpx
import pytest

from tests.live_server import LiveServer, live_server


@pytest.fixture(scope="session")
def hostile_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A server with the default limits."""
    log = tmp_path_factory.mktemp("hostile") / "log"
    with live_server(log, HARK_WORKERS="2", HARK_ENGINE="onnx") as running:
        yield running


@pytest.fixture(scope="session")
def hostile_client(hostile_server: LiveServer) -> Iterator[httpx.Client]:
    """A client of `hostile_server`."""
    with httpx.Client(base_url=hostile_server.url, timeout=60) as http_client:
        yield http_client


STRICT_LIMITS: Final = {
    "HARK_UPLOAD_SECONDS": "1.5",
    "HARK_HEADER_SECONDS": "1",
    "HARK_DEADLINE_SECONDS": "10",
    "HARK_MAX_UPLOAD_BYTES": "1000000",
    "HARK_MAX_HEADER_BYTES": "4096",
    "HARK_MAX_PARTS": "4",
    "HARK_MAX_PART_HEADER_BYTES": "1024",
    "HARK_MAX_CONNECTIONS": "20",
}


@pytest.fixture(scope="session")
def strict_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A server whose limits are reached within a second or two."""
    log = tmp_path_factory.mktemp("strict") / "log"
    with live_server(log, HARK_WORKERS="2", HARK_ENGINE="onnx", **STRICT_LIMITS) as running:
        yield running


@pytest.fixture
def strict_client(strict_server: LiveServer) -> Iterator[httpx.Client]:
    """A client of `strict_server`."""
    with httpx.Client(base_url=strict_server.url, timeout=60) as http_client:
        yield http_client
