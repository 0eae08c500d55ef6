"""Workers: what becomes of a run whose processes are ended from outside."""

import os
import signal

import pytest

from training.run_error import RunError
from training.workers import ProcessPool


def _end_at(fatal: int, piece: int) -> int:
    if piece == fatal:
        os.kill(os.getpid(), signal.SIGKILL)
    return piece


def test_pieces_come_in_order() -> None:
    assert list(ProcessPool(2).run(_end_at, -1, range(20))) == list(range(20))


def test_a_process_that_is_ended_is_told_in_one_sentence() -> None:
    """As the system ends one where memory runs out."""
    with pytest.raises(RunError, match=r"has ended; .*memory runs out"):
        list(ProcessPool(1).run(_end_at, 9, range(20)))
