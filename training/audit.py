"""A data audit: what a data set holds, before anyone trains on it."""

from collections import Counter
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import soundfile
from matplotlib.figure import Figure

from app.progress import Advance
from training.datasets import Clip, Dataset
from training.features_cache import SHORTEST_SECONDS, UnreadableClip

# What libsndfile calls the containers that files of these names are expected to be.
_SUFFIX_OF: Final[dict[str, frozenset[str]]] = {
    ".wav": frozenset({"WAV", "WAVEX", "RF64", "W64"}),
    ".mp3": frozenset({"MP3", "MPEG"}),
    ".flac": frozenset({"FLAC"}),
    ".ogg": frozenset({"OGG"}),
    ".oga": frozenset({"OGG"}),
    ".opus": frozenset({"OGG"}),
    ".aif": frozenset({"AIFF"}),
    ".aiff": frozenset({"AIFF"}),
    ".aifc": frozenset({"AIFF"}),
    ".au": frozenset({"AU"}),
    ".caf": frozenset({"CAF"}),
}
_COLOUR: Final = "#1f6f8b"


@dataclass(frozen=True, slots=True)
class Header:
    """What a file says of itself.

    `encoding` names the width of a sample, or the codec; `container` is libsndfile's name for the
    format.
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
    figure.suptitle(f"{result.dataset.name}: {len(result.dataset.clips)} clips")
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
        axes.barh(labels, widths, left=left, color=_COLOUR, alpha=shade, label=name)
        left += widths
    axes.set_xlabel("clips")
    axes.spines[["top", "right"]].set_visible(False)
    if result.dataset.folds:
        axes.legend(frameon=False)


def _read_header(clip: Clip) -> Header | str:
    try:
        info = soundfile.info(str(clip.path))
    except soundfile.SoundFileError as error:
        return str(error) if clip.path.exists() else "the file does not exist"
    if info.frames == 0:
        return "the file holds no sample"
    return Header(clip, info.format, info.samplerate, info.channels, info.subtype, info.duration)


_DURATION_CLASSES: Final = (0.5, 1, 2, 4, 10, 30, 60)


def _duration_class(seconds: float) -> str:
    bounds = [0, *_DURATION_CLASSES]
    for low, high in zip(bounds, _DURATION_CLASSES, strict=False):
        if seconds <= high:
            return f"over {low:g} to {high:g} s"
    return f"over {_DURATION_CLASSES[-1]} s"
