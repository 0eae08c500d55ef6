"""`hark-train fit`."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from app.progress import show_progress
from app.settings import DEFAULT_MODEL_STORE
from training.commands.options import (
    Cache,
    Changes,
    Data,
    OnlyFolds,
    Ray,
    RecipeName,
    Resume,
    Split,
    Store,
    Strict,
    TensorBoard,
    Threads,
    load_folds,
)
from training.commands.output import (
    complaints,
    print_cross_validation,
    print_report,
    say,
)
from training.commands.surroundings import (
    check_tensorboard,
    command_line,
    compute_on,
    to_be_resumed,
    work_places,
)
from training.recipe import load_recipe


def fit(
    recipe: RecipeName,
    data: Data,
    name: Annotated[str, typer.Option(help="What the model is called in the store.")],
    changes: Changes = None,
    folds: OnlyFolds = None,
    split: Split = "auto",
    strict: Strict = False,
    cache: Cache = None,
    store: Store = DEFAULT_MODEL_STORE,
    out: Annotated[
        Path | None,
        typer.Option(help="A folder for the report, and for checkpoints meanwhile."),
    ] = None,
    resume: Resume = False,
    tensorboard: TensorBoard = None,
    ray: Ray = None,
    threads: Threads = None,
) -> None:
    """Cross-validate a recipe, fit it on all the data, and write the next version of a model."""
    compute_on(threads)
    check_tensorboard(tensorboard)
    from training import runs
    from training.commands.cross_validated import cross_validated
    from training.report.run_report import write_run_report

    began = datetime.now(UTC)
    runs.check_name(name)
    runs.check_store(store)
    with to_be_resumed(), work_places(ray, threads) as places, show_progress(complaints) as begin:
        dataset, chosen = load_folds(data, folds), load_recipe(recipe, changes or (), store)
        done = cross_validated(
            chosen, dataset, split, strict, cache, out, resume, tensorboard, begin, places
        )
        command = command_line()
        reference = runs.fit_and_export(
            done.run, done.outcome.figures, name, store, command, done.place
        )
        if out is not None:
            model = str(reference)
            page = write_run_report(out, done.run, done.outcome, command, began, begin, model)
    done.keep.finish()
    print_cross_validation(done.outcome.figures)
    say(f"Written: {reference} in {store}")
    if out is not None:
        print_report(page)
