"""A table in partitions: a folder of Parquet files, each of them whole, final and gone on beside.

A partition is written under a hidden name and gets its own in one step, so that whoever reads the
folder finds all rows of a partition or none. Its name comes from the files that it is of, so that
two who write the same one write the same. Other programs read the folder as one table.
"""

from __future__ import annotations

import hashlib
import io
import os
import secrets
from collections.abc import Collection, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from app.bulk.asked import Asked
from app.bulk.errors import BulkError
from app.bulk.line_formats import flattened
from app.bulk.parquet_table import parquet_schema
from app.bulk.remote import Place, Remote
from app.bulk.rows import Row, is_tried_again

_BEGINNING: Final = "part-"
_ENDING: Final = ".parquet"
_UNFINISHED: Final = ".unfinished-"
_AT_A_TIME: Final = 16  # partitions that are read at the same time: an object store is far away


@dataclass(slots=True)
class Kept:
    """What the partitions hold from before.

    Attributes:
        names: the files whose rows are there, and stay.
        failed: those of them that have no answer.
        again: for each partition that has some, the files that are to be tried again.
    """

    names: set[str] = field(default_factory=set)
    failed: set[str] = field(default_factory=set)
    again: dict[str, list[str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Partitions:
    """The folder, wherever it is; the same object on every node.

    Args:
        folder: a path that every node has, or a URL.
        asked: what the rows hold.
    """

    folder: Place
    asked: Asked

    def resume(self) -> Kept:
        """Make ready to write, and return what is there.

        Raises:
            BulkError: pyarrow or fsspec is not installed, or the folder is no such table, or one of
                another model or other options.
            OSError: it cannot be made or read.
        """
        if find_spec("pyarrow") is None or find_spec("fsspec") is None:
            raise BulkError("Parquet in partitions needs pyarrow and fsspec: install hark[ray].")
        file_system, root = self._place()
        if file_system.isfile(root):
            raise BulkError(f"{self.folder} is a file, and a folder is needed: name another --out.")
        file_system.makedirs(root, exist_ok=True)
        kept = Kept()
        names = self._names(file_system, root)
        with ThreadPoolExecutor(_AT_A_TIME) as pool:
            for name, rows in zip(names, pool.map(self._records, names), strict=True):
                self._note(kept, name, rows)
        return kept

    def name(self, index: int, files: Iterable[str]) -> str:
        """Return the name of the partition of some files.

        Args:
            index: its place among all, so that names are in the order of the rows.
            files: their names.
        """
        told = "\0".join((str(self.asked.model), self.asked.options, self.asked.kind, *files))
        digest = hashlib.sha256(told.encode()).hexdigest()
        return f"{_BEGINNING}{index:06}-{digest[:16]}{_ENDING}"

    def write(self, name: str, rows: Sequence[Row], besides: Collection[str] | None = None) -> None:
        """Write a partition, whole or not at all.

        Args:
            name: the partition's.
            rows: its rows.
            besides: where the partition is there already: the files whose rows go, in its place
                come `rows`. None where it is new.

        Raises:
            OSError: it cannot be written.
        """
        import pyarrow
        from pyarrow.parquet import write_table

        schema = parquet_schema(self.asked)
        table = pyarrow.Table.from_pylist([flattened(row) for row in rows], schema)
        if besides is not None:
            before = self.read(name)
            stay = [path not in besides for path in before["path"].to_pylist()]
            table = pyarrow.concat_tables([before.filter(pyarrow.array(stay)), table])
            table = table.take(_in_order_of_paths(table["path"].to_pylist()))
        content = io.BytesIO()
        write_table(table, content)
        file_system, root = self._place()
        unfinished = f"{root}/{_UNFINISHED}{secrets.token_hex(8)}"
        if isinstance(self.folder, Path):
            with Path(unfinished).open("wb") as file:
                file.write(content.getbuffer())
                file.flush()
                os.fsync(file.fileno())
            Path(unfinished).replace(f"{root}/{name}")
        else:
            file_system.pipe_file(unfinished, content.getvalue())
            file_system.mv(unfinished, f"{root}/{name}")

    def read(self, name: str) -> Any:
        """Return the table that a partition is.

        Raises:
            BulkError: it is none.
            OSError: it cannot be read.
        """
        import pyarrow
        from pyarrow.parquet import read_table

        file_system, root = self._place()
        try:
            return read_table(io.BytesIO(file_system.cat_file(f"{root}/{name}")))
        except pyarrow.ArrowException as error:
            raise BulkError(
                f"{self.folder}/{name} is no whole Parquet file. Remove it, or choose another "
                "folder with --out."
            ) from error

    def clear(self) -> None:
        """Take away what nodes that died left unfinished. Nobody may write meanwhile.

        Raises:
            OSError: the folder cannot be changed.
        """
        file_system, root = self._place()
        for path in file_system.find(root, maxdepth=1):
            if str(path).rpartition("/")[2].startswith(_UNFINISHED):
                file_system.rm_file(path)

    def _place(self) -> tuple[Any, str]:
        if isinstance(self.folder, Remote):
            file_system, root = self.folder.file_system()
            return file_system, root.rstrip("/")
        import fsspec

        return fsspec.filesystem("file"), str(self.folder)

    def _names(self, file_system: Any, root: str) -> list[str]:
        """Return the names of all partitions in order.

        Raises:
            BulkError: there are other files too, which readers would take for partitions.
        """
        names = [str(path).rpartition("/")[2] for path in file_system.find(root, maxdepth=1)]
        shown = sorted(name for name in names if not name.startswith("."))
        for name in shown:
            if not (name.startswith(_BEGINNING) and name.endswith(_ENDING)):
                raise BulkError(
                    f"{self.folder} has other files in it, as {name}. Name a folder of its own "
                    "with --out."
                )
        return shown

    def _records(self, name: str) -> list[Row]:
        """Return what the rows of a partition tell of themselves.

        Raises:
            BulkError: it is of another model, or of other options.
        """
        table = self.read(name)
        if table.schema.names != parquet_schema(self.asked).names:
            raise self._of_something_else(
                "with other columns than", "the model and the options (--windows, --events, "
                "--labels) of before"
            )  # fmt: skip
        rows: list[Row] = table.select(["path", "model", "version", "options", "code"]).to_pylist()
        before = {(row["model"], row["version"], row["options"]) for row in rows}
        model = self.asked.model
        if before - {(model.name, model.version, self.asked.options)}:
            raise self._of_something_else(
                "of another version or with other options than", "those of before"
            )
        return rows

    def _of_something_else(self, what: str, choice: str) -> BulkError:
        return BulkError(
            f"{self.folder} holds answers {what} are asked for now. Choose another folder with "
            f"--out, or {choice}."
        )

    @staticmethod
    def _note(kept: Kept, name: str, rows: Sequence[Row]) -> None:
        again = {row["path"] for row in rows if row["code"] and is_tried_again(row["code"])}
        if again:
            kept.again[name] = sorted(again)
        kept.names |= {row["path"] for row in rows}
        kept.failed |= {row["path"] for row in rows if row["code"]}


def _in_order_of_paths(paths: Sequence[str]) -> list[int]:
    """Return the rows' order by path, in which the rows of one file stay as they are."""
    return sorted(range(len(paths)), key=paths.__getitem__)
