"""MobileNet, made for photographs, on pictures of sounds; with weights from a file, or from chance.

Source: Howard et al., "MobileNets: Efficient Convolutional Neural Networks for Mobile Vision
Applications", 2017. Weights are never fetched: a training that needs the network would give another
result on the day that it is away.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from app.audio.spec import FrontEndSpec
from training.architectures.blocks import Head
from training.keras_import import keras, layers


class MobilenetOptions(Head):
    """What a recipe may choose, beside the head.

    `weights` is a Keras weights file of the network without its top, as
    `keras.applications.MobileNet(include_top=False).save_weights(...)` writes it, for the same
    `alpha` (the network's width). `frozen_layers` is how many of its layers, from the first on,
    keep those weights.

    `batch_normalization_momentum` is how much each step keeps of the moving means and variances
    that a fitted network answers by. Keras's own network has 0.99, made for many thousands of
    steps: on a few hundred, its 27 such layers in a row lag behind the weights, and a network that
    has learned its training clips answers by chance.
    """

    weights: Path | None = None
    alpha: float = Field(1.0, gt=0)
    frozen_layers: int = Field(0, ge=0)
    batch_normalization_momentum: float = Field(0.9, ge=0, lt=1)


def build(
    front_end: FrontEndSpec,
    n_labels: int,
    options: Mapping[str, Any],
    training_features: NDArray[np.float32],  # its own normalisation is kept
) -> keras.Model:
    """Return the model; arguments as `Builder`'s. Pictures are scaled as MobileNet's own were."""
    chosen = MobilenetOptions.model_validate(dict(options))
    shape = front_end.feature_shape
    if len(shape) != 3 or shape[2] != 3:
        raise ValueError("MobileNet needs pictures in three colours: features of kind spectrogram")
    if chosen.frozen_layers and chosen.weights is None:
        raise ValueError("frozen_layers without weights would freeze what chance has made")
    network = keras.applications.MobileNet(
        input_shape=shape, alpha=chosen.alpha, include_top=False, weights=None
    )
    if chosen.weights is not None:
        _load(network, chosen.weights)
    for layer in network.layers:
        if isinstance(layer, layers.BatchNormalization):
            layer.momentum = chosen.batch_normalization_momentum
    for layer in network.layers[: chosen.frozen_layers]:
        layer.trainable = False
    inputs = keras.Input(shape, name=front_end.features.kind)
    outputs = network(layers.Rescaling(2.0, offset=-1.0)(inputs))
    outputs = chosen.probabilities(layers.GlobalAveragePooling2D()(outputs), n_labels)
    return keras.Model(inputs, outputs, name="mobilenet")


def _load(network: keras.Model, path: Path) -> None:
    if not path.is_file():
        raise ValueError(f"there are no weights at {path}; docs/recipes.md says where to get them")
    try:
        network.load_weights(path)
    except Exception as error:  # Keras documents no exception types for files that do not fit
        raise ValueError(f"the weights in {path} do not fit: {error}") from error
