"""A run's folder into MLflow: what it was made of, its figures and files; its version registered.

MLflow finds its server where MLFLOW_TRACKING_URI says, by default in a database in this folder.
"""

import importlib.util
import json
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any, Final

from pydantic import ValidationError

from app.errors import first_line
from app.inference.artifact import METRICS_FILE, licences_of_all
from app.inference.store import ModelStore
from training.results import CrossValidation
from training.run_error import RunError
from training.run_record import RUN_FILE, RunRecord
from training.versions import find_version

_ARTIFACT: Final = "model"  # where a run holds its version's files
_MAX_METRICS: Final = 1000  # of one request, as MLflow has it
_MAX_PARAMS: Final = 100


@dataclass(frozen=True, slots=True)
class Tracked:
    """Where a run is in MLflow.

    Attributes:
        server: the tracking URI.
        experiment: the experiment's name.
        run_id: the run's identifier.
        registered: the registered version, as name@version in MLflow's numbers; None for none.
    """

    server: str
    experiment: str
    run_id: str
    registered: str | None


def track(folder: Path, experiment: str, store: Path, register: bool) -> Tracked:
    """Log a run's folder as a run of MLflow.

    Args:
        folder: what `cross-validate --out` or `fit --out` wrote.
        experiment: the experiment's name; it is made where there is none.
        store: where the version is that the run wrote.
        register: register that version as one of MLflow's model of the same name, with its files.

    Raises:
        RunError: MLflow is not installed, or refuses or does not answer; or the folder is no run's,
            or wrote no version that could be registered.
        ModelError: the version is no longer in the store.
    """
    record, figures = _read(folder)
    version = _version_of(record, store) if register else None
    mlflow = _mlflow()
    try:
        client = mlflow.MlflowClient()
        run_id = _log(mlflow, client, experiment, folder, record, figures)
        registered = None
        if version is not None:
            client.log_artifacts(run_id, str(version), _ARTIFACT)
            registered = _register(mlflow, client, run_id, record)
        ended = record.began.timestamp() + record.seconds
        client.set_terminated(run_id, end_time=round(ended * 1000))
    except mlflow.exceptions.MlflowException as error:
        raise RunError(
            f"MLflow at {mlflow.get_tracking_uri()} did not take the run ({first_line(error)}): "
            "check MLFLOW_TRACKING_URI"
        ) from error
    return Tracked(mlflow.get_tracking_uri(), experiment, run_id, registered)


def _read(folder: Path) -> tuple[RunRecord, CrossValidation]:
    try:
        return (
            RunRecord.model_validate_json((folder / RUN_FILE).read_bytes()),
            CrossValidation.model_validate_json((folder / METRICS_FILE).read_bytes()),
        )
    except FileNotFoundError as error:
        raise RunError(
            f"{error.filename} is not there: give a folder that cross-validate --out or fit --out "
            "wrote"
        ) from error
    except ValidationError as error:
        raise RunError(
            f"{folder} holds no run that this release reads: run the cross-validation again"
        ) from error


def _version_of(record: RunRecord, store: Path) -> Path:
    if record.model is None:
        raise RunError("the run wrote no version that could be registered: fit does, by --name")
    models = ModelStore(store)
    return models.folder(find_version(models, record.model))


def _mlflow() -> ModuleType:
    """Import MLflow, which reads the environment as it is imported."""
    if importlib.util.find_spec("mlflow") is None:
        raise RunError("MLflow is not installed: pip install 'hark[mlflow]'")
    os.environ["MLFLOW_DISABLE_TELEMETRY"] = "true"  # no request to its makers
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "2")  # seconds, and not minutes
    import mlflow

    return mlflow


def _log(
    mlflow: ModuleType,
    client: Any,
    experiment: str,
    folder: Path,
    record: RunRecord,
    figures: CrossValidation,
) -> str:
    """Make a run of all that a folder tells, and return its identifier."""
    found = client.get_experiment_by_name(experiment)
    run = client.create_run(
        found.experiment_id if found is not None else client.create_experiment(experiment),
        start_time=round(record.began.timestamp() * 1000),
        run_name=f"{record.recipe['name']} on {record.dataset}",
        tags={
            "mlflow.note.content": ". ".join(filter(None, (figures.protocol, figures.warning))),
            "dataset": record.dataset,
            "licence": "; ".join(licences_of_all(record.licence, record.earlier)),
            "command": record.command,
            **({} if record.model is None else {"model": record.model}),
        },
    )
    run_id: str = run.info.run_id
    fields = [mlflow.entities.Param(*each) for each in _flat(record.recipe)]
    for start in range(0, len(fields), _MAX_PARAMS):
        client.log_batch(run_id, params=fields[start : start + _MAX_PARAMS])
    began = round(record.began.timestamp() * 1000)
    metrics = [
        mlflow.entities.Metric(name, value, began, step) for name, value, step in _metrics(figures)
    ]
    for start in range(0, len(metrics), _MAX_METRICS):
        client.log_batch(run_id, metrics=metrics[start : start + _MAX_METRICS])
    for path in sorted(folder.iterdir()):
        if path.is_file():
            client.log_artifact(run_id, str(path))
    return run_id


def _metrics(figures: CrossValidation) -> Iterator[tuple[str, float, int]]:
    """Yield all figures by name, with the epoch that those of curves are of."""
    for name, value in figures.figures.items():
        yield name, value, 0
    for result in figures.rounds:
        # What MLflow allows in a name; a group of clips may be called anything.
        fold = re.sub(r"[^\w. -]", "_", f"fold {result.test}")
        yield f"{fold}/test_accuracy", result.metrics.accuracy, result.epochs
        yield f"{fold}/test_macro_f1", result.metrics.macro_f1, result.epochs
        for name, values in result.history.items():
            for epoch, value in enumerate(values, start=1):
                yield f"{fold}/{name}", value, epoch


def _flat(fields: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Yield the fields of tables in tables, named as `--set` names them."""
    for name, value in fields.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value if isinstance(value, str) else json.dumps(value)


def _register(mlflow: ModuleType, client: Any, run_id: str, record: RunRecord) -> str:
    assert record.model is not None
    name = record.model.partition("@")[0]
    try:
        client.create_registered_model(name)
    except mlflow.exceptions.MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
    source = f"{client.get_run(run_id).info.artifact_uri}/{_ARTIFACT}"
    version = client.create_model_version(
        name, source, run_id, description=f"Hark's {record.model}"
    )
    return f"{name}@{version.version}"
