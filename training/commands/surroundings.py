"""Where and how a command works: threads, a Ray cluster, interruptions."""

import importlib.util
import os
import shlex
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import typer

from training.commands.output import complain
from training.interruption import killed_as_by_ctrl_c
from training.ray_workers import cluster
from training.run_error import RunError
from training.workers import THIS_MACHINE, Places, thread_environment


@contextmanager
def to_be_resumed(option: str | None = "--resume") -> Iterator[None]:
    """Say how to go on, and exit with status 130, when Ctrl-C or a kill ends the work.

    Args:
        option: what the command is to be given to go on; None where it does so by itself.
    """
    try:
        with killed_as_by_ctrl_c():
            yield
    except KeyboardInterrupt:
        command = command_line() if option is None else f"{command_line()} {option}"
        complain(f"interrupted; what is done is kept. Go on with: {command}")
        raise typer.Exit(130) from None


def compute_on(threads: int | None) -> None:
    """Have TensorFlow, where it is not imported yet, compute on so many threads."""
    if threads is not None:
        os.environ.update(thread_environment(threads))


def check_tensorboard(folder: Path | None) -> None:
    """Refuse curves that could not be written, before hours of work."""
    if folder is not None and importlib.util.find_spec("tensorboard") is None:
        raise RunError(
            "--tensorboard needs TensorBoard, which is not installed: pip install "
            "'hark[tensorboard]'"
        )


@contextmanager
def work_places(ray: str | None, threads: int | None) -> Iterator[Places]:
    """Return who works: this machine, or a Ray cluster while the context lasts."""
    if ray is None:
        yield THIS_MACHINE
        return
    with cluster(ray, threads) as places:
        yield places


def command_line() -> str:
    """Return the command that this process runs, as it begins anew."""
    return shlex.join(["hark-train", *(each for each in sys.argv[1:] if each != "--resume")])
