"""ModelStore: `model_store/<name>/<version>/`, versions being positive integers."""

import re
from dataclasses import dataclass
from pathlib import Path

from app.errors import UnknownModelError, UnknownVersionError
from app.inference.artifact import Artifact, Manifest, read_manifest


@dataclass(frozen=True, order=True)  # without slots: pickled with each request
class ModelReference:
    """A version of a model, by name and number."""

    name: str
    version: int

    @classmethod
    def of(cls, manifest: Manifest) -> "ModelReference":
        """Return the version that a manifest is of."""
        return cls(manifest.name, manifest.version)

    def __str__(self) -> str:
        return f"{self.name}@{self.version}"


class ModelStore:
    """Finds model versions below a folder. Reads it anew at each call; keeps nothing.

    Folders whose name is not a positive integer are not versions: an export in progress has a
    name that begins with a dot, and gets its number by a rename when it is whole.
    """

    def __init__(self, root: Path) -> None:
        self.root = root

    def names(self) -> list[str]:
        """Return the models that have a version, in alphabetical order."""
        if not self.root.is_dir():
            return []
        return sorted(path.name for path in self.root.iterdir() if _version_numbers(path))

    def versions(self, name: str) -> list[int]:
        """Return the versions of a model, in ascending order.

        Raises:
            UnknownModelError: no model of that name has a version.
        """
        # A name comes from a URL: it is compared with what is there, never joined to a path first.
        if name not in self.names():
            raise UnknownModelError(
                f"There is no model {name[:64]!r} here. {self._models_in_words()}"
            )
        return _version_numbers(self.root / name)

    def resolve(self, name: str, version: int | None = None) -> ModelReference:
        """Return the version asked for, or the highest where none is.

        Raises:
            UnknownModelError: no model of that name has a version.
            UnknownVersionError: the model has no such version.
        """
        versions = self.versions(name)
        if version is None:
            return ModelReference(name, versions[-1])
        if version not in versions:
            known = ", ".join(map(str, versions))
            raise UnknownVersionError(f"Model {name!r} has no version {version}. It has: {known}.")
        return ModelReference(name, version)

    def manifest(self, reference: ModelReference) -> Manifest:
        """Read a version's manifest, without checking the hashes of its files.

        Raises:
            ArtifactError: the version is refused.
        """
        return read_manifest(self.folder(reference))

    def open(self, reference: ModelReference) -> Artifact:
        """Read a version and verify every file of it.

        Raises:
            ArtifactError: the version is refused.
        """
        return Artifact.open(self.folder(reference))

    def folder(self, reference: ModelReference) -> Path:
        """Return where a version lies."""
        return self.root / reference.name / str(reference.version)

    def _models_in_words(self) -> str:
        names = self.names()
        return f"There is: {', '.join(names)}." if names else "The model store is empty."


def _version_numbers(folder: Path) -> list[int]:
    if not folder.is_dir() or folder.name.startswith("."):
        return []
    return sorted(
        int(path.name)
        for path in folder.iterdir()
        if re.fullmatch(r"[1-9][0-9]{0,8}", path.name) and path.is_dir()
    )
