"""MFCCs: the numbers of librosa.feature.mfcc, for whatever reaches a window."""

from functools import cache
from typing import Final

import librosa
import numpy as np
import pytest
from numpy.typing import NDArray

from app.audio.feature_specs import MfccSpec
from app.audio.features import make_extractor, make_tables
from app.audio.frontend import FrontEnd
from app.audio.spec import FrontEndSpec
from tests.sounds import Samples, encode, noisy_sweep

RATES: Final = (8_000, 11_025, 16_000, 22_050, 32_000, 44_100, 48_000, 96_000)
SUBTYPES: Final = ("PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT")
TOLERANCE: Final = 1e-3

OTHER_SPEC: Final = FrontEndSpec(
    window_seconds=1.0,
    features=MfccSpec(
        n_mfcc=13, n_mels=40, n_fft=1024, hop_length=512, mel_min_hz=50.0, mel_max_hz=8_000.0
    ),
)


@pytest.fixture(scope="module")
def front_end() -> FrontEnd:
    return FrontEnd.build(FrontEndSpec())


@pytest.fixture(scope="module")
def other_front_end() -> FrontEnd:
    return FrontEnd.build(OTHER_SPEC)


def librosa_mfcc(window: NDArray[np.float32], spec: FrontEndSpec) -> NDArray[np.float32]:
    features = spec.features
    assert isinstance(features, MfccSpec)
    mfcc: NDArray[np.float32] = librosa.feature.mfcc(
        y=window,
        sr=spec.sample_rate_hz,
        n_mfcc=features.n_mfcc,
        n_fft=features.n_fft,
        hop_length=features.hop_length,
        n_mels=features.n_mels,
        fmin=features.mel_min_hz,
        fmax=features.mel_max_hz,
    )
    return mfcc


def mfcc_of(windows: NDArray[np.float32], spec: FrontEndSpec) -> NDArray[np.float32]:
    return make_extractor(spec, make_tables(spec))(windows)


@cache
def clip(rate: int, channels: int) -> Samples:
    return noisy_sweep(2.4, rate, channels)


def check_against_librosa(front_end: FrontEnd, data: bytes, n_windows: int) -> None:
    spec = front_end.spec
    windows = front_end.windows(data).samples
    features = front_end.features(data).features
    assert features.dtype == np.float32
    assert features.shape == (n_windows, *spec.feature_shape)
    expected = np.stack([librosa_mfcc(window, spec) for window in windows])
    np.testing.assert_allclose(features[..., 0], expected, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("subtype", SUBTYPES)
def test_features_are_those_of_librosa(
    front_end: FrontEnd, rate: int, channels: int, subtype: str
) -> None:
    data = encode(clip(rate, channels), rate, subtype=subtype)
    check_against_librosa(front_end, data, n_windows=1)


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("channels", [1, 2])
def test_features_of_another_spec_are_those_of_librosa(
    other_front_end: FrontEnd, rate: int, channels: int
) -> None:
    data = encode(clip(rate, channels), rate)
    check_against_librosa(other_front_end, data, n_windows=3)


def test_librosas_own_defaults_are_the_default_spec() -> None:
    spec = FrontEndSpec()
    window = noisy_sweep(4, 22_050)[:, 0].astype(np.float32)
    expected = librosa.feature.mfcc(y=window, sr=22_050, n_mfcc=40)
    features = mfcc_of(window[np.newaxis], spec)
    np.testing.assert_allclose(features[0, ..., 0], expected, rtol=0, atol=TOLERANCE)


def impulse(n_samples: int) -> NDArray[np.float32]:
    window = np.zeros(n_samples, dtype=np.float32)
    window[0] = 1
    return window


N: Final = FrontEndSpec().window_samples
WINDOWS: Final = {
    "digital silence": np.zeros(N, dtype=np.float32),
    "one sample": impulse(N),
    "direct current": np.ones(N, dtype=np.float32),
    "square wave at full scale": np.sign(np.sin(np.arange(N) / 7)).astype(np.float32),
    "a millionth": (1e-6 * noisy_sweep(4, 22_050)[:, 0]).astype(np.float32),
    "16-bit scale": (32_768 * noisy_sweep(4, 22_050)[:, 0]).astype(np.float32),
    "silence, then noise": np.concatenate(
        [np.zeros(N // 2), noisy_sweep(2, 22_050)[:, 0]], dtype=np.float32, casting="same_kind"
    ),
}


@pytest.mark.parametrize("window", WINDOWS.values(), ids=WINDOWS)
def test_extreme_windows_have_librosas_features(window: NDArray[np.float32]) -> None:
    spec = FrontEndSpec()
    features = mfcc_of(window[np.newaxis], spec)
    assert np.isfinite(features).all()
    expected = librosa_mfcc(window, spec)
    np.testing.assert_allclose(features[0, ..., 0], expected, rtol=0, atol=TOLERANCE)


@pytest.mark.parametrize("scale", [1e-30, 1e6])
def test_features_are_finite_between_silence_and_the_loudest_sound(scale: float) -> None:
    window = (scale * noisy_sweep(4, 22_050)[:, 0]).astype(np.float32)
    assert np.isfinite(mfcc_of(window[np.newaxis], FrontEndSpec())).all()


@pytest.mark.parametrize("top_db", [20.0, 60.0, 120.0])
def test_decibels_are_floored_below_the_windows_own_maximum(top_db: float) -> None:
    spec = FrontEndSpec(features=MfccSpec(top_db=top_db))
    loud = WINDOWS["silence, then noise"]
    windows = np.stack([loud, loud / 1_000])
    features = mfcc_of(windows, spec)
    for window, of_window in zip(windows, features[..., 0], strict=True):
        mel_power = librosa.feature.melspectrogram(y=window, sr=22_050)
        decibels = librosa.power_to_db(mel_power, top_db=top_db)
        expected = librosa.feature.mfcc(S=decibels, n_mfcc=40)
        np.testing.assert_allclose(of_window, expected, rtol=0, atol=TOLERANCE)


def test_a_windows_features_do_not_depend_on_its_neighbours() -> None:
    spec = FrontEndSpec()
    windows = np.stack(list(WINDOWS.values()))
    together = mfcc_of(windows, spec)
    alone = np.concatenate([mfcc_of(window[np.newaxis], spec) for window in windows])
    np.testing.assert_array_equal(together, alone)


def test_windows_are_not_written_to() -> None:
    windows = noisy_sweep(4, 22_050).T.astype(np.float32)
    before = windows.copy()
    mfcc_of(windows, FrontEndSpec())
    np.testing.assert_array_equal(windows, before)


@pytest.mark.parametrize(
    "features",
    [
        MfccSpec(n_fft=2048, hop_length=441),  # divides the window: one frame centred on its end
        MfccSpec(n_fft=2048, hop_length=2048),
        MfccSpec(n_fft=1000, hop_length=300, n_mels=64),
        MfccSpec(n_fft=1023, hop_length=441, n_mels=64),
        MfccSpec(n_mfcc=1, n_mels=1),
        MfccSpec(n_mfcc=128),
    ],
)
def test_features_have_the_shape_and_numbers_whatever_the_spec(features: MfccSpec) -> None:
    spec = FrontEndSpec(features=features)
    window = noisy_sweep(4, 22_050)[:, 0].astype(np.float32)
    computed = mfcc_of(window[np.newaxis], spec)
    expected = librosa_mfcc(window, spec)
    np.testing.assert_allclose(computed[0, ..., 0], expected, rtol=0, atol=TOLERANCE)
    assert computed.shape[1:] == spec.feature_shape


def test_tables_are_float32_in_the_specs_shapes() -> None:
    tables = make_tables(FrontEndSpec())
    shapes = {name: table.shape for name, table in tables.items()}
    assert shapes == {"window": (2048,), "mel_filterbank": (128, 1025)}
    assert {table.dtype for table in tables.values()} == {np.dtype(np.float32)}


@pytest.mark.parametrize("name", ["window", "mel_filterbank"])
def test_tables_that_do_not_fit_are_refused(name: str) -> None:
    spec = FrontEndSpec()
    tables = dict(make_tables(spec))
    with pytest.raises(ValueError, match=f"{name}.* is .*, not"):
        FrontEnd(spec, {**tables, name: tables[name][:-1]})
    del tables[name]
    with pytest.raises(ValueError, match=f"{name}.* is missing"):
        FrontEnd(spec, tables)
