"""A stack of convolutions over MFCCs, pooled over the whole window.

The tutorials' network for UrbanSound8K: four convolutions with pooling and dropout, global average
pooling, one dense layer. Normalisation is a layer of the model, so that it travels with it.
"""

from collections.abc import Mapping
from typing import Any, Literal, Self

import keras
import numpy as np
from keras import layers
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator


class Options(BaseModel):
    """What a recipe may choose. The tuples have one entry a convolution.

    `pool_sizes` are `[coefficients, frames]`; 1 by 1 is no pooling.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    filters: tuple[int, ...]
    kernel_size: int = Field(3, ge=1)
    pooling: Literal["max", "average"] = "max"
    pool_sizes: tuple[tuple[int, int], ...]
    dropout: tuple[float, ...]
    head_dropout: float = Field(0.0, ge=0, lt=1)
    batch_normalization: bool = False

    @model_validator(mode="after")
    def _check_lengths(self) -> Self:
        if not len(self.filters) == len(self.pool_sizes) == len(self.dropout) > 0:
            raise ValueError("filters, pool_sizes and dropout need one entry a convolution")
        return self


def build(
    input_shape: tuple[int, ...],
    n_labels: int,
    options: Mapping[str, Any],
    training_features: NDArray[np.float32],
) -> keras.Model:
    """Return the untrained model.

    Args:
        input_shape: `[n_mfcc, n_frames, 1]`.
        n_labels: number of outputs.
        options: fields of `Options`.
        training_features: float32 `[n, *input_shape]`, for the statistics of each coefficient.
    """
    chosen = Options.model_validate(dict(options))
    pool = layers.MaxPooling2D if chosen.pooling == "max" else layers.AveragePooling2D
    normalization = layers.Normalization(axis=1, name="normalization")
    normalization.adapt(training_features)

    inputs = keras.Input(input_shape, name="mfcc")
    outputs = normalization(inputs)
    for filters, pool_size, dropout in zip(
        chosen.filters, chosen.pool_sizes, chosen.dropout, strict=True
    ):
        outputs = layers.Conv2D(
            filters, chosen.kernel_size, padding="same", use_bias=not chosen.batch_normalization
        )(outputs)
        if chosen.batch_normalization:
            outputs = layers.BatchNormalization(momentum=0.95)(outputs)
        outputs = layers.ReLU()(outputs)
        if pool_size != (1, 1):
            outputs = pool(pool_size)(outputs)
        if dropout:
            outputs = layers.Dropout(dropout)(outputs)
    outputs = layers.GlobalAveragePooling2D()(outputs)
    if chosen.head_dropout:
        outputs = layers.Dropout(chosen.head_dropout)(outputs)
    outputs = layers.Dense(n_labels, activation="softmax", name="probabilities")(outputs)
    return keras.Model(inputs, outputs, name="mfcc_cnn")
