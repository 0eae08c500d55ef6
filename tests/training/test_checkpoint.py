"""A fit that goes on from its checkpoint gives the same model as one that was left alone."""

from pathlib import Path

import numpy as np
import pytest

from tests.tiny_model import LABELS, RECIPE
from training.examples import Examples
from training.fit import FittedModel, fit_model
from training.recipe import Recipe, load_recipe
from training.run_error import RunError


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    """The tiny recipe, with dropout and averaged weights for a checkpoint to remember."""
    path: Path = tmp_path_factory.mktemp("recipe") / "tiny.toml"
    path.write_text(RECIPE.replace("dropout = [0.0]", "dropout = [0.3]"))
    return load_recipe(str(path), ["training.average_weights=0.9", "training.epochs=5"])


def examples(recipe: Recipe, seed: int) -> Examples:
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(24, *recipe.front_end.feature_shape)).astype(np.float32)
    targets = np.eye(len(LABELS), dtype=np.float32)[np.arange(24) % len(LABELS)]
    return Examples(features, targets, np.ones(24, dtype=np.float32))


def fit(recipe: Recipe, checkpoint: Path | None, interrupt_after: int | None = None) -> FittedModel:
    epochs = 0

    def on_epoch(_logs: dict[str, float]) -> None:
        nonlocal epochs
        epochs += 1
        if epochs == interrupt_after:
            raise KeyboardInterrupt

    return fit_model(
        recipe, examples(recipe, 0), examples(recipe, 1), on_epoch=on_epoch, checkpoint=checkpoint
    )


def assert_same(first: FittedModel, second: FittedModel) -> None:
    weights = zip(first.model.get_weights(), second.model.get_weights(), strict=True)
    assert all(np.array_equal(*pair) for pair in weights)
    assert (first.history, first.epochs) == (second.history, second.epochs)


@pytest.mark.slow
def test_an_interrupted_fit_goes_on_to_the_same_weights(recipe: Recipe, tmp_path: Path) -> None:
    whole = fit(recipe, None)
    path = tmp_path / "fit.npz"
    with pytest.raises(KeyboardInterrupt):
        fit(recipe, path, interrupt_after=3)
    assert_same(fit(recipe, path), whole)
    # And from a fit that was done: no epoch is left, and the model is there again.
    assert_same(fit(recipe, path), whole)


def test_a_damaged_checkpoint_is_said_to_be(recipe: Recipe, tmp_path: Path) -> None:
    path = tmp_path / "fit.npz"
    path.write_bytes(b"no checkpoint")
    with pytest.raises(RunError, match="is damaged: remove it, and what it kept is fitted anew"):
        fit(recipe, path)
