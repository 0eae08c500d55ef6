"""The benchmark's clip: four seconds of 44.1 kHz stereo, as WAV and as MP3."""

import io
from pathlib import Path
from typing import Final

import numpy as np
import soundfile
from numpy.typing import NDArray

SAMPLE: Final = Path(__file__).parents[1] / "samples" / "siren.wav"

_BOUNDARY: Final = "------------------------d74496d66958873e"  # of the length that curl's has


def clip(container: str, seconds: float = 4.0) -> bytes:
    """Return the clip as a file's bytes, repeated where it is to be longer.

    Args:
        container: `wav` (16 bits; 706 kB) or `mp3` (variable rate; 37 kB).
        seconds: its length.
    """
    samples, rate = soundfile.read(SAMPLE, dtype="float32")
    n_repeats = -(-round(seconds * rate) // len(samples))
    samples = np.tile(samples, (n_repeats, 1))[: round(seconds * rate)]
    return _wav(samples, rate) if container == "wav" else _mp3(samples, rate)


def multipart(data: bytes) -> tuple[str, bytes]:
    """Return the Content-Type and the body of a request that uploads a file, as curl makes it."""
    head = (
        f"--{_BOUNDARY}\r\n"
        'Content-Disposition: form-data; name="file"; filename="clip"\r\n'
        "Content-Type: application/octet-stream\r\n\r\n"
    )
    body = head.encode() + data + f"\r\n--{_BOUNDARY}--\r\n".encode()
    return f"multipart/form-data; boundary={_BOUNDARY}", body


def _wav(samples: NDArray[np.float32], rate_hz: int) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(buffer, samples, rate_hz, format="WAV", subtype="PCM_16")
    return buffer.getvalue()


def _mp3(samples: NDArray[np.float32], rate_hz: int) -> bytes:
    buffer = io.BytesIO()
    soundfile.write(
        buffer, samples, rate_hz, format="MP3", bitrate_mode="VARIABLE", compression_level=0.95
    )
    return buffer.getvalue()
