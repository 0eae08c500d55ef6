"""Trials of a sweep: what was tried, and what it came to."""

import csv
import io
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal

from optuna.trial import FrozenTrial, TrialState

# What Optuna keeps of a trial beside values and accuracies.
REASON: Final = "reason"
EPOCHS: Final = "epochs"

State = Literal["complete", "pruned", "refused"]


@dataclass(frozen=True, slots=True)
class Trial:
    """Values that were tried, and what they came to.

    Attributes:
        number: from 1, in the order in which they were proposed.
        values: each field's, as written in a recipe.
        state: whether all rounds were fitted, or it was hopeless, or the recipe refused it.
        accuracy: on the validation parts of the rounds that were fitted, their mean.
        epochs: the best number of them in each round.
        reason: why it was refused.
    """

    number: int
    values: dict[str, str]
    state: State
    accuracy: float | None
    epochs: tuple[int, ...]
    reason: str


def text_of(value: Any) -> str:
    """Return a value as it is written in a recipe: what Optuna chose among are such texts."""
    return value if isinstance(value, str) else repr(value)


def as_trial(number: int, found: FrozenTrial) -> Trial:
    """Return a trial that Optuna has finished."""
    states: dict[TrialState, State] = {
        TrialState.COMPLETE: "complete",
        TrialState.PRUNED: "pruned",
        TrialState.FAIL: "refused",
    }
    values = found.intermediate_values
    return Trial(
        number=number,
        values={field: text_of(value) for field, value in found.params.items()},
        state=states[found.state],
        accuracy=values[max(values)] if values else None,
        epochs=tuple(found.user_attrs.get(EPOCHS, ())),
        reason=found.user_attrs.get(REASON, ""),
    )


def trials_csv(trials: Sequence[Trial], fields: Sequence[str]) -> str:
    """Return trials as a table: a line each, a column for each field."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["trial", "state", "accuracy", "epochs", *fields, "reason"])
    for trial in trials:
        accuracy = "" if trial.accuracy is None else repr(trial.accuracy)
        values = [trial.values.get(field, "") for field in fields]
        epochs = " ".join(map(str, trial.epochs))
        writer.writerow([trial.number, trial.state, accuracy, epochs, *values, trial.reason])
    return text.getvalue()
