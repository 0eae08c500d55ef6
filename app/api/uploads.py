"""Uploads: the file in a multipart body goes straight into shared memory as it arrives.

Starlette's own form parser would write it to a temporary file, to be read again. How large the
body is and how long it takes is seen to by `app.api.body_limits`, for every route.
"""

from dataclasses import dataclass
from typing import Final

from fastapi import Request
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect

from app.errors import (
    CompressedUploadError,
    DuplicateFileError,
    MalformedUploadError,
    MissingFileError,
    PartHeadersTooLargeError,
    TooManyPartsError,
)
from app.inference.arena import Block

FILE_FIELD: Final = "file"
_COUNTED_HERE: Final = 1 << 31  # the parser's own limit, out of the way of ours
_HOW_TO: Final = "Send one as multipart/form-data: curl -F file=@sound.wav"


@dataclass(frozen=True, slots=True)
class PartLimits:
    """How many parts a multipart body may have, and how many bytes of headers each of them."""

    max_parts: int
    max_header_bytes: int


async def receive_upload(request: Request, upload: Block, limits: PartLimits) -> None:
    """Receive a request's body, and write the file in it to `upload`.

    Args:
        request: a request whose body nobody has read, and which `BodyLimits` has gone before.
        upload: an empty block of at least as many bytes as a body may have.
        limits: what the body may be made of.

    Raises:
        CompressedUploadError: the body is compressed.
        UploadTooLargeError: the body is larger than the limit, or says that it will be.
        UploadTooSlowError: it did not arrive in time.
        MalformedUploadError: the body is no multipart body, or was cut off.
        TooManyPartsError: it has more parts than the limit.
        PartHeadersTooLargeError: a part has more bytes of headers than the limit.
        MissingFileError: there is no part named `file`.
        DuplicateFileError: there is more than one.
    """
    _refuse_compression(request)
    receiver = _FileReceiver(_boundary_of(request), upload, limits)
    try:
        async for chunk in request.stream():
            receiver.feed(chunk)
    except ClientDisconnect as error:
        raise MalformedUploadError("The connection ended before the upload did.") from error
    receiver.finish()


class _FileReceiver:
    """Finds the part named `file` in a multipart body, fed piece by piece."""

    def __init__(self, boundary: bytes, upload: Block, limits: PartLimits) -> None:
        self._upload = upload
        self._limits = limits
        self._n_parts = 0
        self._n_files = 0
        self._in_file = False
        self._begun = False
        self._complete = False
        self._header_name = bytearray()
        self._header_value = bytearray()
        self._part_name = b""
        self._part_header_bytes = 0
        self._parser = MultipartParser(
            boundary,
            {
                "on_part_begin": self._on_part_begin,
                "on_header_field": self._on_header_name,
                "on_header_value": self._on_header_value,
                "on_header_end": self._on_header_end,
                "on_headers_finished": self._on_headers_finished,
                "on_part_data": self._on_part_data,
                "on_end": self._on_end,
            },
            max_header_count=limits.max_header_bytes,
            max_header_size=_COUNTED_HERE,
        )

    def feed(self, chunk: bytes) -> None:
        if not self._begun:
            # The parser would take a preamble after an empty line, if both come in one piece.
            chunk = chunk.lstrip(b"\r\n")
            self._begun = bool(chunk)
        if not chunk:
            return
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise MalformedUploadError(
                f"The multipart body breaks off or contradicts itself. {_HOW_TO}"
            ) from error

    def finish(self) -> None:
        if not self._complete:
            raise MalformedUploadError(
                f"The multipart body ends before its closing boundary. {_HOW_TO}"
            )
        if self._n_files == 0:
            raise MissingFileError(f"The request has no part named {FILE_FIELD!r}. {_HOW_TO}")

    def _on_part_begin(self) -> None:
        self._part_name = b""
        self._part_header_bytes = 0
        self._in_file = False
        self._n_parts += 1
        if self._n_parts > self._limits.max_parts:
            raise TooManyPartsError(
                f"The multipart body has more than {self._limits.max_parts} parts, which is the "
                "limit. Send the file alone."
            )

    def _on_header_name(self, data: bytes, start: int, end: int) -> None:
        self._count_header_bytes(end - start)
        self._header_name += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._count_header_bytes(end - start)
        self._header_value += data[start:end]

    def _count_header_bytes(self, n_bytes: int) -> None:
        self._part_header_bytes += n_bytes
        if self._part_header_bytes > self._limits.max_header_bytes:
            raise PartHeadersTooLargeError(
                f"A part of the multipart body has more than {self._limits.max_header_bytes} bytes "
                "of headers, which is the limit. Send the file under a shorter name."
            )

    def _on_header_end(self) -> None:
        if self._header_name.lower() == b"content-disposition":
            _, options = parse_options_header(bytes(self._header_value))
            self._part_name = options.get(b"name", b"")
        self._header_name.clear()
        self._header_value.clear()

    def _on_headers_finished(self) -> None:
        self._in_file = self._part_name == FILE_FIELD.encode()
        self._n_files += self._in_file
        if self._n_files > 1:
            raise DuplicateFileError(
                f"The request has more than one part named {FILE_FIELD!r}. Send one file a request."
            )

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        if self._in_file:
            self._upload.write(memoryview(data)[start:end])

    def _on_end(self) -> None:
        self._complete = True


def _boundary_of(request: Request) -> bytes:
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    if kind != b"multipart/form-data":
        raise MissingFileError(f"The request carries no file. {_HOW_TO}")
    boundary = options.get(b"boundary", b"")
    # The lengths that RFC 2046 allows; the parser would refuse others with an error of its own.
    if not 1 <= len(boundary) <= 70:
        raise MalformedUploadError(
            f"The Content-Type names no boundary of 1 to 70 characters. {_HOW_TO}"
        )
    return boundary


def _refuse_compression(request: Request) -> None:
    codings = ",".join(request.headers.getlist("content-encoding")).lower().split(",")
    if any(coding.strip() not in ("identity", "") for coding in codings):
        raise CompressedUploadError(
            "The body is compressed, as its Content-Encoding says. Send it as it is: MP3, FLAC and "
            "Ogg are compressed already."
        )
