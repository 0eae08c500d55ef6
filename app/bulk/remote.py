"""Files and folders that a URL names, as of an object store; fsspec and its kin read them.

    s3://bucket/recordings    gs://bucket/recordings    https://host/recordings/

Credentials are where each of these libraries looks for them, as in AWS_* variables.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import IO, Any, Final, Literal
from urllib.parse import unquote, urlsplit

from app.bulk.errors import BulkError
from app.errors import HarkError

_SCHEME: Final = re.compile(r"[a-z][a-z0-9+.-]*://")


@dataclass(frozen=True, slots=True)
class Remote:
    """A file, or a folder, that a URL names."""

    url: str

    def __str__(self) -> str:
        return self.url

    @contextmanager
    def open(self, mode: str = "rb", buffering: int = 0) -> Iterator[IO[bytes]]:
        """Open the file to read it, as `Path.open` does.

        Raises:
            OSError: it cannot be opened or read.
        """
        del buffering  # fsspec's files fetch what lies ahead
        file_system, path = self.file_system()
        try:
            with file_system.open(path, mode) as file:
                yield file
        except (OSError, HarkError):
            raise
        except Exception as error:  # each library has errors of its own
            raise OSError(0, f"It cannot be read: {error}".rstrip("."), self.url) from error

    def read_bytes(self) -> bytes:
        """Return what is in the file.

        Raises:
            OSError: it cannot be read.
        """
        with self.open() as file:
            return file.read()

    def file_system(self) -> tuple[Any, str]:
        """Return fsspec's file system, and the path in it.

        Raises:
            BulkError: a library is missing, or there is none for such URLs.
        """
        if find_spec("fsspec") is None:
            raise BulkError(f"{self.url}: a URL needs fsspec, which hark[ray] brings.")
        from fsspec.core import url_to_fs

        try:
            file_system, path = url_to_fs(self.url)
        except (ImportError, ValueError) as error:
            raise BulkError(f"{self.url}: {error}. Install it, or name a folder here.") from error
        return file_system, str(path)

    def kind(self) -> Literal["file", "folder", "missing"]:
        """Return what the URL names.

        Raises:
            BulkError: it cannot be looked at.
        """
        file_system, path = self.file_system()
        with self._looked_at():
            if not self.url.endswith("/") and file_system.isfile(path):
                return "file"
            return "folder" if file_system.isdir(path) else "missing"

    def files(self, recursive: bool) -> list[tuple[Remote, str]]:
        """Return the files of this folder, with their paths in it; those not hidden.

        Args:
            recursive: whether to look into its folders too.

        Raises:
            BulkError: it cannot be looked at.
        """
        file_system, root = self.file_system()
        root = root.rstrip("/")
        found = []
        with self._looked_at():
            for path in file_system.find(root, maxdepth=None if recursive else 1):
                below = str(path).removeprefix(root).strip("/")
                if not any(part.startswith(".") for part in below.split("/")):
                    found.append((Remote(file_system.unstrip_protocol(path)), below))
        return found

    @contextmanager
    def _looked_at(self) -> Iterator[None]:
        try:
            yield
        except Exception as error:  # each library has errors of its own
            raise BulkError(f"{self.url}: it cannot be listed ({error}).") from error


Place = Path | Remote


def place(text: str) -> Place:
    """Return what a person named: a path here, or a URL. `file://` names a path."""
    if not _SCHEME.match(text):
        return Path(text)
    if text.startswith("file://"):
        return Path(unquote(urlsplit(text).path))
    return Remote(text)
