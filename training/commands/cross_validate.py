"""`hark-train cross-validate`."""

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
    print_metrics,
    print_report,
)
from training.commands.surroundings import (
    check_tensorboard,
    command_line,
    compute_on,
    to_be_resumed,
    work_places,
)
from training.recipe import load_recipe


def cross_validate(
    recipe: RecipeName,
    data: Data,
    changes: Changes = None,
    folds: OnlyFolds = None,
    split: Split = "auto",
    strict: Strict = False,
    cache: Cache = None,
    out: Annotated[
        Path | None,
        typer.Option(help="A folder for the report, metrics and plots; none by default."),
    ] = None,
    store: Store = DEFAULT_MODEL_STORE,
    resume: Resume = False,
    tensorboard: TensorBoard = None,
    ray: Ray = None,
    threads: Threads = None,
) -> None:
    """Tell how well a recipe does on data that it was not fitted on."""
    compute_on(threads)
    check_tensorboard(tensorboard)
    from training.commands.cross_validated import cross_validated
    from training.report.run_report import write_run_report

    began = datetime.now(UTC)
    with to_be_resumed(), work_places(ray, threads) as places, show_progress(complaints) as begin:
        dataset, chosen = load_folds(data, folds), load_recipe(recipe, changes or (), store)
        done = cross_validated(
            chosen, dataset, split, strict, cache, out, resume, tensorboard, begin, places
        )
        if out is not None:
            page = write_run_report(out, done.run, done.outcome, command_line(), began, begin)
    print_cross_validation(done.outcome.figures)
    print_metrics(done.outcome.figures.together)
    if out is not None:
        print_report(page)
    done.keep.finish()
