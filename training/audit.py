"""A data audit: what a data set holds, before anyone trains on it."""

import io
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import soundfile
from matplotlib.figure import Figure

from app.audio.decode import open_audio
from app.audio.feature_specs import SpectrogramSpec
from app.audio.reader import AudioReader
from app.audio.sound_file import FLAC_LENGTH_UNKNOWN, SoundFileReader
from app.audio.spec import FrontEndSpec
from app.audio.waveform import canonical_waveform
from app.errors import AudioError
from app.progress import Advance
from training.datasets import Clip, Dataset
from training.features_cache import LIMITS, SHORTEST_SECONDS, UnreadableClip

_WAV: Final = frozenset({"WAV", "WAVEX", "RF64", "W64"})
_MP4: Final = frozenset({"M4A", "MP4", "3GP", "QuickTime"})  # one format; its kind is a brand
# What decoders call the containers that files of these names are expected to be.
_SUFFIX_OF: Final[dict[str, frozenset[str]]] = {
    ".wav": _WAV,
    ".wave": _WAV,
    ".mp3": frozenset({"MP3", "MPEG"}),
    ".flac": frozenset({"FLAC"}),
    ".ogg": frozenset({"OGG"}),
    ".oga": frozenset({"OGG"}),
    ".opus": frozenset({"OGG"}),
    ".aif": frozenset({"AIFF"}),
    ".aiff": frozenset({"AIFF"}),
    ".aifc": frozenset({"AIFF"}),
    ".au": frozenset({"AU"}),
    ".snd": frozenset({"AU"}),
    ".caf": frozenset({"CAF"}),
    ".m4a": _MP4,
    ".mp4": _MP4,
    ".3gp": _MP4,
    ".aac": frozenset({"AAC"}),
    ".webm": frozenset({"WebM", "Matroska"}),
    ".weba": frozenset({"WebM", "Matroska"}),
    ".amr": frozenset({"AMR"}),
}
_COLOUR: Final = "#1f6f8b"


@dataclass(frozen=True, slots=True)
class Header:
    """What a file says of itself.

    `encoding` names the width of a sample, or the codec; where FFmpeg alone knows that, the
    container. `container` is the decoder's name for the format.
    """

    clip: Clip
    container: str
    sample_rate_hz: int
    channels: int
    encoding: str
    duration_seconds: float

    @property
    def oddity(self) -> str | None:
        """What is odd about a file that can be opened, in words; None where nothing is."""
        if self.duration_seconds < SHORTEST_SECONDS:
            return f"lasts {1000 * self.duration_seconds:.2g} ms: left out of training"
        suffix = self.clip.path.suffix.lower()
        if suffix in _SUFFIX_OF and self.container not in _SUFFIX_OF[suffix]:
            return f"is {self.container}, in spite of its name: read as what it is"
        return None


@dataclass(frozen=True, slots=True)
class Audit:
    """Headers of the files that can be opened, and the others with the reason."""

    dataset: Dataset
    headers: tuple[Header, ...]
    unreadable: tuple[UnreadableClip, ...]

    def oddities(self) -> list[Header]:
        """Return the headers of the files that can be opened, but have something odd about them."""
        return [header for header in self.headers if header.oddity is not None]

    def by_label_and_fold(self) -> dict[str, Counter[str]]:
        """Count the clips of each label by fold; all under `all` where there are no folds."""
        counts: dict[str, Counter[str]] = {label: Counter() for label in self.dataset.labels}
        for clip in self.dataset.clips:
            counts[clip.label][clip.fold or "all"] += 1
        return counts

    def distributions(self) -> dict[str, Counter[str]]:
        """Count the readable files by sample rate, channels, encoding and duration."""
        return {
            "sample rate": Counter(f"{header.sample_rate_hz} Hz" for header in self.headers),
            "channels": Counter(str(header.channels) for header in self.headers),
            "encoding": Counter(header.encoding for header in self.headers),
            "duration": Counter(_duration_class(h.duration_seconds) for h in self.headers),
        }

    def durations(self) -> Sequence[float]:
        """Return the readable files' durations in seconds."""
        return [header.duration_seconds for header in self.headers]


def audit(dataset: Dataset, advance: Advance = lambda _note: None) -> Audit:
    """Open every file of a data set and read what it says of itself."""
    headers: list[Header] = []
    unreadable: list[UnreadableClip] = []
    with ThreadPoolExecutor() as pool:
        for clip, result in zip(dataset.clips, pool.map(_read_header, dataset.clips), strict=True):
            if isinstance(result, str):
                unreadable.append(UnreadableClip(Path(clip.path), result))
            else:
                headers.append(result)
            advance("")
    return Audit(dataset, tuple(headers), tuple(unreadable))


def audit_figure(result: Audit) -> Figure:
    """Draw the clips by label and fold, and the distributions of what the files are."""
    figure = Figure(figsize=(11, 7), layout="constrained")
    title = f"{result.dataset.name}: {len(result.dataset.clips)} clips"
    figure.suptitle(title, parse_math=False)
    panels: dict[str, Any] = figure.subplot_mosaic([["labels", "labels", "sample rate", "channels"],
                                    ["labels", "labels", "encoding", "duration"]])  # fmt: skip
    _draw_labels(panels["labels"], result)
    for name, counts in result.distributions().items():
        axes = panels[name]
        axes.set_title(name)
        if name == "duration":
            axes.hist(result.durations(), bins=30, color=_COLOUR)
            axes.set_xlabel("seconds")
        else:
            common = counts.most_common(8)
            axes.bar([key for key, _ in common], [count for _, count in common], color=_COLOUR)
            axes.tick_params(axis="x", rotation=30)
        axes.spines[["top", "right"]].set_visible(False)
    return figure


def _draw_labels(axes, result: Audit) -> None:  # type: ignore[no-untyped-def]  # matplotlib's own
    counts = result.by_label_and_fold()
    labels = list(counts)[::-1]
    folds = result.dataset.folds or ["all"]
    left = np.zeros(len(labels))
    for index, fold in enumerate(folds):
        widths = np.array([counts[label][fold] for label in labels])
        shade = 0.35 + 0.65 * index / max(1, len(folds) - 1) if len(folds) > 1 else 1
        name = f"fold {fold}" if result.dataset.folds else None
        axes.barh(range(len(labels)), widths, left=left, color=_COLOUR, alpha=shade, label=name)
        left += widths
    axes.set_yticks(range(len(labels)), labels, parse_math=False)
    axes.set_xlabel("clips")
    axes.spines[["top", "right"]].set_visible(False)
    if result.dataset.folds:
        for text in axes.legend(frameon=False).get_texts():
            text.set_parse_math(False)


def _read_header(clip: Clip) -> Header | str:
    """Return what a file says of itself, or why it cannot be trained on."""
    try:
        data = clip.path.read_bytes()
        with open_audio(data, LIMITS) as reader:
            encoding, seconds = _encoding_and_seconds(reader, data)
            return Header(
                clip, reader.format, reader.sample_rate_hz, reader.channels, encoding, seconds
            )
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    except AudioError as error:
        return str(error)


def _encoding_and_seconds(reader: AudioReader, data: bytes) -> tuple[str, float]:
    """Return them by a file's header, once its beginning is decoded; else by the whole file.

    Where the header says all, decoding no more makes an audit several times as fast. That samples
    are numbers is seen by all of them, and no others than floats may be none.
    """
    encoding = reader.format
    if isinstance(reader, SoundFileReader):
        info = soundfile.info(io.BytesIO(data))
        encoding = info.subtype
        if encoding not in ("FLOAT", "DOUBLE") and info.frames < FLAC_LENGTH_UNKNOWN:
            next(reader.blocks())
            return encoding, info.duration
    # At the file's own rate, so that nothing is resampled; the kind of features decides nothing.
    spec = FrontEndSpec(sample_rate_hz=reader.sample_rate_hz, features=SpectrogramSpec())
    waveform = canonical_waveform(reader, spec)
    return encoding, len(waveform) / reader.sample_rate_hz


_DURATION_CLASSES: Final = (0.5, 1, 2, 4, 10, 30, 60)


def _duration_class(seconds: float) -> str:
    bounds = [0, *_DURATION_CLASSES]
    for low, high in zip(bounds, _DURATION_CLASSES, strict=False):
        if seconds <= high:
            return f"over {low:g} to {high:g} s"
    return f"over {_DURATION_CLASSES[-1]} s"
