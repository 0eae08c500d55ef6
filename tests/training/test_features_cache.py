"""Features: the same from the cache as fresh, and a new one wherever something decides them."""

import shutil
from collections.abc import Iterable, Iterator
from contextlib import chdir
from dataclasses import replace
from os.path import relpath
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from app.audio.frontend import FrontEnd
from app.audio.spec import FrontEndSpec
from tests.tiny_model import sound, wav
from training.datasets import Clip, Dataset
from training.features_cache import DatasetFeatures, default_cache_folder, extract_features
from training.recipe import Recipe
from training.run_error import RunError
from training.workers import ProcessPool

SECONDS = {"short": 0.4, "long": 2.5, "again": 1.0}


@pytest.fixture
def sounds(tmp_path: Path) -> Dataset:
    """Three clips, of one, three and one window, in two folders."""
    clips = []
    for seed, (name, seconds) in enumerate(SECONDS.items()):
        path = tmp_path / "sounds" / f"{name}.wav"
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(wav(sound("tone", seed, seconds)))
        clips.append(Clip(path, "tone"))
    return Dataset("sounds", "none", tuple(clips))


@pytest.fixture
def spec(tiny_recipe: Recipe) -> FrontEndSpec:
    return tiny_recipe.front_end


def extract(dataset: Dataset, spec: FrontEndSpec, cache: Path) -> DatasetFeatures:
    return extract_features(dataset, spec, cache, workers=ProcessPool(1))


def entries(cache: Path) -> dict[Path, int]:
    """The cache's files with the inode of each: a file that is written anew gets another."""
    return {path: path.stat().st_ino for path in cache.rglob("*") if path.is_file()}


def assert_same(one: DatasetFeatures, other: DatasetFeatures) -> None:
    for name in ("features", "clip_of_window", "weights"):
        np.testing.assert_array_equal(getattr(one, name), getattr(other, name), strict=True)


def test_features_are_those_of_the_front_end(
    sounds: Dataset, spec: FrontEndSpec, tmp_path: Path
) -> None:
    data = extract(sounds, spec, tmp_path / "cache")
    front_end = FrontEnd.build(spec)
    expected = [front_end.features(clip.path.read_bytes()).features for clip in sounds.clips]
    np.testing.assert_array_equal(data.features, np.concatenate(expected), strict=True)
    assert data.clips == sounds.clips
    assert data.unreadable == ()
    assert data.clip_of_window.tolist() == [0, 1, 1, 1, 2]
    assert data.weights.dtype == np.float32
    assert data.weights == pytest.approx([1, 1.2, 1.2, 0.6, 1])  # of 1, 1 and 0.5 s: mean 1


def test_the_cache_gives_what_was_computed_and_computes_nothing(
    sounds: Dataset, spec: FrontEndSpec, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    fresh = extract(sounds, spec, cache)
    written = entries(cache)
    assert len(written) == 3
    assert_same(extract(sounds, spec, cache), fresh)
    assert entries(cache) == written


def test_a_file_that_moves_keeps_its_entry_and_one_that_changes_does_not(
    sounds: Dataset, spec: FrontEndSpec, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    fresh = extract(sounds, spec, cache)
    written = entries(cache)
    short, long, again = (
        replace(clip, path=clip.path.rename(tmp_path / f"moved {clip.path.name}"))
        for clip in sounds.clips
    )
    again.path.write_bytes(wav(sound("noise", seed=77)))
    data = extract(replace(sounds, clips=(short, long, again)), spec, cache)
    assert entries(cache).items() > written.items()
    assert len(entries(cache)) == 4
    np.testing.assert_array_equal(data.features[:4], fresh.features[:4])
    assert not np.array_equal(data.features[4], fresh.features[4])


def test_another_spec_starts_anew(sounds: Dataset, spec: FrontEndSpec, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    fresh = extract(sounds, spec, cache)
    written = entries(cache)
    other = replace(spec, padding="zeros")
    data = extract(sounds, other, cache)
    assert len(entries(cache)) == 6
    assert entries(cache).items() > written.items()
    assert not np.array_equal(data.features, fresh.features)


def test_files_that_cannot_be_read_are_listed_with_the_reason(
    sounds: Dataset, spec: FrontEndSpec, tmp_path: Path
) -> None:
    folder, empty, text = (tmp_path / name for name in ("folder.wav", "empty.wav", "text.wav"))
    folder.mkdir()
    empty.touch()
    text.write_bytes(b"no sound" * 100)
    broken = [Clip(path, "tone") for path in (folder, empty, tmp_path / "missing.wav", text)]
    short, long, again = sounds.clips
    listed = (broken[0], short, *broken[1:], long, again)
    data = extract(replace(sounds, clips=listed), spec, tmp_path / "cache")
    assert data.clips == sounds.clips
    assert data.clip_of_window.tolist() == [0, 1, 1, 1, 2]
    assert [clip.path for clip in data.unreadable] == [clip.path for clip in broken]
    reasons = [clip.reason for clip in data.unreadable]
    expected = ["Is a directory", "holds no byte", "No such file", "not audio in a known format"]
    assert all(words in reason for words, reason in zip(expected, reasons, strict=True))


def test_a_machine_without_the_files_ends_the_run(spec: FrontEndSpec, tmp_path: Path) -> None:
    """It would leave out clips that others have, and other ones in each run."""

    class Elsewhere:
        """Works in a folder of its own, where relative paths lead nowhere."""

        def run(self, function: Any, given: Any, items: Iterable[Any]) -> Iterator[Any]:
            with chdir(tmp_path):
                return iter([function(given, item) for item in items])

    here = Path(relpath(tmp_path / "tone.wav"))
    here.write_bytes(wav(sound("tone", 0)))
    dataset = Dataset("one", "none", (Clip(here, "tone"),))
    with pytest.raises(RunError, match=r"tone\.wav is here, but not on another machine"):
        extract_features(dataset, spec, tmp_path / "cache", workers=Elsewhere())


def test_a_data_set_of_unreadable_files_has_no_features(
    sounds: Dataset, spec: FrontEndSpec, tmp_path: Path
) -> None:
    shutil.rmtree(tmp_path / "sounds")
    data = extract(sounds, spec, tmp_path / "cache")
    assert len(data.unreadable) == 3
    assert data.clips == ()
    assert data.features.shape == (0, *spec.feature_shape)


def test_damaged_entries_are_made_anew(sounds: Dataset, spec: FrontEndSpec, tmp_path: Path) -> None:
    """As a full disk or a killed copy leaves them; nobody knows which files to remove."""
    cache = tmp_path / "cache"
    fresh = extract(sounds, spec, cache)
    whole = {entry: entry.read_bytes() for entry in entries(cache)}
    for entry, left in zip(whole, (0, 100, -100), strict=True):
        entry.write_bytes(whole[entry][:left])
    assert_same(extract(sounds, spec, cache), fresh)
    assert {entry: entry.read_bytes() for entry in entries(cache)} == whole


def test_a_cache_that_cannot_be_written_to_is_named(
    sounds: Dataset, spec: FrontEndSpec, tmp_path: Path
) -> None:
    cache = tmp_path / "cache"
    cache.write_bytes(b"a file, where a folder should be")
    with pytest.raises(RunError, match=r"kept in .*cache/features/.*: Not a dir.*by --cache"):
        extract(sounds, spec, cache)


def test_progress_is_told_clip_by_clip(sounds: Dataset, spec: FrontEndSpec, tmp_path: Path) -> None:
    notes: list[str] = []
    extract_features(sounds, spec, tmp_path / "cache", notes.append, workers=ProcessPool(2))
    assert len(notes) == 3


def test_the_cache_lies_where_the_environment_says(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HARK_CACHE", "/somewhere")
    assert default_cache_folder() == Path("/somewhere")
    monkeypatch.delenv("HARK_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", "/caches")
    assert default_cache_folder() == Path("/caches/hark")
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    assert default_cache_folder() == Path.home() / ".cache" / "hark"
