"""The light twin: a full service in an environment that has no TensorFlow, made by `make test`."""

import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import httpx
import pytest

from tests.api.test_problems import check_problem
from tests.conftest import SAMPLES
from tests.contract.interpreter import ROOT
from tests.live_server import LiveServer, live_server
from tests.recordings import record
from tests.sounds import buzz, tone

PYTHON: Final = ROOT / ".venv-onnx" / "bin" / "python"
HEAVY: Final = ("tensorflow", "keras", "librosa", "numba", "sklearn", "matplotlib", "av")

pytestmark = pytest.mark.skipif(
    not PYTHON.exists(), reason="there is no environment without TensorFlow; `make test` makes it"
)


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([PYTHON, *command], capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def onnx_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LiveServer]:
    log = tmp_path_factory.mktemp("onnx") / "log"
    with live_server(log, python=PYTHON, HARK_ENGINE="onnx", HARK_WORKERS="2") as running:
        yield running


@pytest.mark.parametrize("module", HEAVY)
def test_the_environment_is_light(module: str) -> None:
    assert f"No module named '{module}'" in run("-c", f"import {module}").stderr


@pytest.mark.parametrize("clip", ["siren.wav", "jackhammer.mp3"])
def test_it_answers_as_the_keras_engine_does(
    onnx_server: LiveServer, client: httpx.Client, clip: str
) -> None:
    data = (SAMPLES / clip).read_bytes()
    answer = httpx.post(f"{onnx_server.url}/v1/classify", files={"file": data}).json()
    expected = client.post("/v1/classify", files={"file": data}).json()
    assert answer["label"] == expected["label"] == clip.partition(".")[0]
    assert answer["probabilities"] == pytest.approx(expected["probabilities"], abs=1e-4)


def test_it_is_a_full_service(onnx_server: LiveServer) -> None:
    url = onnx_server.url
    assert httpx.get(f"{url}/readyz").json()["workers_ready"] == 2
    models = httpx.get(f"{url}/v1/models").json()["models"]
    assert [model["name"] for model in models] == ["esc10", "urbansound"]
    assert "hark_workers_ready 2.0" in httpx.get(f"{url}/metrics").text
    refused = httpx.post(f"{url}/v1/classify", files={"file": b"no sound" * 100})
    check_problem(refused, 415, "not_audio")


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("WebM", record(tone(1, 48_000), 48_000, "webm", "libopus")),
        ("M4A", record(tone(1, 48_000), 48_000, "ipod", "aac")),
        ("AAC", record(tone(1, 48_000), 48_000, "adts", "aac")),
        ("AMR", record(buzz(1, 8_000), 8_000, "amr", "libopencore_amrnb")),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_format_whose_decoder_is_not_there_is_named_with_what_to_do(
    onnx_server: LiveServer, name: str, data: bytes
) -> None:
    refused = httpx.post(f"{onnx_server.url}/v1/classify", files={"file": data})
    check_problem(refused, 415, "decoder_missing")
    detail = refused.json()["detail"]
    assert f"The file is {name}, " in detail
    assert "pip install 'hark[av]'" in detail
    assert httpx.get(f"{onnx_server.url}/readyz").json()["workers_ready"] == 2


def test_the_command_line_answers_too() -> None:
    finished = run("-m", "app.cli", "classify", "--engine", "onnx", SAMPLES / "siren.mp3")
    assert finished.returncode == 0, finished.stderr
    assert "siren" in finished.stdout


@pytest.mark.parametrize(
    "command", [["serve", "--port", "0"], ["classify", str(SAMPLES / "siren.mp3")]]
)
def test_the_engine_that_is_not_there_is_named_with_what_to_do(command: list[str]) -> None:
    finished = run("-m", "app.cli", *command)
    assert finished.returncode == 1
    assert finished.stderr == (
        "hark: The engine 'keras' needs tensorflow, which is not installed here. Install "
        "hark[keras], or set HARK_ENGINE=onnx.\n"
    )
