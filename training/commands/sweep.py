"""`hark-train sweep`."""

import shlex
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from app.progress import show_progress
from app.settings import DEFAULT_MODEL_STORE
from training import tables
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
    Threads,
    load_folds,
)
from training.commands.output import complaints, console, print_unreadable, print_warning, say
from training.commands.surroundings import command_line, compute_on, to_be_resumed, work_places
from training.search_space import read_space


def sweep(
    recipe: RecipeName,
    data: Data,
    search: Annotated[
        list[str],
        typer.Option(
            metavar="FIELD=LOW..HIGH[:log]|FIELD=A,B,C",
            help="A field to search: --search training.learning_rate=1e-4..1e-2:log",
        ),
    ],
    trials: Annotated[int, typer.Option(min=1, help="How many values of them to try, in all.")],
    changes: Changes = None,
    folds: OnlyFolds = None,
    seed: Annotated[int, typer.Option(help="Decides what is proposed.")] = 0,
    batch: Annotated[
        int,
        typer.Option(min=1, help="How many trials are proposed together, and fitted at once."),
    ] = 4,
    split: Split = "auto",
    strict: Strict = False,
    cache: Cache = None,
    out: Annotated[
        Path | None, typer.Option(help="A folder for trials and best.toml; by default in runs.")
    ] = None,
    store: Store = DEFAULT_MODEL_STORE,
    resume: Resume = False,
    ray: Ray = None,
    threads: Threads = None,
) -> None:
    """Search the values of a recipe's fields that do best on validation parts."""
    compute_on(threads)
    space = read_space(search)
    from training import runs
    from training.sweep import Sweep
    from training.sweep_plan import Plan

    plan = Plan(recipe, tuple(changes or ()), space, trials, batch, seed, store)
    searched = plan.check()
    dataset = load_folds(data, folds)
    with to_be_resumed(), work_places(ray, threads) as places, show_progress(complaints) as begin:
        run = runs.prepare(searched, dataset, split, strict, cache, begin, places)
        print_unreadable(run.data.unreadable)
        found = Sweep(plan, run, dataset, out, resume)
        for trial in found.search(strict, split, cache, places, begin):
            line = tables.trial_in_words(trial)
            complaints.print(line, highlight=False, markup=False, soft_wrap=True)
    found.write(command_line())
    console.print(tables.sweep_table(found.trials))
    print_warning(run.folds.warning)
    if importances := found.importances():
        console.print(tables.importance_table(importances))
    best = found.folder / "best.toml"
    honest = tables.optimism_in_words(len(found.trials), shlex.quote(str(best)), data)
    complaints.print(f"[yellow]{escape(honest)}[/yellow]", soft_wrap=True)
    say(f"Best recipe: {best}")
