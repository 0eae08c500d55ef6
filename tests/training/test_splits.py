"""Splits: clips that belong together stay together, and nothing is tested on what trained it."""

from collections import Counter
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Final

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from training.datasets import Clip, Dataset, DatasetError
from training.splits import N_MADE_FOLDS, Folds, SplitKind, make_folds

# How a random split is asked for; data that says what belongs together needs no word.
SPLIT_OF: Final[dict[str, SplitKind]] = {"random": "random", "groups": "auto", "folds": "auto"}


def dataset_of(clips: list[Clip]) -> Dataset:
    return Dataset("set", "none", tuple(clips))


def plain(n_clips: int, n_labels: int = 2) -> Dataset:
    return dataset_of([Clip(Path(f"{i}.wav"), f"label {i % n_labels}") for i in range(n_clips)])


def grouped(n_groups: int, clips_a_group: int = 4) -> Dataset:
    return dataset_of(
        [
            Clip(Path(f"{g}-{i}.wav"), f"label {(g + i) % 2}", group=f"recording {g}")
            for g in range(n_groups)
            for i in range(clips_a_group)
        ]
    )


def folded(*folds: str) -> Dataset:
    return dataset_of(
        [
            Clip(Path(f"{fold}-{i}.wav"), f"label {i % 2}", fold=fold, group=f"{fold}-{i // 2}")
            for i in range(6)
            for fold in folds
        ]
    )


ALL_KINDS = [
    pytest.param(plain(40), "random", id="random"),
    pytest.param(grouped(12), "groups", id="groups"),
    pytest.param(grouped(3), "groups", id="three groups"),
    pytest.param(folded("1", "2"), "folds", id="two folds"),
    pytest.param(folded("1", "2", "3"), "folds", id="three folds"),
    pytest.param(folded(*map(str, range(1, 11))), "folds", id="ten folds"),
]


@pytest.mark.parametrize(("dataset", "kind"), ALL_KINDS)
def test_what_the_data_says_is_kept_together(dataset: Dataset, kind: str) -> None:
    assert make_folds(dataset, SPLIT_OF[kind]).kind == kind


def test_a_random_split_is_made_by_name_alone() -> None:
    with pytest.raises(DatasetError, match=r"groups\.csv .* or ask for --split random"):
        make_folds(plain(40))


@pytest.mark.parametrize(("dataset", "kind"), ALL_KINDS)
def test_every_clip_is_tested_exactly_once(dataset: Dataset, kind: str) -> None:
    rounds = make_folds(dataset, SPLIT_OF[kind]).rounds()
    tested = Counter(clip for turn in rounds for clip in turn.test.tolist())
    assert tested == Counter(range(len(dataset.clips)))
    assert all(len(turn.test) for turn in rounds)


@pytest.mark.parametrize(("dataset", "kind"), ALL_KINDS)
def test_in_each_round_every_clip_has_one_role(dataset: Dataset, kind: str) -> None:
    for turn in make_folds(dataset, SPLIT_OF[kind]).rounds():
        roles = [*turn.train, *turn.validation, *turn.test]
        assert sorted(roles) == list(range(len(dataset.clips)))
        assert len(turn.train) > 0


@pytest.mark.parametrize(("dataset", "kind"), ALL_KINDS)
def test_the_validation_set_is_a_whole_part_and_never_the_test_set(
    dataset: Dataset, kind: str
) -> None:
    folds = make_folds(dataset, SPLIT_OF[kind])
    for turn in folds.rounds():
        validating = set(folds.part_of_clip[turn.validation].tolist())
        testing = set(folds.part_of_clip[turn.test].tolist())
        assert len(testing) == 1
        assert len(validating) == (1 if len(folds.names) > 2 else 0)
        assert not validating & testing


def test_each_part_validates_once() -> None:
    folds = make_folds(folded("1", "2", "3", "4"))
    validating = [int(folds.part_of_clip[turn.validation][0]) for turn in folds.rounds()]
    assert sorted(validating) == [0, 1, 2, 3]


def test_official_folds_are_kept_in_natural_order() -> None:
    dataset = folded("10", "2", "1")
    folds = make_folds(dataset)
    assert folds.names == ("1", "2", "10")
    assert [turn.name for turn in folds.rounds()] == ["1", "2", "10"]
    named = [folds.names[part] for part in folds.part_of_clip]
    assert named == [clip.fold for clip in dataset.clips]


def groups_by_part(dataset: Dataset, folds: Folds) -> list[set[str | None]]:
    return [
        {
            clip.group
            for clip, own in zip(dataset.clips, folds.part_of_clip, strict=True)
            if own == part
        }
        for part in range(len(folds.names))
    ]


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("n_groups", [2, 5, 23])
def test_a_group_is_never_split_apart(n_groups: int, seed: int) -> None:
    dataset = grouped(n_groups)
    folds = make_folds(dataset, "groups", seed)
    parts = groups_by_part(dataset, folds)
    assert len(parts) == min(N_MADE_FOLDS, n_groups)
    assert sum(len(part) for part in parts) == n_groups
    assert all(parts)


@pytest.mark.filterwarnings("ignore:The least populated class")
@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 7), st.integers(0, 2)), min_size=13, max_size=60))
def test_no_grouping_splits_a_group_or_leaves_a_clip_out(pairs: list[tuple[int, int]]) -> None:
    dataset = dataset_of(
        [Clip(Path(f"{i}"), f"{label}", group=f"{g}") for i, (g, label) in enumerate(pairs)]
    )
    try:
        folds = make_folds(dataset, "groups")
    except DatasetError:
        return  # a sentence is a fair answer too
    groups = groups_by_part(dataset, folds)
    assert sum(len(part) for part in groups) == len({group for group, _ in pairs})
    assert all(len(turn.test) > 0 and len(turn.train) > 0 for turn in folds.rounds())


@pytest.mark.filterwarnings("ignore:The least populated class")
def test_lopsided_groups_leave_no_part_empty() -> None:
    sizes = {"a1": 1, "a2": 2, "b1": 3, "b2": 6}
    dataset = dataset_of(
        [Clip(Path(f"{g}-{i}"), g[0], group=g) for g, size in sizes.items() for i in range(size)]
    )
    assert all(len(turn.test) > 0 for turn in make_folds(dataset).rounds())


def test_official_folds_can_be_left_for_groups() -> None:
    dataset = folded("1", "2", "3")
    folds = make_folds(dataset, "groups")
    assert folds.kind == "groups"
    assert sum(len(part) for part in groups_by_part(dataset, folds)) == 9


def test_a_random_split_keeps_the_labels_shares() -> None:
    dataset = dataset_of(
        [Clip(Path(f"{i}"), "rare" if i % 4 == 0 else "common") for i in range(100)]
    )
    folds = make_folds(dataset, "random")
    assert len(folds.names) == N_MADE_FOLDS
    for turn in folds.rounds():
        labels = Counter(dataset.clips[clip].label for clip in turn.test)
        assert labels == {"common": 15, "rare": 5}


@pytest.mark.parametrize(
    ("dataset", "kind"),
    [(plain(40), "random"), (grouped(12), "groups")],
    ids=["random", "groups"],
)
def test_the_seed_decides(dataset: Dataset, kind: SplitKind) -> None:
    first, again, other = (make_folds(dataset, kind, seed).part_of_clip for seed in (1, 1, 2))
    assert np.array_equal(first, again)
    assert not np.array_equal(first, other)


def test_few_clips_make_fewer_parts() -> None:
    assert len(make_folds(plain(6), "random").names) == 3
    assert len(make_folds(plain(4), "random").names) == 2


def test_few_clips_in_many_groups_are_split_all_the_same() -> None:
    """Fewer clips of each label than parts are usually made."""
    dataset = dataset_of([Clip(Path(f"{i}"), f"{i % 2}", group=f"{i}") for i in range(6)])
    tested = Counter(int(clip) for turn in make_folds(dataset).rounds() for clip in turn.test)
    assert tested == Counter(range(6))


@pytest.mark.parametrize(
    ("dataset", "ignored"),
    [(folded("1", "2"), "official folds"), (grouped(4), "groups")],
    ids=["folds", "groups"],
)
def test_a_random_split_of_what_belongs_together_is_made_and_marked(
    dataset: Dataset, ignored: str
) -> None:
    folds = make_folds(dataset, "random")
    assert folds.kind == "random"
    assert folds.warning is not None
    assert f"though the data has {ignored}: slices of one recording" in folds.warning
    parts = groups_by_part(dataset, folds)
    assert sum(map(len, parts)) > len({clip.group for clip in dataset.clips}), "none is split apart"


def test_a_random_split_for_want_of_groups_is_marked_too() -> None:
    warning = make_folds(plain(10), "random").warning
    assert warning is not None
    assert "since the data names neither folds nor groups" in warning


@pytest.mark.parametrize("dataset", [folded("1", "2"), grouped(4)], ids=["folds", "groups"])
def test_a_split_that_keeps_clips_together_has_no_warning(dataset: Dataset) -> None:
    assert make_folds(dataset).warning is None


def test_one_fold_is_refused() -> None:
    with pytest.raises(DatasetError, match="has 1 fold here, and two are needed"):
        make_folds(folded("1"))


def test_folds_that_are_not_there_are_refused() -> None:
    with pytest.raises(DatasetError, match="fold"):
        make_folds(plain(10), "folds")


def test_groups_that_are_not_there_are_refused() -> None:
    with pytest.raises(DatasetError, match="names no groups to split by"):
        make_folds(plain(10), "groups")


def test_one_group_is_refused() -> None:
    with pytest.raises(DatasetError, match="has one group"):
        make_folds(grouped(1))


def test_a_label_with_one_clip_is_refused() -> None:
    clips = [*plain(10).clips, Clip(Path("lonely.wav"), "lonely")]
    with pytest.raises(DatasetError, match="a label with one clip"):
        make_folds(dataset_of(clips), "random")


def test_rounds_go_in_a_circle() -> None:
    turns = make_folds(folded("1", "2", "3")).rounds()
    for turn, following in pairwise([*turns, turns[0]]):
        assert turn.validation.tolist() == following.test.tolist()


def test_a_split_is_told_from_others_by_its_clips_and_not_by_where_they_are() -> None:
    dataset = plain(40)
    split = make_folds(dataset, "random")
    digest = split.digest_of(dataset.clips)
    moved = [replace(clip, path=Path("elsewhere") / clip.path) for clip in dataset.clips]
    assert split.digest_of(moved) == digest
    assert make_folds(dataset, "random", seed=1).digest_of(dataset.clips) != digest
    renamed = replace(dataset.clips[0], path=Path("other.wav"))
    assert split.digest_of([renamed, *dataset.clips[1:]]) != digest
