"""`hark-train evaluate`."""

from typing import Annotated

import typer

from app.progress import show_progress
from app.settings import DEFAULT_MODEL_STORE
from training.commands.options import Data, OnlyFolds, Store, load_folds
from training.commands.output import complaints, console, print_metrics, print_unreadable


def evaluate(
    model: Annotated[str, typer.Argument(metavar="NAME[@VERSION]")],
    data: Data,
    folds: OnlyFolds = None,
    store: Store = DEFAULT_MODEL_STORE,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Test a version of the store on labelled files."""
    from training import runs

    dataset = load_folds(data, folds)
    with show_progress(complaints) as begin:
        result = runs.evaluate_version(model, dataset, store, begin)
    if result.trained_on_these:
        complaints.print(
            "[yellow]These clips were among those that the model, or one that it began as, was "
            "fitted on: the figures flatter it. Its MODEL_CARD.md has those of its "
            "cross-validation.[/yellow]"
        )
    print_unreadable(result.unreadable)
    if as_json:
        console.print_json(result.metrics.model_dump_json())
    else:
        print_metrics(result.metrics)
