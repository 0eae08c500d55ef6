"""A Parquet table. It cannot be added to: rows gather as JSON Lines beside it, until all are there.

The file beside it holds all rows while a run lasts, those of an earlier run too, so that one file
says what is done; the Parquet file takes its place in one step, whole or not at all.
"""

from __future__ import annotations

import json
import os
from collections.abc import Container, Iterator, Sequence
from importlib.util import find_spec
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final

from app.bulk.asked import Asked
from app.bulk.errors import BulkError
from app.bulk.line_formats import JsonLines, flat_columns, flattened, nested
from app.bulk.line_table import Done, LineTable
from app.bulk.rows import Row

if TYPE_CHECKING:
    import pyarrow

# So many rows are held at a time, and make a row group.
_BATCH_ROWS: Final = 10_000


class ParquetTable:
    """A Parquet file that is made in the end, and the file that rows are added to until then.

    Args:
        path: the Parquet file.
        asked: what it is to hold.

    Raises:
        BulkError: pyarrow is not installed, another process writes to it, or what is there is no
            such table.
        OSError: a file cannot be opened.
    """

    def __init__(self, path: Path, asked: Asked) -> None:
        if find_spec("pyarrow") is None:
            raise BulkError(
                "Parquet needs pyarrow, which is not installed here. Install hark[parquet], or "
                "write to a .csv or .jsonl file."
            )
        self._path = path
        self._asked = asked
        self._gathered = path.with_name(f".{path.name}.partial.jsonl")
        if path.exists() and not self._gathered.exists():
            self._take_apart()
        self._lines = LineTable(self._gathered, JsonLines(), asked, told_as=path)
        self._changed = not path.exists()

    def resume(self, selected: Container[str]) -> Done:
        """Make ready to add rows, and return what is there, as `LineTable.resume`."""
        return self._lines.resume(selected)

    def append(self, rows: Sequence[Row]) -> None:
        """Add the rows of one file, and hand them to the system."""
        self._changed = True
        self._lines.append(rows)

    def finish(self) -> None:
        """Make the Parquet file of all rows, in one step, a batch of rows at a time."""
        from pyarrow import Table
        from pyarrow.parquet import ParquetWriter

        if self._changed:
            schema = parquet_schema(self._asked)
            anew = self._path.with_name(f".{self._path.name}.anew")
            rows = (flattened(json.loads(line)) for line in self._lines.rows())
            with anew.open("wb") as file:
                with ParquetWriter(file, schema) as writer:
                    while batch := list(islice(rows, _BATCH_ROWS)):
                        writer.write_table(Table.from_pylist(batch, schema))
                file.flush()
                os.fsync(file.fileno())
            anew.replace(self._path)
        self._lines.close()
        self._gathered.unlink()

    def close(self) -> None:
        """Leave the rows where they have gathered, to be gone on with."""
        self._lines.close()

    def _take_apart(self) -> None:
        """Put the rows of a Parquet file that is there where more can be added to them."""
        line_format = JsonLines()
        anew = self._gathered.with_name(f"{self._gathered.name}.anew")
        with anew.open("w", encoding="utf-8") as file:
            for row in self._rows_before():
                file.write(line_format.encode(nested(row, self._asked)))
        anew.replace(self._gathered)

    def _rows_before(self) -> Iterator[Row]:
        from pyarrow import ArrowException
        from pyarrow.parquet import ParquetFile

        try:
            with ParquetFile(self._path) as file:
                if file.schema_arrow.names != parquet_schema(self._asked).names:
                    raise BulkError(
                        f"{self._path} is there already, with other columns than are asked for "
                        "now. Choose another file with --out, or the model and the options "
                        "(--windows, --events, --labels) of before."
                    )
                for batch in file.iter_batches(_BATCH_ROWS):
                    yield from batch.to_pylist()
        except ArrowException as error:
            raise BulkError(
                f"{self._path} is there already, and is no whole Parquet file. Move it away, or "
                "choose another file with --out."
            ) from error


def parquet_schema(asked: Asked) -> pyarrow.Schema:
    """Return the columns of a table that is asked for, and their types."""
    import pyarrow

    types = {
        "uncertain": pyarrow.bool_(),
        "silence": pyarrow.bool_(),
        "truncated": pyarrow.bool_(),
        "version": pyarrow.int64(),
        "rows_of_file": pyarrow.int64(),
        **dict.fromkeys(("path", "label", "model", "options", "code", "error"), pyarrow.string()),
    }
    names = flat_columns(asked)
    return pyarrow.schema([(name, types.get(name, pyarrow.float64())) for name in names])
