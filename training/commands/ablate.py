"""`hark-train ablate`."""

from pathlib import Path
from typing import Annotated

import typer

from app.progress import show_progress
from app.settings import DEFAULT_MODEL_STORE
from training import tables
from training.commands.options import (
    Cache,
    Changes,
    Data,
    OnlyFolds,
    RecipeName,
    Split,
    Store,
    Strict,
    load_folds,
)
from training.commands.output import (
    complaints,
    console,
    print_unreadable,
    print_warning,
    say,
)
from training.commands.surroundings import to_be_resumed
from training.recipe import load_recipe
from training.written_whole import write_whole


def ablate(
    recipe: RecipeName,
    data: Data,
    changes: Changes = None,
    epochs: Annotated[
        int | None,
        typer.Option(min=1, help="Fit for so many epochs at most; the recipe's if none."),
    ] = None,
    folds: OnlyFolds = None,
    leave_one_out: Annotated[
        bool, typer.Option("--leave-one-out", help="Also with all changes but each.")
    ] = False,
    by_label: Annotated[
        bool, typer.Option("--by-label", help="Also what each change gives each label.")
    ] = False,
    split: Split = "auto",
    strict: Strict = False,
    cache: Cache = None,
    store: Store = DEFAULT_MODEL_STORE,
    out: Annotated[
        Path | None, typer.Option(help="A JSON file, written anew as each result comes.")
    ] = None,
) -> None:
    """Tell what each change of a recipe's augmentation gives, alone and with the others.

    Interrupted, it goes on where it was.
    """
    from training import ablation

    taken_apart = ablation.shortened(load_recipe(recipe, changes or (), store), epochs)
    dataset = load_folds(data, folds)
    if out is not None:
        out.parent.mkdir(parents=True, exist_ok=True)
    arms: list[ablation.Arm] = []
    with to_be_resumed(option=None), show_progress(complaints) as begin:
        run = ablation.prepare(taken_apart, dataset, split, strict, cache, begin)
        print_unreadable(run.data.unreadable)
        for arm in ablation.ablate(run, cache, begin, leave_one_out=leave_one_out):
            arms.append(arm)
            if out is not None:
                write_whole(out, ablation.ablation_json(taken_apart, dataset.name, arms))
    console.print(tables.ablation_table(arms))
    print_warning(run.folds.warning)
    if by_label:
        console.print(tables.ablation_by_label_table(arms))
    if out is not None:
        say(f"Results: {out}")
