"""Changes of the waveform: each does what it is named after, measured on sounds that are known."""

import numpy as np
import pytest
import scipy.signal
from numpy.typing import NDArray
from pydantic import ValidationError

from training.augmentation.on_waveform import (
    add_noise,
    add_room,
    change_gain,
    change_waveform,
    compress,
    mix_background,
    room_response,
    shift_pitch,
    shift_time,
    stretch_time,
)
from training.augmentation.waveform_plan import CHANGE_NAMES, Changes, WaveformAugmentation
from training.recipe_error import RecipeError

RATE_HZ = 16_000

Waveform = NDArray[np.float32]


def sine(hz: float, seconds: float = 1.0) -> Waveform:
    time = np.arange(round(seconds * RATE_HZ)) / RATE_HZ
    return (0.5 * np.sin(2 * np.pi * hz * time)).astype(np.float32)


def noise(seed: int, seconds: float = 1.0) -> Waveform:
    n_samples = round(seconds * RATE_HZ)
    return np.random.default_rng(seed).standard_normal(n_samples, dtype=np.float32)


def peak_hz(waveform: Waveform) -> float:
    spectrum = np.abs(np.fft.rfft(waveform * np.hanning(len(waveform))))
    return float(np.argmax(spectrum) * RATE_HZ / len(waveform))


def decibels(waveform: Waveform) -> float:
    return float(10 * np.log10(np.mean(np.square(waveform, dtype=np.float64))))


@pytest.mark.parametrize("semitones", [-12.0, -2.0, 0.5, 7.0])
def test_a_shifted_pitch_is_where_it_should_be(semitones: float) -> None:
    shifted = shift_pitch(sine(440), semitones, RATE_HZ)
    assert peak_hz(shifted) == pytest.approx(440 * 2 ** (semitones / 12), rel=0.005)
    assert len(shifted) == RATE_HZ


@pytest.mark.parametrize("rate", [0.5, 0.8, 1.25, 2.0])
def test_a_stretched_clip_is_longer_or_shorter_at_the_same_pitch(rate: float) -> None:
    stretched = stretch_time(sine(440), rate)
    assert len(stretched) == round(RATE_HZ / rate)
    assert peak_hz(stretched) == pytest.approx(440, rel=0.005)


@pytest.mark.parametrize("n_samples", [1, 15, 16, 100, 2047])
def test_clips_shorter_than_a_frame_are_stretched_without_a_warning(n_samples: int) -> None:
    """Warnings are errors here."""
    clip = sine(440)[:n_samples]
    assert len(stretch_time(clip, 1.25)) == (
        n_samples if n_samples < 16 else round(n_samples / 1.25)
    )
    assert len(shift_pitch(clip, 2.0, RATE_HZ)) == n_samples


@pytest.mark.parametrize("snr_decibels", [-3.0, 10.0, 30.0])
def test_noise_and_backgrounds_have_the_ratio_that_was_asked_for(snr_decibels: float) -> None:
    clip, rng = sine(440), np.random.default_rng(0)
    for changed in (
        add_noise(clip, snr_decibels, rng),
        mix_background(clip, noise(1, seconds=3.0), snr_decibels, rng),
        mix_background(clip, noise(1, seconds=0.3), snr_decibels, rng),
    ):
        assert changed.dtype == np.float32
        assert decibels(clip) - decibels(changed - clip) == pytest.approx(snr_decibels, abs=0.1)


@pytest.mark.parametrize("exponent", [-1.0, 0.0, 1.0, 2.0])
def test_noise_falls_with_frequency_as_its_exponent_says(exponent: float) -> None:
    clip = sine(440, seconds=4.0)
    added = add_noise(clip, 10.0, np.random.default_rng(0), exponent) - clip
    frequencies, density = scipy.signal.welch(added, RATE_HZ, nperseg=2048)
    between = (frequencies > 50) & (frequencies < 7000)
    slope = np.polyfit(np.log10(frequencies[between]), np.log10(density[between]), 1)[0]
    assert slope == pytest.approx(-exponent, abs=0.1)
    assert decibels(clip) - decibels(added) == pytest.approx(10.0, abs=0.1)


@pytest.mark.parametrize(("ratio", "left"), [(1.0, 20.0), (4.0, 5.0), (10.0, 2.0)])
def test_compression_divides_what_is_above_its_threshold(ratio: float, left: float) -> None:
    """Two notes that are 20 dB apart, both above it."""
    loud, soft = sine(440), change_gain(sine(440), -20)
    clip = np.concatenate([soft, loud])
    compressed = compress(clip, -40.0, ratio, RATE_HZ)
    settled = slice(RATE_HZ // 2, RATE_HZ)
    fall = decibels(compressed[RATE_HZ:][settled]) - decibels(compressed[:RATE_HZ][settled])
    assert fall == pytest.approx(left, abs=0.2)
    assert decibels(compressed) == pytest.approx(decibels(clip), abs=0.01)
    assert compressed.dtype == np.float32


def test_what_is_below_the_threshold_keeps_its_dynamics() -> None:
    clip = np.concatenate([change_gain(sine(440), -50), change_gain(sine(440), -30), sine(440)])
    compressed = compress(clip, -20.0, 4.0, RATE_HZ)
    parts = [decibels(compressed[n * RATE_HZ + RATE_HZ // 2 :][: RATE_HZ // 2]) for n in range(3)]
    assert parts[1] - parts[0] == pytest.approx(20.0, abs=0.2)
    assert parts[2] - parts[1] == pytest.approx(30 - 15, abs=0.2)


def test_silence_is_not_compressed() -> None:
    silence = np.zeros(RATE_HZ, np.float32)
    np.testing.assert_array_equal(compress(silence, -20.0, 4.0, RATE_HZ), silence)


def test_a_background_is_a_piece_of_the_recording() -> None:
    clip, background = sine(440), noise(1, seconds=3.0)
    added = mix_background(clip, background, 0.0, np.random.default_rng(0)) - clip
    likeness = scipy.signal.correlate(background, added, mode="valid")
    start = int(np.argmax(likeness))
    assert np.corrcoef(background[start : start + RATE_HZ], added)[0, 1] > 0.999


@pytest.mark.parametrize("silent", ["the clip", "the background"])
def test_there_is_no_ratio_to_silence(silent: str) -> None:
    silence = np.zeros(RATE_HZ, np.float32)
    clip = silence if silent == "the clip" else sine(440)
    background = silence if silent == "the background" else noise(1)
    mixed = mix_background(clip, background, 10.0, np.random.default_rng(0))
    np.testing.assert_array_equal(mixed, clip)


def test_a_click_in_a_room_is_followed_by_the_rooms_response() -> None:
    click = np.zeros(RATE_HZ, np.float32)
    click[100] = 1
    response = room_response(0.4, 6.0, RATE_HZ, np.random.default_rng(0))
    heard = add_room(click, response)
    assert len(heard) == RATE_HZ
    np.testing.assert_allclose(heard[100 : 100 + len(response)], response, atol=1e-5)
    np.testing.assert_allclose(heard[:100], 0, atol=1e-5)


def test_a_room_decays_by_sixty_decibels_in_its_time_and_is_as_far_below_as_asked() -> None:
    seconds = 0.5
    response = room_response(seconds, 6.0, RATE_HZ, np.random.default_rng(0))
    direct, tail = response[0], response[1:]
    assert direct == 1
    assert -10 * np.log10(np.sum(np.square(tail))) == pytest.approx(6.0, abs=0.01)
    tenth = len(tail) // 10
    fall = decibels(tail[:tenth]) - decibels(tail[-tenth:])
    assert fall == pytest.approx(60 * 0.9, abs=1.5)
    assert len(tail) == seconds * RATE_HZ


def test_a_gain_is_in_decibels() -> None:
    assert decibels(change_gain(sine(440), -6)) == pytest.approx(decibels(sine(440)) - 6, abs=0.01)


def test_a_shifted_clip_holds_the_same_samples_later() -> None:
    clip = noise(0)
    shifted = shift_time(clip, 0.25)
    np.testing.assert_array_equal(shifted[RATE_HZ // 4 :], clip[: -RATE_HZ // 4])
    np.testing.assert_array_equal(shifted[: RATE_HZ // 4], clip[-RATE_HZ // 4 :])


ALWAYS = {name: {"probability": 1.0} for name in CHANGE_NAMES}


def variant(changes: Changes, *seed: int) -> Waveform:
    return change_waveform(sine(440), changes, RATE_HZ, seed, lambda: noise(9))


@pytest.mark.parametrize("name", CHANGE_NAMES)
def test_every_change_is_made_as_the_seed_says(name: str) -> None:
    changes = Changes.model_validate({name: ALWAYS[name]})
    first, again, other = variant(changes, 1, 2), variant(changes, 1, 2), variant(changes, 1, 3)
    np.testing.assert_array_equal(first, again)
    assert len(first) != len(other) or not np.array_equal(first, other)
    assert len(first) != RATE_HZ or not np.array_equal(first, sine(440))
    assert first.dtype == np.float32


def test_one_change_more_leaves_what_the_others_draw() -> None:
    gain = {"gain": ALWAYS["gain"]}
    alone = variant(Changes.model_validate(gain), 5)
    shifted = variant(Changes.model_validate({**gain, "time_shift": ALWAYS["time_shift"]}), 5)
    assert decibels(alone) == pytest.approx(decibels(shifted), abs=1e-4)


def test_a_change_is_made_as_often_as_it_is_probable() -> None:
    changes = Changes.model_validate({"gain": {"probability": 0.3}})
    changed = [not np.array_equal(variant(changes, seed), sine(440)) for seed in range(300)]
    assert 0.22 < np.mean(changed) < 0.38


def test_what_is_drawn_lies_in_its_range() -> None:
    changes = Changes.model_validate({"gain": {"probability": 1, "decibels": [-3, 9]}})
    gains = [decibels(variant(changes, seed)) - decibels(sine(440)) for seed in range(100)]
    assert -3.01 < min(gains) < -1
    assert 7 < max(gains) < 9.01


PLAN = WaveformAugmentation.model_validate(
    {
        "pitch_shift": {"probability": 0.9, "semitones": [-3, 3]},
        "gain": {},
        "by_label": {"siren": {"pitch_shift": {"semitones": [-1, 1]}, "gain": False, "noise": {}}},
    }
)


def test_a_label_overrides_what_it_names_alone() -> None:
    siren, others = PLAN.for_label("siren"), PLAN.for_label("dog_bark")
    assert siren.pitch_shift is not None
    assert siren.pitch_shift.semitones == (-1, 1)
    assert siren.pitch_shift.probability == 0.9
    assert [name for name, _ in siren.in_order()] == ["pitch_shift", "noise"]
    assert [name for name, _ in others.in_order()] == ["pitch_shift", "gain"]
    assert others.pitch_shift == PLAN.pitch_shift


def test_a_label_that_no_clip_has_is_refused() -> None:
    PLAN.check_labels(["siren", "dog_bark"])
    with pytest.raises(
        RecipeError, match=r"names siren, which no clip .* are: dog_bark, jackhammer"
    ):
        PLAN.check_labels(["jackhammer", "dog_bark"])


WRONG = {
    "backwards": ({"gain": {"decibels": [3, -3]}}, "from the lower to the higher"),
    "one end": ({"gain": {"decibels": [3]}}, "gain.decibels"),
    "out of range": ({"time_stretch": {"rates": [0, 1]}}, "time_stretch.rates"),
    "never": ({"noise": {"probability": 0}}, "noise.probability"),
    "no such change": ({"echo": {}}, "echo"),
    "no such field": ({"noise": {"decibels": [1, 2]}}, "noise.decibels"),
    "no variants": ({"variants": 0}, "variants"),
    "a label's change": ({"by_label": {"siren": {"echo": {}}}}, "siren: there is no change echo"),
    "a label's range": (
        {"by_label": {"siren": {"gain": {"decibels": [3, -3]}}}},
        r"by_label\.siren: gain\.decibels.*from the lower",
    ),
    "a label's true": ({"by_label": {"siren": {"gain": True}}}, "by_label.siren.gain"),
}


@pytest.mark.parametrize("mistake", WRONG)
def test_a_mistake_is_found_when_the_recipe_is_read(mistake: str) -> None:
    values, reason = WRONG[mistake]
    with pytest.raises(ValidationError, match=f"(?s){reason}"):
        WaveformAugmentation.model_validate(values)
