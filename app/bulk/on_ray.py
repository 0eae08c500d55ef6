"""`hark classify --ray`: files in partitions, classified by actors of Ray Data on all of a cluster.

A partition is a piece of work, and a file in the end. A node that dies takes what it was doing with
it; Ray has another do those partitions again, which gives the same files, since what is in one
depends on its files alone. Those that are there when a run begins are not done again.
"""

from __future__ import annotations

import asyncio
import logging
import pickle
import tempfile
import threading
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, TypeVar

from app.bulk.errors import BulkError
from app.bulk.files import AudioFile
from app.bulk.packed import PackedVersion
from app.bulk.partitions import Kept, Partitions
from app.bulk.rows import Failure, Outcome, Row, rows_of
from app.bulk.running import Means, Runner
from app.errors import HarkError
from app.inference.threads import available_processors
from app.ray_cluster import ClusterError, joined, live_nodes

Result = TypeVar("Result")

# Of so many files a partition is at least and at most; between, there are so many partitions. The
# size of the cluster has no part in it: a run that is gone on with on another one makes the same.
_LEAST_FILES: Final = 32
_MOST_FILES: Final = 1000
_PARTITIONS: Final = 256


@dataclass(frozen=True)
class Piece:
    """The files of a partition that are to be classified.

    Attributes:
        partition: its name.
        files: these files.
        is_there: whether the partition has rows of other files already, which stay.
    """

    partition: str
    files: tuple[AudioFile, ...]
    is_there: bool


@dataclass(frozen=True)
class Done:
    """What became of a piece.

    Attributes:
        n_files: how many files it has.
        failed: how many of them failed, by the code.
        audio_seconds: of those that did not.
    """

    n_files: int
    failed: Counter[str]
    audio_seconds: float


class Classifying:
    """An actor: one compute process, which takes partition after partition.

    What goes wrong in a foreseen way comes back as a sentence, and not as an exception, of which
    Ray would show pages of trace.

    Args:
        version: the model.
        means: what files are classified with.
        partitions: where rows go.
    """

    def __init__(self, version: PackedVersion, means: Means, partitions: Partitions) -> None:
        # No part of it may hold on to this object, or __del__ would come too late.
        self._ending = ExitStack()
        self._partitions = partitions
        self._refusal = ""
        try:
            self._start(version, means, partitions)
        except (HarkError, OSError) as error:
            self._refusal = _sentence(error)

    def _start(self, version: PackedVersion, means: Means, partitions: Partitions) -> None:
        store = Path(self._ending.enter_context(tempfile.TemporaryDirectory(prefix="hark-")))
        version.unpack(store)
        loop = self._ending.enter_context(_LoopInThread())
        started = Runner.started(replace(means, store=store, workers=1), partitions.asked)
        self._runner = loop.wait_for(started.__aenter__())
        self._ending.callback(lambda: loop.wait_for(started.__aexit__(None, None, None)))
        self._loop = loop

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """Do the piece that a row of Ray's holds, and return what became of it in one."""
        refusal = self._refusal
        try:
            if not refusal:
                done = self.classify(pickle.loads(row["piece"]))  # noqa: S301
                return {"done": pickle.dumps(done), "refusal": ""}
        except (HarkError, BulkError, OSError) as error:
            refusal = _sentence(error)
        return {"done": b"", "refusal": refusal}

    def classify(self, piece: Piece) -> Done:
        """Classify the files of a piece, and write its partition."""
        asked = self._partitions.asked
        rows: list[Row] = []
        done = Done(len(piece.files), Counter(), 0.0)
        audio_seconds = []

        def note(file: AudioFile, outcome: Outcome) -> None:
            rows.extend(rows_of(asked, file.name, outcome))
            if isinstance(outcome, Failure):
                done.failed[outcome.code] += 1
            else:
                audio_seconds.append(outcome.duration_seconds)

        self._loop.wait_for(self._runner.run(piece.files, note))
        besides = {file.name for file in piece.files} if piece.is_there else None
        self._partitions.write(piece.partition, rows, besides)
        return replace(done, audio_seconds=sum(audio_seconds))

    def __del__(self) -> None:
        """End the compute process; Ray Data has this called when there is no more to do."""
        self._ending.close()


class _LoopInThread:
    """An event loop in a thread of its own, while the context lasts: actors' calls do not await."""

    def __enter__(self) -> _LoopInThread:
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def wait_for(self, work: Coroutine[Any, Any, Result]) -> Result:
        """Return what comes of awaiting something."""
        return asyncio.run_coroutine_threadsafe(work, self._loop).result()


def pieces_of(files: Sequence[AudioFile], kept: Kept, partitions: Partitions) -> list[Piece]:
    """Return what is left to do.

    The same files make the same partitions again, and those of a run that ended early the rest of
    them.

    Args:
        files: all that the table is to have, in the order of their names.
        kept: what it has.
        partitions: where it is.
    """
    pieces = []
    most_files = min(_MOST_FILES, max(_LEAST_FILES, -(-len(files) // _PARTITIONS)))
    for index, start in enumerate(range(0, len(files), most_files)):
        left = tuple(
            file for file in files[start : start + most_files] if file.name not in kept.names
        )
        if left:
            name = partitions.name(index, (file.name for file in left))
            pieces.append(Piece(name, left, is_there=False))
    by_name = {file.name: file for file in files}
    for name, again in kept.again.items():
        chosen = tuple(by_name[path] for path in again if path in by_name)
        if chosen:
            pieces.append(Piece(name, chosen, is_there=True))
    return pieces


class Cluster:
    """A cluster that this process has joined, and that is left with the context.

    Args:
        address: as that of `app.ray_cluster.joined`.
        means: what files are classified with; of the workers, no more are started than it says.
        workers: whether that number was chosen, and does not only stand for this machine's.
    """

    def __init__(self, address: str, means: Means, workers: int | None) -> None:
        self._address = address
        self._means = means
        self._workers = workers

    def classify(
        self,
        files: Sequence[AudioFile],
        kept: Kept,
        partitions: Partitions,
        on_start: Callable[[], None],
    ) -> Iterator[Done]:
        """Classify what is left, and yield what became of each partition as it is there.

        Raises:
            BulkError: no cluster can be joined, or it cannot do the work.
        """
        try:
            with joined(self._address, self._workers or available_processors()) as ray:
                n_processors = sum(int(node.get("CPU", 0)) for node in live_nodes(ray))
                n_actors = max(1, min(self._workers or n_processors, n_processors))
                pieces = pieces_of(files, kept, partitions)
                version = PackedVersion.of(self._means.store, partitions.asked.model)
                arguments = (version, self._means, partitions)
                on_start()
                for row in _rows(ray, pieces, arguments, min(n_actors, len(pieces))):
                    if row["refusal"]:
                        raise BulkError(row["refusal"])
                    yield pickle.loads(row["done"])  # noqa: S301
        except ClusterError as error:
            raise BulkError(f"{error}.") from error


def _rows(
    ray: Any, pieces: Sequence[Piece], arguments: tuple[Any, ...], n_actors: int
) -> Iterator[dict[str, Any]]:
    """Have Ray Data do pieces, a block each, and yield its rows.

    Raises:
        BulkError: it cannot.
    """
    import ray.data as ray_data

    context = ray_data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.raise_original_map_exception = True
    for handler in logging.getLogger("ray.data").handlers:
        if not isinstance(handler, logging.FileHandler):
            handler.setLevel(logging.CRITICAL)  # the command tells of its progress itself
    items = [{"piece": pickle.dumps(piece)} for piece in pieces]
    results = ray_data.from_items(items, override_num_blocks=len(items)).map(
        Classifying,
        fn_constructor_args=arguments,
        compute=ray_data.ActorPoolStrategy(
            min_size=1, max_size=n_actors, initial_size=n_actors, max_tasks_in_flight_per_actor=2
        ),
        num_cpus=1,
    )
    try:
        yield from results.iter_rows()
    except ray.exceptions.RayError as error:
        raise _as_bulk_error(error) from error


def _sentence(error: HarkError | BulkError | OSError) -> str:
    if isinstance(error, OSError):
        return f"{error.filename or 'a file'}: {error.strerror or error}."
    return str(error)


def _as_bulk_error(error: Exception) -> BulkError:
    """Return what a cluster's error comes to, whose last line is the one that began it."""
    last = (str(error).strip().splitlines() or [type(error).__name__])[-1]
    return BulkError(
        f"the Ray cluster cannot do the work ({last.strip()}). Check that this version of Hark is "
        "installed on every node, with its engine and hark[ray]."
    )
