"""One compute process as the HTTP process sees it: it computes, a call at a time, or is lost."""

import asyncio
import logging
import os
import socket
import sys
from collections.abc import Callable, Sequence
from typing import Any, Self, TypeVar, cast

from app.errors import DeadlineExceededError, WorkerCrashedError
from app.inference import messages, worker_main
from app.inference.threads import one_thread_environment

logger = logging.getLogger(__name__)

Argument = TypeVar("Argument")
Result = TypeVar("Result")


class WorkerProcess:
    """A process that runs `worker_main`, and the socket between.

    A pool's library would do more than is needed, between threads: a call through one of Pebble's
    took some 2 ms longer, on its way through three threads that wait for the interpreter's lock.

    Attributes:
        lost: set once the process is gone, or is of no more use.
    """

    def __init__(self, process: asyncio.subprocess.Process, channel: "_Channel") -> None:
        self._process = process
        self._channel = channel
        self.lost = channel.lost

    @classmethod
    async def start(cls, inherited: Sequence[int]) -> Self:
        """Start a process that inherits some file descriptors, under the same numbers."""
        ours, theirs = socket.socketpair()
        with theirs:
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-P",  # the folder that the service was started in holds no code for it
                *("-m", worker_main.__name__, str(theirs.fileno())),
                pass_fds=(theirs.fileno(), *inherited),
                env={**os.environ, **one_thread_environment()},
                stdin=asyncio.subprocess.DEVNULL,
                start_new_session=True,  # Ctrl-C asks the service to stop, which ends this in order
            )
        loop = asyncio.get_running_loop()
        _, channel = await loop.create_unix_connection(_Channel, sock=ours)
        return cls(process, channel)

    @property
    def process_id(self) -> int:
        """The number by which the system knows the process."""
        return self._process.pid

    async def call(
        self, function: Callable[[Argument], Result], argument: Argument, seconds: float
    ) -> Result:
        """Have the process call a function. One call at a time.

        Args:
            function: a function of a module.
            argument: what it is called with.
            seconds: how long that may take.

        Returns:
            What the function returned.

        Raises:
            WorkerCrashedError: the process died.
            DeadlineExceededError: it took longer than `seconds`; the process is ended.
            Exception: what the function raised.
        """
        answered = False
        try:
            async with asyncio.timeout(seconds):
                result, error = await self._channel.exchange((function, argument))
            answered = True
        except TimeoutError as timeout:
            raise DeadlineExceededError(
                f"The answer took longer than {seconds:.3g} seconds, and was given up. Send a "
                "shorter clip, or try again when the service is less busy."
            ) from timeout
        except ConnectionError as gone:
            raise WorkerCrashedError(
                "The process that computed this request died. Try once more; if it fails again, "
                "the file breaks the decoder: convert it to WAV."
            ) from gone
        finally:
            if not answered:  # whatever it is doing still, nobody waits for it
                self.kill()
        if error is not None:
            raise error
        answer: Result = result
        return answer

    def kill(self) -> None:
        """End the process at once, whatever it does."""
        self.lost.set()
        if self._process.returncode is None:
            self._process.kill()

    async def wait(self) -> None:
        """Return when the process is gone."""
        await self._process.wait()
        self._channel.close()


class _Channel(asyncio.Protocol):
    """The HTTP process's end of the socket: a message out, a message in."""

    def __init__(self) -> None:
        self.lost = asyncio.Event()
        self._transport: asyncio.Transport | None = None
        self._received = bytearray()
        self._reply: asyncio.Future[Any] | None = None

    async def exchange(self, content: object) -> Any:
        """Send a message and return the one that comes back.

        Raises:
            ConnectionError: the other side is gone.
        """
        if self._transport is None or self._transport.is_closing():
            raise ConnectionResetError
        self._reply = asyncio.get_running_loop().create_future()
        self._transport.write(messages.pack(content))
        return await self._reply

    def close(self) -> None:
        if self._transport is not None:
            self._transport.close()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's is one in all but name

    def data_received(self, data: bytes) -> None:
        self._received += data
        try:
            reply = messages.take_answer(self._received)
        except messages.UnexpectedMessageError:
            logger.exception("a compute process sent what is no answer, and is ended")
            self.close()
            return
        if reply is not None and self._reply is not None and not self._reply.done():
            self._reply.set_result(reply)

    def connection_lost(self, _error: Exception | None) -> None:
        self.lost.set()
        if self._reply is not None and not self._reply.done():
            self._reply.set_exception(ConnectionResetError())
