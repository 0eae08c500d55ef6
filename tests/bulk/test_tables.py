"""Tables that are gone on with: what stays, what goes, and what is refused."""

import json
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest
from pyarrow.parquet import read_table

from app.audio.cutting import Cutting
from app.bulk.asked import Asked
from app.bulk.errors import BulkError
from app.bulk.line_table import Done
from app.bulk.rows import Failure, Outcome, rows_of
from app.bulk.table import Table, open_table
from app.inference.classification import Classification, StageSeconds, Window
from app.inference.store import ModelReference
from tests.bulk.reading import rows_in

MODEL = ModelReference("tiny", 3)
ASKED = Asked(MODEL, ("clicks", "tone, pure"), True, "files", Cutting(), 0.5)
WINDOWS = replace(ASKED, kind="windows")
NOT_AUDIO = Failure("not_audio", 'The bytes are "not" audio, or so it seems.')
CRASHED = Failure("worker_crashed", "The process died.")
ENDINGS = (".csv", ".jsonl", ".parquet")


def answer(n_windows: int = 1) -> Classification:
    return Classification(
        model=MODEL,
        duration_seconds=1.0 * n_windows,
        truncated=False,
        probabilities={"clicks": 0.1, "tone, pure": 0.9},
        windows=tuple(
            Window(1.0 * index, index + 1.0, (0.1, 0.9), silence=False)
            for index in range(n_windows)
        ),
        silence=False,
        uncertain_below=0.4,
        stage_seconds=StageSeconds(0, 0, 0, 0),
    )


def write(path: Path, outcomes: dict[str, Outcome], asked: Asked = ASKED) -> Done:
    """Go on with a table, write what it has no rows of, and make it whole."""
    with closing(open_table(path, asked)) as table:
        done = resume_and_append(table, outcomes, asked)
        table.finish()
    return done


def refused(path: Path, asked: Asked = ASKED) -> str:
    """Open a table that is to be refused and left, and return what is said."""
    before = path.read_bytes()
    with pytest.raises(BulkError) as raised, closing(open_table(path, asked)) as table:
        table.resume({"a"})
    assert path.read_bytes() == before
    return str(raised.value)


def resume_and_append(table: Table, outcomes: dict[str, Outcome], asked: Asked = ASKED) -> Done:
    done = table.resume(outcomes)
    for name, outcome in outcomes.items():
        if name not in done.names:
            table.append(rows_of(asked, name, outcome))
    return done


def names_of(path: Path) -> list[str]:
    """The paths that a table's rows have, as another program reads them."""
    if path.suffix == ".parquet":
        names: list[str] = read_table(path).column("path").to_pylist()
        return names
    lines = path.read_text().splitlines()
    if path.suffix == ".csv":
        return [line.split(",")[0] for line in lines[1:]]
    return [json.loads(line)["path"] for line in lines]


@pytest.mark.parametrize("ending", ENDINGS)
def test_what_is_there_is_done_and_the_rest_is_added(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"results{ending}"
    assert write(path, {"a": answer(), "b": NOT_AUDIO}) == Done(set(), set())
    before = path.read_bytes()
    assert write(path, {"a": answer(), "b": NOT_AUDIO}) == Done({"a", "b"}, {"b"})
    assert path.read_bytes() == before
    assert write(path, {"a": answer(), "c": answer()}) == Done({"a", "b"}, {"b"})
    assert names_of(path) == ["a", "b", "c"]
    assert [file.name for file in tmp_path.iterdir()] == [path.name], "something was left behind"


@pytest.mark.parametrize("ending", ENDINGS)
def test_what_may_not_fail_again_is_tried_again(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"results{ending}"
    write(path, {"a": CRASHED, "b": answer(), "c": CRASHED})
    assert write(path, {"a": answer(), "b": answer()}) == Done({"b", "c"}, {"c"})
    assert names_of(path) == ["b", "c", "a"]


@pytest.mark.parametrize("ending", [".csv", ".jsonl"])
@pytest.mark.parametrize("asked", [ASKED, WINDOWS], ids=["files", "windows"])
def test_a_table_cut_off_anywhere_becomes_the_whole_one(
    tmp_path: Path, ending: str, asked: Asked
) -> None:
    path = tmp_path / f"results{ending}"
    outcomes: dict[str, Outcome] = {"a": answer(), "b": answer(3), "c": NOT_AUDIO, "d": answer(2)}
    write(path, outcomes, asked)
    whole = path.read_bytes()
    ends = [place for place, byte in enumerate(whole) if byte == ord("\n")]
    for length in {*range(0, len(whole), 17), *ends, *(end + 1 for end in ends[:-1])}:
        path.write_bytes(whole[:length])
        with closing(open_table(path, asked)) as table:  # unfinished, for the sake of the disk
            done = resume_and_append(table, outcomes, asked)
        assert path.read_bytes() == whole, length
        assert len(done.names) < len(outcomes)


@pytest.mark.parametrize("unreadable", [b"", b"PAR1"], ids=["no Parquet yet", "a damaged one"])
def test_rows_beside_a_parquet_file_are_gone_on_with(tmp_path: Path, unreadable: bytes) -> None:
    """The run ended before it could make the Parquet file, or make it anew."""
    path = tmp_path / "results.parquet"
    with closing(open_table(path, ASKED)) as table:
        resume_and_append(table, {"a": answer(), "b": NOT_AUDIO})
    if unreadable:
        path.write_bytes(unreadable)
    with (tmp_path / ".results.parquet.partial.jsonl").open("a") as beside:
        beside.write('{"path": "c", "mod')
    assert write(path, {"a": answer(), "b": NOT_AUDIO, "c": answer()}).names == {"a", "b"}
    assert names_of(path) == ["a", "b", "c"]


def test_all_formats_say_the_same(tmp_path: Path) -> None:
    outcomes: dict[str, Outcome] = {"a": answer(2), "b": NOT_AUDIO}
    for asked in (ASKED, WINDOWS, replace(ASKED, kind="events")):
        paths = [tmp_path / f"{asked.kind}{ending}" for ending in ENDINGS]
        for path in paths:
            write(path, outcomes, asked)
        of_csv, of_json, of_parquet = (rows_in(path, ASKED.labels) for path in paths)
        assert of_csv == of_json == of_parquet


def test_events_have_a_row_each_and_a_file_without_one_has_its_own() -> None:
    asked = replace(ASKED, kind="events")
    (row,) = rows_of(asked, "a", answer(2))
    assert (row["label"], row["start_seconds"], row["end_seconds"]) == ("tone, pure", 0.0, 2.0)
    (row,) = rows_of(replace(asked, threshold=0.95), "a", answer(2))
    assert (row["label"], row["duration_seconds"], row["code"]) == (None, 2.0, None)


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize(
    ("other", "sentence"),
    [
        (replace(ASKED, model=ModelReference("tiny", 4)), "go on with --model tiny@3"),
        (replace(ASKED, cutting=Cutting(hop_seconds=0.5)), "are asked for now"),
    ],
    ids=["model", "hop"],
)
def test_a_table_of_something_else_is_refused_and_left(
    tmp_path: Path, ending: str, other: Asked, sentence: str
) -> None:
    path = tmp_path / f"results{ending}"
    write(path, {"a": answer()})
    said = refused(path, other)
    assert said.startswith(f"{path} holds answers ")
    assert sentence in said
    assert "another file with --out" in said


@pytest.mark.parametrize("ending", [".csv", ".parquet"])
def test_other_columns_are_refused(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"results{ending}"
    write(path, {"a": answer()})
    assert "with other columns than are asked for now" in refused(path, WINDOWS)


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("notes.jsonl", b"dear diary\n"),
        ("list.jsonl", b"[1, 2]\n"),
        ("other.jsonl", b'{"path": "a"}\n'),
        ("notes.csv", b"dear diary\n"),
        ("latin.csv", b"caf\xe9\n"),
        ("notes.parquet", b"dear diary\n"),
    ],
)
def test_a_file_that_is_no_table_is_left_as_it_is(
    tmp_path: Path, name: str, content: bytes
) -> None:
    path = tmp_path / name
    path.write_bytes(content)
    assert refused(path).startswith(f"{path} is there already, ")


@pytest.mark.parametrize("ending", ENDINGS)
def test_two_processes_do_not_write_one_table(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"results{ending}"
    with (
        closing(open_table(path, ASKED)),
        pytest.raises(BulkError, match=f"{path.name} is being written by another process"),
    ):
        open_table(path, ASKED)


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda folder: folder / "results.txt", r"Call it \.csv, \.jsonl or \.parquet\."),
        (lambda folder: folder, "is a folder. Name a file in it"),
    ],
)
def test_what_cannot_be_a_table_is_refused(
    tmp_path: Path, make: Callable[[Path], Path], sentence: str
) -> None:
    with pytest.raises(BulkError, match=sentence):
        open_table(make(tmp_path), ASKED)
