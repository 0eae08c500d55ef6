"""The settings: each is documented with its default, and a person is told of a wrong value."""

import re
from typing import Final

import pytest
from pydantic_core import PydanticUndefined

from app.settings import Settings, SettingsError, read_settings
from tests.contract.interpreter import ROOT

DOCUMENT: Final = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
ROWS: Final = {
    name: default.strip()
    for names, defaults in re.findall(r"^\| (`HARK_[^|]+) \| ([^|]+) \|", DOCUMENT, re.MULTILINE)
    for name, default in zip(names.split(", "), defaults.split(", "), strict=True)
}
# What depends on the machine stands in words.
IN_WORDS: Final = {"model_store", "workers"}


def variable(field: str) -> str:
    return f"`HARK_{field.upper()}`"


def test_every_setting_is_documented_and_no_other() -> None:
    assert set(ROWS) == set(map(variable, Settings.model_fields))


@pytest.mark.parametrize("field", sorted(set(Settings.model_fields) - IN_WORDS))
def test_the_documented_default_is_the_default(field: str) -> None:
    default = Settings.model_fields[field].default
    assert default is not PydanticUndefined
    documented = ROWS[variable(field)].strip("`").replace(" ", "")
    if isinstance(default, bool):
        assert documented == str(default).lower()
    elif isinstance(default, int | float):
        assert float(documented) == default
    else:
        assert documented == (default or "none")


@pytest.mark.parametrize(
    ("name", "value", "sentence"),
    [
        ("HARK_WORKERS", "0", "HARK_WORKERS: Input should be greater than or equal to 1"),
        ("HARK_RATE_LIMIT", "often", "HARK_RATE_LIMIT: "),
        ("HARK_UPLOAD_SECONDS", "30", "HARK_UPLOAD_SECONDS leaves nothing"),
        ("HARK_MIN_SAMPLE_RATE_HZ", "400000", "HARK_MIN_SAMPLE_RATE_HZ is above"),
        ("HARK_LOG_FORMAT", "xml", "HARK_LOG_FORMAT: "),
    ],
)
def test_a_wrong_value_is_named(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, sentence: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(SettingsError, match=re.escape(sentence)):
        read_settings()
