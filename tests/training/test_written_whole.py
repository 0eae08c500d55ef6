"""Files that are written whole: as readable as others, and nothing half is left behind."""

import locale
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from training.written_whole import write_whole, written_whole


@pytest.fixture
def umask() -> Iterator[int]:
    """A umask that lets the group write and others read."""
    before = os.umask(0o002)
    yield 0o002
    os.umask(before)


def test_a_file_is_as_readable_as_any_new_one(tmp_path: Path, umask: int) -> None:
    with written_whole(tmp_path / "array.npz") as file:
        file.write(b"1")
    assert stat.S_IMODE((tmp_path / "array.npz").stat().st_mode) == 0o666 & ~umask


def write_half(path: Path) -> None:
    with written_whole(path, "w") as file:
        file.write("half")
        raise KeyboardInterrupt


def test_a_failure_leaves_what_was_there_and_nothing_else(tmp_path: Path) -> None:
    write_whole(tmp_path / "text", "before")
    with pytest.raises(KeyboardInterrupt):
        write_half(tmp_path / "text")
    assert [path.name for path in tmp_path.iterdir()] == ["text"]
    assert (tmp_path / "text").read_text() == "before"


@pytest.fixture
def plain_locale() -> Iterator[None]:
    """A locale whose encoding is ASCII."""
    before = locale.setlocale(locale.LC_CTYPE)
    locale.setlocale(locale.LC_CTYPE, "C")
    yield
    locale.setlocale(locale.LC_CTYPE, before)


@pytest.mark.usefixtures("plain_locale")
def test_text_is_utf_8_whatever_the_locale(tmp_path: Path) -> None:
    write_whole(tmp_path / "text", "Geräusch")
    assert (tmp_path / "text").read_bytes() == "Geräusch".encode()
