"""Fine-tuning: a version of the store as the starting point for other labels.

Its layers are kept, with their weights and its normalisation; the last one, the probabilities, is
made anew. Source: Yosinski et al., "How transferable are features in deep neural networks?", 2014.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from app.audio.spec import FrontEndSpec
from training.architectures.blocks import Options, probabilities
from training.keras_import import keras


class FineTuneOptions(Options):
    """What a recipe may choose.

    `model` is the `.keras` file that the starting point's version holds; the command finds it.
    `frozen_layers` is how many of its layers with weights, from the first on, are not changed.
    """

    model: Path
    frozen_layers: int = Field(0, ge=0)
    head_dropout: float = Field(0.0, ge=0, lt=1)


def build(
    front_end: FrontEndSpec,
    n_labels: int,
    options: Mapping[str, Any],
    training_features: NDArray[np.float32],  # its own normalisation is kept
) -> keras.Model:
    """Return the model; arguments as `Builder`'s."""
    chosen = FineTuneOptions.model_validate(dict(options))
    base = keras.saving.load_model(chosen.model, compile=False, safe_mode=True)
    if base.input_shape[1:] != front_end.feature_shape:
        raise ValueError(
            f"the starting point takes features {base.input_shape[1:]}, the recipe makes "
            f"{front_end.feature_shape}"
        )
    weighted = [layer for layer in base.layers if layer.trainable_weights]
    if chosen.frozen_layers >= len(weighted):
        raise ValueError(
            f"the starting point has {len(weighted)} layers; frozen_layers is too many"
        )
    for layer in weighted[: chosen.frozen_layers]:
        layer.trainable = False
    outputs = probabilities(base.layers[-1].input, n_labels, chosen.head_dropout)
    return keras.Model(base.inputs, outputs, name="fine_tune")
