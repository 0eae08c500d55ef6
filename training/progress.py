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
def progress_bars(console: Console) -> Iterator[Begin]:
    """Draw a bar for each piece of work, while the context lasts."""
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
