"""The time left over all fits of a run."""

import pytest

from app.progress import Advance
from training.time_left import in_words, with_time_left


class Watched:
    """Keeps what is told, by a clock that moves when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0
        self.begun: list[tuple[str, int]] = []
        self.notes: list[str] = []

    def begin(self, what: str, units: int) -> Advance:
        self.begun.append((what, units))
        return self.notes.append

    def clock(self) -> float:
        return self.now


def test_the_time_left_is_that_of_all_fits() -> None:
    watched = Watched()
    begin = with_time_left(watched.begin, fits=3, epochs=10, clock=watched.clock)
    advance = begin("fold 1", 10)
    watched.now += 60
    advance("loss 1")
    watched.now += 180  # two minutes an epoch in the mean
    advance("")
    # The first fit stops early; between fits, nobody counts.
    watched.now += 1000
    advance = begin("fold 2", 5)
    watched.now += 120
    advance("loss 2")
    assert watched.begun == [("fold 1", 10), ("fold 2", 5)]
    assert watched.notes == [
        "loss 1; all fits: 29 min left",
        "all fits: 56 min left",
        "loss 2; all fits: 28 min left",
    ]


def test_the_last_epoch_leaves_nothing() -> None:
    watched = Watched()
    advance = with_time_left(watched.begin, fits=1, epochs=1, clock=watched.clock)("fold 1", 1)
    watched.now += 3600
    advance("loss 1")
    assert watched.notes == ["loss 1; all fits: under a minute left"]


def test_recent_epochs_count_alone() -> None:
    """Epochs that a resumed run is told again take no time."""
    watched = Watched()
    advance = with_time_left(watched.begin, fits=1, epochs=40, clock=watched.clock)("fold 1", 40)
    for _ in range(20):
        advance("")
    for _ in range(10):
        watched.now += 60
        advance("")
    assert watched.notes[-1] == "all fits: 10 min left"


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(20, "under a minute"), (90, "2 min"), (3599, "1 h 00 min"), (7380, "2 h 03 min")],
    ids=["seconds", "minutes", "rounded", "hours"],
)
def test_durations_are_said_as_a_person_would(seconds: float, words: str) -> None:
    assert in_words(seconds) == words
