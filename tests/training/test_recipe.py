"""Recipes: those that come with Hark are whole, and a mistake in one is told before any work."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from pydantic import ValidationError

from app.audio.feature_specs import MfccSpec
from app.audio.spec import FrontEndSpec
from app.errors import HarkError
from app.inference.artifact import read_manifest
from app.progress import silent
from tests.tiny_model import RECIPE, TinyModel
from training.architectures import build_model, check_model
from training.datasets import Dataset, DatasetError, load_dataset
from training.recipe import (
    ModelOptions,
    Recipe,
    described_recipes,
    load_recipe,
    recipe_names,
)
from training.recipe_error import RecipeError
from training.runs import prepare
from training.starting_point import was_fitted_on


def recipe_of(folder: Path, text: str) -> Recipe:
    path = folder / "recipe.toml"
    path.write_text(text, encoding="utf-8")
    return load_recipe(str(path))


def with_line(line: str, table: str = "") -> str:
    """The tiny recipe, with a line put in, in place of the one that sets the same field."""
    field = line.partition("=")[0].strip()
    lines = [old for old in RECIPE.splitlines() if old.partition("=")[0].strip() != field]
    place = lines.index(f"[{table}]") + 1 if table else 0
    return "\n".join([*lines[:place], line, *lines[place:]])


def without_line(field: str) -> str:
    return "\n".join(line for line in RECIPE.splitlines() if not line.startswith(f"{field} ="))


def test_there_are_recipes() -> None:
    assert "mfcc-cnn" in recipe_names()


@pytest.mark.parametrize("name", recipe_names())
def test_a_recipe_that_comes_with_hark_is_whole(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.name == name
    assert recipe.summary
    assert recipe.source
    assert recipe.published
    shape = recipe.front_end.feature_shape
    model = build_model(recipe.model, recipe.front_end, 10, np.zeros((4, *shape), np.float32))
    assert model.input_shape == (None, *shape)
    assert model.output_shape == (None, 10)


def test_a_file_is_read_and_the_rest_defaulted(tmp_path: Path) -> None:
    recipe = recipe_of(tmp_path, RECIPE)
    assert recipe.front_end.sample_rate_hz == 8000
    assert recipe.front_end.features.shape(8000)[0] == 13
    assert recipe.front_end.shortest_tail_seconds == FrontEndSpec().shortest_tail_seconds
    assert recipe.training.seed == 0
    assert recipe.augmentation.mixup_alpha == 0.2


def test_a_recipe_cannot_be_changed(tiny_recipe: Recipe) -> None:
    with pytest.raises(ValidationError, match="frozen"):
        tiny_recipe.training.seed = 1  # type: ignore[misc]


@pytest.mark.parametrize("name", ["mfcc", "", "mfcc-cnn.yaml", "../recipes/mfcc-cnn"])
def test_an_unknown_recipe_is_an_error_that_names_the_known(name: str) -> None:
    with pytest.raises(RecipeError, match=r"there is no recipe .*; there is: .*mfcc-cnn"):
        load_recipe(name)


def test_a_file_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "missing.toml"
    with pytest.raises(RecipeError, match=r"missing\.toml cannot be read: No such file"):
        load_recipe(str(path))


def test_a_folder_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "folder.toml").mkdir()
    with pytest.raises(RecipeError, match=r"folder\.toml cannot be read: Is a directory"):
        load_recipe(str(tmp_path / "folder.toml"))


def test_a_file_that_is_no_text_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "binary.toml"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(RecipeError, match=r"binary\.toml"):
        load_recipe(str(path))


WRONG = {
    "not TOML": ("name: tiny", "Expected '='"),
    "empty": ("", "name: Field required"),
    "an unknown field": (with_line("epoch = 5", "training"), "training.epoch: Extra inputs"),
    "an unknown table": (RECIPE + "\n[optimiser]\n", "optimiser: Extra inputs"),
    "a missing field": (without_line("epochs"), "training.epochs: Field required"),
    "no epoch": (with_line("epochs = 0", "training"), "training.epochs: .*greater than or equal"),
    "no learning": (with_line("learning_rate = 0", "training"), "training.learning_rate"),
    "a word for a number": (with_line('epochs = "many"', "training"), "training.epochs"),
    "a share of one": (with_line("label_smoothing = 1.0", "training"), "label_smoothing"),
    "a name with a path": (with_line('name = "../tiny"'), "name: String should match"),
    "more epochs at least than at most": (
        with_line("min_epochs = 9", "training"),
        "min_epochs",
    ),
    "a seed below zero": (with_line("seed = -1", "training"), "training.seed"),
    "a seed that NumPy refuses": (with_line("seed = 4294967296", "training"), "training.seed"),
    "two members of one network": (
        with_line("members = [{}, {}]", "model"),
        "model.members needs one table for each of training.networks",
    ),
    "masks of no share": (
        with_line("time_masks = 2", "augmentation"),
        "augmentation: .*time_masks does nothing without time_mask_share: set both",
    ),
    "a share of no masks": (
        with_line("frequency_mask_share = 0.1", "augmentation"),
        "augmentation: .*frequency_mask_share does nothing without frequency_masks: set both",
    ),
    "no sample rate": (with_line("sample_rate_hz = 0", "front_end"), "sample_rate_hz must be"),
    "an unknown padding": (with_line('padding = "mirror"', "front_end"), "padding must be"),
    "a word for seconds": (with_line('window_seconds = "long"', "front_end"), "str"),
    "an unknown front-end field": (with_line("gain = 2", "front_end"), "gain"),
    "an unknown feature field": (with_line("width = 2", "front_end.features"), "width"),
    "bands above the rate": (
        with_line("mel_max_hz = 4001.0", "front_end.features"),
        "mel_max_hz must not exceed",
    ),
    "more coefficients than bands": (
        with_line("n_mfcc = 21", "front_end.features"),
        "n_mfcc must not exceed",
    ),
    "features that are a word": (
        RECIPE.replace("[front_end.features]", 'features = "mfcc"\n[ignored]'),
        "features",
    ),
    "a front end that is a word": (
        'front_end = "mfcc"\n' + RECIPE.replace("[front_end", "[other"),
        "front_end",
    ),
}


@pytest.mark.parametrize(
    ("text", "reason"), [pytest.param(*case, id=name) for name, case in WRONG.items()]
)
def test_a_mistake_is_told_with_the_file_and_the_place(
    tmp_path: Path, text: str, reason: str
) -> None:
    with pytest.raises(RecipeError, match=reason) as raised:
        recipe_of(tmp_path, text)
    assert str(tmp_path / "recipe.toml") in str(raised.value)


FRONT_END = FrontEndSpec(
    window_seconds=1.0,
    sample_rate_hz=8_000,
    features=MfccSpec(n_mfcc=13, n_fft=512, hop_length=256, mel_max_hz=4_000.0),
)
TINY_OPTIONS = {"filters": [4, 8], "pool_sizes": [[2, 2], [1, 1]], "dropout": [0, 0.1]}


@pytest.mark.parametrize(
    ("model", "reason"),
    [
        (ModelOptions(architecture="transformer"), "no architecture 'transformer'; there is: cnn"),
        (ModelOptions(architecture="cnn"), "options of cnn: .*filters"),
        (
            ModelOptions(architecture="cnn", options={**TINY_OPTIONS, "depth": 3}),
            "options of cnn: .*depth",
        ),
        (
            ModelOptions(architecture="cnn", options={**TINY_OPTIONS, "filters": [4]}),
            "options of cnn",
        ),
    ],
    ids=["unknown", "no options", "an unknown option", "options of different lengths"],
)
def test_an_architecture_that_cannot_be_built_is_an_error(model: ModelOptions, reason: str) -> None:
    features = np.zeros((2, 13, 32, 1), np.float32)
    with pytest.raises(RecipeError, match=f"(?s){reason}"):
        build_model(model, FRONT_END, 3, features)


TAKEN = ModelOptions(architecture="cnn", options=TINY_OPTIONS)


def test_a_model_that_can_be_built_is_taken() -> None:
    check_model(TAKEN, FRONT_END)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"architecture": "transformer"}, "no architecture 'transformer'; there is: cnn"),
        ({"options": {**TINY_OPTIONS, "head_droput": 0.3}}, "options of cnn: .*head_droput"),
        (
            {"architecture": "fine-tune", "options": {"model": "/nowhere/model.keras"}},
            "fine-tune: .*/nowhere/model.keras",
        ),
        ({"members": ({}, {"kernel_sise": 5})}, "options of cnn: .*kernel_sise"),
    ],
    ids=["unknown", "an unknown option", "no such file", "an unknown option of a member"],
)
def test_a_model_that_cannot_be_built_is_told_without_data(
    change: dict[str, Any], reason: str
) -> None:
    with pytest.raises(RecipeError, match=f"(?s){reason}"):
        check_model(TAKEN.model_copy(update=change), FRONT_END)


def test_pictures_for_mobilenet_need_the_weights_that_are_named() -> None:
    recipe = load_recipe("mobilenet-transfer", ["model.options.weights=/nowhere/weights.h5"])
    with pytest.raises(RecipeError, match=r"there are no weights at /nowhere/weights\.h5"):
        check_model(recipe.model, recipe.front_end)


def test_a_model_is_normalised_by_the_features_it_is_given() -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(50, 20, size=(64, 13, 32, 1)).astype(np.float32)
    options = ModelOptions(architecture="cnn", options=TINY_OPTIONS)
    model = build_model(options, FRONT_END, 3, features)
    normalised = np.asarray(model.get_layer("normalization")(features))
    assert normalised.mean(axis=(0, 2, 3)) == pytest.approx(np.zeros(13), abs=1e-3)
    assert normalised.std(axis=(0, 2, 3)) == pytest.approx(np.ones(13), abs=1e-3)
    outputs = np.asarray(model(features, training=False))
    assert outputs.sum(axis=1) == pytest.approx(np.ones(64), abs=1e-5)


def test_fields_are_set_by_name(tmp_path: Path) -> None:
    (tmp_path / "recipe.toml").write_text(RECIPE)
    recipe = load_recipe(
        str(tmp_path / "recipe.toml"),
        ["training.epochs=9", "model.options.filters = [3]", "summary=three words here"],
    )
    assert recipe.training.epochs == 9
    assert recipe.model.options["filters"] == [3]
    assert recipe.summary == "three words here"


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ("training.epochs", "sets no field"),
        ("=3", "sets no field"),
        ("training.=3", "sets no field"),
        ("name.x=3", "name is no table"),
        ("training.epoch=3", "training.epoch"),
        ("training.epochs=many", "training.epochs"),
    ],
)
def test_a_field_that_cannot_be_set_is_told(tmp_path: Path, change: str, complaint: str) -> None:
    (tmp_path / "recipe.toml").write_text(RECIPE)
    with pytest.raises(RecipeError, match=complaint):
        load_recipe(str(tmp_path / "recipe.toml"), [change])


def test_a_starting_point_gives_its_front_end_and_its_file(tiny: TinyModel) -> None:
    recipe = load_recipe("fine-tune", [f"starting_point={tiny.reference}"], tiny.store)
    assert recipe.front_end == tiny.open().manifest.front_end_spec
    assert recipe.model.options["model"] == str(tiny.version / "model.keras")


def test_a_front_end_beside_a_starting_point_is_refused(tiny: TinyModel) -> None:
    changes = [f"starting_point={tiny.reference}", "front_end.window_seconds=2.0"]
    with pytest.raises(RecipeError, match="leave out front_end, or starting_point"):
        load_recipe("fine-tune", changes, tiny.store)


@pytest.mark.parametrize("masks", ["time_masks", "time_mask_share"])
def test_masks_may_be_left_out_by_name(masks: str) -> None:
    recipe = load_recipe("mfcc-bands-cnn", [f"augmentation.{masks}=0"])
    assert getattr(recipe.augmentation, masks) == 0


@pytest.mark.parametrize("model", ["nobody", "tiny@7", "tiny@first"])
def test_a_starting_point_that_is_not_there_is_told(tiny: TinyModel, model: str) -> None:
    with pytest.raises((RecipeError, HarkError)):
        load_recipe("fine-tune", [f"starting_point={model}"], tiny.store)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (["model.options.model='x.keras'"], "is the file of the starting point .*leave it out"),
        (
            ["model.members=[{model='x.keras'},{}]", "training.networks=2"],
            "begin with the starting_point",
        ),
    ],
    ids=["a file", "members"],
)
def test_weights_come_from_the_starting_point_alone(
    tiny: TinyModel, changes: list[str], reason: str
) -> None:
    with pytest.raises(RecipeError, match=reason):
        load_recipe("fine-tune", [f"starting_point={tiny.reference}", *changes], tiny.store)


def test_what_goes_on_from_weights_names_where_they_come_from() -> None:
    changes = ["model.architecture=fine-tune", "model.options={model='x.keras'}"]
    with pytest.raises(RecipeError, match="name a starting_point"):
        load_recipe("mfcc-cnn", changes)


def test_a_starting_point_is_not_tested_on_what_it_was_fitted_on(
    tiny: TinyModel, tmp_path: Path
) -> None:
    recipe = load_recipe("fine-tune", [f"starting_point={tiny.reference}"], tiny.store)
    known = load_dataset(tiny.data)
    with pytest.raises(RecipeError, match=r"tiny@1.*was fitted on clips of sounds"):
        prepare(recipe, known, "auto", False, tmp_path, silent)
    other = Dataset("others", known.licence, known.select_folds(["3"]).clips)
    with pytest.raises(DatasetError, match="others has 1 fold here"):  # by then it was let through
        prepare(recipe, other, "auto", False, tmp_path, silent)


def test_what_was_fitted_on_esc10_knows_those_clips_of_esc50(tiny: TinyModel) -> None:
    known = load_dataset(tiny.data)
    trained = read_manifest(tiny.version).training.model_copy(update={"dataset": "ESC-10"})
    whole = Dataset("ESC-50", known.licence, known.clips)
    assert trained.folds == ["1", "2", "3"]
    assert was_fitted_on(trained, whole)
    others = tuple(replace(clip, fold="5") for clip in known.clips)
    assert not was_fitted_on(trained, replace(whole, clips=others))


def test_a_network_that_cannot_be_built_is_told_before_any_work(
    tiny: TinyModel, tmp_path: Path
) -> None:
    recipe = load_recipe(str(tiny.recipe), ["model.options.head_droput=0.3"])
    with pytest.raises(RecipeError, match="head_droput"):
        prepare(recipe, load_dataset(tiny.data), "auto", False, tmp_path / "none", silent)
    assert not (tmp_path / "none").exists()


def test_recipes_are_described_without_their_starting_point() -> None:
    assert [recipe.name for recipe in described_recipes()] == recipe_names()
