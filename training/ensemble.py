"""An ensemble: networks of other seeds, or of other options too, as one model.

Source: Lakshminarayanan, Pritzel and Blundell, "Simple and scalable predictive uncertainty
estimation using deep ensembles", NeurIPS 2017. There probabilities are averaged; here their
logarithms, up to a constant: the mean of the networks' last layers is one layer over all that goes
into them, so what is served, converted and fine-tuned is a model like any other.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from training.architectures.blocks import probabilities
from training.examples import Examples
from training.fit import FittedModel
from training.fit_place import FitPlace
from training.keras_import import keras, layers
from training.recipe import Recipe


def fit_networks(
    place: FitPlace, what: str, recipe: Recipe, examples: Examples, epochs: int
) -> FittedModel:
    """Fit as many networks as the recipe has, one after the other, and join them.

    Args:
        place: who is told, and what is kept.
        what: what the fit is called.
        recipe: decides everything, by way of `network_recipe`.
        examples: what each is fitted on.
        epochs: for how long.

    Returns:
        The model; its history is the first network's.
    """
    n_networks = recipe.training.networks
    if n_networks == 1:
        return place.fit(what, recipe, examples, epochs=epochs)
    fitted = [
        place.fit(
            f"{what} network {place_in_row + 1} of {n_networks}",
            network_recipe(recipe, place_in_row),
            examples,
            epochs=epochs,
        )
        for place_in_row in range(n_networks)
    ]
    return FittedModel(joined([each.model for each in fitted]), epochs, fitted[0].history)


def network_recipe(recipe: Recipe, place_in_row: int) -> Recipe:
    """Return what decides one network of an ensemble's, counted from 0.

    Its seed is so much more than the recipe's, and `model.members` may change options.
    """
    seed = recipe.training.seed + place_in_row
    training = recipe.training.model_copy(update={"seed": seed, "networks": 1})
    return recipe.model_copy(
        update={"model": recipe.model.of_network(place_in_row), "training": training}
    )


def joined(models: Sequence[Any]) -> Any:
    """Return a model whose logits are the mean of those of several.

    They take the same features, and their last layers are dense. One alone is that model itself.
    """
    first = models[0]
    if len(models) == 1:
        return first
    inputs = keras.Input(first.inputs[0].shape[1:], name=first.inputs[0].name)
    vectors = [
        keras.Model(model.inputs, model.layers[-1].input, name=f"network_{number}")(inputs)
        for number, model in enumerate(models, start=1)
    ]
    kernels, biases = zip(*(model.layers[-1].get_weights() for model in models), strict=True)
    outputs = probabilities(layers.Concatenate()(vectors), first.outputs[0].shape[-1], dropout=0)
    model = keras.Model(inputs, outputs, name="ensemble")
    mean_kernel = np.concatenate(kernels) / len(models)
    model.layers[-1].set_weights([mean_kernel, np.mean(biases, axis=0)])
    return model
