"""What several architectures are made of: convolutions, hidden layers, and normalised bands."""

from typing import Any, Literal, Self

import numpy as np
import scipy.fft
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from app.audio.feature_specs import FeatureSpec, MfccSpec, SpectrogramSpec
from training.keras_import import keras, layers


class Options(BaseModel):
    """What a recipe may choose, refused where a name is unknown."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Initialization(Options):
    """How weights begin.

    `initial_variance` is their variance times the number of inputs of a unit: 1 is LeCun's, 2 He's,
    1/3 what PyTorch begins with, uniformly distributed. None is Keras's own, Glorot and Bengio's.
    Where batch normalisation follows, it does not change what a layer says at first, but how far a
    step turns its weights: smaller ones further.
    """

    initial_variance: float | None = Field(None, gt=0)

    def initializer(self) -> Any:
        """Return a new initializer: one that is used twice gives the same weights twice."""
        if self.initial_variance is None:
            return "glorot_uniform"
        return keras.initializers.VarianceScaling(self.initial_variance, "fan_in", "uniform")


class Convolutions(Initialization):
    """A chain of convolutions. The tuples have one entry a convolution.

    `pool_sizes` are `[bands, frames]`, from one convolution to the next; 1 by 1 is no pooling.
    `padding` is Keras's: `same` keeps a picture's size, `valid` leaves out its border. Each
    convolution is followed by batch normalisation where that is on, ReLU, pooling and dropout.
    """

    filters: tuple[int, ...]
    kernel_size: int = Field(3, ge=1)
    padding: Literal["same", "valid"] = "same"
    pooling: Literal["max", "average"] = "max"
    pool_sizes: tuple[tuple[int, int], ...]
    dropout: tuple[float, ...]
    batch_normalization: bool = False
    batch_normalization_momentum: float = Field(0.95, ge=0, lt=1)
    batch_normalization_epsilon: float = Field(1e-3, gt=0)

    @model_validator(mode="after")
    def _check_lengths(self) -> Self:
        if not len(self.filters) == len(self.pool_sizes) == len(self.dropout) > 0:
            raise ValueError("filters, pool_sizes and dropout need one entry a convolution")
        return self

    def apply(self, inputs: Any) -> Any:
        """Return the chain's output, `[n, bands, frames, filters]`."""
        pool = layers.MaxPooling2D if self.pooling == "max" else layers.AveragePooling2D
        outputs = inputs
        for filters, pool_size, dropout in zip(
            self.filters, self.pool_sizes, self.dropout, strict=True
        ):
            outputs = layers.Conv2D(
                filters,
                self.kernel_size,
                padding=self.padding,
                use_bias=not self.batch_normalization,
                kernel_initializer=self.initializer(),
            )(outputs)
            if self.batch_normalization:
                outputs = layers.BatchNormalization(
                    momentum=self.batch_normalization_momentum,
                    epsilon=self.batch_normalization_epsilon,
                )(outputs)
            outputs = layers.ReLU()(outputs)
            if pool_size != (1, 1):
                outputs = pool(pool_size)(outputs)
            if dropout:
                outputs = layers.Dropout(dropout)(outputs)
        return outputs


class Hidden(Options):
    """Hidden layers of a dense network: ReLU, with dropout before each and L1 or L2 on weights."""

    units: tuple[int, ...] = ()
    dropout: float = Field(0.0, ge=0, lt=1)
    l1: float = Field(0.0, ge=0)
    l2: float = Field(0.0, ge=0)

    def regularizer(self) -> Any:
        """Return the penalty on weights, None where there is none."""
        return keras.regularizers.L1L2(self.l1, self.l2) if self.l1 or self.l2 else None

    def apply(self, inputs: Any) -> Any:
        """Return the last hidden layer's output, `[n, units]`."""
        outputs = inputs
        for units in self.units:
            if self.dropout:
                outputs = layers.Dropout(self.dropout)(outputs)
            outputs = layers.Dense(units, activation="relu", kernel_regularizer=self.regularizer())(
                outputs
            )
        return outputs


class Head(Initialization):
    """From a vector to the probabilities: hidden layers, if any, and dropout before the last.

    `initial_variance` is that of the last layer's weights; hidden layers begin as Keras has it.
    """

    hidden: Hidden = Hidden()
    head_dropout: float = Field(0.0, ge=0, lt=1)

    def probabilities(self, vector: Any, n_labels: int) -> Any:
        """Return the probabilities `[n, n_labels]` of a vector `[n, units]`."""
        outputs = self.hidden.apply(vector)
        return probabilities(
            outputs, n_labels, self.head_dropout, self.hidden.regularizer(), self.initializer()
        )


def probabilities(
    inputs: Any,
    n_labels: int,
    dropout: float,
    regularizer: Any = None,
    initializer: Any = "glorot_uniform",
) -> Any:
    """Return the probabilities `[n, n_labels]` of a vector `[n, units]`, always in float32."""
    outputs = layers.Dropout(dropout)(inputs) if dropout else inputs
    return layers.Dense(
        n_labels,
        activation="softmax",
        kernel_initializer=initializer,
        kernel_regularizer=regularizer,
        dtype="float32",
        name="probabilities",
    )(outputs)


def normalized(inputs: Any, training_features: NDArray[np.float32], axis: Any, name: str) -> Any:
    """Return `inputs` with the training features' mean and variance along `axis` taken out."""
    # In float32 also where others compute in float16: statistics of MFCCs go beyond its range.
    layer = layers.Normalization(axis=axis, dtype="float32", name=name)
    layer.adapt(training_features)
    return layer(inputs)


def normalized_picture(
    picture: Any, features: FeatureSpec, examples: NDArray[np.float32], name: str
) -> Any:
    """Return a picture of features with the examples' mean and variance taken out.

    Of each band in each channel; of each colour where it has colours, since what a colour means is
    the same everywhere.
    """
    axis = -1 if isinstance(features, SpectrogramSpec) else (1, 3)
    return normalized(picture, examples, axis, name)


def check_picture(features: FeatureSpec, shape: tuple[int, ...]) -> None:
    """Refuse features that are no pictures.

    Raises:
        ValueError: they are not.
    """
    if len(shape) != 3:
        raise ValueError(f"features of kind {features.kind} are no pictures to convolve")


def mel_bands(
    inputs: Any, features: FeatureSpec, training_features: NDArray[np.float32]
) -> tuple[Any, NDArray[np.float32]]:
    """Undo the cosine transform of MFCCs: convolutions see patterns in bands, not in cepstra.

    The transform is orthonormal, so its inverse is a multiplication by its own matrix, in the
    model: what is served is still MFCCs in, probabilities out.

    Returns:
        The bands in decibels `[n, n_mels, n_frames, 1]`, and those of the training features.

    Raises:
        ValueError: the features are not MFCCs, or fewer than there are bands.
    """
    if not isinstance(features, MfccSpec) or features.n_mfcc != features.n_mels:
        raise ValueError("undo_cosine_transform needs features of kind mfcc, with n_mfcc = n_mels")
    bands = scipy.fft.idct(training_features, axis=1, norm="ortho").astype(np.float32)
    matrix = scipy.fft.idct(np.eye(features.n_mels), axis=1, norm="ortho").astype(np.float32)
    layer = layers.Dense(
        features.n_mels,
        use_bias=False,
        kernel_initializer=keras.initializers.Constant(matrix),
        trainable=False,
        name="inverse_cosine_transform",
    )
    return layers.Permute((3, 2, 1))(layer(layers.Permute((3, 2, 1))(inputs))), bands
