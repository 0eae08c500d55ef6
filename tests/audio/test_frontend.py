"""FrontEnd: the whole road from bytes to features, against a plain librosa implementation."""

import io
from contextlib import suppress
from dataclasses import replace
from typing import Final

import librosa
import numpy as np
import pytest
from numpy.typing import NDArray

from app.audio.frontend import FrontEnd
from app.audio.limits import DecodeLimits
from app.audio.spec import FrontEndSpec, Padding
from app.errors import AudioError, AudioTooLongError, NotAudioError
from tests.conftest import SAMPLES
from tests.sounds import encode, noisy_sweep, patched, tone

FORMATS: Final = [
    ("WAV", "PCM_16", 44_100),
    ("WAV", "PCM_U8", 8_000),
    ("MP3", "MPEG_LAYER_III", 44_100),
    ("MP3", "MPEG_LAYER_III", 22_050),
    ("FLAC", "PCM_24", 96_000),
    ("OGG", "VORBIS", 32_000),
    ("OGG", "OPUS", 48_000),
    ("AIFF", "PCM_16", 22_050),
]


@pytest.fixture(scope="module")
def front_end() -> FrontEnd:
    return FrontEnd.build(FrontEndSpec())


def plain_features(data: bytes, n_windows: int) -> NDArray[np.float32]:
    """Compute the default features as a tutorial would, `[n_windows, 40, 173, 1]`."""
    waveform, _ = librosa.load(io.BytesIO(data), sr=22_050, mono=True)
    padded = np.zeros(n_windows * 88_200, dtype=np.float32)
    n_samples = min(len(waveform), len(padded))
    padded[:n_samples] = waveform[:n_samples]
    windows = padded.reshape(n_windows, 88_200)
    mfccs = [librosa.feature.mfcc(y=window, sr=22_050, n_mfcc=40) for window in windows]
    return np.stack(mfccs)[..., np.newaxis]


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize(("container", "subtype", "rate"), FORMATS)
def test_bytes_to_features_is_what_librosa_does(
    front_end: FrontEnd, container: str, subtype: str, rate: int, channels: int
) -> None:
    data = encode(noisy_sweep(5, rate, channels), rate, container, subtype)
    clip = front_end.features(data)
    assert clip.features.dtype == np.float32
    np.testing.assert_allclose(clip.features, plain_features(data, 2), rtol=0, atol=1e-3)


def test_recorded_sounds_have_librosas_features(front_end: FrontEnd) -> None:
    paths = sorted(path for path in SAMPLES.iterdir() if path.suffix in (".wav", ".mp3"))
    assert paths
    for path in paths:
        data = path.read_bytes()
        windows = front_end.windows(data).samples
        expected = plain_features(data, len(windows))
        features = front_end.extract(windows)
        np.testing.assert_allclose(features, expected, rtol=0, atol=1e-3, err_msg=path.name)


@pytest.mark.parametrize(
    ("seconds", "audio_seconds"),
    [(0.5, [0.5]), (4.0, [4.0]), (4.05, [4.0]), (4.5, [4.0, 0.5]), (9.0, [4.0, 4.0, 1.0])],
)
def test_a_clip_says_how_long_it_is(
    front_end: FrontEnd, seconds: float, audio_seconds: list[float]
) -> None:
    clip = front_end.features(encode(tone(seconds, 44_100), 44_100))
    assert clip.features.shape == (len(audio_seconds), 40, 173, 1)
    assert clip.duration_seconds == pytest.approx(seconds, abs=1e-4)
    assert clip.audio_seconds == pytest.approx(audio_seconds, abs=1e-4)


@pytest.mark.parametrize("padding", ["zeros", "repeat"])
def test_digital_silence_has_finite_features(padding: Padding) -> None:
    front_end = FrontEnd.build(replace(FrontEndSpec(), padding=padding))
    clip = front_end.features(encode(np.zeros((44_100, 2)), 44_100))
    assert np.isfinite(clip.features).all()


def test_a_single_sample_has_features(front_end: FrontEnd) -> None:
    clip = front_end.features(encode(np.full(1, 0.5), 22_050))
    assert clip.features.shape == (1, 40, 173, 1)
    assert clip.audio_seconds.tolist() == [1 / 22_050]
    assert np.isfinite(clip.features).all()


@pytest.mark.parametrize("container", ["AIFF", "AU", "CAF", "FLAC", "RF64", "W64", "WAVEX"])
def test_a_lossless_format_does_not_show_in_the_features(
    front_end: FrontEnd, container: str
) -> None:
    # Multiples of 2^-15: the encoders, which round in ways of their own, have nothing to round.
    sound = np.round(2**15 * noisy_sweep(1, 44_100, 2) / 2) / 2**15
    wav = front_end.features(encode(sound, 44_100))
    other = front_end.features(encode(sound, 44_100, container))
    np.testing.assert_array_equal(other.features, wav.features)


def test_a_front_end_keeps_nothing_of_the_clip_before(front_end: FrontEnd) -> None:
    data = encode(noisy_sweep(5, 44_100, 2), 44_100)
    first = front_end.features(data)
    front_end.features(encode(noisy_sweep(7, 8_000, seed=1), 8_000, "FLAC"))
    with pytest.raises(NotAudioError):
        front_end.features(b"no audio" * 100)
    again = front_end.features(memoryview(data))
    np.testing.assert_array_equal(again.features, first.features)


def test_limits_reach_the_decoder(front_end: FrontEnd) -> None:
    data = encode(tone(3, 8_000), 8_000)
    assert front_end.features(data, DecodeLimits(max_seconds=3)).duration_seconds == 3
    with pytest.raises(AudioTooLongError):
        front_end.features(data, DecodeLimits(max_seconds=2.9))


FUZZED: Final = [
    ("WAV", "PCM_16"),
    ("WAV", "FLOAT"),
    ("WAV", "IMA_ADPCM"),
    ("WAV", "MS_ADPCM"),
    ("AIFF", "PCM_16"),
    ("FLAC", "PCM_16"),
    ("MP3", "MPEG_LAYER_III"),
    ("OGG", "VORBIS"),
    ("OGG", "OPUS"),
]


def damaged(data: bytes, seed: int) -> bytes:
    """Overwrite some bytes, of the header or of the second half, and cut the end off some files."""
    random = np.random.default_rng(seed)
    start, end = (0, 200) if seed % 2 else (len(data) // 2, len(data))
    for _ in range(random.integers(1, 6)):
        data = patched(data, int(random.integers(start, end)), random.bytes(1))
    return data[: random.integers(1, len(data))] if seed % 5 == 0 else data


@pytest.mark.parametrize(("container", "subtype"), FUZZED)
def test_a_damaged_file_has_windows_or_is_refused(
    front_end: FrontEnd, container: str, subtype: str
) -> None:
    data = encode(tone(3, 16_000, 2), 16_000, container, subtype)  # Ogg in several pages
    n_windows = 0
    for seed in range(60):
        with suppress(AudioError):
            windows = front_end.windows(damaged(data, seed)).samples
            assert np.isfinite(windows).all()
            n_windows += len(windows)
    assert n_windows > 0
