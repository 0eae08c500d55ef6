"""Convolutions over a picture of a sound: MFCCs, mel bands, a spectrogram, or a scalogram.

Normalised by the training clips' mean and variance of each band (or coefficient), or of each colour
where the picture has colours; then convolutions; then an average over the whole picture, or all of
it as one vector; then hidden layers, if any; then the probabilities.
"""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from app.audio.spec import FrontEndSpec
from training.architectures.blocks import (
    Convolutions,
    Head,
    check_picture,
    mel_bands,
    normalized_picture,
)
from training.keras_import import keras, layers


class CnnOptions(Convolutions, Head):
    """What a recipe may choose, beside the convolutions and the head.

    `average_frames` is how many neighbouring frames are averaged before the first convolution,
    which takes the longest of all where there are many. `summary` makes a vector of the last
    picture: its average (`average`), or all of it (`flatten`).
    """

    undo_cosine_transform: bool = False
    average_frames: int = Field(1, ge=1)
    summary: Literal["average", "flatten"] = "average"


def build(
    front_end: FrontEndSpec,
    n_labels: int,
    options: Mapping[str, Any],
    training_features: NDArray[np.float32],
) -> keras.Model:
    """Return the untrained model; arguments as `Builder`'s."""
    chosen = CnnOptions.model_validate(dict(options))
    inputs, picture = picture_of(front_end, training_features, chosen.undo_cosine_transform)
    if chosen.average_frames > 1:
        picture = layers.AveragePooling2D((1, chosen.average_frames))(picture)
    outputs = chosen.apply(picture)
    if chosen.summary == "average":
        outputs = layers.GlobalAveragePooling2D()(outputs)
    else:
        outputs = layers.Flatten()(outputs)
    return keras.Model(inputs, chosen.probabilities(outputs, n_labels), name="cnn")


def picture_of(
    front_end: FrontEndSpec, training_features: NDArray[np.float32], undo_cosine_transform: bool
) -> tuple[Any, Any]:
    """Return the model's input, and the normalised picture that convolutions see.

    Raises:
        ValueError: the features are no pictures.
    """
    shape = front_end.feature_shape
    check_picture(front_end.features, shape)
    inputs = keras.Input(shape, name=front_end.features.kind)
    outputs = inputs
    if undo_cosine_transform:
        outputs, training_features = mel_bands(inputs, front_end.features, training_features)
    return inputs, normalized_picture(
        outputs, front_end.features, training_features, "normalization"
    )
