"""Faults on demand: what the fuzzer's own tests are to find."""

import ctypes
import os
import signal
import time
from typing import Final

from tests.fuzz.targets import Note, Target, note_nothing

MEMORY_BYTES: Final = 5 << 28


def check(data: bytes, note: Note = note_nothing) -> str:
    """Fail as the first byte says.

    Raises:
        ValueError: if it says so.
    """
    note(f"{data[:1]!r}")
    match data[:1]:
        case b"E":
            raise ValueError("this is what the input asked for")
        case b"S":
            ctypes.string_at(0)
        case b"K":
            os.kill(os.getpid(), signal.SIGKILL)
        case b"T":
            time.sleep(60)
        case b"M":
            held = b"m" * MEMORY_BYTES
            time.sleep(15)  # libFuzzer looks once a second
            del held
    return "fine"


def seeds() -> dict[str, bytes]:
    """Return what the environment says is to be tried."""
    return {"harmless": b"harmless", "fault": os.environ["HARK_FUZZ_FAULT"].encode()}


TARGET: Final = Target(check=check, outcomes=("fine",), seeds=seeds, words=(b"fine",), max_bytes=64)
