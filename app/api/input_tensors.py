"""Input tensors of the Open Inference Protocol become audio files in shared memory.

Their elements stand in JSON, or as little-endian bytes after it. Samples become WAV files, so that
they take the same road as all others. NumPy is not needed for any of it.
"""

import asyncio
import math
import struct
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Final

from app.api.classification import MAX_BATCH_FILES
from app.api.inference_schemas import (
    FilesInput,
    InferRequest,
    SamplesInput,
)
from app.api.json_body import base64_pieces
from app.audio.wav_header import wav_header
from app.errors import InvalidParameterError, MalformedUploadError, UploadTooLargeError
from app.inference.arena import Block

_PLACE: Final = "inputs.0"
_BASE64: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/-_=\r\n"
_SAMPLE_BYTES: Final = 4
_LENGTH: Final = struct.Struct("<I")


async def write_files(
    request: InferRequest, binary: memoryview, upload: Block
) -> list[tuple[int, int]]:
    """Write the audio of a request to a block, as files one behind the other.

    Args:
        request: what the JSON says.
        binary: the bytes after it; not those of the block itself.
        upload: the block, whatever is in it.

    Returns:
        Where in the block each file lies: its start and its length, in bytes.

    Raises:
        InvalidParameterError: the tensor is not what it says of itself.
        MalformedUploadError: its base64 is none.
        UploadTooLargeError: its files are larger than an upload may be.
    """
    upload.rewrite(b"")
    extents = []
    for pieces in _files_in(request, binary):
        start = upload.length
        for piece in pieces:
            try:
                upload.write(piece)
            except ValueError as error:
                raise UploadTooLargeError(
                    f"{_PLACE}: as audio files, the samples are larger than an upload may be. "
                    "Send fewer, or compressed files (MP3, FLAC) in the tensor 'audio'."
                ) from error
            await asyncio.sleep(0)  # others get their turn
        extents.append((start, upload.length - start))
    return extents


def _files_in(request: InferRequest, binary: memoryview) -> Iterator[Iterable[bytes | memoryview]]:
    """Yield each file of a request's tensor, in pieces."""
    tensor = request.inputs[0]
    _check_size(tensor, binary)
    if isinstance(tensor, SamplesInput):
        return _clips(tensor, binary, request.parameters.sample_rate)
    return _audio_files(tensor, binary)


def _check_size(tensor: FilesInput | SamplesInput, binary: memoryview) -> None:
    size = tensor.parameters.binary_data_size
    if size is None and tensor.data is None:
        raise InvalidParameterError(
            f"{_PLACE}.data: the tensor has none, and no 'binary_data_size' among its parameters "
            "either. Send one of both; shared memory is not taken."
        )
    if size is not None and tensor.data is not None:
        raise InvalidParameterError(
            f"{_PLACE}.data: the tensor has a 'binary_data_size' too. Send one of both."
        )
    if len(binary) != (size or 0):
        raise InvalidParameterError(
            f"{_PLACE}.parameters.binary_data_size: it is {size or 0}, but {len(binary)} bytes "
            "come after the JSON, whose length Inference-Header-Content-Length says."
        )


def _audio_files(tensor: FilesInput, binary: memoryview) -> Iterator[Iterable[bytes | memoryview]]:
    n_files, *rest = tensor.shape
    if rest not in ([], [1]):
        raise InvalidParameterError(
            f"{_PLACE}.shape: 'audio' holds a file an element; its shape is [n] or [n, 1], and not "
            f"{tensor.shape}."
        )
    _check_number(n_files)
    if tensor.data is None:
        elements: Sequence[Any] = _length_prefixed(binary)
    else:
        elements = _flat(tensor.data, len(tensor.shape))
        if not all(isinstance(element, str) for element in elements):
            raise InvalidParameterError(f"{_PLACE}.data: BYTES are text in JSON: base64 of a file.")
    _check_elements(len(elements), tensor.shape)
    for place, element in enumerate(elements):
        if isinstance(element, str):
            yield base64_pieces(element, f"{_PLACE}.data.{place}")
        else:
            yield _pieces_of(element)


def _pieces_of(element: memoryview) -> Iterable[bytes | memoryview]:
    """Return a file that came as bytes: as it is, or as base64, which no audio begins like."""
    if not bytes(element[:64]).strip(_BASE64):
        try:
            return list(base64_pieces(str(element, "ascii"), "audio"))
        except (MalformedUploadError, UnicodeDecodeError):
            pass  # what it is instead, the decoder may say
    return [element]


def _clips(
    tensor: SamplesInput, binary: memoryview, sample_rate_hz: int | None
) -> Iterator[Iterable[bytes | memoryview]]:
    *outer, n_samples = tensor.shape
    _check_number(math.prod(outer))
    rate = tensor.parameters.sample_rate or sample_rate_hz
    if rate is None:
        raise InvalidParameterError(
            "sample_rate: it is missing. Say how many samples a second has, in the parameters of "
            'the request or of the tensor: {"sample_rate": 16000}.'
        )
    row_bytes = _SAMPLE_BYTES * n_samples
    if tensor.data is None:
        rows = binary
        _check_elements(len(binary) / _SAMPLE_BYTES, tensor.shape)
    else:
        values = _flat(tensor.data, len(tensor.shape))
        _check_elements(len(values), tensor.shape)
        rows = memoryview(_packed(values))
    header = wav_header(row_bytes, rate, 1, "pcm_f32le")
    for start in range(0, len(rows), row_bytes):
        yield header, rows[start : start + row_bytes]


def _packed(values: list[Any]) -> bytes:
    # JSON's true would pass for 1.
    if not {float, int}.issuperset(map(type, values)):
        raise InvalidParameterError(f"{_PLACE}.data: FP32 are numbers in JSON, and nothing else.")
    try:
        return struct.pack(f"<{len(values)}f", *values)
    except (OverflowError, struct.error) as error:
        raise InvalidParameterError(
            f"{_PLACE}.data: a number is larger than FP32 can be. Full scale is 1."
        ) from error


def _flat(data: Any, n_axes: int) -> list[Any]:
    """Return what may be nested as the tensor is, row by row."""
    for _ in range(n_axes - 1):
        if isinstance(data, list) and data and isinstance(data[0], list):
            if not all(isinstance(row, list) for row in data):
                break
            data = [value for row in data for value in row]
    if not isinstance(data, list):
        raise InvalidParameterError(f"{_PLACE}.data: it is no list.")
    return data


def _length_prefixed(binary: memoryview) -> list[memoryview]:
    """Split BYTES: each element comes after its length, of four bytes."""
    elements: list[memoryview] = []
    start = 0
    while start < len(binary) and len(elements) <= MAX_BATCH_FILES:
        begin = start + _LENGTH.size
        end = begin + (_LENGTH.unpack_from(binary, start)[0] if begin <= len(binary) else 0)
        if max(begin, end) > len(binary):
            raise InvalidParameterError(
                f"{_PLACE}: its binary data end within the element {len(elements)}. Each is its "
                "length (4 bytes, little-endian) and then as many bytes."
            )
        elements.append(binary[begin:end])
        start = end
    return elements


def _check_number(n_files: int) -> None:
    if n_files > MAX_BATCH_FILES:
        raise InvalidParameterError(
            f"{_PLACE}.shape: at most {MAX_BATCH_FILES} clips are taken in a request, and it says "
            f"{n_files}. Send the others in a request of their own."
        )


def _check_elements(n_elements: float, shape: list[int]) -> None:
    if n_elements != math.prod(shape):
        raise InvalidParameterError(
            f"{_PLACE}.shape: {shape} makes {math.prod(shape)} elements, but the data hold "
            f"{n_elements:g}."
        )
