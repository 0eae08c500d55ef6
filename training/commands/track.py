"""`hark-train track`."""

from pathlib import Path
from typing import Annotated

import typer

from app.settings import DEFAULT_MODEL_STORE
from training.commands.options import Store
from training.commands.output import say


def track(
    run: Annotated[
        Path, typer.Argument(help="A folder that cross-validate or fit wrote, by --out.")
    ],
    experiment: Annotated[str, typer.Option(help="MLflow's experiment.")] = "hark",
    register: Annotated[
        bool, typer.Option("--register", help="Register the version that fit wrote, too.")
    ] = False,
    store: Store = DEFAULT_MODEL_STORE,
) -> None:
    """Log a run to MLflow, whose server MLFLOW_TRACKING_URI names."""
    from training import tracking

    tracked = tracking.track(run, experiment, store, register)
    where = f"run {tracked.run_id} of experiment {tracked.experiment} at {tracked.server}"
    say(f"Logged: {where}")
    if tracked.registered is not None:
        say(f"Registered: {tracked.registered}")
