"""Answers, clip by clip: all of them as a table, and the mistakes that were made most surely."""

import csv
import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from training.cross_validation import Outcome
from training.datasets import Clip

PREDICTIONS_FILE: Final = "predictions.csv"


@dataclass(frozen=True, slots=True)
class Answer:
    """What was said of one clip by the model that had not heard it.

    `fold` is the test part that the clip was in; `probabilities` are by label, the highest first.
    """

    clip: Clip
    fold: str
    probabilities: dict[str, float]

    @property
    def label(self) -> str:
        """The most probable label."""
        return next(iter(self.probabilities))

    @property
    def confidence(self) -> float:
        """The probability of the most probable label."""
        return self.probabilities[self.label]

    @property
    def right(self) -> bool:
        """Whether it is the clip's own."""
        return self.label == self.clip.label


def answers_of(outcome: Outcome) -> Iterator[Answer]:
    """Yield the answers of all rounds, in order."""
    labels = outcome.figures.labels
    for turn, part in zip(outcome.figures.rounds, outcome.answers, strict=True):
        for clip, predicted, row in zip(
            part.clips, part.predicted, part.probabilities, strict=True
        ):
            # The answer comes first, also where two labels are equally probable.
            order = sorted(range(len(labels)), key=lambda index: (index != predicted, -row[index]))
            yield Answer(clip, turn.test, {labels[index]: float(row[index]) for index in order})


def worst_mistakes(outcome: Outcome, number: int) -> list[Answer]:
    """Return the wrong answers of the highest confidence, the surest first."""
    wrong = [answer for answer in answers_of(outcome) if not answer.right]
    return sorted(wrong, key=lambda answer: -answer.confidence)[:number]


def short_names(paths: Iterable[Path]) -> dict[Path, str]:
    """Return what to call files: their paths below the folder that holds them all."""
    files = list(paths)
    folder = os.path.commonpath([path.absolute().parent for path in files]) if files else "."
    return {path: path.absolute().relative_to(folder).as_posix() for path in files}


def write_predictions(path: Path, outcome: Outcome, names: dict[Path, str]) -> None:
    """Write a line of CSV for each answer.

    The columns: `file`, `label`, `fold`, `predicted`, and for each label `probability_` and its
    name, which are those that serving would give.
    """
    labels = outcome.figures.labels
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file)
        table.writerow(
            ["file", "label", "fold", "predicted", *(f"probability_{label}" for label in labels)]
        )
        for answer in answers_of(outcome):
            probabilities = [
                np.format_float_positional(answer.probabilities[label], precision=6, trim="-")
                for label in labels
            ]
            clip = answer.clip
            table.writerow(
                [names[clip.path], clip.label, answer.fold, answer.label, *probabilities]
            )
