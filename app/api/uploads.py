"""Uploads: the file in a multipart body goes straight into shared memory as it arrives.

Starlette's own form parser would write it to a temporary file, to be read again, and has no limit
for the size of a part.
"""

import asyncio
from typing import Final

from fastapi import Request
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect

from app.errors import (
    DuplicateFileError,
    MalformedUploadError,
    MissingFileError,
    UploadTooLargeError,
    UploadTooSlowError,
)
from app.inference.arena import Block

FILE_FIELD: Final = "file"
_HOW_TO: Final = "Send one as multipart/form-data: curl -F file=@sound.wav"


async def receive_upload(
    request: Request, upload: Block, max_bytes: int, max_seconds: float
) -> None:
    """Receive a request's body, and write the file in it to `upload`.

    Args:
        request: a request whose body nobody has read.
        upload: an empty block of at least `max_bytes`.
        max_bytes: the largest body.
        max_seconds: how long it may take to arrive.

    Raises:
        UploadTooLargeError: the body is larger, or says that it will be.
        UploadTooSlowError: it did not arrive in time.
        MalformedUploadError: the body is no multipart body, or was cut off.
        MissingFileError: there is no part named `file`.
        DuplicateFileError: there is more than one.
    """
    _refuse_announced_size(request, max_bytes)
    receiver = _FileReceiver(_boundary_of(request), upload)
    n_received = 0
    try:
        async with asyncio.timeout(max_seconds):
            async for chunk in request.stream():
                n_received += len(chunk)
                if n_received > max_bytes:
                    raise _too_large(max_bytes)
                receiver.feed(chunk)
    except ClientDisconnect as error:
        raise MalformedUploadError("The connection ended before the upload did.") from error
    except TimeoutError as error:
        raise UploadTooSlowError(
            f"The upload did not arrive within {max_seconds:g} seconds. Send it over a faster "
            "connection, or a smaller file (MP3)."
        ) from error
    receiver.finish()


class _FileReceiver:
    """Finds the part named `file` in a multipart body, fed piece by piece."""

    def __init__(self, boundary: bytes, upload: Block) -> None:
        self._upload = upload
        self._n_files = 0
        self._in_file = False
        self._complete = False
        self._header_name = bytearray()
        self._header_value = bytearray()
        self._part_name = b""
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
        )

    def feed(self, chunk: bytes) -> None:
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
        self._in_file = False

    def _on_header_name(self, data: bytes, start: int, end: int) -> None:
        self._header_name += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header_value += data[start:end]

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


def _refuse_announced_size(request: Request, max_bytes: int) -> None:
    announced = request.headers.get("content-length", "")
    if announced.isdecimal() and int(announced) > max_bytes:
        raise _too_large(max_bytes)


def _too_large(max_bytes: int) -> UploadTooLargeError:
    return UploadTooLargeError(
        f"The upload is larger than {max_bytes / 1e6:g} MB, which is the limit. Send a shorter "
        "clip, or a compressed one (MP3, FLAC)."
    )
