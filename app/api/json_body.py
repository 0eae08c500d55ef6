"""JSON bodies: audio as base64, with options: `{"inputs": "...", "parameters": {...}}`."""

import asyncio
import binascii
from collections.abc import Iterator, Mapping
from typing import Any, Final

from pydantic import BaseModel, Field
from pydantic_core import from_json

from app.api.options import ClassifyOptions
from app.errors import MalformedUploadError, MissingFileError
from app.inference.arena import Block

_WHITE_SPACE: Final = b" \t\r\n"
_MAX_VALUES: Final = 10_000
_PIECE: Final = 1 << 20  # whole groups of four
_BEFORE_VALUES: Final = (b",", b"[", b"{")
_HOW_TO: Final = 'Send {"inputs": "<the file as base64>", "parameters": {"top_k": 3}}.'


class JsonUpload(BaseModel):
    """A file as base64, and options."""

    inputs: str = Field(
        description="The file's bytes as base64.", json_schema_extra={"format": "base64-audio"}
    )
    parameters: ClassifyOptions | None = Field(None, description="Options, by name.")


def is_json(upload: Block, content_type: str) -> bool:
    """Whether a body is JSON: it begins as an object does, which no audio file does.

    What begins as another JSON value is JSON only if its Content-Type says so.
    """
    first = upload.view()[:64].tobytes().lstrip(_WHITE_SPACE)[:1]
    kind = content_type.partition(";")[0].strip().lower()
    return first == b"{" or (first in (b"[", b'"') and kind.endswith("json"))


async def take_audio(upload: Block) -> Mapping[str, Any]:
    """Replace a block's JSON by the audio in it, and return the parameters beside that.

    Raises:
        MalformedUploadError: it is no JSON object, or its base64 is none.
        MissingFileError: it has no `inputs`.
    """
    content = parse_object(upload.view(), _HOW_TO)
    inputs = content.get("inputs")
    if not isinstance(inputs, str):
        raise MissingFileError(f"The JSON has no text under 'inputs'. {_HOW_TO}")
    parameters = content.get("parameters")
    if parameters is None:
        parameters = {}
    if not isinstance(parameters, dict):
        raise MalformedUploadError(f"The JSON's 'parameters' are no object. {_HOW_TO}")
    upload.rewrite(b"")
    for piece in base64_pieces(inputs, "inputs"):
        upload.write(piece)
        await asyncio.sleep(0)  # others get their turn: a large file takes a tenth of a second
    return parameters


def parse_object(body: memoryview, how_to: str, max_values: int = _MAX_VALUES) -> dict[str, Any]:
    """Parse a JSON object.

    Raises:
        MalformedUploadError: it is none, or holds more than `max_values` values.
    """
    data = body.tobytes()
    # Base64 holds none of these. Millions of empty objects would take seconds, and a gigabyte.
    if sum(map(data.count, _BEFORE_VALUES)) > max_values:
        raise MalformedUploadError(f"The JSON holds more than {max_values} values. {how_to}")
    try:
        content = from_json(data, allow_inf_nan=False, cache_strings="none")
    except ValueError as error:
        raise MalformedUploadError(f"The body is not valid JSON: {error}. {how_to}") from error
    if not isinstance(content, dict):
        raise MalformedUploadError(f"The JSON is no object. {how_to}")
    return content


def base64_pieces(text: str, name: str) -> Iterator[bytes]:
    """Decode base64, in one of its two alphabets, with or without a data URL's head.

    Yields:
        The bytes, up to 768 KiB at a time.

    Raises:
        MalformedUploadError: it is not base64.
    """
    if text.startswith("data:"):
        text = text.partition(",")[2]
    try:
        encoded = text.encode("ascii").translate(_TO_STANDARD_ALPHABET, _WHITE_SPACE).rstrip(b"=")
        encoded += b"=" * (-len(encoded) % 4)
        for start in range(0, len(encoded), _PIECE):
            yield binascii.a2b_base64(encoded[start : start + _PIECE], strict_mode=True)
    except ValueError as error:  # binascii.Error and UnicodeEncodeError are such
        raise MalformedUploadError(
            f"The text under {name!r} is not base64 ({error}). Encode it: base64 -w0 FILE."
        ) from error


_TO_STANDARD_ALPHABET: Final = bytes.maketrans(b"-_", b"+/")
