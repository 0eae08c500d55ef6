"""Formats of a row a line, which a table can be added to in: CSV and JSON Lines."""

import csv
import io
import json
from typing import Any, Final, NamedTuple, Protocol

from app.bulk.asked import Asked
from app.bulk.rows import Row

_PROBABILITY: Final = "probability_"


class Record(NamedTuple):
    """What a row that was written before tells of itself."""

    path: str
    model: str
    version: str
    options: str
    rows_of_file: int
    code: str | None


class LineFormat(Protocol):
    """How a row becomes a line, and is known again. No row has a line break in it."""

    @property
    def header(self) -> str:
        """The line that a file begins with, with its end, or nothing."""
        ...

    def encode(self, row: Row) -> str:
        """Return a row's line, with its end."""
        ...

    def record(self, line: str) -> Record:
        """Read a line.

        Raises:
            ValueError, TypeError, KeyError: it is no row of such a table.
        """
        ...


class JsonLines:
    """One JSON object a line."""

    header = ""

    def encode(self, row: Row) -> str:
        return json.dumps(row, ensure_ascii=False) + "\n"

    def record(self, line: str) -> Record:
        return _record(json.loads(line))


class Csv:
    """One line a row, after a header; a column for the probability of each label.

    Args:
        asked: what the table holds.
    """

    def __init__(self, asked: Asked) -> None:
        self._columns = flat_columns(asked)
        self.header = _csv_line(self._columns)

    def encode(self, row: Row) -> str:
        flat = flattened(row)
        return _csv_line([_cell(flat.get(column)) for column in self._columns])

    def record(self, line: str) -> Record:
        (cells,) = csv.reader([line], strict=True)
        named = zip(self._columns, cells, strict=True)
        return _record({name: cell or None for name, cell in named})


def flat_columns(asked: Asked) -> list[str]:
    """Return the columns of a table that has no maps: one for each label's probability."""
    columns: list[str] = []
    for column in asked.columns:
        if column == "probabilities":
            columns.extend(_PROBABILITY + label for label in asked.labels)
        else:
            columns.append(column)
    return columns


def flattened(row: Row) -> Row:
    """Return a row with a value for each label's probability in place of the map."""
    flat = {name: value for name, value in row.items() if name != "probabilities"}
    for label, probability in (row.get("probabilities") or {}).items():
        flat[_PROBABILITY + label] = probability
    return flat


def nested(row: Row, asked: Asked) -> Row:
    """Return a row with the map of probabilities, as it was before it was flattened."""
    whole = {name: row.get(name) for name in asked.columns}
    if asked.has_probabilities and row["code"] is None:
        whole["probabilities"] = {label: row[_PROBABILITY + label] for label in asked.labels}
    return whole


def _record(row: Row) -> Record:
    return Record(
        path=str(row["path"]),
        model=str(row["model"]),
        version=str(row["version"]),
        options=str(row["options"] or ""),
        rows_of_file=int(row.get("rows_of_file") or 1),
        code=row["code"],
    )


def _csv_line(cells: list[str]) -> str:
    line = io.StringIO()
    csv.writer(line, lineterminator="\n").writerow(cells)
    return line.getvalue()


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bool):
        return "true" if value else "false"
    return repr(value) if isinstance(value, float) else str(value)
