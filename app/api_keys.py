"""API keys: who may ask, as a file of hashes says, which is read again whenever it changes.

    [[keys]]
    name = "dashboard"
    sha256 = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08"
    scopes = ["classify"]

A key is 256 random bits, so one round of SHA-256 hides it: there is nothing to guess.
"""

import hashlib
import hmac
import logging
import secrets
import tomllib
from enum import StrEnum
from pathlib import Path
from typing import Final

from pydantic import BaseModel, ConfigDict, Field, ValidationError

logger = logging.getLogger(__name__)

KEY_PREFIX: Final = "hark_"  # so that secret scanners know one when they see it


NAME_PATTERN: Final = r"^[A-Za-z0-9._-]{1,64}$"


class Scope(StrEnum):
    """What a key is for."""

    CLASSIFY = "classify"
    ADMIN = "admin"


class KeysFileError(Exception):
    """The file of API keys cannot be read; the message says why."""


class ApiKey(BaseModel):
    """What is known of a key: not the key."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=NAME_PATTERN)
    sha256: str = Field(pattern=r"^[0-9a-f]{64}$")
    scopes: frozenset[Scope] = Field(min_length=1)


class _KeysFile(BaseModel):
    model_config = ConfigDict(extra="forbid")

    keys: list[ApiKey] = Field(min_length=1)


class ApiKeys:
    """The keys of a file.

    Args:
        path: the file.

    Raises:
        KeysFileError: it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._version = self._version_of_file()
        self._keys = _read(path)

    def find(self, key: str) -> ApiKey | None:
        """Return what is known of a key, or None where it is unknown.

        Every hash is compared, in a time that does not depend on where they differ.
        """
        self._refresh()
        sha256 = hash_of(key)
        found = None
        for known in self._keys:
            if hmac.compare_digest(known.sha256, sha256):
                found = known
        return found

    def _refresh(self) -> None:
        """Read the file again if it has changed; keep what was read before where that fails."""
        version = self._version_of_file()
        if version == self._version:
            return
        self._version = version
        try:
            self._keys = _read(self._path)
        except KeysFileError as error:
            logger.error("the keys from before are kept", extra={"reason": str(error)})  # noqa: TRY400
        else:
            logger.info("the file of API keys was read again", extra={"keys": len(self._keys)})

    def _version_of_file(self) -> tuple[int, int, int] | None:
        try:
            status = self._path.stat()
        except OSError:
            return None
        return status.st_mtime_ns, status.st_ino, status.st_size


def make_key() -> str:
    """Return a new key: the prefix and 256 random bits."""
    return KEY_PREFIX + secrets.token_urlsafe(32)


def hash_of(key: str) -> str:
    """Return the sha256 of a key, as the file has it."""
    return hashlib.sha256(key.encode()).hexdigest()


def _read(path: Path) -> list[ApiKey]:
    try:
        return _KeysFile.model_validate(tomllib.loads(path.read_text(encoding="utf-8"))).keys
    except OSError as error:
        raise KeysFileError(f"{path} cannot be read: {error.strerror}.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise KeysFileError(f"{path} is not TOML: {error}.") from error
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        raise KeysFileError(f"{path}: {place}: {first['msg']}.") from error
