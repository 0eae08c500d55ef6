"""A folder that the package has never seen becomes a served version by two commands.

Short words at 8 kHz, a folder a class, speakers as groups in a CSV; among them files that are
damaged, empty, a sample long, and named wrongly, as in any folder that people have filled.
"""

import csv
import json
from pathlib import Path
from typing import Final

import httpx
import numpy as np
import pytest

from tests.live_server import live_server
from tests.tiny_model import LABELS, encoded, run_hark_train, sound, wav
from training.datasets import DatasetError, load_dataset

RATE_HZ: Final = 8_000
SPEAKERS: Final = ("ada", "bea", "cyd")
# A recipe that comes with Hark, and so few epochs that its figures do not matter here.
QUICKLY: Final = ("--set", "training.epochs=12", "--set", "training.min_epochs=1")


@pytest.fixture(scope="module")
def words(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder: 27 good clips, one of them named wrongly, and four that cannot be trained on."""
    root: Path = tmp_path_factory.mktemp("words")
    rows: list[tuple[str, str]] = []

    def write(name: str, data: bytes, speaker: str) -> None:
        (root / name).parent.mkdir(exist_ok=True)
        (root / name).write_bytes(data)
        rows.append((name, speaker))

    for seed, (speaker, label, take) in enumerate(
        (speaker, label, take) for speaker in SPEAKERS for label in LABELS for take in range(3)
    ):
        samples = sound(label, seed, seconds=0.4 + 0.1 * take, rate_hz=RATE_HZ)
        write(f"{label}/{speaker}-{take}.wav", wav(samples, RATE_HZ), speaker)
    write("tone/damaged.wav", b"RIFF....WAVE but no more", "ada")
    write("tone/empty.wav", b"", "ada")
    write("clicks/one-sample.wav", wav(np.array([0.5]), RATE_HZ), "bea")
    write("noise/no-samples.wav", wav(np.zeros(0), RATE_HZ), "cyd")
    flac = encoded(sound("noise", 99, rate_hz=RATE_HZ), RATE_HZ, "FLAC")
    write("noise/really-flac.wav", flac, "cyd")
    with (root / "groups.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("path", "group"), *rows])
    return root


def test_inspect_tells_what_is_wrong_with_which_file(words: Path, tmp_path: Path) -> None:
    finished = run_hark_train("inspect", str(words), "--out", str(tmp_path / "audit.png"))
    assert finished.returncode == 0, finished.stderr
    printed = "".join(finished.stdout.split())
    assert "3filescannotbeused" in printed
    for name in ("damaged.wav", "empty.wav", "no-samples.wav", "one-sample.wav", "really-flac.wav"):
        assert name in printed
    assert "2filestolookat" in printed
    assert "isFLAC,inspiteofitsname" in "".join(char for char in printed if char not in "│┃")


@pytest.fixture(scope="module")
def store(words: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The first command: from files to a version."""
    folder: Path = tmp_path_factory.mktemp("fitted")
    finished = run_hark_train(
        *("fit", "mfcc-mlp", "--data", str(words), "--name", "words", *QUICKLY),
        *("--store", str(folder / "store"), "--cache", str(folder / "cache")),
    )
    assert finished.returncode == 0, finished.stderr
    complaints = "".join(finished.stderr.split())
    assert "4filescannotbeused,andareleftout" in complaints
    return folder / "store"


def test_fit_keeps_each_speaker_in_one_part(store: Path) -> None:
    metrics = json.loads((store / "words" / "1" / "metrics.json").read_bytes())
    assert "parts that keep each group of clips together" in metrics["protocol"]
    assert sorted(part["metrics"]["clips"] for part in metrics["rounds"]) == [9, 9, 10]
    card = (store / "words" / "1" / "MODEL_CARD.md").read_text()
    assert "40 MFCCs from 128 mel bands" in card


def test_what_was_fitted_is_served(store: Path, tmp_path: Path) -> None:
    """The second command."""
    environment = {"HARK_MODEL_STORE": str(store), "HARK_DEFAULT_MODEL": "words"}
    with live_server(tmp_path / "log", HARK_WORKERS="1", **environment) as server:
        answers = {
            label: httpx.post(
                f"{server.url}/v1/classify",
                files={"file": wav(sound(label, 1_000, rate_hz=RATE_HZ), RATE_HZ)},
            ).json()
            for label in LABELS
        }
    assert all(answer["model"] == {"name": "words", "version": 1} for answer in answers.values())
    assert all(set(answer["probabilities"]) == set(LABELS) for answer in answers.values())
    assert sum(answer["label"] == label for label, answer in answers.items()) >= 2


def test_a_clip_without_a_group_is_told(tmp_path: Path) -> None:
    for label in ("a", "b"):
        (tmp_path / label).mkdir()
        (tmp_path / label / "1.wav").write_bytes(wav(sound("tone", 1)))
    (tmp_path / "groups.csv").write_text("path,group\na/1.wav,ada\n")
    with pytest.raises(DatasetError, match=r"names no group for 1 clips, .*b/1\.wav for one"):
        load_dataset(tmp_path)
