"""The fields of a recipe that a sweep searches, and the values that each may take."""

import json
import math
import re
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from training.recipe_error import RecipeError

_RANGE: Final = re.compile(r"(?P<low>[^,\[\]]+?)\.\.(?P<high>[^,\[\]]+?)(?P<log>:log)?")
_HOW: Final = "write it as FIELD=LOW..HIGH, FIELD=LOW..HIGH:log or FIELD=A,B,C"


@dataclass(frozen=True, slots=True)
class Range:
    """All whole numbers, or all numbers, from `low` to `high`; by factors where `log`."""

    field: str
    low: float
    high: float
    log: bool

    @property
    def probes(self) -> tuple[str, ...]:
        """Values, written as in a recipe, by which to find out whether the field takes any."""
        return repr(self.low), repr(self.high)

    def distribution(self) -> Any:
        """Return the range as Optuna has it."""
        from optuna.distributions import FloatDistribution, IntDistribution

        if isinstance(self.low, int) and isinstance(self.high, int):
            return IntDistribution(self.low, self.high, log=self.log)
        return FloatDistribution(self.low, self.high, log=self.log)


@dataclass(frozen=True, slots=True)
class Choice:
    """Some values, each written as in a recipe; none is nearer to another."""

    field: str
    values: tuple[str, ...]

    @property
    def probes(self) -> tuple[str, ...]:
        """All of them."""
        return self.values

    def distribution(self) -> Any:
        """Return the choice as Optuna has it."""
        from optuna.distributions import CategoricalDistribution

        return CategoricalDistribution(self.values)


Dimension = Range | Choice


def read_space(searches: Sequence[str]) -> tuple[Dimension, ...]:
    """Read what `--search` names: each `FIELD=LOW..HIGH`, `FIELD=LOW..HIGH:log` or `FIELD=A,B,C`.

    Raises:
        RecipeError: there is none, one cannot be read or leaves no choice, or a field comes twice.
    """
    space = tuple(_read(search) for search in searches)
    if not space:
        raise RecipeError(f"a sweep needs a --search: {_HOW}")
    fields = [dimension.field for dimension in space]
    for field in fields:
        if fields.count(field) > 1:
            raise RecipeError(f"--search names {field} twice: give it one range or one list")
    return space


def _read(search: str) -> Dimension:
    field, equals, text = (part.strip() for part in search.partition("="))
    if not (field and equals and text):
        raise RecipeError(f"--search {search!r} searches no field: {_HOW}")
    if (found := _RANGE.fullmatch(text)) is not None:
        return _range(search, field, found)
    values = tuple(dict.fromkeys(_values(text)))
    if len(values) < 2:
        raise RecipeError(f"--search {search!r} leaves no choice: {_HOW}, or set it by --set")
    return Choice(field, values)


def _range(search: str, field: str, found: re.Match[str]) -> Range:
    try:
        low, high = _number(found["low"]), _number(found["high"])
    except ValueError as error:
        raise RecipeError(f"--search {search!r} has ends that are no numbers: {_HOW}") from error
    if not low < high:
        raise RecipeError(f"--search {search!r} is empty: the first number must be the lower one")
    if found["log"] and low <= 0:
        raise RecipeError(f"--search {search!r} goes by factors, so both ends must be above 0")
    return Range(field, low, high, log=found["log"] is not None)


def _number(text: str) -> int | float:
    try:
        return int(text)
    except ValueError:
        number = float(text)
        if not math.isfinite(number):
            raise
        return number


def _values(text: str) -> list[str]:
    """Return each value as it is written in a recipe; words need no quotes."""
    try:
        return [json.dumps(value) for value in tomllib.loads(f"values = [{text}]")["values"]]
    except (tomllib.TOMLDecodeError, TypeError):
        return [value.strip() for value in text.split(",") if value.strip()]
