"""`hark classify --out`: files into a table, from where an earlier run left off to the end."""

import asyncio
import math
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from rich.console import Console

from app.bulk.asked import Asked
from app.bulk.files import AudioFile, Found, find_files
from app.bulk.rows import Failure, Outcome, rows_of
from app.bulk.running import Means, Runner
from app.bulk.table import Table, open_table
from app.inference.engine import check_engine
from app.progress import show_progress
from app.settings import Settings

INTERRUPTED: Final = 130  # the exit status of a program that Ctrl-C ended, as shells have it


def classify_into_table(
    paths: Sequence[Path],
    recursive: bool,
    out: Path,
    asked: Asked,
    settings: Settings,
    deadline_seconds: float | None,
) -> int:
    """Classify the files that a table has no answers of yet, and add them to it.

    Args:
        paths: files and folders.
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
        return _Run(found, out, asked, Means.of(settings, deadline_seconds), table).run()
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
        self._classified = 0
        self._failed: Counter[str] = Counter()
        self._audio_seconds = 0.0
        self._started = math.inf

    def run(self) -> int:
        """Do what is left, say how it went, and return the exit status."""
        files = self._found.files
        done = self._table.resume({file.name for file in files})
        left = [file for file in files if file.name not in done.names]
        failed_before = sum(file.name in done.failed for file in files)
        for sentence in self._found.sentences():
            _say(sentence)
        if len(left) < len(files):
            _say(f"{_count(len(files) - len(left))} of {len(files)} in {self._out} already.")
        try:
            if left:
                asyncio.run(self._classify(left))
            self._table.finish()
        except KeyboardInterrupt:
            n_done = len(files) - len(left) + self._classified + self._failed.total()
            _say(
                f"Stopped. {_count(n_done)} of {len(files)} done, and kept: run the same command "
                "again to go on."
            )
            return INTERRUPTED
        self._sum_up(failed_before)
        return 1 if self._failed or failed_before or self._found.unreadable else 0

    async def _classify(self, files: Sequence[AudioFile]) -> None:
        async with Runner.started(self._means, self._asked) as runner:
            self._started = time.monotonic()
            with show_progress(Console(stderr=True)) as begin:
                advance = begin("classifying", len(files))

                def write(file: AudioFile, outcome: Outcome) -> None:
                    self._table.append(rows_of(self._asked, file.name, outcome))
                    self._count(outcome)
                    failed = self._failed.total()
                    advance(f"{failed} failed" if failed else "")

                await runner.run(files, write)

    def _count(self, outcome: Outcome) -> None:
        if isinstance(outcome, Failure):
            self._failed[outcome.code] += 1
        else:
            self._classified += 1
            self._audio_seconds += outcome.duration_seconds

    def _sum_up(self, failed_before: int) -> None:
        before = f", {failed_before} failed before" if failed_before else ""
        if self._started == math.inf:
            _say(f"Nothing is left to do{before}.")
            return
        failed = f"{self._failed.total()} failed"
        if self._failed:
            codes = ", ".join(f"{count} {code}" for code, count in self._failed.most_common())
            failed = f"{failed} ({codes})"
        seconds, audio = time.monotonic() - self._started, self._audio_seconds
        _say(
            f"{self._classified} classified, {failed}{before}: {audio:.0f} seconds of audio in "
            f"{seconds:.1f} s, {audio / seconds:.0f} a second. {self._out} is whole."
        )


def _count(files: int) -> str:
    return "1 file" if files == 1 else f"{files} files"


def _say(sentence: str) -> None:
    print(sentence, file=sys.stderr)
