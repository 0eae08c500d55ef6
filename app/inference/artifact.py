"""A model version on disk: its manifest, and the check that every file is what was exported.

A version is a folder that holds `manifest.json` and the files that the manifest names with their
sha256. It is written elsewhere, checked, and renamed into place whole; nobody edits it after.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final, Literal

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    field_validator,
)

from app.audio.feature_specs import SpecError
from app.audio.spec import FrontEndSpec
from app.errors import CorruptArtifactError, ForeignArtifactError, IncompleteArtifactError
from app.inference.arrays import DamagedArraysError, load_arrays

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

MANIFEST_FILE: Final = "manifest.json"
KERAS_FILE: Final = "model.keras"
ONNX_FILE: Final = "model.onnx"
FRONT_END_FILE: Final = "front_end.npz"
METRICS_FILE: Final = "metrics.json"  # the cross-validation; not every version has one
REQUIRED_FILES: Final = frozenset({KERAS_FILE, ONNX_FILE, FRONT_END_FILE})

ADVICE: Final = "Restore the version from its source, or remove it."

ModelName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
FileName = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_][A-Za-z0-9._-]*$")]


class _Record(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Probe(_Record):
    """What the model answered, at export, to the waveform that `probe.probe_wav` makes."""

    probabilities: list[float]
    tolerance: float = Field(gt=0, lt=1)


class Calibration(_Record):
    """How far the model's probabilities can be believed; fitted on validation data.

    `temperature` is a window's: each of its probabilities p becomes p**(1/temperature), normalised;
    above 1 the model was too sure of itself. Below `uncertain_below`, a clip's top probability is
    more likely wrong than right.
    """

    temperature: float = Field(gt=0, allow_inf_nan=False)
    uncertain_below: float = Field(ge=0, le=1)


class EarlierTraining(_Record):
    """Data that a version's weights had learned when they began as another version's."""

    model: str
    dataset: str
    licence: str
    folds: list[str]


def licences_of_all(licence: str, earlier: Iterable[EarlierTraining]) -> list[str]:
    """Return the licences of some data and of what was learned before it, each once."""
    return list(dict.fromkeys([licence, *(each.licence for each in earlier)]))


class TrainingRecord(_Record):
    """Where a version comes from; `earlier` is what came before, the latest first."""

    recipe: str
    command: str
    dataset: str
    licence: str
    folds: list[str]
    clips: int
    epochs: int
    seed: int
    # Left out where there is nothing, so that a Hark that is older than it reads the manifest.
    earlier: list[EarlierTraining] = Field([], exclude_if=lambda earlier: not earlier)

    @property
    def licences(self) -> list[str]:
        """The licences of all data that its weights come from, its own data's first."""
        return licences_of_all(self.licence, self.earlier)

    @property
    def datasets(self) -> list[str]:
        """The names of all data that its weights come from, its own data's first."""
        return list(dict.fromkeys([self.dataset, *(each.dataset for each in self.earlier)]))


class Manifest(_Record):
    """Everything about a version that serving and its readers need.

    `labels` are in the order of the model's outputs; `front_end` is a `FrontEndSpec` as plain
    values; `files` maps each file of the version, but the manifest, to its sha256; `calibration` is
    None where there was no validation data to fit it on, or where the version is older than it.
    """

    schema_version: Literal[1]
    name: ModelName
    version: int = Field(ge=1)
    created_at: str
    labels: list[str] = Field(min_length=2)
    front_end: dict[str, Any]
    files: dict[FileName, Sha256]
    library_versions: dict[str, str]
    training: TrainingRecord
    metrics: dict[str, float]
    calibration: Calibration | None = None
    probe: Probe

    @field_validator("labels")
    @classmethod
    def _check_distinct(cls, labels: list[str]) -> list[str]:
        if len(set(labels)) < len(labels):
            raise ValueError("a label occurs twice")
        return labels

    @property
    def front_end_spec(self) -> FrontEndSpec:
        """The manifest's front end, validated."""
        return FrontEndSpec.from_manifest(self.front_end)


class Artifact:
    """A version's folder, with a manifest that reads well and files that match it.

    Attributes:
        folder: where the version lies.
        manifest: its manifest.
    """

    def __init__(self, folder: Path, manifest: Manifest) -> None:
        self.folder = folder
        self.manifest = manifest

    @classmethod
    def open(cls, folder: Path) -> Artifact:
        """Read and verify a version.

        Raises:
            IncompleteArtifactError: a file is missing.
            ForeignArtifactError: the manifest is not one that this release reads.
            CorruptArtifactError: a file does not match its hash.
        """
        manifest = read_manifest(folder)
        for name, expected in manifest.files.items():
            if _sha256_of(folder / name) != expected:
                raise CorruptArtifactError(
                    f"{place_of(folder)}: {name} is not the file that was exported (its sha256 "
                    f"differs from the manifest's). {ADVICE}"
                )
        return cls(folder, manifest)

    @property
    def keras_path(self) -> Path:
        """The model's file for Keras."""
        return self.folder / KERAS_FILE

    @property
    def onnx_path(self) -> Path:
        """The model's file for ONNX Runtime."""
        return self.folder / ONNX_FILE

    def front_end_tables(self) -> Mapping[str, NDArray[np.float32]]:
        """Load the front end's constant arrays.

        Raises:
            CorruptArtifactError: the file cannot be read.
        """
        try:
            return load_arrays(self.folder / FRONT_END_FILE)
        except DamagedArraysError as error:
            raise CorruptArtifactError(
                f"{place_of(self.folder)}: {FRONT_END_FILE} cannot be read ({error}). {ADVICE}"
            ) from error


def read_manifest(folder: Path) -> Manifest:
    """Read a version's manifest and check that the files it names are there.

    Raises:
        IncompleteArtifactError: the manifest or a file is missing.
        ForeignArtifactError: the manifest is not one that this release reads.
    """
    path = folder / MANIFEST_FILE
    if not path.is_file():
        raise IncompleteArtifactError(
            f"{place_of(folder)}: there is no {MANIFEST_FILE}. The version was copied in part, or "
            "this is not a model version: copy it whole, or remove the folder."
        )
    try:
        manifest = Manifest.model_validate_json(path.read_bytes())
        manifest.front_end_spec  # noqa: B018  # read for its checks
    except (ValidationError, SpecError) as error:
        raise ForeignArtifactError(
            f"{place_of(folder)}: {MANIFEST_FILE} is not one that this release reads: "
            f"{_in_words(error)}. {ADVICE}"
        ) from error
    missing = sorted(
        name for name in REQUIRED_FILES | set(manifest.files) if not (folder / name).is_file()
    )
    if missing:
        raise IncompleteArtifactError(
            f"{place_of(folder)}: {', '.join(missing)} missing. Copy the version whole, or remove "
            "it."
        )
    unlisted = sorted(REQUIRED_FILES - set(manifest.files))
    if unlisted:
        raise ForeignArtifactError(
            f"{place_of(folder)}: the manifest gives no hash of {', '.join(unlisted)}. {ADVICE}"
        )
    if (manifest.name, str(manifest.version)) != (folder.parent.name, folder.name):
        raise ForeignArtifactError(
            f"{place_of(folder)}: the manifest is that of {manifest.name}, version "
            f"{manifest.version}. Move the folder to its own place."
        )
    return manifest


def place_of(folder: Path) -> str:
    """Return how a version is called in messages: its folder's place in the store, no more.

    The messages reach clients, whom the server's paths do not concern.
    """
    return f"{folder.parent.name}@{folder.name}"


def hash_files(folder: Path) -> dict[str, str]:
    """Return the sha256 of each file in a version's folder, but the manifest's, by name."""
    return {
        path.name: _sha256_of(path)
        for path in sorted(folder.iterdir())
        if path.name != MANIFEST_FILE
    }


def _sha256_of(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _in_words(error: Exception) -> str:
    if isinstance(error, ValidationError):
        first = error.errors()[0]
        place = ".".join(str(part) for part in first["loc"])
        return f"{place}: {first['msg']}" if place else str(first["msg"])
    return str(error)
