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

from app.audio.feature_specs import SpectrogramSpec
from app.audio.spec import FrontEndSpec
from training.architectures.blocks import (
    Convolutions,
    Hidden,
    mel_bands,
    normalized,
    probabilities,
)
from training.keras_import import keras, layers


class CnnOptions(Convolutions):
    """What a recipe may choose, beside the convolutions themselves.

    `average_frames` is how many neighbouring frames are averaged before the first convolution,
    which takes the longest of all where there are many. `summary` makes a vector of the last
    picture: its average (`average`), or all of it (`flatten`).
    """

    undo_cosine_transform: bool = False
    average_frames: int = Field(1, ge=1)
    summary: Literal["average", "flatten"] = "average"
    hidden: Hidden = Hidden()
    head_dropout: float = Field(0.0, ge=0, lt=1)


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
    outputs = chosen.hidden.apply(outputs)
    outputs = probabilities(outputs, n_labels, chosen.head_dropout, chosen.hidden.regularizer())
    return keras.Model(inputs, outputs, name="cnn")


def picture_of(
    front_end: FrontEndSpec, training_features: NDArray[np.float32], undo_cosine_transform: bool
) -> tuple[Any, Any]:
    """Return the model's input, and the normalised picture that convolutions see.

    Raises:
        ValueError: the features are no pictures.
    """
    shape = front_end.feature_shape
    if len(shape) != 3:
        raise ValueError(f"features of kind {front_end.features.kind} are no pictures to convolve")
    inputs = keras.Input(shape, name=front_end.features.kind)
    outputs = inputs
    if undo_cosine_transform:
        outputs, training_features = mel_bands(inputs, front_end.features, training_features)
    coloured = isinstance(front_end.features, SpectrogramSpec)
    axis = -1 if coloured else (1, 3)  # what a colour means is the same everywhere
    return inputs, normalized(outputs, training_features, axis, "normalization")
