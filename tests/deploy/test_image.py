"""The real Dockerfile, built, and started as its own user on a read-only file system.

`make test-image` runs these. They need buildah, root, and a base that HARK_BASE_IMAGE names;
HARK_IMAGE_TARGETS chooses which images (CI has time for one).
"""

import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from tests.deploy.image import Image, build, buildah, files_bytes, opened, stop
from tests.live_server import free_port
from tests.processes import worker_ids

SAMPLES = Path(__file__).resolve().parents[2] / "samples"
BASE = os.environ.get("HARK_BASE_IMAGE", "python:3.12-slim")
TARGETS = os.environ.get("HARK_IMAGE_TARGETS", "slim serve").split()
USER_ID = 10001
ONE_PROCESSOR = "100000 100000"

pytestmark = pytest.mark.image


@pytest.fixture(scope="module", params=TARGETS)
def image(request: pytest.FixtureRequest) -> Iterator[Image]:
    if shutil.which("buildah") is None or os.geteuid() != 0:
        pytest.skip("building and mounting an image needs buildah and root")
    if subprocess.run(
        ["buildah", "inspect", "--type", "image", BASE], capture_output=True
    ).returncode:
        pytest.skip(f"no base image {BASE} is at hand; HARK_BASE_IMAGE names another")
    name = build(request.param, BASE)
    with opened(name) as image:
        yield image
    buildah("rmi", name)


@contextmanager
def container(image: Image, log: Path, cpu_max: str = "max 100000") -> Iterator["Container"]:
    port = free_port()
    started = time.monotonic()
    process = image.start(image.command(port), log, cpu_max)
    try:
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=30) as client:
            yield Container(process, port, client, started)
    finally:
        if process.poll() is None:
            stop(process)


class Container:
    def __init__(
        self, process: "subprocess.Popen[bytes]", port: int, client: httpx.Client, started: float
    ) -> None:
        self.process = process
        self.port = port
        self.client = client
        self._started = started

    def wait_until_ready(self, log: Path, seconds: float = 60) -> float:
        while time.monotonic() - self._started < seconds:
            assert self.process.poll() is None, log.read_text()
            try:
                if self.client.get("/readyz").status_code == 200:
                    return time.monotonic() - self._started
            except httpx.TransportError:
                pass
            time.sleep(0.02)
        raise AssertionError(log.read_text())


def test_a_container_classifies_is_scraped_and_stops(image: Image, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with container(image, log) as running:
        assert image.run(image.health_check(running.port), tmp_path / "health") != 0
        seconds = running.wait_until_ready(log)
        if image.config["Env"].count("HARK_ENGINE=onnx"):
            assert seconds < 15, "on a machine that does nothing else it is 2 s"
        assert image.run(image.health_check(running.port), tmp_path / "health") == 0
        for name, media_type in (("siren.wav", "audio/wav"), ("siren.mp3", "audio/mpeg")):
            answer = running.client.post(
                "/v1/classify",
                content=(SAMPLES / name).read_bytes(),
                headers={"Content-Type": media_type},
            )
            assert answer.status_code == 200, answer.text
            assert answer.json()["label"] == "siren"
        metrics = running.client.get("/metrics").text
        assert 'label="siren"' in metrics
        assert len(running.client.get("/samples").json()["samples"]) > 4
        assert running.client.get("/").status_code == 200
        assert {
            Path(f"/proc/{each}").stat().st_uid
            for each in (running.process.pid, *worker_ids(running.process.pid))
        } == {USER_ID}
        assert stop(running.process) == 0
    assert "Traceback" not in log.read_text()


def test_as_many_processes_as_the_quota_has_processors(image: Image, tmp_path: Path) -> None:
    log = tmp_path / "log"
    with container(image, log, ONE_PROCESSOR) as running:
        running.wait_until_ready(log)
        assert len(worker_ids(running.process.pid)) == 1


def test_nothing_can_be_written_but_below_tmp(image: Image, tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert image.run(["touch", "/tmp/here"], log) == 0
    for place in ("/here", "/models/here", "/opt/hark/here"):
        assert image.run(["touch", place], log) != 0
        assert "Read-only file system" in log.read_text()


def test_no_tool_that_only_building_needs_is_left(image: Image) -> None:
    packages = {path.name for path in image.root.glob("opt/hark/lib/python3*/site-packages/*")}
    assert "app" in packages
    assert not packages & {"pip", "hatchling"}  # TensorFlow asks for setuptools when it runs
    assert not list(image.root.glob("opt/hark/lib/python3*/site-packages/tensorflow/include"))
    assert not list(image.root.glob("root/.cache/*"))
    assert not (image.root / "src").exists()
    assert not (image.root / "wheels").exists()
    for compiler in ("gcc", "cc", "g++", "clang", "make"):
        assert not (image.root / "usr/bin" / compiler).exists()


def test_it_says_how_it_is_run(image: Image) -> None:
    config = image.config
    assert config["User"] == f"{USER_ID}:{USER_ID}"
    assert config["Volumes"] == {"/models": {}}
    assert config["Cmd"][:2] == ["hark", "serve"]
    assert list(config["ExposedPorts"]) == ["8000/tcp"]
    labels = config["Labels"]
    for name in ("title", "description", "licenses", "version", "revision"):
        assert labels[f"org.opencontainers.image.{name}"]
    for model in (image.root / "models").iterdir():
        assert model.stat().st_uid == USER_ID


def test_slim_is_slim(image: Image) -> None:
    if "HARK_ENGINE=onnx" not in image.config["Env"]:
        pytest.skip("the other image")
    packages = {path.name for path in image.root.glob("opt/hark/lib/python3*/site-packages/*")}
    assert not packages & {"tensorflow", "keras", "librosa", "numba", "av", "sklearn"}
    with opened(BASE) as base:
        assert image.files_bytes() - files_bytes(base.root) < 300e6
