"""RunFolder: where a run keeps each fit's checkpoint until it is done, so that it can go on."""

import hashlib
import json
import re
import shutil
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final
from urllib.parse import quote

import app
import training
from training.datasets import Dataset
from training.features_cache import DatasetFeatures
from training.recipe import Recipe
from training.run_error import RunError
from training.source_code import source_code
from training.splits import Folds

RUNS_FOLDER: Final = Path("runs")
_LIBRARIES: Final = ("numpy", "tensorflow-cpu", "tensorflow", "keras")


class RunFolder:
    """Checkpoints of one recipe on one data set, in `unfinished` below a folder.

    Args:
        identity: digests of all that decides the run's result, by what each is of.
        folder: the run's folder; by default one below `runs`, named by recipe, data and digest.
        name: how a folder below `runs` begins.
        resume: go on with what is there, else refuse it.

    Raises:
        RunError: the folder holds an unfinished run that is another's, or is not to be resumed.
    """

    def __init__(
        self, identity: dict[str, str], folder: Path | None, name: str, resume: bool
    ) -> None:
        digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:12]
        self._is_default = folder is None
        self._folder = folder or RUNS_FOLDER / f"{_plain(name)}-{digest}"
        self._unfinished = self._folder / "unfinished"
        identity_path = self._unfinished / "run.json"
        if identity_path.exists() and any(self._unfinished.glob("*.npz")):
            _check_same(identity_path, identity)
            if not resume:
                raise RunError(
                    f"{self._unfinished} holds an interrupted run: go on with it by --resume, or "
                    "remove it to begin anew"
                )
        self._unfinished.mkdir(parents=True, exist_ok=True)
        identity_path.write_text(json.dumps(identity))

    @property
    def is_here(self) -> bool:
        """Whether this machine has the folder: another one that fits for the run may not."""
        return self._unfinished.is_dir()

    def checkpoint(self, fit: str) -> Path:
        """Return where a fit's checkpoint is kept."""
        return self._unfinished / f"{quote(fit, safe=' ')}.npz"

    def finish(self) -> None:
        """Remove the checkpoints, and the folder where nobody named it."""
        shutil.rmtree(self._unfinished)
        if self._is_default:
            self._folder.rmdir()


def identity_of(
    recipe: Recipe, dataset: Dataset, data: DatasetFeatures, folds: Folds
) -> dict[str, str]:
    """Return digests of all that decides a run's result: recipe, data, split and code."""
    spec = json.dumps(recipe.front_end.to_manifest(), sort_keys=True)
    code = hashlib.sha256()
    for package in (app, training):
        for source in source_code(package):
            code.update(source)
    return {
        "recipe": _digest(recipe.model_dump_json(exclude={"front_end"}).encode(), spec.encode()),
        "data": _digest(
            repr((dataset.name, data.clips)).encode(),
            data.features.tobytes(),
            data.weights.tobytes(),
            data.clip_of_window.tobytes(),
        ),
        "split": _digest(repr((folds.kind, folds.names)).encode(), folds.part_of_clip.tobytes()),
        "version of Hark or its libraries": _digest(code.digest(), repr(_versions()).encode()),
    }


def _check_same(path: Path, identity: dict[str, str]) -> None:
    try:
        found = json.loads(path.read_text())
    except ValueError as error:
        raise RunError(f"{path} is damaged: remove {path.parent} to begin anew") from error
    others = [what for what, digest in identity.items() if found.get(what) != digest]
    if others:
        raise RunError(
            f"{path.parent} holds an unfinished run of another {' and another '.join(others)}: "
            "name another folder by --out, or remove it"
        )


def _digest(*parts: bytes) -> str:
    return hashlib.sha256(b"".join(hashlib.sha256(part).digest() for part in parts)).hexdigest()


def _versions() -> list[tuple[str, str]]:
    versions = []
    for name in _LIBRARIES:
        try:
            versions.append((name, version(name)))
        except PackageNotFoundError:
            continue  # TensorFlow comes under either name
    return versions


def _plain(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]+", "-", name)
