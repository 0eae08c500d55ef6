"""Workers: who does independent pieces of work, here or on other machines.

Feature extraction, folds and trials hand over what they have to do, and get the results in order;
they know nothing of where it was done.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing import get_context
from typing import Any, Final, Protocol, TypeVar

from app.inference.threads import available_processors, one_thread_environment
from app.progress import Advance, Begin, silent
from training.run_error import RunError

Shared = TypeVar("Shared")
Piece = TypeVar("Piece")
Result = TypeVar("Result")


class Workers(Protocol):
    """Do independent pieces of work."""

    def run(
        self,
        work: Callable[[Shared, Piece], Result],
        shared: Shared,
        pieces: Sequence[Piece],
    ) -> Iterator[Result]:
        """Do all pieces, and yield what they come to, in their order, as soon as it is known.

        Args:
            work: a function of a module, that decides its result by its arguments alone.
            shared: what all pieces need, such as the data; carried once, however many there are.
            pieces: what each call of `work` gets. Like shared and results, they can be pickled.

        Raises:
            RunError: a process that works has ended.
        """
        ...


class InThisProcess:
    """Does one piece after the other, here."""

    def run(
        self,
        work: Callable[[Shared, Piece], Result],
        shared: Shared,
        pieces: Sequence[Piece],
    ) -> Iterator[Result]:
        return (work(shared, piece) for piece in pieces)


class ProcessPool:
    """Does pieces in as many processes of this machine as are given; its processors by default."""

    def __init__(self, processes: int | None = None) -> None:
        self._processes = processes

    def run(
        self,
        work: Callable[[Shared, Piece], Result],
        shared: Shared,
        pieces: Sequence[Piece],
    ) -> Iterator[Result]:
        with ProcessPoolExecutor(
            self._processes or available_processors(),
            mp_context=get_context("spawn"),
            initializer=_start,
            initargs=(work, shared),
        ) as pool:
            try:
                yield from pool.map(_do, pieces, chunksize=8)
            except BrokenProcessPool as error:
                raise RunError(
                    "a process that worked for this one has ended; most often the system ends one "
                    "where memory runs out. Close other programs, and begin again"
                ) from error


# What follows runs in the pool's processes.

_given: tuple[Callable[[Any, Any], Any], Any] | None = None


def _start(work: Callable[[Any, Any], Any], shared: Any) -> None:
    global _given  # a pool's process has no other place to keep what it was given
    _given = (work, shared)


def _do(piece: Any) -> Any:
    assert _given is not None
    work, shared = _given
    return work(shared, piece)


@dataclass(frozen=True, slots=True)
class Places:
    """Who does the two kinds of work.

    Attributes:
        files: what is done to each file: thousands of short pieces, one thread each.
        fits: what takes a model: few long pieces, each on several threads or a GPU.
    """

    files: Workers
    fits: Workers


# This machine: files in processes of their own, fits in this one.
THIS_MACHINE: Final = Places(files=ProcessPool(), fits=InThisProcess())


class ToldHere:
    """A `Begin` that a piece of work can carry: where that is done elsewhere, nobody is told."""

    def __init__(self, begin: Begin) -> None:
        self._begin = begin

    def __call__(self, what: str, units: int) -> Advance:
        return self._begin(what, units)

    def __reduce__(self) -> tuple[type["ToldHere"], tuple[Begin]]:
        return ToldHere, (silent,)


def counted(results: Iterator[Result], advance: Advance) -> list[Result]:
    """Return all results, and tell of each that is there."""
    there = []
    for result in results:
        there.append(result)
        advance("")
    return there


def thread_environment(threads: int) -> dict[str, str]:
    """Return what has TensorFlow compute on so many threads, in a process's birth.

    NumPy and SciPy compute on one, as in every process of `hark-train`.
    """
    return {
        **one_thread_environment(),
        "TF_NUM_INTRAOP_THREADS": str(threads),
        "TF_NUM_INTEROP_THREADS": str(threads),
    }
