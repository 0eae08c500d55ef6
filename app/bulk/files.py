"""Which files there are to classify: those named, and the audio files of folders."""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Final

from app.bulk.errors import BulkError
from app.bulk.remote import Place, Remote

# By name, since most files of a folder need not be opened to be told from audio. Whether they are
# audio is then found in their bytes; and files that are named one by one may be called anything.
AUDIO_ENDINGS: Final = frozenset(
    {".wav", ".wave", ".rf64", ".w64", ".aif", ".aiff", ".aifc", ".au", ".snd", ".caf", ".flac"}
    | {".mp3", ".ogg", ".oga", ".opus"}
    | {".webm", ".weba", ".mp4", ".m4a", ".aac", ".3gp", ".amr"}
)
_MOST_ENDINGS_NAMED: Final = 5


@dataclass(frozen=True, slots=True)
class AudioFile:
    """A file to classify: where it lies, and the name that it has in the table."""

    path: Place
    name: str


@dataclass(slots=True)
class Found:
    """What was found.

    Attributes:
        files: what is to be classified, in the order of its names.
        passed_over: how many other files there are in the folders, by their ending.
        unreadable: a sentence for each folder that could not be read.
    """

    files: list[AudioFile] = field(default_factory=list)
    passed_over: Counter[str] = field(default_factory=Counter)
    unreadable: list[str] = field(default_factory=list)

    @property
    def are_remote(self) -> bool:
        """Whether URLs name some of the files."""
        return any(isinstance(file.path, Remote) for file in self.files)

    def sentences(self) -> list[str]:
        """Say what is not among the files, and why."""
        return [*self.unreadable, *self._passed_over_in_words()]

    def _passed_over_in_words(self) -> Iterator[str]:
        if not self.passed_over:
            return
        named = [
            f"{count} {ending or 'without an ending'}"
            for ending, count in self.passed_over.most_common(_MOST_ENDINGS_NAMED)
        ]
        if len(self.passed_over) > _MOST_ENDINGS_NAMED:
            named.append("others")
        total = self.passed_over.total()
        files = "1 file is" if total == 1 else f"{total} files are"
        yield f"{files} passed over, not being called as audio is: {', '.join(named)}."


def find_files(
    arguments: Sequence[Place], *, recursive: bool, besides: Path | None = None
) -> Found:
    """Find the files that arguments name, and the audio files of the folders among them.

    Names are relative to the folder, where one folder is all that is given; otherwise they are the
    paths as they were given. Hidden files and folders are left out, and links to folders are not
    followed.

    Args:
        arguments: files and folders.
        recursive: whether to look into the folders of folders too.
        besides: a file to leave out, as the table that is written.

    Raises:
        BulkError: an argument does not exist, or cannot be looked at.
    """
    found = Found()
    alone = len(arguments) == 1
    by_name: dict[str, AudioFile] = {}
    for argument in arguments:
        if isinstance(argument, Remote):
            listed = _remote_files(argument, recursive, alone)
        else:
            listed = _local_files(argument, recursive, alone, besides, found)
        for file, is_of_folder in listed:
            ending = PurePosixPath(file.name).suffix.lower()
            if is_of_folder and ending not in AUDIO_ENDINGS:
                found.passed_over[ending] += 1
            else:
                by_name.setdefault(file.name, file)
    found.files = [by_name[name] for name in sorted(by_name)]
    return found


def _remote_files(
    argument: Remote, recursive: bool, alone: bool
) -> Iterator[tuple[AudioFile, bool]]:
    """Yield each file that a URL names, and whether it was found in a folder."""
    kind = argument.kind()
    if kind == "missing":
        raise BulkError(f"{argument}: there is no such file or folder.")
    if kind == "file":
        yield AudioFile(argument, argument.url), False
        return
    for file, below in argument.files(recursive):
        yield (
            AudioFile(file, _in_a_line(below if alone else f"{argument.url.rstrip('/')}/{below}")),
            True,
        )


def _local_files(
    argument: Path, recursive: bool, alone: bool, besides: Path | None, found: Found
) -> Iterator[tuple[AudioFile, bool]]:
    """Yield each file that a path names, and whether it was found in a folder."""
    if not argument.exists():
        raise BulkError(f"{argument}: there is no such file or folder.")
    is_folder = argument.is_dir()
    for path in _files_of(argument, recursive, found):
        if is_folder and besides is not None and path.resolve() == besides.resolve():
            continue
        name = _printable(path.relative_to(argument) if is_folder and alone else path)
        yield AudioFile(path, name), is_folder


def _files_of(argument: Path, recursive: bool, found: Found) -> Iterator[Path]:
    if not argument.is_dir():
        yield argument
        return

    def note(error: OSError) -> None:
        found.unreadable.append(f"{error.filename}: {error.strerror}.")

    for folder, folders, names in os.walk(argument, onerror=note):
        folders[:] = [name for name in folders if recursive and not name.startswith(".")]
        paths = (Path(folder, name) for name in names if not name.startswith("."))
        yield from (path for path in paths if path.is_file() or path.is_symlink())


def _printable(path: Path) -> str:
    """Return a path as one line that every format can hold, whatever bytes are in it."""
    return _in_a_line(os.fsencode(path.as_posix()).decode("utf-8", "backslashreplace"))


def _in_a_line(text: str) -> str:
    return text.replace("\n", "\\n").replace("\r", "\\r")
