"""Keras models, one module an architecture, chosen by the recipe."""

from collections.abc import Mapping
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from training.architectures import mfcc_cnn
from training.recipe import ModelOptions, RecipeError


class Builder(Protocol):
    """Builds an untrained model."""

    def __call__(
        self,
        input_shape: tuple[int, ...],
        n_labels: int,
        options: Mapping[str, Any],
        training_features: NDArray[np.float32],
    ) -> Any:
        """Return a Keras model, normalised by the statistics of `training_features`."""
        ...


_BUILDERS: Final[dict[str, Builder]] = {"mfcc-cnn": mfcc_cnn.build}


def build_model(
    model: ModelOptions,
    input_shape: tuple[int, ...],
    n_labels: int,
    training_features: NDArray[np.float32],
) -> Any:
    """Build the architecture that a recipe names.

    Raises:
        RecipeError: there is none of that name, or it does not have these options.
    """
    builder = _BUILDERS.get(model.architecture)
    if builder is None:
        raise RecipeError(
            f"there is no architecture {model.architecture!r}; there is: {', '.join(_BUILDERS)}"
        )
    try:
        return builder(input_shape, n_labels, model.options, training_features)
    except ValidationError as error:
        raise RecipeError(f"options of {model.architecture}: {error}") from error
