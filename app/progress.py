"""How long work tells whoever watches that it goes on."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
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

        def begin(what: str, units: int) -> Advance:
            task = progress.add_task(what, total=units, note="")
            return lambda note: progress.update(task, advance=1, note=note)

        yield begin


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
