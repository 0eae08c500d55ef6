"""A clip to hear and to see: its beginning as a small MP3, and the spectrogram of that."""

import io
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import soundfile
from matplotlib.figure import Figure
from numpy.typing import NDArray

from app.audio.decode import open_audio
from app.audio.spec import FrontEndSpec
from app.audio.waveform import canonical_waveform
from training.features_cache import LIMITS
from training.report.looks import SPECTROGRAM_INK, SPECTROGRAM_PAPER

LONGEST_SECONDS: Final = 10.0
# MPEG-2's rates, which every browser plays; the higher ones of MPEG-1 take twice the bytes.
_MP3_RATES_HZ: Final = (22_050, 24_000)
_FLOOR_DECIBELS: Final = -80.0
_N_COLUMNS: Final = 600  # more frames than that, the picture would not show


@dataclass(frozen=True, slots=True)
class Excerpt:
    """The beginning of a clip.

    Attributes:
        samples: float32 `[n]`, mono, in [-1, 1].
        sample_rate_hz: one that MP3 has.
        heard_hz: up to which frequency the file itself has anything.
        clip_seconds: how long the whole clip is.
    """

    samples: NDArray[np.float32]
    sample_rate_hz: int
    heard_hz: float
    clip_seconds: float

    @property
    def seconds(self) -> float:
        """How long the excerpt is."""
        return len(self.samples) / self.sample_rate_hz

    @property
    def is_cut(self) -> bool:
        """Whether the clip goes on behind it."""
        # A resampler may leave a sample more, which nobody would miss.
        return self.clip_seconds > self.seconds + 0.05


def read_excerpt(path: Path) -> Excerpt:
    """Read the first seconds of a clip.

    Raises:
        AudioError: the file is no audio.
        OSError: it cannot be read.
    """
    with open_audio(path.read_bytes(), LIMITS) as reader:
        rate = reader.sample_rate_hz
        mp3_rate = next((each for each in _MP3_RATES_HZ if each >= rate), _MP3_RATES_HZ[-1])
        waveform = canonical_waveform(reader, FrontEndSpec(sample_rate_hz=mp3_rate))
    return Excerpt(
        samples=np.clip(waveform[: round(LONGEST_SECONDS * mp3_rate)], -1, 1),
        sample_rate_hz=mp3_rate,
        heard_hz=min(rate, mp3_rate) / 2,
        clip_seconds=len(waveform) / mp3_rate,
    )


def mp3(excerpt: Excerpt) -> bytes:
    """Encode an excerpt as MP3."""
    buffer = io.BytesIO()
    soundfile.write(
        buffer,
        excerpt.samples,
        excerpt.sample_rate_hz,
        format="MP3",
        bitrate_mode="VARIABLE",
        compression_level=0.6,
    )
    return buffer.getvalue()


def spectrogram_decibels(excerpt: Excerpt, n_fft: int = 1024) -> NDArray[np.float32]:
    """Return an excerpt's spectrogram in decibels below its maximum, `[n_fft // 2 + 1, n_frames]`.

    Frames are centred, with a Hann window; nothing is below -80.
    """
    padded = np.pad(excerpt.samples, n_fft // 2)
    hop = max(n_fft // 8, len(excerpt.samples) // _N_COLUMNS, 1)
    frames = np.lib.stride_tricks.sliding_window_view(padded, n_fft)[::hop]
    magnitudes = np.abs(np.fft.rfft(frames * np.hanning(n_fft), axis=1)).T
    loudest = magnitudes.max() or 1.0
    lowest = 10 ** (_FLOOR_DECIBELS / 20)
    decibels: NDArray[np.float32] = 20 * np.log10(np.maximum(magnitudes / loudest, lowest))
    return decibels.astype(np.float32)


def spectrogram_figure(excerpt: Excerpt) -> Figure:
    """Draw an excerpt's spectrogram over seconds and hertz, light on dark."""
    figure = Figure(figsize=(3.5, 1.75), facecolor=SPECTROGRAM_PAPER)
    axes = figure.subplots()
    figure.subplots_adjust(left=0.23, right=0.97, bottom=0.25, top=0.95)
    extent = (0, excerpt.seconds, 0, excerpt.sample_rate_hz / 2)
    axes.imshow(
        spectrogram_decibels(excerpt),
        origin="lower",
        aspect="auto",
        extent=extent,
        cmap="magma",
        vmin=_FLOOR_DECIBELS,
        vmax=0,
    )
    axes.set_ylim(0, excerpt.heard_hz)
    axes.set_xlabel("seconds", color=SPECTROGRAM_INK)
    axes.set_ylabel("Hz", color=SPECTROGRAM_INK)
    axes.tick_params(colors=SPECTROGRAM_INK)
    axes.spines[:].set_visible(False)
    return figure
