"""How a run goes: what is counted while it lasts, and told when it ends."""

import math
import sys
import time
from collections import Counter

from app.bulk.rows import Failure, Outcome


class Tally:
    """What a run has done so far."""

    def __init__(self) -> None:
        self.classified = 0
        self.failed: Counter[str] = Counter()
        self._audio_seconds = 0.0
        self._started = math.inf

    @property
    def n_done(self) -> int:
        """How many files have a row now."""
        return self.classified + self.failed.total()

    @property
    def note(self) -> str:
        """A few words on how it goes."""
        failed = self.failed.total()
        return f"{failed} failed" if failed else ""

    def start(self) -> None:
        """Begin to count the time: those who do the work are ready."""
        self._started = time.monotonic()

    def count(self, outcome: Outcome) -> None:
        """Count a file."""
        if isinstance(outcome, Failure):
            self.failed[outcome.code] += 1
        else:
            self.add(1, outcome.duration_seconds)

    def add(self, classified: int, audio_seconds: float) -> None:
        """Count files that have an answer, and the seconds of audio in them."""
        self.classified += classified
        self._audio_seconds += audio_seconds

    def sum_up(self, out: object, failed_before: int) -> None:
        """Say how it went.

        Args:
            out: the table.
            failed_before: how many of its files failed in an earlier run.
        """
        before = f", {failed_before} failed before" if failed_before else ""
        if self._started == math.inf:
            say(f"Nothing is left to do{before}.")
            return
        failed = f"{self.failed.total()} failed"
        if self.failed:
            codes = ", ".join(f"{count} {code}" for code, count in self.failed.most_common())
            failed = f"{failed} ({codes})"
        seconds, audio = time.monotonic() - self._started, self._audio_seconds
        say(
            f"{self.classified} classified, {failed}{before}: {audio:.0f} seconds of audio in "
            f"{seconds:.1f} s, {audio / seconds:.0f} a second. {out} is whole."
        )


def in_words(files: int) -> str:
    """Return a number of files in words."""
    return "1 file" if files == 1 else f"{files} files"


def say_what_stopped(n_done: int, n_files: int) -> None:
    """Say how far a run came that Ctrl-C ended."""
    say(
        f"Stopped. {in_words(n_done)} of {n_files} done, and kept: run the same command again to "
        "go on."
    )


def say(sentence: str) -> None:
    """Tell the person, on standard error."""
    print(sentence, file=sys.stderr)
