"""Bytes to samples: the decoder that takes a file, which its bytes alone decide."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from app.audio.containers import ContainerReader
from app.audio.limits import DecodeLimits
from app.audio.reader import AudioReader
from app.audio.signatures import container_of
from app.audio.sound_file import SoundFileReader


@dataclass(frozen=True, slots=True)
class Audio:
    """A decoded clip: `samples` `[frames, channels]` float32, `sample_rate_hz` in Hz."""

    samples: NDArray[np.float32]
    sample_rate_hz: int


def open_audio(data: bytes | memoryview, limits: DecodeLimits | None = None) -> AudioReader:
    """Open a file's bytes, which are not copied, with the decoder for them.

    Args:
        data: the file's bytes.
        limits: what the clip may be.

    Raises:
        AudioError: no decoder takes the bytes, or they are audio that is not accepted.
    """
    limits = limits or DecodeLimits()
    container = container_of(data)
    if container is None:
        return SoundFileReader(data, limits)
    return ContainerReader(data, container, limits)


def decode(data: bytes | memoryview, limits: DecodeLimits | None = None) -> Audio:
    """Decode a whole clip at once, as `open_audio` does block by block.

    Raises:
        AudioError: as `open_audio`, and `AudioReader.blocks`.
    """
    with open_audio(data, limits) as reader:
        samples = np.concatenate([block.copy() for block in reader.blocks()])
        return Audio(samples, reader.sample_rate_hz)
