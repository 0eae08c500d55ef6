"""Fitting one model on features: a recipe, examples, and perhaps a validation set."""

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from app.progress import Advance
from training.architectures import build_model
from training.checkpoint import Checkpoint
from training.examples import AugmentedBatches, Examples, PlainBatches
from training.keras_import import keras, tensorflow
from training.recipe import Recipe, Training
from training.recipe_error import RecipeError

# Called after each epoch with its losses and accuracies.
OnEpoch = Callable[[dict[str, float]], None]


@dataclass(frozen=True, slots=True)
class FittedModel:
    """A fitted Keras model, the best number of epochs, and loss and accuracy after each."""

    model: Any
    epochs: int
    history: dict[str, list[float]]


def fit_model(
    recipe: Recipe,
    examples: Examples,
    validation: Examples | None = None,
    epochs: int | None = None,
    on_epoch: OnEpoch = lambda _logs: None,
    checkpoint: Path | None = None,
    curves: Path | None = None,
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
        curves: where given, losses and accuracies are written there after each epoch, as
            TensorBoard reads them.

    Raises:
        RunError: the checkpoint is damaged, or another model's.
        RecipeError: the fit diverged: a loss is no number any more.
    """
    keras.utils.set_random_seed(recipe.training.seed)
    tensorflow.config.experimental.enable_op_determinism()
    n_epochs = epochs or recipe.training.epochs
    batches = AugmentedBatches(recipe, examples)
    model = _compiled_model(recipe, examples, n_epochs, steps_per_epoch=len(batches))
    stopping = _early_stopping(recipe.training)
    saving = Checkpoint(checkpoint, stopping if validation else None)
    for logs in saving.epochs_in_order():
        on_epoch(logs)
    model.fit(
        batches,
        initial_epoch=saving.epochs,
        epochs=saving.epochs if saving.stopped else n_epochs,
        shuffle=False,  # batches come shuffled; Keras would draw their order with Python's `random`
        verbose=0,
        callbacks=[
            keras.callbacks.LambdaCallback(
                on_epoch_begin=lambda epoch, _logs: batches.begin_epoch(epoch),
                on_epoch_end=lambda _epoch, logs: on_epoch(dict(logs or {})),
            ),
            # What is kept is the averaged weights: so they are what a validation part must judge.
            *([keras.callbacks.SwapEMAWeights()] if recipe.training.average_weights else []),
            keras.callbacks.TerminateOnNaN(),
            *([stopping] if validation else []),
            *([_tensorboard(curves)] if curves is not None else []),
            saving,  # last: it keeps what the others have decided
        ],
        validation_data=PlainBatches(validation) if validation else None,
    )
    _check_losses(saving.history)
    best_epoch = stopping.best_epoch + 1 if validation else n_epochs
    return FittedModel(_plain(recipe, examples, model), best_epoch, saving.history)


def _check_losses(history: dict[str, list[float]]) -> None:
    """Refuse a fit that diverged, even where its best epoch came before: that was luck."""
    for name in ("loss", "val_loss"):
        wrong = np.flatnonzero(~np.isfinite(history.get(name, ())))
        if len(wrong):
            raise RecipeError(
                f"the fit diverged: after epoch {wrong[0] + 1} its loss is no number any more. "
                "Lower training.learning_rate, or begin more slowly by training.warmup_epochs"
            )


def _plain(recipe: Recipe, examples: Examples, model: Any) -> Any:
    """Return what is kept of a fitted model: in float32, without the optimizer, twice its size."""
    if not recipe.training.mixed_precision:
        return keras.Model(model.inputs, model.outputs, name=model.name)
    plain = _model(recipe, examples)
    plain.set_weights(model.get_weights())
    return plain


@contextmanager
def _precision(training: Training) -> Iterator[None]:
    """Have layers that are made in this context compute in float16, where the recipe says so.

    Weights stay in float32, and Keras scales the loss, so that small gradients do not vanish.
    """
    before = keras.mixed_precision.dtype_policy()
    if training.mixed_precision:
        keras.mixed_precision.set_dtype_policy("mixed_float16")
    try:
        yield
    finally:
        keras.mixed_precision.set_dtype_policy(before)


def _model(recipe: Recipe, examples: Examples) -> Any:
    return build_model(recipe.model, recipe.front_end, examples.targets.shape[1], examples.features)


def _compiled_model(recipe: Recipe, examples: Examples, n_epochs: int, steps_per_epoch: int) -> Any:
    training = recipe.training
    with _precision(training):
        model = _model(recipe, examples)
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
        learning_rate=schedule_of(training, n_epochs, steps_per_epoch),
        weight_decay=training.weight_decay or None,
        use_ema=training.average_weights > 0,
        ema_momentum=training.average_weights or 0.99,
    )


def _tensorboard(folder: Path) -> Any:
    return keras.callbacks.TensorBoard(folder, write_graph=False)


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


def schedule_of(training: Training, n_epochs: int, steps_per_epoch: int) -> Any:
    """Return the learning rate of a fit as Keras takes it: one number, or a function of the step.

    Args:
        training: decides it.
        n_epochs: for how long is fitted; at least one of them is no warm-up.
        steps_per_epoch: of how many batches each epoch is.
    """
    warmup_epochs = min(training.warmup_epochs, n_epochs - 1)
    warmup_steps = warmup_epochs * steps_per_epoch
    rate, low = training.learning_rate, training.learning_rate / 20
    if training.schedule == "constant":
        if warmup_epochs == 0:
            return rate
        # A straight line, which stays where it ends.
        return keras.optimizers.schedules.PolynomialDecay(
            low, decay_steps=warmup_steps, end_learning_rate=rate
        )
    if warmup_epochs == 0:
        return keras.optimizers.schedules.CosineDecay(rate, n_epochs * steps_per_epoch)
    return keras.optimizers.schedules.CosineDecay(
        initial_learning_rate=low,
        warmup_target=rate,
        warmup_steps=warmup_steps,
        decay_steps=(n_epochs - warmup_epochs) * steps_per_epoch,
    )
