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
    print_unreadable,
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
    from training.fit_place import FitPlace
    from training.report.run_report import write_run_report

    began = datetime.now(UTC)
    runs.check_name(name)
    with to_be_resumed(), work_places(ray, threads) as places, show_progress(complaints) as begin:
        dataset = load_folds(data, folds)
        run = runs.prepare(
            load_recipe(recipe, changes or (), store), dataset, split, strict, cache, begin, places
        )
        print_unreadable(run.data.unreadable)  # now, and not after hours
        keep = runs.open_folder(run, out, resume)
        place = FitPlace(begin, keep, tensorboard)
        outcome = runs.cross_validate_run(run, place, places)
        command = command_line()
        reference = runs.fit_and_export(run, outcome.figures, name, store, command, place)
        if out is not None:
            model = str(reference)
            page = write_run_report(out, run, outcome, command, began, begin, model)
    keep.finish()
    print_cross_validation(outcome.figures)
    say(f"Written: {reference} in {store}")
    if out is not None:
        print_report(page)
