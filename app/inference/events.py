"""Events: neighbouring windows of one label, put together."""

from dataclasses import dataclass
from typing import Final

from app.inference.classification import Classification, Window

# Where nobody says otherwise: of labels that sum to 1, one at the most is above it.
DEFAULT_THRESHOLD: Final = 0.5


@dataclass(frozen=True, slots=True)
class Event:
    """A sound with a beginning and an end.

    Attributes:
        label: what it is.
        start_seconds: where in the clip its first window begins.
        end_seconds: where its last window ends.
        probability: the average over its windows, each weighted by the seconds of audio in it.
    """

    label: str
    start_seconds: float
    end_seconds: float
    probability: float


def find_events(answer: Classification, threshold: float = DEFAULT_THRESHOLD) -> list[Event]:
    """Merge consecutive windows in which a label is at least as probable as `threshold`.

    Silent windows belong to no event. Several labels may have events at the same time, if the
    threshold lets them.

    Returns:
        The events, by their start, and by label where they start together.
    """
    labels = list(answer.probabilities)
    running: dict[int, list[Window]] = {}
    events: list[Event] = []
    for window in answer.windows:
        heard = (
            {place for place, p in enumerate(window.probabilities) if p >= threshold}
            if not window.silence
            else set[int]()
        )
        ended = running.keys() - heard
        events += [_merge(labels, place, running.pop(place)) for place in ended]
        for place in heard:
            running.setdefault(place, []).append(window)
    events += [_merge(labels, place, windows) for place, windows in running.items()]
    return sorted(events, key=lambda event: (event.start_seconds, event.label))


def _merge(labels: list[str], place: int, windows: list[Window]) -> Event:
    seconds = [window.end_seconds - window.start_seconds for window in windows]
    weighted = (s * window.probabilities[place] for s, window in zip(seconds, windows, strict=True))
    return Event(
        label=labels[place],
        start_seconds=windows[0].start_seconds,
        end_seconds=windows[-1].end_seconds,
        probability=sum(weighted) / sum(seconds),
    )
