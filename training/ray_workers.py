"""Workers of a Ray cluster: pieces of work on other machines, or on several processes of this one.

A node that dies takes what it was doing with it, and Ray has another do that again. Nothing of a
result depends on the node: each piece gets the number of threads that it would have here.
"""

import importlib.util
import os
import secrets
import signal
import socket
from collections.abc import Callable, Iterator, Sequence
from contextlib import chdir, contextmanager, nullcontext
from pathlib import Path
from typing import Any, Final

from app.inference.threads import available_processors
from training.run_error import RunError
from training.workers import Piece, Places, Result, Shared, thread_environment

HERE: Final = "local"  # the address that has Ray started on this machine
_RETRIES: Final = 5  # of a piece whose node or process died
_FILES_A_TASK: Final = 8
_PATIENCE_SECONDS: Final = 10  # until a cluster takes a connection


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
            f"the Ray cluster cannot do the work ({_first_line(error)}): check that this version "
            "of hark[train,ray] is installed on every node"
        ) from error
    except ray.exceptions.RayError as error:
        raise RunError(
            f"the Ray cluster lost a piece of work {_RETRIES + 1} times ({_first_line(error)}): "
            "see the logs of its nodes, which may lack memory"
        ) from error


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


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
        address: `local` to start one, `auto` for one that runs on this machine, else `host:port`
            or `ray://host:port`.
        threads: how many threads a fit computes on; as many as this machine has processors, which
            is what a fit takes here, where None.

    Raises:
        RunError: Ray is not installed, or does not answer at the address, or no node has so many
            processors.
    """
    ray = _ray(address)
    n_threads = threads or available_processors()
    try:
        _check_answers(address)
        on_a_polite_kill = signal.getsignal(signal.SIGTERM)  # Ray takes it, to end at once
        ray.init(address=address, log_to_driver=False, logging_level="ERROR", **_options(address))
        signal.signal(signal.SIGTERM, on_a_polite_kill)
    except (OSError, ValueError, RuntimeError) as error:
        raise RunError(
            f"no Ray cluster can be joined at {address} ({_first_line(error)}): start one by "
            "`ray start --head`, or leave out the address to start one on this machine"
        ) from error
    try:
        nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
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
    finally:
        ray.shutdown()


def _ray(address: str) -> Any:
    """Import Ray, which reads the environment as it is imported."""
    if importlib.util.find_spec("ray") is None:
        raise RunError("--ray needs Ray, which is not installed: pip install 'hark[ray]'")
    os.environ["RAY_USAGE_STATS_ENABLED"] = "0"  # no request to its makers
    os.environ.setdefault("RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO", "0")  # no word on a later default
    if address == HERE:
        # Its processes listen on all interfaces, and do what whoever has the token tells them.
        os.environ.setdefault("RAY_AUTH_MODE", "token")
        os.environ.setdefault("RAY_AUTH_TOKEN", secrets.token_hex(32))
    import ray

    return ray


def _check_answers(address: str) -> None:
    """Refuse an address where nobody listens: Ray itself would try for minutes.

    Raises:
        OSError: nobody does.
        ValueError: it is no address.
    """
    if address in (HERE, "auto"):
        return
    host, colon, port = address.removeprefix("ray://").rpartition(":")
    if not colon or not port.isdecimal():
        raise ValueError("an address is auto, HOST:PORT or ray://HOST:PORT")
    socket.create_connection((host, int(port)), timeout=_PATIENCE_SECONDS).close()


def _options(address: str) -> dict[str, Any]:
    """Return how Ray is started, where it is: for this machine alone, with no dashboard."""
    if address != HERE:
        return {}
    return {
        "num_cpus": available_processors(),
        "include_dashboard": False,
        "_node_ip_address": "127.0.0.1",
    }
