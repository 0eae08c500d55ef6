"""Keras, imported after TensorFlow, which it would otherwise import with all its noise."""

from app.inference.tensorflow_import import import_tensorflow

tensorflow = import_tensorflow()

import keras  # noqa: E402
from keras import layers  # noqa: E402

# A process fits many models, and each is traced anew: TensorFlow takes that for a mistake.
tensorflow.get_logger().setLevel("ERROR")

__all__ = ["keras", "layers", "tensorflow"]
