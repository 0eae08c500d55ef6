"""Identity: digests of all that decides a result, so that no other is gone on with."""

import hashlib
import json
import os
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

import app
import training
from training.datasets import Dataset
from training.features_cache import DatasetFeatures
from training.recipe import Described, Recipe
from training.run_error import RunError
from training.source_code import FEATURE_LIBRARIES, source_code, versions
from training.splits import Folds

_RUNS_FOLDER: Final = Path("runs")
# What comes between a file's bytes and a figure; TensorFlow comes under either name.
_LIBRARIES: Final = (*FEATURE_LIBRARIES, "scikit-learn", "tensorflow-cpu", "tensorflow", "keras")

# Digests, by what each is of.
Identity = dict[str, str]


def identity_of(recipe: Recipe, dataset: Dataset, data: DatasetFeatures, folds: Folds) -> Identity:
    """Return digests of all that decides a run's result: recipe, data, split and code.

    What a recipe says of itself decides nothing, nor does the place of a file: the bytes of those
    that its options name do, and the features of the clips and of their variants.
    """
    spec = json.dumps(recipe.front_end.to_manifest(), sort_keys=True)
    code = hashlib.sha256()
    for package in (app, training):
        for source in source_code(package):
            code.update(source)
    clips = [replace(clip, path=Path()) for clip in data.clips]
    return {
        "recipe": _digest(_deciding(recipe), spec.encode()),
        "data": _digest(repr((dataset.name, clips)).encode(), *_arrays_of(data)),
        "split": _digest(repr((folds.kind, folds.names)).encode(), folds.part_of_clip),
        "version of Hark or its libraries": _digest(
            code.digest(), repr(versions(_LIBRARIES)).encode()
        ),
    }


def digest_of(identity: Identity) -> str:
    """Return one digest, of 64 hexadecimal digits, for all of an identity's."""
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()


def default_folder(name: str, identity: Identity) -> Path:
    """Return where something is kept for which no folder was named: it is its own, below `runs`."""
    digest = digest_of(identity)[:12]
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


def _deciding(recipe: Recipe) -> bytes:
    """Return what decides in a recipe, beside its front end."""
    tables = recipe.model_dump(mode="json", exclude={"front_end", *Described.model_fields})
    tables["model"] = _with_contents(tables["model"])
    return json.dumps(tables, sort_keys=True).encode()


def _with_contents(value: Any) -> Any:
    """Return options with the digest of its bytes in place of each file's path."""
    if isinstance(value, dict):
        return {name: _with_contents(each) for name, each in value.items()}
    if isinstance(value, list):
        return [_with_contents(each) for each in value]
    if isinstance(value, str) and os.path.isfile(value):  # noqa: PTH113  # takes any text
        with Path(value).open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    return value


def _arrays_of(data: DatasetFeatures) -> Iterator[NDArray[Any]]:
    yield from (data.features, data.weights, data.clip_of_window)
    if (variants := data.variants) is not None:
        yield from (variants.features, variants.weights)
        yield from (variants.clip_of_window, variants.number_of_window)


def _digest(*parts: bytes | NDArray[Any]) -> str:
    whole = hashlib.sha256()
    for part in parts:
        buffer = part if isinstance(part, bytes) else np.ascontiguousarray(part).data
        whole.update(hashlib.sha256(buffer).digest())
    return whole.hexdigest()
