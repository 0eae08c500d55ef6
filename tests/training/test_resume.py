"""Interrupted runs go on to the same result, and never from what is another's."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.tiny_model import RECIPE, TinyModel, write_data

# Dropout, averaged weights and augmentation: all that a checkpoint has to remember.
LONGER = (
    RECIPE.replace("dropout = [0.0]", "dropout = [0.3]")
    .replace("epochs = 8", "epochs = 8\nmin_epochs = 4\naverage_weights = 0.9")
    .replace("patience = 3", "patience = 8")
)


@pytest.fixture(scope="module")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> TinyModel:
    """The tiny model's data, with a recipe of more epochs."""
    data = TinyModel(tmp_path_factory.mktemp("sounds"))
    write_data(data)
    data.recipe.write_text(LONGER)
    return data


def start(sounds: TinyModel, out: Path, *options: str) -> subprocess.Popen[str]:
    arguments = [
        *("cross-validate", str(sounds.recipe), "--data", str(sounds.data), "--skip-unreadable"),
        *("--cache", str(sounds.cache), "--out", str(out), *options),
    ]
    command = [sys.executable, "-c", "from training.cli import main; main()", *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(sounds: TinyModel, out: Path, *options: str) -> tuple[int, str]:
    process = start(sounds, out, *options)
    _, complaints = process.communicate(timeout=200)
    return process.returncode, " ".join(complaints.split())


def interrupt(sounds: TinyModel, out: Path, by: signal.Signals, checkpoint: str) -> tuple[int, str]:
    """Start, and send a signal once a fit has begun to keep its state."""
    process = start(sounds, out)
    kept = out / "unfinished" / checkpoint
    deadline = time.monotonic() + 120
    while not kept.exists():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.005)
    os.kill(process.pid, by)
    _, complaints = process.communicate(timeout=60)
    return process.returncode, " ".join(complaints.split())


@pytest.fixture(scope="module")
def uninterrupted(sounds: TinyModel, tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The metrics of a run that nobody disturbed."""
    out = tmp_path_factory.mktemp("uninterrupted")
    status, complaints = finish(sounds, out)
    assert status == 0, complaints
    assert not (out / "unfinished").exists()
    return (out / "metrics.json").read_bytes()


def test_a_run_that_was_interrupted_and_killed_goes_on_to_the_same_result(
    sounds: TinyModel, uninterrupted: bytes, tmp_path: Path
) -> None:
    first = "fold 1 counting epochs.npz"
    status, complaints = interrupt(sounds, tmp_path, signal.SIGINT, first)
    assert status == 130
    assert "interrupted; what is done is kept. Go on with: hark-train cross-validate" in complaints
    assert complaints.endswith("--resume")
    status, complaints = finish(sounds, tmp_path)
    assert status == 1
    assert "holds an interrupted run: go on with it by --resume" in complaints
    status, complaints = finish(sounds, tmp_path, "--resume")
    assert status == 0, complaints
    assert (tmp_path / "metrics.json").read_bytes() == uninterrupted


@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGKILL], ids=["term", "kill"])
def test_whatever_ends_a_run_in_a_later_fit_it_goes_on(
    sounds: TinyModel, uninterrupted: bytes, tmp_path: Path, by: signal.Signals
) -> None:
    status, _ = interrupt(sounds, tmp_path, by, "fold 2 fitting.npz")
    assert status == (130 if by == signal.SIGTERM else -by)
    status, complaints = finish(sounds, tmp_path, "--resume")
    assert status == 0, complaints
    assert (tmp_path / "metrics.json").read_bytes() == uninterrupted


def test_another_recipes_run_is_not_gone_on_with(sounds: TinyModel, tmp_path: Path) -> None:
    interrupt(sounds, tmp_path, signal.SIGKILL, "fold 1 counting epochs.npz")
    other = TinyModel(sounds.folder)
    sounds.recipe.write_text(LONGER.replace("learning_rate = 0.05", "learning_rate = 0.01"))
    try:
        status, complaints = finish(other, tmp_path, "--resume")
    finally:
        sounds.recipe.write_text(LONGER)
    assert status == 1
    assert "holds an unfinished run of another recipe: name another folder by --out" in complaints
