"""Samples to the canonical waveform, and the waveform to fixed windows."""

from collections.abc import Iterator
from dataclasses import dataclass
from time import perf_counter
from typing import Final

import numpy as np
import soxr
from numpy.typing import NDArray

from app.audio.cutting import WHOLE, Cutting
from app.audio.overlap import overlapping
from app.audio.reader import AudioReader
from app.audio.source import Source
from app.audio.spec import FrontEndSpec, Padding
from app.errors import EmptyAudioError, InvalidParameterError, InvalidSamplesError

# Full scale is 1. Float files of integer scale (32 768) and hot mixes pass; far beyond them, a
# power spectrum in float32 would overflow.
MAX_PEAK: Final = 1e6
# 66 dB below full scale: sixteen steps of a 16-bit file. The quietest of UrbanSound8K's labelled
# clips (folds 1 to 3) reaches -61 dB, so that nothing that people could name is silence.
SILENT_PEAK: Final = 5e-4


@dataclass(frozen=True, slots=True)
class Windows:
    """A clip as fixed windows.

    Attributes:
        samples: float32 `[n_windows, window_samples]`, a view where windows overlap: not to be
            written to.
        start_seconds: float64 `[n_windows]`: where in the clip each window begins.
        audio_seconds: float64 `[n_windows]`: how much of each window is the clip's own audio.
        duration_seconds: length of what was cut.
        truncated: whether its file ended early.
        source: what its file was; None where there was none.
        resample_seconds: how long the resampler took.
    """

    samples: NDArray[np.float32]
    start_seconds: NDArray[np.float64]
    audio_seconds: NDArray[np.float64]
    duration_seconds: float
    truncated: bool = False
    source: Source | None = None
    resample_seconds: float = 0.0


def downmix(block: NDArray[np.float32]) -> NDArray[np.float32]:
    """Average the channels: `[n, channels]` to `[n]`, float32.

    A matrix product: `mean(axis=1)` walks the short axis and takes twenty times as long.
    """
    channels = block.shape[1]
    if channels == 1:
        return block[:, 0]
    return block @ np.full(channels, 1 / channels, dtype=np.float32)


@dataclass(slots=True)
class Stopwatch:
    """Seconds that a part of the work took, of which there are pieces here and there."""

    seconds: float = 0.0


def canonical_waveform(
    reader: AudioReader,
    spec: FrontEndSpec,
    cutting: Cutting = WHOLE,
    resampling: Stopwatch | None = None,
) -> NDArray[np.float32]:
    """Decode, downmix and resample a clip, or the part of it that is asked for.

    Works block by block, so that the whole clip is only ever held at the canonical rate: memory
    is bounded by the longest duration, whatever the file's own rate and channels. What lies behind
    the part is not decoded.

    Args:
        reader: the clip.
        spec: says the canonical rate.
        cutting: the part.
        resampling: what the resampler takes is added here.

    Returns:
        float32 `[n_samples]`, at `spec.sample_rate_hz`.

    Raises:
        InvalidParameterError: the clip ends before the part begins.
        InvalidSamplesError: a sample is NaN, infinite, or beyond `MAX_PEAK`.
        EmptyAudioError: nothing is left at the canonical rate.
        AudioError: as `AudioReader.blocks`.
    """
    blocks = _part(_mono_blocks(reader), reader.sample_rate_hz, cutting)
    if reader.sample_rate_hz == spec.sample_rate_hz:
        pieces = [block.copy() for block in blocks]
    else:
        pieces = _resampled(
            blocks, reader.sample_rate_hz, spec.sample_rate_hz, resampling or Stopwatch()
        )
    waveform = np.concatenate(pieces)
    if len(waveform) == 0:
        raise EmptyAudioError("The audio is too short to hold a sample once it is resampled.")
    return waveform


def cut_windows(
    waveform: NDArray[np.float32],
    spec: FrontEndSpec,
    cutting: Cutting = WHOLE,
    *,
    truncated: bool = False,
) -> Windows:
    """Cut a canonical waveform `[n_samples > 0]`, which begins where `cutting` says, into windows.

    The last window is filled up by `spec.padding`, unless what no window before it has is shorter
    than `spec.shortest_tail_seconds`: then it is left out.

    Raises:
        InvalidParameterError: the hop is longer than a window, or makes too many of them.
    """
    size, rate = spec.window_samples, spec.sample_rate_hz
    duration_seconds = len(waveform) / rate
    hop = cutting.hop_samples(size, rate)
    n_windows = max(0, (len(waveform) - size) // hop + 1)
    audio_samples = [size] * n_windows
    n_left = len(waveform) - ((n_windows - 1) * hop + size if n_windows else 0)
    if n_windows == 0 or n_left >= max(1, spec.shortest_tail_seconds * rate):
        tail = waveform[n_windows * hop :]
        audio_samples.append(len(tail))
        waveform = np.concatenate([waveform[: n_windows * hop], _pad(tail, size, spec.padding)])
        n_windows += 1
    cutting.check_number(n_windows)
    return Windows(
        samples=overlapping(np.ascontiguousarray(waveform), n_windows, size, hop),
        start_seconds=cutting.start_seconds + np.arange(n_windows, dtype=np.float64) * hop / rate,
        audio_seconds=np.array(audio_samples) / rate,
        duration_seconds=duration_seconds,
        truncated=truncated,
    )


def are_silent(windows: NDArray[np.float32]) -> NDArray[np.bool_]:
    """Whether windows `[n_windows, window_samples]` hold nothing that could be heard: bool `[n]`.

    Half of what lies between the highest and the lowest sample counts, so that a recorder's
    constant offset is no sound.
    """
    silent: NDArray[np.bool_] = np.ptp(windows, axis=1) <= 2 * SILENT_PEAK
    return silent


def counted_seconds(
    audio_seconds: NDArray[np.float64], silent: NDArray[np.bool_]
) -> NDArray[np.float64]:
    """How much each window counts in what is said, or learned, of its clip, `[n_windows]`.

    By the seconds of audio in it; silent ones only where all are.
    """
    return audio_seconds if silent.all() else audio_seconds * ~silent


def _resampled(
    blocks: Iterator[NDArray[np.float32]], from_hz: int, to_hz: int, stopwatch: Stopwatch
) -> list[NDArray[np.float32]]:
    """Resample blocks `[n]`; the clock is read twice a block, which is 1 µs in four seconds."""
    stream = soxr.ResampleStream(from_hz, to_hz, 1, dtype="float32", quality="HQ")
    pieces = []
    for block in blocks:
        began = perf_counter()
        pieces.append(stream.resample_chunk(block))
        stopwatch.seconds += perf_counter() - began
    began = perf_counter()
    pieces.append(stream.resample_chunk(np.empty(0, dtype=np.float32), last=True))
    stopwatch.seconds += perf_counter() - began
    return pieces


def _part(
    blocks: Iterator[NDArray[np.float32]], sample_rate_hz: int, cutting: Cutting
) -> Iterator[NDArray[np.float32]]:
    """Yield what lies between the start and the end that are asked for, of blocks `[n]`."""
    if cutting.start_seconds == 0 and cutting.end_seconds is None:
        yield from blocks
        return
    first = round(cutting.start_seconds * sample_rate_hz)
    last = None if cutting.end_seconds is None else round(cutting.end_seconds * sample_rate_hz)
    position = 0
    for block in blocks:
        wanted = block[max(0, first - position) : None if last is None else last - position]
        position += len(block)
        if len(wanted):
            yield wanted
        if last is not None and position >= last:
            return
    if position <= first:
        raise InvalidParameterError(
            f"start_seconds: the audio ends at {position / sample_rate_hz:g} seconds. Begin before "
            "that."
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
