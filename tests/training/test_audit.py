"""The data audit: what files say of themselves, counted and drawn, and which cannot be opened."""

import shutil
from collections import Counter
from io import StringIO
from pathlib import Path

import numpy as np
import pytest
import soundfile
from rich.console import Console

from app.audio.feature_specs import SpectrogramSpec
from app.audio.spec import FrontEndSpec
from tests.recordings import record
from tests.sounds import encode, flac_claiming
from tests.tiny_model import sound
from training.audit import Audit, audit, audit_figure
from training.datasets import Clip, Dataset, load_dataset
from training.features_cache import extract_features
from training.png import save_png
from training.tables import label_table
from training.workers import InThisProcess

PNG = b"\x89PNG\r\n\x1a\n"


def sound_file(path: Path, rate_hz: int, channels: int, subtype: str, seconds: float = 0.5) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    samples = sound("tone", seed=1, seconds=seconds, rate_hz=rate_hz)
    soundfile.write(path, np.stack([samples] * channels, axis=1), rate_hz, subtype=subtype)
    return path


@pytest.fixture(scope="module")
def mixed(tmp_path_factory: pytest.TempPathFactory) -> Audit:
    """Sounds that differ in all that a header says, and files that are none, or odd."""
    folder: Path = tmp_path_factory.mktemp("mixed")
    sound_file(folder / "a" / "1.wav", 8_000, 1, "PCM_16", seconds=0.3)
    sound_file(folder / "a" / "2.wav", 44_100, 2, "PCM_24", seconds=1.5)
    sound_file(folder / "b" / "3.flac", 44_100, 2, "PCM_16", seconds=1.5)
    sound_file(folder / "b" / "4.mp3", 22_050, 1, "MPEG_LAYER_III", seconds=5)
    (folder / "b" / "5.wav").write_bytes(b"no sound" * 100)
    (folder / "b" / "6.wav").write_bytes(b"")
    soundfile.write(folder / "a" / "7.wav", np.zeros(0), 8_000)
    soundfile.write(folder / "a" / "9.wav", np.zeros(1), 8_000)
    shutil.copy(folder / "b" / "4.mp3", folder / "a" / "10.wav")
    dataset = load_dataset(folder)
    missing = Clip(folder / "a" / "8.wav", "a")
    return audit(Dataset(dataset.name, dataset.licence, (*dataset.clips, missing)))


def test_every_header_is_read(mixed: Audit) -> None:
    said = [
        (h.clip.path.name, h.sample_rate_hz, h.channels, h.encoding, round(h.duration_seconds, 1))
        for h in mixed.headers
        if h.oddity is None
    ]
    assert said == [
        ("1.wav", 8_000, 1, "PCM_16", 0.3),
        ("2.wav", 44_100, 2, "PCM_24", 1.5),
        ("3.flac", 44_100, 2, "PCM_16", 1.5),
        ("4.mp3", 22_050, 1, "MPEG_LAYER_III", pytest.approx(5, abs=0.11)),
    ]


def test_files_that_cannot_be_opened_are_listed_with_the_reason(mixed: Audit) -> None:
    reasons = {clip.path.name: clip.reason for clip in mixed.unreadable}
    assert set(reasons) == {"5.wav", "6.wav", "7.wav", "8.wav"}
    assert "not audio in a known format" in reasons["5.wav"]
    assert "holds no byte" in reasons["6.wav"]
    assert "holds no sample" in reasons["7.wav"]
    assert reasons["8.wav"] == "cannot be read: No such file or directory"


def test_what_cannot_be_opened_is_what_training_leaves_out(tmp_path: Path) -> None:
    """Also where libsndfile alone would take a file, or would not."""
    samples = np.full((8_000, 1), 0.1)
    not_numbers = np.full(8_000, np.nan)
    files = {
        "recorded.m4a": record(samples, 8_000, "ipod", "aac"),
        "floats.wav": encode(samples, 8_000, subtype="FLOAT"),
        "unstated.flac": flac_claiming(encode(samples, 8_000, "FLAC"), 0),
        "cut off.m4a": record(samples, 8_000, "ipod", "aac")[:40],
        "not numbers.wav": encode(not_numbers, 8_000, subtype="FLOAT"),
        "a phone's.wav": encode(samples, 8_000, subtype="G721_32"),
        "another's.wav": encode(samples, 8_000, container="PAF"),
    }
    for label in ("a", "b"):
        (tmp_path / label).mkdir()
        for name, data in files.items():
            (tmp_path / label / name).write_bytes(data)
    dataset = load_dataset(tmp_path)
    spec = FrontEndSpec(sample_rate_hz=8_000, features=SpectrogramSpec())
    features = extract_features(dataset, spec, tmp_path / "cache", workers=InThisProcess())
    result = audit(dataset)
    assert set(result.unreadable) == set(features.unreadable)
    opened = {h.clip.path.name: (h.container, h.encoding) for h in result.headers}
    assert opened == {
        "recorded.m4a": ("M4A", "M4A"),
        "floats.wav": ("WAV", "FLOAT"),
        "unstated.flac": ("FLAC", "PCM_16"),
    }
    assert not result.oddities()
    assert min(result.durations()) == pytest.approx(1, abs=0.2)
    assert max(result.durations()) == pytest.approx(1, abs=0.2)


def test_files_that_are_odd_are_listed_with_what_is_odd(mixed: Audit) -> None:
    oddities = {header.clip.path.name: header.oddity for header in mixed.oddities()}
    assert oddities == {
        "9.wav": "lasts 0.12 ms: left out of training",
        "10.wav": "is MP3, in spite of its name: read as what it is",
    }


def test_distributions_count_the_files_that_can_be_opened(mixed: Audit) -> None:
    distributions = mixed.distributions()
    assert distributions["sample rate"] == {"8000 Hz": 2, "44100 Hz": 2, "22050 Hz": 2}
    assert distributions["channels"] == {"1": 4, "2": 2}
    assert distributions["encoding"] == {"PCM_16": 3, "PCM_24": 1, "MPEG_LAYER_III": 2}
    assert {name: counts.total() for name, counts in distributions.items()} == {
        "sample rate": 6, "channels": 6, "encoding": 6, "duration": 6,
    }  # fmt: skip


def test_clips_are_counted_by_label_whether_readable_or_not(mixed: Audit) -> None:
    assert mixed.by_label_and_fold() == {"a": Counter(all=6), "b": Counter(all=4)}


def test_clips_are_counted_by_label_and_fold(tmp_path: Path) -> None:
    clips = [("a", "1"), ("a", "1"), ("a", "2"), ("b", "2")]
    dataset = Dataset(
        "x", "none", tuple(Clip(tmp_path / f"{i}.wav", *clip) for i, clip in enumerate(clips))
    )
    assert audit(dataset).by_label_and_fold() == {
        "a": Counter({"1": 2, "2": 1}),
        "b": Counter({"2": 1}),
    }


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0.25, "over 0 to 0.5 s"),
        (0.5, "over 0 to 0.5 s"),
        (0.75, "over 0.5 to 1 s"),
        (4.0, "over 2 to 4 s"),
        (4.25, "over 4 to 10 s"),
        (60.0, "over 30 to 60 s"),
        (61.0, "over 60 s"),
    ],
)
def test_durations_fall_into_classes(tmp_path: Path, seconds: float, expected: str) -> None:
    path = sound_file(tmp_path / "x.wav", 4_000, 1, "PCM_16", seconds)
    result = audit(Dataset("x", "none", (Clip(path, "x"),)))
    assert result.distributions()["duration"] == {expected: 1}
    assert result.durations() == [seconds]


def test_progress_is_told_clip_by_clip(mixed: Audit) -> None:
    notes: list[str] = []
    audit(mixed.dataset, notes.append)
    assert len(notes) == len(mixed.dataset.clips)


def test_the_picture_shows_labels_and_distributions(mixed: Audit, tmp_path: Path) -> None:
    figure = audit_figure(mixed)
    titles = {axes.get_title() for axes in figure.axes}
    assert titles >= {"sample rate", "channels", "encoding", "duration"}
    labels = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert sorted(labels) == ["a", "b"]
    save_png(figure, tmp_path / "audit.png")
    assert (tmp_path / "audit.png").read_bytes().startswith(PNG)


def test_the_picture_tells_folds_apart(tmp_path: Path) -> None:
    clips = tuple(Clip(tmp_path / f"{fold}.wav", fold, fold) for fold in ("1", "2", "10"))
    figure = audit_figure(audit(Dataset("x", "none", clips)))
    legend = figure.axes[0].get_legend()
    assert legend is not None
    assert [text.get_text() for text in legend.get_texts()] == ["fold 1", "fold 2", "fold 10"]


def test_names_are_shown_as_they_are(tmp_path: Path) -> None:
    """Also where they would be markup to the terminal, or mathematics to the picture."""
    names = ("[red]", "$x^$", "[/b]")
    clips = tuple(Clip(tmp_path / f"{place}.wav", name, name) for place, name in enumerate(names))
    result = audit(Dataset("$y_$", "none", clips))
    figure = audit_figure(result)
    save_png(figure, tmp_path / "audit.png")  # mathematics of this kind would fail here
    labels = [text.get_text() for text in figure.axes[0].get_yticklabels()]
    assert sorted(labels) == sorted(names)
    console = Console(file=StringIO(), width=200)
    console.print(label_table(result))
    assert isinstance(console.file, StringIO)
    printed = console.file.getvalue()
    assert all(printed.count(name) == 2 for name in names)  # as a label and as a fold


def test_the_same_data_gives_the_same_bytes(mixed: Audit, tmp_path: Path) -> None:
    for name in ("one.png", "two.png"):
        save_png(audit_figure(mixed), tmp_path / name)
    assert (tmp_path / "one.png").read_bytes() == (tmp_path / "two.png").read_bytes()
