"""A fit's curves, in the files that TensorBoard reads."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tests.training.test_checkpoint import examples
from tests.training.test_fit import recipe_with
from training.fit import FittedModel, fit_model
from training.keras_import import tensorflow
from training.recipe import Recipe


def curves_in(folder: Path) -> dict[str, list[tuple[int, float]]]:
    """Return each curve of a folder, as TensorBoard reads it: epochs, from 0, and values."""
    read = EventAccumulator(str(folder))
    read.Reload()
    return {
        tag: [
            (event.step, float(tensorflow.make_ndarray(event.tensor_proto)))
            for event in read.Tensors(tag)
        ]
        for tag in read.Tags()["tensors"]
    }


@pytest.fixture
def recipe(tiny_recipe: Recipe) -> Recipe:
    return recipe_with(tiny_recipe, epochs=5)


def fit(recipe: Recipe, folder: Path, **arguments: Any) -> FittedModel:
    return fit_model(
        recipe, examples(recipe, 0), examples(recipe, 1), curves=folder / "curves", **arguments
    )


def assert_are_the_history(folder: Path, fitted: FittedModel) -> None:
    for part, prefix in (("train", ""), ("validation", "val_")):
        curves = curves_in(folder / "curves" / part)
        for name in ("loss", "accuracy"):
            steps, values = zip(*curves[f"epoch_{name}"], strict=True)
            assert list(steps) == list(range(len(fitted.history["loss"])))
            assert np.allclose(values, fitted.history[prefix + name])


def test_the_curves_are_those_of_the_fit(recipe: Recipe, tmp_path: Path) -> None:
    assert_are_the_history(tmp_path, fit(recipe, tmp_path))


def test_a_resumed_fit_goes_on_with_its_curves(recipe: Recipe, tmp_path: Path) -> None:
    told: list[dict[str, float]] = []

    def interrupt(logs: dict[str, float]) -> None:
        told.append(logs)
        if len(told) == 3:
            raise KeyboardInterrupt

    checkpoint = tmp_path / "fit.npz"
    with pytest.raises(KeyboardInterrupt):
        fit(recipe, tmp_path, on_epoch=interrupt, checkpoint=checkpoint)
    assert_are_the_history(tmp_path, fit(recipe, tmp_path, checkpoint=checkpoint))
