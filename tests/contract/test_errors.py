"""The domain's errors: each has its place in the tree, a status, a code and a sentence."""

import ast
import inspect
import re
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Final

import pytest

from app import errors
from app.api.problems import RETRY_AFTER_SECONDS, status_of
from app.errors import HarkError
from tests.contract.interpreter import ROOT

CLASSES: Final[dict[str, type[HarkError]]] = {
    name: value
    for name, value in vars(errors).items()
    if inspect.isclass(value) and issubclass(value, HarkError)
}
PARENTS: Final = {base for error in CLASSES.values() for base in error.__bases__}
CONCRETE: Final = [error for error in CLASSES.values() if error not in PARENTS]

CLIENTS_FAULT: Final = (
    errors.AudioError,
    errors.RequestError,
    errors.AccessError,
    errors.UnknownModelError,
    errors.UnknownVersionError,
    errors.UnknownAliasError,
    errors.ReloadRefusedError,
)


def drawn_tree() -> dict[str, str]:
    """Return the parent of each class, as the module's docstring draws it."""
    assert errors.__doc__ is not None
    path: list[str] = []
    parents: dict[str, str] = {}
    for line in errors.__doc__.splitlines():
        if match := re.match(r"([├└│─ ]*)(\w+Error)\b", line):
            depth = len(match[1]) // 4
            parents[match[2]] = path[depth - 1] if depth else "Exception"
            path[depth:] = [match[2]]
    return parents


def test_the_tree_in_the_docstring_is_that_of_the_classes() -> None:
    assert drawn_tree() == {name: error.__bases__[0].__name__ for name, error in CLASSES.items()}


@pytest.mark.parametrize("error", CLASSES.values(), ids=CLASSES)
def test_a_class_has_one_base_and_says_what_it_is(error: type[HarkError]) -> None:
    assert len(error.__bases__) == 1
    assert vars(error)["__doc__"]


@pytest.mark.parametrize("error", CONCRETE)
def test_a_concrete_error_has_a_status(error: type[HarkError]) -> None:
    status = HTTPStatus(status_of(error))
    assert status // 100 == (4 if issubclass(error, CLIENTS_FAULT) else 5)


@pytest.mark.parametrize("error", CONCRETE)
def test_a_concrete_error_has_a_code_of_its_own(error: type[HarkError]) -> None:
    assert "code" in vars(error)
    assert re.fullmatch(r"[a-z]+(_[a-z]+)*", error.code)
    assert [other for other in CLASSES.values() if other.code == error.code] == [error]


@pytest.mark.parametrize("error", CONCRETE)
def test_a_concrete_error_has_a_title(error: type[HarkError]) -> None:
    assert error.title != HarkError.title
    assert error.title[0].isupper()
    assert not error.title.endswith(".")


@pytest.mark.parametrize("error", CONCRETE)
def test_a_concrete_errors_code_is_documented_under_its_status(error: type[HarkError]) -> None:
    document = (ROOT / "docs" / "api.md").read_text(encoding="utf-8")
    rows = [line for line in document.splitlines() if f"`{error.code}`" in line]
    assert any(row.startswith(f"| {status_of(error)} |") for row in rows)


def test_only_what_may_succeed_later_names_a_time() -> None:
    assert RETRY_AFTER_SECONDS
    assert {status_of(error) for error in RETRY_AFTER_SECONDS} <= {503, 504}
    assert min(RETRY_AFTER_SECONDS.values()) > 0


def errors_made_in(path: Path) -> Iterator[tuple[str, ast.Call]]:
    """Yield the domain's errors that a file makes: the name of the class, and the call."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Call):
            name = ast.unparse(node.func).removeprefix("errors.")
            if name in CLASSES:
                yield name, node


def last_words(message: ast.expr) -> str | None:
    """Return what a message ends with, or None where only the run will tell."""
    if isinstance(message, ast.JoinedStr):
        message = message.values[-1]
    if isinstance(message, ast.Constant) and isinstance(message.value, str):
        return message.value
    return None


MADE: Final = {
    f"{path.relative_to(ROOT)}:{call.lineno}": (name, call)
    for path in sorted((ROOT / "app").rglob("*.py"))
    for name, call in errors_made_in(path)
}


def test_concrete_errors_are_raised_and_no_others() -> None:
    assert {name for name, _ in MADE.values()} == {error.__name__ for error in CONCRETE}


@pytest.mark.parametrize("call", [call for _, call in MADE.values()], ids=list(MADE))
def test_an_errors_message_is_a_sentence(call: ast.Call) -> None:
    (message,) = call.args
    words = last_words(message)
    assert words is None or words.endswith(".")


def test_no_other_module_defines_errors_of_the_domain() -> None:
    defining = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "app").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ClassDef)
        and {ast.unparse(base).removeprefix("errors.") for base in node.bases} & set(CLASSES)
    }
    assert defining == {"app/errors.py"}
