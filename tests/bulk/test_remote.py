"""Files and folders that a URL names; those of fsspec's `memory://` lie in this process."""

import http.server
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import fsspec
import pytest

from app.bulk.errors import BulkError
from app.bulk.files import find_files
from app.bulk.remote import Place, Remote, place
from tests.bulk.reading import TextRow, rows_in
from tests.bulk.test_bulk import main
from tests.two_versions import LABELS


@pytest.fixture
def memory() -> Iterator[str]:
    """The URL of a folder with folders."""
    file_system = fsspec.filesystem("memory")
    for name in ("b.wav", "a.MP3", "sub/c.flac", "sub/.hidden/d.wav", ".e.wav", "notes.txt"):
        file_system.pipe_file(f"/sounds/{name}", name.encode())
    yield "memory://sounds"
    file_system.rm("/sounds", recursive=True)


def names(*urls: str, recursive: bool = False) -> list[str]:
    return [
        file.name for file in find_files([place(url) for url in urls], recursive=recursive).files
    ]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        pytest.param("sounds", Path("sounds"), id="relative"),
        pytest.param("/sounds/a.wav", Path("/sounds/a.wav"), id="absolute"),
        pytest.param("file:///a/b%20c.wav", Path("/a/b c.wav"), id="file URL"),
        pytest.param("s3://bucket/a", Remote("s3://bucket/a"), id="object store"),
        pytest.param("a:b.wav", Path("a:b.wav"), id="a colon"),
    ],
)
def test_what_a_person_names_is_a_path_or_a_url(text: str, expected: Place) -> None:
    assert place(text) == expected


@pytest.mark.parametrize("slash", ["", "/"], ids=["bare", "slash"])
def test_a_urls_folder_is_taken_as_one_here(memory: str, slash: str) -> None:
    assert names(memory + slash) == ["a.MP3", "b.wav"]
    assert names(memory + slash, recursive=True) == ["a.MP3", "b.wav", "sub/c.flac"]
    found = find_files([place(memory + slash)], recursive=True)
    assert dict(found.passed_over) == {".txt": 1}
    assert [open_and_read(file.path) for file in found.files] == [b"a.MP3", b"b.wav", b"sub/c.flac"]


def open_and_read(path: Place) -> bytes:
    with path.open("rb", buffering=0) as file:
        return file.read()


def test_several_urls_keep_their_names(memory: str) -> None:
    given = (f"{memory}/sub", f"{memory}/notes.txt")
    assert names(*given) == ["memory://sounds/notes.txt", "memory://sounds/sub/c.flac"]


@pytest.mark.parametrize(
    ("url", "sentence"),
    [
        pytest.param("memory://nowhere", "there is no such file or folder.", id="missing"),
        pytest.param("nosuch://host/x", "Install it, or name a folder here.", id="unknown scheme"),
        pytest.param("sftp://host/x", "Install it, or name a folder here.", id="no library"),
    ],
)
def test_what_cannot_be_found_is_one_sentence(url: str, sentence: str) -> None:
    with pytest.raises(BulkError) as refused:
        find_files([place(url)], recursive=False)
    assert str(refused.value).startswith(f"{url}: ")
    assert sentence in str(refused.value)


@pytest.fixture
def web(sounds: Path) -> Iterator[str]:
    """The folder of sounds on a web server."""
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(sounds))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()
        thread.join()


def test_a_table_of_urls_says_what_that_of_the_files_says(
    sounds: Path, web: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http.server.SimpleHTTPRequestHandler, "log_message", lambda *_: None)

    def table(place: str | Path, name: str) -> dict[str, TextRow]:
        options = ("--engine", "onnx", "--workers", "2", "--out", tmp_path / name)
        assert main(monkeypatch, place, *options) == 1
        return {row["path"]: row for row in rows_in(tmp_path / name, LABELS)}

    here, there = table(sounds, "here.csv"), table(web, "there.csv")
    # A link that leads nowhere is no file for a web server.
    assert here.pop("z-gone.mp3")["code"] == there.pop("z-gone.mp3")["code"] == "unreadable_file"
    assert there == here
