"""Uploads: a request's body becomes the bytes of a file in shared memory, and options.

A file comes as a part of a form, as the body itself, or as base64 in JSON; the bytes decide, but
for a form, which its Content-Type names. How large the body is and how long it takes is seen to by
`app.api.body_limits`, for every route.
"""

from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from fastapi import Request
from starlette.requests import ClientDisconnect

from app.api.json_body import is_json, take_audio
from app.api.multipart import HOW_TO, MultipartReceiver, PartLimits
from app.errors import CompressedUploadError, MalformedUploadError, MissingFileError
from app.inference.arena import Block

_MULTIPART = "multipart/form-data"


@dataclass(frozen=True, slots=True)
class Received:
    """What a body held beside the bytes that were written to the block.

    Attributes:
        extents: where in the block each file lies: its start and its length, in bytes.
        parameters: options by name, as they were sent.
    """

    extents: list[tuple[int, int]]
    parameters: Mapping[str, Any] = field(default_factory=dict)


async def receive_upload(request: Request, upload: Block, limits: PartLimits) -> Received:
    """Receive a request's body, and write the file in it, or the files, to `upload`.

    Args:
        request: a request whose body nobody has read, and which `BodyLimits` has gone before.
        upload: an empty block of at least as many bytes as a body may have.
        limits: what a form may be made of.

    Raises:
        CompressedUploadError: the body is compressed.
        UploadTooLargeError: the body is larger than the limit, or says that it will be.
        UploadTooSlowError: it did not arrive in time.
        MalformedUploadError: the body is a broken form or broken JSON, or was cut off.
        TooManyPartsError: the form has more parts, or files, than the limit.
        PartHeadersTooLargeError: a part has more bytes of headers than the limit.
        MissingFileError: there is no file.
        DuplicateFileError: there is more than one.
        InvalidParameterError: an option is too long.
    """
    content_type = request.headers.get("content-type", "")
    if content_type.partition(";")[0].strip().lower() == _MULTIPART:
        return await _receive_form(request, MultipartReceiver(content_type, upload, limits))
    await receive_body(request, upload)
    if upload.length == 0:
        raise MissingFileError(f"The request carries no file. {HOW_TO}")
    parameters = await take_audio(upload) if is_json(upload, content_type) else {}
    return Received([(0, upload.length)], parameters)


async def receive_body(request: Request, upload: Block) -> None:
    """Receive a request's body, whatever it is, and write it to `upload`.

    Args:
        request: as for `receive_upload`.
        upload: likewise.

    Raises:
        CompressedUploadError: the body is compressed.
        UploadTooLargeError: it is larger than the limit, or says that it will be.
        UploadTooSlowError: it did not arrive in time.
        MalformedUploadError: it was cut off.
    """
    async for chunk in _chunks(request):
        upload.write(chunk)


async def _receive_form(request: Request, receiver: MultipartReceiver) -> Received:
    async for chunk in _chunks(request):
        receiver.feed(chunk)
    receiver.finish()
    return Received(receiver.extents, receiver.parameters)


async def _chunks(request: Request) -> AsyncIterator[bytes]:
    _refuse_compression(request)
    try:
        async for chunk in request.stream():
            yield chunk
    except ClientDisconnect as error:
        raise MalformedUploadError("The connection ended before the upload did.") from error


def _refuse_compression(request: Request) -> None:
    codings = ",".join(request.headers.getlist("content-encoding")).lower().split(",")
    if any(coding.strip() not in ("identity", "") for coding in codings):
        raise CompressedUploadError(
            "The body is compressed, as its Content-Encoding says. Send it as it is: MP3, FLAC and "
            "Ogg are compressed already."
        )
