"""The probe: always the same bytes, and a sound that puts the whole road to use."""

import hashlib
import io
import wave

import numpy as np
import pytest
import soundfile

from app.audio.frontend import FrontEnd
from app.audio.spec import FrontEndSpec
from app.inference.probe import _noise, probe_wav

# What every exported version was probed with. A new probe would refuse them all.
PROBE_SHA256 = "bc5620857e8efc86b42f987cd390bb45779fc6a54c02da76ff1ce9e071e62dbd"


def test_the_probe_is_the_same_byte_for_byte() -> None:
    assert hashlib.sha256(probe_wav()).hexdigest() == PROBE_SHA256


def test_the_probe_is_the_wav_that_it_says() -> None:
    with wave.open(io.BytesIO(probe_wav())) as file:
        assert (file.getnchannels(), file.getsampwidth(), file.getframerate()) == (2, 2, 44_100)
        assert file.getnframes() == 5.3 * 44_100


def test_the_probe_fills_one_window_and_part_of_another() -> None:
    windows = FrontEnd.build(FrontEndSpec()).windows(probe_wav())
    assert windows.audio_seconds == pytest.approx([4.0, 1.3], abs=1e-3)


def test_the_probes_channels_differ_and_do_not_clip_for_long() -> None:
    samples, _ = soundfile.read(io.BytesIO(probe_wav()), dtype="int16")
    left, right = samples[:, 0], samples[:, 1]
    assert abs(np.corrcoef(left, right)[0, 1]) < 0.1
    assert np.mean(np.abs(samples) == 32_767) < 0.001


@pytest.mark.parametrize("seed", [0, 1, 2, 123_456_789])
def test_the_noise_is_that_of_a_plain_generator(seed: int) -> None:
    state, expected = seed, []
    for _ in range(5_000):
        state = (1_664_525 * state + 1_013_904_223) % 2**32
        expected.append(state / 2**31 - 1)
    assert _noise(5_000, seed).tolist() == expected
