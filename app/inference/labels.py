"""Labels as they are asked for, and the one that is told of: the same for every way in and out."""

from collections.abc import Iterable, Sequence

from app.errors import InvalidParameterError
from app.inference.store import ModelReference


def split_labels(listed: Iterable[str]) -> list[str]:
    """Return labels that are given one by one, separated by commas, or both."""
    parts = (part.strip() for each in listed for part in each.split(","))
    return [part for part in parts if part]


def check_labels(model: ModelReference, known: Sequence[str], labels: Iterable[str]) -> None:
    """Refuse a label that a model does not know.

    Raises:
        InvalidParameterError: there is one.
    """
    for label in labels:
        if label not in known:
            raise InvalidParameterError(
                f"labels: {model} has no label {label[:64]!r}. There is: {', '.join(known)}."
            )


def most_probable(labels: Sequence[str], probabilities: Sequence[float]) -> tuple[str, float]:
    """Return the label of the highest probability, the first of equals, and that probability."""
    place = max(range(len(labels)), key=probabilities.__getitem__)
    return labels[place], probabilities[place]
