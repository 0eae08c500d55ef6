"""Identities: what decides a result changes them, and nothing else does."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.tiny_model import RECIPE
from training.datasets import Clip, Dataset
from training.features_cache import DatasetFeatures, Variants
from training.recipe import Recipe, load_recipe
from training.run_identity import Identity, identity_of
from training.splits import Folds

CLIPS = tuple(Clip(Path(f"{index}.wav"), "ab"[index % 2], fold=str(index // 2)) for index in (0, 1))
PLACE = np.arange(2)
ONES = np.ones(2, np.float32)
DATA = DatasetFeatures(np.zeros((2, 3), np.float32), PLACE, ONES, CLIPS, unreadable=())
VARIANTS = Variants(np.zeros((2, 3), np.float32), PLACE, PLACE * 0, ONES, n_variants=1)


def identity(recipe: Recipe, data: DatasetFeatures = DATA) -> Identity:
    folds = Folds("folds", ("0", "1"), PLACE)
    return identity_of(recipe, Dataset("set", "none", data.clips), data, folds)


def differing(first: Identity, second: Identity) -> list[str]:
    return [what for what in first if first[what] != second[what]]


@pytest.fixture
def recipe(tmp_path: Path) -> Recipe:
    (tmp_path / "tiny.toml").write_text(RECIPE)
    return load_recipe(str(tmp_path / "tiny.toml"))


def with_model(recipe: Recipe, **changes: Any) -> Recipe:
    return recipe.model_copy(update={"model": recipe.model.model_copy(update=changes)})


@pytest.mark.parametrize("by_members", [False, True], ids=["options", "members"])
def test_the_bytes_of_a_file_decide_and_not_its_place(
    recipe: Recipe, tmp_path: Path, by_members: bool
) -> None:
    def of(path: Path) -> Identity:
        options = {"weights": str(path)}
        changes = {"members": (options,)} if by_members else {"options": options}
        return identity(with_model(recipe, **changes))

    (tmp_path / "one.h5").write_bytes(b"weights")
    (tmp_path / "two.h5").write_bytes(b"weights")
    before = of(tmp_path / "one.h5")
    assert of(tmp_path / "two.h5") == before
    (tmp_path / "one.h5").write_bytes(b"other weights")
    assert differing(of(tmp_path / "one.h5"), before) == ["recipe"]


def test_variants_decide(recipe: Recipe) -> None:
    with_variants = replace(DATA, variants=VARIANTS)
    other = replace(DATA, variants=replace(VARIANTS, features=VARIANTS.features + 1))
    assert differing(identity(recipe, DATA), identity(recipe, with_variants)) == ["data"]
    assert differing(identity(recipe, other), identity(recipe, with_variants)) == ["data"]


def test_names_and_places_decide_nothing(recipe: Recipe) -> None:
    renamed = recipe.model_copy(update={"name": "other", "summary": "Another"})
    moved = tuple(replace(clip, path=Path("elsewhere") / clip.path) for clip in CLIPS)
    assert identity(renamed, replace(DATA, clips=moved)) == identity(recipe)


@pytest.mark.parametrize(
    ("field", "value"),
    [
        pytest.param("label", "c", id="label"),
        pytest.param("salience", "background", id="salience"),
    ],
)
def test_what_is_known_of_a_clip_decides(recipe: Recipe, field: str, value: str) -> None:
    changed = (replace(CLIPS[0], **{field: value}), *CLIPS[1:])  # type: ignore[arg-type]
    assert differing(identity(recipe, replace(DATA, clips=changed)), identity(recipe)) == ["data"]
