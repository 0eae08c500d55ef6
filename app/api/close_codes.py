"""Close codes: how a live stream ends, for each error (RFC 6455, section 7.4).

Where the registered codes have none that fits, it is 4000 and the HTTP status.
"""

from typing import Final

from app import errors

DONE: Final = 1000
_DEFECT: Final = 1011
_LONGEST_REASON_BYTES: Final = 123

CLOSE_CODE_OF_ERROR: Final[dict[type[Exception], int]] = {
    errors.HarkError: _DEFECT,
    errors.MisplacedMessageError: 1003,
    errors.MalformedMessageError: 1007,
    errors.InvalidParameterError: 1007,
    errors.AudioError: 1007,
    errors.AccessError: 1008,
    errors.StreamTooLargeError: 1009,
    errors.StoppingError: 1012,
    errors.UnavailableError: 1013,
    errors.UnknownModelError: 4404,
    errors.UnknownVersionError: 4404,
    errors.UnknownAliasError: 4404,
    errors.StreamIdleError: 4408,
}
# What is counted under its own number; clients may send any.
KNOWN_CODES: Final = frozenset({*range(1000, 1004), *range(1005, 1016), 4404, 4408})


def close_code_of(error_type: type[Exception]) -> int:
    """Return the close code of an error's nearest base that has one, or that of a defect."""
    for base in error_type.__mro__:
        if base in CLOSE_CODE_OF_ERROR:
            return CLOSE_CODE_OF_ERROR[base]
    return _DEFECT


def reason_of(code: str, title: str) -> str:
    """Return the words that go with a close code; the protocol has room for 123 bytes."""
    return f"{code}: {title}".encode()[:_LONGEST_REASON_BYTES].decode(errors="ignore")
