"""Files a second of `hark classify`: one by one in one process, and with --out in several.

    python -m benchmarks.bulk --engine onnx

The start of the processes counts, as it does for who waits: the more files, the less of it.
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Annotated

import typer

from benchmarks.clips import clip


def main(
    files: Annotated[int, typer.Option(help="How many clips of four seconds.", min=1)] = 500,
    engine: Annotated[str, typer.Option(help="keras or onnx.")] = "onnx",
    workers: Annotated[int, typer.Option(help="Compute processes.", min=1)] = 2,
) -> None:
    """Classify the same clips in both ways, and print how long each took."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name) / "clips"
        folder.mkdir()
        data = clip("wav")
        for index in range(files):
            (folder / f"{index:06}.wav").write_bytes(data)
        command = ("classify", str(folder), "--engine", engine)
        one_by_one = _seconds(*command, "--json")
        into_table = _seconds(
            *(*command, "--out", str(Path(name) / "results.csv"), "--workers", str(workers))
        )
    print(f"one by one: {one_by_one:.1f} s, {files / one_by_one:.0f} files a second")
    print(f"--out, {workers} workers: {into_table:.1f} s, {files / into_table:.0f} files a second")
    print(f"ratio: {one_by_one / into_table:.2f}")


def _seconds(*arguments: str) -> float:
    started = time.perf_counter()
    subprocess.run(
        [sys.executable, "-m", "app.cli", *arguments], check=True, stdout=subprocess.DEVNULL
    )
    return time.perf_counter() - started


if __name__ == "__main__":
    typer.run(main)
