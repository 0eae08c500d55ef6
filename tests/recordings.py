"""Recordings as phones and browsers make them, encoded here by FFmpeg through PyAV."""

import tempfile
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any, Final

import av
import numpy as np
from av.audio.plane import AudioPlane
from numpy.typing import NDArray

from tests.sounds import Samples

FPS: Final = 10
_LAYOUTS: Final = {1: "mono", 2: "stereo", 8: "7.1"}


def record(
    samples: Samples,
    sample_rate_hz: int,
    container: str,
    codec: str,
    *,
    sample_format: str = "fltp",
    bit_rate: int | None = None,
    options: dict[str, str] | None = None,
) -> bytes:
    """Return the bytes of a file that holds `samples` `[frames, channels]`.

    Args:
        samples: what to encode.
        sample_rate_hz: their rate.
        container: FFmpeg's name of the muxer: webm, matroska, mp4, ipod, mov, 3gp, adts, amr.
        codec: FFmpeg's name of the encoder.
        sample_format: what the encoder is handed, in FFmpeg's name; integers are scaled to it.
        bit_rate: what the encoder may use a second, where it is not to choose by itself.
        options: of the muxer.
    """
    layout = _LAYOUTS[samples.shape[1]]
    frame = _sound(samples, sample_rate_hz, sample_format)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "recording"  # MP4's «faststart» reads its file again, by name
        with av.open(str(path), "w", format=container, options=options or {}) as output:
            stream: Any = output.add_stream(codec, rate=sample_rate_hz, layout=layout)
            if sample_format in {known.name for known in stream.codec.audio_formats or ()}:
                stream.format = sample_format
            if bit_rate is not None:
                stream.bit_rate = bit_rate
            for part in (frame, None):
                output.mux(stream.encode(part))
        return path.read_bytes()


def film(samples: Samples | None, sample_rate_hz: int, container: str = "mp4") -> bytes:
    """Return a second of a picture that changes, with sound where `samples` are given."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "film"
        with av.open(str(path), "w", format=container) as output:
            codec = "libvpx" if container == "webm" else "mpeg4"
            pictures: Any = output.add_stream(codec, rate=FPS)
            pictures.width = pictures.height = 64
            pictures.pix_fmt = "yuv420p"
            sound: Any = None
            if samples is not None:
                codec = "libopus" if container == "webm" else "aac"
                sound = output.add_stream(codec, rate=sample_rate_hz, layout="mono")
            for picture in [*_pictures(), None]:
                output.mux(pictures.encode(picture))
            if samples is not None:
                for part in (_sound(samples, sample_rate_hz, "fltp"), None):
                    output.mux(sound.encode(part))
        return path.read_bytes()


def _sound(samples: Samples, sample_rate_hz: int, sample_format: str) -> av.AudioFrame:
    stored = _stored(samples, sample_format)
    n_frames, channels = samples.shape
    frame = av.AudioFrame(sample_format, _LAYOUTS[channels], n_frames)
    for index, plane in enumerate(stored):
        AudioPlane(frame, index).update(plane)
    frame.sample_rate = sample_rate_hz
    frame.pts = 0
    return frame


def _pictures() -> Sequence[av.VideoFrame]:
    pictures = []
    for index in range(FPS):
        grey = np.full((64, 64, 3), 20 * index, dtype=np.uint8)
        picture = av.VideoFrame.from_ndarray(grey, "rgb24")
        picture.pts = index
        picture.time_base = Fraction(1, FPS)
        pictures.append(picture)
    return pictures


def _stored(samples: Samples, sample_format: str) -> NDArray[Any]:
    """Return `[channels, frames]`, or `[1, frames * channels]` where a format is not planar."""
    stored: NDArray[Any]
    match sample_format.removesuffix("p"):
        case "u8":
            stored = np.round(samples * 128 + 128).astype(np.uint8)
        case "s16":
            stored = np.round(samples * 2**15).astype(np.int16)
        case "s32":
            stored = np.round(samples * 2.0**31).astype(np.int32)
        case "flt":
            stored = samples.astype(np.float32)
        case _:
            stored = samples
    if sample_format.endswith("p"):
        return np.ascontiguousarray(stored.T)
    return np.ascontiguousarray(stored).reshape(1, -1)
