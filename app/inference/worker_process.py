"""One compute process as the HTTP process sees it: started, heard, and lost some day."""

import asyncio
import logging
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from typing import Self, cast

from app.errors import DeadlineExceededError, OutOfMemoryError, WorkerCrashedError
from app.inference import messages, worker_main
from app.inference.compute import Start
from app.inference.store import ModelReference
from app.inference.threads import one_thread_environment

logger = logging.getLogger(__name__)

OnProgress = Callable[["WorkerProcess", messages.Progress], None]


class WorkerProcess:
    """A process that runs `worker_main`, and the socket to it.

    A pool's library would do more than is needed, between threads: a request through one of
    Pebble's took some 2 ms longer, on its way through three that wait for the interpreter's lock.

    Attributes:
        lost: set once the process is gone, or is of no more use.
    """

    def __init__(
        self, process: subprocess.Popen[bytes], channel: "_Channel", on_progress: OnProgress
    ) -> None:
        self._process = process
        self._channel = channel
        self._channel.on_progress = lambda progress: on_progress(self, progress)
        self.lost = channel.lost

    @classmethod
    async def start(cls, jobs: socket.socket, uploads: int, on_progress: OnProgress) -> Self:
        """Start a process.

        Args:
            jobs: the socket that it is to take jobs from.
            uploads: the descriptor of the memory that uploads lie in.
            on_progress: called with all that the process reports.
        """
        ours, theirs = socket.socketpair()
        with theirs:
            # Not through asyncio: uvloop forks, and runs what libraries have registered to be run
            # in a child (OpenTelemetry: a thread), in a process that is to be another program.
            process = subprocess.Popen(  # noqa: ASYNC220, S603
                [
                    sys.executable,
                    "-P",  # the folder that the service was started in holds no code for it
                    *("-m", worker_main.__name__, str(theirs.fileno()), str(jobs.fileno())),
                ],
                pass_fds=(theirs.fileno(), jobs.fileno(), uploads),
                env={**_environment(), **one_thread_environment()},
                stdin=subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C asks the service to stop, which ends this in order
            )
        try:
            loop = asyncio.get_running_loop()
            _, channel = await loop.create_unix_connection(_Channel, sock=ours)
        except BaseException:
            ours.close()
            process.kill()
            process.wait()
            raise
        return cls(process, channel, on_progress)

    @property
    def process_id(self) -> int:
        """The number by which the system knows the process."""
        return self._process.pid

    @property
    def cause_of_loss(self) -> str:
        """Why it is lost, once it is: crashed, hung, out_of_memory or unreadable."""
        return self._channel.cause_of_loss

    async def load(self, told: Start, seconds: float) -> dict[ModelReference, float]:
        """Have the process load its models; from then on it takes jobs.

        Returns:
            How many seconds each model took.

        Raises:
            ModelError: a model is refused; the process may be told again.
            WorkerCrashedError: the process died.
            DeadlineExceededError: it took longer than `seconds`; the process is ended.
        """
        try:
            async with asyncio.timeout(seconds):
                started = await self._channel.tell_start(messages.pack_down(told))
        except TimeoutError as timeout:
            self.kill()
            raise DeadlineExceededError(
                f"A compute process did not load its models within {seconds:.3g} seconds."
            ) from timeout
        except ConnectionError as gone:
            self.kill()
            raise WorkerCrashedError("A compute process died as it loaded its models.") from gone
        if started.error is not None:
            raise started.error
        return started.load_seconds

    def kill(self) -> None:
        """End the process at once, since it hangs."""
        if not self.lost.is_set():
            self._channel.cause_of_loss = "hung"
        self._kill()

    async def end(self) -> None:
        """End the process at once, and return when it is gone."""
        self._kill()
        await asyncio.to_thread(self._process.wait)
        self._channel.close()

    def _kill(self) -> None:
        self.lost.set()
        self._process.kill()


def _environment() -> dict[str, str]:
    """Return the environment but for the service's settings: decoders need know no secrets."""
    return {
        name: value for name, value in os.environ.items() if not name.startswith(("HARK_", "OTEL_"))
    }


class _Channel(asyncio.Protocol):
    """The HTTP process's end of a process's socket."""

    def __init__(self) -> None:
        self.lost = asyncio.Event()
        self.cause_of_loss = "crashed"  # unless something else is found
        self.on_progress: Callable[[messages.Progress], None] = lambda _progress: None
        self._transport: asyncio.Transport | None = None
        self._received = bytearray()
        self._started: asyncio.Future[messages.Started] | None = None

    async def tell_start(self, packet: bytes) -> messages.Started:
        """Send the message to start and return what comes back.

        Raises:
            ConnectionError: the process is gone.
        """
        if self._transport is None or self._transport.is_closing():
            raise ConnectionResetError
        self._started = asyncio.get_running_loop().create_future()
        self._transport.write(packet)
        return await self._started

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but name

    def data_received(self, data: bytes) -> None:
        self._received += data
        try:
            while (message := messages.take_up(self._received)) is not None:
                self._heed(message)
        except Exception:  # whatever it sent, or what came of taking it for an answer
            logger.exception("a compute process sent what is no answer, and is ended")
            self.cause_of_loss = "unreadable"
            self.close()

    def _heed(self, message: messages.Started | messages.Progress) -> None:
        if isinstance(message, messages.Progress):
            if message.answer is not None and isinstance(message.answer.error, OutOfMemoryError):
                self.cause_of_loss = "out_of_memory"  # after which it ends itself
            self.on_progress(message)
        elif self._started is not None and not self._started.done():
            self._started.set_result(message)

    def connection_lost(self, _error: Exception | None) -> None:
        self.lost.set()
        if self._started is not None and not self._started.done():
            self._started.set_exception(ConnectionResetError())
