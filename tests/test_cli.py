"""`hark classify` and `hark models`, as a person runs them."""

import json
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.conftest import SAMPLES


def hark(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "app.cli", *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )


def test_json_equals_what_the_service_answers(client: httpx.Client, tmp_path: Path) -> None:
    files = [SAMPLES / "siren.wav", SAMPLES / "jackhammer.mp3"]
    result = hark("classify", "--json", *files)
    assert result.returncode == 0, result.stderr
    lines = [json.loads(line) for line in result.stdout.splitlines()]
    assert [line.pop("file") for line in lines] == list(map(str, files))
    for file, line in zip(files, lines, strict=True):
        served = client.post("/v1/classify", files={"file": file.read_bytes()}).json()
        assert line["probabilities"] == pytest.approx(served["probabilities"], abs=1e-6)
        assert {**line, "probabilities": 0, "top": 0} == {**served, "probabilities": 0, "top": 0}


def test_a_table_with_bars_and_a_bad_file_among_good_ones(tmp_path: Path) -> None:
    notes = tmp_path / "notes.wav"
    notes.write_text("not a sound")
    files = [notes, SAMPLES / "siren.wav", tmp_path / "missing"]
    result = hark("classify", "--engine", "onnx", "--top-k", "3", *files)
    assert result.returncode == 1
    assert "siren.wav (4.0 s, urbansound@" in result.stdout
    assert "█" in result.stdout
    assert result.stdout.count("%") == 3
    assert "The bytes are not audio" in result.stderr
    assert "No such file" in result.stderr
    assert "Traceback" not in result.stderr


def test_models_are_listed_with_their_licence() -> None:
    result = hark("models")
    assert result.returncode == 0
    assert "urbansound" in result.stdout
    assert "CC BY-NC" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["classify", "--model", "nothing", "x.wav"], "There is no model 'nothing'"),
        (["classify", "--model", "urbansound@99", "x.wav"], "has no version 99"),
        (["classify", "--model", "urbansound@new", "x.wav"], "is called 'new'"),
    ],
)
def test_a_mistake_is_one_sentence(arguments: list[str], sentence: str) -> None:
    result = hark(*arguments)
    assert result.returncode == 1
    assert sentence in result.stderr
    assert result.stderr.count("\n") == 1


def test_a_bad_setting_is_named() -> None:
    result = subprocess.run(
        [sys.executable, "-m", "app.cli", "serve"],
        env={"HARK_WORKERS": "many"},
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert result.returncode == 1
    assert result.stderr.startswith("hark: HARK_WORKERS:")
