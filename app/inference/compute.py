"""What a compute process does: load models once, then classify what lies in the arena.

Imported by the HTTP process too, which only names these functions: everything heavy is imported
inside them, in the compute process.
"""

from __future__ import annotations

import gc
import os
from collections import OrderedDict
from dataclasses import dataclass, field
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Final

from app.audio.cutting import WHOLE, Cutting
from app.audio.limits import DecodeLimits
from app.inference.arena import ArenaReader
from app.inference.engine import EngineName
from app.inference.memory import limit_address_space
from app.inference.store import ModelReference, ModelStore

if TYPE_CHECKING:
    from app.inference.classification import Classification
    from app.inference.classifier import Classifier


@dataclass(frozen=True)  # without slots: pickled with each request
class Job:
    """One upload to classify: with what, where it lies, within what limits, and which part."""

    model: ModelReference
    offset: int
    length: int
    limits: DecodeLimits
    cutting: Cutting = WHOLE


@dataclass(frozen=True, slots=True)
class Start:
    """What a compute process is told once.

    Attributes:
        store: the model store's folder.
        uploads: where uploads lie.
        engine: what runs the models.
        models: those that it loads now, and keeps.
        memory_bytes: address space that it may take beyond what it has once they are loaded.
    """

    store: Path
    uploads: ArenaReader
    engine: EngineName
    models: list[ModelReference]
    memory_bytes: int


@dataclass(slots=True)
class _Process:
    """What a compute process keeps between jobs."""

    store: ModelStore
    uploads: ArenaReader
    engine: EngineName
    classifiers: dict[ModelReference, Classifier] = field(default_factory=dict)
    on_demand: OrderedDict[ModelReference, Classifier] = field(default_factory=OrderedDict)


_process: _Process | None = None

# Versions that a request asked for by number and that do not serve: the last few are kept.
MAX_ON_DEMAND: Final = 2


def start(told: Start) -> dict[ModelReference, float]:
    """Load, verify, warm and probe models. May be called again after a failure.

    Returns:
        How many seconds each took.

    Raises:
        ModelError: a model is unknown or refused.
    """
    global _process  # a compute process has no other place to keep what it was given
    os.environ["CUDA_VISIBLE_DEVICES"] = "-1"
    if _process is None:
        _process = _Process(ModelStore(told.store), told.uploads, told.engine)
    load_seconds: dict[ModelReference, float] = {}
    for model in told.models:
        if model not in _process.classifiers:
            began = perf_counter()
            _process.classifiers[model] = _load(_process, model)
            load_seconds[model] = perf_counter() - began
    _process.uploads.map()
    gc.freeze()  # nothing that is here now will go: the collector need not look at it again
    limit_address_space(told.memory_bytes)
    return load_seconds


def classify(job: Job) -> Classification:
    """Classify one upload.

    Raises:
        AudioError: the bytes cannot be used.
        InvalidParameterError: the clip cannot be cut as it is asked for.
        ModelError: the model is unknown or refused.
    """
    assert _process is not None
    upload = _process.uploads.read(job.offset, job.length)
    return _classifier(_process, job.model).classify(upload, job.limits, job.cutting)


def _classifier(process: _Process, model: ModelReference) -> Classifier:
    if model in process.classifiers:
        return process.classifiers[model]
    if model not in process.on_demand:
        while len(process.on_demand) >= MAX_ON_DEMAND:
            process.on_demand.popitem(last=False)
        process.on_demand[model] = _load(process, model)
    process.on_demand.move_to_end(model)
    return process.on_demand[model]


def _load(process: _Process, model: ModelReference) -> Classifier:
    from app.inference.classifier import Classifier

    return Classifier.load(process.store.open(model), process.engine)
