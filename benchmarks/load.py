"""Load: wrk posts one clip over and over, and says how long the answers took."""

import json
import shutil
import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.clips import multipart

_SCRIPT: Final = """
local file = io.open("{body}", "rb")
wrk.method = "POST"
wrk.headers["Content-Type"] = "{content_type}"
wrk.body = file:read("*all")
file:close()
done = function(summary, latency, requests)
  local errors = summary.errors
  io.write(string.format(
    '\\nRESULT {{"requests": %d, "microseconds": %d, "p50": %d, "p99": %d, ' ..
    '"refused": %d, "broken": %d}}\\n',
    summary.requests, summary.duration, latency:percentile(50), latency:percentile(99),
    errors.status, errors.connect + errors.read + errors.write + errors.timeout))
end
"""

_PATIENCE: Final = 10


class LoadError(Exception):
    """The load generator cannot run, or the service did not answer all that it was sent."""


@dataclass(frozen=True, slots=True)
class Load:
    """What one run of the load generator measured."""

    requests_per_second: float
    p50_milliseconds: float
    p99_milliseconds: float


def check_load_generator() -> None:
    """Refuse to begin without wrk.

    Raises:
        LoadError: it is not there.
    """
    if shutil.which("wrk") is None:
        raise LoadError("wrk is not installed: apt-get install wrk")


def run_load(url: str, data: bytes, connections: int, seconds: float) -> Load:
    """Post a clip over some connections, each sending again as soon as it is answered.

    Where nobody is answered in that time, as by a slow service on a busy machine, once more in
    several times as much.

    Raises:
        LoadError: an answer was an error, or did not come.
    """
    result = _run_wrk(url, data, connections, seconds)
    if not result["requests"]:
        result = _run_wrk(url, data, connections, _PATIENCE * seconds)
    return _load_of(result)


def _run_wrk(url: str, data: bytes, connections: int, seconds: float) -> dict[str, int]:
    with tempfile.TemporaryDirectory() as folder:
        content_type, body = multipart(data)
        (Path(folder) / "body").write_bytes(body)
        script = Path(folder) / "post.lua"
        script.write_text(_SCRIPT.format(body=f"{folder}/body", content_type=content_type))
        output = subprocess.run(
            [
                *("wrk", "--threads", "1", "--connections", str(connections)),
                *("--duration", f"{max(1, round(seconds))}s", "--timeout", "60s"),
                *("--script", str(script), url),
            ],
            capture_output=True,
            text=True,
            check=True,
        ).stdout
    result: dict[str, int] = json.loads(output.rpartition("RESULT ")[2])
    return result


def _load_of(result: dict[str, int]) -> Load:
    if result["refused"] or result["broken"] or not result["requests"]:
        raise LoadError(
            f"of {result['requests']} requests {result['refused']} were refused and "
            f"{result['broken']} got no answer"
        )
    return Load(
        requests_per_second=result["requests"] / result["microseconds"] * 1e6,
        p50_milliseconds=result["p50"] / 1e3,
        p99_milliseconds=result["p99"] / 1e3,
    )
