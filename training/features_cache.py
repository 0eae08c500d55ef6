"""Features of a data set's clips: computed in parallel, once, and kept on disk.

The cache is keyed by what decides a clip's features: its bytes, the spec, the code of app.audio
and the libraries below it. A file that moves keeps its entry, and a changed front end starts anew.
"""

import hashlib
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

import app.audio
from app.audio.frontend import FrontEnd
from app.audio.limits import DecodeLimits
from app.audio.spec import FrontEndSpec
from app.errors import AudioError
from app.inference.arrays import DamagedArraysError, load_arrays
from app.progress import Advance
from training.datasets import Clip, Dataset
from training.run_error import RunError
from training.source_code import FEATURE_LIBRARIES, source_code, versions
from training.workers import THIS_MACHINE, Workers
from training.written_whole import written_whole

# Training clips are the trainer's own: no limit but what memory holds.
LIMITS: Final = DecodeLimits(max_seconds=24 * 3600)
# A file with a sample or two in it is a mistake, not a sound: its window would be noise or silence.
SHORTEST_SECONDS: Final = 0.01
_MISSING: Final = "cannot be read: No such file or directory"


@dataclass(frozen=True, slots=True)
class UnreadableClip:
    """A clip that cannot be trained on, and why."""

    path: Path
    reason: str


@dataclass(frozen=True, slots=True)
class Variants:
    """The windows of all clips' variants: changed copies, for what a model is fitted on alone.

    Attributes:
        features: float32 `[n_windows, *feature_shape]`.
        clip_of_window: int `[n_windows]`: index of the clip.
        number_of_window: int `[n_windows]`: which of the clip's variants, from 0.
        weights: float32 `[n_windows]`: a window's share of its variant's audio, averaging 1.
        n_variants: how many each clip has.
    """

    features: NDArray[np.float32]
    clip_of_window: NDArray[np.intp]
    number_of_window: NDArray[np.intp]
    weights: NDArray[np.float32]
    n_variants: int


@dataclass(frozen=True, slots=True)
class DatasetFeatures:
    """The windows of all readable clips of a data set.

    Attributes:
        features: float32 `[n_windows, *feature_shape]`.
        clip_of_window: int `[n_windows]`: index in `clips`.
        weights: float32 `[n_windows]`: a window's share of its clip's audio, averaging 1 a clip.
        clips: the readable clips.
        unreadable: the others.
        variants: changed copies of the clips, where the recipe asks for any.
    """

    features: NDArray[np.float32]
    clip_of_window: NDArray[np.intp]
    weights: NDArray[np.float32]
    clips: tuple[Clip, ...]
    unreadable: tuple[UnreadableClip, ...]
    variants: Variants | None = None


def default_cache_folder() -> Path:
    """Return `$HARK_CACHE`, else `hark` in the user's cache folder."""
    if folder := os.environ.get("HARK_CACHE"):
        return Path(folder)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hark"


def extract_features(
    dataset: Dataset,
    spec: FrontEndSpec,
    cache: Path,
    advance: Advance = lambda _note: None,
    workers: Workers = THIS_MACHINE.files,
) -> DatasetFeatures:
    """Compute the features of every clip, or take them from the cache.

    Args:
        dataset: the clips.
        spec: what to compute.
        cache: a folder, made where it does not exist.
        advance: called once for each clip that is done.
        workers: who does the work; by default as many processes as there are processors.

    Raises:
        RunError: the cache cannot be written to; a machine that works has not the files that this
            one has; a process that works has ended.
    """
    front_end = FrontEnd.build(spec)
    folder = cache / "features" / digest_of(spec)
    readable: list[tuple[Clip, NDArray[np.float32], NDArray[np.float64]]] = []
    unreadable: list[UnreadableClip] = []
    paths = [clip.path for clip in dataset.clips]
    results = workers.run(_features_of_file, (front_end, folder), paths)
    for clip, result in zip(dataset.clips, results, strict=True):
        if result == _MISSING and clip.path.exists():
            raise RunError(
                f"{clip.path} is here, but not on another machine that works for this run: each "
                "needs the data at the same path"
            )
        if isinstance(result, str):
            unreadable.append(UnreadableClip(clip.path, result))
        else:
            readable.append((clip, *result))
        advance("")
    return _gather(readable, unreadable, spec)


def _gather(
    readable: list[tuple[Clip, NDArray[np.float32], NDArray[np.float64]]],
    unreadable: list[UnreadableClip],
    spec: FrontEndSpec,
) -> DatasetFeatures:
    no_features = np.empty((0, *spec.feature_shape), dtype=np.float32)
    counts = [len(features) for _, features, _ in readable]
    return DatasetFeatures(
        features=np.concatenate([no_features, *(features for _, features, _ in readable)]),
        clip_of_window=np.repeat(np.arange(len(readable)), counts),
        weights=np.concatenate(
            [np.empty(0), *(seconds / seconds.mean() for _, _, seconds in readable)]
        ).astype(np.float32),
        clips=tuple(clip for clip, _, _ in readable),
        unreadable=tuple(unreadable),
    )


def _features_of_file(
    given: tuple[FrontEnd, Path], path: Path
) -> tuple[NDArray[np.float32], NDArray[np.float64]] | str:
    """Return features and audio seconds of a file's windows, or the reason why there are none."""
    front_end, folder = given
    try:
        data = path.read_bytes()
    except FileNotFoundError:
        return _MISSING
    except OSError as error:
        return f"cannot be read: {error.strerror}"
    entry = folder / f"{hashlib.sha256(data).hexdigest()}.npz"
    if (kept := read_entry(entry)) is not None:
        return kept
    try:
        clip = front_end.features(data, LIMITS)
    except AudioError as error:
        return str(error)
    if clip.duration_seconds < SHORTEST_SECONDS:
        return f"The audio lasts {1000 * clip.duration_seconds:.2g} ms, too short to be a sound."
    write_entry(entry, clip.features, clip.audio_seconds)
    return clip.features, clip.audio_seconds


def read_entry(path: Path) -> tuple[NDArray[np.float32], NDArray[np.float64]] | None:
    """Return an entry's features and audio seconds; None where it is to be made."""
    try:
        arrays = load_arrays(path)
        return arrays["features"], arrays["audio_seconds"]
    except (DamagedArraysError, KeyError):
        return None  # it is not there, or damaged, by a full disk for one


def write_entry(
    path: Path, features: NDArray[np.float32], audio_seconds: NDArray[np.float64]
) -> None:
    """Write an entry so that another process sees it whole or not at all.

    Raises:
        RunError: the cache cannot be written to.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)  # here: another machine may have its own
        with written_whole(path) as file:
            np.savez(file, features=features, audio_seconds=audio_seconds)
    except OSError as error:
        raise RunError(
            f"features cannot be kept in {path.parent}: {error.strerror}. Mend that, or name "
            "another folder by --cache"
        ) from error


def digest_of(spec: FrontEndSpec) -> str:
    """Return what names the features of a spec, as this code and these libraries compute them."""
    digest = hashlib.sha256(json.dumps(spec.to_manifest(), sort_keys=True).encode())
    for source in source_code(app.audio):
        digest.update(source)
    digest.update(repr(versions(FEATURE_LIBRARIES)).encode())
    return digest.hexdigest()[:16]
