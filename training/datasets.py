"""Labelled clips on disk, in the layouts that people have, recognised without a flag.

- UrbanSound8K (Salamon, Jacoby and Bello, 2014): `metadata/UrbanSound8K.csv` is the truth for fold
  and class; a row's file may have another extension than its name says.
- ESC-50 and ESC-10 (Piczak, 2015): `meta/esc50.csv`, or a folder a class, where a file's name
  begins with its fold and the number of the recording that it was cut from. ESC-10 is ten labels
  of ESC-50, with the same folds, under a licence of its own.
- A folder a class: `<label>/**/<clip>`; a `groups.csv` beside the folders, with the columns
  `path,group`, may say which clips share a speaker or a recording.
- A CSV with the columns `path,label[,fold,group,salience]`, paths relative to the CSV.
"""

import csv
import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal

from app.bulk.files import AUDIO_ENDINGS, find_files
from training.unwritable import shown_if_unwritable

AUDIO_SUFFIXES: Final = AUDIO_ENDINGS  # what `hark classify` takes for audio, too
GROUPS_FILE: Final = "groups.csv"
UNKNOWN_LICENCE: Final = "not stated"

Salience = Literal["foreground", "background"]
# UrbanSound8K's table has numbers.
_SALIENCE: Final[dict[str, Salience | None]] = {
    "1": "foreground", "foreground": "foreground",
    "2": "background", "background": "background",
    "": None,
}  # fmt: skip


class DatasetError(Exception):
    """A folder or file is no data set that can be trained on; the message says why."""


@dataclass(frozen=True, slots=True)
class Clip:
    """One labelled file.

    `fold` is the official split it belongs to; `group` names what it shares with others (the
    recording it was cut from, the speaker), so that they are not split apart. `salience` says
    whether the labelled sound is in the foreground or behind others; None where nobody said.
    """

    path: Path
    label: str
    fold: str | None = None
    group: str | None = None
    salience: Salience | None = None


@dataclass(frozen=True, slots=True)
class Dataset:
    """Labelled clips.

    Attributes:
        name: what the set is called in a model's manifest.
        licence: under what terms its audio may be used.
        clips: every clip, in a stable order.
    """

    name: str
    licence: str
    clips: tuple[Clip, ...]

    @property
    def labels(self) -> list[str]:
        """The labels that occur, in alphabetical order: the order of a model's outputs."""
        return sorted({clip.label for clip in self.clips})

    @property
    def folds(self) -> list[str]:
        """The official folds that occur, in natural order; empty where there are none."""
        return sorted({clip.fold for clip in self.clips if clip.fold is not None}, key=_natural)

    @property
    def has_groups(self) -> bool:
        """Whether clips say what they share with others."""
        return any(clip.group is not None for clip in self.clips)

    def select_folds(self, folds: Iterable[str]) -> "Dataset":
        """Return the clips of some folds.

        Raises:
            DatasetError: a fold does not occur.
        """
        wanted = set(folds)
        unknown = wanted - set(self.folds)
        if unknown:
            known = ", ".join(self.folds) or "none"
            raise DatasetError(
                f"{self.name} has no fold {', '.join(sorted(unknown))}; it has: {known}"
            )
        clips = tuple(clip for clip in self.clips if clip.fold in wanted)
        return Dataset(self.name, self.licence, clips)


def load_dataset(path: Path) -> Dataset:
    """Recognise and read a data set.

    Args:
        path: a folder in one of the known layouts, or a CSV file.

    Raises:
        DatasetError: nothing known is there, or it contradicts itself.
    """
    if not path.exists():
        raise DatasetError(f"{path} does not exist")
    if path.is_file():
        dataset = _from_csv(path)
    elif (path / "metadata" / "UrbanSound8K.csv").is_file():
        dataset = _from_urbansound8k(path)
    elif (path / "meta" / "esc50.csv").is_file():
        dataset = _from_esc50(path)
    else:
        dataset = _from_folders(path)
    return _checked(dataset, path)


def _from_urbansound8k(root: Path) -> Dataset:
    clips = []
    for row in _rows(
        root / "metadata" / "UrbanSound8K.csv", ("slice_file_name", "fsID", "fold", "class")
    ):
        folder = root / "audio" / f"fold{row['fold']}"
        path = _with_any_suffix(folder / row["slice_file_name"])
        # The published set is whole; folds that were not copied are simply not there to train on.
        if folder.is_dir():
            salience = _salience(row, root)
            clips.append(Clip(path, row["class"], row["fold"], row["fsID"], salience))
    return Dataset("UrbanSound8K", "CC BY-NC 3.0", tuple(clips))


def _from_esc50(root: Path) -> Dataset:
    rows = list(_rows(root / "meta" / "esc50.csv", ("filename", "fold", "category")))
    clips = tuple(
        Clip(
            _with_any_suffix(root / "audio" / row["filename"]),
            row["category"],
            fold=row["fold"],
            group=row.get("src_file"),
        )
        for row in rows
    )
    return Dataset(*_ESC50, clips)


_ESC50: Final = ("ESC-50", "CC BY-NC 3.0")
_ESC10_LABELS: Final = frozenset(
    {"baby_cry", "chainsaw", "clock_tick", "dog_bark", "fire_crackling", "helicopter"}
    | {"person_sneeze", "rain", "rooster", "sea_waves"}
)
_ESC_FOLDER: Final = re.compile(r"\d{3} - (?P<label>.+)")
_ESC_FILE: Final = re.compile(r"(?P<fold>\d)-(?P<source>\d+)-[A-Z]\b")


def _from_folders(root: Path) -> Dataset:
    folders = sorted(path for path in root.iterdir() if path.is_dir() and path.name[0] not in "._")
    if folders and all(_ESC_FOLDER.fullmatch(folder.name) for folder in folders):
        return _from_esc_folders(folders)
    clips = tuple(
        Clip(path, folder.name) for folder in folders for path in audio_files_below(folder)
    )
    if (root / GROUPS_FILE).is_file():
        clips = _grouped(clips, root / GROUPS_FILE)
    return Dataset(root.resolve().name, UNKNOWN_LICENCE, clips)


def _grouped(clips: tuple[Clip, ...], path: Path) -> tuple[Clip, ...]:
    """Give clips the groups that a CSV beside their folders names."""
    rows = _rows(path, ("path", "group"))
    group_of = {path.parent / row["path"]: row["group"] for row in rows}
    twice = [name for name, n in Counter(row["path"] for row in rows).items() if n > 1]
    if twice:
        raise DatasetError(f"{path} names {twice[0]} more than once")
    without = [clip.path for clip in clips if clip.path not in group_of]
    if without:
        raise DatasetError(
            f"{path} names no group for {len(without)} clips, {without[0]} for one: give each clip "
            "one, or remove the file"
        )
    return tuple(replace(clip, group=group_of[clip.path]) for clip in clips)


def _from_esc_folders(folders: list[Path]) -> Dataset:
    clips = []
    for folder in folders:
        label = re.sub(r"\W+", "_", folder.name.split(" - ", 1)[1].lower())
        for path in audio_files_below(folder):
            name = _ESC_FILE.match(path.name)
            if name is None:
                raise DatasetError(f"{path} is not named <fold>-<recording>-<take>, as in ESC-50")
            clips.append(Clip(path, label, fold=name["fold"], group=name["source"]))
    if {clip.label for clip in clips} <= _ESC10_LABELS:
        return Dataset("ESC-10", "CC BY 3.0", tuple(clips))
    return Dataset(*_ESC50, tuple(clips))


def _from_csv(path: Path) -> Dataset:
    clips = tuple(
        Clip(
            path.parent / row["path"],
            row["label"],
            fold=row.get("fold") or None,
            group=row.get("group") or None,
            salience=_salience(row, path),
        )
        for row in _rows(path, ("path", "label"))
    )
    return Dataset(path.stem, UNKNOWN_LICENCE, clips)


def _salience(row: dict[str, str], path: Path) -> Salience | None:
    word = row.get("salience") or ""
    if word not in _SALIENCE:
        raise DatasetError(
            f"{path} has the salience {word!r}; it is foreground (or 1), background (or 2), or "
            "empty"
        )
    return _SALIENCE[word]


def _rows(path: Path, columns: tuple[str, ...]) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8-sig") as file:
        reader = csv.DictReader(file)
        missing = [name for name in columns if name not in _header_of(reader, path)]
        if missing:
            raise DatasetError(f"{path} has no column {', '.join(missing)}")
        try:
            # Of what a spreadsheet leaves around a name, two speakers would come.
            rows = [
                {name: cell.strip() for name, cell in row.items() if name and isinstance(cell, str)}
                for row in reader
            ]
        except (UnicodeDecodeError, csv.Error) as error:
            raise DatasetError(f"{path} is not a CSV in UTF-8: {error}") from error
    for row in rows:
        if not all(row.get(name) for name in columns):
            raise DatasetError(f"{path} has a row without {', '.join(columns)}: {row}")
    return rows


def _header_of(reader: "csv.DictReader[str]", path: Path) -> list[str]:
    try:
        return list(reader.fieldnames or [])
    except (UnicodeDecodeError, csv.Error) as error:
        raise DatasetError(f"{path} is not a CSV in UTF-8: {error}") from error


def audio_files_below(folder: Path) -> list[Path]:
    """Return the files that `hark classify --recursive` would take, as paths below a folder."""
    return sorted(Path(str(file.path)) for file in find_files([folder], recursive=True).files)


def _with_any_suffix(path: Path) -> Path:
    """Return the file of this stem that exists, whatever its extension; `path` if none does."""
    if path.exists():
        return path
    candidates = (path.with_suffix(suffix) for suffix in sorted(AUDIO_SUFFIXES))
    return next((candidate for candidate in candidates if candidate.exists()), path)


def _checked(dataset: Dataset, path: Path) -> Dataset:
    if not dataset.clips:
        raise DatasetError(
            f"{path} holds no clip in a known layout: UrbanSound8K, ESC-50, ESC-10, a folder a "
            "class, or a CSV with the columns path,label[,fold,group,salience]"
        )
    names = (dataset.name, *(str(clip.path) for clip in dataset.clips))
    unwritable = [shown for name in names if (shown := shown_if_unwritable(name)) is not None]
    if unwritable:  # manifests and reports would fail when all is fitted
        raise DatasetError(
            f"{path}: names of files and folders must be UTF-8, and {len(unwritable)} are not, "
            f"{unwritable[0]} for one: rename them (convmv does so for whole folders)"
        )
    if len(dataset.labels) < 2:
        raise DatasetError(f"{path} holds only the label {dataset.labels[0]!r}; two are needed")
    without_fold = sum(clip.fold is None for clip in dataset.clips)
    if 0 < without_fold < len(dataset.clips):
        raise DatasetError(f"{path}: {without_fold} clips have no fold, the others have one")
    without_group = sum(clip.group is None for clip in dataset.clips)
    if 0 < without_group < len(dataset.clips):
        raise DatasetError(f"{path}: {without_group} clips have no group, the others have one")
    folds_of_group: dict[str, set[str]] = {}
    for clip in dataset.clips:
        if clip.group is not None and clip.fold is not None:
            folds_of_group.setdefault(clip.group, set()).add(clip.fold)
    split = [group for group, folds in folds_of_group.items() if len(folds) > 1]
    if split:
        raise DatasetError(
            f"{path}: the group {split[0]!r} is in more than one fold, so some of its clips would "
            "train the model that the others test"
        )
    twice = [name for name, n in Counter(clip.path for clip in dataset.clips).items() if n > 1]
    if twice:
        raise DatasetError(f"{path} names {twice[0]} more than once")
    return dataset


def _natural(fold: str) -> tuple[int, str]:
    return (int(fold), fold) if fold.isdecimal() else (1 << 30, fold)
