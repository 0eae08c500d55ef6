"""A table of a row a line: written row by row, and gone on with after whatever ended it."""

import csv
import fcntl
import os
import shutil
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final

from app.bulk.asked import Asked
from app.bulk.errors import BulkError
from app.bulk.line_formats import LineFormat, Record
from app.bulk.rows import Row, is_tried_again

_WRONG_ROW: Final = (ValueError, TypeError, KeyError, csv.Error)


@dataclass(slots=True)
class Done:
    """What a table holds from before.

    Attributes:
        names: the files whose rows are there, and stay.
        failed: those of them that have no answer.
    """

    names: set[str] = field(default_factory=set)
    failed: set[str] = field(default_factory=set)


class LineTable:
    """A file that rows are added to. Nobody else may write to it meanwhile.

    Args:
        path: the file, made where there is none.
        line_format: how a row becomes a line.
        asked: what it is to hold.
        told_as: the name under which people know it.

    Raises:
        BulkError: another process writes to it.
        OSError: it cannot be opened.
    """

    def __init__(
        self, path: Path, line_format: LineFormat, asked: Asked, told_as: Path | None = None
    ) -> None:
        self._path = path
        self._format = line_format
        self._asked = asked
        self._told_as = told_as or path
        self._file = self._open()

    def resume(self, selected: Container[str]) -> Done:
        """Make ready to add rows, and return what is there.

        A line that was cut off goes, as do the rows of a file that has not all of them, and those
        of selected files that are to be tried again.

        Raises:
            BulkError: the file is no such table, or one of another model or other options.
        """
        done, incomplete = Done(), ""
        again: set[str] = set()
        n_rows, n_whole_bytes = 0, 0
        for record, line in self._records():
            n_whole_bytes += len(line)
            n_rows = n_rows + 1 if record.path == incomplete else 1
            incomplete = record.path if n_rows < record.rows_of_file else ""
            if record.code is not None and is_tried_again(record.code) and record.path in selected:
                again.add(record.path)
                continue
            done.names.add(record.path)
            if record.code is not None:
                done.failed.add(record.path)
        if incomplete:
            again.add(incomplete)
            done.names.discard(incomplete)
        if again:
            self._leave_out(again)
        else:
            self._cut_off(n_whole_bytes)
        return done

    def append(self, rows: Sequence[Row]) -> None:
        """Add the rows of one file, and hand them to the system."""
        self._file.write("".join(map(self._format.encode, rows)).encode())
        self._file.flush()

    def rows(self) -> Iterator[str]:
        """Yield the lines of all rows."""
        self._file.flush()
        yield from (line.decode() for _, line in self._records())

    def finish(self) -> None:
        """Have all that was added on the disk, and close the file."""
        os.fsync(self._file.fileno())
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _open(self) -> BinaryIO:
        file = self._path.open("ab")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            file.close()
            raise BulkError(
                f"{self._told_as} is being written by another process. Wait until that has ended, "
                "or choose another file with --out."
            ) from error
        return file

    def _records(self) -> Iterator[tuple[Record, bytes]]:
        """Yield the rows that are whole, each with its line."""
        header = self._format.header
        with self._path.open("rb") as file:
            if header and not self._check_header(file.readline()):
                return
            for line in file:
                if not line.endswith(b"\n"):
                    return
                yield self._checked(line), line

    def _check_header(self, line: bytes) -> bool:
        """Return whether the header is whole, where it is the right one."""
        header = self._format.header.encode()
        if line.rstrip(b"\r\n") == header.rstrip():
            return line.endswith(b"\n")
        if not line.endswith(b"\n") and header.startswith(line):
            return False
        raise BulkError(
            f"{self._told_as} is there already, with other columns than are asked for now. Choose "
            "another file with --out, or the model and the options (--windows, --events, --labels) "
            "of before."
        )

    def _checked(self, line: bytes) -> Record:
        try:
            record = self._format.record(line.decode())
        except _WRONG_ROW as error:
            raise BulkError(
                f"{self._told_as} is there already, and is no table of hark classify, so it is "
                "left as it is. Choose another file with --out."
            ) from error
        before, now = f"{record.model}@{record.version}", str(self._asked.model)
        if before != now:
            raise BulkError(
                f"{self._told_as} holds answers of {before}, and {now} is asked for now. Choose "
                f"another file with --out, or go on with --model {before}."
            )
        if record.options != self._asked.options:
            raise BulkError(
                f"{self._told_as} holds answers {_with(record.options)}, and answers "
                f"{_with(self._asked.options)} are asked for now. Choose another file with --out, "
                "or the options of before."
            )
        return record

    def _cut_off(self, n_bytes_of_rows: int) -> None:
        """Leave nothing behind the last row that is whole, and the header before the first."""
        if n_bytes_of_rows == 0:
            self._file.truncate(0)
            self._file.write(self._format.header.encode())
            self._file.flush()
            return
        with self._path.open("rb") as file:
            n_bytes_of_header = len(file.readline()) if self._format.header else 0
        self._file.truncate(n_bytes_of_header + n_bytes_of_rows)

    def _leave_out(self, names: set[str]) -> None:
        """Write the table anew, without the rows of some files, in one step."""
        anew = self._path.with_name(f".{self._path.name}.anew")
        with anew.open("wb") as file:
            file.write(self._format.header.encode())
            for record, line in self._records():
                if record.path not in names:
                    file.write(line)
            file.flush()
            os.fsync(file.fileno())
        shutil.copymode(self._path, anew)
        anew.replace(self._path)
        self._file.close()
        self._file = self._open()


def _with(options: str) -> str:
    return f"with {options}" if options else "with the default options"
