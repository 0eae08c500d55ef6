"""`hark classify --out`: files into a table, from where an earlier run left off to the end."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from rich.console import Console

from app.bulk.asked import Asked
from app.bulk.files import AudioFile, Found, find_files
from app.bulk.remote import Place
from app.bulk.rows import Outcome, rows_of
from app.bulk.running import Means, Runner
from app.bulk.table import Table, open_table
from app.bulk.tally import Tally, in_words, say, say_what_stopped
from app.inference.engine import check_engine
from app.progress import show_progress
from app.settings import Settings

INTERRUPTED: Final = 130  # the exit status of a program that Ctrl-C ended, as shells have it


def classify_into_table(
    paths: Sequence[Place],
    recursive: bool,
    out: Path,
    asked: Asked,
    settings: Settings,
    deadline_seconds: float | None,
) -> int:
    """Classify the files that a table has no answers of yet, and add them to it.

    Args:
        paths: files and folders, or URLs of them.
        recursive: whether to look into the folders of folders too.
        out: the table's file.
        asked: what its rows hold.
        settings: the service's, whose limits hold here too.
        deadline_seconds: how long a file may take, where that is not what the settings say.

    Returns:
        The exit status: 1 where files have no answer, 130 where Ctrl-C ended this, otherwise 0.

    Raises:
        BulkError: a path does not exist, or the table cannot be written, or is another one.
        HarkError: the model cannot be loaded.
        OSError: the table cannot be written.
    """
    check_engine(settings.engine)
    found = find_files(paths, recursive=recursive, besides=out)
    table = open_table(out, asked)
    try:
        return _Run(
            found,
            out,
            asked,
            Means.of(settings, deadline_seconds, are_remote=found.are_remote),
            table,
        ).run()
    finally:
        table.close()


class _Run:
    """A run from what a table holds already to its end.

    Args:
        found: all files that the table is to have.
        out: the table's file.
        asked: what its rows hold.
        means: what files are classified with.
        table: the table.
    """

    def __init__(self, found: Found, out: Path, asked: Asked, means: Means, table: Table) -> None:
        self._found = found
        self._out = out
        self._asked = asked
        self._means = means
        self._table = table
        self._tally = Tally()

    def run(self) -> int:
        """Do what is left, say how it went, and return the exit status."""
        files = self._found.files
        done = self._table.resume({file.name for file in files})
        left = [file for file in files if file.name not in done.names]
        failed_before = sum(file.name in done.failed for file in files)
        for sentence in self._found.sentences():
            say(sentence)
        if len(left) < len(files):
            say(f"{in_words(len(files) - len(left))} of {len(files)} in {self._out} already.")
        try:
            if left:
                asyncio.run(self._classify(left))
            self._table.finish()
        except KeyboardInterrupt:
            say_what_stopped(len(files) - len(left) + self._tally.n_done, len(files))
            return INTERRUPTED
        self._tally.sum_up(self._out, failed_before)
        return 1 if self._tally.failed or failed_before or self._found.unreadable else 0

    async def _classify(self, files: Sequence[AudioFile]) -> None:
        async with Runner.started(self._means, self._asked) as runner:
            self._tally.start()
            with show_progress(Console(stderr=True)) as begin:
                advance = begin("classifying", len(files))

                def write(file: AudioFile, outcome: Outcome) -> None:
                    self._table.append(rows_of(self._asked, file.name, outcome))
                    self._tally.count(outcome)
                    advance(self._tally.note)

                await runner.run(files, write)
