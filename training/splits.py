"""Splits: which clips a model is fitted on, stopped by, and tested with.

Slices of one recording sound alike. Split at random, some of them train the model that others
test, and on UrbanSound8K accuracy rises by about 14 points that no new recording will see. So
clips are kept together by official fold, else by group, and split at random only where that is
asked for by name, which every report then marks.
"""

import hashlib
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold, StratifiedKFold

from training.datasets import GROUPS_FILE, Clip, Dataset, DatasetError

SplitKind = Literal["auto", "folds", "groups", "random"]
Ignored = Literal["official folds", "groups"]
N_MADE_FOLDS: Final = 5  # how many parts are made where the data has no folds


@dataclass(frozen=True, slots=True)
class Folds:
    """Clips divided into parts that take turns as the test set.

    Attributes:
        kind: what keeps clips together: `folds`, `groups`, or nothing (`random`).
        names: the parts, in order.
        part_of_clip: int `[n_clips]`: the index in `names` of each clip's part.
        ignored: what the data has and a random split takes no notice of; None where nothing.
    """

    kind: Literal["folds", "groups", "random"]
    names: tuple[str, ...]
    part_of_clip: NDArray[np.intp]
    ignored: Ignored | None = None

    @property
    def warning(self) -> str | None:
        """What is to be known of the figures of a random split; None for any other."""
        if self.kind != "random":
            return None
        if self.ignored is None:
            return (
                "Random split, since the data names neither folds nor groups: if clips were cut "
                "from one recording, some of them train the model that the others test, and the "
                "figures promise what no new recording keeps."
            )
        return (
            f"Random split, though the data has {self.ignored}: slices of one recording train the "
            "model that others test, and the figures promise what no new recording keeps."
        )

    def rounds(self) -> list["Round"]:
        """Return a round for each part as the test set.

        The next part, in a circle, is the validation set that stops training early, and is never
        the one tested; with two parts there is none left for it.
        """
        n_parts = len(self.names)
        rounds = []
        for test in range(n_parts):
            validation = (test + 1) % n_parts if n_parts > 2 else None
            train = [part for part in range(n_parts) if part not in (test, validation)]
            rounds.append(
                Round(
                    name=self.names[test],
                    train=self._clips_in(train),
                    validation=self._clips_in([] if validation is None else [validation]),
                    test=self._clips_in([test]),
                )
            )
        return rounds

    def digest_of(self, clips: Sequence[Clip]) -> str:
        """Return a digest of which clips are in which part, wherever their folder is.

        Args:
            clips: those that were divided, in their order.
        """
        paths = [clip.path.absolute() for clip in clips]
        folder = os.path.commonpath([path.parent for path in paths])
        divided = sorted(
            (path.relative_to(folder).as_posix(), self.names[part])
            for path, part in zip(paths, self.part_of_clip, strict=True)
        )
        return hashlib.sha256(repr(divided).encode()).hexdigest()

    def _clips_in(self, parts: list[int]) -> NDArray[np.intp]:
        return np.flatnonzero(np.isin(self.part_of_clip, parts))


@dataclass(frozen=True, slots=True)
class Round:
    """One turn of a cross-validation: indices of clips. `validation` may be empty."""

    name: str
    train: NDArray[np.intp]
    validation: NDArray[np.intp]
    test: NDArray[np.intp]


def make_folds(dataset: Dataset, kind: SplitKind = "auto", seed: int = 0) -> Folds:
    """Divide a data set into parts.

    Args:
        dataset: what to divide.
        kind: `auto` takes the official folds, else groups; `random` takes chance whatever the data
            has, and is marked by `Folds.warning`.
        seed: fixes what chance decides.

    Raises:
        DatasetError: the data does not have what `kind` names, or is too small.
    """
    if kind == "auto":
        if not dataset.folds and not dataset.has_groups:
            raise DatasetError(
                f"{dataset.name} does not say which clips belong together: name the recording or "
                f"the speaker of each as its group ({GROUPS_FILE} beside a folder a class, or a "
                "column of a CSV), or its fold; or ask for --split random, whose figures hold for "
                "no new recording where clips were cut from one"
            )
        kind = "folds" if dataset.folds else "groups"
    if kind == "folds":
        return _official_folds(dataset)
    if kind == "groups":
        return _folds_by_group(dataset, seed)
    return _random_folds(dataset, seed)


def _official_folds(dataset: Dataset) -> Folds:
    names = dataset.folds
    if len(names) < 2:
        raise DatasetError(
            f"{dataset.name} has {len(names)} fold here, and two are needed: a model cannot be "
            "tested on what it was fitted on"
        )
    part_of_name = {name: part for part, name in enumerate(names)}
    parts = np.array([part_of_name[clip.fold] for clip in dataset.clips if clip.fold is not None])
    return Folds("folds", tuple(names), parts)


def _folds_by_group(dataset: Dataset, seed: int) -> Folds:
    groups = [clip.group for clip in dataset.clips]
    if not dataset.has_groups:
        raise DatasetError(f"{dataset.name} names no groups to split by")
    most_frequent = max(Counter(_labels(dataset)).values())
    if len(set(groups)) < 2:
        raise DatasetError(f"{dataset.name} has one group; two are needed to test a model")
    if most_frequent < 2:
        raise DatasetError(f"{dataset.name} has one clip a label; two are needed to test a model")
    n_folds = min(N_MADE_FOLDS, len(set(groups)), most_frequent)
    splitter = StratifiedGroupKFold(n_folds, shuffle=True, random_state=seed)
    return _made_folds("groups", dataset.clips, splitter.split(groups, _labels(dataset), groups))


def _random_folds(dataset: Dataset, seed: int) -> Folds:
    labels = _labels(dataset)
    rarest = min(labels.count(label) for label in dataset.labels)
    if rarest < 2:
        raise DatasetError(f"{dataset.name} has a label with one clip; each needs two or more")
    splitter = StratifiedKFold(min(N_MADE_FOLDS, rarest), shuffle=True, random_state=seed)
    folds = _made_folds("random", dataset.clips, splitter.split(labels, labels))
    ignored: Ignored | None = (
        "official folds" if dataset.folds else "groups" if dataset.has_groups else None
    )
    return replace(folds, ignored=ignored)


def _made_folds(kind, clips: tuple[Clip, ...], splits) -> Folds:  # type: ignore[no-untyped-def]
    parts = np.zeros(len(clips), dtype=np.intp)
    n_parts = 0
    for _, test in splits:
        if len(test) > 0:  # a few large groups can leave a part without any
            parts[test] = n_parts
            n_parts += 1
    return Folds(kind, tuple(str(part + 1) for part in range(n_parts)), parts)


def _labels(dataset: Dataset) -> list[str]:
    return [clip.label for clip in dataset.clips]
