"""The keras engine: a `.keras` model through TensorFlow."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from app.errors import CorruptArtifactError
from app.inference.artifact import ADVICE, place_of
from app.inference.engine import check_shape_taken
from app.inference.tensorflow_import import import_tensorflow


class KerasEngine:
    """A Keras model as one traced TensorFlow function, on one thread.

    `model.predict` builds a data pipeline for each call, and `model(x)` walks the layers in
    Python: 38 ms and 8 ms a clip where the traced function takes 0.7.

    Args:
        path: a `.keras` file. Loaded in Keras's safe mode: no code comes with a model.
        feature_shape: shape of one window's features.

    Raises:
        CorruptArtifactError: Keras cannot load the file, or it takes other features.
    """

    def __init__(self, path: Path, feature_shape: tuple[int, ...]) -> None:
        tensorflow = import_tensorflow()
        if not tensorflow.config.list_physical_devices("GPU"):
            _limit_threads(tensorflow)
        self._model = _load(path, feature_shape)
        signature = tensorflow.TensorSpec((None, *feature_shape), tensorflow.float32)
        traced = tensorflow.function(self._run, input_signature=[signature])
        self._function = traced.get_concrete_function()
        self._constant = tensorflow.constant

    def predict(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map features `[n, *feature_shape]` to probabilities `[n, n_labels]`, both float32."""
        probabilities: NDArray[np.float32] = self._function(self._constant(features)).numpy()
        return probabilities

    def _run(self, features: Any) -> Any:
        return self._model(features, training=False)


def _limit_threads(tensorflow: Any) -> None:
    """Compute on one thread: a service's parallelism comes from its processes."""
    try:
        tensorflow.config.threading.set_intra_op_parallelism_threads(1)
        tensorflow.config.threading.set_inter_op_parallelism_threads(1)
    except RuntimeError:
        pass  # TensorFlow is already at work in this process (training): its setting stands


def _load(path: Path, feature_shape: tuple[int, ...]) -> Any:
    import keras

    try:
        model = keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # Keras documents no exception types for damaged files
        reason = str(error).replace(str(path), path.name)
        raise CorruptArtifactError(
            f"{place_of(path.parent)}: {path.name}: Keras cannot load the model ({reason}). "
            f"{ADVICE}"
        ) from error
    # An unbuilt model has no input shape, and one of several inputs a list of them.
    shape = getattr(model, "input_shape", None)
    check_shape_taken(path, shape[1:] if isinstance(shape, tuple) else shape, feature_shape)
    return model
