"""Fixtures of the training tests."""

from pathlib import Path

import pytest

from tests.tiny_model import RECIPE
from tests.tiny_model import tiny as tiny
from training.recipe import Recipe, load_recipe


@pytest.fixture(scope="session")
def tiny_recipe(tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    """The tiny model's recipe, without the model."""
    path: Path = tmp_path_factory.mktemp("recipe") / "tiny.toml"
    path.write_text(RECIPE)
    return load_recipe(str(path))
