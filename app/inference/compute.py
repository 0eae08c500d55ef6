"""What a compute process does: load models once, then classify what lies in the arena.

Imported by the HTTP process too, which only names these functions: everything heavy is imported
inside them, in the compute process.
"""

from __future__ import annotations

import gc
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from app.inference.arena import ArenaReader
from app.inference.engine import EngineName
from app.inference.store import ModelReference, ModelStore

if TYPE_CHECKING:
    from app.inference.classification import Classification
    from app.inference.classifier import Classifier


@dataclass(frozen=True)  # without slots: pickled with each request
class Job:
    """One upload to classify: where it lies, with what, and within what limits."""

    model: ModelReference
    offset: int
    length: int
    max_seconds: float


@dataclass(frozen=True, slots=True)
class Start:
    """What a compute process is told once: where models and uploads lie, what to load how."""

    store: Path
    uploads: ArenaReader
    engine: EngineName
    models: list[ModelReference]


@dataclass(slots=True)
class _Process:
    """What a compute process keeps between jobs."""

    store: ModelStore
    uploads: ArenaReader
    engine: EngineName
    classifiers: dict[ModelReference, Classifier]


_process: _Process | None = None


def start(told: Start) -> None:
    """Load, verify, warm and probe models. May be called again after a failure.

    Raises:
        ModelError: a model is unknown or refused.
    """
    global _process  # a compute process has no other place to keep what it was given
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    if _process is None:
        _process = _Process(ModelStore(told.store), told.uploads, told.engine, {})
    for model in told.models:
        _classifier(model)
    gc.freeze()  # nothing that is here now will go: the collector need not look at it again


def classify(job: Job) -> Classification:
    """Classify one upload.

    Raises:
        AudioError: the bytes cannot be used.
        ModelError: the model is unknown or refused.
    """
    from app.audio.decode import DecodeLimits

    assert _process is not None
    upload = _process.uploads.read(job.offset, job.length)
    return _classifier(job.model).classify(upload, DecodeLimits(max_seconds=job.max_seconds))


def _classifier(model: ModelReference) -> Classifier:
    from app.inference.classifier import Classifier

    assert _process is not None
    if model not in _process.classifiers:
        artifact = _process.store.open(model)
        _process.classifiers[model] = Classifier.load(artifact, _process.engine)
    return _process.classifiers[model]
