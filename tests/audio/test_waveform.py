"""The canonical waveform, against librosa and soxr at once, and the windows that it is cut into."""

import io
from typing import Final

import librosa
import numpy as np
import pytest
import soxr
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from app.audio.decode import decode, open_audio
from app.audio.feature_specs import MfccSpec
from app.audio.reader import BLOCK_FRAMES
from app.audio.spec import FrontEndSpec, Padding
from app.audio.waveform import Windows, canonical_waveform, cut_windows, downmix
from app.errors import EmptyAudioError, InvalidSamplesError
from tests.sounds import Samples, encode, noisy_sweep

SPEC: Final = FrontEndSpec()
RATES: Final = (4_000, 8_000, 11_025, 16_000, 22_050, 32_000, 44_100, 48_000, 96_000, 192_000)


def waveform_of(data: bytes, spec: FrontEndSpec = SPEC) -> NDArray[np.float32]:
    with open_audio(data) as reader:
        return canonical_waveform(reader, spec)


@pytest.mark.parametrize("channels", [1, 2, 3, 16])
def test_downmix_averages_the_channels(channels: int) -> None:
    block = noisy_sweep(0.1, 8_000, channels).astype(np.float32)
    mono = downmix(block)
    assert mono.dtype == np.float32
    np.testing.assert_allclose(mono, block.mean(axis=1), rtol=0, atol=1e-6)


@pytest.mark.parametrize("rate", RATES)
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("subtype", ["PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT"])
def test_the_waveform_is_that_of_librosa(rate: int, channels: int, subtype: str) -> None:
    data = encode(noisy_sweep(0.7, rate, channels), rate, subtype=subtype)
    expected, _ = librosa.load(io.BytesIO(data), sr=SPEC.sample_rate_hz, mono=True)
    waveform = waveform_of(data)
    assert waveform.dtype == np.float32
    assert abs(len(waveform) - len(expected)) <= 1  # librosa rounds the length up
    n_samples = min(len(waveform), len(expected))
    np.testing.assert_allclose(waveform[:n_samples], expected[:n_samples], rtol=0, atol=1e-6)


@pytest.mark.parametrize("target", [16_000, 22_050])
@pytest.mark.parametrize("rate", RATES)
def test_resampling_in_blocks_is_resampling_at_once(rate: int, target: int) -> None:
    n_frames = 2 * BLOCK_FRAMES + 1_234
    data = encode(noisy_sweep(n_frames / rate, rate, 2), rate, subtype="FLOAT")
    spec = FrontEndSpec(sample_rate_hz=target, features=MfccSpec(mel_max_hz=8_000))
    at_once = soxr.resample(decode(data).samples.mean(axis=1), rate, target, quality="HQ")
    waveform = waveform_of(data, spec)
    assert waveform.shape == at_once.shape
    np.testing.assert_allclose(waveform, at_once, rtol=0, atol=1e-6)


def test_a_clip_at_the_canonical_rate_is_not_touched() -> None:
    samples = noisy_sweep(8, SPEC.sample_rate_hz).astype(np.float32)
    data = encode(samples.astype(np.float64), SPEC.sample_rate_hz, subtype="FLOAT")
    assert len(samples) > 2 * BLOCK_FRAMES
    np.testing.assert_array_equal(waveform_of(data), samples[:, 0])


def with_value(value: float, frame: int, channels: int) -> Samples:
    samples = noisy_sweep(2, 48_000, channels)
    samples[frame, -1] = value
    return samples


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf, 1e30, -1e30, 1e7])
@pytest.mark.parametrize("frame", [0, BLOCK_FRAMES, -1])
@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate", [SPEC.sample_rate_hz, 48_000])
def test_values_that_are_no_sound_are_refused(
    value: float, frame: int, channels: int, rate: int
) -> None:
    data = encode(with_value(value, frame, channels), rate, subtype="FLOAT")
    with pytest.raises(InvalidSamplesError, match=r"^The audio holds .+\.$"):
        waveform_of(data)


@pytest.mark.parametrize(
    "frame", [(np.inf, -np.inf), (1e30, -1e30), (np.nan, 0.0), (1e300, -1e300)], ids=str
)
def test_values_that_cancel_each_other_are_refused(frame: tuple[float, float]) -> None:
    samples = noisy_sweep(0.1, 48_000, 2)
    samples[99] = frame
    with pytest.raises(InvalidSamplesError):
        waveform_of(encode(samples, 48_000, subtype="DOUBLE"))


def test_floats_of_integer_scale_are_accepted() -> None:
    quiet = noisy_sweep(0.5, 48_000, 2)
    loud = waveform_of(encode(32_768 * quiet, 48_000, subtype="FLOAT"))
    expected = waveform_of(encode(quiet, 48_000, subtype="FLOAT"))
    np.testing.assert_allclose(loud / 32_768, expected, rtol=0, atol=1e-6)


@pytest.mark.parametrize(("n_frames", "rate"), [(1, 48_000), (2, 96_000), (4, 384_000)])
def test_a_clip_that_vanishes_when_resampled_is_empty(n_frames: int, rate: int) -> None:
    data = encode(np.full(n_frames, 0.5), rate)
    with pytest.raises(EmptyAudioError, match=r"too short .+\.$"):
        waveform_of(data)


def windowing(padding: Padding, shortest_tail_seconds: float = 0.03) -> FrontEndSpec:
    """Return a spec with windows of 100 samples, and a shortest tail of 30."""
    features = MfccSpec(n_mfcc=4, n_mels=8, n_fft=64, hop_length=32, mel_max_hz=500.0)
    return FrontEndSpec(
        sample_rate_hz=1_000,
        window_seconds=0.1,
        shortest_tail_seconds=shortest_tail_seconds,
        padding=padding,
        features=features,
    )


def ramp(n_samples: int) -> NDArray[np.float32]:
    """Return 1, 2, 3, ...: each sample says where it was, and none is zero."""
    return np.arange(1, n_samples + 1, dtype=np.float32)


PADDINGS: Final[tuple[Padding, ...]] = ("zeros", "repeat")


@pytest.mark.parametrize(
    ("n_samples", "audio_samples"),
    [
        (1, [1]),
        (29, [29]),  # a short clip is not a tail: there is no whole window before it
        (99, [99]),
        (100, [100]),
        (101, [100]),
        (129, [100]),
        (130, [100, 30]),
        (199, [100, 99]),
        (200, [100, 100]),
        (201, [100, 100]),
        (230, [100, 100, 30]),
    ],
)
@pytest.mark.parametrize("padding", PADDINGS)
def test_a_clip_is_cut_into_windows(
    n_samples: int, audio_samples: list[int], padding: Padding
) -> None:
    windows = cut_windows(ramp(n_samples), windowing(padding))
    assert windows.samples.shape == (len(audio_samples), 100)
    assert windows.samples.dtype == np.float32
    assert windows.audio_seconds.tolist() == [n / 1_000 for n in audio_samples]
    assert windows.duration_seconds == n_samples / 1_000


@pytest.mark.parametrize(("n_samples", "n_windows"), [(100, 1), (101, 2), (200, 2)])
def test_no_tail_is_too_short_where_the_spec_says_so(n_samples: int, n_windows: int) -> None:
    spec = windowing("zeros", shortest_tail_seconds=0.0)
    windows = cut_windows(ramp(n_samples), spec)
    assert len(windows.samples) == n_windows
    assert windows.audio_seconds.sum() == pytest.approx(n_samples / 1_000)


def test_padding_with_zeros_appends_silence() -> None:
    windows = cut_windows(ramp(140), windowing("zeros")).samples
    assert windows[1].tolist() == [*range(101, 141), *[0] * 60]


def test_padding_by_repetition_starts_the_last_windows_audio_again() -> None:
    windows = cut_windows(ramp(140), windowing("repeat")).samples
    assert windows[1].tolist() == [*range(101, 141), *range(101, 141), *range(101, 121)]


@pytest.mark.parametrize(("padding", "last"), [("zeros", 0), ("repeat", 1)])
def test_one_sample_makes_a_window(padding: Padding, last: int) -> None:
    windows = cut_windows(ramp(1), windowing(padding))
    assert windows.samples[0, 0] == 1
    assert windows.samples[0, 1:].tolist() == [last] * 99


def own_audio(windows: Windows) -> NDArray[np.float32]:
    """Return the windows' audio without what filled them up."""
    lengths = np.round(windows.audio_seconds * 1_000).astype(int)
    return np.concatenate([window[:n] for window, n in zip(windows.samples, lengths, strict=True)])


@settings(max_examples=100, derandomize=True, deadline=None, database=None)
@given(
    n_samples=st.integers(1, 1_000),
    shortest_tail=st.integers(0, 99),
    padding=st.sampled_from(PADDINGS),
)
def test_windows_hold_all_of_the_clip_but_a_short_tail(
    n_samples: int, shortest_tail: int, padding: Padding
) -> None:
    waveform = ramp(n_samples)
    windows = cut_windows(waveform, windowing(padding, shortest_tail / 1_000))
    audio = own_audio(windows)
    np.testing.assert_array_equal(audio, waveform[: len(audio)])
    n_left_out = n_samples - len(audio)
    assert n_left_out < max(1, shortest_tail)
    assert n_left_out == 0 or len(audio) % 100 == 0
    assert windows.audio_seconds.sum() == pytest.approx(len(audio) / 1_000)
    assert (windows.audio_seconds > 0).all()
