"""A model store with versions that answer differently, made from the shipped one without training.

A further version has the files of version 1 and its labels turned by as many places as its number
is above 1: so each answer tells by which version it was made. The probe stays valid, since it
compares probabilities in order.
"""

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

from app.settings import DEFAULT_MODEL_STORE
from tests.conftest import SAMPLES
from tests.tiny_model import edit_manifest, read_manifest_json

NAME: Final = "urbansound"
SHIPPED: Final = DEFAULT_MODEL_STORE / NAME / "1"
LABELS: Final[list[str]] = json.loads((SHIPPED / "manifest.json").read_bytes())["labels"]
SIREN: Final = (SAMPLES / "siren.wav").read_bytes()  # what version 1 calls a siren

Damage = Callable[[Path], None]


class TwoVersions:
    """A store in a folder of its own; begins with version 1 of the shipped model.

    Args:
        root: the folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.add(1)

    def add(self, version: int, name: str = NAME, damage: Damage | None = None) -> Path:
        """Write a version into a hidden folder, and rename it into place, as export does."""
        folder = self.root / name / str(version)
        hidden = self.root / name / f".partial-{version}"
        shutil.copytree(SHIPPED, hidden)
        edit_manifest(hidden, name=name, version=version, labels=labels_of(version))
        if damage is not None:
            damage(hidden)
        return hidden.rename(folder)

    def remove(self, version: int, name: str = NAME) -> None:
        """Take a version away."""
        shutil.rmtree(self.root / name / str(version))

    def write_aliases(self, content: Mapping[str, object] | str, name: str = NAME) -> None:
        """Write the file of aliases, whether it is valid or not."""
        text = content if isinstance(content, str) else json.dumps(content)
        (self.root / name / "aliases.json").write_text(text)

    def remove_model(self, name: str) -> None:
        """Take a model away with all its versions."""
        shutil.rmtree(self.root / name, ignore_errors=True)

    def reset(self) -> None:
        """Go back to version 1 alone, and no aliases."""
        for path in (self.root / NAME).iterdir():
            if path.is_file():
                path.unlink()
            elif path.name != "1":
                shutil.rmtree(path)

    def hark_models(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run `hark models` on the store."""
        return hark("models", "--store", str(self.root), *arguments)


def hark(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the command line in a process of its own."""
    return subprocess.run(
        [sys.executable, "-m", "app.cli", *arguments],
        env={**os.environ, "COLUMNS": "200"},  # tables are cut where they have no room
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def labels_of(version: int) -> list[str]:
    """Return a version's labels in the order of its outputs."""
    places = (version - 1) % len(LABELS)
    return LABELS[places:] + LABELS[:places]


def label_of_siren(version: int) -> str:
    """Return what a version calls the sound that version 1 calls a siren."""
    return labels_of(version)[LABELS.index("siren")]


def with_flipped_byte(name: str) -> Damage:
    """Change one byte in the middle of a file."""

    def damage(version: Path) -> None:
        data = bytearray((version / name).read_bytes())
        data[len(data) // 2] ^= 0xFF
        (version / name).write_bytes(data)

    return damage


def without_file(name: str) -> Damage:
    """Leave a file out."""
    return lambda version: (version / name).unlink()


def with_other_probe(version: Path) -> None:
    """Have the manifest promise another answer: only a process that computes finds out."""
    probe = read_manifest_json(version)["probe"]
    edit_manifest(version, probe={**probe, "probabilities": probe["probabilities"][::-1]})


def eventually(condition: Callable[[], bool], seconds: float = 30) -> bool:
    """Wait until something is so, and return whether it became so."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.05)
    return True
