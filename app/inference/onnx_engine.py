"""The onnx engine: the same weights through ONNX Runtime, without TensorFlow."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.errors import CorruptArtifactError
from app.inference.artifact import ADVICE, place_of
from app.inference.engine import check_shape_taken

_ERRORS_ONLY = 3


class OnnxEngine:
    """An ONNX model in ONNX Runtime, on one thread.

    Args:
        path: a `.onnx` file: a graph of operators, no code.
        feature_shape: shape of one window's features.

    Raises:
        CorruptArtifactError: ONNX Runtime cannot load the file, or it takes other features.
    """

    def __init__(self, path: Path, feature_shape: tuple[int, ...]) -> None:
        import onnxruntime  # not above: to import this module does no work

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1  # a service's parallelism comes from its processes
        options.inter_op_num_threads = 1
        options.enable_cpu_mem_arena = False  # glibc keeps what is freed already
        options.log_severity_level = _ERRORS_ONLY
        try:
            self._session = onnxruntime.InferenceSession(
                path.read_bytes(), options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # its exceptions have no base of their own
            raise CorruptArtifactError(
                f"{place_of(path.parent)}: {path.name}: ONNX Runtime cannot load the model "
                f"({str(error).splitlines()[0]}). {ADVICE}"
            ) from error
        (taken, *others) = self._session.get_inputs()
        shape = tuple(taken.shape[1:]) if not others else None
        check_shape_taken(path, shape, feature_shape)
        self._input = taken.name

    def predict(self, features: NDArray[np.float32]) -> NDArray[np.float32]:
        """Map features `[n, *feature_shape]` to probabilities `[n, n_labels]`, both float32."""
        (probabilities,) = self._session.run(None, {self._input: features})
        result: NDArray[np.float32] = probabilities
        return result
