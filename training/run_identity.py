"""Identity: digests of all that decides a result, so that no other is gone on with."""

import hashlib
import json
import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Final

import app
import training
from training.datasets import Dataset
from training.features_cache import DatasetFeatures
from training.recipe import Recipe
from training.run_error import RunError
from training.source_code import source_code
from training.splits import Folds

_RUNS_FOLDER: Final = Path("runs")
_LIBRARIES: Final = ("numpy", "tensorflow-cpu", "tensorflow", "keras")

# Digests, by what each is of.
Identity = dict[str, str]


def identity_of(recipe: Recipe, dataset: Dataset, data: DatasetFeatures, folds: Folds) -> Identity:
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


def default_folder(name: str, identity: Identity) -> Path:
    """Return where something is kept for which no folder was named: it is its own, below `runs`."""
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:12]
    return _RUNS_FOLDER / f"{re.sub(r'[^A-Za-z0-9_-]+', '-', name)}-{digest}"


def check_same(path: Path, identity: Identity, holds: str) -> None:
    """Refuse a folder that holds something of another identity.

    Args:
        path: the JSON file in it that holds the identity.
        identity: what that should be.
        holds: what the folder holds, in words, such as "a sweep".

    Raises:
        RunError: it is another, or the file is damaged.
    """
    try:
        found = json.loads(path.read_text())
    except ValueError as error:
        raise RunError(f"{path} is damaged: remove {path.parent} to begin anew") from error
    others = [what for what, digest in identity.items() if found.get(what) != digest]
    if others:
        raise RunError(
            f"{path.parent} holds {holds} of another {' and another '.join(others)}: "
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
