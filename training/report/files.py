"""The files of a cross-validation's figures, and those that go with a version into the store."""

from pathlib import Path
from typing import Final

from app.inference.artifact import METRICS_FILE, TrainingRecord
from app.inference.store import ModelReference
from training.model_card import CONFUSION_FILE, LOSS_FILE, RELIABILITY_FILE, model_card
from training.png import save_png
from training.recipe import Recipe
from training.report.figures import (
    confusion_figure,
    curves_figure,
    labels_figure,
    reliability_figure,
)
from training.report.looks import colours
from training.results import CrossValidation

CARD_FILE: Final = "MODEL_CARD.md"
ACCURACY_FILE: Final = "accuracy.png"
LABELS_FILE: Final = "labels.png"


def write_version_reports(
    folder: Path,
    reference: ModelReference,
    recipe: Recipe,
    training: TrainingRecord,
    result: CrossValidation,
) -> None:
    """Write metrics, the card and its plots into a version's folder.

    The page of a run is not among them: it holds clips of the data set, which are other people's
    and must not travel with a model.
    """
    write_figures(folder, result)
    card = model_card(reference, recipe, training, result)
    (folder / CARD_FILE).write_text(card, encoding="utf-8")


def write_figures(folder: Path, result: CrossValidation) -> None:
    """Write metrics, and the plots that a model's card shows."""
    (folder / METRICS_FILE).write_text(result.model_dump_json(indent=1) + "\n", encoding="utf-8")
    with colours():
        save_png(curves_figure(result.rounds, "loss"), folder / LOSS_FILE)
        save_png(confusion_figure(result.together, result.labels), folder / CONFUSION_FILE)
        if result.reliability is not None:
            save_png(reliability_figure(result.reliability), folder / RELIABILITY_FILE)


def write_more_plots(folder: Path, result: CrossValidation) -> None:
    """Write the plots that a run's folder has, and a version's has not."""
    with colours():
        save_png(curves_figure(result.rounds, "accuracy"), folder / ACCURACY_FILE)
        save_png(labels_figure(result.together), folder / LABELS_FILE)
