"""Cutting: which part of a clip is looked at, and how its windows follow one another.

Light: the HTTP process hands this on, and imports no decoder.
"""

import math
from dataclasses import dataclass
from typing import Final

from app.errors import InvalidParameterError

# More would take longer than a request may: a window costs one to two milliseconds.
MAX_WINDOWS: Final = 5_000


@dataclass(frozen=True)  # without slots: pickled with each request
class Cutting:
    """How a clip is cut into windows, as far as who asks may choose.

    Attributes:
        start_seconds: where in the clip to begin.
        end_seconds: where to end; None stands for the clip's own end.
        hop_seconds: from the start of one window to that of the next; None stands for a whole
            window, so that windows neither overlap nor leave anything out.

    Raises:
        InvalidParameterError: a value is out of range, or the end comes before the start.
    """

    start_seconds: float = 0.0
    end_seconds: float | None = None
    hop_seconds: float | None = None

    def __post_init__(self) -> None:
        if not 0 <= self.start_seconds < math.inf:
            raise InvalidParameterError("start_seconds: it must be 0 or more.")
        if self.end_seconds is not None and not self.start_seconds < self.end_seconds < math.inf:
            raise InvalidParameterError(
                f"end_seconds: it must come after start_seconds, which is {self.start_seconds:g}."
            )
        if self.hop_seconds is not None and not 0 < self.hop_seconds < math.inf:
            raise InvalidParameterError("hop_seconds: it must be more than 0.")

    def hop_samples(self, window_samples: int, sample_rate_hz: int) -> int:
        """Return the samples from one window's start to the next's.

        Raises:
            InvalidParameterError: the hop is longer than a window, or shorter than a sample.
        """
        if self.hop_seconds is None:
            return window_samples
        hop = round(self.hop_seconds * sample_rate_hz)
        if not 1 <= hop <= window_samples:
            raise InvalidParameterError(
                "hop_seconds: it must not be longer than the model's window, which lasts "
                f"{window_samples / sample_rate_hz:g} seconds, nor shorter than a sample."
            )
        return hop

    def check_number(self, n_windows: int) -> None:
        """Refuse to cut a clip into more windows than can be computed.

        Raises:
            InvalidParameterError: the hop is too short for so long a clip.
        """
        if self.hop_seconds is not None and n_windows > MAX_WINDOWS:
            raise InvalidParameterError(
                f"hop_seconds: {self.hop_seconds:g} cuts this audio into {n_windows} windows; at "
                f"most {MAX_WINDOWS} are computed. Choose a longer hop, or a shorter part of the "
                "audio."
            )


WHOLE: Final = Cutting()
