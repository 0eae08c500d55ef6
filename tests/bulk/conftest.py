"""Folders of sounds, and `hark classify --out` on them as a person runs it."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.hostile.forge import silent_flac
from tests.tiny_model import sound, wav

N_CLIPS = 12
# Some half of a second of work, in the middle of the folder's order.
SLOW = "clip-m-slow.flac"


def hark_classify(*arguments: str | Path, **settings: str) -> subprocess.CompletedProcess[str]:
    """Run the command to its end."""
    return subprocess.run(
        command(*arguments),
        env={**os.environ, **settings},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@contextmanager
def running(*arguments: str | Path) -> Iterator[subprocess.Popen[str]]:
    """Start the command, and let nothing of it outlive the context."""
    with subprocess.Popen(command(*arguments), stderr=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def command(*arguments: str | Path) -> list[str]:
    """Return the command line: two processes, on the engine that starts in no time."""
    options = ("--engine", "onnx", "--workers", "2")
    return [sys.executable, "-m", "app.cli", "classify", *map(str, arguments), *options]


@pytest.fixture(scope="package")
def sounds(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with folders, of clips and of what only looks like clips."""
    folder = tmp_path_factory.mktemp("sounds")
    for index in range(N_CLIPS):
        place = folder / ("a/deep" if index % 4 == 0 else ".")
        place.mkdir(parents=True, exist_ok=True)
        label = ("tone", "noise", "clicks")[index % 3]
        (place / f"clip-{chr(ord('a') + 2 * index)}.wav").write_bytes(wav(sound(label, index)))
    (folder / SLOW).write_bytes(silent_flac(120, 96_000, 8))
    (folder / "empty.wav").write_bytes(b"")
    (folder / "text.wav").write_text("not a sound")
    (folder / "z-gone.mp3").symlink_to("nowhere.mp3")
    (folder / "readme.txt").write_text("not called as audio is")
    (folder / ".hidden.wav").write_bytes(wav(sound("tone", 99)))
    (folder / ".hidden").mkdir()
    (folder / ".hidden" / "clip.wav").write_bytes(wav(sound("tone", 99)))
    return folder
