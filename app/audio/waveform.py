"""Samples to the canonical waveform, and the waveform to fixed windows."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np
import soxr
from numpy.typing import NDArray

from app.audio.decode import AudioReader
from app.audio.spec import FrontEndSpec, Padding
from app.errors import EmptyAudioError, InvalidSamplesError

# Full scale is 1. Float files of integer scale (32 768) and hot mixes pass; far beyond them, a
# power spectrum in float32 would overflow.
MAX_PEAK: Final = 1e6


@dataclass(frozen=True, slots=True)
class Windows:
    """A clip as fixed windows.

    Attributes:
        samples: float32 `[n_windows, window_samples]`.
        audio_seconds: float64 `[n_windows]`: how much of each window is the clip's own audio.
        duration_seconds: length of the whole clip.
        truncated: whether its file ended early.
    """

    samples: NDArray[np.float32]
    audio_seconds: NDArray[np.float64]
    duration_seconds: float
    truncated: bool = False


def downmix(block: NDArray[np.float32]) -> NDArray[np.float32]:
    """Average the channels: `[n, channels]` to `[n]`, float32.

    A matrix product: `mean(axis=1)` walks the short axis and takes twenty times as long.
    """
    channels = block.shape[1]
    if channels == 1:
        return block[:, 0]
    return block @ np.full(channels, 1 / channels, dtype=np.float32)


def canonical_waveform(reader: AudioReader, spec: FrontEndSpec) -> NDArray[np.float32]:
    """Decode, downmix and resample a clip to `spec.sample_rate_hz`.

    Works block by block, so that the whole clip is only ever held at the canonical rate: memory
    is bounded by the longest duration, whatever the file's own rate and channels.

    Returns:
        float32 `[n_samples]`.

    Raises:
        InvalidSamplesError: a sample is NaN, infinite, or beyond `MAX_PEAK`.
        EmptyAudioError: nothing is left at the canonical rate.
        AudioError: as `AudioReader.blocks`.
    """
    blocks = _mono_blocks(reader)
    if reader.sample_rate_hz == spec.sample_rate_hz:
        pieces = [block.copy() for block in blocks]
    else:
        stream = soxr.ResampleStream(
            reader.sample_rate_hz, spec.sample_rate_hz, 1, dtype="float32", quality="HQ"
        )
        pieces = [stream.resample_chunk(block) for block in blocks]
        pieces.append(stream.resample_chunk(np.empty(0, dtype=np.float32), last=True))
    waveform = np.concatenate(pieces)
    if len(waveform) == 0:
        raise EmptyAudioError("The audio is too short to hold a sample once it is resampled.")
    return waveform


def cut_windows(
    waveform: NDArray[np.float32], spec: FrontEndSpec, *, truncated: bool = False
) -> Windows:
    """Cut a canonical waveform `[n_samples > 0]` into consecutive windows.

    The last window is filled up by `spec.padding`, unless what remains for it is shorter than
    `spec.shortest_tail_seconds` and follows a whole window: then it is left out.
    """
    size = spec.window_samples
    n_whole, n_tail = divmod(len(waveform), size)
    windows = waveform[: n_whole * size].reshape(n_whole, size)
    audio_samples = [size] * n_whole
    if n_whole == 0 or n_tail >= max(1, spec.shortest_tail_seconds * spec.sample_rate_hz):
        tail = _pad(waveform[n_whole * size :], size, spec.padding)
        windows = np.concatenate([windows, tail[np.newaxis]])
        audio_samples.append(n_tail)
    return Windows(
        samples=windows,
        audio_seconds=np.array(audio_samples) / spec.sample_rate_hz,
        duration_seconds=len(waveform) / spec.sample_rate_hz,
        truncated=truncated,
    )


def _mono_blocks(reader: AudioReader) -> Iterator[NDArray[np.float32]]:
    for block in reader.blocks():
        # Before the downmix, in which two channels may cancel each other. min and max propagate
        # NaN, and a comparison with NaN is false.
        if not (
            reader.holds_integers or (np.min(block) >= -MAX_PEAK and np.max(block) <= MAX_PEAK)
        ):
            raise InvalidSamplesError(
                "The audio holds samples that are not numbers, infinite, or a million times full "
                "scale. Export it again, as 16-bit PCM for example."
            )
        yield downmix(block)


def _pad(audio: NDArray[np.float32], size: int, padding: Padding) -> NDArray[np.float32]:
    if padding == "repeat":
        return np.resize(audio, size)
    return np.pad(audio, (0, size - len(audio)))
