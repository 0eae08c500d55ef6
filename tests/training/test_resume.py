"""Interrupted runs go on to the same result, and never from what is another's."""

import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import typer

from tests.tiny_model import RECIPE, TinyModel, write_data
from training.commands.surroundings import to_be_resumed
from training.fit_place import FitPlace
from training.run_error import RunError
from training.run_folder import RunFolder

# Dropout, averaged weights and augmentation: all that a checkpoint has to remember.
LONGER = (
    RECIPE.replace("dropout = [0.0]", "dropout = [0.3]")
    .replace("epochs = 8", "epochs = 6\nmin_epochs = 4\naverage_weights = 0.9")
    .replace("patience = 3", "patience = 8")
)
IDENTITY = {"recipe": "a", "data": "b"}


def start(sounds: TinyModel, out: Path, *options: str) -> subprocess.Popen[str]:
    arguments = [
        *("cross-validate", str(sounds.recipe), "--data", str(sounds.data)),
        *("--cache", str(sounds.cache), "--out", str(out), *options),
    ]
    # Whoever runs the tests in the background has Ctrl-C ignored, and their processes inherit that.
    code = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from training.cli import main; main()"
    )
    command = [sys.executable, "-c", code, *arguments]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def finish(sounds: TinyModel, out: Path, *options: str) -> None:
    process = start(sounds, out, *options)
    _, complaints = process.communicate(timeout=200)
    assert process.returncode == 0, complaints


def interrupt(
    sounds: TinyModel, out: Path, by: signal.Signals, checkpoint: str, *options: str
) -> tuple[int, str]:
    """Start, and send a signal once a fit has begun to keep its state."""
    process = start(sounds, out, *options)
    kept = out / "unfinished" / checkpoint
    deadline = time.monotonic() + 200
    while not kept.exists():
        assert process.poll() is None, process.communicate()[1]
        assert time.monotonic() < deadline
        time.sleep(0.005)
    os.kill(process.pid, by)
    _, complaints = process.communicate(timeout=60)
    return process.returncode, " ".join(complaints.split())


@pytest.mark.slow
@pytest.mark.timeout(600)  # five processes, one after the other
def test_a_run_that_is_ended_three_times_comes_to_the_same_result(tmp_path: Path) -> None:
    """By Ctrl-C in the first fit, by a polite kill and by a plain one in later fits."""
    sounds = TinyModel(tmp_path / "sounds")
    write_data(sounds)
    sounds.recipe.write_text(LONGER)
    whole, out = tmp_path / "whole", tmp_path / "out"
    finish(sounds, whole)
    assert sorted(path.name for path in whole.iterdir() if path.is_dir()) == []

    first = "fold 1 counting epochs.npz"
    status, complaints = interrupt(sounds, out, signal.SIGINT, first)
    assert status == 130
    assert "interrupted; what is done is kept. Go on with: hark-train cross-validate" in complaints
    assert complaints.endswith("--resume")
    later = "fold 2 fitting.npz"
    status, _ = interrupt(sounds, out, signal.SIGTERM, later, "--resume")
    assert status == 130
    last = "fold 3 counting epochs.npz"
    status, _ = interrupt(sounds, out, signal.SIGKILL, last, "--resume")
    assert status == -signal.SIGKILL
    assert not (out / "metrics.json").exists()
    finish(sounds, out, "--resume")
    assert (out / "metrics.json").read_bytes() == (whole / "metrics.json").read_bytes()
    assert "--resume" not in (out / "run.json").read_text()  # what makes it again begins anew
    assert not (out / "unfinished").exists()


@pytest.mark.parametrize(
    ("option", "expected"),
    [
        pytest.param("--resume", "ablate mfcc-cnn --resume", id="when asked to"),
        pytest.param(None, "ablate mfcc-cnn", id="by itself"),
    ],
)
def test_who_interrupts_is_told_how_to_go_on(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    option: str | None,
    expected: str,
) -> None:
    monkeypatch.setattr(sys, "argv", ["hark-train", "ablate", "mfcc-cnn"])
    with pytest.raises(typer.Exit) as ended, to_be_resumed(option):
        raise KeyboardInterrupt
    assert ended.value.exit_code == 130
    assert capsys.readouterr().err == (
        f"hark-train: interrupted; what is done is kept. Go on with: hark-train {expected}\n"
    )


def interrupted(folder: Path) -> None:
    """Leave behind what an interrupted run does."""
    RunFolder(IDENTITY, folder, "tiny", resume=False).checkpoint("fold 1").write_bytes(b"")


def test_an_interrupted_run_is_neither_overwritten_nor_gone_on_with_unasked(tmp_path: Path) -> None:
    interrupted(tmp_path)
    with pytest.raises(RunError, match="holds an interrupted run: go on with it by --resume"):
        RunFolder(IDENTITY, tmp_path, "tiny", resume=False)
    RunFolder(IDENTITY, tmp_path, "tiny", resume=True).finish()
    assert list(tmp_path.iterdir()) == []


def test_two_runs_cannot_be_in_a_folder_at_once(tmp_path: Path) -> None:
    first = RunFolder(IDENTITY, tmp_path, "tiny", resume=False)
    for resume in (False, True):
        with pytest.raises(RunError, match=rf"a run goes on in {tmp_path}: wait until it has"):
            RunFolder(IDENTITY, tmp_path, "tiny", resume)
    carried = pickle.loads(pickle.dumps(first))  # as to another machine
    assert carried.checkpoint("fold 1") == first.checkpoint("fold 1")
    first.finish()
    RunFolder(IDENTITY, tmp_path, "tiny", resume=False).finish()
    assert list(tmp_path.iterdir()) == []


def test_fits_of_nobody_knows_what_are_not_gone_on_with(tmp_path: Path) -> None:
    interrupted(tmp_path)
    (tmp_path / "unfinished" / "run.json").unlink()
    with pytest.raises(RunError, match="holds fits, and nothing that says of what: remove it"):
        RunFolder(IDENTITY, tmp_path, "tiny", resume=True)


def test_each_fit_has_files_of_its_own_whatever_folds_are_called(tmp_path: Path) -> None:
    place = FitPlace(keep=RunFolder(IDENTITY, tmp_path, "tiny", resume=False), curves=tmp_path)
    fits = [f"fold {fold}: fitting" for fold in ("12", "1:2", "1/2", "1: 2")]
    checkpoints = {place.checkpoint(fit) for fit in fits}
    curves = {place.curves_of(fit) for fit in fits}
    assert len(checkpoints) == len(curves) == len(fits)
    assert {path.parent for path in checkpoints if path} == {tmp_path / "unfinished"}
    assert {path.parent for path in curves if path} == {tmp_path}
    assert place.checkpoint("fold 1: fitting") == tmp_path / "unfinished" / "fold 1 fitting.npz"


@pytest.mark.parametrize("resume", [False, True], ids=["anew", "resumed"])
def test_another_recipes_run_is_not_gone_on_with(tmp_path: Path, resume: bool) -> None:
    interrupted(tmp_path)
    with pytest.raises(RunError, match="unfinished run of another recipe: name another folder"):
        RunFolder({**IDENTITY, "recipe": "c"}, tmp_path, "tiny", resume)


def test_a_damaged_folder_is_said_to_be(tmp_path: Path) -> None:
    interrupted(tmp_path)
    (tmp_path / "unfinished" / "run.json").write_text("{")
    with pytest.raises(RunError, match=r"run\.json is damaged: remove .*unfinished to begin anew"):
        RunFolder(IDENTITY, tmp_path, "tiny", resume=True)


def test_without_a_folder_each_run_has_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    first = RunFolder(IDENTITY, None, "tiny-my data", resume=False)
    second = RunFolder({**IDENTITY, "data": "c"}, None, "tiny-my data", resume=False)
    assert first.checkpoint("fold 1").parent != second.checkpoint("fold 1").parent
    assert all(path.name.startswith("tiny-my-data-") for path in Path("runs").iterdir())
    first.finish()
    second.finish()
    assert list(Path("runs").iterdir()) == []
