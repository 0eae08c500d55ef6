"""What a compute process runs: jobs that it takes from a socket, one after the other.

    python -m app.inference.worker_main CHANNEL JOBS

It ends when the HTTP process is gone, so that it outlives the service in no case.
"""

import faulthandler
import os
import socket
import sys
import time
import traceback
from collections.abc import Callable
from typing import Final, TypeVar

from app.errors import DeadlineExceededError, HarkError, OutOfMemoryError
from app.inference import compute, messages
from app.inference.memory import keep_freed_memory

# The HTTP process goes first where processors are short: it answers many, and needs little.
_NICENESS: Final = 5

Argument = TypeVar("Argument")
Result = TypeVar("Result")


def main() -> None:
    """Serve from the two sockets whose descriptors the command line names."""
    channel, jobs = (socket.socket(fileno=int(descriptor)) for descriptor in sys.argv[1:3])
    keep_freed_memory()
    os.nice(_NICENESS)
    started = False
    while not started:
        told = channel.recv(messages.MAX_PACKET_BYTES)
        if not told:
            return
        load_seconds, error = _outcome(compute.start, messages.unpack_down(told))
        channel.sendall(messages.pack_up(messages.Started(error, load_seconds or {})))
        started = error is None
    _silence_decoders()
    _serve(channel, jobs)


def _silence_decoders() -> None:
    """Drop what C libraries write to standard output and error, but for the trace of a crash.

    libmpg123 complains there of each damaged frame, so that a client could fill the log.
    """
    faulthandler.enable(os.fdopen(os.dup(sys.stderr.fileno()), "w"))
    with open(os.devnull, "w") as nowhere:  # noqa: PTH123  # no path, a device
        for standard in (sys.stdout, sys.stderr):
            os.dup2(nowhere.fileno(), standard.fileno())


def _serve(channel: socket.socket, jobs: socket.socket) -> None:
    """Take jobs and answer them, until the HTTP process is gone.

    An answer is held back until the next job is taken, if one is waiting: so that this process goes
    on without a pause, and the other one is woken once for both.
    """
    answer: messages.Answer | None = None
    while True:
        try:
            packet = jobs.recv(messages.MAX_PACKET_BYTES, socket.MSG_DONTWAIT if answer else 0)
        except BlockingIOError:
            channel.sendall(messages.pack_up(messages.Progress(answer, taken=None)))
            answer = None
            continue
        if not packet:
            return
        numbered: messages.NumberedJob = messages.unpack_down(packet)
        channel.sendall(messages.pack_up(messages.Progress(answer, numbered.number)))
        if time.monotonic() < numbered.give_up_at:
            answer = messages.Answer(numbered.number, *_outcome(compute.classify, numbered.job))
        else:
            late = DeadlineExceededError("The request was given up before its turn came.")
            answer = messages.Answer(numbered.number, None, late)
        if isinstance(answer.error, OutOfMemoryError):
            # What is left of a process that could not allocate is not to be relied on.
            channel.sendall(messages.pack_up(messages.Progress(answer, taken=None)))
            return


def _outcome(
    function: Callable[[Argument], Result], argument: Argument
) -> tuple[Result | None, Exception | None]:
    """Call a function, and return what it returned or raised."""
    try:
        return function(argument), None
    except HarkError as error:
        return None, error
    except MemoryError:
        return None, OutOfMemoryError(
            "The audio needs more memory than a compute process may take. Send a shorter piece, "
            "or one with a lower sample rate."
        )
    except Exception as error:
        # The trace does not travel by itself; and not every exception survives being pickled.
        return None, RuntimeError(f"{error!r}\n{traceback.format_exc()}")


if __name__ == "__main__":
    main()
