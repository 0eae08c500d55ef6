"""Every kind of features: the numbers of the library that defines it, and its place in a spec."""

from dataclasses import asdict, replace
from typing import Any, Final

import librosa
import numpy as np
import pytest
import pywt
import scipy.stats
import tensorflow
from matplotlib import colormaps
from numpy.typing import NDArray

from app.audio.feature_specs import (
    KINDS,
    STATISTICS,
    FeatureSpec,
    LogMelSpec,
    MfccSpec,
    MfccStatisticsSpec,
    ScalogramSpec,
    SpecError,
    SpectrogramSpec,
    StackSpec,
)
from app.audio.features import make_extractor, make_tables
from app.audio.features.mfcc_statistics import statistics
from app.audio.features.scalogram import frequencies_hz
from app.audio.features.spectrogram import resizing
from app.audio.frontend import FrontEnd
from app.audio.spec import FrontEndSpec
from tests.sounds import encode, noisy_sweep

RATE: Final = 22_050
MEL: Final[dict[str, Any]] = {"n_mels": 64, "n_fft": 1024, "hop_length": 512}

SPECS: Final[dict[str, FeatureSpec]] = {
    "mfcc": MfccSpec(n_mfcc=13, n_mels=64, n_fft=1024),
    "mfcc_statistics": MfccStatisticsSpec(n_mels=64, n_fft=1024),
    "log_mel": LogMelSpec(n_mels=64, n_fft=1024, deltas=2),
    "spectrogram": SpectrogramSpec(n_fft=1024),
    "scalogram": ScalogramSpec(n_scales=16, n_frames=64),
    "stack": StackSpec(
        parts=(
            SpectrogramSpec(n_fft=1024, height=64, width=32),
            ScalogramSpec(n_scales=16, n_frames=64),
        )
    ),
}


def spec_of(features: FeatureSpec) -> FrontEndSpec:
    return FrontEndSpec(sample_rate_hz=RATE, window_seconds=1.0, features=features)


def windows() -> NDArray[np.float32]:
    """Two windows of one second: a sweep with noise, and a click after silence."""
    sweep = noisy_sweep(1, RATE)[:, 0].astype(np.float32)
    click = np.zeros(RATE, dtype=np.float32)
    click[RATE // 2 :] = 0.5 * np.exp(-np.arange(RATE - RATE // 2) / 500)
    return np.stack([sweep[:RATE], click])


def extract(features: FeatureSpec, of: NDArray[np.float32]) -> NDArray[np.float32]:
    spec = spec_of(features)
    return make_extractor(spec, make_tables(spec))(of)


def librosa_log_mel(window: NDArray[np.float32]) -> NDArray[np.float32]:
    power = librosa.feature.melspectrogram(y=window, sr=RATE, fmax=11_025.0, **MEL)
    decibels: NDArray[np.float32] = librosa.power_to_db(power)
    return decibels


def test_there_is_a_case_for_each_kind() -> None:
    assert SPECS.keys() == KINDS.keys()


@pytest.mark.parametrize("kind", SPECS)
def test_features_have_the_shape_that_the_spec_says(kind: str) -> None:
    features = extract(SPECS[kind], windows())
    assert features.shape == (2, *spec_of(SPECS[kind]).feature_shape)
    assert features.dtype == np.float32
    assert np.isfinite(features).all()
    assert not np.array_equal(features[0], features[1])


@pytest.mark.parametrize("kind", SPECS)
def test_a_window_s_features_do_not_depend_on_its_neighbours(kind: str) -> None:
    both = extract(SPECS[kind], windows())
    np.testing.assert_array_equal(both[1], extract(SPECS[kind], windows()[1:])[0])


@pytest.mark.parametrize("kind", SPECS)
def test_silence_has_features_that_are_numbers(kind: str) -> None:
    assert np.isfinite(extract(SPECS[kind], np.zeros((1, RATE), dtype=np.float32))).all()


@pytest.mark.parametrize("kind", SPECS)
def test_a_spec_survives_its_manifest(kind: str) -> None:
    spec = spec_of(SPECS[kind])
    assert FrontEndSpec.from_manifest(spec.to_manifest()) == spec


@pytest.mark.parametrize("kind", SPECS)
def test_a_manifest_that_leaves_out_a_field_is_refused(kind: str) -> None:
    manifest = spec_of(SPECS[kind]).to_manifest()
    for name in asdict(SPECS[kind]):
        features = {key: value for key, value in manifest["features"].items() if key != name}
        with pytest.raises(SpecError):
            FrontEndSpec.from_manifest({**manifest, "features": features})


@pytest.mark.parametrize("kind", SPECS)
def test_a_table_that_is_missing_is_named(kind: str) -> None:
    spec = spec_of(SPECS[kind])
    tables = dict(make_tables(spec))
    for name in tables:
        others = {key: values for key, values in tables.items() if key != name}
        with pytest.raises(ValueError, match=name.removeprefix("part0_").removeprefix("part1_")):
            FrontEnd(spec, others)


@pytest.mark.parametrize("kind", SPECS)
def test_a_file_of_any_rate_has_them(kind: str) -> None:
    front_end = FrontEnd.build(spec_of(SPECS[kind]))
    clip = front_end.features(encode(noisy_sweep(0.5, 8_000), 8_000))
    assert clip.features.shape == (1, *front_end.spec.feature_shape)


def test_statistics_are_scipy_s_of_librosa_s_coefficients() -> None:
    sweep = windows()[0]
    coefficients = librosa.feature.mfcc(y=sweep, sr=RATE, n_mfcc=20, fmax=11_025.0, **MEL)
    expected = [
        np.min(coefficients, axis=1),
        np.max(coefficients, axis=1),
        np.median(coefficients, axis=1),
        np.mean(coefficients, axis=1),
        np.var(coefficients, axis=1),
        scipy.stats.skew(coefficients, axis=1),
        scipy.stats.kurtosis(coefficients, axis=1),
    ]
    features = extract(MfccStatisticsSpec(**MEL), windows()[:1])[0]
    np.testing.assert_allclose(features, np.concatenate(expected), rtol=1e-3, atol=1e-3)
    assert len(expected) == len(STATISTICS)


def test_what_does_not_change_has_neither_skewness_nor_kurtosis() -> None:
    constant = statistics(np.full((2, 9), -113.7, dtype=np.float32))
    np.testing.assert_allclose(constant[:4], -113.7, rtol=1e-6)
    np.testing.assert_array_equal(constant[-2:], 0)


def test_log_mel_bands_are_librosa_s() -> None:
    for window, features in zip(windows(), extract(LogMelSpec(**MEL), windows()), strict=True):
        np.testing.assert_allclose(features[..., 0], librosa_log_mel(window), atol=1e-3)


def test_deltas_are_librosa_s() -> None:
    for window, features in zip(
        windows(), extract(LogMelSpec(deltas=2, delta_frames=7, **MEL), windows()), strict=True
    ):
        bands = librosa_log_mel(window)
        for order in (1, 2):
            expected = librosa.feature.delta(bands, width=7, order=order)
            np.testing.assert_allclose(features[..., order], expected, atol=1e-3)


def test_a_spectrogram_is_librosa_s_resized_by_tensorflow_and_coloured_by_matplotlib() -> None:
    spec = SpectrogramSpec(n_fft=1024, hop_length=512, height=64, width=80, colour_map="magma")
    for window, features in zip(windows(), extract(spec, windows()), strict=True):
        power = np.abs(librosa.stft(window, n_fft=1024, hop_length=512)) ** 2
        shades = 1 + librosa.power_to_db(power, ref=np.max) / 80
        resized = tensorflow.image.resize(
            shades[..., np.newaxis], (64, 80), method="bilinear", antialias=True
        )
        colours = colormaps["magma"](np.clip(resized[..., 0], 0, 1))[..., :3]
        # A shade that lies between two colours may be rounded to either.
        np.testing.assert_allclose(features, colours, atol=0.03)
        assert np.mean(np.abs(features - colours)) < 0.003


@pytest.mark.parametrize(("n_from", "n_to"), [(513, 256), (40, 256), (7, 7)])
def test_resizing_keeps_what_is_constant(n_from: int, n_to: int) -> None:
    matrix = resizing(n_from, n_to)
    assert matrix.shape == (n_to, n_from)
    np.testing.assert_allclose(matrix.sum(axis=1), 1, rtol=1e-6)
    if n_from == n_to:
        np.testing.assert_array_equal(matrix, np.eye(n_from))


def test_a_scalogram_is_pywavelets_s() -> None:
    spec = ScalogramSpec(n_scales=12, n_frames=50, min_hz=60.0, max_hz=6_000.0)
    scales = RATE / frequencies_hz(spec)
    n_samples = RATE - RATE % 50  # so that the frames are of one length
    for window in windows()[:, :n_samples]:
        transformed, frequencies = pywt.cwt(
            window.astype(np.float64), scales, "cmor1.5-1.0", 1 / RATE, method="fft"
        )
        np.testing.assert_allclose(frequencies, frequencies_hz(spec), rtol=1e-6)
        magnitudes = np.abs(transformed).reshape(12, 50, -1).mean(axis=2)
        expected = librosa.amplitude_to_db(magnitudes, amin=1e-5)
        front_end = FrontEndSpec(
            sample_rate_hz=RATE, window_seconds=n_samples / RATE, features=spec
        )
        features = make_extractor(front_end, make_tables(front_end))(window[np.newaxis])
        np.testing.assert_allclose(features[0, ..., 0], expected, atol=0.01)


def test_a_scalogram_shows_a_tone_at_its_frequency() -> None:
    spec = ScalogramSpec(n_scales=40, n_frames=10)
    tone = np.sin(2 * np.pi * 1_000 * np.arange(RATE) / RATE).astype(np.float32)
    loudest = extract(spec, tone[np.newaxis])[0, :, 5, 0].argmax()
    assert frequencies_hz(spec)[loudest] == pytest.approx(1_000, rel=0.07)


def test_a_stack_holds_its_parts_end_to_end() -> None:
    stack = SPECS["stack"]
    assert isinstance(stack, StackSpec)
    features = extract(stack, windows())
    first, second = (extract(part, windows()) for part in stack.parts)
    np.testing.assert_array_equal(features[:, : 64 * 32 * 3].reshape(first.shape), first)
    np.testing.assert_array_equal(features[:, 64 * 32 * 3 :].reshape(second.shape), second)
    assert stack.shapes(RATE) == [(64, 32, 3), (16, 64, 1)]


BAD_FIELDS: Final = [
    ("mfcc_statistics", "n_mfcc", 65),
    ("mfcc_statistics", "n_mfcc", 0),
    ("log_mel", "deltas", 3),
    ("log_mel", "delta_frames", 4),
    ("log_mel", "delta_frames", 99),  # more frames than the window has
    ("log_mel", "mel_max_hz", 11_026.0),
    ("spectrogram", "colour_map", "jet"),
    ("spectrogram", "height", 0),
    ("spectrogram", "hop_length", 1025),
    ("spectrogram", "n_fft", RATE + 1),
    ("scalogram", "n_scales", 1),
    ("scalogram", "n_frames", RATE + 1),
    ("scalogram", "min_hz", 0.0),
    ("scalogram", "max_hz", 11_026.0),
    ("scalogram", "bandwidth", float("nan")),
    ("scalogram", "top_db", 0.0),
    ("stack", "parts", ()),
]


@pytest.mark.parametrize(
    ("kind", "name", "value"),
    BAD_FIELDS,
    ids=[f"{kind}-{name}-{v}" for kind, name, v in BAD_FIELDS],
)
def test_a_field_that_no_front_end_can_honour_is_refused(
    kind: str, name: str, value: object
) -> None:
    with pytest.raises(SpecError):
        spec_of(replace(SPECS[kind], **{name: value}))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("features", "complaint"),
    [
        ("mfcc", "must be a table"),
        ({}, "missing fields: kind"),
        ({"kind": "loudness"}, "'loudness' are not known; there is: mfcc, "),
        ({"kind": ["mfcc"]}, "are not known"),
        ({"kind": "stack", "parts": "mfcc"}, "must be a list"),
        ({"kind": "stack", "parts": [asdict(SPECS["stack"])] * 2}, "cannot hold a stack"),
        ({**asdict(SPECS["mfcc"]), "top_db": "80"}, "wrong type"),
    ],
    ids=["text", "no kind", "unknown kind", "list", "parts", "stack in a stack", "wrong type"],
)
def test_a_manifest_with_other_features_is_refused(features: object, complaint: str) -> None:
    manifest = spec_of(SPECS["mfcc"]).to_manifest()
    with pytest.raises(SpecError, match=complaint):
        FrontEndSpec.from_manifest({**manifest, "features": features})
