"""Dense networks over one vector a window: statistics of MFCCs, or MFCCs averaged over time."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from app.audio.spec import FrontEndSpec
from training.architectures.blocks import Hidden, normalized, probabilities
from training.keras_import import keras, layers


class DenseOptions(Hidden):
    """What a recipe may choose, beside the hidden layers themselves.

    `average_frames` makes a vector of `[coefficients, frames, channels]` by their mean over time.
    """

    average_frames: bool = False
    head_dropout: float = Field(0.0, ge=0, lt=1)


def build(
    front_end: FrontEndSpec,
    n_labels: int,
    options: Mapping[str, Any],
    training_features: NDArray[np.float32],
) -> keras.Model:
    """Return the untrained model; arguments as `Builder`'s."""
    chosen = DenseOptions.model_validate(dict(options))
    shape = front_end.feature_shape
    inputs = keras.Input(shape, name=front_end.features.kind)
    outputs = inputs
    if chosen.average_frames:
        if len(shape) != 3:
            raise ValueError(
                f"features of kind {front_end.features.kind} have no frames to average"
            )
        outputs = layers.Flatten()(keras.ops.mean(outputs, axis=2))
        training_features = training_features.mean(axis=2).reshape(len(training_features), -1)
    elif len(shape) != 1:
        raise ValueError(f"features of kind {front_end.features.kind} are no vectors")
    # With the training clips' statistics alone: a test clip's own would tell of the others in it.
    outputs = normalized(outputs, training_features, -1, "normalization")
    outputs = chosen.apply(outputs)
    outputs = probabilities(outputs, n_labels, chosen.head_dropout, chosen.regularizer())
    return keras.Model(inputs, outputs, name="dense")
