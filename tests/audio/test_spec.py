"""FrontEndSpec: what it refuses, what follows from it, and its way through a manifest."""

import json
from dataclasses import FrozenInstanceError, fields
from typing import Any, Final

import pytest

from app.audio.feature_specs import MfccSpec, SpecError
from app.audio.spec import FrontEndSpec

# No value is a default one, so that a field that got lost on the way would show.
UNUSUAL: Final = FrontEndSpec(
    sample_rate_hz=16_000,
    window_seconds=1.5,
    shortest_tail_seconds=0.25,
    padding="repeat",
    features=MfccSpec(
        n_mfcc=13,
        n_mels=40,
        n_fft=1024,
        hop_length=256,
        mel_min_hz=50.0,
        mel_max_hz=7_500.0,
        top_db=60.0,
    ),
)

NOT_COUNTS: Final = (0, -1, 1.5, True, "40", None)


def is_refused(values: dict[str, Any], words: str) -> None:
    with pytest.raises(SpecError, match=words):
        FrontEndSpec(**values)


@pytest.mark.parametrize("name", ["n_mfcc", "n_mels", "n_fft", "hop_length"])
@pytest.mark.parametrize("value", NOT_COUNTS)
def test_a_feature_count_must_be_a_positive_whole_number(name: str, value: Any) -> None:
    with pytest.raises(SpecError, match=f"{name} must be a positive whole number"):
        MfccSpec(**{name: value})


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"n_mfcc": 41, "n_mels": 40}, "n_mfcc must not exceed n_mels"),
        ({"hop_length": 2049}, "hop_length must not exceed n_fft"),
        ({"mel_min_hz": -1.0}, "mel_min_hz must lie in"),
        ({"mel_min_hz": 11_025.0}, "mel_min_hz must lie in"),
        ({"mel_min_hz": float("nan")}, "mel_min_hz must lie in"),
        ({"mel_max_hz": float("nan")}, "mel_min_hz must lie in"),
        ({"top_db": 0.0}, "top_db must be positive"),
        ({"top_db": -80.0}, "top_db must be positive"),
        ({"top_db": float("nan")}, "top_db must be positive"),
    ],
)
def test_contradictory_features_are_refused(values: dict[str, Any], words: str) -> None:
    with pytest.raises(SpecError, match=words):
        MfccSpec(**values)


@pytest.mark.parametrize("value", NOT_COUNTS)
def test_the_sample_rate_must_be_a_positive_whole_number(value: Any) -> None:
    is_refused({"sample_rate_hz": value}, "sample_rate_hz must be a positive whole number")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"downmix": "left"}, "downmix must be 'mean'"),
        ({"resampler": "kaiser_best"}, "resampler must be 'soxr_hq'"),
        ({"padding": "reflect"}, "padding must be one of"),
        ({"window_seconds": 0.05}, "a window must hold at least one frame"),
        ({"window_seconds": 0.0}, "a window must hold at least one frame"),
        ({"window_seconds": -4.0}, "a window must hold at least one frame"),
        ({"shortest_tail_seconds": -0.1}, "shortest_tail_seconds must lie in"),
        ({"shortest_tail_seconds": 4.0}, "shortest_tail_seconds must lie in"),
        ({"shortest_tail_seconds": float("nan")}, "shortest_tail_seconds must lie in"),
        ({"sample_rate_hz": 22_049}, "mel_max_hz must not exceed half the sample rate"),
        ({"features": MfccSpec(mel_max_hz=11_026)}, "mel_max_hz must not exceed half"),
        ({"features": MfccSpec(mel_max_hz=float("inf"))}, "mel_max_hz must not exceed half"),
    ],
)
def test_a_contradictory_front_end_is_refused(values: dict[str, Any], words: str) -> None:
    is_refused(values, words)


@pytest.mark.parametrize("seconds", [float("nan"), float("inf")])
def test_a_window_must_have_a_length(seconds: float) -> None:
    is_refused({"window_seconds": seconds}, "window")


def test_the_limits_themselves_are_accepted() -> None:
    features = MfccSpec(n_mfcc=40, n_mels=40, n_fft=512, hop_length=512, mel_max_hz=4_000.0)
    spec = FrontEndSpec(
        sample_rate_hz=8_000, window_seconds=0.064, shortest_tail_seconds=0.0, features=features
    )
    assert spec.window_samples == features.n_fft
    assert spec.feature_shape == (40, 2, 1)


def test_shapes_follow_from_the_spec() -> None:
    assert FrontEndSpec().window_samples == 88_200
    assert FrontEndSpec().feature_shape == (40, 173, 1)
    assert UNUSUAL.window_samples == 24_000
    assert UNUSUAL.feature_shape == (13, 94, 1)


def test_a_spec_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        FrontEndSpec().sample_rate_hz = 8_000  # type: ignore[misc]


@pytest.mark.parametrize("spec", [FrontEndSpec(), UNUSUAL])
def test_a_spec_survives_json(spec: FrontEndSpec) -> None:
    manifest = json.loads(json.dumps(spec.to_manifest(), allow_nan=False))
    assert FrontEndSpec.from_manifest(manifest) == spec


def test_the_manifest_states_every_field() -> None:
    manifest = UNUSUAL.to_manifest()
    assert set(manifest) == {field.name for field in fields(FrontEndSpec)}
    assert set(manifest["features"]) == {field.name for field in fields(MfccSpec)}


@pytest.mark.parametrize("name", [field.name for field in fields(FrontEndSpec)])
def test_a_manifest_without_a_field_is_refused(name: str) -> None:
    manifest = FrontEndSpec().to_manifest()
    del manifest[name]
    with pytest.raises(SpecError, match=f"missing fields: {name}"):
        FrontEndSpec.from_manifest(manifest)


@pytest.mark.parametrize("name", [field.name for field in fields(MfccSpec)])
def test_a_manifest_without_a_field_of_the_features_is_refused(name: str) -> None:
    manifest = FrontEndSpec().to_manifest()
    del manifest["features"][name]
    with pytest.raises(SpecError, match=f"missing fields: {name}"):
        FrontEndSpec.from_manifest(manifest)


def test_a_manifest_with_unknown_fields_is_refused() -> None:
    manifest = FrontEndSpec().to_manifest()
    with pytest.raises(SpecError, match="unknown fields: dither, gain"):
        FrontEndSpec.from_manifest({**manifest, "gain": 1, "dither": True})
    features = {**manifest["features"], "htk": False}
    with pytest.raises(SpecError, match="unknown fields: htk"):
        FrontEndSpec.from_manifest({**manifest, "features": features})


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("sample_rate_hz", "22050"),
        ("sample_rate_hz", 22_050.0),
        ("window_seconds", "4"),
        ("window_seconds", None),
        ("window_seconds", float("inf")),  # Python's JSON and pydantic's both read Infinity
        ("window_seconds", float("nan")),
        ("shortest_tail_seconds", "0.1"),
        ("padding", ["zeros"]),
        ("downmix", 1),
        ("features", None),
        ("features", [40, 128]),
        ("features", "mfcc"),
    ],
)
def test_a_manifest_with_a_value_of_the_wrong_type_is_refused(name: str, value: Any) -> None:
    with pytest.raises(SpecError):
        FrontEndSpec.from_manifest({**FrontEndSpec().to_manifest(), name: value})


@pytest.mark.parametrize(
    ("name", "value"),
    [("n_mels", "128"), ("n_fft", 2048.0), ("mel_min_hz", "0"), ("top_db", None), ("kind", [])],
)
def test_features_with_a_value_of_the_wrong_type_are_refused(name: str, value: Any) -> None:
    manifest = FrontEndSpec().to_manifest()
    manifest["features"][name] = value
    with pytest.raises(SpecError):
        FrontEndSpec.from_manifest(manifest)
