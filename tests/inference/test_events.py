"""Events: windows of one label become one sound with a beginning and an end."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.errors import InvalidParameterError
from app.inference.classification import Classification, StageSeconds, Window
from app.inference.events import Event, find_events
from app.inference.store import ModelReference

LABELS = ("clicks", "noise", "tone")


def answer(*windows: Window, uncertain_below: float = 0.0) -> Classification:
    seconds = [window.end_seconds - window.start_seconds for window in windows]
    averaged = np.average([w.probabilities for w in windows], axis=0, weights=seconds)
    return Classification(
        model=ModelReference("m", 1),
        duration_seconds=windows[-1].end_seconds,
        truncated=False,
        probabilities=dict(zip(LABELS, averaged.tolist(), strict=True)),
        windows=windows,
        silence=all(window.silence for window in windows),
        uncertain_below=uncertain_below,
        stage_seconds=StageSeconds(0, 0, 0, 0),
    )


def window(start: float, end: float, *probabilities: float, silence: bool = False) -> Window:
    return Window(start, end, probabilities, silence)


def near(probability: float) -> Any:
    return pytest.approx(probability)


def test_neighbours_of_one_label_are_one_event() -> None:
    events = find_events(
        answer(
            window(0, 4, 0.1, 0.2, 0.7),
            window(4, 8, 0.2, 0.2, 0.6),
            window(8, 12, 0.9, 0.1, 0.0),
            window(12, 14, 0.0, 0.0, 1.0),
        )
    )
    assert events == [
        Event("tone", 0, 8, near(0.65)),
        Event("clicks", 8, 12, 0.9),
        Event("tone", 12, 14, 1.0),
    ]


def test_a_short_window_weighs_less() -> None:
    events = find_events(answer(window(0, 4, 0, 0, 0.9), window(4, 5, 0, 0, 0.5)))
    assert events == [Event("tone", 0, 5, near((4 * 0.9 + 0.5) / 5))]


def test_silence_is_no_event_and_parts_two() -> None:
    tone = (0.0, 0.0, 1.0)
    events = find_events(
        answer(window(0, 4, *tone), window(4, 8, *tone, silence=True), window(8, 12, *tone))
    )
    assert [(event.start_seconds, event.end_seconds) for event in events] == [(0, 4), (8, 12)]


def test_a_low_threshold_lets_labels_overlap() -> None:
    events = find_events(
        answer(window(0, 4, 0.4, 0.0, 0.6), window(2, 6, 0.5, 0.1, 0.4)), threshold=0.4
    )
    assert events == [
        Event("clicks", 0, 6, near(0.45)),
        Event("tone", 0, 6, near(0.5)),
    ]


def test_nothing_above_the_threshold_is_no_event() -> None:
    assert find_events(answer(window(0, 4, 0.3, 0.3, 0.4))) == []


@settings(deadline=None)
@given(
    heard=st.lists(st.tuples(*[st.floats(0, 1)] * 3, st.booleans()), min_size=1, max_size=30),
    threshold=st.floats(0, 1),
)
def test_each_loud_window_lies_in_one_event_of_each_of_its_labels(
    heard: list[tuple[float, float, float, bool]], threshold: float
) -> None:
    windows = [window(n, n + 1, *p, silence=silent) for n, (*p, silent) in enumerate(heard)]
    events = find_events(answer(*windows), threshold)
    covered = [
        (label, second)
        for event in events
        for label in [event.label]
        for second in range(round(event.start_seconds), round(event.end_seconds))
    ]
    expected = {
        (label, round(each.start_seconds))
        for each in windows
        for label, p in zip(LABELS, each.probabilities, strict=True)
        if p >= threshold and not each.silence
    }
    assert len(covered) == len(set(covered))
    assert set(covered) == expected


def test_an_answer_can_be_restricted_to_labels() -> None:
    whole = answer(window(0, 4, 0.1, 0.3, 0.6), uncertain_below=0.5)
    part = whole.only(["noise", "clicks"])
    assert part.probabilities == {"clicks": 0.1, "noise": 0.3}
    assert part.windows[0].probabilities == (0.1, 0.3)
    assert (whole.label, whole.uncertain) == ("tone", False)
    assert (part.label, part.uncertain) == ("noise", True)
    assert whole.only(LABELS) == whole


@pytest.mark.parametrize("labels", [["tuba"], ["tone", "tuba"], []])
def test_labels_that_the_model_does_not_know_are_refused(labels: list[str]) -> None:
    with pytest.raises(InvalidParameterError, match=r"^labels: .* There is: clicks, noise, tone"):
        answer(window(0, 4, 0.1, 0.3, 0.6)).only(labels)
