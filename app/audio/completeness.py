"""Whether a file ends before its own structure says that it does.

libsndfile clamps what a header promises to what is there, and does not tell. So the lengths that
the containers state are read here; a file that states none, as a recording that was piped, is
taken to be whole. FLAC states its length in samples, which the decoder counts.
"""

import struct
from collections.abc import Iterator
from typing import Final, NamedTuple

from app.audio.signatures import end_of_id3

# Lengths that programs write who cannot come back to fill them in: ffmpeg, SoX, and all others.
_SHORTEST_PLACEHOLDER: Final = 0x7FFF_F000
_MAX_CHUNKS: Final = 10_000  # as many as libsndfile reads
_LONGEST_OGG_PAGE: Final = 27 + 255 + 255 * 255
# MPEG's frame header, side information and Xing's own header, with room for a CRC.
_XING_REACH: Final = 4 + 2 + 32 + 120
_XING_HAS_FRAMES: Final = 1
_XING_HAS_BYTES: Final = 2


class _Chunk(NamedTuple):
    name: bytes
    start: int  # of its content
    length: int


def ends_early(data: bytes | memoryview) -> bool:
    """Whether a file's samples were cut off, as far as its container tells."""
    head = bytes(data[:12])
    match head[:4]:
        case b"RIFF" | b"RF64":
            return _chunk_ends_early(data, b"data", "<")
        case b"RIFX":
            return _chunk_ends_early(data, b"data", ">")
        case b"FORM":
            return _chunk_ends_early(data, b"SSND", ">")
        case b"caff":
            return _caf_ends_early(data)
        case b"riff":
            return _w64_ends_early(data)
        case b".snd":
            return _au_ends_early(data)
        case b"OggS":
            return _ogg_ends_early(data)
        case b"fLaC":
            return False
    return _mp3_ends_early(data)


def _chunk_ends_early(data: bytes | memoryview, name: bytes, byte_order: str) -> bool:
    """RIFF and its kin: chunks of a name, a 32-bit length, and content, padded to even lengths."""
    length_64_bit: int | None = None
    for chunk in _chunks(data, 12, f"{byte_order}4sI", alignment=2):
        if chunk.name == b"ds64" and chunk.start + 16 <= len(data):
            (length_64_bit,) = struct.unpack_from("<Q", data, chunk.start + 8)
        if chunk.name == name:
            length = chunk.length
            if length_64_bit is not None and length == 0xFFFF_FFFF:
                return chunk.start + length_64_bit > len(data)
            return length < _SHORTEST_PLACEHOLDER and chunk.start + length > len(data)
    return False


def _caf_ends_early(data: bytes | memoryview) -> bool:
    for chunk in _chunks(data, 8, ">4sq"):
        if chunk.name == b"data":
            return chunk.start + chunk.length > len(data)  # -1 stands for «to the end»
    return False


def _w64_ends_early(data: bytes | memoryview) -> bool:
    for chunk in _chunks(data, 40, "<16sQ", alignment=8, counts_header=True):
        if chunk.name[:4] == b"data":
            return chunk.start + chunk.length > len(data)
    return False


def _au_ends_early(data: bytes | memoryview) -> bool:
    if len(data) < 12:
        return True
    start, length = struct.unpack_from(">II", data, 4)
    return bool(length < _SHORTEST_PLACEHOLDER and start + length > len(data))


def _ogg_ends_early(data: bytes | memoryview) -> bool:
    """Ogg marks the last page of a stream; a page states its segments' lengths."""
    tail = bytes(data[-_LONGEST_OGG_PAGE:])
    page = tail.rfind(b"OggS")
    if page < 0 or len(tail) < page + 27:
        return True
    is_last = tail[page + 5] & 4
    n_segments = tail[page + 26]
    end = page + 27 + n_segments + sum(tail[page + 27 : page + 27 + n_segments])
    return not is_last or end > len(tail)


def _mp3_ends_early(data: bytes | memoryview) -> bool:
    """MP3 states its length in bytes where its encoder wrote a Xing header into the first frame."""
    start = end_of_id3(data)
    reach = bytes(data[start : start + _XING_REACH])
    mark = max(reach.find(b"Xing"), reach.find(b"Info"))
    if mark < 0 or len(reach) < mark + 16:
        return False
    (flags,) = struct.unpack_from(">I", reach, mark + 4)
    if not flags & _XING_HAS_BYTES:
        return False
    (length,) = struct.unpack_from(">I", reach, mark + (12 if flags & _XING_HAS_FRAMES else 8))
    return bool(start + length > len(data))


def _chunks(
    data: bytes | memoryview,
    start: int,
    header_format: str,
    alignment: int = 1,
    *,
    counts_header: bool = False,
) -> Iterator[_Chunk]:
    header = struct.Struct(header_format)
    for _ in range(_MAX_CHUNKS):
        if start + header.size > len(data):
            return
        name, length = header.unpack_from(data, start)
        if counts_header:
            length -= header.size
        start += header.size
        yield _Chunk(name, start, length)
        if length < 0:
            return
        start += -(-length // alignment) * alignment
