"""Fitting: the same command gives the same model, and what it writes agrees with itself."""

import hashlib
import json
import re
import shlex
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest

from app.inference.keras_engine import KerasEngine
from app.inference.onnx_engine import OnnxEngine
from app.inference.store import ModelStore
from tests.tiny_model import (
    FOLDS,
    LABELS,
    NAME,
    SAVING_WARNS,
    TinyModel,
    read_manifest_json,
    run_hark_train,
)
from training.datasets import Clip, load_dataset
from training.examples import Examples, select_examples
from training.features_cache import DatasetFeatures, extract_features
from training.fit import FittedModel, fit_model, report_epochs, schedule_of
from training.keras_import import keras
from training.onnx_conversion import write_onnx
from training.recipe import Recipe, Training
from training.recipe_error import RecipeError
from training.workers import ProcessPool

pytestmark = SAVING_WARNS

PNG = b"\x89PNG\r\n\x1a\n"
MEGABYTE = 1_000_000


@pytest.fixture(scope="module")
def metrics(tiny: TinyModel) -> dict[str, Any]:
    """The tiny version's metrics.json."""
    read: dict[str, Any] = json.loads((tiny.version / "metrics.json").read_bytes())
    return read


@pytest.fixture(scope="module")
def card(tiny: TinyModel) -> str:
    """The tiny version's card, on one line."""
    return " ".join((tiny.version / "MODEL_CARD.md").read_text().split())


@pytest.mark.slow
def test_the_same_command_makes_the_same_model_again_as_the_next_version(
    tiny: TinyModel, tmp_path: Path
) -> None:
    """In a process of its own, so that nothing but the command can decide."""
    tiny.copy_version(tmp_path)
    finished = run_hark_train(*tiny.fit_arguments(tmp_path))
    assert finished.returncode == 0, finished.stderr
    store = ModelStore(tmp_path)
    assert store.versions(NAME) == [1, 2]
    second = store.folder(store.resolve(NAME))
    for name in (
        "metrics.json",
        "loss.png",
        "confusion_matrix.png",
        "reliability.png",
        "front_end.npz",
    ):
        assert (second / name).read_bytes() == (tiny.version / name).read_bytes(), name
    probes = [read_manifest_json(version)["probe"] for version in (tiny.version, second)]
    assert probes[0] == probes[1]


def test_the_manifests_hashes_are_those_of_the_files(tiny: TinyModel) -> None:
    files = read_manifest_json(tiny.version)["files"]
    assert files == {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in tiny.version.iterdir()
        if path.name != "manifest.json"
    }
    assert set(files) == {
        "MODEL_CARD.md", "confusion_matrix.png", "front_end.npz", "loss.png", "metrics.json",
        "model.keras", "model.onnx", "reliability.png",
    }  # fmt: skip


def test_a_version_is_small(tiny: TinyModel) -> None:
    assert sum(path.stat().st_size for path in tiny.version.iterdir()) < 5 * MEGABYTE


def test_nothing_else_is_left_in_the_store(tiny: TinyModel) -> None:
    assert [path.relative_to(tiny.store) for path in tiny.store.glob("*/*")] == [Path(NAME, "1")]


def test_the_plots_are_pictures(tiny: TinyModel) -> None:
    for name in ("loss.png", "confusion_matrix.png", "reliability.png"):
        assert (tiny.version / name).read_bytes().startswith(PNG)


def test_the_manifest_says_where_the_version_comes_from(
    tiny: TinyModel, metrics: dict[str, Any]
) -> None:
    manifest = read_manifest_json(tiny.version)
    assert (manifest["name"], manifest["version"]) == (NAME, 1)
    assert manifest["labels"] == list(LABELS)
    assert manifest["front_end"]["features"]["n_mels"] == 20
    training = manifest["training"]
    assert shlex.split(training["command"]) == ["hark-train", *tiny.fit_arguments(tiny.store)]
    assert {name: training[name] for name in training if name != "command"} == {
        "recipe": "tiny", "dataset": "sounds", "licence": "not stated", "folds": list(FOLDS),
        "clips": 36, "epochs": metrics["epochs"], "seed": 0,
    }  # fmt: skip
    assert {"keras", "tensorflow", "numpy", "librosa"} <= set(manifest["library_versions"])


def test_the_manifests_metrics_are_those_of_the_report(
    tiny: TinyModel, metrics: dict[str, Any]
) -> None:
    manifest = read_manifest_json(tiny.version)
    assert manifest["metrics"] == {name: metrics[name] for name in manifest["metrics"]}
    assert set(manifest["metrics"]) == {
        "accuracy_mean", "accuracy_deviation", "macro_f1_mean", "ece_before", "ece_after",
    }  # fmt: skip


def test_the_manifest_has_the_calibration_of_the_report(
    tiny: TinyModel, metrics: dict[str, Any]
) -> None:
    assert read_manifest_json(tiny.version)["calibration"] == metrics["calibration"]
    assert set(metrics["calibration"]) == {"temperature", "uncertain_below"}
    assert all(turn["calibration"]["temperature"] > 0 for turn in metrics["rounds"])
    # Trained on mixtures, the tiny model is less sure of itself than it could be.
    assert metrics["calibration"]["temperature"] < 1
    assert 0 <= metrics["ece_after"] < metrics["ece_before"] <= 1


def test_the_report_agrees_with_itself(metrics: dict[str, Any]) -> None:
    rounds, together = metrics["rounds"], metrics["together"]
    accuracies = [turn["metrics"]["accuracy"] for turn in rounds]
    assert [turn["test"] for turn in rounds] == list(FOLDS)
    assert metrics["accuracy_mean"] == pytest.approx(np.mean(accuracies))
    assert metrics["accuracy_deviation"] == pytest.approx(np.std(accuracies))
    assert metrics["macro_f1_mean"] == pytest.approx(
        np.mean([turn["metrics"]["macro_f1"] for turn in rounds])
    )
    assert metrics["epochs"] == np.median([turn["epochs"] for turn in rounds])
    by_round = [turn["metrics"]["confusion_matrix"] for turn in rounds]
    assert np.sum(by_round, axis=0).tolist() == together["confusion_matrix"]
    assert together["clips"] == sum(turn["metrics"]["clips"] for turn in rounds) == 36
    clips = [together["by_label"][label]["clips"] for label in LABELS]
    assert clips == np.sum(together["confusion_matrix"], axis=1).tolist() == [12, 12, 12]
    assert metrics["labels"] == list(together["by_label"]) == list(LABELS)


def test_each_round_stopped_at_its_lowest_validation_loss(metrics: dict[str, Any]) -> None:
    for turn in metrics["rounds"]:
        losses = turn["history"]["val_loss"]
        assert len(losses) == len(turn["history"]["loss"])
        assert turn["epochs"] == 1 + int(np.argmin(losses))


def test_the_model_is_better_than_chance(metrics: dict[str, Any]) -> None:
    """Else the suite's other figures would say nothing."""
    assert metrics["accuracy_mean"] > 0.8


def test_the_card_says_what_the_report_says(
    tiny: TinyModel, card: str, metrics: dict[str, Any]
) -> None:
    assert card.startswith("# tiny, version 1 ")
    mean, deviation = metrics["accuracy_mean"], metrics["accuracy_deviation"]
    assert f"Accuracy **{mean:.1%}** ± {deviation:.1%}" in card
    assert f"macro F1 {metrics['macro_f1_mean']:.3f}." in card
    assert f"over {len(FOLDS)} folds" in card
    assert metrics["protocol"] in card
    for turn in metrics["rounds"]:
        accuracy = turn["metrics"]["accuracy"]
        assert f"| fold {turn['test']} | 12 | {turn['epochs']} | {accuracy:.1%} |" in card
    for label, figures in metrics["together"]["by_label"].items():
        assert f"| {label} | 12 | {figures['precision']:.2f} | {figures['recall']:.2f} |" in card


def test_the_card_says_how_far_probabilities_can_be_believed(
    card: str, metrics: dict[str, Any]
) -> None:
    assert f"The temperature is **{metrics['calibration']['temperature']:.3f}**: " in card
    assert f"**{metrics['ece_before']:.3f}** before, **{metrics['ece_after']:.3f}** after" in card
    assert "fitted on the answers of each round's model to its own test part" in card
    assert "each test part was answered with the temperature" in card
    assert "probabilities are not calibrated" not in card


def test_the_card_says_how_to_make_the_version_again(tiny: TinyModel, card: str) -> None:
    assert read_manifest_json(tiny.version)["training"]["command"] in card
    assert "official folds 1, 2, 3" in card
    assert "**not stated**" in card
    assert "8000 Hz mono, windows of 1 s" in card


def test_the_card_shows_pictures_that_are_there(tiny: TinyModel, card: str) -> None:
    pictures = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", card)
    assert len(pictures) == 3
    assert all((tiny.version / name).is_file() for name in pictures)


@pytest.fixture(scope="module")
def data(tiny: TinyModel, tiny_recipe: Recipe) -> DatasetFeatures:
    """The tiny model's features, from its cache."""
    dataset = load_dataset(tiny.data)
    return extract_features(dataset, tiny_recipe.front_end, tiny.cache, workers=ProcessPool(1))


def examples_of_folds(data: DatasetFeatures, *folds: str) -> Examples:
    clips = [index for index, clip in enumerate(data.clips) if clip.fold in folds]
    return select_examples(data, np.array(clips), LABELS)


def recipe_with(recipe: Recipe, **training: object) -> Recipe:
    changed = Training(**{**recipe.training.model_dump(), **training})
    return recipe.model_copy(update={"training": changed})


def test_examples_are_the_windows_of_the_chosen_clips(data: DatasetFeatures) -> None:
    examples = select_examples(data, np.array([5, 0]), LABELS)
    windows = np.flatnonzero(np.isin(data.clip_of_window, [0, 5]))
    assert len(windows) > 2
    np.testing.assert_array_equal(examples.features, data.features[windows])
    np.testing.assert_array_equal(examples.weights, data.weights[windows])
    labels = [data.clips[clip].label for clip in data.clip_of_window[windows]]
    assert [LABELS[index] for index in examples.targets.argmax(axis=1)] == labels
    assert examples.targets.sum(axis=1).tolist() == [1] * len(windows)


def test_targets_are_in_the_order_of_the_labels(data: DatasetFeatures) -> None:
    one = replace(data, clips=(Clip(Path("x"), "b"), *data.clips[1:]))
    targets = select_examples(one, np.array([0]), ["c", "b", "a"]).targets
    assert set(map(tuple, targets.tolist())) == {(0, 1, 0)}


Fit = Callable[..., FittedModel]


@pytest.fixture(scope="module")
def fit(data: DatasetFeatures, tiny_recipe: Recipe) -> Fit:
    """Fits the tiny recipe, with changes, on folds 1 and 2."""

    def fit_with(*, validated: bool = False, epochs: int | None = None, **training: object) -> Any:
        validation = examples_of_folds(data, "3") if validated else None
        examples = examples_of_folds(data, "1", "2")
        return fit_model(recipe_with(tiny_recipe, **training), examples, validation, epochs)

    return fit_with


def weights(fitted: FittedModel) -> list[np.ndarray[Any, Any]]:
    return [np.asarray(weight) for weight in fitted.model.get_weights()]


def test_the_seed_decides_every_weight(fit: Fit) -> None:
    first, again, other = fit(epochs=2), fit(epochs=2), fit(epochs=2, seed=1)
    assert all(map(np.array_equal, weights(first), weights(again)))
    assert first.history == again.history
    assert not all(map(np.array_equal, weights(first), weights(other)))


def test_epochs_that_are_given_are_kept_exactly(fit: Fit) -> None:
    fitted = fit(epochs=3)
    assert fitted.epochs == len(fitted.history["loss"]) == 3
    assert "val_loss" not in fitted.history


def test_without_validation_the_recipes_epochs_are_kept(fit: Fit) -> None:
    fitted = fit(patience=1)
    assert fitted.epochs == len(fitted.history["loss"]) == 8


@pytest.mark.parametrize("min_epochs", [1, 4])
def test_fitting_stops_after_the_lowest_validation_loss(fit: Fit, min_epochs: int) -> None:
    # A rate at which the loss soon rises again.
    fitted = fit(validated=True, learning_rate=1.0, patience=2, min_epochs=min_epochs)
    losses = fitted.history["val_loss"][min_epochs - 1 :]
    assert fitted.epochs == min_epochs + int(np.argmin(losses))
    assert len(fitted.history["loss"]) == min(8, fitted.epochs + 2)


@pytest.mark.parametrize("validated", [True, False])
def test_a_fit_that_diverges_is_refused(fit: Fit, validated: bool) -> None:
    with pytest.raises(
        RecipeError, match=r"diverged: after epoch \d.*Lower training.learning_rate"
    ):
        fit(validated=validated, learning_rate=1e30)


def test_progress_is_told_epoch_by_epoch(data: DatasetFeatures, tiny_recipe: Recipe) -> None:
    notes: list[str] = []
    validation = examples_of_folds(data, "3")
    recipe = recipe_with(tiny_recipe, epochs=2)
    fit_model(
        recipe, examples_of_folds(data, "1"), validation, on_epoch=report_epochs(notes.append)
    )
    assert len(notes) == 2
    assert all(
        re.fullmatch(r"loss \d+\.\d{3}, validation \d+\.\d{3} \(\d+\.\d%\)", n) for n in notes
    )


def test_fitting_does_not_change_the_examples(fit: Fit, data: DatasetFeatures) -> None:
    before = data.features.copy()
    fit(epochs=1)
    np.testing.assert_array_equal(data.features, before)


@pytest.mark.parametrize("optimizer", get_args(Training.model_fields["optimizer"].annotation))
def test_every_optimizer_learns(fit: Fit, optimizer: str) -> None:
    fitted = fit(epochs=4, optimizer=optimizer, schedule="constant", learning_rate=0.01)
    assert fitted.history["loss"][-1] < fitted.history["loss"][0]


@pytest.mark.parametrize(("schedule", "last"), [("cosine", 0.0), ("constant", 0.2)])
def test_the_rate_rises_first_and_then_falls_or_stays(schedule: str, last: float) -> None:
    training = Training.model_validate(
        {
            "epochs": 6,
            "patience": 1,
            "learning_rate": 0.2,
            "schedule": schedule,
            "warmup_epochs": 2,
        }
    )
    rate = schedule_of(training, 6, steps_per_epoch=10)
    rates = [float(rate(step)) for step in (0, 10, 20, 60)]
    assert rates == pytest.approx([0.01, 0.105, 0.2, last], abs=1e-6)


def test_decay_makes_weights_smaller(fit: Fit) -> None:
    def size(fitted: FittedModel) -> float:
        (kernel,) = (w for w in weights(fitted) if w.shape[-1:] == (3,) and w.ndim == 2)
        return float(np.abs(kernel).sum())

    assert size(fit(epochs=3, weight_decay=1.0)) < 0.9 * size(fit(epochs=3))


def test_averaged_weights_are_what_is_kept(fit: Fit) -> None:
    """An average that hardly moves stays where the first step led, which is as long as the rate."""
    began = fit(epochs=1, learning_rate=1e-12)
    averaged = fit(epochs=3, validated=True, average_weights=1 - 1e-9)
    moved = fit(epochs=3)
    (kernel,) = (index for index, w in enumerate(weights(began)) if w.ndim == 4)
    assert np.abs(weights(averaged)[kernel] - weights(began)[kernel]).max() < 0.0501
    assert np.abs(weights(moved)[kernel] - weights(began)[kernel]).max() > 0.1


@pytest.mark.slow
def test_mixed_precision_is_for_the_fit_alone(fit: Fit, data: DatasetFeatures) -> None:
    """Other sums than in float32, and a model that computes in float32 as if there were none."""
    plain, mixed = fit(epochs=4), fit(epochs=4, mixed_precision=True)
    assert mixed.history["loss"] != plain.history["loss"]
    assert mixed.history["loss"][-1] < mixed.history["loss"][0]
    assert keras.mixed_precision.dtype_policy().name == "float32"
    assert {layer.compute_dtype for layer in mixed.model.layers} == {"float32"}
    assert {str(weight.dtype) for weight in mixed.model.trainable_weights} == {"float32"}


@pytest.mark.slow
def test_a_fit_in_mixed_precision_goes_on_from_its_checkpoint(
    data: DatasetFeatures, tiny_recipe: Recipe, tmp_path: Path
) -> None:
    recipe = recipe_with(
        tiny_recipe, mixed_precision=True, average_weights=0.5, schedule="constant", epochs=4
    )
    examples = examples_of_folds(data, "1")
    whole = fit_model(recipe, examples)
    fit_model(recipe, examples, epochs=2, checkpoint=tmp_path / "kept.npz")
    resumed = fit_model(recipe, examples, checkpoint=tmp_path / "kept.npz")
    assert resumed.history == whole.history
    assert all(map(np.array_equal, weights(resumed), weights(whole)))


def test_a_version_fitted_in_mixed_precision_serves_in_both_engines(
    fit: Fit, data: DatasetFeatures, tiny_recipe: Recipe, tmp_path: Path
) -> None:
    fitted = fit(epochs=2, mixed_precision=True)
    path, onnx = tmp_path / "model.keras", tmp_path / "model.onnx"
    fitted.model.save(path)
    write_onnx(fitted.model, onnx)
    shape = tiny_recipe.front_end.feature_shape
    engines = KerasEngine(path, shape), OnnxEngine(onnx, shape)
    by_keras, by_onnx = (engine.predict(data.features) for engine in engines)
    assert by_keras.dtype.name == by_onnx.dtype.name == "float32"
    np.testing.assert_allclose(by_keras, by_onnx, atol=1e-5)
