"""Time left: how long all fits of a run will still take, said beside each one's own progress."""

import time
from collections import deque
from collections.abc import Callable
from typing import Final

from app.progress import Advance, Begin

_RECENT: Final = 10  # epochs whose mean duration is that of those to come


def with_time_left(
    begin: Begin, fits: int, epochs: int, clock: Callable[[], float] = time.monotonic
) -> Begin:
    """Add the time left over several fits, one after the other, to what is told of each epoch.

    It is the most that it can be: a fit that stops early takes off what it leaves out.

    Args:
        begin: is told of each fit, and of its epochs.
        fits: how many there will be.
        epochs: of how many epochs each fit is at most, where it has not begun.
        clock: the time in seconds.
    """
    durations: deque[float] = deque(maxlen=_RECENT)
    begun = 0

    def begin_fit(what: str, units: int) -> Advance:
        nonlocal begun
        begun += 1
        to_come = (fits - begun) * epochs
        advance_fit = begin(what, units)
        done, last = 0, clock()

        def advance(note: str) -> None:
            nonlocal done, last
            now = clock()
            durations.append(now - last)
            done, last = done + 1, now
            seconds = (units - done + to_come) * sum(durations) / len(durations)
            advance_fit(f"{note}; all fits: {in_words(seconds)} left".removeprefix("; "))

        return advance

    return begin_fit


def in_words(seconds: float) -> str:
    """Return a duration as a person would say it."""
    minutes = round(seconds / 60)
    if minutes < 1:
        return "under a minute"
    if minutes < 60:
        return f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60:02} min"
