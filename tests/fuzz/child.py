"""The process in which libFuzzer runs: `python -m tests.fuzz.child TARGET LOGBOOK OPTION...`.

Started by `run.py`. By hand it tries one input again, where FILE is the option and LOGBOOK any new
file.
"""

import importlib
import logging
import os
import sys
import time
import traceback
import zlib
from pathlib import Path
from typing import Any, Final

from tests.fuzz.logbook import Logbook

# So that neither mypy nor an environment without it minds.
atheris: Any = importlib.import_module("atheris")

# libFuzzer sees the branches of Python that Atheris tells it of. What an input brings about in C
# is told in the same way: each note is a branch, one of so many.
_NOTES: Final = 4_096
INSTRUMENTED: Final = ["app", "python_multipart"]


def main() -> None:
    name, logbook_path, *options = sys.argv[1:]
    # libmpg123 writes to standard error, of which libFuzzer keeps a copy for itself and which it
    # then closes (close_fd_mask); this is ours.
    report = os.fdopen(os.dup(2), "w")
    with atheris.instrument_imports(include=INSTRUMENTED):
        target = importlib.import_module(f"tests.fuzz.fuzz_{name}").TARGET
    logging.disable()  # python-multipart has a line for each body that breaks its rules
    logbook = Logbook(Path(logbook_path), target.outcomes, target.max_bytes)
    branches = [atheris._reserve_counter() for _ in range(_NOTES)]

    def note(what: str) -> None:
        atheris._trace_branch(branches[zlib.crc32(what.encode()) % _NOTES])

    def try_input(data: bytes) -> None:
        logbook.begin(data)
        started = time.perf_counter()
        try:
            outcome = target.check(data, note)
        except BaseException:
            traceback.print_exc(file=report)
            report.flush()
            raise
        logbook.end(outcome, time.perf_counter() - started)

    def damage(data: bytes, max_size: int, seed: int) -> bytes:
        damaged: bytes = atheris.Mutate(data, max_size)
        return target.mend(damaged) if seed % 2 else damaged

    mutator = {"custom_mutator": damage} if target.mend else {}
    atheris.Setup([sys.argv[0], f"-max_len={target.max_bytes}", *options], try_input, **mutator)
    atheris.Fuzz()


if __name__ == "__main__":
    main()
