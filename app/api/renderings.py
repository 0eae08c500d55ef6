"""The forms in which an answer can be had: JSON, a table as CSV, and Audacity's label track."""

import csv
import io
from collections.abc import Iterable
from typing import Any, Final

from fastapi import Request, Response

from app.api.options import AnswerFormat, ClassifyOptions, QueryOptions
from app.api.schemas import ClassificationAnswer
from app.inference.classification import Classification

_CSV_TYPE: Final = "text/csv"
_JSON_TYPE: Final = "application/json"
_PLAIN_TYPE: Final = "text/plain"
RENDERINGS: Final[dict[str, Any]] = {
    _CSV_TYPE: {
        "schema": {"type": "string"},
        "example": "start_seconds,end_seconds,label,probability\r\n0.0,4.0,siren,0.97\r\n",
    },
    _PLAIN_TYPE: {"schema": {"type": "string"}, "example": "0.000000\t4.000000\tsiren\n"},
}


def render(
    request: Request, query: QueryOptions, answer: Classification, options: ClassifyOptions
) -> Response:
    """Return an answer in the form that is asked for by the query, or by the Accept header.

    Raises:
        InvalidParameterError: a label that is asked for is none of the model's.
    """
    content = ClassificationAnswer.of(answer, options)
    match query.format or _accepted(request.headers.get("accept", "")):
        case "csv":
            return Response(to_csv(content), media_type=_CSV_TYPE)
        case "audacity":
            return Response(to_label_track(content), media_type=_PLAIN_TYPE)
    # Not left to FastAPI, which would check once more what was made here.
    return Response(content.to_json(), media_type=_JSON_TYPE)


def to_csv(answer: ClassificationAnswer) -> str:
    """Return a table (RFC 4180): a row for each event, or for each window where there are such."""
    if answer.windows is None:
        header = ["start_seconds", "end_seconds", "label", "probability"]
        events = answer.events
        rows: Iterable[list[object]] = (
            [event.start_seconds, event.end_seconds, event.label, event.probability]
            for event in events
        )
    else:
        header = ["start_seconds", "end_seconds", "label", "silence", *answer.probabilities]
        rows = (
            [
                *(window.start_seconds, window.end_seconds, window.label),
                str(window.silence).lower(),
                *window.probabilities.values(),
            ]
            for window in answer.windows
        )
    table = io.StringIO()
    csv.writer(table).writerows([header, *rows])
    return table.getvalue()


def to_label_track(answer: ClassificationAnswer) -> str:
    """Return the events as Audacity imports labels: start, end and text, between tabs.

    Source: https://manual.audacityteam.org/man/importing_and_exporting_labels.html
    """
    return "".join(
        f"{event.start_seconds:.6f}\t{event.end_seconds:.6f}\t{event.label}\n"
        for event in answer.events
    )


def _accepted(accept: str) -> AnswerFormat:
    """Return which of JSON and CSV an Accept header wants more (RFC 9110, section 12.5.1).

    JSON where it wants neither; of two that it wants alike, the one that it names first.
    """
    weights: dict[str, float] = {}
    for each in accept.split(","):
        kind, *parameters = (part.strip().lower() for part in each.split(";"))
        weights.setdefault(kind, _weight(parameters))
    kinds = list(weights)

    def wanted(kind: str) -> tuple[float, int]:
        # The most specific range that takes a type in says how much it is wanted.
        ranges = (kind, f"{kind.partition('/')[0]}/*", "*/*")
        found = next((each for each in ranges if each in weights), None)
        return (0.0, 0) if found is None else (weights[found], -kinds.index(found))

    csv_is_wanted = wanted(_CSV_TYPE) > max(wanted(_JSON_TYPE), (0.0, 0))
    return "csv" if csv_is_wanted else "json"


def _weight(parameters: Iterable[str]) -> float:
    for parameter in parameters:
        name, _, value = parameter.partition("=")
        if name.strip() == "q":
            try:
                return float(value)
            except ValueError:
                return 0.0
    return 1.0
