"""Tables as other programs read them, all cells as text, so that formats can be compared."""

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pyarrow.parquet import read_table

TextRow = dict[str, str]


def rows_in(table: Path, labels: Sequence[str]) -> list[TextRow]:
    """Read a table's rows in their order, with a column for each label's probability."""
    if table.suffix == ".csv":
        with table.open(newline="") as file:
            return list(csv.DictReader(file))
    if table.suffix == ".parquet":
        return [_as_text(row) for row in read_table(table).to_pylist()]
    lines = table.read_text().splitlines()
    return [_as_text(_flat(json.loads(line), labels)) for line in lines]


def _flat(row: dict[str, Any], labels: Sequence[str]) -> dict[str, Any]:
    if "probabilities" not in row:
        return row
    told = row.pop("probabilities") or dict.fromkeys(labels)
    assert list(told) == list(labels)
    return row | {f"probability_{label}": told[label] for label in labels}


def _as_text(row: dict[str, Any]) -> TextRow:
    return {name: _cell(value) for name, value in row.items()}


def _cell(value: object) -> str:
    if value is None:
        return ""
    return str(value).lower() if isinstance(value, bool) else str(value)
