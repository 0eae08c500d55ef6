"""A run in MLflow: its parameters, figures and files are there, and its version can be served.

MLflow's own database, without a server of its own: `mlflow server` is an application of its own.
"""

import shutil
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from app.inference.store import ModelReference, ModelStore
from training import cli
from training.results import CrossValidation
from training.run_record import RunRecord

STORE = Path(__file__).resolve().parents[2] / "model_store"
VERSION = STORE / "esc10" / "1"
# MLflow's, of how it asks its database.
pytestmark = pytest.mark.filterwarnings("ignore::sqlalchemy.exc.SADeprecationWarning")
BEGAN = datetime(2026, 11, 20, 12, tzinfo=UTC)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The folder of the run that made a shipped version, as far as the version tells."""
    made = tmp_path / "run"
    made.mkdir()
    for name in ("metrics.json", "loss.png"):
        shutil.copy(VERSION / name, made)
    record = RunRecord(
        command="hark-train fit logmel-cnn --data DATA --name esc10",
        began=BEGAN,
        seconds=90.0,
        recipe={
            "name": "logmel-cnn",
            "training": {"epochs": 40, "learning_rate": 0.003},
            "model": {"options": {"filters": [16, 32]}},
        },
        dataset="ESC-10",
        licence="CC BY 3.0",
        clips=320,
        library_versions={"keras": "3"},
        model="esc10@1",
    )
    (made / "run.json").write_text(record.model_dump_json())
    return made


@pytest.fixture
def mlflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """MLflow with a database of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{tmp_path}/mlflow.db")
    import mlflow

    # It remembers where it looked first.
    mlflow.set_tracking_uri(f"sqlite:///{tmp_path}/mlflow.db")
    mlflow.set_registry_uri(f"sqlite:///{tmp_path}/mlflow.db")
    yield mlflow
    mlflow.set_tracking_uri("")
    mlflow.set_registry_uri("")


def track(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], *arguments: str
) -> tuple[int, str, str]:
    """Run `hark-train track`, and return its exit status and what it printed."""
    monkeypatch.setattr("sys.argv", ["hark-train", "track", *arguments])
    with pytest.raises(SystemExit) as ended:
        cli.main()
    return int(ended.value.code or 0), *capsys.readouterr()


def test_a_run_is_there_with_all_that_it_tells(
    mlflow: Any, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    status, out, err = track(monkeypatch, capsys, str(folder))
    assert status == 0, err
    client = mlflow.MlflowClient()
    [experiment] = [each for each in client.search_experiments() if each.name == "hark"]
    [run] = client.search_runs([experiment.experiment_id])
    assert run.info.run_id in out
    assert run.info.status == "FINISHED"
    assert run.info.end_time - run.info.start_time == 90_000
    assert run.info.run_name == "logmel-cnn on ESC-10"
    assert run.data.params["training.learning_rate"] == "0.003"
    assert run.data.params["model.options.filters"] == "[16, 32]"
    assert run.data.tags["licence"] == "CC BY 3.0"
    figures = CrossValidation.model_validate_json((folder / "metrics.json").read_bytes())
    assert run.data.metrics["accuracy_mean"] == figures.accuracy_mean
    assert run.data.metrics["fold 2/test_accuracy"] == figures.rounds[1].metrics.accuracy
    curve = client.get_metric_history(run.info.run_id, "fold 1/loss")
    assert [each.step for each in curve] == list(range(1, len(curve) + 1))
    assert [each.value for each in curve] == figures.rounds[0].history["loss"]
    files = {each.path for each in client.list_artifacts(run.info.run_id)}
    assert files == {"metrics.json", "loss.png", "run.json"}


def test_a_registered_version_is_one_for_a_store(
    mlflow: Any,
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for number in (1, 2):  # a name that is there already, and one that is not
        status, out, err = track(
            monkeypatch, capsys, str(folder), "--register", "--store", str(STORE)
        )
        assert status == 0, err
        assert f"esc10@{number}" in out
    fetched = tmp_path / "store" / "esc10" / "1"
    fetched.parent.mkdir(parents=True)
    mlflow.artifacts.download_artifacts("models:/esc10/2", dst_path=str(fetched))
    artifact = ModelStore(tmp_path / "store").open(ModelReference("esc10", 1))
    assert artifact.manifest == ModelStore(STORE).open(ModelReference("esc10", 1)).manifest


def test_what_cannot_be_tracked_is_said(
    folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    status, _, err = track(monkeypatch, capsys, str(tmp_path))
    assert status == 1
    assert "run.json is not there: give a folder that cross-validate --out" in err
    status, _, err = track(
        monkeypatch, capsys, str(folder), "--register", "--store", str(tmp_path / "empty")
    )
    assert status == 1
    assert "esc10" in err
    record = (folder / "run.json").read_text().replace('"esc10@1"', "null")
    (folder / "run.json").write_text(record)
    status, _, err = track(monkeypatch, capsys, str(folder), "--register")
    assert status == 1
    assert "wrote no version" in err


def test_a_server_that_does_not_answer_is_named(
    mlflow: Any, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    mlflow.set_tracking_uri("http://127.0.0.1:9")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    status, _, err = track(monkeypatch, capsys, str(folder))
    assert status == 1
    assert "MLflow at http://127.0.0.1:9 did not take the run" in err
    assert "check MLFLOW_TRACKING_URI" in err
