"""The figures of a run, drawn in the colours of `looks.colours` and written by nobody here."""

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
from matplotlib.figure import Figure

from training.calibration import Reliability, ReliabilityBin
from training.evaluate import Metrics
from training.results import RoundResult

_YLABELS: Final = {"loss": "loss (cross-entropy)", "accuracy": "accuracy"}
_MEASURES: Final = ("precision", "recall", "f1")


def curves_figure(rounds: Sequence[RoundResult], quantity: str) -> Figure:
    """Draw each round's loss or accuracy by epoch, on training and validation parts, in a row."""
    figure = Figure(figsize=(3.2 * len(rounds) + 0.6, 3.2), layout="constrained")
    all_axes = figure.subplots(1, len(rounds), sharey=True, squeeze=False)[0]
    for axes, result in zip(all_axes, rounds, strict=True):
        _draw_curves(axes, result, quantity)
        axes.set_title(f"test fold {result.test}", parse_math=False)
        axes.set_xlabel("epoch")
    all_axes[0].set_ylabel(_YLABELS[quantity])
    all_axes[0].legend(frameon=False)
    return figure


def round_figure(result: RoundResult, highest_loss: float) -> Figure:
    """Draw one round's loss above its accuracy, by epoch, up to a loss that rounds share."""
    figure = Figure(figsize=(2.7, 3.5))
    above, below = figure.subplots(2, 1, sharex=True)
    figure.subplots_adjust(left=0.24, right=0.98, bottom=0.12, top=0.98, hspace=0.12)
    for axes, quantity, top in ((above, "loss", highest_loss), (below, "accuracy", 1.0)):
        _draw_curves(axes, result, quantity)
        axes.set_ylim(0, 1.03 * top)
        axes.locator_params(axis="y", nbins=5)
        axes.set_ylabel(quantity)
        axes.grid(axis="y", alpha=0.35, linewidth=0.6)
    below.set_xlabel("epoch")
    return figure


def _draw_curves(axes: Any, result: RoundResult, quantity: str) -> None:
    values = result.history[quantity]
    epochs = np.arange(1, len(values) + 1)
    # A single epoch is no line: a dot shows it.
    marker = "o" if len(values) == 1 else None
    axes.plot(epochs, values, color="C0", label="training", marker=marker)
    if f"val_{quantity}" in result.history:
        validation = result.history[f"val_{quantity}"]
        axes.plot(epochs, validation, color="C1", label="validation", marker=marker)
        axes.axvline(result.epochs, color="0.6", linewidth=1, linestyle=":", label="epochs kept")
    axes.spines[["top", "right"]].set_visible(False)


def confusion_figure(metrics: Metrics, labels: list[str]) -> Figure:
    """Draw the confusion matrix, each row as shares of the label's clips."""
    counts = np.array(metrics.confusion_matrix)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    size = 2.6 + 0.42 * len(labels)
    figure = Figure(figsize=(size, size - 0.4), layout="constrained")
    axes = figure.subplots()
    axes.imshow(shares, cmap="Blues", vmin=0, vmax=1)
    names = [_plain(label) for label in labels]
    axes.set_xticks(
        range(len(labels)),
        names,
        rotation=45,
        ha="right",
        rotation_mode="anchor",
        parse_math=False,
    )
    axes.set_yticks(range(len(labels)), names, parse_math=False)
    axes.set_xlabel("taken for")
    axes.set_ylabel("is")
    for (row, column), share in np.ndenumerate(shares):
        if share >= 0.005:
            colour = "white" if share > 0.55 else "black"
            axes.text(column, row, f"{share:.0%}", ha="center", va="center", color=colour, size=7)
    axes.set_title(f"accuracy {metrics.accuracy:.1%} of {metrics.clips} clips")
    return figure


def labels_figure(metrics: Metrics) -> Figure:
    """Draw each label's precision, recall and F1 as bars, the best F1 on top."""
    labels = sorted(metrics.by_label, key=lambda label: metrics.by_label[label].f1)
    figure = Figure(figsize=(9, 1.2 + 0.3 * len(labels)), layout="constrained")
    all_axes = figure.subplots(1, len(_MEASURES), sharey=True)
    for axes, measure in zip(all_axes, _MEASURES, strict=True):
        values = [getattr(metrics.by_label[label], measure) for label in labels]
        bars = axes.barh(range(len(labels)), values, color="C0")
        axes.bar_label(bars, fmt="%.2f", padding=3)
        axes.set_xlim(0, 1.15)
        axes.set_title("F1" if measure == "f1" else measure)
        axes.spines[["top", "right"]].set_visible(False)
    names = [_plain(label) for label in labels]
    all_axes[0].set_yticks(range(len(labels)), names, parse_math=False)
    return figure


def reliability_figure(reliability: Reliability) -> Figure:
    """Draw the reliability diagrams before and after calibration, side by side."""
    figure = Figure(figsize=(7.2, 4.2), layout="constrained")
    columns = figure.subplots(2, 2, sharex=True, sharey="row", height_ratios=(3, 1))
    for place, (title, bins) in enumerate(
        (("before calibration", reliability.before), ("after calibration", reliability.after))
    ):
        _draw_reliability(columns[0][place], columns[1][place], bins)
        columns[0][place].set_title(title)
    return figure


def bins_figure(bins: Sequence[ReliabilityBin]) -> Figure:
    """Draw one reliability diagram, with the number of answers in each bin below it."""
    figure = Figure(figsize=(3.8, 3.9))
    above, below = figure.subplots(2, 1, sharex=True, height_ratios=(3, 1))
    figure.subplots_adjust(left=0.18, right=0.96, bottom=0.12, top=0.98, hspace=0.1)
    _draw_reliability(above, below, bins)
    return figure


def _draw_reliability(above: Any, below: Any, bins: Sequence[ReliabilityBin]) -> None:
    filled = [each for each in bins if each.clips]
    lefts = [each.above for each in filled]
    widths = [each.up_to - each.above for each in filled]
    accuracies = [each.accuracy for each in filled]
    above.bar(lefts, accuracies, widths, align="edge", color="C0", alpha=0.55, label="share right")
    above.plot([0, 1], [0, 1], linestyle="--", linewidth=1, color="0.55", label="as promised")
    confidences = [each.confidence for each in filled]
    above.plot(confidences, accuracies, "o", markersize=4, color="C1", label="mean probability")
    above.set_xlim(0, 1)
    above.set_ylim(0, 1.02)
    above.set_ylabel("share of right answers")
    above.legend(frameon=False, loc="upper left", fontsize=8)
    below.bar(lefts, [each.clips for each in filled], widths, align="edge", color="C0", alpha=0.9)
    below.set_xlabel("top probability")
    below.set_ylabel("clips")
    for axes in (above, below):
        axes.spines[["top", "right"]].set_visible(False)


def durations_figure(seconds: Sequence[float]) -> Figure:
    """Draw how long clips last, as a histogram."""
    figure = Figure(figsize=(2.7, 1.7))
    axes = figure.subplots()
    figure.subplots_adjust(left=0.29, right=0.96, bottom=0.27, top=0.96)
    axes.hist(seconds, bins=30, color="C0")
    axes.set_xlabel("seconds")
    axes.set_ylabel("clips")
    axes.spines[["top", "right"]].set_visible(False)
    return figure


def _plain(label: str) -> str:
    return label.replace("_", " ")
