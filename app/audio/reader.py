"""What a decoder gives, whichever library it is in, and the limits that all of them keep."""

from collections.abc import Iterator
from types import TracebackType
from typing import Final, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from app.audio.limits import DecodeLimits
from app.audio.source import Source
from app.errors import (
    AudioTooLongError,
    SampleRateError,
    TooManyChannelsError,
    TooManySamplesError,
)

# 32 Ki frames of stereo float32 are 256 kB: large enough that calls cost nothing, small enough that
# a block stays in the processor's cache between decoding, downmix and resampling.
BLOCK_FRAMES: Final = 1 << 15


class AudioReader(Protocol):
    """One clip's samples, decoded block by block as they are asked for.

    Attributes:
        format: what the decoder calls the container.
        sample_rate_hz: the clip's own rate.
        channels: the clip's own channel count.
        holds_integers: whether the file's samples are integers, and so finite and at most 1.
        truncated: whether the file ended early; known once `blocks` is through.
    """

    format: str
    sample_rate_hz: int
    channels: int
    holds_integers: bool
    truncated: bool

    @property
    def source(self) -> Source:
        """What the clip was before it was decoded."""
        return Source(self.format, self.sample_rate_hz, self.channels)

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        """Yield float32 blocks `[n <= BLOCK_FRAMES, channels]`, nominally in [-1, 1], in order.

        A block is overwritten by the next one. A file that ends early yields what there is.

        Raises:
            AudioTooLongError: more than `max_seconds` were decoded.
            TooManySamplesError: more than `max_samples` were, over all channels.
            EmptyAudioError: the clip declares no sample.
            TruncatedAudioError: the clip declares samples and holds none.
        """
        ...

    def close(self) -> None:
        """Release the decoder."""
        ...

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        error_type: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()


def check_format(sample_rate_hz: int, channels: int, limits: DecodeLimits) -> None:
    """Refuse a clip whose rate or channels are outside the limits.

    Raises:
        SampleRateError: the sample rate is.
        TooManyChannelsError: there are more channels than the limit.
    """
    if not limits.min_sample_rate_hz <= sample_rate_hz <= limits.max_sample_rate_hz:
        raise SampleRateError(
            f"The audio's sample rate is {sample_rate_hz} Hz; from "
            f"{limits.min_sample_rate_hz} to {limits.max_sample_rate_hz} Hz are accepted. "
            "Resample it, or repair its header."
        )
    if channels > limits.max_channels:
        raise TooManyChannelsError(
            f"The audio has {channels} channels; at most {limits.max_channels} are "
            "accepted. Send a mix with fewer."
        )


def check_length(n_frames: int, sample_rate_hz: int, channels: int, limits: DecodeLimits) -> None:
    """Refuse a clip of which more than the limits has been decoded.

    Raises:
        AudioTooLongError: it lasts longer than `max_seconds`.
        TooManySamplesError: it holds more than `max_samples`, over all channels.
    """
    if n_frames > round(limits.max_seconds * sample_rate_hz):
        raise AudioTooLongError(
            f"The audio lasts longer than {limits.max_seconds:g} seconds. Send a shorter piece."
        )
    if n_frames * channels > limits.max_samples:
        raise TooManySamplesError(
            f"The audio holds more than {limits.max_samples / 1e6:g} million samples, over all "
            "channels. Send a shorter piece, fewer channels, or a lower sample rate."
        )
