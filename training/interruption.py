"""Interruption: what Ctrl-C, and a polite kill, do to a run."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def killed_as_by_ctrl_c() -> Iterator[None]:
    """Have SIGTERM raise KeyboardInterrupt while the context lasts, as SIGINT does."""

    def interrupt(_signal: int, _frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    before = signal.signal(signal.SIGTERM, interrupt)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)
