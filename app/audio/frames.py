"""A frame as FFmpeg decodes it, of any of its sample formats, as float32."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

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
_LARGEST: Final = float(np.finfo(np.float32).max)
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
    samples = np.empty((n_frames, channels), dtype=np.float32)
    if frame.format.is_planar:
        for channel in range(channels):
            plane = memoryview(AudioPlane(frame, channel))
            samples[:, channel] = _as_float32_holds(np.frombuffer(plane, dtype, n_frames))
    else:
        plane = memoryview(AudioPlane(frame, 0))
        stored = np.frombuffer(plane, dtype, n_frames * channels)
        samples[:] = _as_float32_holds(stored).reshape(samples.shape)
    if full_scale != 1:
        samples -= np.float32(silence)
        samples *= np.float32(1 / full_scale)
    return samples


def _as_float32_holds(stored: NDArray[Any]) -> NDArray[Any]:
    """Return doubles that fit; the largest are no sound, which is found out later."""
    return np.clip(stored, -_LARGEST, _LARGEST) if stored.dtype == np.float64 else stored


def _sample_format(frame: AudioFrame) -> str:
    return frame.format.name.removesuffix("p")
