"""A real Prometheus over services that run here, with the rules of deploy/prometheus."""

import shutil
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import httpx
import yaml

from tests.live_server import free_port

FOLDER: Final = Path(__file__).resolve().parents[2] / "deploy" / "prometheus"


class Prometheus:
    """Asks a Prometheus by its HTTP API."""

    def __init__(self, client: httpx.Client) -> None:
        self._client = client

    def get(self, path: str, **parameters: Any) -> Any:
        """Return the data of an answer."""
        answer = self._client.get(f"/api/v1/{path}", params=parameters).json()
        assert answer["status"] == "success", answer
        return answer["data"]

    def query(self, expression: str) -> list[dict[str, Any]]:
        """Return the samples of a query, as of now."""
        result: list[dict[str, Any]] = self.get("query", query=expression)["result"]
        return result

    def is_ready(self) -> bool:
        try:
            return self._client.get("/-/ready").status_code == 200
        except httpx.TransportError:
            return False


@contextmanager
def prometheus(folder: Path, targets: Sequence[str]) -> Iterator[Prometheus]:
    """Run a Prometheus that scrapes each second, and ends with the context.

    Args:
        folder: where its configuration, its data and its log go.
        targets: `host:port` of each replica; the names that Docker would know are not known here.
    """
    config = yaml.safe_load((FOLDER / "prometheus.yml").read_text(encoding="utf-8"))
    config["global"] = {"scrape_interval": "1s", "evaluation_interval": "1s"}
    config["rule_files"] = [str(FOLDER / pattern) for pattern in config["rule_files"]]
    hark = next(job for job in config["scrape_configs"] if job["job_name"] == "hark")
    del hark["dns_sd_configs"]
    hark["static_configs"] = [{"targets": list(targets)}]
    config["scrape_configs"] = [hark]
    path = folder / "prometheus.yml"
    path.write_text(yaml.safe_dump(config), encoding="utf-8")
    address = f"127.0.0.1:{free_port()}"
    program = shutil.which("prometheus")
    assert program is not None
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [
                program,
                f"--config.file={path}",
                f"--storage.tsdb.path={folder / 'data'}",
                f"--web.listen-address={address}",
                "--enable-feature=exemplar-storage",
            ],
            stdout=log,
            stderr=log,
        )
    try:
        with httpx.Client(base_url=f"http://{address}", timeout=10) as client:
            asked = Prometheus(client)
            until = time.monotonic() + 30
            while not asked.is_ready():
                assert process.poll() is None, (folder / "log").read_text()
                assert time.monotonic() < until, (folder / "log").read_text()
                time.sleep(0.1)
            yield asked
    finally:
        process.terminate()
        process.wait(timeout=30)
