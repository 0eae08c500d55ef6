"""`hark classify --ray`: the rows that one machine writes, also where a machine is lost."""

import os
import signal
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pyarrow.parquet import read_table

from app.audio.cutting import Cutting
from app.bulk.asked import Asked
from app.bulk.files import find_files
from app.bulk.on_ray import Classifying, pieces_of
from app.bulk.packed import PackedVersion
from app.bulk.partitions import Kept, Partitions
from app.bulk.running import Means
from app.inference.store import ModelReference, ModelStore
from app.settings import DEFAULT_MODEL_STORE, read_settings
from tests.bulk.conftest import SLOW, command, hark_classify
from tests.bulk.test_bulk import main
from tests.ray_nodes import QUIET, Nodes, kill, ray_nodes, wait_until, works_at
from tests.two_versions import NAME

Rows = list[dict[str, Any]]


def rows_of_folder(folder: Path) -> Rows:
    """All rows, in the order that they have in one file."""
    rows: Rows = read_table(folder).to_pylist()
    return sorted(rows, key=lambda row: str(row["path"]))


def on_one_machine(sounds: Path, table: Path, *options: str) -> Rows:
    hark_classify(sounds, "--recursive", "--out", table, *options)
    rows: Rows = read_table(table).to_pylist()
    return rows


def test_an_actor_writes_the_rows_that_one_machine_writes(sounds: Path, tmp_path: Path) -> None:
    asked = Asked.of(
        ModelStore(DEFAULT_MODEL_STORE).manifest(ModelReference(NAME, 1)),
        *([], "windows", Cutting(hop_seconds=2.0), None),
    )
    version = PackedVersion.of(DEFAULT_MODEL_STORE, ModelReference(NAME, 1))
    partitions = Partitions(tmp_path / "results", asked)
    files = find_files([sounds], recursive=True).files
    pieces = pieces_of(files, partitions.resume(), partitions)
    (piece,) = pieces
    means = Means.of(read_settings(engine="onnx", model_store=tmp_path / "nothing"), None)
    actor = Classifying(version, means, partitions)
    done = actor.classify(piece)
    del actor
    assert (done.n_files, done.failed.total()) == (len(files), 3)
    expected = on_one_machine(sounds, tmp_path / "alone.parquet", "--windows", "--hop-seconds", "2")
    assert rows_of_folder(tmp_path / "results") == expected
    assert partitions.resume() == Kept(
        names={file.name for file in files},
        failed={"empty.wav", "text.wav", "z-gone.mp3"},
        again={piece.partition: ["z-gone.mp3"]},
    )


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        pytest.param(["--ray"], "--ray is for a table", id="no table"),
        pytest.param(["--out", "s3://x/y"], "is a URL, which only --ray writes to", id="URL"),
        pytest.param(["--out", "x.csv", "--ray"], "writes a folder of Parquet files", id="CSV"),
        pytest.param(
            ["--out", "x", "--ray", "home"], "an address is auto, HOST:PORT", id="address"
        ),
    ],
)
def test_a_mistake_is_said_before_any_work(
    sounds: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    sentence: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    assert main(monkeypatch, sounds, *arguments, "--engine", "onnx") != 0
    assert sentence in " ".join(capsys.readouterr().err.replace("│", " ").split())


def test_where_no_cluster_answers_one_sentence_says_so(
    sounds: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    with socket.socket() as unused:  # bound, and not listening
        unused.bind(("127.0.0.1", 0))
        address = f"127.0.0.1:{unused.getsockname()[1]}"
        options = ("--engine", "onnx", "--out", tmp_path / "x", "--ray", address)
        assert main(monkeypatch, sounds, *options) == 1
    said = capsys.readouterr().err.splitlines()[-1]
    assert said.startswith(f"hark: no Ray cluster can be joined at {address}")


@pytest.fixture
def nodes() -> Iterator[Nodes]:
    with ray_nodes() as started:
        yield started


@pytest.fixture
def many_sounds(sounds: Path, tmp_path: Path) -> Path:
    """The folder of sounds many times over: some ten seconds of work for two processors."""
    folder = tmp_path / "many"
    for index in range(24):
        for path in sounds.iterdir():
            if path.suffix != ".txt" and path.is_file():
                copy = folder / f"{index:02}" / path.name
                copy.parent.mkdir(parents=True, exist_ok=True)
                os.link(path, copy)
        (folder / f"{index:02}" / "z-gone.mp3").symlink_to("nowhere.mp3")
    assert (folder / "00" / SLOW).exists()
    return folder


def started(sounds: Path, out: Path, address: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        command(sounds, "--recursive", "--out", out, "--ray", address),
        env={**os.environ, **QUIET}, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


def wait_for_partitions(run: subprocess.Popen[str], out: Path, count: int) -> None:
    wait_until(lambda: run.poll() is not None or len(list(out.glob("part-*"))) >= count)
    assert run.poll() is None, run.communicate()[1]


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_a_run_that_is_killed_and_a_node_that_is_lost_cost_time_and_nothing_else(
    many_sounds: Path, nodes: Nodes, tmp_path: Path
) -> None:
    expected = on_one_machine(many_sounds, tmp_path / "alone.parquet")
    out = tmp_path / "results"
    nodes.start_head()
    doomed = nodes.start_worker()

    first = started(many_sounds, out, nodes.address)
    wait_for_partitions(first, out, 2)
    first.send_signal(signal.SIGKILL)
    first.communicate()
    before = rows_of_folder(out)
    assert 0 < len(before) < len(expected)
    assert all(row in expected for row in before)

    second = started(many_sounds, out, nodes.address)
    wait_for_partitions(second, out, len(list(out.glob("part-*"))) + 2)
    wait_until(lambda: second.poll() is not None or works_at(doomed, "Classifying"))
    assert second.poll() is None
    kill(doomed)
    _, said = second.communicate(timeout=300)
    assert second.returncode == 1, said  # some files are no sounds
    assert f" of {len(expected)} in {out} already." in said
    assert rows_of_folder(out) == expected
    assert all(path.name.startswith("part-") for path in out.iterdir())

    third = started(many_sounds, out, nodes.address)
    _, said = third.communicate(timeout=300)
    assert "24 failed (24 unreadable_file), 48 failed before" in said
    assert rows_of_folder(out) == expected
