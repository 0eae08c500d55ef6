"""Rows: what a table says of a file, a window or an event, the same in every format."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from app.bulk.asked import Asked
from app.errors import HarkError, UnavailableError
from app.inference.classification import Classification, Window
from app.inference.events import find_events
from app.inference.labels import most_probable

# Values by the names of the columns; `probabilities` maps labels to probabilities.
Row = dict[str, Any]

UNREADABLE_FILE: Final = "unreadable_file"
INTERNAL_ERROR: Final = "internal_error"


@dataclass(frozen=True)
class Failure:
    """Why a file has no answer: a code for programs, and a sentence for people."""

    code: str
    sentence: str

    @classmethod
    def of(cls, error: HarkError | OSError) -> "Failure":
        """Tell of an error."""
        if isinstance(error, HarkError):
            return cls(error.code, str(error))
        return cls(UNREADABLE_FILE, f"{error.strerror or type(error).__name__}.")


Outcome = Classification | Failure


def is_tried_again(code: str) -> bool:
    """Whether a file that failed so may not fail the next time.

    What its bytes are does not change; what the machine could not do at the time may.
    """
    return code in {UNREADABLE_FILE, INTERNAL_ERROR, *_codes_of(UnavailableError)}


def rows_of(asked: Asked, name: str, outcome: Outcome) -> list[Row]:
    """Return the rows of a file, one at least, each with all columns.

    A file without an event has one row without a label.
    """
    answers: list[Row]
    if isinstance(outcome, Failure):
        answers = [{"code": outcome.code, "error": outcome.sentence}]
    else:
        of_file = {
            "truncated": outcome.truncated,
            "duration_seconds": outcome.duration_seconds,
        }
        answers = [of_file | row for row in _answers(asked, outcome)] or [of_file]
    shared = {
        "path": name,
        "model": asked.model.name,
        "version": asked.model.version,
        "options": asked.options,
        "rows_of_file": len(answers),
    }
    return [{column: (shared | row).get(column) for column in asked.columns} for row in answers]


def _answers(asked: Asked, answer: Classification) -> Iterator[Row]:
    answer = answer.only(asked.labels)
    if asked.kind == "files":
        yield {
            "label": answer.label,
            "probability": answer.probabilities[answer.label],
            "uncertain": answer.uncertain,
            "silence": answer.silence,
            "probabilities": answer.probabilities,
        }
    elif asked.kind == "windows":
        yield from (_of_window(asked, window) for window in answer.windows)
    else:
        for event in find_events(answer, asked.threshold):
            yield {
                "start_seconds": event.start_seconds,
                "end_seconds": event.end_seconds,
                "label": event.label,
                "probability": event.probability,
            }


def _of_window(asked: Asked, window: Window) -> Row:
    label, probability = most_probable(asked.labels, window.probabilities)
    return {
        "start_seconds": window.start_seconds,
        "end_seconds": window.end_seconds,
        "label": label,
        "probability": probability,
        "silence": window.silence,
        "probabilities": dict(zip(asked.labels, window.probabilities, strict=True)),
    }


def _codes_of(error: type[HarkError]) -> Iterator[str]:
    for concrete in error.__subclasses__():
        yield concrete.code
