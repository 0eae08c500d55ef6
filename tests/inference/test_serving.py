"""Serving: which versions a file of aliases makes of a model, and what is wrong with such files."""

import json
import math
import random
from collections import Counter
from pathlib import Path

import pytest
from pydantic import ValidationError

from app.errors import InvalidAliasesError, UnknownAliasError, UnknownModelError
from app.inference.serving import Aliases, Serving, read_aliases, read_serving, write_aliases
from app.inference.store import ModelReference, ModelStore
from tests.tiny_model import TinyModel

ONE, TWO, THREE = (ModelReference("model", version) for version in (1, 2, 3))


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    """A store with three versions of a model."""
    for version in (1, 2, 3):
        (tmp_path / "model" / str(version)).mkdir(parents=True)
    return ModelStore(tmp_path)


def write(store: ModelStore, content: object) -> None:
    text = content if isinstance(content, str) else json.dumps(content)
    (store.root / "model" / "aliases.json").write_text(text)


# What serves


def test_without_aliases_the_highest_version_serves(store: ModelStore) -> None:
    assert read_serving(store, "model") == Serving(THREE)


@pytest.mark.parametrize(
    ("aliases", "expected"),
    [
        ({}, Serving(THREE)),
        ({"stable": 1}, Serving(ONE)),
        ({"stable": None}, Serving(THREE)),
        ({"canary": 2}, Serving(THREE, TWO)),
        ({"canary": 2, "canary_percent": 12.5}, Serving(THREE, TWO, 12.5)),
        ({"stable": 1, "canary": 3, "canary_percent": 100}, Serving(ONE, THREE, 100)),
        ({"stable": 1, "canary_percent": 0}, Serving(ONE)),
    ],
    ids=str,
)
def test_aliases_say_what_serves(
    store: ModelStore, aliases: dict[str, int], expected: Serving
) -> None:
    write(store, aliases)
    assert read_serving(store, "model") == expected


def test_all_versions_that_serve_are_told_the_stable_one_first() -> None:
    assert Serving(TWO).versions == [TWO]
    assert Serving(TWO, ONE, 10).versions == [TWO, ONE]


def test_a_real_version_serves(tiny: TinyModel) -> None:
    assert read_serving(ModelStore(tiny.store), "tiny") == Serving(tiny.reference)


def test_a_model_that_is_not_there_is_unknown(store: ModelStore) -> None:
    with pytest.raises(UnknownModelError):
        read_serving(store, "../model")


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "EOF"),
        ("{", "EOF"),
        ("stable: 1", "expected value"),
        ("[]", "object"),
        ({"stable": "two"}, "integer"),
        ({"stable": 1.5}, "integer"),
        ({"stable": 0}, "greater than or equal to 1"),
        ({"stable": -1}, "greater than or equal to 1"),
        ({"newest": 1}, "not permitted"),
        ({"canary": 1, "canary_percent": 100.1}, "less than or equal to 100"),
        ({"canary": 1, "canary_percent": -1}, "greater than or equal to 0"),
        ('{"canary": 1, "canary_percent": NaN}', "percent|number|than"),
        ({"canary_percent": 5}, "canary_percent without a canary"),
    ],
    ids=str,
)
def test_a_file_that_cannot_be_read_is_refused_with_a_reason(
    store: ModelStore, content: object, reason: str
) -> None:
    write(store, content)
    with pytest.raises(InvalidAliasesError, match=rf"model: aliases\.json .*\(.*({reason}).*\)"):
        read_aliases(store, "model")


def test_a_file_that_is_a_folder_is_refused(store: ModelStore) -> None:
    (store.root / "model" / "aliases.json").mkdir()
    with pytest.raises(InvalidAliasesError, match="Is a directory"):
        read_aliases(store, "model")


@pytest.mark.parametrize("alias", ["stable", "canary"])
def test_a_version_that_is_not_there_cannot_serve(store: ModelStore, alias: str) -> None:
    write(store, {alias: 4})
    with pytest.raises(InvalidAliasesError, match="names version 4, which is not in the store"):
        read_serving(store, "model")


# Writing


def test_what_is_written_is_read(store: ModelStore) -> None:
    aliases = Aliases(stable=1, canary=2, canary_percent=0.5)
    write_aliases(store, "model", aliases)
    assert read_aliases(store, "model") == aliases
    assert read_serving(store, "model") == Serving(ONE, TWO, 0.5)


def test_what_is_written_is_short_whole_and_readable_by_everyone(store: ModelStore) -> None:
    write(store, {"stable": 1, "canary": 2, "canary_percent": 5})
    write_aliases(store, "model", Aliases(stable=3))
    path = store.root / "model" / "aliases.json"
    assert path.read_text() == '{\n  "stable": 3\n}\n'
    assert path.stat().st_mode & 0o777 == 0o644
    assert sorted(each.name for each in path.parent.iterdir()) == ["1", "2", "3", "aliases.json"]


def test_a_reader_holds_the_old_file_while_a_new_one_is_written(store: ModelStore) -> None:
    """The new one takes its place by a rename, so that no reader finds a half."""
    write_aliases(store, "model", Aliases(stable=1))
    with (store.root / "model" / "aliases.json").open() as old:
        write_aliases(store, "model", Aliases(stable=2))
        assert json.load(old) == {"stable": 1}
    assert read_aliases(store, "model") == Aliases(stable=2)


def test_a_file_in_the_making_is_neither_version_nor_alias(store: ModelStore) -> None:
    (store.root / "model" / ".aliases-x8c2").write_text("{")
    assert read_serving(store, "model") == Serving(THREE)
    assert store.versions("model") == [1, 2, 3]


@pytest.mark.parametrize("percent", [-0.1, 100.1, math.nan, math.inf])
def test_aliases_hold_no_share_that_cannot_be(percent: float) -> None:
    with pytest.raises(ValidationError):
        Aliases(canary=1, canary_percent=percent)


# Choosing


@pytest.mark.parametrize(
    ("serving", "expected"),
    [
        (Serving(ONE), {ONE}),
        (Serving(ONE, TWO, 0), {ONE}),
        (Serving(ONE, TWO, 100), {TWO}),
    ],
    ids=str,
)
def test_where_there_is_no_choice_none_is_made(
    serving: Serving, expected: set[ModelReference]
) -> None:
    assert {serving.pick() for _ in range(1_000)} == expected


def test_a_canary_is_chosen_as_often_as_it_should_be() -> None:
    random.seed(0)
    chosen = Counter(Serving(ONE, TWO, 2.5).pick() for _ in range(20_000))
    # 500 are expected, and the deviation is 22.
    assert 400 < chosen[TWO] < 600
    assert chosen[ONE] == 20_000 - chosen[TWO]


def test_aliases_name_versions() -> None:
    serving = Serving(ONE, TWO, 10)
    assert serving.named("stable") == ONE
    assert serving.named("canary") == TWO


@pytest.mark.parametrize("alias", ["canary", "newest", "", "x" * 10_000])
def test_an_alias_that_no_version_has_is_an_error(alias: str) -> None:
    with pytest.raises(UnknownAliasError, match="No version of 'model' is called") as raised:
        Serving(ONE).named(alias)
    assert len(str(raised.value)) < 200


def test_roles_and_states_read_well() -> None:
    serving = Serving(ONE, TWO, 12.5)
    assert [serving.role_of(each) for each in (ONE, TWO, THREE)] == ["stable", "canary, 12.5 %", ""]
    assert str(serving) == "model@1 serves, model@2 12.5 % of its requests"
    assert str(Serving(ONE)) == "model@1 serves"
