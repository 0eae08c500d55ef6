"""Which files a run takes, in which order and under which names."""

import os
from pathlib import Path

import pytest

from app.bulk.errors import BulkError
from app.bulk.files import find_files


def names(*arguments: Path, recursive: bool = False, besides: Path | None = None) -> list[str]:
    return [file.name for file in find_files(arguments, recursive=recursive, besides=besides).files]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b.wav", "a.MP3", "sub/c.flac", "sub/.hidden/d.wav", ".e.wav", "notes.txt"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"")
    return tmp_path


def test_a_folders_audio_is_found_in_the_order_of_its_names(folder: Path) -> None:
    assert names(folder) == ["a.MP3", "b.wav"]
    assert names(folder, recursive=True) == ["a.MP3", "b.wav", "sub/c.flac"]


def test_what_is_passed_over_is_counted_by_its_ending(folder: Path) -> None:
    (folder / "README").write_bytes(b"")
    (folder / "more.TXT").write_bytes(b"")
    (sentence,) = find_files([folder], recursive=True).sentences()
    assert sentence.startswith("3 files are passed over")
    assert sentence.endswith(": 2 .txt, 1 without an ending.")


def test_several_arguments_keep_their_paths_and_name_a_file_once(folder: Path) -> None:
    given = [folder / "sub", folder / "b.wav", folder / "sub" / "c.flac"]
    assert names(*given) == [str(folder / "b.wav"), str(folder / "sub" / "c.flac")]


def test_a_file_that_is_named_may_be_called_anything(folder: Path) -> None:
    assert names(folder / "notes.txt") == [str(folder / "notes.txt")]


def test_the_table_itself_is_nothing_to_classify_or_to_count(folder: Path) -> None:
    (folder / "results.csv").write_bytes(b"")
    found = find_files([folder], recursive=False, besides=folder / "results.csv")
    assert dict(found.passed_over) == {".txt": 1}


def test_what_does_not_exist_is_said_before_any_work(folder: Path) -> None:
    with pytest.raises(BulkError, match=r"soundz: there is no such file or folder\."):
        find_files([folder, folder / "soundz"], recursive=False)


def test_links_in_a_circle_end(folder: Path) -> None:
    (folder / "sub" / "round").symlink_to(folder)
    assert names(folder, recursive=True) == ["a.MP3", "b.wav", "sub/c.flac"]


def test_names_are_one_line_of_text_whatever_their_bytes(tmp_path: Path) -> None:
    Path(os.fsdecode(os.fsencode(tmp_path) + b"/\xff.wav")).write_bytes(b"")
    (tmp_path / "two\nlines.wav").write_bytes(b"")
    assert names(tmp_path) == ["\\xff.wav", "two\\nlines.wav"]
