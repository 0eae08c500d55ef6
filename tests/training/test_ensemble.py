"""Several networks as one model: its logits are the mean of theirs, and it is a model like any."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.tiny_model import SAVING_WARNS
from tests.training.test_checkpoint import examples
from tests.training.test_fit import recipe_with
from training.architectures import check_model
from training.ensemble import fit_networks, joined, network_recipe
from training.fit import fit_model
from training.fit_place import FitPlace
from training.keras_import import keras
from training.recipe import Recipe, load_recipe
from training.recipe_error import RecipeError


def logits(model: Any, features: Any) -> Any:
    """Return what a model's softmax is of, up to a constant for each example."""
    answers = np.log(model.predict(features, verbose=0))
    return answers - answers.mean(axis=1, keepdims=True)


@pytest.fixture(scope="module")
def recipe(tiny_recipe: Recipe) -> Recipe:
    return recipe_with(tiny_recipe, epochs=2, networks=2, seed=5)


@pytest.fixture(scope="module")
def model(recipe: Recipe) -> Any:
    return fit_networks(FitPlace(), "all", recipe, examples(recipe, 0), 2).model


def test_its_logits_are_the_mean_of_its_networks(recipe: Recipe, model: Any) -> None:
    seen, asked = examples(recipe, 0), examples(recipe, 1).features
    each = [fit_model(recipe_with(recipe, seed=seed), seen, epochs=2).model for seed in (5, 6)]
    expected = [logits(network, asked) for network in each]
    assert np.abs(expected[0] - expected[1]).max() > 0.1  # they differ
    assert np.allclose(logits(model, asked), np.mean(expected, axis=0), atol=1e-4)
    assert np.allclose(logits(joined([each[0]]), asked), expected[0], atol=1e-4)


def test_networks_may_differ_in_their_options(recipe: Recipe) -> None:
    model = recipe.model.model_copy(update={"members": ({}, {"filters": [8]})})
    mixed = recipe.model_copy(update={"model": model})
    seen, asked = examples(mixed, 0), examples(mixed, 1).features
    each = [fit_model(network_recipe(mixed, place), seen, epochs=2).model for place in (0, 1)]
    assert [network.layers[-1].input.shape[-1] for network in each] == [16, 8]
    together = fit_networks(FitPlace(), "all", mixed, seen, 2).model
    expected = np.mean([logits(network, asked) for network in each], axis=0)
    assert np.allclose(logits(together, asked), expected, atol=1e-4)


def test_networks_that_cannot_be_joined_are_refused_before_they_are_fitted() -> None:
    changes = ["training.networks=2", "model.options.join=probabilities"]
    fusion = load_recipe("multimodal-fusion", changes)
    check_model(fusion.model, fusion.front_end)
    with pytest.raises(RecipeError, match=r"cannot be joined.*set training\.networks to 1"):
        check_model(fusion.model, fusion.front_end, n_networks=fusion.training.networks)


@SAVING_WARNS
def test_its_last_layer_is_what_fine_tuning_replaces(model: Any, tmp_path: Path) -> None:
    path = tmp_path / "model.keras"
    model.save(path)
    loaded = keras.saving.load_model(path, compile=False, safe_mode=True)
    assert loaded.layers[-1].name == "probabilities"
    vector = loaded.layers[-1].input
    assert vector.shape[-1] == sum(layer.output.shape[-1] for layer in loaded.layers[1:3])


def test_each_network_is_told_of_and_kept_apart(recipe: Recipe, tmp_path: Path) -> None:
    told = list[str]()

    def begin(what: str, _units: int) -> Any:
        told.append(what)
        return lambda _note: None

    place = FitPlace(begin, curves=tmp_path)
    fit_networks(place, "fold 1: fitting", recipe, examples(recipe, 0), 1)
    names = ["fold 1 fitting network 1 of 2", "fold 1 fitting network 2 of 2"]
    assert [what.replace(":", "") for what in told] == names
    assert sorted(path.name for path in tmp_path.iterdir()) == names


def test_epochs_are_counted_where_there_is_a_choice(tiny_recipe: Recipe) -> None:
    assert recipe_with(tiny_recipe, epochs=5, min_epochs=4).training.counts_epochs
    assert not recipe_with(tiny_recipe, epochs=5, min_epochs=5).training.counts_epochs
