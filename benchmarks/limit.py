"""The limit: the same decoder, front end and engine in a loop, a process a core, with no HTTP."""

import math
import multiprocessing
import time
from multiprocessing.synchronize import Barrier
from pathlib import Path
from typing import Final

from app.inference.engine import EngineName
from app.inference.memory import keep_freed_memory
from app.inference.threads import compute_on_one_thread

WARM_UP_CLIPS: Final = 50


def clips_per_second(
    engine: EngineName, version: Path, data: bytes, processes: int, seconds: float
) -> float:
    """Return how many clips per second all processes together classify.

    Args:
        engine: what runs the model.
        version: the model version's folder.
        data: the clip.
        processes: how many work at the same time.
        seconds: for how long.
    """
    context = multiprocessing.get_context("spawn")
    begin = context.Barrier(processes)
    rates = context.SimpleQueue()
    arguments = (engine, version, data, seconds, begin, rates)
    children = [context.Process(target=_classify_on, args=arguments) for _ in range(processes)]
    for child in children:
        child.start()
    for child in children:
        child.join()
        if child.exitcode:
            raise RuntimeError(f"a process of the limit ended with {child.exitcode}")
    return math.fsum(rates.get() for _ in children)


def _classify_on(
    engine: EngineName,
    version: Path,
    data: bytes,
    seconds: float,
    begin: Barrier,
    rates: "multiprocessing.SimpleQueue[float]",
) -> None:
    compute_on_one_thread()
    keep_freed_memory()
    from app.inference.artifact import Artifact
    from app.inference.classifier import Classifier

    classifier = Classifier.load(Artifact.open(version), engine)
    for _ in range(WARM_UP_CLIPS):
        classifier.classify(data)
    begin.wait()
    started = time.perf_counter()
    n_clips = 0
    while (elapsed := time.perf_counter() - started) < seconds:
        classifier.classify(data)
        n_clips += 1
    rates.put(n_clips / elapsed)
