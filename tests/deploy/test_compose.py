"""docker-compose.yml, as Compose reads it, and nginx as it stands in front of the replicas."""

import asyncio
import json
import shutil
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import websockets
import yaml

from tests.live_server import LiveServer, free_port, live_server
from tests.two_versions import eventually

ROOT = Path(__file__).resolve().parents[2]
SAMPLES = ROOT / "samples"


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    services: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]
    return services


def test_compose_takes_the_file() -> None:
    if shutil.which("docker-compose") is None:
        pytest.skip("no docker-compose to read the file with")
    read = subprocess.run(
        ["docker-compose", "--profile", "train", "config", "--quiet"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert read.returncode == 0, read.stderr


def test_what_compose_starts(services: dict[str, Any]) -> None:
    always = {name for name, service in services.items() if "profiles" not in service}
    assert always == {"hark", "nginx", "prometheus", "grafana"}
    assert set(services) - always == {"train"}


def test_ports(services: dict[str, Any]) -> None:
    ports = {name: service.get("ports", []) for name, service in services.items()}
    assert ports["nginx"] == ["8000:8000"]
    # No password is asked there, so nobody but this machine may come.
    assert ports["prometheus"] == ["127.0.0.1:9090:9090"]
    assert ports["grafana"] == ["127.0.0.1:3000:3000"]
    assert ports["hark"] == []  # else there could not be two of them


def test_every_container_is_bounded_and_cannot_change_itself(services: dict[str, Any]) -> None:
    for name, service in services.items():
        limits = service["deploy"]["resources"]["limits"]
        assert set(limits) == {"cpus", "memory"}, name
        assert service["read_only"], name
        assert service["cap_drop"] == ["ALL"], name
        assert service["security_opt"] == ["no-new-privileges:true"], name


def test_images_are_pinned(services: dict[str, Any]) -> None:
    for name, service in services.items():
        tag = service["image"].rpartition(":")[2]
        assert tag[:1].isdigit() or tag.startswith("v"), name


def test_what_is_mounted_is_there(services: dict[str, Any]) -> None:
    mounted = [
        ROOT / volume.split(":")[0]
        for service in services.values()
        for volume in service.get("volumes", [])
        if volume.startswith("./deploy")
    ]
    assert len(mounted) >= 4
    for path in mounted:
        assert path.exists(), path


def test_the_service_reads_the_store_that_training_writes(services: dict[str, Any]) -> None:
    assert "models:/models:ro" in services["hark"]["volumes"]
    assert "models:/models" in services["train"]["volumes"]
    assert services["hark"]["environment"]["HARK_WATCH_MODELS"] == "true"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    log = tmp_path_factory.mktemp("nginx") / "hark"
    settings = {
        "HARK_ENGINE": "onnx",
        "HARK_WORKERS": "1",
        "HARK_MAX_UPLOAD_BYTES": "1000000",
        "HARK_TRUSTED_PROXIES": "*",
        "HARK_DRAIN_SECONDS": "0",
        "HARK_LOG_FORMAT": "json",
    }
    with live_server(log, **settings) as server:
        yield server


@pytest.fixture(scope="module")
def proxy(server: LiveServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The real nginx with the real configuration, but for its port and where the replica is."""
    nginx = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin")
    if nginx is None:
        pytest.skip("no nginx here")
    folder = tmp_path_factory.mktemp("proxy")
    port = free_port()
    written = (ROOT / "deploy/compose/nginx.conf").read_text()
    for theirs, ours in (
        ("listen 8000;", f"listen 127.0.0.1:{port};"),
        ("hark:8000", f"127.0.0.1:{server.port}"),
        ("/tmp/", f"{folder}/"),
    ):
        assert theirs in written
        written = written.replace(theirs, ours)
    configuration = folder / "nginx.conf"
    configuration.write_text(written)
    with (folder / "log").open("wb") as log:
        running = subprocess.Popen(
            [nginx, "-c", configuration, "-g", "daemon off;"], stdout=log, stderr=log
        )
    url = f"http://127.0.0.1:{port}"
    try:
        for _ in range(200):
            assert running.poll() is None, (folder / "log").read_text()
            try:
                httpx.get(f"{url}/livez")
                break
            except httpx.TransportError:
                time.sleep(0.02)
        yield url
    finally:
        running.terminate()
        running.wait(timeout=10)


def test_an_upload_goes_through_the_proxy(proxy: str) -> None:
    sound = (SAMPLES / "siren.mp3").read_bytes()
    answer = httpx.post(f"{proxy}/v1/classify", files={"file": ("siren.mp3", sound)}, timeout=30)
    assert answer.json()["label"] == "siren"


def test_too_large_is_said_in_harks_words(proxy: str) -> None:
    answer = httpx.post(f"{proxy}/v1/classify", content=bytes(2_000_000), timeout=30)
    assert answer.status_code == 413
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json()["code"] == "upload_too_large"


def test_the_log_has_the_clients_address_and_no_other(proxy: str, server: LiveServer) -> None:
    httpx.get(f"{proxy}/v1/models", headers={"X-Forwarded-For": "203.0.113.9"})

    def asked() -> list[dict[str, Any]]:
        lines = [json.loads(line) for line in server.log.read_text().splitlines() if "{" in line]
        return [line for line in lines if line.get("route") == "/v1/models"]

    assert eventually(lambda: bool(asked()))  # the line is written when the answer has gone
    assert {line["client"] for line in asked()} == {"127.0.0.1"}


def test_metrics_are_not_for_the_public(proxy: str) -> None:
    assert httpx.get(f"{proxy}/metrics").status_code == 404


def test_a_live_stream_goes_through_the_proxy(proxy: str) -> None:
    async def heard() -> dict[str, Any]:
        address = proxy.replace("http", "ws", 1) + "/v1/stream"
        async with websockets.connect(address) as stream:
            await stream.send(json.dumps({"sample_rate": 16_000, "encoding": "pcm_s16le"}))
            first: dict[str, Any] = json.loads(await asyncio.wait_for(stream.recv(), 10))
            return first

    assert asyncio.run(heard())["type"] == "ready"
