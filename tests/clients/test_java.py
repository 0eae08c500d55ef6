"""Java's own HTTP client, which offers HTTP/2 with every request."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.conftest import SAMPLES
from tests.live_server import LiveServer

JAVA = shutil.which("java")


@pytest.mark.skipif(JAVA is None, reason="there is no Java here")
def test_a_file_is_posted_twice_over_one_connection(server: LiveServer) -> None:
    assert JAVA is not None
    program = Path(__file__).with_name("Ask.java")
    url = f"{server.url}/v1/classify?top_k=1"
    command: list[str | Path] = [JAVA, program, url, SAMPLES / "siren.mp3"]
    finished = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    first, second = finished.stdout.splitlines()
    assert first == second
    assert first.startswith("200 {")
    assert '"label":"siren"' in first
