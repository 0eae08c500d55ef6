"""Source: what a file was before it was decoded. Light, since it crosses between processes."""

from dataclasses import dataclass


@dataclass(frozen=True)  # without slots: pickled with each answer
class Source:
    """A file as its decoder found it.

    Attributes:
        format: what its decoder calls the container: `WAV`, `MP3`, `WebM`.
        sample_rate_hz: its own sample rate.
        channels: its own channel count.
    """

    format: str
    sample_rate_hz: int
    channels: int
