"""What a run leaves for people to read: metrics as JSON, plots as PNG, and the model card."""

from pathlib import Path
from typing import Any, Final

import numpy as np
from matplotlib.figure import Figure

from app.inference.artifact import TrainingRecord
from app.inference.store import ModelReference
from training.cross_validation import CrossValidation, RoundResult
from training.evaluate import Metrics
from training.png import save_png
from training.recipe import Recipe

METRICS_FILE: Final = "metrics.json"
CARD_FILE: Final = "MODEL_CARD.md"
LOSS_FILE: Final = "loss.png"
CONFUSION_FILE: Final = "confusion_matrix.png"

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


def model_card(
    reference: ModelReference, recipe: Recipe, training: TrainingRecord, result: CrossValidation
) -> str:
    """Compose the model card: what the model is, how well it does, and where it must not be used.

    Layout after Mitchell et al., "Model Cards for Model Reporting", FAT* 2019.
    """
    front_end = recipe.front_end
    rounds = _table(
        ("tested on", "clips", "epochs", "accuracy", "macro F1"),
        [
            (
                f"fold {part.test}",
                part.metrics.clips,
                part.epochs,
                f"{part.metrics.accuracy:.1%}",
                f"{part.metrics.macro_f1:.3f}",
            )
            for part in result.rounds
        ],
    )
    by_label = _table(
        ("label", "clips", "precision", "recall", "F1"),
        [
            (label, m.clips, f"{m.precision:.2f}", f"{m.recall:.2f}", f"{m.f1:.2f}")
            for label, m in result.together.by_label.items()
        ],
    )
    return f"""# {reference.name}, version {reference.version}

{recipe.summary}. One label out of {len(result.labels)} for a clip:
{", ".join(f"`{label}`" for label in result.labels)}.

## How well it does

Accuracy **{result.accuracy_mean:.1%}** ± {result.accuracy_deviation:.1%} (mean and standard
deviation over {len(result.rounds)} folds), macro F1 {result.macro_f1_mean:.3f}.

Protocol: {result.protocol}. The figures are those of the models of the cross-validation; the model
in this folder was then fitted on all clips, for the median of their epochs ({result.epochs}), and
no clip is left to test it on.

{rounds}

All test clips together:

{by_label}

![Confusion matrix]({CONFUSION_FILE})
![Loss by epoch]({LOSS_FILE})

## What it was trained on

{training.dataset}, {_folds_in_words(training.folds)}, {training.clips} clips. Licence of the data:
**{training.licence}**. Whether a model may be used beyond what its data's licence allows is for
its user to settle{_licence_warning(training.licence)}.

## What it hears

{front_end.sample_rate_hz} Hz mono, windows of {front_end.window_seconds:g} s (shorter audio is
filled up by the rule `{front_end.padding}`), {front_end.features.n_mfcc} MFCCs from
{front_end.features.n_mels} mel bands. Recipe `{recipe.name}`: {recipe.source}.
Published figure: {recipe.published}.

## What it is not for

- It always names one of its labels. Speech, music or a room's hum become whichever label lies
  nearest: read the probabilities, and expect no "none of these".
- Its probabilities are not calibrated.
- It learned from curated clips of one foreground sound. Several sounds at once, far microphones
  and heavy compression were not tested.
- It must not decide alone where an error harms someone: it is no alarm for gun shots.

## How to make it again

```sh
{training.command}
```

Seed {training.seed}; the library versions are in `manifest.json`.
"""


def _table(header: tuple[str, ...], rows: list[tuple[Any, ...]]) -> str:
    lines = [header, ("---",) * len(header), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def _folds_in_words(folds: list[str]) -> str:
    return f"official folds {', '.join(folds)}" if folds else "which has no official folds"


def _licence_warning(licence: str) -> str:
    return "; NC stands for non-commercial" if "NC" in licence else ""
