"""A table in partitions: each whole or not there, and only what is missing is done again."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import fsspec
import pytest
from pyarrow.parquet import read_table

from app.audio.cutting import Cutting
from app.bulk.asked import Asked
from app.bulk.errors import BulkError
from app.bulk.files import AudioFile
from app.bulk.on_ray import Piece, pieces_of
from app.bulk.partitions import Kept, Partitions
from app.bulk.remote import Place, Remote, place
from app.bulk.rows import Failure, Outcome, Row, rows_of
from app.inference.store import ModelReference
from tests.bulk.test_tables import ASKED, NOT_AUDIO, WINDOWS, answer

CRASHED = Failure("worker_crashed", "The process died.")


@pytest.fixture(params=["path", "URL"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Place]:
    """A folder that is not there yet: on the disk, and in another file system."""
    if request.param == "path":
        yield tmp_path / "results"
        return
    yield Remote("memory://results")
    if fsspec.filesystem("memory").exists("/results"):
        fsspec.filesystem("memory").rm("/results", recursive=True)


def write(folder: Place, outcomes: dict[str, Outcome], asked: Asked = ASKED) -> str:
    """Write a partition of some files, and return its name."""
    partitions = Partitions(folder, asked)
    partitions.resume()
    name = partitions.name(0, outcomes)
    partitions.write(name, rows(outcomes, asked))
    return name


def rows(outcomes: dict[str, Outcome], asked: Asked = ASKED) -> list[Row]:
    return [row for name, outcome in outcomes.items() for row in rows_of(asked, name, outcome)]


def files(*names: str) -> list[AudioFile]:
    return [AudioFile(Path(name), name) for name in names]


def test_what_was_written_is_kept(folder: Place) -> None:
    write(folder, {"a": answer(), "b": NOT_AUDIO})
    kept = Partitions(folder, ASKED).resume()
    assert kept == Kept(names={"a", "b"}, failed={"b"})


def test_other_programs_read_the_folder_as_one_table(tmp_path: Path) -> None:
    write(tmp_path, {"a": answer(), "b": NOT_AUDIO})
    write(tmp_path, {"c": answer()})
    (tmp_path / ".unfinished-0123").write_bytes(b"PAR1 and no more")
    table = read_table(tmp_path)
    assert sorted(table["path"].to_pylist()) == ["a", "b", "c"]
    Partitions(tmp_path, ASKED).clear()
    assert all(path.name.startswith("part-") for path in tmp_path.iterdir())


def test_the_same_files_have_the_same_name_and_others_another(folder: Place) -> None:
    partitions = Partitions(folder, ASKED)
    name = partitions.name(3, ["a", "b"])
    assert name == partitions.name(3, ["a", "b"])
    others = {
        partitions.name(3, ["a"]),
        partitions.name(3, ["a", "c"]),
        Partitions(folder, WINDOWS).name(3, ["a", "b"]),
        Partitions(folder, replace(ASKED, cutting=Cutting(hop_seconds=0.5))).name(3, ["a", "b"]),
    }
    assert len(others | {name}) == 5


def test_only_what_is_missing_is_left_to_do(folder: Place) -> None:
    partitions = Partitions(folder, ASKED)
    partitions.resume()
    names = [f"{index:03}" for index in range(80)]
    first, second, third = pieces_of(files(*names), Kept(), partitions)
    assert [len(piece.files) for piece in (first, second, third)] == [32, 32, 16]
    partitions.write(second.partition, rows({file.name: NOT_AUDIO for file in second.files}))
    kept = partitions.resume()
    assert pieces_of(files(*names), kept, partitions) == [first, third]
    (piece,) = pieces_of(files("032", "0325", "033"), kept, partitions)
    assert [file.name for file in piece.files] == ["0325"]
    assert pieces_of(files("032", "033"), kept, partitions) == []


def test_what_may_not_fail_again_is_tried_again_in_its_place(folder: Place) -> None:
    name = write(folder, {"a": answer(), "b": CRASHED, "c": NOT_AUDIO})
    partitions = Partitions(folder, ASKED)
    kept = partitions.resume()
    assert kept.again == {name: ["b"]}
    (piece,) = pieces_of(files("a", "b", "c"), kept, partitions)
    assert piece == Piece(name, tuple(files("b")), is_there=True)
    partitions.write(name, rows({"b": answer()}), besides={"b"})
    table = partitions.read(name)
    assert table["path"].to_pylist() == ["a", "b", "c"]
    assert partitions.resume() == Kept(names={"a", "b", "c"}, failed={"c"})
    assert pieces_of(files("a", "c"), kept, partitions) == []


@pytest.mark.parametrize(
    "other",
    [
        pytest.param(replace(ASKED, model=ModelReference("tiny", 4)), id="model"),
        pytest.param(replace(ASKED, cutting=Cutting(hop_seconds=0.5)), id="hop"),
        pytest.param(WINDOWS, id="columns"),
    ],
)
def test_a_table_of_something_else_is_refused(folder: Place, other: Asked) -> None:
    write(folder, {"a": answer()})
    with pytest.raises(BulkError, match="asked for now"):
        Partitions(folder, other).resume()


def test_a_folder_of_other_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "siren.wav").write_bytes(b"")
    with pytest.raises(BulkError, match=r"has other files in it, as siren\.wav\."):
        Partitions(tmp_path, ASKED).resume()
    with pytest.raises(BulkError, match="is a file, and a folder is needed"):
        Partitions(tmp_path / "siren.wav", ASKED).resume()


def test_a_damaged_partition_is_named(tmp_path: Path) -> None:
    name = write(tmp_path, {"a": answer()})
    (tmp_path / name).write_bytes(b"PAR1")
    with pytest.raises(BulkError, match=f"{name} is no whole Parquet file"):
        Partitions(tmp_path, ASKED).resume()


def test_a_table_needs_a_file_system_that_is_there() -> None:
    with pytest.raises(BulkError, match="Install it, or name a folder here"):
        Partitions(place("nosuch://x"), ASKED).resume()
