"""A Keras model as an ONNX file: the same weights, for ONNX Runtime."""

from pathlib import Path
from typing import Any, Final

from app.inference.tensorflow_import import import_tensorflow

# Old enough for runtimes of several years, new enough for every layer that the recipes use.
_OPSET: Final = 17


def write_onnx(model: Any, path: Path) -> None:
    """Convert a Keras model of one input and one output, and write it to `path`.

    `model.export(format="onnx")` would do, but for constants of layers such as Normalization,
    which it takes for further inputs (Keras 3.15, tf2onnx 1.17): here they are frozen first.
    """
    tensorflow = import_tensorflow()
    import tf2onnx

    signature = tensorflow.TensorSpec(model.input_shape, tensorflow.float32, name="features")

    @tensorflow.function(input_signature=[signature])  # type: ignore[untyped-decorator]
    def probabilities(features: Any) -> Any:
        return model(features, training=False)

    function = probabilities.get_concrete_function()
    inputs, outputs = ["features:0"], [function.outputs[0].name]
    logger = tensorflow.get_logger()
    level = logger.level
    logger.setLevel("ERROR")  # tf2onnx calls what TensorFlow holds to be deprecated, and is told so
    try:
        frozen = tf2onnx.tf_loader.from_function(function, inputs, outputs)
        tf2onnx.convert.from_graph_def(
            frozen, input_names=inputs, output_names=outputs, opset=_OPSET, output_path=str(path)
        )
    finally:
        logger.setLevel(level)
