"""The table of a run, in the format that its file's ending names."""

from collections.abc import Container, Sequence
from pathlib import Path
from typing import Final, Protocol

from app.bulk.asked import Asked
from app.bulk.errors import BulkError
from app.bulk.line_formats import Csv, JsonLines
from app.bulk.line_table import Done, LineTable
from app.bulk.parquet_table import ParquetTable
from app.bulk.rows import Row

TABLE_ENDINGS: Final = (".csv", ".jsonl", ".parquet")


class Table(Protocol):
    """What rows are added to."""

    def resume(self, selected: Container[str]) -> Done:
        """Make ready to add rows, and return what is there."""
        ...

    def append(self, rows: Sequence[Row]) -> None:
        """Add the rows of one file, so that they outlive this process."""
        ...

    def finish(self) -> None:
        """Make the table whole, once the rows of all files are there."""
        ...

    def close(self) -> None:
        """Leave the table so that it can be gone on with."""
        ...


def open_table(path: Path, asked: Asked) -> Table:
    """Open the table that a file is, or is to be.

    Raises:
        BulkError: the ending names no format, its library is missing, or the file is in use.
        OSError: it cannot be opened.
    """
    if path.is_dir():
        raise BulkError(f"--out {path} is a folder. Name a file in it, as {path / 'results.csv'}.")
    match path.suffix.lower():
        case ".csv":
            return LineTable(path, Csv(asked), asked)
        case ".jsonl":
            return LineTable(path, JsonLines(), asked)
        case ".parquet":
            return ParquetTable(path, asked)
    raise BulkError(f"--out {path}: its ending names no format. Call it .csv, .jsonl or .parquet.")
