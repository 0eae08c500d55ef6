"""What a run leaves for people to read: metrics as JSON, plots as PNG, and the model card."""

from pathlib import Path
from typing import Final

import numpy as np
from matplotlib.figure import Figure

from app.inference.artifact import TrainingRecord
from app.inference.store import ModelReference
from training.cross_validation import CrossValidation, RoundResult
from training.evaluate import Metrics
from training.model_card import CONFUSION_FILE, LOSS_FILE, model_card
from training.png import save_png
from training.recipe import Recipe

METRICS_FILE: Final = "metrics.json"
CARD_FILE: Final = "MODEL_CARD.md"

_TRAIN_COLOUR: Final = "#1f6f8b"
_VALIDATION_COLOUR: Final = "#d1495b"


def write_reports(
    folder: Path,
    reference: ModelReference,
    recipe: Recipe,
    training: TrainingRecord,
    result: CrossValidation,
) -> None:
    """Write metrics, plots and card of a fitted model into a version's folder."""
    write_cross_validation(folder, result)
    card = model_card(reference, recipe, training, result)
    (folder / CARD_FILE).write_text(card, encoding="utf-8")


def write_cross_validation(folder: Path, result: CrossValidation) -> None:
    """Write metrics and plots of a cross-validation into a folder."""
    (folder / METRICS_FILE).write_text(result.model_dump_json(indent=1) + "\n", encoding="utf-8")
    save_png(loss_figure(result.rounds), folder / LOSS_FILE)
    save_png(confusion_figure(result.together, result.labels), folder / CONFUSION_FILE)


def loss_figure(rounds: list[RoundResult]) -> Figure:
    """Draw each round's loss by epoch, on training and validation parts."""
    figure = Figure(figsize=(3.2 * len(rounds) + 0.6, 3.2), layout="constrained")
    all_axes = figure.subplots(1, len(rounds), sharey=True, squeeze=False)[0]
    for axes, result in zip(all_axes, rounds, strict=True):
        epochs = np.arange(1, len(result.history["loss"]) + 1)
        axes.plot(epochs, result.history["loss"], color=_TRAIN_COLOUR, label="training")
        if "val_loss" in result.history:
            axes.plot(
                epochs, result.history["val_loss"], color=_VALIDATION_COLOUR, label="validation"
            )
            axes.axvline(
                result.epochs, color="0.6", linewidth=1, linestyle=":", label="epochs kept"
            )
        axes.set_title(f"test fold {result.test}")
        axes.set_xlabel("epoch")
        axes.spines[["top", "right"]].set_visible(False)
    all_axes[0].set_ylabel("loss (cross-entropy)")
    all_axes[0].legend(frameon=False)
    return figure


def confusion_figure(metrics: Metrics, labels: list[str]) -> Figure:
    """Draw the confusion matrix, each row as shares of the label's clips."""
    counts = np.array(metrics.confusion_matrix)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    size = 2.6 + 0.42 * len(labels)
    figure = Figure(figsize=(size, size - 0.4), layout="constrained")
    axes = figure.subplots()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    names = [label.replace("_", " ") for label in labels]
    axes.set_xticks(range(len(labels)), names, rotation=45, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(labels)), names)
    axes.set_xlabel("taken for")
    axes.set_ylabel("is")
    for (row, column), share in np.ndenumerate(shares):
        if share >= 0.005:
            colour = "white" if share > 0.55 else "black"
            axes.text(column, row, f"{share:.0%}", ha="center", va="center", color=colour, size=7)
    axes.set_title(f"accuracy {metrics.accuracy:.1%} of {metrics.clips} clips")
    return figure
