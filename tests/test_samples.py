"""The clips in samples/ are what samples/make_samples.py makes, and the model knows them."""

import shutil
import subprocess
import sys
from pathlib import Path

import httpx
import numpy as np
import pytest
import soundfile

from tests.conftest import SAMPLES


def test_the_script_makes_them_again(tmp_path: Path) -> None:
    shutil.copy(SAMPLES / "make_samples.py", tmp_path)
    subprocess.run([sys.executable, tmp_path / "make_samples.py"], check=True, timeout=60)
    made = sorted(path.name for path in tmp_path.glob("*.[mw][pa][3v]"))
    assert made == sorted(path.name for path in SAMPLES.glob("*.[mw][pa][3v]"))
    for path in tmp_path.glob("*.wav"):
        again, rate = soundfile.read(path)
        kept, kept_rate = soundfile.read(SAMPLES / path.name)
        assert rate == kept_rate
        # One step of 16 bits: sines may round differently on another processor.
        np.testing.assert_allclose(again, kept, atol=1.01 / 32_768)


@pytest.mark.parametrize("name", ["siren", "jackhammer", "car_horn", "dog_bark"])
def test_the_shipped_model_names_them(client: httpx.Client, name: str) -> None:
    data = (SAMPLES / f"{name}.wav").read_bytes()
    assert client.post("/v1/classify", files={"file": data}).json()["label"] == name
