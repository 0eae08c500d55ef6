"""A model version as bytes, so that nodes classify by this one, and by none of their own stores."""

from dataclasses import dataclass
from pathlib import Path

from app.inference.artifact import Artifact
from app.inference.store import ModelReference, ModelStore


@dataclass(frozen=True)
class PackedVersion:
    """A version's files by their paths below its folder; some megabytes."""

    reference: ModelReference
    files: dict[str, bytes]

    @classmethod
    def of(cls, store: Path, reference: ModelReference) -> "PackedVersion":
        """Read a version of a store, and check it.

        Raises:
            ArtifactError: it is refused.
        """
        folder = Artifact.open(ModelStore(store).folder(reference)).folder
        paths = (path for path in sorted(folder.rglob("*")) if path.is_file())
        return cls(
            reference, {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}
        )

    def unpack(self, store: Path) -> None:
        """Write the version into a store that does not have it."""
        folder = ModelStore(store).folder(self.reference)
        for name, content in self.files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)
