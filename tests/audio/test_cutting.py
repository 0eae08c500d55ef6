"""Cutting: a part of a clip, windows that overlap, and what is too much of either."""

import io
from dataclasses import replace

import librosa
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.audio.cutting import MAX_WINDOWS, WHOLE, Cutting
from app.audio.decode import open_audio
from app.audio.feature_specs import MfccSpec
from app.audio.frontend import FrontEnd
from app.audio.spec import FrontEndSpec
from app.audio.wav_header import SampleEncoding, wav_header
from app.audio.waveform import SILENT_PEAK, are_silent, canonical_waveform, cut_windows
from app.errors import InvalidParameterError
from tests.sounds import encode, noisy_sweep

SPEC = FrontEndSpec()
SMALL = FrontEndSpec(
    sample_rate_hz=1_000,
    window_seconds=0.1,
    shortest_tail_seconds=0.01,
    features=MfccSpec(n_mels=40, n_fft=64, hop_length=32, mel_max_hz=500.0),
)


@pytest.mark.parametrize("container", ["WAV", "FLAC", "MP3"])
@pytest.mark.parametrize(("start", "end"), [(0.0, 1.5), (0.5, 2.0), (1.25, None), (0.0, 99.0)])
def test_a_part_equals_what_librosa_loads(container: str, start: float, end: float | None) -> None:
    subtype = "MPEG_LAYER_III" if container == "MP3" else "PCM_16"
    data = encode(noisy_sweep(3.0, 44_100, 2), 44_100, container, subtype)
    with open_audio(data) as reader:
        part = canonical_waveform(reader, SPEC, Cutting(start, end))
    expected, _ = librosa.load(
        io.BytesIO(data), sr=22_050, offset=start, duration=None if end is None else end - start
    )
    assert len(part) == pytest.approx(len(expected), abs=1)
    n = min(len(part), len(expected))
    # Within a resampler's transient of the edges, a few samples of difference in length show.
    np.testing.assert_allclose(part[50 : n - 50], expected[50 : n - 50], rtol=0, atol=2e-4)


def test_what_lies_behind_the_part_is_not_decoded() -> None:
    data = encode(noisy_sweep(3.0, 8_000), 8_000)
    with open_audio(data[: len(data) // 2]) as reader:
        assert len(canonical_waveform(reader, SPEC, Cutting(end_seconds=1.0))) == 22_050
        assert not reader.truncated


@pytest.mark.parametrize("start", [3.0, 3.1, 500.0])
def test_a_part_behind_the_end_is_refused(start: float) -> None:
    data = encode(noisy_sweep(3.0, 8_000), 8_000)
    with (
        open_audio(data) as reader,
        pytest.raises(InvalidParameterError, match=r"start_seconds: the audio ends at 3 seconds"),
    ):
        canonical_waveform(reader, SPEC, Cutting(start))


@settings(deadline=None)
@given(n_samples=st.integers(1, 900), hop=st.integers(1, 100), start=st.floats(0, 1_000))
def test_windows_are_slices_of_the_waveform(n_samples: int, hop: int, start: float) -> None:
    waveform = np.random.default_rng(n_samples).standard_normal(n_samples).astype(np.float32)
    windows = cut_windows(waveform, SMALL, Cutting(start, hop_seconds=hop / 1_000))
    begins = np.round((windows.start_seconds - start) * 1_000).astype(int)
    assert begins.tolist() == [hop * n for n in range(len(begins))]
    for window, begin, seconds in zip(windows.samples, begins, windows.audio_seconds, strict=True):
        n_audio = round(seconds * 1_000)
        assert 0 < n_audio <= 100
        np.testing.assert_array_equal(window[:n_audio], waveform[begin : begin + n_audio])
        np.testing.assert_array_equal(window[n_audio:], 0)
    # Nothing is left out but a tail of less than 10 samples; only the last may be filled up.
    ends = begins + np.round(windows.audio_seconds * 1_000).astype(int)
    assert n_samples - ends[-1] < 10
    assert (windows.audio_seconds[:-1] == 0.1).all()
    assert (begins[1:] <= ends[:-1]).all()
    assert windows.duration_seconds == n_samples / 1_000


@settings(deadline=None)
@given(n_samples=st.integers(1, 900))
def test_a_hop_of_a_window_is_the_default(n_samples: int) -> None:
    waveform = np.random.default_rng(n_samples).standard_normal(n_samples).astype(np.float32)
    expected = cut_windows(waveform, replace(SMALL, padding="repeat"))
    windows = cut_windows(waveform, replace(SMALL, padding="repeat"), Cutting(hop_seconds=0.1))
    np.testing.assert_array_equal(windows.samples, expected.samples)
    np.testing.assert_array_equal(windows.audio_seconds, expected.audio_seconds)
    assert cut_windows(waveform, SMALL, WHOLE).start_seconds[0] == 0


def test_overlapping_windows_cost_no_memory() -> None:
    waveform = np.zeros(22_050 * 60, dtype=np.float32)
    windows = cut_windows(waveform, SPEC, Cutting(hop_seconds=0.05)).samples
    assert len(windows) == 1 + round((60 - 4) / 0.05)
    assert windows.base is not None
    assert np.may_share_memory(windows, waveform)


@pytest.mark.parametrize("hop", [0.102, 0.2, 60.0, 0.0004])
def test_a_hop_that_no_window_can_follow_is_refused(hop: float) -> None:
    with pytest.raises(InvalidParameterError, match=r"^hop_seconds: .* lasts 0.1 seconds"):
        cut_windows(np.ones(1_000, dtype=np.float32), SMALL, Cutting(hop_seconds=hop))


def test_more_windows_than_can_be_computed_are_refused() -> None:
    waveform = np.ones(100 + MAX_WINDOWS, dtype=np.float32)
    cut_windows(waveform[:-1], SMALL, Cutting(hop_seconds=0.001))
    with pytest.raises(InvalidParameterError, match=r"^hop_seconds: .* into 5001 windows"):
        cut_windows(waveform, SMALL, Cutting(hop_seconds=0.001))


@pytest.mark.parametrize(
    ("field", "values"),
    [
        ("start_seconds", (-0.1, None, None)),
        ("start_seconds", (float("nan"), None, None)),
        ("end_seconds", (1.0, 1.0, None)),
        ("end_seconds", (0.0, float("inf"), None)),
        ("hop_seconds", (0.0, None, 0.0)),
        ("hop_seconds", (0.0, None, float("nan"))),
    ],
)
def test_values_that_make_no_sense_are_refused_by_name(
    field: str, values: tuple[float, float | None, float | None]
) -> None:
    with pytest.raises(InvalidParameterError, match=f"^{field}: "):
        Cutting(*values)


@pytest.mark.parametrize("offset", [0.0, 0.1])
def test_silence_is_what_nobody_could_hear(offset: float) -> None:
    sine = np.sin(np.linspace(0, 600, 88_200, dtype=np.float32))
    click = np.zeros_like(sine)
    click[400] = 0.01
    windows = np.stack([0 * sine, 0.9 * SILENT_PEAK * sine, 1.1 * SILENT_PEAK * sine, click])
    assert are_silent(windows + np.float32(offset)).tolist() == [True, True, False, False]


@pytest.mark.parametrize(("encoding", "dtype"), [("pcm_s16le", "<i2"), ("pcm_f32le", "<f4")])
@pytest.mark.parametrize("channels", [1, 2, 5])
def test_a_header_makes_raw_samples_a_wav(
    encoding: SampleEncoding, dtype: str, channels: int
) -> None:
    sweep = noisy_sweep(0.5, 16_000, channels)
    raw = np.round(sweep * 32_767).astype(dtype) if dtype == "<i2" else sweep.astype(dtype)
    data = wav_header(raw.nbytes, 16_000, channels, encoding) + raw.tobytes()
    subtype = "PCM_16" if dtype == "<i2" else "FLOAT"
    expected = encode(sweep, 16_000, "WAV", subtype)
    front_end = FrontEnd.build(SPEC)
    with open_audio(data) as reader:
        assert (reader.sample_rate_hz, reader.channels) == (16_000, channels)
    np.testing.assert_allclose(
        front_end.features(data).features, front_end.features(expected).features, atol=0.05
    )
