"""Engines: a model behind one small Protocol, features in, probabilities out.

Light: the HTTP process chooses an engine by name, and imports none.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, Protocol, get_args

from app.errors import CorruptArtifactError, EngineMissingError
from app.inference.artifact import ADVICE, Artifact, place_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

EngineName = Literal["keras", "onnx"]
ENGINES: Final[tuple[EngineName, ...]] = get_args(EngineName)

_LIBRARY: Final[dict[EngineName, str]] = {"keras": "tensorflow", "onnx": "onnxruntime"}


class Engine(Protocol):
    """Runs a model."""

    def predict(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map features `[n, *feature_shape]` to probabilities `[n, n_labels]`, both float32."""
        ...


def load_engine(name: EngineName, artifact: Artifact) -> Engine:
    """Load a version's model into an engine.

    Raises:
        EngineMissingError: the engine is not installed.
        CorruptArtifactError: the engine cannot load the model, or it takes other features.
    """
    check_engine(name)
    feature_shape = artifact.manifest.front_end_spec.feature_shape
    if name == "onnx":
        from app.inference.onnx_engine import OnnxEngine

        return OnnxEngine(artifact.onnx_path, feature_shape)
    from app.inference.keras_engine import KerasEngine

    return KerasEngine(artifact.keras_path, feature_shape)


def check_engine(name: EngineName) -> None:
    """Refuse an engine whose library is not installed; imports nothing.

    Raises:
        EngineMissingError: it is not.
    """
    if find_spec(_LIBRARY[name]) is None:
        others = [other for other, library in _LIBRARY.items() if find_spec(library)]
        choice = f", or set HARK_ENGINE={others[0]}" if others else ""
        raise EngineMissingError(
            f"The engine {name!r} needs {_LIBRARY[name]}, which is not installed here. "
            f"Install hark[{name}]{choice}."
        )


def check_shape_taken(path: Path, taken: object, feature_shape: tuple[int, ...]) -> None:
    """Refuse a model that takes other features than its front end makes.

    Raises:
        CorruptArtifactError: it does.
    """
    if taken != feature_shape:
        raise CorruptArtifactError(
            f"{place_of(path.parent)}: {path.name}: the model takes features of shape {taken}, its "
            f"front end makes {feature_shape}. {ADVICE}"
        )
