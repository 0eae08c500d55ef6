"""Changes to training features, drawn anew for each batch from one seeded generator.

Features are `[n, *feature_shape]`, not yet normalised; those that are pictures are `[n, bands,
frames, channels]`. Targets are one-hot `[n, n_labels]`. Each change is made in place, except
mixup.
"""

from collections.abc import Callable
from typing import Final

import numpy as np
import scipy.fft
from numpy.typing import NDArray

from app.audio.feature_specs import FeatureSpec
from training.augmentation.plan import Augmentation

Floats = NDArray[np.float32]

_EQUALIZER_POINTS: Final = 5
_NARROWEST: Final = 0.65  # of the mel bands; of 40 up to 11 kHz, this leaves those below 3.4 kHz


def augment(
    features: Floats,
    targets: Floats,
    plan: Augmentation,
    spec: FeatureSpec,
    rng: np.random.Generator,
) -> tuple[Floats, Floats]:
    """Return a changed copy of a batch of features of which `plan.check_features(spec)` holds."""
    features = features.copy()
    if plan.time_shift:
        shift_time(features, rng)
    if plan.gain_decibels:
        change_gain(features, plan.gain_decibels, spec, rng)
    if plan.equalizer_decibels:
        equalize(features, plan.equalizer_decibels, spec, rng)
    if plan.narrowband_share:
        limit_bandwidth(features, plan.narrowband_share, spec, rng)
    if plan.frequency_shift_bands:
        shift_frequency(features, plan.frequency_shift_bands, spec, rng)
    if plan.time_warp_share:
        warp_time(features, plan.time_warp_share, rng)
    for _ in range(plan.time_masks):
        mask_time(features, plan.time_mask_share, rng)
    for _ in range(plan.frequency_masks):
        mask_frequency(features, plan.frequency_mask_share, spec, rng)
    if plan.mixup_alpha:
        features, targets = mix_up(features, targets, plan.mixup_alpha, rng)
    return features, targets


def shift_time(features: Floats, rng: np.random.Generator) -> None:
    """Rotate each example by a random number of frames: a sound may begin anywhere."""
    for example in features:
        example[:] = np.roll(example, rng.integers(example.shape[1]), axis=1)


def change_gain(
    features: Floats, decibels: float, spec: FeatureSpec, rng: np.random.Generator
) -> None:
    """Make each example louder or softer by up to `decibels`."""
    gains = rng.uniform(-decibels, decibels, size=(len(features), 1))
    _add_to_bands(features, np.repeat(gains, _n_mels(spec), axis=1), spec)


def equalize(
    features: Floats, decibels: float, spec: FeatureSpec, rng: np.random.Generator
) -> None:
    """Colour each example as another microphone or room would.

    A curve over the mel bands, straight between five points whose heights are normally distributed
    with a standard deviation of `decibels`.
    """
    points = rng.normal(0, decibels, size=(len(features), _EQUALIZER_POINTS))
    places = np.linspace(0, _EQUALIZER_POINTS - 1, _n_mels(spec))
    curves = [np.interp(places, np.arange(_EQUALIZER_POINTS), heights) for heights in points]
    _add_to_bands(features, np.array(curves), spec)


def limit_bandwidth(
    features: Floats, share: float, spec: FeatureSpec, rng: np.random.Generator
) -> None:
    """Empty the highest mel bands of some examples: recordings at 8 kHz have none.

    Up to the upper third is brought down to the floor that the front end gives to silence.
    """
    n_bands = features.shape[1]
    limited = np.flatnonzero(rng.random(len(features)) < share)
    cutoffs = rng.integers(round(_NARROWEST * n_bands), n_bands, size=len(limited))
    for index, cutoff in zip(limited, cutoffs, strict=True):

        def empty(bands: Floats, first: int = cutoff) -> None:
            bands[first:, :, 0] = bands[..., 0].max() - _top_db(spec)
            bands[first:, :, 1:] = 0  # what does not change has deltas of zero

        _edit_bands(features[index], spec, empty)


def shift_frequency(
    features: Floats, n_bands: int, spec: FeatureSpec, rng: np.random.Generator
) -> None:
    """Move each example up or down by up to `n_bands`: nearly another pitch, and cheap.

    What comes in at an end is as quiet as the example's quietest band. On a scalogram, whose bands
    are even in pitch, every partial moves by the same interval; mel bands are even in pitch above
    1 kHz alone, so below it partials no longer lie at multiples of their fundamental.
    """
    n_bands = min(n_bands, features.shape[1])
    for example, by in zip(
        features, rng.integers(-n_bands, n_bands + 1, size=len(features)), strict=True
    ):

        def move(bands: Floats, by: int = by) -> None:
            new = slice(None, by) if by > 0 else slice(len(bands) + by, None)
            quietest = bands[..., 0].min()
            bands[:] = np.roll(bands, by, axis=0)
            bands[new, :, 0] = quietest
            bands[new, :, 1:] = 0

        if by:
            _edit_bands(example, spec, move)


def warp_time(features: Floats, share: float, rng: np.random.Generator) -> None:
    """Move one moment of each example by up to `share` of its frames, and stretch both sides.

    Linear between frames. Source: Park et al., "SpecAugment", Interspeech 2019, whose warp does so
    along a spline.
    """
    n_frames = features.shape[2]
    frames = np.arange(n_frames)
    for example in features:
        moment = rng.uniform(share, 1 - share) * (n_frames - 1)
        moved = moment + rng.uniform(-share, share) * (n_frames - 1)
        places = np.interp(frames, [0, moved, n_frames - 1], [0, moment, n_frames - 1])
        before = np.minimum(places.astype(np.intp), n_frames - 2)
        late = (places - before).astype(np.float32)[:, np.newaxis]
        example[:] = (1 - late) * example[:, before] + late * example[:, before + 1]


def mask_time(features: Floats, share: float, rng: np.random.Generator) -> None:
    """Replace up to `share` of each example's frames, in one run, by their mean.

    Source: Park et al., "SpecAugment", Interspeech 2019.
    """
    n_frames = features.shape[2]
    for example in features:
        length = rng.integers(round(share * n_frames) + 1)
        start = rng.integers(n_frames - length + 1)
        example[:, start : start + length] = example.mean(axis=1, keepdims=True)


def mask_frequency(
    features: Floats, share: float, spec: FeatureSpec, rng: np.random.Generator
) -> None:
    """Replace up to `share` of each example's bands, in one run, by the mean of all of them.

    Source: as `mask_time`; there features are normalised, and the mean is 0.
    """
    n_bands = features.shape[1]
    for example in features:
        length = rng.integers(round(share * n_bands) + 1)
        start = rng.integers(n_bands - length + 1)

        def mask(bands: Floats, masked: slice = slice(start, start + length)) -> None:
            bands[masked] = bands.mean(axis=(0, 1))

        _edit_bands(example, spec, mask)


def mix_up(
    features: Floats, targets: Floats, alpha: float, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Blend each example and its target with another of the batch.

    Source: Zhang et al., "mixup: Beyond Empirical Risk Minimization", ICLR 2018.
    """
    share = rng.beta(alpha, alpha, size=len(features)).astype(np.float32)
    share = np.maximum(share, 1 - share)
    other = rng.permutation(len(features))
    by_feature = share.reshape(-1, *[1] * (features.ndim - 1))
    by_target = share[:, np.newaxis]
    return (
        by_feature * features + (1 - by_feature) * features[other],
        by_target * targets + (1 - by_target) * targets[other],
    )


def _n_mels(spec: FeatureSpec) -> int:
    n_mels: int = getattr(spec, "n_mels")  # noqa: B009  # of the kinds that have it
    return n_mels


def _top_db(spec: FeatureSpec) -> float:
    top_db: float = getattr(spec, "top_db")  # noqa: B009
    return top_db


def _add_to_bands(features: Floats, decibels: NDArray[np.float64], spec: FeatureSpec) -> None:
    """Add `[n, n_mels]` decibels to the mel bands of features, in every frame.

    MFCCs are a linear function of the bands, so what is added can be transformed alone. Deltas
    are left: what is the same in every frame has none.
    """
    if spec.kind == "mfcc":
        decibels = scipy.fft.dct(decibels, axis=1, norm="ortho")[:, : features.shape[1]]
    features[..., 0] += decibels[:, :, np.newaxis].astype(np.float32)


def _edit_bands(example: Floats, spec: FeatureSpec, edit: Callable[[Floats], None]) -> None:
    """Have `edit` change an example's bands `[n_bands, n_frames, channels]` in place.

    As many MFCCs as there are bands are an invertible transform of these.
    """
    if spec.kind != "mfcc":
        edit(example)
        return
    bands = scipy.fft.idct(example, axis=0, norm="ortho")
    edit(bands)
    example[:] = scipy.fft.dct(bands, axis=0, norm="ortho")
