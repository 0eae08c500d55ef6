"""`hark-train`: from a folder of labelled sounds to a served model version."""

import sys

import typer

from app.errors import HarkError
from app.inference.threads import compute_on_one_thread
from app.ray_cluster import with_address
from training.commands.ablate import ablate
from training.commands.compare import compare
from training.commands.cross_validate import cross_validate
from training.commands.evaluate import evaluate
from training.commands.fit import fit
from training.commands.inspect_data import inspect
from training.commands.output import complain
from training.commands.recipes import recipes
from training.commands.sweep import sweep
from training.commands.track import track
from training.datasets import DatasetError
from training.memory import keep_freed_memory
from training.recipe_error import RecipeError
from training.run_error import RunError
from training.unwritable import shown_if_unwritable

application = typer.Typer(
    help="Train, test and export Hark's models.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
)
for command in (inspect, cross_validate, fit, evaluate, recipes, ablate, sweep, compare, track):
    application.command()(command)


def main() -> None:
    """Run the command line; a foreseen failure is one sentence and exit status 1."""
    compute_on_one_thread()
    keep_freed_memory()
    try:
        _check_arguments(sys.argv[1:])
        application(args=with_address(sys.argv[1:]))
    except (DatasetError, RecipeError, RunError, HarkError) as error:
        complain(str(error))
        sys.exit(1)
    except OSError as error:
        complain(f"{error.filename}: {error.strerror}" if error.filename else str(error))
        sys.exit(1)


def _check_arguments(arguments: list[str]) -> None:
    """Refuse what no manifest could hold, of which the command is a part, before any work."""
    for argument in arguments:
        if (shown := shown_if_unwritable(argument)) is not None:
            raise RunError(f"{shown} is not UTF-8: rename the file or folder")
