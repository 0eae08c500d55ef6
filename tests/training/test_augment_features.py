"""Augmentation: seeded, leaves what it was given alone, and keeps examples what they are."""

import numpy as np
import pytest
import scipy.fft
from numpy.typing import NDArray

from app.audio.feature_specs import MfccSpec
from training.augmentation.on_features import augment, limit_bandwidth
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
