"""Late fusion: a branch of convolutions for each part of a stack, joined at the end."""

from collections.abc import Mapping
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from app.audio.feature_specs import StackSpec
from app.audio.spec import FrontEndSpec
from training.architectures.blocks import (
    Convolutions,
    Head,
    check_picture,
    normalized_picture,
)
from training.keras_import import keras, layers


class FusionOptions(Head):
    """What a recipe may choose beside the head: each part's convolutions, and how they are joined.

    `join` puts the branches' vectors end to end before the hidden layers (`vectors`), or averages
    the probabilities that each branch arrives at alone (`probabilities`).
    """

    branches: tuple[Convolutions, ...]
    join: Literal["vectors", "probabilities"] = "vectors"


def build(
    front_end: FrontEndSpec,
    n_labels: int,
    options: Mapping[str, Any],
    training_features: NDArray[np.float32],
) -> keras.Model:
    """Return the untrained model; arguments as `Builder`'s."""
    chosen = FusionOptions.model_validate(dict(options))
    stack = front_end.features
    if not isinstance(stack, StackSpec):
        raise ValueError("fusion needs features of kind stack")  # noqa: TRY004  # the recipe's
    if len(chosen.branches) != len(stack.parts):
        raise ValueError(
            f"{len(stack.parts)} parts need as many branches, not {len(chosen.branches)}"
        )
    inputs = keras.Input(front_end.feature_shape, name="stack")
    vectors: list[Any] = []
    start = 0
    for part, branch, shape in zip(
        stack.parts, chosen.branches, stack.shapes(front_end.window_samples), strict=True
    ):
        check_picture(part, shape)
        end = start + int(np.prod(shape))
        picture = layers.Reshape(shape)(inputs[:, start:end])
        examples = training_features[:, start:end].reshape(-1, *shape)
        picture = normalized_picture(picture, part, examples, f"normalization_{len(vectors)}")
        vectors.append(layers.GlobalAveragePooling2D()(branch.apply(picture)))
        start = end
    return keras.Model(inputs, _joined(vectors, chosen, n_labels), name="fusion")


def _joined(vectors: list[Any], chosen: FusionOptions, n_labels: int) -> Any:
    if chosen.join == "vectors":
        return chosen.probabilities(layers.Concatenate()(vectors), n_labels)
    by_branch = [
        layers.Dense(n_labels, activation="softmax", dtype="float32", name=f"branch_{place}")(
            chosen.hidden.apply(vector)
        )
        for place, vector in enumerate(vectors)
    ]
    return layers.Average(name="probabilities")(by_branch)
