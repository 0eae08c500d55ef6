"""What a compute process runs: calls that come through a socket, one after the other.

    python -m app.inference.worker_main DESCRIPTOR

It ends when the other side of the socket is gone, so that it outlives the service in no case.
"""

import socket
import sys
import traceback
from collections.abc import Callable
from typing import Any

from app.errors import HarkError
from app.inference import messages
from app.inference.memory import keep_freed_memory


def main() -> None:
    """Serve calls from the socket whose descriptor the command line names."""
    keep_freed_memory()
    channel = socket.socket(fileno=int(sys.argv[1]))
    with channel.makefile("rb") as stream:
        while True:
            try:
                function, argument = messages.read_call(stream)
            except EOFError:
                return
            channel.sendall(_outcome(function, argument))


def _outcome(function: Callable[[Any], Any], argument: Any) -> bytes:
    """Call a function, and pack what it returned or raised."""
    try:
        return messages.pack((function(argument), None))
    except HarkError as error:
        return messages.pack((None, error))
    except Exception as error:
        # The trace does not travel by itself; and not every exception survives being pickled.
        return messages.pack((None, RuntimeError(f"{error!r}\n{traceback.format_exc()}")))


if __name__ == "__main__":
    main()
