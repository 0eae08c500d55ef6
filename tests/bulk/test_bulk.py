"""`hark classify DIR --out FILE`, as a person runs it, with processes that die and hang."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from app import cli
from app.audio.cutting import Cutting
from app.bulk.asked import Asked
from app.bulk.rows import Failure, rows_of
from app.bulk.table import open_table
from app.inference.classifier import Classifier
from app.inference.store import ModelReference, ModelStore
from app.settings import DEFAULT_MODEL_STORE
from tests.bulk.conftest import N_CLIPS, SLOW, hark_classify, running
from tests.bulk.reading import TextRow, rows_in
from tests.processes import worker_ids
from tests.tiny_model import edit_manifest
from tests.two_versions import LABELS, NAME, TwoVersions

FAILED = {"empty.wav": "empty_audio", "text.wav": "not_audio", "z-gone.mp3": "unreadable_file"}
N_FILES = N_CLIPS + 1 + len(FAILED)


@pytest.fixture(scope="module")
def rows(sounds: Path, tmp_path_factory: pytest.TempPathFactory) -> list[TextRow]:
    """The rows of the folder's table, made without a disturbance."""
    table = tmp_path_factory.mktemp("undisturbed") / "results.csv"
    finished = hark_classify(sounds, "--recursive", "--out", table)
    assert finished.returncode == 1, finished.stderr
    assert finished.stdout == ""
    assert "1 file is passed over, not being called as audio is: 1 .txt." in finished.stderr
    codes = "1 empty_audio, 1 not_audio, 1 unreadable_file"
    assert f"{N_CLIPS + 1} classified, 3 failed ({codes}):" in finished.stderr
    return rows_in(table, LABELS)


@pytest.fixture
def expected(rows: list[TextRow]) -> dict[str, TextRow]:
    """The same, by their file."""
    return {row["path"]: row for row in rows}


def by_path(table: Path) -> dict[str, TextRow]:
    """A table's rows by their file, of which each has one."""
    rows = rows_in(table, LABELS)
    named = {row["path"]: row for row in rows}
    assert len(named) == len(rows)
    return named


def wait_for(condition: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.002)


def written_before(table: Path) -> Path:
    """Where a table's rows are while a run lasts."""
    parquet = table.suffix == ".parquet"
    return table.with_name(f".{table.name}.partial.jsonl") if parquet else table


def rows_begin(table: Path) -> Callable[[], bool]:
    """Whether the first rows are there; the slow file keeps those behind it from coming."""

    def begun() -> bool:
        place = written_before(table)
        return place.exists() and place.read_bytes().count(b"\n") >= 3

    return begun


def test_every_file_has_a_row_in_order_with_an_answer_or_a_problem(rows: list[TextRow]) -> None:
    paths = [row["path"] for row in rows]
    assert paths == sorted(paths)
    assert len(paths) == N_FILES
    assert "a/deep/clip-a.wav" in paths
    assert {row["path"]: row["code"] for row in rows if row["code"]} == FAILED
    for row in rows:
        assert (row["model"], row["version"]) == ("urbansound", "1")
        if row["code"]:
            assert row["error"].endswith(".")
            assert row["label"] == row["probability"] == row["duration_seconds"] == ""
        else:
            probabilities = {label: float(row[f"probability_{label}"]) for label in LABELS}
            assert row["label"] == max(probabilities, key=probabilities.__getitem__)
            assert float(row["probability"]) == max(probabilities.values())
    assert next(row["silence"] for row in rows if row["path"] == SLOW) == "true"


def test_a_table_says_what_the_terminal_says(sounds: Path, expected: dict[str, TextRow]) -> None:
    artifact = ModelStore(DEFAULT_MODEL_STORE).open(ModelReference(NAME, 1))
    answer = Classifier.load(artifact, "onnx").classify((sounds / "clip-c.wav").read_bytes())
    row = expected["clip-c.wav"]
    told = {label: float(row[f"probability_{label}"]) for label in LABELS}
    assert told == pytest.approx(answer.probabilities, abs=1e-6)
    assert row["label"] == answer.label
    assert float(row["duration_seconds"]) == answer.duration_seconds


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_a_run_that_is_killed_is_gone_on_with(
    sounds: Path, rows: list[TextRow], tmp_path: Path, ending: str
) -> None:
    table = tmp_path / f"results{ending}"
    with running(sounds, "--recursive", "--out", table) as process:
        wait_for(rows_begin(table))
        orphans = worker_ids(process.pid)
        process.kill()
    assert len(orphans) == 2
    wait_for(lambda: not any(Path(f"/proc/{orphan}").exists() for orphan in orphans))
    n_before = written_before(table).read_bytes().count(b"\n") - (ending == ".csv")
    assert 0 < n_before < N_FILES
    finished = hark_classify(sounds, "--recursive", "--out", table)
    assert f"{n_before} files of {N_FILES} in {table} already." in finished.stderr
    assert rows_in(table, LABELS) == rows
    assert [path.name for path in tmp_path.iterdir()] == [table.name]


def test_ctrl_c_keeps_what_is_done_and_says_how_to_go_on(
    sounds: Path, expected: dict[str, TextRow], tmp_path: Path
) -> None:
    table = tmp_path / "results.jsonl"
    with running(sounds, "--recursive", "--out", table) as process:
        wait_for(rows_begin(table))
        workers = worker_ids(process.pid)
        process.send_signal(signal.SIGINT)
        assert process.stderr is not None
        said = process.stderr.read()
        assert process.wait(10) == 130
    n_done = len(by_path(table))
    assert said.splitlines()[-1] == (
        f"Stopped. {n_done} files of {N_FILES} done, and kept: run the same command again to go on."
    )
    assert "Traceback" not in said
    assert not any(Path(f"/proc/{worker}").exists() for worker in workers)
    hark_classify(sounds, "--recursive", "--out", table)
    assert by_path(table) == expected


def test_a_file_that_ends_its_process_costs_its_own_row(
    sounds: Path, expected: dict[str, TextRow], tmp_path: Path
) -> None:
    table = tmp_path / "results.csv"
    with running(sounds, "--recursive", "--out", table) as process:
        wait_for(rows_begin(table))
        worker = busiest(process)
        os.kill(worker, signal.SIGSEGV)
        assert process.wait(30) == 1
    rows = by_path(table)
    assert rows[SLOW]["code"] == "worker_crashed"
    assert {**rows, SLOW: expected[SLOW]} == expected


def busiest(process: subprocess.Popen[str]) -> int:
    """Wait until one compute process works while the other has nothing to do, and return it."""

    def spent(worker: int) -> int:
        fields = Path(f"/proc/{worker}/stat").read_text().rpartition(")")[2].split()
        return sum(map(int, fields[11:13]))

    before = {worker: spent(worker) for worker in worker_ids(process.pid)}
    wait_for(lambda: any(spent(worker) - ticks >= 8 for worker, ticks in before.items()))
    return max(before, key=lambda worker: spent(worker) - before[worker])


def test_a_file_that_takes_too_long_costs_its_own_row(
    sounds: Path, expected: dict[str, TextRow], tmp_path: Path
) -> None:
    table = tmp_path / "results.csv"
    hark_classify(sounds, "--recursive", "--out", table, "--deadline-seconds", "0.15")
    rows = by_path(table)
    assert rows[SLOW]["code"] == "deadline_exceeded"
    assert {**rows, SLOW: expected[SLOW]} == expected


def test_the_limits_of_the_service_hold(sounds: Path, tmp_path: Path) -> None:
    table = tmp_path / "results.jsonl"
    limits = {"HARK_MAX_UPLOAD_BYTES": "17000", "HARK_MAX_AUDIO_SECONDS": "60"}
    finished = hark_classify(sounds, "--out", table, **limits)
    assert finished.returncode == 1
    assert by_path(table)[SLOW]["code"] in {"upload_too_large", "audio_too_long"}
    assert sum(row["code"] == "" for row in by_path(table).values()) == N_CLIPS - N_CLIPS // 4


def main(monkeypatch: pytest.MonkeyPatch, *arguments: str | Path) -> int:
    """Run the command in this process, which is quicker where no compute process is started."""
    monkeypatch.setattr(sys, "argv", ["hark", "classify", *map(str, arguments)])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    assert isinstance(ended.value.code, int)
    return ended.value.code


@pytest.fixture
def whole(tmp_path: Path) -> tuple[Path, Path]:
    """A folder of a file, and a table that has its row already, of version 1."""
    folder, table = tmp_path / "folder", tmp_path / "results.csv"
    folder.mkdir()
    (folder / "clip.wav").write_bytes(b"")
    manifest = ModelStore(DEFAULT_MODEL_STORE).manifest(ModelReference(NAME, 1))
    asked = Asked.of(manifest, [], "files", Cutting(), None)
    with closing(open_table(table, asked)) as opened:
        opened.resume({"clip.wav"})
        opened.append(rows_of(asked, "clip.wav", Failure("not_audio", "It is none.")))
    return folder, table


def test_nothing_is_left_to_do(
    whole: tuple[Path, Path], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    folder, table = whole
    before = table.read_bytes()
    assert main(monkeypatch, folder, "--out", table, "--engine", "onnx") == 1
    assert capsys.readouterr().err.splitlines() == [
        f"1 file of 1 in {table} already.",
        "Nothing is left to do, 1 failed before.",
    ]
    assert table.read_bytes() == before


def test_another_version_does_not_go_on_with_a_table(
    whole: tuple[Path, Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    folder, table = whole
    before = table.read_bytes()
    store = TwoVersions(tmp_path / "store")
    # With the labels in the old order, so that the columns are the same.
    edit_manifest(store.add(2), labels=LABELS)
    assert main(monkeypatch, folder, "--out", table, "--store", store.root) == 1
    said = capsys.readouterr().err
    assert said.startswith(f"hark: {table} holds answers of {NAME}@1, and {NAME}@2 is asked for")
    assert table.read_bytes() == before


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (["--out", "x.txt"], "Call it .csv, .jsonl or .parquet."),
        (["--out", "missing/x.csv"], "missing/x.csv: No such file or directory."),
        (["--out", "x.csv", "--labels", "siren,moon"], "has no label 'moon'"),
        (["--out", "x.csv", "--hop-seconds", "9"], "hop_seconds: it must not be longer"),
        (["--out", "x.csv", "--end-seconds", "0"], "end_seconds: it must come after"),
        (["--out", "x.csv", "nothing"], "nothing: there is no such file or folder."),
        (["--labels", "moon"], "has no label 'moon'"),
    ],
)
def test_a_mistake_is_one_sentence_before_any_work(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    sentence: str,
) -> None:
    (tmp_path / "clip.wav").write_bytes(b"")
    monkeypatch.chdir(tmp_path)
    assert main(monkeypatch, ".", *arguments, "--engine", "onnx") == 1
    said = capsys.readouterr().err
    assert said.startswith("hark: ")
    assert sentence in said
    assert said.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["clip.wav"]


@pytest.mark.parametrize(
    "arguments",
    [
        ["--workers", "2"],
        ["--events"],
        ["--deadline-seconds", "3"],
        ["--out", "x.csv", "--json"],
        ["--out", "x.csv", "--top-k", "3"],
        ["--out", "x.csv", "--threshold", "0"],
        ["--out", "x.csv", "--windows", "--events"],
    ],
    ids=str,
)
def test_an_option_that_means_nothing_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str]
) -> None:
    assert main(monkeypatch, tmp_path, *arguments) == 2


def test_without_pyarrow_parquet_is_refused_with_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    table = tmp_path / "results.parquet"
    assert main(monkeypatch, tmp_path, "--out", table, "--engine", "onnx") == 1
    assert "Install hark[parquet], or write to a .csv or .jsonl file." in capsys.readouterr().err
