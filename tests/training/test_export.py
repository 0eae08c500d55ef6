"""Export: a version is in the store whole, or nothing of it is."""

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.audio.frontend import FrontEnd
from app.errors import ArtifactError
from app.inference.artifact import Calibration, TrainingRecord
from app.inference.classifier import Classifier
from app.inference.engine import ENGINES
from app.inference.store import ModelReference, ModelStore
from app.inference.tensorflow_import import import_tensorflow
from tests.tiny_model import LABELS, SAVING_WARNS, TinyModel, sound, wav
from training.export import Export, export

pytestmark = SAVING_WARNS

WriteReports = Callable[[Path, ModelReference], None]


def write_a_report(folder: Path, reference: ModelReference) -> None:
    (folder / "report.txt").write_text(f"this is {reference}")


@pytest.fixture(scope="module")
def model(tiny: TinyModel) -> Any:
    """The tiny model, as fitting would return it."""
    import_tensorflow()
    import keras

    return keras.saving.load_model(tiny.version / "model.keras")


@pytest.fixture
def content(tiny: TinyModel, model: Any) -> Callable[..., Export]:
    """Makes what can be exported, with one thing or another changed."""
    manifest = tiny.open().manifest

    def with_changes(
        labels: tuple[str, ...] = LABELS,
        write_reports: WriteReports = write_a_report,
        calibration: Calibration | None = manifest.calibration,
    ) -> Export:
        return Export(
            model=model,
            front_end=FrontEnd.build(manifest.front_end_spec),
            labels=list(labels),
            examples=np.random.default_rng(0)
            .normal(scale=30, size=(8, *manifest.front_end_spec.feature_shape))
            .astype(np.float32),
            calibration=calibration,
            training=manifest.training,
            metrics={"accuracy_mean": 0.5},
            write_reports=write_reports,
        )

    return with_changes


def everything_in(store: ModelStore) -> list[str]:
    return sorted(str(path.relative_to(store.root)) for path in store.root.rglob("*"))


def test_a_version_is_written_whole(
    tiny: TinyModel, tmp_path: Path, content: Callable[..., Export]
) -> None:
    store = ModelStore(tmp_path)
    reference = export(store, "copy", content())
    assert reference == ModelReference("copy", 1)
    assert everything_in(store) == [
        "copy", "copy/1", "copy/1/front_end.npz", "copy/1/manifest.json", "copy/1/model.keras",
        "copy/1/model.onnx", "copy/1/report.txt",
    ]  # fmt: skip
    assert (tmp_path / "copy" / "1" / "report.txt").read_text() == "this is copy@1"
    artifact = store.open(reference)
    assert isinstance(artifact.manifest.training, TrainingRecord)
    clip = wav(sound("noise", seed=900, seconds=2.5))
    original = Classifier.load(tiny.open()).classify(clip)
    for engine in ENGINES:
        answer = Classifier.load(artifact, engine).classify(clip)
        assert answer.probabilities == pytest.approx(original.probabilities, abs=1e-6)


def test_a_calibration_is_written_and_the_probe_recorded_with_it(
    tmp_path: Path, content: Callable[..., Export]
) -> None:
    """And both engines answer that probe, or there would be no version."""
    store = ModelStore(tmp_path)
    calibration = Calibration(temperature=8.0, uncertain_below=0.25)
    plain, calibrated = (
        store.open(export(store, name, content(calibration=given))).manifest
        for name, given in (("plain", None), ("calibrated", calibration))
    )
    assert (plain.calibration, calibrated.calibration) == (None, calibration)
    assert max(calibrated.probe.probabilities) < max(plain.probe.probabilities) - 0.1


def test_the_next_version_takes_the_next_number(
    tmp_path: Path, content: Callable[..., Export]
) -> None:
    store = ModelStore(tmp_path)
    (tmp_path / "model" / "7").mkdir(parents=True)
    (tmp_path / "model" / "11.broken").mkdir()
    assert export(store, "model", content()).version == 8
    assert export(store, "model", content()).version == 9
    assert export(store, "other", content()).version == 1
    assert store.names() == ["model", "other"]


def run_out_of_space(_folder: Path, _reference: ModelReference) -> None:
    raise OSError(28, "No space left on device")


def damage_the_model(folder: Path, _reference: ModelReference) -> None:
    (folder / "model.keras").write_bytes(b"damaged on its way to the disk")


def damage_the_front_end(folder: Path, _reference: ModelReference) -> None:
    np.savez(folder / "front_end.npz", window=np.zeros(7))


FAILURES: dict[str, dict[str, Any]] = {
    "a label too few": {"labels": LABELS[:-1]},
    "a label too many": {"labels": (*LABELS, "silence")},
    "a label twice": {"labels": ("noise", "noise", "tone")},
    "no space": {"write_reports": run_out_of_space},
    "a damaged model": {"write_reports": damage_the_model},
    "a damaged front end": {"write_reports": damage_the_front_end},
}


@pytest.mark.parametrize("changes", FAILURES.values(), ids=FAILURES)
def test_an_export_that_fails_leaves_nothing(
    tmp_path: Path, content: Callable[..., Export], changes: dict[str, Any]
) -> None:
    store = ModelStore(tmp_path)
    with pytest.raises((ArtifactError, ValueError, OSError)):
        export(store, "model", content(**changes))
    assert everything_in(store) == []


def test_an_export_that_fails_leaves_what_was_there(
    tmp_path: Path, content: Callable[..., Export]
) -> None:
    store = ModelStore(tmp_path)
    export(store, "model", content())
    before = everything_in(store)
    with pytest.raises((ArtifactError, ValueError)):
        export(store, "model", content(labels=LABELS[:-1]))
    assert everything_in(store) == before
    assert store.open(store.resolve("model")).manifest.version == 1


@pytest.mark.parametrize("name", ["../outside", "..", "a/b", "", ".hidden", "Capital"])
def test_a_name_that_is_none_leaves_nothing_anywhere(
    tmp_path: Path, content: Callable[..., Export], name: str
) -> None:
    store = ModelStore(tmp_path / "store")
    store.root.mkdir()
    with pytest.raises((ArtifactError, ValueError)):
        export(store, name, content())
    assert [path.name for path in tmp_path.rglob("*")] == ["store"]


def test_an_export_in_progress_is_neither_listed_nor_served(
    tmp_path: Path, content: Callable[..., Export]
) -> None:
    store = ModelStore(tmp_path)
    seen: list[list[str]] = []
    export(store, "model", content(write_reports=lambda *_: seen.append(store.names())))
    assert seen == [[]]


def test_exports_at_the_same_time_do_not_corrupt_each_other(
    tmp_path: Path, content: Callable[..., Export]
) -> None:
    """One begins and ends while the other is at work, so that both take the same number."""
    store = ModelStore(tmp_path)

    def export_another(folder: Path, reference: ModelReference) -> None:
        if not store.names():
            export(store, "model", content())
        (folder / "report.txt").write_text(f"the slower one began as {reference}")

    with suppress(OSError, ArtifactError):  # it may give up
        export(store, "model", content(write_reports=export_another))
    written = [store.open(ModelReference("model", number)) for number in store.versions("model")]
    assert (written[0].folder / "report.txt").read_text() == "this is model@1"
    assert all(Classifier.load(artifact).labels == LABELS for artifact in written)
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_the_slower_of_two_exports_takes_the_next_number(
    tmp_path: Path, content: Callable[..., Export]
) -> None:
    """Hours of training must not be lost because another one ended a second earlier."""
    store = ModelStore(tmp_path)

    def export_another(_folder: Path, _reference: ModelReference) -> None:
        if not store.names():
            export(store, "model", content())

    assert export(store, "model", content(write_reports=export_another)).version == 2
    assert store.versions("model") == [1, 2]
    for number in (1, 2):
        assert store.open(ModelReference("model", number)).manifest.version == number


@pytest.mark.timeout(30)
def test_a_file_in_a_versions_place_is_told(tmp_path: Path, content: Callable[..., Export]) -> None:
    """It is no version, so the next number is its own, however often that is tried."""
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "1").write_text("not a version")
    with pytest.raises(OSError, match="model/1"):
        export(ModelStore(tmp_path), "model", content())
