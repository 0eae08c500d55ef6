"""Augmentation: seeded, leaves what it was given alone, and keeps examples what they are."""

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
from training.augmentation.on_features import (
    augment,
    change_gain,
    limit_bandwidth,
    mask_frequency,
    mask_time,
    shift_frequency,
    shift_time,
    warp_time,
)
from training.augmentation.plan import Augmentation

N, N_MFCC, N_FRAMES, N_LABELS, N_MELS = 12, 13, 32, 3, 20
SPEC = MfccSpec(n_mfcc=N_MFCC, n_mels=N_MELS)
COMPLETE = MfccSpec(n_mfcc=N_MFCC, n_mels=N_MFCC)

PLANS = {
    "nothing": Augmentation(),
    "mixup": Augmentation(mixup_alpha=0.3),
    "gain": Augmentation(gain_decibels=6),
    "equalizer": Augmentation(equalizer_decibels=4),
    "all of these": Augmentation(gain_decibels=6, equalizer_decibels=4, mixup_alpha=0.3),
}
CHANGES = {name: plan for name, plan in PLANS.items() if name != "nothing"}

every_plan = pytest.mark.parametrize("plan", PLANS.values(), ids=PLANS)
every_change = pytest.mark.parametrize("plan", CHANGES.values(), ids=CHANGES)


def batch() -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    rng = np.random.default_rng(7)
    features = rng.normal(size=(N, N_MFCC, N_FRAMES, 1)).astype(np.float32)
    return features, np.eye(N_LABELS, dtype=np.float32)[np.arange(N) % N_LABELS]


def augmented(plan: Augmentation, seed: int) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    return augment(*batch(), plan, SPEC, np.random.default_rng(seed))


@every_plan
def test_shapes_and_types_stay(plan: Augmentation) -> None:
    features, targets = augmented(plan, seed=0)
    assert features.shape == (N, N_MFCC, N_FRAMES, 1)
    assert targets.shape == (N, N_LABELS)
    assert features.dtype == targets.dtype == np.dtype(np.float32)
    assert np.isfinite(features).all()


@every_plan
def test_what_was_given_is_not_changed(plan: Augmentation) -> None:
    features, targets = batch()
    features.flags.writeable = targets.flags.writeable = False
    returned, _ = augment(features, targets, plan, SPEC, np.random.default_rng(0))
    assert not np.shares_memory(returned, features)
    assert all(map(np.array_equal, (features, targets), batch()))


@every_plan
def test_the_same_seed_gives_the_same_batch(plan: Augmentation) -> None:
    assert all(map(np.array_equal, augmented(plan, seed=3), augmented(plan, seed=3)))


@every_change
def test_another_seed_gives_another_batch(plan: Augmentation) -> None:
    assert not np.array_equal(augmented(plan, seed=3)[0], augmented(plan, seed=4)[0])


@every_change
def test_the_next_draw_is_another(plan: Augmentation) -> None:
    rng = np.random.default_rng(3)
    first, second = (augment(*batch(), plan, SPEC, rng)[0] for _ in range(2))
    assert not np.array_equal(first, second)


@every_change
def test_examples_are_changed_each_in_their_own_way(plan: Augmentation) -> None:
    changes = augmented(plan, seed=0)[0] - batch()[0]
    changed = [change for change in changes if np.abs(change).max() > 1e-6]
    assert len(changed) >= N // 2
    assert len({change.tobytes() for change in changed}) == len(changed)


def test_an_empty_plan_changes_nothing() -> None:
    assert all(map(np.array_equal, augmented(PLANS["nothing"], seed=0), batch()))


@every_plan
def test_targets_sum_to_one(plan: Augmentation) -> None:
    _, targets = augmented(plan, seed=0)
    assert (targets >= 0).all()
    assert targets.sum(axis=1) == pytest.approx(np.ones(N), abs=1e-6)


def test_mixup_blends_targets_as_it_blends_features() -> None:
    """An example that is all 1 or all 0 tells its own share."""
    targets = np.eye(2, dtype=np.float32)[np.arange(40) % 2]
    features = np.repeat(targets[:, 1], N_MFCC * N_FRAMES).reshape(40, N_MFCC, N_FRAMES, 1)
    mixed, mixed_targets = augment(
        features, targets, PLANS["mixup"], SPEC, np.random.default_rng(0)
    )
    assert 0 < np.count_nonzero((mixed_targets > 0.01).all(axis=1)) < 40
    assert mixed.mean(axis=(1, 2, 3)) == pytest.approx(mixed_targets[:, 1], abs=1e-5)
    own = mixed_targets[np.arange(40), np.arange(40) % 2]
    assert (own >= 0.5 - 1e-6).all()  # each stays mostly itself


def test_a_gain_moves_the_zeroth_coefficient_only() -> None:
    """Louder is the same sound: every mel band rises alike, in every frame."""
    changes = augmented(PLANS["gain"], seed=0)[0] - batch()[0]
    assert np.abs(changes[:, 1:]).max() < 1e-5
    by_example = changes[:, 0, :, 0]
    assert by_example == pytest.approx(np.repeat(by_example[:, :1], N_FRAMES, axis=1), abs=1e-5)
    assert np.abs(by_example).max() <= 6 * np.sqrt(N_MELS) + 1e-4


def test_narrowband_examples_lose_their_highest_bands_alone() -> None:
    features, _ = batch()
    narrow = features.copy()
    limit_bandwidth(narrow, 1.0, COMPLETE, np.random.default_rng(0))
    before = scipy.fft.idct(features, axis=1, norm="ortho")
    after = scipy.fft.idct(narrow, axis=1, norm="ortho")
    lowest = round(0.65 * N_MFCC)
    np.testing.assert_allclose(after[:, :lowest], before[:, :lowest], atol=1e-4)
    floors = before.max(axis=(1, 2, 3)) - 80
    np.testing.assert_allclose(after[:, -1, :, 0], np.tile(floors, (N_FRAMES, 1)).T, atol=1e-3)


def test_the_share_of_narrowband_examples_is_kept() -> None:
    features = np.zeros((1_000, 4, 2, 1), np.float32)
    limit_bandwidth(features, 0.3, MfccSpec(n_mfcc=4, n_mels=4), np.random.default_rng(0))
    assert 0.25 < np.mean(np.any(features != 0, axis=(1, 2, 3))) < 0.35


MEL = LogMelSpec(n_mels=N_MFCC, deltas=2)


def pictures(n: int = N, channels: int = 1) -> NDArray[np.float32]:
    """Random features `[n, bands, frames, channels]`."""
    rng = np.random.default_rng(8)
    return rng.normal(size=(n, N_MFCC, N_FRAMES, channels)).astype(np.float32)


def changed_cells(before: NDArray[np.float32], after: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Which bands and frames of a picture `[bands, frames, channels]` differ, in all channels."""
    cells: NDArray[np.bool_] = (np.abs(after - before) > 1e-4).all(axis=-1)
    return cells


@pytest.mark.parametrize("channels", [1, 3])
def test_time_masks_are_runs_of_frames_no_longer_than_their_share(channels: int) -> None:
    before = pictures(200, channels)
    after = before.copy()
    mask_time(after, 0.25, np.random.default_rng(0))
    lengths = []
    for one, other in zip(before, after, strict=True):
        masked = np.flatnonzero(changed_cells(one, other).mean(axis=0) > 0.5)
        lengths.append(len(masked))
        assert len(masked) == 0 or np.ptp(masked) == len(masked) - 1
        means = np.repeat(one.mean(axis=1, keepdims=True), len(masked), axis=1)
        np.testing.assert_allclose(other[:, masked], means, atol=1e-5)
        others = np.setdiff1d(np.arange(N_FRAMES), masked)
        np.testing.assert_array_equal(other[:, others], one[:, others])
    assert set(lengths) == set(range(N_FRAMES // 4 + 1))


@pytest.mark.parametrize(
    ("spec", "channels"), [(COMPLETE, 1), (MEL, 3), (SpectrogramSpec(), 3)],
    ids=["mfcc", "log_mel", "spectrogram"],
)  # fmt: skip
def test_frequency_masks_are_runs_of_bands_no_longer_than_their_share(
    spec: FeatureSpec, channels: int
) -> None:
    bands = pictures(200, channels)
    mfcc = spec.kind == "mfcc"
    features = scipy.fft.dct(bands, axis=1, norm="ortho") if mfcc else bands.copy()
    mask_frequency(features, 0.4, spec, np.random.default_rng(0))
    after = scipy.fft.idct(features, axis=1, norm="ortho") if mfcc else features
    lengths = []
    for one, other in zip(bands, after, strict=True):
        masked = np.flatnonzero(changed_cells(one, other).mean(axis=1) > 0.9)
        lengths.append(len(masked))
        assert len(masked) == 0 or np.ptp(masked) == len(masked) - 1
        mean = np.broadcast_to(one.mean(axis=(0, 1)), (len(masked), N_FRAMES, channels))
        np.testing.assert_allclose(other[masked], mean, atol=1e-4)
        others = np.setdiff1d(np.arange(N_MFCC), masked)
        np.testing.assert_allclose(other[others], one[others], atol=1e-4)
    assert set(lengths) == set(range(round(0.4 * N_MFCC) + 1))


@pytest.mark.parametrize("kind", ["mfcc", "log_mel"])
def test_a_shift_along_bands_moves_a_loud_band(kind: str) -> None:
    bands = np.zeros((200, N_MFCC, N_FRAMES, 1 if kind == "mfcc" else 3), np.float32)
    bands[:, 6, :, 0] = 40
    features = scipy.fft.dct(bands, axis=1, norm="ortho") if kind == "mfcc" else bands.copy()
    shift_frequency(features, 3, COMPLETE if kind == "mfcc" else MEL, np.random.default_rng(0))
    after = scipy.fft.idct(features, axis=1, norm="ortho") if kind == "mfcc" else features
    places = after[..., 0].mean(axis=2).argmax(axis=1)
    assert set(places) == set(range(3, 10))
    for example, place in zip(after, places, strict=True):
        expected = np.roll(bands[0, ..., 0], place - 6, axis=0)
        np.testing.assert_allclose(example[..., 0], expected, atol=1e-4)


def test_what_a_shift_brings_in_is_quiet_and_still() -> None:
    features = pictures(100, channels=3)
    before = features.copy()
    shift_frequency(features, 50, MEL, np.random.default_rng(0))  # at most all of the 13 bands
    bottoms = features[:, 0]
    moved_up = [index for index in range(100) if not bottoms[index, :, 1:].any()]
    assert len(moved_up) > 25
    for index in moved_up:
        assert (bottoms[index, :, 0] == before[index, ..., 0].min()).all()


def test_a_warp_keeps_ends_and_order_and_moves_the_rest() -> None:
    """A ramp tells of each frame where it comes from."""
    ramp = np.arange(N_FRAMES, dtype=np.float32)
    features = np.tile(ramp[:, np.newaxis], (100, N_MFCC, 1, 1))
    warp_time(features, 0.2, np.random.default_rng(0))
    places = features[:, 0, :, 0]
    np.testing.assert_array_equal(features, np.tile(features[:, :1], (1, N_MFCC, 1, 1)))
    assert places[:, 0] == pytest.approx(np.zeros(100), abs=1e-3)
    assert places[:, -1] == pytest.approx(np.full(100, N_FRAMES - 1), abs=1e-3)
    assert (np.diff(places, axis=1) > 0).all()
    moved = np.abs(places - ramp).max(axis=1)
    assert moved.max() <= 0.2 * (N_FRAMES - 1) + 1e-3
    assert moved.max() > 0.15 * (N_FRAMES - 1)


def test_a_gain_of_log_mel_features_is_the_same_in_every_band_and_leaves_deltas() -> None:
    features = pictures(channels=3)
    before = features.copy()
    change_gain(features, 6, MEL, np.random.default_rng(0))
    changes = features - before
    assert not changes[..., 1:].any()
    by_example = changes[..., 0].reshape(N, -1)
    assert np.ptp(by_example, axis=1).max() < 1e-5
    assert 1 < np.abs(by_example).max() <= 6


def test_narrowband_log_mel_features_are_at_the_floor_and_still() -> None:
    features = pictures(channels=3)
    before = features.copy()
    limit_bandwidth(features, 1.0, MEL, np.random.default_rng(0))
    floors = before[..., 0].max(axis=(1, 2)) - MEL.top_db
    np.testing.assert_allclose(features[:, -1, :, 0], np.tile(floors, (N_FRAMES, 1)).T, atol=1e-4)
    assert not features[:, -1, :, 1:].any()
    np.testing.assert_array_equal(features[:, :8], before[:, :8])


@pytest.mark.parametrize("channels", [1, 3])
def test_a_shift_in_time_rotates_each_example_along_its_frames(channels: int) -> None:
    before = pictures(channels=channels)
    after = before.copy()
    shift_time(after, np.random.default_rng(0))
    shifts = []
    for one, other in zip(before, after, strict=True):
        rotations = [np.roll(one, by, axis=1) for by in range(N_FRAMES)]
        shifts += [by for by, each in enumerate(rotations) if np.array_equal(each, other)]
    assert len(shifts) == len(before)
    assert len(set(shifts)) > len(before) / 2


@pytest.mark.parametrize("shape", [(140,), (13, 32, 1), (16, 16, 3)], ids=str)
def test_mixup_works_on_features_of_any_shape(shape: tuple[int, ...]) -> None:
    targets = np.eye(2, dtype=np.float32)[np.arange(40) % 2]
    features = np.zeros((40, *shape), np.float32)
    features[1::2] = 1
    mixed, mixed_targets = augment(
        features, targets, PLANS["mixup"], MfccStatisticsSpec(), np.random.default_rng(0)
    )
    assert mixed.reshape(40, -1).mean(axis=1) == pytest.approx(mixed_targets[:, 1], abs=1e-5)


VECTOR = MfccStatisticsSpec()
STACK = StackSpec(parts=(MfccSpec(), MfccStatisticsSpec()))
INCOMPLETE = MfccSpec(n_mfcc=13, n_mels=20)
FITTING: dict[str, tuple[Augmentation, FeatureSpec]] = {
    "mixup of anything": (Augmentation(mixup_alpha=0.2), STACK),
    "a mask of time": (Augmentation(time_masks=1, time_mask_share=0.2), SpectrogramSpec()),
    "a mask of bands": (
        Augmentation(frequency_masks=1, frequency_mask_share=0.2),
        SpectrogramSpec(),
    ),
    "a shift of a scalogram": (Augmentation(frequency_shift_bands=2), ScalogramSpec()),
    "all of log-mel": (
        Augmentation(
            time_shift=True, gain_decibels=1, equalizer_decibels=1, narrowband_share=0.1,
            frequency_shift_bands=1, time_warp_share=0.1, time_masks=1, time_mask_share=0.1,
            frequency_masks=1, frequency_mask_share=0.1,
        ),
        MEL,
    ),
    "a gain of some MFCCs": (Augmentation(gain_decibels=1), INCOMPLETE),
}  # fmt: skip
UNFITTING: dict[str, tuple[Augmentation, FeatureSpec, str]] = {
    "a gain of a picture": (Augmentation(gain_decibels=1), SpectrogramSpec(), "mfcc, log_mel, not"),
    "a shift in time of a vector": (Augmentation(time_shift=True), VECTOR, "time_shift is for"),
    "a mask of a stack": (
        Augmentation(time_masks=1, time_mask_share=0.1),
        STACK,
        "not stack: leave it out",
    ),
    "a shift of an even picture": (
        Augmentation(frequency_shift_bands=1),
        SpectrogramSpec(),
        "frequency_shift_bands is for features of kind mfcc, log_mel, scalogram",
    ),
    "a mask of some MFCCs": (
        Augmentation(frequency_masks=1, frequency_mask_share=0.1),
        INCOMPLETE,
        "frequency_masks needs as many n_mfcc as n_mels",
    ),
    "a band limit of some MFCCs": (
        Augmentation(narrowband_share=0.1),
        INCOMPLETE,
        "narrowband_share needs as many",
    ),
}


@pytest.mark.parametrize("case", FITTING)
def test_a_change_that_makes_sense_is_accepted_and_made(case: str) -> None:
    plan, spec = FITTING[case]
    plan.check_features(spec)
    features = np.random.default_rng(0).normal(size=(8, *spec.shape(22_050))).astype(np.float32)
    targets = np.eye(2, dtype=np.float32)[np.arange(8) % 2]
    changed, _ = augment(features, targets, plan, spec, np.random.default_rng(1))
    assert changed.shape == features.shape
    assert np.isfinite(changed).all()
    different = np.any(changed != features, axis=tuple(range(1, features.ndim)))
    assert different.sum() >= 6  # of 8: chance may shift one by nothing, or mask none of it


@pytest.mark.parametrize("case", UNFITTING)
def test_a_change_that_makes_no_sense_is_refused(case: str) -> None:
    plan, spec, reason = UNFITTING[case]
    with pytest.raises(ValueError, match=reason):
        plan.check_features(spec)
