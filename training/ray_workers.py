"""Workers of a Ray cluster: pieces of work on other machines, or on several processes of this one.

A node that dies takes what it was doing with it, and Ray has another do that again. Nothing of a
result depends on the node: each piece gets the number of threads that it would have here.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, chdir, contextmanager, nullcontext
from pathlib import Path
from typing import Any, Final

from app.errors import first_line
from app.inference.threads import available_processors
from app.ray_cluster import ClusterError, joined, live_nodes
from training.run_error import RunError
from training.workers import Piece, Places, Result, Shared, thread_environment

_RETRIES: Final = 5  # of a piece whose node or process died
_FILES_A_TASK: Final = 8


class RayWorkers:
    """Does pieces on the cluster that this process has joined.

    Args:
        threads: how many threads a piece computes on, and so how many processors it takes.
        gpus: how many GPUs it takes.
        pieces_a_task: how many pieces go out together: where they are short, several.
    """

    def __init__(self, threads: int, gpus: int = 0, pieces_a_task: int = 1) -> None:
        self._threads = threads
        self._gpus = gpus
        self._pieces_a_task = pieces_a_task
        self._carried: tuple[Any, Any] | None = None

    def run(
        self,
        work: Callable[[Shared, Piece], Result],
        shared: Shared,
        pieces: Sequence[Piece],
    ) -> Iterator[Result]:
        """Do all pieces; arguments as those of `Workers`.

        Raises:
            RunError: the cluster cannot do them: no node has enough processors, nodes keep dying,
                or are without Hark.
        """
        import ray

        task = ray.remote(_do).options(
            num_cpus=self._threads,
            num_gpus=self._gpus,
            max_retries=_RETRIES,
            runtime_env={"env_vars": thread_environment(self._threads)},
        )
        carried = self._carry(shared)
        size = self._pieces_a_task
        tasks = [
            task.remote(work, carried, pieces[start : start + size], Path.cwd())
            for start in range(0, len(pieces), size)
        ]
        for each in tasks:
            yield from _result(each)

    def _carry(self, shared: Any) -> Any:
        """Put what pieces share where all nodes find it; once, however often it is worked on."""
        import ray

        if self._carried is None or self._carried[0] is not shared:
            self._carried = (shared, ray.put(shared))
        return self._carried[1]


def _result(task: Any) -> Any:
    import ray

    try:
        return ray.get(task)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, ModuleNotFoundError):
            raise RunError(
                f"a node of the Ray cluster lacks a part of Hark ({error.cause}): install this "
                "version of hark[train,ray] on every node"
            ) from error
        raise error.cause from error
    except ray.exceptions.RaySystemError as error:
        raise RunError(
            f"the Ray cluster cannot do the work ({first_line(error)}): check that this version "
            "of hark[train,ray] is installed on every node"
        ) from error
    except ray.exceptions.RayError as error:
        raise RunError(
            f"the Ray cluster lost a piece of work {_RETRIES + 1} times ({first_line(error)}): "
            "see the logs of its nodes, which may lack memory"
        ) from error


def _do(
    work: Callable[[Any, Any], Any], shared: Any, pieces: Sequence[Any], folder: Path
) -> list[Any]:
    """Do pieces, on a node: in the folder where the command runs, so that paths mean the same."""
    with chdir(folder) if folder.is_dir() else nullcontext():
        return [work(shared, piece) for piece in pieces]


@contextmanager
def cluster(address: str, threads: int | None = None) -> Iterator[Places]:
    """Join a Ray cluster, or start one on this machine, while the context lasts.

    Args:
        address: as that of `app.ray_cluster.joined`.
        threads: how many threads a fit computes on; as many as this machine has processors, which
            is what a fit takes here, where None.

    Raises:
        RunError: Ray is not installed, or does not answer at the address, or no node has so many
            processors.
    """
    n_threads = threads or available_processors()
    with ExitStack() as stack:
        try:
            ray = stack.enter_context(joined(address, available_processors()))
        except ClusterError as error:
            raise RunError(str(error)) from error
        nodes = live_nodes(ray)
        if not any(node.get("CPU", 0) >= n_threads for node in nodes):
            raise RunError(
                f"no node of the Ray cluster has the {n_threads} processors that a fit takes: "
                "set fewer by --threads"
            )
        gpus = 1 if any(node.get("GPU", 0) for node in nodes) else 0
        yield Places(
            files=RayWorkers(threads=1, pieces_a_task=_FILES_A_TASK),
            fits=RayWorkers(n_threads, gpus),
        )
