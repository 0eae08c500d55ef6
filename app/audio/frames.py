"""A frame as FFmpeg decodes it, of any of its sample formats, as float32."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from av import AudioFrame

# FFmpeg's sample formats, planar («p») or not: NumPy's type, what silence is, and full scale.
_SAMPLE_FORMATS: Final[dict[str, tuple[type[np.generic], int, int]]] = {
    "u8": (np.uint8, 1 << 7, 1 << 7),
    "s16": (np.int16, 0, 1 << 15),
    "s32": (np.int32, 0, 1 << 31),
    "flt": (np.float32, 0, 1),
    "dbl": (np.float64, 0, 1),
}
_INTEGERS: Final = frozenset({"u8", "s16", "s32"})


def holds_integers(frame: AudioFrame) -> bool:
    """Whether a frame's samples are integers, and so finite and at most 1."""
    return _sample_format(frame) in _INTEGERS


def samples_of(frame: AudioFrame) -> NDArray[np.float32]:
    """Return a frame's samples as float32 `[n, channels]`, nominally in [-1, 1].

    Planes are read one by one: `AudioFrame.planes` looks for a null pointer after the last one,
    which need not be there where there are eight channels or more.
    """
    from av.audio.plane import AudioPlane

    dtype, silence, full_scale = _SAMPLE_FORMATS[_sample_format(frame)]
    n_frames, channels = frame.samples, frame.layout.nb_channels
    if frame.format.is_planar:
        planes = [memoryview(AudioPlane(frame, channel)) for channel in range(channels)]
        stored = np.stack([np.frombuffer(plane, dtype, n_frames) for plane in planes], axis=1)
    else:
        stored = np.frombuffer(memoryview(AudioPlane(frame, 0)), dtype, n_frames * channels)
        stored = stored.reshape(n_frames, channels)
    if silence:
        stored = stored.astype(np.int16) - silence
    with np.errstate(over="ignore"):  # a double may be too large, which is found out later
        samples = stored.astype(np.float32)
    return samples if full_scale == 1 else samples * np.float32(1 / full_scale)


def _sample_format(frame: AudioFrame) -> str:
    return frame.format.name.removesuffix("p")
