"""`hark-train compare`."""

from typing import Annotated

import typer

from app.settings import DEFAULT_MODEL_STORE
from training import tables
from training.commands.options import Store
from training.commands.output import console, print_warning, say
from training.recipe_error import RecipeError


def compare(
    runs: Annotated[
        list[str],
        typer.Argument(metavar="A B ...", help="Folders that cross-validate wrote, or versions."),
    ],
    store: Store = DEFAULT_MODEL_STORE,
) -> None:
    """Tell which of several runs over the same folds did better, and whether it may be chance."""
    from training import comparison

    if len(runs) < 2:
        raise RecipeError("two runs or more are needed for a comparison")
    named = [comparison.load_run(name, store) for name in runs]
    comparison.check_comparable(named)
    first, *others = named
    tests = [comparison.paired_test(first.result, other.result) for other in others]
    console.print(tables.comparison_table(named, tests))
    for warning in dict.fromkeys(run.result.warning for run in named):
        print_warning(warning)
    for other, test in zip(others, tests, strict=True):
        say(tables.comparison_in_words(first, other, test))
