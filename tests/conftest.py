"""Fixtures that several packages of tests share."""

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from app.inference.threads import compute_on_one_thread

compute_on_one_thread()  # before any test imports NumPy
# What librosa compiles when it is first imported takes half as long, and is as correct; it is kept
# apart, since what trains would load it too.
os.environ.setdefault("NUMBA_OPT", "0")
os.environ.setdefault("NUMBA_CACHE_DIR", str(Path(__file__).parents[1] / "build" / "numba"))

from tests.live_server import LiveServer, live_server

# What nohup or a script's "&" has ignored, the services that tests start would ignore too, and
# these signals end them. A handler that does nothing does for pytest, and is not inherited.
for number in (signal.SIGHUP, signal.SIGINT):
    if signal.getsignal(number) is signal.SIG_IGN:
        signal.signal(number, lambda *_: None)

SAMPLES = Path(__file__).parents[1] / "samples"


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    """A server with the shipped model, for tests that leave it as it was."""
    with live_server(tmp_path_factory.mktemp("server") / "log", HARK_WORKERS="2") as running:
        yield running


@pytest.fixture
def client(server: LiveServer) -> Iterator[httpx.Client]:
    """A client of `server`."""
    with httpx.Client(base_url=server.url, timeout=60) as http_client:
        yield http_client


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real labelled audio; tests that need it are skipped where it is absent."""
    folder = Path(os.environ.get("HARK_TEST_DATA", "../shared/data")).resolve()
    if not (folder / "urbansound8k").is_dir():
        pytest.skip(f"no real audio in {folder}; see docs/data.md for where to get it")
    return folder
