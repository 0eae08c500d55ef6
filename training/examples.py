"""Examples: what a model is fitted on, selected from a data set's features, and batches of it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from training.augmentation.on_features import augment
from training.features_cache import DatasetFeatures
from training.keras_import import keras
from training.recipe import Recipe

PREDICT_BATCH: Final = 256

Batch = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]


@dataclass(frozen=True, slots=True)
class Versions:
    """Which windows are of the same version of the same clip.

    Attributes:
        clips: int `[n]`: the place of each window's clip among those selected.
        numbers: int `[n]`: the version of it, 0 being the clip itself.
        n_versions: how many each clip has.
    """

    clips: NDArray[np.intp]
    numbers: NDArray[np.intp]
    n_versions: int

    def draw(self, rng: np.random.Generator) -> NDArray[np.intp]:
        """Return the windows of one version of each clip, drawn evenly."""
        drawn = rng.integers(self.n_versions, size=int(self.clips.max()) + 1)
        return np.flatnonzero(self.numbers == drawn[self.clips])


@dataclass(frozen=True, slots=True)
class Examples:
    """What a model is fitted on.

    Attributes:
        features: float32 `[n, *feature_shape]`.
        targets: float32 `[n, n_labels]`, one-hot.
        weights: float32 `[n]`.
        versions: where clips have variants, of which version each example is.
    """

    features: NDArray[np.float32]
    targets: NDArray[np.float32]
    weights: NDArray[np.float32]
    versions: Versions | None = None


def select_examples(
    data: DatasetFeatures,
    clips: NDArray[np.intp],
    labels: Sequence[str],
    *,
    with_variants: bool = False,
) -> Examples:
    """Return the windows of some clips with their targets, in the order of `labels`.

    With `with_variants`, those of the clips' variants follow, where the data has any: for what a
    model is fitted on, and nothing else.
    """
    windows = np.flatnonzero(np.isin(data.clip_of_window, clips))
    clip_of_window = data.clip_of_window[windows]
    features, weights = data.features[windows], data.weights[windows]
    versions = None
    if with_variants and (variants := data.variants) is not None:
        of_variants = np.flatnonzero(np.isin(variants.clip_of_window, clips))
        numbers = np.concatenate(
            [np.zeros(len(windows), dtype=np.intp), 1 + variants.number_of_window[of_variants]]
        )
        clip_of_window = np.concatenate([clip_of_window, variants.clip_of_window[of_variants]])
        features = np.concatenate([features, variants.features[of_variants]])
        weights = np.concatenate([weights, variants.weights[of_variants]])
        places = np.unique(clip_of_window, return_inverse=True)[1]
        versions = Versions(places, numbers, 1 + variants.n_variants)
    index_of_label = {label: index for index, label in enumerate(labels)}
    classes = [index_of_label[data.clips[clip].label] for clip in clip_of_window]
    targets = np.eye(len(labels), dtype=np.float32)[classes]
    return Examples(features, targets, weights, versions)


class AugmentedBatches(keras.utils.PyDataset):  # type: ignore[misc]  # keras ships no types
    """Shuffled, augmented batches; every epoch another draw, every run the same draws.

    What a batch holds is decided by the seed, the epoch and its index alone: not by what was drawn
    before, nor by how far Keras draws ahead. So a fit can go on in the middle.

    An epoch has as many examples as the clips themselves have windows. Where clips have variants,
    it takes one version of each; where these have fewer windows, some come twice.
    """

    def __init__(self, recipe: Recipe, examples: Examples) -> None:
        super().__init__(workers=1, use_multiprocessing=False)
        self._examples = examples
        self._plan = recipe.augmentation
        self._spec = recipe.front_end.features
        self._batch_size = recipe.training.batch_size
        self._seed = recipe.training.seed
        self._n_examples = len(examples.features)
        if examples.versions is not None:
            self._n_examples = int(np.count_nonzero(examples.versions.numbers == 0))
        self.begin_epoch(0)

    def __len__(self) -> int:
        # What is left over waits for another epoch's draw: the statistics of a handful of clips,
        # last in each epoch, mislead batch normalisation (by three points of accuracy).
        return max(1, self._n_examples // self._batch_size)

    def __getitem__(self, index: int) -> Batch:
        chosen = self._order[index * self._batch_size : (index + 1) * self._batch_size]
        features, targets = augment(
            self._examples.features[chosen],
            self._examples.targets[chosen],
            self._plan,
            self._spec,
            np.random.default_rng([self._seed, self._epoch, 1 + index]),
        )
        return features, targets, self._examples.weights[chosen]

    def begin_epoch(self, epoch: int) -> None:
        """Draw an epoch's examples, and the order in which they come; epochs count from 0."""
        self._epoch = epoch
        rng = np.random.default_rng([self._seed, epoch, 0])
        versions = self._examples.versions
        if versions is None:
            self._order = rng.permutation(self._n_examples)
        else:
            self._order = np.resize(rng.permutation(versions.draw(rng)), self._n_examples)


class PlainBatches(keras.utils.PyDataset):  # type: ignore[misc]  # keras ships no types
    """Batches in order, unchanged, for validation."""

    def __init__(self, examples: Examples) -> None:
        super().__init__(workers=1, use_multiprocessing=False)
        self._examples = examples

    def __len__(self) -> int:
        return math.ceil(len(self._examples.features) / PREDICT_BATCH)

    def __getitem__(self, index: int) -> Batch:
        batch = slice(index * PREDICT_BATCH, (index + 1) * PREDICT_BATCH)
        examples = self._examples
        return examples.features[batch], examples.targets[batch], examples.weights[batch]
