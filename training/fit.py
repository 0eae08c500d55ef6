"""Fitting one model on features: a recipe, examples, and perhaps a validation set."""

import functools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from app.progress import Advance
from training.architectures import build_model
from training.augment import augment
from training.checkpoint import Checkpoint
from training.features_cache import DatasetFeatures
from training.keras_import import keras, tensorflow
from training.recipe import Recipe, Training

PREDICT_BATCH: Final = 256

# Called after each epoch with its losses and accuracies.
OnEpoch = Callable[[dict[str, float]], None]


@dataclass(frozen=True, slots=True)
class Examples:
    """What a model is fitted on.

    Attributes:
        features: float32 `[n, *feature_shape]`.
        targets: float32 `[n, n_labels]`, one-hot.
        weights: float32 `[n]`.
    """

    features: NDArray[np.float32]
    targets: NDArray[np.float32]
    weights: NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class FittedModel:
    """A fitted Keras model, the best number of epochs, and loss and accuracy after each."""

    model: Any
    epochs: int
    history: dict[str, list[float]]


def select_examples(
    data: DatasetFeatures, clips: NDArray[np.intp], labels: Sequence[str]
) -> Examples:
    """Return the windows of some clips with their targets, in the order of `labels`."""
    windows = np.flatnonzero(np.isin(data.clip_of_window, clips))
    index_of_label = {label: index for index, label in enumerate(labels)}
    classes = [index_of_label[data.clips[clip].label] for clip in data.clip_of_window[windows]]
    return Examples(
        features=data.features[windows],
        targets=np.eye(len(labels), dtype=np.float32)[classes],
        weights=data.weights[windows],
    )


def fit_model(
    recipe: Recipe,
    examples: Examples,
    validation: Examples | None = None,
    epochs: int | None = None,
    on_epoch: OnEpoch = lambda _logs: None,
    checkpoint: Path | None = None,
) -> FittedModel:
    """Fit a fresh model.

    Args:
        recipe: decides everything.
        examples: what to fit on.
        validation: where given, fitting stops early by the loss on it. What counts then is the
            number of epochs that gave the lowest loss; the model has gone on beyond them.
        epochs: where given, fit for exactly so many instead of the recipe's.
        on_epoch: called after each epoch with its losses and accuracies.
        checkpoint: where given, the fit's state is kept there after each epoch, and what is there
            is gone on from. It must be of the same arguments.

    Raises:
        RunError: the checkpoint is damaged, or another model's.
    """
    keras.utils.set_random_seed(recipe.training.seed)
    tensorflow.config.experimental.enable_op_determinism()
    n_epochs = epochs or recipe.training.epochs
    batches = _AugmentedBatches(recipe, examples)
    model = _compiled_model(recipe, examples, n_epochs, steps_per_epoch=len(batches))
    stopping = _early_stopping(recipe.training)
    saving = Checkpoint(checkpoint, batches, stopping if validation else None)
    for logs in saving.epochs_in_order():
        on_epoch(logs)
    model.fit(
        batches,
        initial_epoch=saving.epochs,
        epochs=saving.epochs if saving.stopped else n_epochs,
        verbose=0,
        callbacks=[
            keras.callbacks.LambdaCallback(
                on_epoch_end=lambda _epoch, logs: on_epoch(dict(logs or {}))
            ),
            # What is kept is the averaged weights: so they are what a validation part must judge.
            *([keras.callbacks.SwapEMAWeights()] if recipe.training.average_weights else []),
            *([stopping] if validation else []),
            saving,  # last: it keeps what the others have decided
        ],
        validation_data=_PlainBatches(validation) if validation else None,
    )
    best_epoch = stopping.best_epoch + 1 if validation else n_epochs
    # A fresh model over the same layers: saved without the optimizer, which is twice their size.
    plain = keras.Model(model.inputs, model.outputs, name=model.name)
    return FittedModel(plain, best_epoch, saving.history)


def _compiled_model(recipe: Recipe, examples: Examples, n_epochs: int, steps_per_epoch: int) -> Any:
    training = recipe.training
    model = build_model(
        recipe.model, recipe.front_end, examples.targets.shape[1], examples.features
    )
    model.compile(
        optimizer=_optimizer(training, n_epochs, steps_per_epoch),
        loss=keras.losses.CategoricalCrossentropy(label_smoothing=training.label_smoothing),
        weighted_metrics=["accuracy"],
        jit_compile=False,  # on a processor, XLA's convolutions take several times as long
    )
    return model


def _optimizer(training: Training, n_epochs: int, steps_per_epoch: int) -> Any:
    kind = {
        "adam": keras.optimizers.Adam,
        "nadam": keras.optimizers.Nadam,
        "rmsprop": keras.optimizers.RMSprop,
        "sgd": functools.partial(keras.optimizers.SGD, momentum=0.9, nesterov=True),
    }[training.optimizer]
    return kind(
        learning_rate=_schedule(training, n_epochs, steps_per_epoch),
        weight_decay=training.weight_decay or None,
        use_ema=training.average_weights > 0,
        ema_momentum=training.average_weights or 0.99,
    )


def _early_stopping(training: Training) -> Any:
    return keras.callbacks.EarlyStopping(
        monitor="val_loss",
        patience=training.patience,
        start_from_epoch=training.min_epochs - 1,
    )


def report_epochs(advance: Advance) -> OnEpoch:
    """Return a listener that tells of each epoch's losses in a few words."""

    def on_epoch(logs: dict[str, float]) -> None:
        note = f"loss {logs['loss']:.3f}"
        if "val_loss" in logs:
            note += f", validation {logs['val_loss']:.3f} ({logs['val_accuracy']:.1%})"
        advance(note)

    return on_epoch


class _AugmentedBatches(keras.utils.PyDataset):  # type: ignore[misc]  # keras ships no types
    """Shuffled, augmented batches; every epoch another draw, every run the same draws."""

    def __init__(self, recipe: Recipe, examples: Examples) -> None:
        super().__init__(workers=1, use_multiprocessing=False)
        self._examples = examples
        self._plan = recipe.augmentation
        self._n_mels = getattr(recipe.front_end.features, "n_mels", 0)
        self._batch_size = recipe.training.batch_size
        self.rng = np.random.default_rng(recipe.training.seed)
        self.order = self.rng.permutation(len(examples.features))

    def __len__(self) -> int:
        # What is left over waits for another epoch's draw: the statistics of a handful of clips,
        # last in each epoch, mislead batch normalisation (by three points of accuracy).
        return max(1, len(self.order) // self._batch_size)

    def __getitem__(
        self, index: int
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        chosen = self.order[index * self._batch_size : (index + 1) * self._batch_size]
        features, targets = augment(
            self._examples.features[chosen],
            self._examples.targets[chosen],
            self._plan,
            self._n_mels,
            self.rng,
        )
        return features, targets, self._examples.weights[chosen]

    def on_epoch_end(self) -> None:
        self.order = self.rng.permutation(len(self.order))


class _PlainBatches(keras.utils.PyDataset):  # type: ignore[misc]  # keras ships no types
    """Batches in order, unchanged, for validation."""

    def __init__(self, examples: Examples) -> None:
        super().__init__(workers=1, use_multiprocessing=False)
        self._examples = examples

    def __len__(self) -> int:
        return math.ceil(len(self._examples.features) / PREDICT_BATCH)

    def __getitem__(
        self, index: int
    ) -> tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]:
        batch = slice(index * PREDICT_BATCH, (index + 1) * PREDICT_BATCH)
        examples = self._examples
        return examples.features[batch], examples.targets[batch], examples.weights[batch]


def _schedule(training: Training, n_epochs: int, steps_per_epoch: int) -> Any:
    if training.schedule == "constant":
        return training.learning_rate
    warmup_epochs = min(training.warmup_epochs, n_epochs - 1)
    if warmup_epochs == 0:
        return keras.optimizers.schedules.CosineDecay(
            training.learning_rate, n_epochs * steps_per_epoch
        )
    return keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=training.learning_rate / 20,
        warmup_target=training.learning_rate,
        warmup_steps=warmup_epochs * steps_per_epoch,
        decay_steps=(n_epochs - warmup_epochs) * steps_per_epoch,
    )
