"""Export: a fitted model becomes a version in a store, whole and checked, or not at all."""

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter

from app.audio.frontend import FrontEnd
from app.errors import CorruptArtifactError, UnknownModelError
from app.inference.artifact import (
    FRONT_END_FILE,
    KERAS_FILE,
    MANIFEST_FILE,
    ONNX_FILE,
    Artifact,
    Calibration,
    Manifest,
    ModelName,
    Probe,
    TrainingRecord,
    hash_files,
    place_of,
)
from app.inference.classifier import Classifier
from app.inference.engine import ENGINES, Engine
from app.inference.keras_engine import KerasEngine
from app.inference.onnx_engine import OnnxEngine
from app.inference.probe import PROBE_TOLERANCE, probe_wav
from app.inference.store import ModelReference, ModelStore
from app.inference.tensorflow_import import import_tensorflow
from training.onnx_conversion import write_onnx

LIBRARIES: Final = (
    "hark", "keras", "librosa", "numpy", "scipy", "soundfile", "soxr", "tf2onnx",
)  # fmt: skip
ENGINE_TOLERANCE: Final = 1e-4


@dataclass(frozen=True, slots=True)
class Export:
    """What becomes a version.

    Attributes:
        model: the fitted Keras model.
        front_end: makes the features that it was fitted on.
        labels: what its outputs mean, in order.
        examples: features of real clips, float32 `[n, *feature_shape]`, that the engines must
            answer alike.
        calibration: how far its probabilities can be believed; None where nothing tells.
        training: where it comes from.
        metrics: figures for the manifest, by name.
        write_reports: writes the files for people (metrics, card, plots) into a folder, given the
            version's reference.
    """

    model: Any
    front_end: FrontEnd
    labels: list[str]
    examples: NDArray[np.float32]
    calibration: Calibration | None
    training: TrainingRecord
    metrics: dict[str, float]
    write_reports: Callable[[Path, ModelReference], None]


def export(store: ModelStore, name: str, content: Export) -> ModelReference:
    """Write the next version of a model.

    The version is written to a folder that no reader takes for one, reloaded from there with every
    check that serving makes, and then renamed into place.

    Returns:
        The new version.

    Raises:
        ValueError: the name cannot be a model's, or the labels not a manifest's.
        ArtifactError: the version does not load as it was saved. Nothing is left behind.
    """
    TypeAdapter(ModelName).validate_python(name)
    while True:
        reference = ModelReference(name, _next_version(store, name))
        partial = Path(tempfile.mkdtemp(dir=store.root, prefix=".partial-"))
        try:
            folder = partial / name / str(reference.version)
            folder.mkdir(parents=True)
            _write(folder, reference, content)
            artifact = Artifact.open(folder)
            for engine in ENGINES:
                Classifier.load(artifact, engine)
            if _put_in_place(folder, store.folder(reference)):
                return reference
        finally:
            shutil.rmtree(partial)


def _put_in_place(folder: Path, place: Path) -> bool:
    """Rename a whole version to its place; say whether no other export had taken it meanwhile."""
    place.parent.mkdir(exist_ok=True)
    try:
        folder.rename(place)
    except OSError:
        if not place.is_dir():
            raise
        return False
    return True


def _write(folder: Path, reference: ModelReference, content: Export) -> None:
    content.model.save(folder / KERAS_FILE)
    write_onnx(content.model, folder / ONNX_FILE)
    np.savez(folder / FRONT_END_FILE, allow_pickle=False, **content.front_end.tables)
    content.write_reports(folder, reference)
    engine = KerasEngine(folder / KERAS_FILE, content.front_end.spec.feature_shape)
    _check_engines_agree(engine, folder, content)
    classifier = Classifier(
        reference, content.labels, content.front_end, engine, content.calibration
    )
    answer = classifier.classify(probe_wav())
    manifest = Manifest(
        schema_version=1,
        name=reference.name,
        version=reference.version,
        created_at=datetime.now(UTC).isoformat(timespec="seconds"),
        labels=content.labels,
        front_end=content.front_end.spec.to_manifest(),
        files=hash_files(folder),
        library_versions=library_versions(),
        training=content.training,
        metrics=content.metrics,
        calibration=content.calibration,
        probe=Probe(probabilities=list(answer.probabilities.values()), tolerance=PROBE_TOLERANCE),
    )
    (folder / MANIFEST_FILE).write_text(manifest.model_dump_json(indent=2) + "\n")


def _check_engines_agree(keras_engine: Engine, folder: Path, content: Export) -> None:
    """Compare the two files' answers to the probe and to real clips.

    Raises:
        CorruptArtifactError: a probability differs by more than `ENGINE_TOLERANCE`.
    """
    front_end = content.front_end
    onnx_engine = OnnxEngine(folder / ONNX_FILE, front_end.spec.feature_shape)
    for features in (front_end.features(probe_wav()).features, content.examples):
        difference = np.abs(keras_engine.predict(features) - onnx_engine.predict(features)).max()
        # Written so that NaN fails too.
        if not difference <= ENGINE_TOLERANCE:
            raise CorruptArtifactError(
                f"{place_of(folder)}: {ONNX_FILE} answers differently than {KERAS_FILE}, by "
                f"{difference:.2g} ({ENGINE_TOLERANCE:g} allowed). The model has a layer that "
                "does not survive the conversion, or probabilities that are not numbers."
            )


def _next_version(store: ModelStore, name: str) -> int:
    try:
        return store.versions(name)[-1] + 1
    except UnknownModelError:
        return 1


def library_versions() -> dict[str, str]:
    """Return the versions of the libraries that a model's making rests on, by name."""
    versions = {name: version(name) for name in LIBRARIES}
    return {**versions, "tensorflow": import_tensorflow().__version__}
