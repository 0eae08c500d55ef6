"""ApiKeys: which keys a file holds, and when it is read again."""

import hashlib
import os
import re
from pathlib import Path

import pytest

from app.api_keys import ApiKeys, KeysFileError, Scope, hash_of, make_key

KEY, OTHER = make_key(), make_key()


def entry(key: str, name: str = "dashboard", scopes: str = '["classify"]') -> str:
    return f'[[keys]]\nname = "{name}"\nsha256 = "{hash_of(key)}"\nscopes = {scopes}\n'


@pytest.fixture
def path(tmp_path: Path) -> Path:
    file = tmp_path / "keys.toml"
    file.write_text(entry(KEY) + entry(OTHER, "operator", '["classify", "admin"]'))
    return file


def write_later(path: Path, content: str) -> None:
    """Write a file again; the clock of a file system may tick a few times in a second only."""
    before = path.stat().st_mtime_ns
    path.write_text(content)
    os.utime(path, ns=(before + 1, before + 1))


def test_a_key_is_found_by_its_hash(path: Path) -> None:
    found = ApiKeys(path).find(OTHER)
    assert found is not None
    assert found.name == "operator"
    assert found.scopes == {Scope.CLASSIFY, Scope.ADMIN}


@pytest.mark.parametrize(
    "key",
    ["", " ", KEY[:-1], KEY + " ", KEY.lower(), make_key(), hash_of(KEY), "ключ", "k" * 100_000],
    ids=[
        "empty", "blank", "cut off", "longer", "lower case", "another", "its hash", "of letters",
        "endless",
    ],
)  # fmt: skip
def test_what_is_no_key_is_not_found(path: Path, key: str) -> None:
    assert ApiKeys(path).find(key) is None


def test_keys_are_long_random_and_known_by_their_prefix() -> None:
    keys = {make_key() for _ in range(1_000)}
    assert len(keys) == 1_000
    assert all(re.fullmatch(r"hark_[A-Za-z0-9_-]{43}", key) for key in keys)


def test_the_hash_is_what_sha256sum_prints() -> None:
    assert hash_of("hark_x") == hashlib.sha256(b"hark_x").hexdigest()


def test_neither_a_key_nor_its_file_is_shown_by_what_is_known_of_it(path: Path) -> None:
    assert KEY not in repr(ApiKeys(path).find(KEY))
    assert KEY not in path.read_text()


# Reading again


def test_a_file_that_is_rewritten_is_read_again(path: Path) -> None:
    keys = ApiKeys(path)
    write_later(path, entry(OTHER))
    assert keys.find(KEY) is None
    found = keys.find(OTHER)
    assert found is not None
    assert found.name == "dashboard"


def test_a_file_that_is_exchanged_is_read_again_even_if_it_is_as_old(path: Path) -> None:
    """As a volume does that shows one folder and then another, both written at the same time."""
    keys = ApiKeys(path)
    status = path.stat()
    new = path.with_suffix(".new")
    new.write_text(entry(OTHER))
    os.utime(new, ns=(status.st_atime_ns, status.st_mtime_ns))
    new.replace(path)
    assert keys.find(KEY) is None
    assert keys.find(OTHER) is not None


def test_a_link_that_is_turned_to_another_file_is_followed(path: Path) -> None:
    """As Kubernetes exchanges a mounted secret."""
    link = path.with_name("linked.toml")
    link.symlink_to(path)
    keys = ApiKeys(link)
    assert keys.find(KEY) is not None
    second = path.with_name("second.toml")
    second.write_text(entry(OTHER))
    new_link = path.with_name("new-link")
    new_link.symlink_to(second)
    new_link.replace(link)
    assert keys.find(KEY) is None
    assert keys.find(OTHER) is not None


def test_a_file_that_does_not_change_is_read_once(
    path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", logger="app.api_keys")
    keys = ApiKeys(path)
    for _ in range(3):
        assert keys.find(KEY) is not None
    assert caplog.records == []
    write_later(path, entry(KEY))
    for _ in range(3):
        assert keys.find(KEY) is not None
    assert [record.message for record in caplog.records] == ["the file of API keys was read again"]


@pytest.mark.parametrize("content", ["", "keys = []", "[[keys", "\x00"])
def test_a_file_that_breaks_keeps_the_keys_and_says_so_once(
    path: Path, caplog: pytest.LogCaptureFixture, content: str
) -> None:
    keys = ApiKeys(path)
    write_later(path, content)
    for _ in range(3):
        assert keys.find(KEY) is not None
    (record,) = caplog.records
    assert record.levelname == "ERROR"
    assert str(path) in vars(record)["reason"]


def test_a_file_that_is_gone_keeps_the_keys_until_it_is_back(path: Path) -> None:
    keys = ApiKeys(path)
    path.unlink()
    assert keys.find(KEY) is not None
    path.write_text(entry(OTHER))
    assert keys.find(KEY) is None
    assert keys.find(OTHER) is not None


# What a file may hold


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        ("", "keys: Field required"),
        ("keys = []", "at least 1"),
        ("not toml", "is not TOML"),
        ("name = 'x'", "keys: Field required"),
        (entry(KEY, name=""), "keys.0.name: "),
        (entry(KEY, name="two words"), "keys.0.name: "),
        (entry(KEY, name="x" * 65), "keys.0.name: "),
        (entry(KEY, scopes="[]"), "keys.0.scopes: "),
        (entry(KEY, scopes='["root"]'), "keys.0.scopes.0: "),
        (entry(KEY, scopes='"classify"'), "keys.0.scopes: "),
        (entry(KEY) + "admin = true\n", "keys.0.admin: "),
        (entry(KEY) + entry(KEY).replace(hash_of(KEY), KEY), "keys.1.sha256: "),
    ],
)
def test_a_file_that_is_not_valid_is_refused_with_the_place(
    path: Path, content: str, reason: str
) -> None:
    path.write_text(content)
    with pytest.raises(KeysFileError) as raised:
        ApiKeys(path)
    assert str(raised.value).startswith(str(path))
    assert reason in str(raised.value)
    assert "\n" not in str(raised.value)
    assert KEY not in str(raised.value)


def test_a_file_that_is_no_text_is_refused(path: Path) -> None:
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(KeysFileError, match="is not TOML"):
        ApiKeys(path)


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(KeysFileError, match="cannot be read: No such file"):
        ApiKeys(tmp_path / "keys.toml")
