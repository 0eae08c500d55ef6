"""Architectures: each takes the features that it is for, learns from them, and refuses others."""

from pathlib import Path
from typing import Any, Final

import numpy as np
import pytest
import scipy.fft
from numpy.typing import NDArray

from app.audio.feature_specs import (
    FeatureSpec,
    LogMelSpec,
    MfccSpec,
    MfccStatisticsSpec,
    ScalogramSpec,
    SpectrogramSpec,
    StackSpec,
)
from app.audio.spec import FrontEndSpec
from app.inference.keras_engine import KerasEngine
from app.inference.onnx_engine import OnnxEngine
from tests.tiny_model import SAVING_WARNS
from training.architectures import build_model
from training.keras_import import keras
from training.onnx_conversion import write_onnx
from training.recipe import ModelOptions
from training.recipe_error import RecipeError

pytestmark = SAVING_WARNS

FRAMES: Final[dict[str, Any]] = {"n_fft": 512, "hop_length": 256}
MEL: Final[dict[str, Any]] = {**FRAMES, "n_mels": 20, "mel_max_hz": 4_000.0}
ALL_MFCCS: Final = MfccSpec(n_mfcc=20, **MEL)
PICTURE: Final = SpectrogramSpec(height=32, width=32, **FRAMES)
WAVELETS: Final = ScalogramSpec(n_scales=16, n_frames=32, max_hz=4_000.0)
MOBILENET: Final = ModelOptions(architecture="mobilenet", options={"alpha": 0.25})
CONVOLUTIONS: Final = {"filters": [4, 8], "pool_sizes": [[2, 2], [1, 1]], "dropout": [0, 0.1]}

CASES: Final[dict[str, tuple[str, FeatureSpec, dict[str, Any]]]] = {
    "cnn on mfcc": ("cnn", MfccSpec(n_mfcc=13, **MEL), CONVOLUTIONS),
    "cnn on bands": (
        "cnn",
        ALL_MFCCS,
        {**CONVOLUTIONS, "undo_cosine_transform": True, "average_frames": 2},
    ),
    "cnn on deltas": ("cnn", LogMelSpec(deltas=2, **MEL), CONVOLUTIONS),
    "cnn, flat": (
        "cnn",
        LogMelSpec(**MEL),
        {
            **CONVOLUTIONS,
            "padding": "valid",
            "summary": "flatten",
            "hidden": {"units": [16], "dropout": 0.5, "l2": 0.001},
            "head_dropout": 0.5,
        },
    ),
    "cnn on a picture": ("cnn", PICTURE, {**CONVOLUTIONS, "batch_normalization": True}),
    "dense": ("dense", MfccStatisticsSpec(**MEL), {"units": [12], "l1": 0.001, "dropout": 0.2}),
    "dense on means": ("dense", MfccSpec(n_mfcc=13, **MEL), {"units": [8], "average_frames": True}),
    "fusion": ("fusion", StackSpec(parts=(PICTURE, WAVELETS)), {"branches": [CONVOLUTIONS] * 2}),
    "fusion of probabilities": (
        "fusion",
        StackSpec(parts=(PICTURE, WAVELETS)),
        {"branches": [CONVOLUTIONS] * 2, "join": "probabilities", "hidden": {"units": [8]}},
    ),
    "mobilenet": ("mobilenet", PICTURE, {"alpha": 0.25}),
}


def front_end_of(features: FeatureSpec) -> FrontEndSpec:
    return FrontEndSpec(sample_rate_hz=8_000, window_seconds=1.0, features=features)


def features_of(front_end: FrontEndSpec, n: int = 12) -> NDArray[np.float32]:
    rng = np.random.default_rng(0)
    return rng.normal(20, 10, size=(n, *front_end.feature_shape)).astype(np.float32)


def built(case: str) -> tuple[Any, NDArray[np.float32]]:
    architecture, spec, options = CASES[case]
    features = features_of(front_end_of(spec))
    model = ModelOptions(architecture=architecture, options=options)
    return build_model(model, front_end_of(spec), 3, features), features


@pytest.mark.parametrize("case", CASES)
def test_it_answers_with_probabilities_in_both_engines(case: str, tmp_path: Path) -> None:
    model, features = built(case)
    shape = features.shape[1:]
    model.save(tmp_path / "model.keras")
    write_onnx(model, tmp_path / "model.onnx")
    answers = KerasEngine(tmp_path / "model.keras", shape).predict(features)
    assert answers.shape == (12, 3)
    np.testing.assert_allclose(answers.sum(axis=1), 1, atol=1e-5)
    onnx_answers = OnnxEngine(tmp_path / "model.onnx", shape).predict(features)
    np.testing.assert_allclose(onnx_answers, answers, atol=1e-4)


# One of each architecture that is built anew, but MobileNet (below): some seconds each.
@pytest.mark.parametrize("case", ["cnn on bands", "cnn, flat", "dense", "fusion"])
def test_it_learns_what_a_label_sounds_like(case: str) -> None:
    keras.utils.set_random_seed(0)
    model, features = built(case)
    classes = np.arange(12) % 3
    features[classes == 1] *= 0.2
    features[classes == 2, ..., : features.shape[-1] // 2 + 1] = 0
    model.compile(keras.optimizers.Adam(0.01), "categorical_crossentropy", jit_compile=False)
    targets = np.eye(3)[classes]
    before = model.evaluate(features, targets, verbose=0)
    model.fit(features, targets, epochs=15, verbose=0)
    # Batch normalisation's running means, of 15 steps, are not yet what they will be.
    answers = np.asarray(model(features, training=False))
    assert -np.mean(np.log(answers[np.arange(12), classes] + 1e-9)) < before


def test_mobilenets_moving_means_are_those_of_the_last_steps() -> None:
    """With Keras's momentum, 0.99, they lag behind its weights: see the test below."""
    pictures = np.zeros((1, 32, 32, 3), np.float32)
    model = build_model(MOBILENET, front_end_of(PICTURE), 3, pictures)
    (network,) = (layer for layer in model.layers if isinstance(layer, keras.Model))
    momenta = [
        layer.momentum
        for layer in network.layers
        if isinstance(layer, keras.layers.BatchNormalization)
    ]
    assert momenta == [0.9] * 27


@pytest.mark.slow
def test_mobilenet_has_learned_after_a_few_steps_what_it_answers_by() -> None:
    keras.utils.set_random_seed(0)
    classes = np.arange(48) % 3
    pictures = np.random.default_rng(0).uniform(size=(48, 32, 32, 3)).astype(np.float32)
    for number, label in enumerate(classes):
        pictures[number, 8 * label : 8 * label + 8] *= 0.3
    model = build_model(MOBILENET, front_end_of(PICTURE), 3, pictures)
    model.compile(keras.optimizers.Adam(0.002), "categorical_crossentropy", jit_compile=False)
    model.fit(pictures, np.eye(3)[classes], epochs=25, batch_size=16, verbose=0)
    # With Keras's own momentum it is right in a third: its moving means lag behind its weights.
    answers = np.asarray(model(pictures, training=False)).argmax(axis=1)
    assert np.mean(answers == classes) > 0.8


def test_undoing_the_cosine_transform_gives_the_bands_back() -> None:
    model, _ = built("cnn on bands")
    bands = np.random.default_rng(1).normal(size=(2, 20, 32, 1)).astype(np.float32)
    coefficients = scipy.fft.dct(bands, axis=1, norm="ortho")
    inverse = keras.Model(model.inputs[0], model.get_layer("normalization").input)
    np.testing.assert_allclose(np.asarray(inverse(coefficients)), bands, atol=1e-5)
    assert not model.get_layer("inverse_cosine_transform").trainable_weights


def test_weights_begin_with_the_variance_that_is_asked_for() -> None:
    features = features_of(front_end_of(ALL_MFCCS))

    def kernels(**options: float) -> list[NDArray[np.float32]]:
        keras.utils.set_random_seed(0)
        chosen = {**CONVOLUTIONS, "filters": [8, 32], "batch_normalization": True, **options}
        model = ModelOptions(architecture="cnn", options=chosen)
        built = build_model(model, front_end_of(ALL_MFCCS), 10, features)
        weighted = keras.layers.Conv2D, keras.layers.Dense
        return [layer.get_weights()[0] for layer in built.layers if isinstance(layer, weighted)]

    for kernel in kernels(initial_variance=0.5):
        fan_in = kernel[..., 0].size
        assert kernel.var() * fan_in == pytest.approx(0.5, rel=0.35)
        assert np.abs(kernel).max() <= np.sqrt(3 * 0.5 / fan_in)  # uniform
    for kernel in kernels():  # Glorot's
        fan_in, fan_out = kernel[..., 0].size, kernel.size // kernel.shape[-2]
        assert kernel.var() * (fan_in + fan_out) == pytest.approx(2, rel=0.35)


def test_batch_normalisation_is_as_asked_for() -> None:
    options = {**CONVOLUTIONS, "batch_normalization": True}
    asked = {"batch_normalization_momentum": 0.8, "batch_normalization_epsilon": 1e-4}
    features = features_of(front_end_of(ALL_MFCCS))

    def settings(options: dict[str, Any]) -> set[tuple[float, float]]:
        model = ModelOptions(architecture="cnn", options=options)
        built = build_model(model, front_end_of(ALL_MFCCS), 3, features)
        layers = [x for x in built.layers if isinstance(x, keras.layers.BatchNormalization)]
        return {(layer.momentum, layer.epsilon) for layer in layers}

    assert settings(options) == {(0.95, 1e-3)}
    assert settings({**options, **asked}) == {(0.8, 1e-4)}


def test_a_picture_s_colours_are_normalised_apart_but_not_its_rows() -> None:
    model, features = built("cnn on a picture")
    normalised = np.asarray(model.get_layer("normalization")(features))
    np.testing.assert_allclose(normalised.mean(axis=(0, 1, 2)), 0, atol=1e-3)
    assert model.get_layer("normalization").mean.shape[-1] == 3


def test_mobilenet_takes_weights_from_a_file_and_keeps_those_that_are_frozen(
    tmp_path: Path,
) -> None:
    network = keras.applications.MobileNet(
        input_shape=(32, 32, 3), alpha=0.25, include_top=False, weights=None
    )
    network.save_weights(tmp_path / "mobilenet.weights.h5")
    options = {"alpha": 0.25, "weights": str(tmp_path / "mobilenet.weights.h5")}
    features = features_of(front_end_of(PICTURE))
    model = build_model(
        ModelOptions(architecture="mobilenet", options={**options, "frozen_layers": 10}),
        front_end_of(PICTURE),
        3,
        features,
    )
    (inside,) = [layer for layer in model.layers if isinstance(layer, keras.Model)]
    for ours, theirs in zip(inside.get_weights(), network.get_weights(), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert [layer.trainable for layer in inside.layers[:11]] == [False] * 10 + [True]


FINE_TUNED: Final = front_end_of(MfccSpec(n_mfcc=13, **MEL))


@pytest.fixture
def starting_point(tmp_path: Path) -> Path:
    model, _ = built("cnn on mfcc")
    model.save(tmp_path / "model.keras")
    return tmp_path / "model.keras"


def fine_tuned(path: Path, front_end: FrontEndSpec = FINE_TUNED, **options: Any) -> Any:
    model = ModelOptions(architecture="fine-tune", options={"model": str(path), **options})
    return build_model(model, front_end, 5, features_of(front_end))


def test_fine_tuning_keeps_all_but_the_last_layer(starting_point: Path) -> None:
    before = keras.saving.load_model(starting_point)
    model = fine_tuned(starting_point, frozen_layers=1)
    assert model.output_shape == (None, 5)
    kept = [layer.name for layer in before.layers[1:-1] if layer.get_weights()]
    assert len(kept) == 3  # normalisation and two convolutions
    for name in kept:
        for ours, theirs in zip(
            model.get_layer(name).get_weights(), before.get_layer(name).get_weights(), strict=True
        ):
            np.testing.assert_array_equal(ours, theirs)
    assert len(model.trainable_weights) == 4  # one convolution's and the last layer's


REFUSED: Final[dict[str, tuple[str, FeatureSpec, dict[str, Any], str]]] = {
    "a vector convolved": ("cnn", MfccStatisticsSpec(**MEL), CONVOLUTIONS, "no pictures"),
    "a transform that cannot be undone": (
        "cnn",
        MfccSpec(n_mfcc=13, **MEL),
        {**CONVOLUTIONS, "undo_cosine_transform": True},
        "n_mfcc = n_mels",
    ),
    "a picture into a dense network": ("dense", ALL_MFCCS, {"units": [4]}, "no vectors"),
    "a vector without frames": (
        "dense",
        MfccStatisticsSpec(**MEL),
        {"average_frames": True},
        "no frames",
    ),
    "fusion of one": ("fusion", ALL_MFCCS, {"branches": [CONVOLUTIONS]}, "kind stack"),
    "a branch too few": (
        "fusion",
        StackSpec(parts=(PICTURE, WAVELETS)),
        {"branches": [CONVOLUTIONS]},
        "as many branches",
    ),
    "a vector in a stack": (
        "fusion",
        StackSpec(parts=(PICTURE, MfccStatisticsSpec(**MEL))),
        {"branches": [CONVOLUTIONS] * 2},
        "no pictures",
    ),
    "mobilenet without colours": ("mobilenet", ALL_MFCCS, {}, "three colours"),
    "mobilenet's weights missing": ("mobilenet", PICTURE, {"weights": "no.h5"}, "no weights at no"),
    "chance frozen": ("mobilenet", PICTURE, {"frozen_layers": 3}, "what chance has made"),
    "an option that is not there": ("dense", MfccStatisticsSpec(**MEL), {"width": 3}, "width"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_what_does_not_fit_is_refused_with_a_sentence(case: str) -> None:
    architecture, spec, options, complaint = REFUSED[case]
    front_end = front_end_of(spec)
    with pytest.raises(RecipeError, match=complaint):
        build_model(
            ModelOptions(architecture=architecture, options=options),
            front_end,
            3,
            features_of(front_end),
        )


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "other.weights.h5"
    keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)]).save_weights(path)
    front_end = front_end_of(PICTURE)
    model = ModelOptions(architecture="mobilenet", options={"weights": str(path), "alpha": 0.25})
    with pytest.raises(RecipeError, match="do not fit"):
        build_model(model, front_end, 3, features_of(front_end))


def test_a_starting_point_with_other_features_is_refused(starting_point: Path) -> None:
    with pytest.raises(RecipeError, match="the starting point takes features"):
        fine_tuned(starting_point, front_end_of(ALL_MFCCS))


def test_a_starting_point_cannot_be_frozen_whole(starting_point: Path) -> None:
    with pytest.raises(RecipeError, match="frozen_layers is too many"):
        fine_tuned(starting_point, frozen_layers=3)
