"""What a target of the fuzzer is."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Note = Callable[[str], None]


def note_nothing(_: str) -> None:
    """Take no notice of what an input brought about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """One function that is fed arbitrary bytes. Each module `tests.fuzz.fuzz_*` has one.

    Attributes:
        check: takes an input and returns what came of it: the name of an error that is meant to be
            raised, or of success. Whatever it raises is a finding. It calls the function that it
            is given with what an input brought about, as far as it can tell: an input that brings
            about something new is kept, and damaged further.
        outcomes: all that `check` may return.
        seeds: what to begin with, by name.
        words: bytes that the inputs are made of.
        mend: repairs checksums of an input, so that it gets past them.
        max_bytes: the largest input.
    """

    check: Callable[[bytes, Note], str]
    outcomes: tuple[str, ...]
    seeds: Callable[[], dict[str, bytes]]
    words: tuple[bytes, ...]
    mend: Callable[[bytes], bytes] | None = None
    max_bytes: int = 8_192


def names_of(base: type[Exception]) -> tuple[str, ...]:
    """Return the names of an exception and of all that are derived from it."""
    found = [base.__name__]
    for derived in base.__subclasses__():
        found += names_of(derived)
    return tuple(found)


def dictionary_of(words: tuple[bytes, ...]) -> str:
    """Return words as a file of libFuzzer's."""
    escaped = ("".join(f"\\x{byte:02x}" for byte in word) for word in words)
    return "".join(f'"{word}"\n' for word in escaped)


def unexpected(message: str, **what: Any) -> AssertionError:
    """Return the error of an answer that must not be."""
    details = ", ".join(f"{name}={value!r}" for name, value in what.items())
    return AssertionError(f"{message}: {details}")
