"""`hark-train inspect`."""

from pathlib import Path
from typing import Annotated

import typer

from app.progress import show_progress
from training import tables
from training.commands.output import complaints, console, say
from training.datasets import load_dataset


def inspect(
    dataset: Annotated[Path, typer.Argument(help="A folder in a known layout, or a CSV.")],
    out: Annotated[Path, typer.Option(help="Where the picture goes.")] = Path("audit.png"),
) -> None:
    """Show what a data set holds: labels, folds, sample rates, channels, encodings, durations."""
    from training.audit import audit, audit_figure
    from training.png import save_png

    data = load_dataset(dataset)
    with show_progress(complaints) as begin:
        result = audit(data, begin("reading headers", len(data.clips)))
    console.print(tables.label_table(result))
    console.print(tables.distribution_table(result))
    if result.unreadable:
        console.print(tables.unreadable_table(result.unreadable))
    if result.oddities():
        console.print(tables.oddity_table(result.oddities()))
    save_png(audit_figure(result), out)
    say(f"Picture: {out}")
