"""What makes raw samples a WAV file, so that they take the same road as every other clip."""

import struct
from typing import Final, Literal

SampleEncoding = Literal["pcm_s16le", "pcm_f32le"]

BYTES_PER_SAMPLE: Final[dict[SampleEncoding, int]] = {"pcm_s16le": 2, "pcm_f32le": 4}
_FORMAT_TAG: Final[dict[SampleEncoding, int]] = {"pcm_s16le": 1, "pcm_f32le": 3}
_LAYOUT: Final = struct.Struct("<4sI4s4sIHHIIHH4sI")
WAV_HEADER_BYTES: Final = _LAYOUT.size


def wav_header(n_bytes: int, sample_rate_hz: int, channels: int, encoding: SampleEncoding) -> bytes:
    """Return the 44 bytes that go before samples.

    Args:
        n_bytes: how many bytes of samples follow, channels interleaved.
        sample_rate_hz: their rate, in Hz.
        channels: how many there are.
        encoding: 16-bit integers or 32-bit floats, both little-endian.
    """
    width = BYTES_PER_SAMPLE[encoding]
    return _LAYOUT.pack(
        *(b"RIFF", _LAYOUT.size - 8 + n_bytes, b"WAVE", b"fmt ", 16),
        *(_FORMAT_TAG[encoding], channels, sample_rate_hz, sample_rate_hz * channels * width),
        *(channels * width, 8 * width, b"data", n_bytes),
    )
