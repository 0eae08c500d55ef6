"""What a clip may be. Light: the HTTP process hands this on, and imports no decoder."""

from dataclasses import dataclass


@dataclass(frozen=True)  # without slots: pickled with each request
class DecodeLimits:
    """What a clip may be. Judged on what is decoded, never on what a header promises."""

    max_seconds: float = 600.0
    min_sample_rate_hz: int = 4_000
    max_sample_rate_hz: int = 384_000
    max_channels: int = 16
    max_samples: int = 120_000_000  # over all channels: it bounds the time that decoding takes
