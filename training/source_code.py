"""Hark's source code and its libraries' versions: digests are taken of what decides a result."""

from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import ModuleType
from typing import Final

# What comes between a file's bytes and its features: decoders, transforms, tables, colours.
FEATURE_LIBRARIES: Final = (
    *("numpy", "scipy", "soundfile", "soxr", "av", "librosa", "PyWavelets", "matplotlib"),
)


def source_code(package: ModuleType) -> Iterator[bytes]:
    """Yield the bytes of each module of a package, in a stable order."""
    for path in sorted(Path(package.__path__[0]).rglob("*.py")):
        yield path.read_bytes()


def versions(libraries: Iterable[str]) -> list[tuple[str, str]]:
    """Return which version there is of each library that is installed."""
    found = []
    for name in libraries:
        try:
            found.append((name, version(name)))
        except PackageNotFoundError:
            continue
    return found
