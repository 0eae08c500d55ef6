"""Importing TensorFlow without the lines that it writes to standard error whatever it is told."""

import os
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


def import_tensorflow() -> Any:
    """Import and return TensorFlow, quietly, and let Keras run on it.

    Must come before the first `import keras` of a process.
    """
    if "tensorflow" not in sys.modules:
        os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
        os.environ.setdefault("KERAS_BACKEND", "tensorflow")
        with _held_back_stderr():
            import tensorflow  # noqa: F401
    return sys.modules["tensorflow"]


@contextmanager
def _held_back_stderr() -> Iterator[None]:
    """Hold back what C code writes to standard error; let it through where an exception ends it.

    TensorFlow 2.21 announces its CPU features before it reads its own log level.
    """
    sys.stderr.flush()
    saved = os.dup(2)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), 2)
        try:
            yield
        except BaseException:
            held.seek(0)
            os.write(saved, held.read())
            raise
        finally:
            os.dup2(saved, 2)
            os.close(saved)
