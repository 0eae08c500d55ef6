"""`hark models` and `hark keys`, as an operator runs them: on a store and a file of keys."""

import json
from pathlib import Path

import pytest

from app.api_keys import ApiKeys, Scope
from app.inference.serving import read_serving
from app.inference.store import ModelReference, ModelStore
from tests.two_versions import NAME, TwoVersions, hark, without_file

ONE, TWO = ModelReference(NAME, 1), ModelReference(NAME, 2)


@pytest.fixture
def store(tmp_path: Path) -> TwoVersions:
    versions = TwoVersions(tmp_path / "store")
    versions.add(2)
    return versions


def serving(store: TwoVersions) -> tuple[int, int | None, float]:
    now = read_serving(ModelStore(store.root), NAME)
    return now.stable.version, now.canary.version if now.canary else None, now.canary_percent


def done(store: TwoVersions, *arguments: str) -> str:
    """Run a command that has to succeed, and return what it says."""
    finished = store.hark_models(*arguments)
    assert finished.returncode == 0, finished.stderr
    assert finished.stdout == ""
    return finished.stderr


def refused(store: TwoVersions, *arguments: str) -> str:
    """Run a command that has to fail with one sentence, and return that."""
    before = serving_file(store)
    finished = store.hark_models(*arguments)
    assert finished.returncode != 0
    assert "Traceback" not in finished.stderr
    assert finished.stderr.startswith("hark: ")
    assert finished.stderr.count("\n") == 1
    assert serving_file(store) == before
    return finished.stderr


def serving_file(store: TwoVersions) -> str | None:
    path = store.root / NAME / "aliases.json"
    return path.read_text() if path.exists() else None


# hark models


def test_every_version_is_listed_with_what_it_is_called(store: TwoVersions) -> None:
    store.add(3)
    store.write_aliases({"stable": 1, "canary": 2, "canary_percent": 12.5})
    finished = store.hark_models()
    assert finished.returncode == 0, finished.stderr
    rows = [
        [cell.strip() for cell in line.split("│")[1:4]]
        for line in finished.stdout.splitlines()
        if line.startswith("│")
    ]
    assert [row[1] for row in rows if row[0] == NAME] == ["1", "2", "3"]
    text = " ".join(finished.stdout.split())
    assert "stable" in text
    assert "12.5" in text


def test_an_empty_store_is_an_empty_list(tmp_path: Path) -> None:
    finished = hark("models", "--store", str(tmp_path))
    assert finished.returncode == 0, finished.stderr
    assert NAME not in finished.stdout


def test_without_aliases_the_highest_version_is_the_stable_one(store: TwoVersions) -> None:
    assert serving(store) == (2, None, 0)
    assert "stable" in store.hark_models().stdout


# hark models promote


def test_a_promoted_version_serves_and_it_is_said_when(store: TwoVersions) -> None:
    said = done(store, "promote", f"{NAME}@1")
    assert said.startswith(f"{NAME}: {NAME}@1 serves. ")
    assert "SIGHUP" in said
    assert serving(store) == (1, None, 0)
    store.add(3)
    assert serving(store) == (1, None, 0)


def test_promoting_keeps_another_canary_and_ends_its_own(store: TwoVersions) -> None:
    store.add(3)
    store.write_aliases({"stable": 1, "canary": 3, "canary_percent": 10})
    done(store, "promote", f"{NAME}@2")
    assert serving(store) == (2, 3, 10)
    done(store, "promote", f"{NAME}@3")
    assert serving(store) == (3, None, 0)


@pytest.mark.parametrize(
    ("model", "sentence"),
    [
        (f"{NAME}@9", "has no version 9. It has: 1, 2."),
        ("nothing@1", "There is no model 'nothing'"),
        ("../store/urbansound@1", "There is no model"),
        (NAME, "name a version by its number"),
        (f"{NAME}@stable", "name a version by its number"),
        (f"{NAME}@", "name a version by its number"),
        ("@1", "There is no model ''"),
    ],
)
@pytest.mark.parametrize("command", [["promote"], ["canary", "--percent", "10"]], ids=str)
def test_what_is_not_there_cannot_serve(
    store: TwoVersions, command: list[str], model: str, sentence: str
) -> None:
    assert sentence in refused(store, *command, model)


@pytest.mark.parametrize("content", ["{", '{"stable": "newest"}', '{"canary_percent": 5}'])
def test_promoting_mends_a_file_that_cannot_be_read(store: TwoVersions, content: str) -> None:
    """The message about such a file says: Write it anew: hark models promote."""
    store.write_aliases(content)
    done(store, "promote", f"{NAME}@1")
    assert serving(store) == (1, None, 0)


@pytest.mark.parametrize("aliases", [{"stable": 9}, {"stable": 1, "canary": 9}], ids=str)
def test_promoting_mends_a_file_that_names_what_is_not_there(
    store: TwoVersions, aliases: dict[str, int]
) -> None:
    """The message about such a file says: name another one: hark models promote."""
    store.write_aliases(aliases)
    done(store, "promote", f"{NAME}@2")
    assert serving(store) == (2, None, 0)


# hark models canary


def test_a_canary_gets_its_part_beside_a_stable_version_that_stays(store: TwoVersions) -> None:
    done(store, "promote", f"{NAME}@1")
    said = done(store, "canary", f"{NAME}@2", "--percent", "12.5")
    assert f"{NAME}@1 serves, {NAME}@2 12.5 % of its requests" in said
    assert serving(store) == (1, 2, 12.5)


def test_the_version_that_served_is_named_so_that_no_newer_one_takes_its_place(
    store: TwoVersions,
) -> None:
    done(store, "canary", f"{NAME}@1", "--percent", "5")
    store.add(3)
    assert serving(store) == (2, 1, 5)


def test_no_percent_ends_a_canary(store: TwoVersions) -> None:
    done(store, "canary", f"{NAME}@1", "--percent", "50")
    done(store, "canary", f"{NAME}@1", "--percent", "0")
    assert serving(store) == (2, None, 0)
    assert json.loads(serving_file(store) or "") == {"stable": 2}


@pytest.mark.parametrize("percent", ["-1", "101", "many", "nan", "inf", ""])
def test_a_share_that_cannot_be_is_refused(store: TwoVersions, percent: str) -> None:
    finished = store.hark_models("canary", f"{NAME}@1", f"--percent={percent}")
    assert finished.returncode != 0
    assert "Traceback" not in finished.stderr
    assert "percent" in finished.stderr
    assert serving_file(store) is None


def test_a_damaged_version_is_still_listed_with_a_sentence(store: TwoVersions) -> None:
    store.add(3, damage=without_file("manifest.json"))
    finished = store.hark_models()
    assert "Traceback" not in finished.stderr
    assert f"{NAME}@3" in finished.stderr


# hark keys


@pytest.mark.parametrize(
    ("arguments", "scopes"),
    [
        ([], {Scope.CLASSIFY}),
        (["--scope", "classify"], {Scope.CLASSIFY}),
        (["--scope", "admin"], {Scope.ADMIN}),
        (["--scope", "admin", "--scope", "classify"], {Scope.ADMIN, Scope.CLASSIFY}),
    ],
)
def test_the_printed_key_works_with_the_printed_entry(
    tmp_path: Path, arguments: list[str], scopes: set[Scope]
) -> None:
    finished = hark("keys", "new", "dashboard", *arguments)
    assert finished.returncode == 0, finished.stderr
    key, entry = finished.stdout.split("\n", 1)
    path = tmp_path / "keys.toml"
    path.write_text(entry)
    found = ApiKeys(path).find(key)
    assert found is not None
    assert found.name == "dashboard"
    assert found.scopes == scopes
    assert key not in entry
    assert key not in finished.stderr, "what is shown for people may end up in a log"


def test_entries_of_two_keys_make_one_file(tmp_path: Path) -> None:
    printed = [hark("keys", "new", name).stdout.split("\n", 1) for name in ("first", "second")]
    path = tmp_path / "keys.toml"
    path.write_text("".join(entry for _, entry in printed))
    keys = ApiKeys(path)
    names = []
    for key, _ in printed:
        found = keys.find(key)
        assert found is not None
        names.append(found.name)
    assert names == ["first", "second"]


@pytest.mark.parametrize("name", ["two words", "", 'x"\nscopes = ["admin"]\n#', "x" * 65, "é"])
def test_a_name_that_the_service_would_refuse_makes_no_key(name: str) -> None:
    finished = hark("keys", "new", name)
    assert finished.returncode != 0, finished.stdout
    assert finished.stdout == ""
    assert "Traceback" not in finished.stderr


def test_an_unknown_scope_makes_no_key() -> None:
    finished = hark("keys", "new", "dashboard", "--scope", "root")
    assert finished.returncode != 0
    assert finished.stdout == ""
