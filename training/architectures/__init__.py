"""Keras models, one module an architecture, chosen by the recipe."""

from collections.abc import Mapping
from typing import Any, Final, Protocol

import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from app.audio.spec import FrontEndSpec
from training.architectures import cnn, dense, fine_tune, fusion, mobilenet
from training.keras_import import layers
from training.recipe import ModelOptions
from training.recipe_error import RecipeError


class Builder(Protocol):
    """Builds an untrained model."""

    def __call__(
        self,
        front_end: FrontEndSpec,
        n_labels: int,
        options: Mapping[str, Any],
        training_features: NDArray[np.float32],
    ) -> Any:
        """Return a Keras model, normalised by the statistics of `training_features`.

        Args:
            front_end: what the model's features are.
            n_labels: number of outputs.
            options: what the recipe chose; each architecture validates its own.
            training_features: float32 `[n, *front_end.feature_shape]`.

        Raises:
            ValueError: these options and features do not fit each other.
        """
        ...


_BUILDERS: Final[dict[str, Builder]] = {
    "cnn": cnn.build,
    "dense": dense.build,
    "fine-tune": fine_tune.build,
    "fusion": fusion.build,
    "mobilenet": mobilenet.build,
}


def build_model(
    model: ModelOptions,
    front_end: FrontEndSpec,
    n_labels: int,
    training_features: NDArray[np.float32],
) -> Any:
    """Build the architecture that a recipe names.

    Raises:
        RecipeError: there is none of that name, or it does not have these options, or cannot take
            the recipe's features.
    """
    builder = _BUILDERS.get(model.architecture)
    if builder is None:
        raise RecipeError(
            f"there is no architecture {model.architecture!r}; there is: {', '.join(_BUILDERS)}"
        )
    try:
        return builder(front_end, n_labels, model.options, training_features)
    except ValidationError as error:
        raise RecipeError(f"options of {model.architecture}: {error}") from error
    except ValueError as error:
        raise RecipeError(f"{model.architecture}: {error}") from error


def check_model(
    model: ModelOptions, front_end: FrontEndSpec, n_labels: int = 2, n_networks: int = 1
) -> None:
    """Build what a recipe names on zeros, and throw it away: mistakes are told before any work.

    Each network of an ensemble whose members have options of their own is built.

    Args:
        model: the architecture and its options.
        front_end: what the model's features are.
        n_labels: number of outputs.
        n_networks: how many of it are to be joined.

    Raises:
        RecipeError: as `build_model`, or several of it cannot be joined.
    """
    zeros = np.zeros((1, *front_end.feature_shape), dtype=np.float32)
    for place_in_row in range(len(model.members) or 1):
        built = build_model(model.of_network(place_in_row), front_end, n_labels, zeros)
        if n_networks > 1 and not isinstance(built.layers[-1], layers.Dense):
            raise RecipeError(
                f"several networks of {model.architecture} with these options cannot be joined, "
                "since their probabilities are averages already: set training.networks to 1"
            )
