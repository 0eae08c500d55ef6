"""Code run in a Python of its own, where nothing has been imported yet."""

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]


def run_python(
    code: str, *arguments: str, folder: Path = ROOT, settings: Mapping[str, str] | None = None
) -> str:
    """Run `code` in a fresh interpreter, in `folder`, and return what it printed.

    It sees no HARK_* variable of this process, but those in `settings`, and finds its home and its
    place for temporary files in `folder` too. What it writes to standard error fails the test.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith("HARK_")}
    environment = {
        **kept,
        "PYTHONPATH": str(ROOT),
        "PYTHONDONTWRITEBYTECODE": "1",
        "HOME": str(folder),
        "TMPDIR": str(folder),
        **(settings or {}),
    }
    result = subprocess.run(
        [sys.executable, "-c", code, *arguments],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert (result.returncode, result.stderr) == (0, "")
    return result.stdout
