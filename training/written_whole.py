"""Files that whoever reads them finds whole or not at all."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, Literal
from uuid import uuid4


@contextmanager
def written_whole(path: Path, mode: Literal["wb", "w"] = "wb") -> Iterator[IO[Any]]:
    """Open a file to be written beside `path`, and put it there when all is written.

    It is as readable to others as any new file (Python's own temporary files are private), and
    nothing is left of it where writing fails. Text is in UTF-8.
    """
    beside = path.with_name(f"{uuid4().hex}.tmp")
    try:
        encoding = "utf-8" if mode == "w" else None
        with beside.open(mode.replace("w", "x"), encoding=encoding) as file:
            yield file
        beside.replace(path)
    except BaseException:
        beside.unlink(missing_ok=True)
        raise


def write_whole(path: Path, text: str) -> None:
    """Write a text so that what reads it finds it whole or not at all."""
    with written_whole(path, "w") as file:
        file.write(text)
