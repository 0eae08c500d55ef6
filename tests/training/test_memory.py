"""Memory that a process keeps is not cleared by the system again."""

import subprocess
import sys

import pytest

STEPS = """
import resource
import sys
import numpy as np
from training.memory import keep_freed_memory

if sys.argv[1] == "kept":
    keep_freed_memory()
for _ in range(50):
    tensors = [np.full(2_000_000, 1.0) for _ in range(8)]
    del tensors
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt)
"""


def pages_cleared(how: str) -> int:
    result = subprocess.run(
        [sys.executable, "-c", STEPS, how], capture_output=True, text=True, check=True
    )
    return int(result.stdout)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="only glibc's malloc is told so")
def test_what_one_step_frees_the_next_one_uses() -> None:
    assert pages_cleared("kept") < pages_cleared("as it is") / 5
