"""`hark classify --out FOLDER --ray`: from what the folder holds to its end, on a cluster."""

from collections.abc import Sequence
from typing import Final

from rich.console import Console

from app.bulk.asked import Asked
from app.bulk.command import INTERRUPTED
from app.bulk.errors import BulkError
from app.bulk.files import AudioFile, Found, find_files
from app.bulk.on_ray import Cluster, Done
from app.bulk.partitions import Kept, Partitions
from app.bulk.remote import Place, Remote
from app.bulk.running import Means
from app.bulk.tally import Tally, in_words, say, say_what_stopped
from app.inference.engine import check_engine
from app.progress import show_progress
from app.settings import Settings

_OTHER_ENDINGS: Final = (".csv", ".jsonl")


def classify_on_ray(
    paths: Sequence[Place],
    recursive: bool,
    out: Place,
    asked: Asked,
    settings: Settings,
    deadline_seconds: float | None,
    address: str,
    workers: int | None,
) -> int:
    """Classify the files that a folder of partitions has no answers of yet, and add them to it.

    Args:
        paths: files and folders, or URLs of them, that every node can read.
        recursive: whether to look into the folders of folders too.
        out: the folder or URL, which every node can write to.
        asked: what its rows hold.
        settings: the service's, whose limits hold here too.
        deadline_seconds: how long a file may take, where that is not what the settings say.
        address: the cluster's.
        workers: how many compute processes at the most; one a processor of the cluster where None.

    Returns:
        The exit status: 1 where files have no answer, 130 where Ctrl-C ended this, otherwise 0.

    Raises:
        BulkError: a path does not exist, or the folder cannot be written, or is another table, or
            the cluster cannot do the work.
        HarkError: the model cannot be loaded.
        OSError: the folder cannot be written.
    """
    if str(out).endswith(_OTHER_ENDINGS):
        raise BulkError(f"--out {out}: --ray writes a folder of Parquet files. Name a folder.")
    check_engine(settings.engine)
    found = find_files(paths, recursive=recursive)
    found.files = [AudioFile(_everywhere(file.path), file.name) for file in found.files]
    partitions = Partitions(_everywhere(out), asked)
    kept = partitions.resume()
    means = Means.of(settings, deadline_seconds, are_remote=found.are_remote)
    cluster = Cluster(address, means, workers)
    return _Run(found, out, cluster, partitions, kept).run()


def _everywhere(path: Place) -> Place:
    """Return a path that does not depend on the folder that a process is in."""
    return path if isinstance(path, Remote) else path.absolute()


class _Run:
    """A run from what a table holds already to its end.

    Args:
        found: all files that the table is to have.
        out: the folder, as the person named it.
        cluster: who does the work.
        partitions: the table.
        kept: what it holds.
    """

    def __init__(
        self, found: Found, out: Place, cluster: Cluster, partitions: Partitions, kept: Kept
    ) -> None:
        self._found = found
        self._out = out
        self._cluster = cluster
        self._partitions = partitions
        self._kept = kept
        self._tally = Tally()

    def run(self) -> int:
        """Do what is left, say how it went, and return the exit status."""
        for sentence in self._found.sentences():
            say(sentence)
        files, kept = self._found.files, self._kept
        again = {name for names in kept.again.values() for name in names}
        n_kept = sum(file.name in kept.names and file.name not in again for file in files)
        failed_before = sum(file.name in kept.failed and file.name not in again for file in files)
        if n_kept:
            say(f"{in_words(n_kept)} of {len(files)} in {self._out} already.")
        try:
            self._partitions.clear()
            if n_kept < len(files):
                self._classify(len(files) - n_kept)
                self._partitions.clear()
        except KeyboardInterrupt:
            say_what_stopped(n_kept + self._tally.n_done, len(files))
            return INTERRUPTED
        self._tally.sum_up(self._out, failed_before)
        return 1 if self._tally.failed or failed_before or self._found.unreadable else 0

    def _classify(self, n_files: int) -> None:
        with show_progress(Console(stderr=True)) as begin:
            advance = begin("classifying", n_files)
            for done in self._cluster.classify(
                self._found.files, self._kept, self._partitions, self._tally.start
            ):
                self._note(done)
                for _ in range(done.n_files):
                    advance(self._tally.note)

    def _note(self, done: Done) -> None:
        self._tally.failed.update(done.failed)
        self._tally.add(done.n_files - done.failed.total(), done.audio_seconds)
