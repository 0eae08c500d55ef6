"""Source code: what a digest of it is taken of, since other code gives other results."""

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType


def source_code(package: ModuleType) -> Iterator[bytes]:
    """Yield the bytes of each module of a package, in a stable order."""
    for path in sorted(Path(package.__path__[0]).rglob("*.py")):
        yield path.read_bytes()
