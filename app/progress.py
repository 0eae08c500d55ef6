"""How long work tells whoever watches that it goes on."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TaskID,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

# Called after each unit of a piece of work, with a few words on how it went.
Advance = Callable[[str], None]
# Called as a piece of work begins, with what it is and of how many units.
Begin = Callable[[str, int], Advance]


def silent(_what: str, _units: int) -> Advance:
    """Tell nobody."""
    return lambda _note: None


@contextmanager
def show_progress(console: Console) -> Iterator[Begin]:
    """Show each piece of work while the context lasts: a bar in a terminal, lines in a log."""
    if not console.is_terminal:
        yield _begin_with_lines(console)
        return
    columns = (
        TextColumn("{task.description:<26}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, console=console) as progress:
        yield _Rows(progress).begin


@dataclass(slots=True)
class _Row:
    """A piece of work in the terminal; `holds_others` says that others began before its end."""

    task: TaskID
    units: int
    done: int = 0
    holds_others: bool = False

    @property
    def is_over(self) -> bool:
        """Whether it is over when the next piece of work begins.

        A fit that is stopped early is, though it never comes to its end. Of work that holds others,
        the first of them begins before a unit is done.
        """
        return self.done >= self.units or (self.done > 0 and not self.holds_others)


class _Rows:
    """The rows of a terminal: the work that goes on, and what ended last.

    A row that is over is hidden once the next piece of work begins: a terminal has few rows, and
    those that do not fit would be the last, of the work that goes on.
    """

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._shown: list[_Row] = []

    def begin(self, what: str, units: int) -> Advance:
        """Show a piece of work, as `Begin` says."""
        for row in list(self._shown):
            if row.is_over:
                self._shown.remove(row)
                self._progress.update(row.task, visible=False)
            else:
                row.holds_others = True
        row = _Row(self._progress.add_task(what, total=units, note=""), units)
        self._shown.append(row)
        return lambda note: self._advance(row, note)

    def _advance(self, row: _Row, note: str) -> None:
        row.done += 1
        if row not in self._shown:  # it was not over after all
            row.holds_others = True
            self._shown.append(row)
        self._progress.update(row.task, advance=1, note=note, visible=True)


def _begin_with_lines(console: Console) -> Begin:
    """Write a line at each tenth of a piece of work: a log is read while the work goes on."""

    def begin(what: str, units: int) -> Advance:
        done = 0

        def advance(note: str) -> None:
            nonlocal done
            done += 1
            if done == units or done % max(1, units // 10) == 0:
                console.print(f"{what}: {done} of {units} {note}".rstrip(), highlight=False)

        return advance

    return begin
