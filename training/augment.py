"""Changes to training examples, drawn anew for each batch from one seeded generator.

Features are `[n, n_mfcc, n_frames, 1]`, not yet normalised; targets are one-hot `[n, n_labels]`.
"""

from typing import Final

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from training.recipe import Augmentation

_EQUALIZER_POINTS: Final = 5
_NARROWEST: Final = 0.65  # of the mel bands; of 40 up to 11 kHz, this leaves those below 3.4 kHz
_FLOOR_DECIBELS: Final = 80.0


def augment(
    features: NDArray[np.float32],
    targets: NDArray[np.float32],
    plan: Augmentation,
    n_mels: int,
    rng: np.random.Generator,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return a changed copy of a batch. `n_mels` is the number of bands behind the coefficients."""
    features = features.copy()
    if plan.time_shift:
        shift_time(features, rng)
    if plan.gain_decibels:
        change_gain(features, plan.gain_decibels, n_mels, rng)
    if plan.equalizer_decibels:
        equalize(features, plan.equalizer_decibels, n_mels, rng)
    if plan.narrowband_share:
        limit_bandwidth(features, plan.narrowband_share, rng)
    for _ in range(plan.time_masks):
        mask_time(features, plan.time_mask_share, rng)
    if plan.mixup_alpha:
        features, targets = mix_up(features, targets, plan.mixup_alpha, rng)
    return features, targets


def shift_time(features: NDArray[np.float32], rng: np.random.Generator) -> None:
    """Rotate each example by a random number of frames, in place: a sound may begin anywhere."""
    for example in features:
        example[:] = np.roll(example, rng.integers(example.shape[1]), axis=1)


def change_gain(
    features: NDArray[np.float32], decibels: float, n_mels: int, rng: np.random.Generator
) -> None:
    """Make each example louder or softer by up to `decibels`, in place."""
    gains = rng.uniform(-decibels, decibels, size=(len(features), 1))
    _add_to_bands(features, np.repeat(gains, n_mels, axis=1))


def equalize(
    features: NDArray[np.float32], decibels: float, n_mels: int, rng: np.random.Generator
) -> None:
    """Colour each example as another microphone or room would, in place.

    A curve over the mel bands, straight between five points whose heights are normally distributed
    with a standard deviation of `decibels`.
    """
    points = rng.normal(0, decibels, size=(len(features), _EQUALIZER_POINTS))
    places = np.linspace(0, _EQUALIZER_POINTS - 1, n_mels)
    curves = [np.interp(places, np.arange(_EQUALIZER_POINTS), heights) for heights in points]
    _add_to_bands(features, np.array(curves))


def limit_bandwidth(features: NDArray[np.float32], share: float, rng: np.random.Generator) -> None:
    """Empty the highest mel bands of some examples, in place: recordings at 8 kHz have none.

    Of `n_mfcc` bands, up to the upper third is brought down to the floor that the front end gives
    to silence. Needs as many coefficients as bands, of which they are then an invertible transform.
    """
    n_bands = features.shape[1]
    limited = np.flatnonzero(rng.random(len(features)) < share)
    cutoffs = rng.integers(round(_NARROWEST * n_bands), n_bands, size=len(limited))
    for index, cutoff in zip(limited, cutoffs, strict=True):
        bands = scipy.fft.idct(features[index], axis=0, norm="ortho")
        bands[cutoff:] = bands.max() - _FLOOR_DECIBELS
        features[index] = scipy.fft.dct(bands, axis=0, norm="ortho")


def _add_to_bands(features: NDArray[np.float32], decibels: NDArray[np.float64]) -> None:
    """Add `[n, n_mels]` decibels to the mel bands behind MFCCs, in every frame, in place.

    The coefficients are a linear function of the bands, so what is added can be transformed alone.
    """
    coefficients = scipy.fft.dct(decibels, axis=1, norm="ortho")[:, : features.shape[1]]
    features += coefficients[:, :, np.newaxis, np.newaxis].astype(np.float32)


def mask_time(features: NDArray[np.float32], share: float, rng: np.random.Generator) -> None:
    """Replace up to `share` of each example's frames, in one run, by their mean; in place.

    Source: Park et al., "SpecAugment", Interspeech 2019.
    """
    n_frames = features.shape[2]
    for example in features:
        length = rng.integers(round(share * n_frames) + 1)
        start = rng.integers(n_frames - length + 1)
        example[:, start : start + length] = example.mean(axis=1, keepdims=True)


def mix_up(
    features: NDArray[np.float32],
    targets: NDArray[np.float32],
    alpha: float,
    rng: np.random.Generator,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Blend each example and its target with another of the batch.

    Source: Zhang et al., "mixup: Beyond Empirical Risk Minimization", ICLR 2018.
    """
    share = rng.beta(alpha, alpha, size=len(features)).astype(np.float32)
    share = np.maximum(share, 1 - share)
    other = rng.permutation(len(features))
    by_feature = share[:, np.newaxis, np.newaxis, np.newaxis]
    by_target = share[:, np.newaxis]
    return (
        by_feature * features + (1 - by_feature) * features[other],
        by_target * targets + (1 - by_target) * targets[other],
    )
