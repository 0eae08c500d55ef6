"""Variants: changed copies of a data set's clips, computed in parallel, once, and kept on disk.

What decides a variant's features is what decides a clip's, and the changes of its label, the seed,
the variant's number and the background's bytes, where it has one. The clip's own bytes are part
of the seed, so a variant is the same whatever other clips there are (but where one of those is
drawn to be behind it) and however many processes.
"""

import functools
import hashlib
import inspect
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from app.audio.decode import open_audio
from app.audio.frontend import FrontEnd
from app.audio.spec import FrontEndSpec
from app.audio.waveform import canonical_waveform, cut_windows
from app.errors import AudioError
from app.progress import Advance
from training.augmentation import on_waveform, waveform_plan
from training.augmentation.on_waveform import Waveform, change_waveform
from training.augmentation.waveform_plan import Changes, WaveformAugmentation
from training.datasets import Clip, audio_files_below
from training.features_cache import LIMITS, Variants, digest_of, read_entry, write_entry
from training.recipe_error import RecipeError
from training.workers import THIS_MACHINE, Workers

_Entry = tuple[NDArray[np.float32], NDArray[np.float64]]


@dataclass(frozen=True, slots=True)
class _Work:
    """A clip whose variants are to be made, and the files that may be behind it."""

    path: Path
    changes: Changes
    backgrounds: tuple[Path, ...]


def make_variants(
    clips: Sequence[Clip],
    part_of_clip: NDArray[np.intp],
    spec: FrontEndSpec,
    plan: WaveformAugmentation,
    seed: int,
    cache: Path,
    advance: Advance = lambda _note: None,
    workers: Workers = THIS_MACHINE.files,
) -> Variants:
    """Compute the features of every clip's variants, or take them from the cache.

    Args:
        clips: readable clips.
        part_of_clip: `[n_clips]`, the part of the data that each is in: clips of one part are never
            fitted on and tested at once, and may be each other's background.
        spec: what to compute.
        plan: how many variants, and what is done to them.
        seed: decides what is drawn.
        cache: a folder, made where it does not exist.
        advance: called once for each clip whose variants are done.
        workers: who does the work; by default as many processes as there are processors.

    Raises:
        RecipeError: there is no background to mix in, or one cannot be read.
        RunError: the cache cannot be written to; a process that works has ended.
    """
    find = _Backgrounds(clips, part_of_clip)
    works = []
    for index, clip in enumerate(clips):
        changes = plan.for_label(clip.label)
        works.append(_Work(clip.path, changes, find(index, changes)))
    modules = (on_waveform, waveform_plan)
    source = "".join(inspect.getsource(module) for module in modules).encode()
    folder = cache / "variants" / f"{digest_of(spec)}-{hashlib.sha256(source).hexdigest()[:16]}"
    worker = _Worker(FrontEnd.build(spec), folder, plan.variants, seed)
    entries: list[list[_Entry]] = []
    for made in workers.run(_variants_of_file, worker, works):
        if isinstance(made, str):
            raise RecipeError(made)
        entries.append(made)
        advance("")
    return _gather(entries, plan.variants)


class _Backgrounds:
    """Finds the files that may be behind a clip."""

    def __init__(self, clips: Sequence[Clip], part_of_clip: NDArray[np.intp]) -> None:
        self._clips = clips
        self._part_of_clip = part_of_clip
        self._found: dict[object, tuple[Path, ...]] = {}

    def __call__(self, clip: int, changes: Changes) -> tuple[Path, ...]:
        if changes.background is None:
            return ()
        folder = changes.background.folder
        if folder is not None:
            return self._once(folder, lambda: _audio_files(folder))
        part, label = self._part_of_clip[clip], self._clips[clip].label
        return self._once((part, label), lambda: self._others(part, label))

    def _once(self, key: object, find: Callable[[], tuple[Path, ...]]) -> tuple[Path, ...]:
        if key not in self._found:
            self._found[key] = find()
        return self._found[key]

    def _others(self, part: int, label: str) -> tuple[Path, ...]:
        together = np.flatnonzero(self._part_of_clip == part)
        others = (self._clips[clip] for clip in together.tolist())
        found = tuple(clip.path for clip in others if clip.label != label)
        if not found:
            raise RecipeError(
                f"augmentation.waveform.background: a part of the data holds clips of {label} "
                "alone, and has nothing to put behind them; name a folder of backgrounds"
            )
        return found


def _audio_files(folder: Path) -> tuple[Path, ...]:
    found = tuple(audio_files_below(folder)) if folder.exists() else ()
    if not found:
        raise RecipeError(f"augmentation.waveform.background: {folder} holds no audio file")
    return found


def _gather(entries: list[list[_Entry]], n_variants: int) -> Variants:
    flat = [entry for of_clip in entries for entry in of_clip]
    counts = [len(features) for features, _ in flat]
    place = np.repeat(np.arange(len(flat)), counts)
    return Variants(
        features=np.concatenate([features for features, _ in flat]),
        clip_of_window=place // n_variants,
        number_of_window=place % n_variants,
        weights=np.concatenate([seconds / seconds.mean() for _, seconds in flat]).astype(
            np.float32
        ),
        n_variants=n_variants,
    )


def _variants_of_file(worker: "_Worker", work: _Work) -> list[_Entry] | str:
    """Return features and audio seconds of each variant, or the reason why there are none."""
    try:
        return worker.variants(work)
    except (AudioError, OSError) as error:
        return f"a variant of {work.path}: {worker.reading} cannot be read: {error}"


class _Worker:
    """Makes variants, one at a time."""

    def __init__(self, front_end: FrontEnd, folder: Path, n_variants: int, seed: int) -> None:
        self.n_variants = n_variants
        self.reading: Path | None = None  # which file is at fault, if one is
        self._front_end = front_end
        self._folder = folder
        self._seed = seed

    def variants(self, work: _Work) -> list[_Entry]:
        """Return features and audio seconds of each of a clip's variants, of all windows."""
        data = self._bytes_of(work.path)
        hashed = hashlib.sha256(data).digest()
        # Decoded when the first variant needs it, and once for all of them.
        waveform = functools.cache(lambda: self._decoded(data))
        return [self._variant(work, hashed, waveform, number) for number in range(self.n_variants)]

    def _variant(
        self, work: _Work, hashed: bytes, waveform: Callable[[], Waveform], number: int
    ) -> _Entry:
        background = self._background_of(work, hashed, number)
        entry = self._folder / f"{self._key(work, hashed, number, background)}.npz"
        if (kept := read_entry(entry)) is not None:
            return kept
        spec = self._front_end.spec
        self.reading = work.path
        changed = change_waveform(
            waveform(),
            work.changes,
            spec.sample_rate_hz,
            self._seeds(hashed, number),
            lambda: self._decoded(self._bytes_of(*background)),
        )
        clip = self._front_end.features_of(cut_windows(changed, spec))
        write_entry(entry, clip.features, clip.audio_seconds)
        return clip.features, clip.audio_seconds

    def _seeds(self, hashed: bytes, number: int) -> list[int]:
        return [self._seed, int.from_bytes(hashed[:8]), number]

    def _background_of(self, work: _Work, hashed: bytes, number: int) -> tuple[Path, ...]:
        """Return the one file that may be behind a variant, if any."""
        if not work.backgrounds:
            return ()
        rng = np.random.default_rng(self._seeds(hashed, number))
        return (work.backgrounds[rng.integers(len(work.backgrounds))],)

    def _key(self, work: _Work, hashed: bytes, number: int, background: tuple[Path, ...]) -> str:
        changes = work.changes.model_dump(mode="json", exclude={"background": {"folder"}})
        behind = [hashlib.sha256(self._bytes_of(path)).hexdigest() for path in background]
        decides = [hashed.hex(), changes, self._seed, number, behind]
        return hashlib.sha256(json.dumps(decides, sort_keys=True).encode()).hexdigest()

    def _bytes_of(self, path: Path) -> bytes:
        self.reading = path
        return path.read_bytes()

    def _decoded(self, data: bytes) -> Waveform:
        with open_audio(data, LIMITS) as reader:
            return canonical_waveform(reader, self._front_end.spec)
