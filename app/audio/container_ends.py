"""Whether a file that FFmpeg reads ends before its own structure says that it does.

FFmpeg gives what is there, and tells of a file's early end only by what it logs. `completeness` is
the same for what libsndfile reads.
"""

from collections.abc import Callable
from typing import Final

from app.audio.signatures import Container, Demuxer, adts_frame_bytes, end_of_id3

# Half an hour of packets of 20 ms; a tenth of a second to walk. Whoever has more ends as they say.
_MAX_PARTS: Final = 100_000

_SEGMENT: Final = 0x18538067
_CLUSTER: Final = 0x1F43B675
_LONGEST_ELEMENT_HEADER: Final = 4 + 8

# Bytes of a frame by its type, the byte before it included; 0 for types that there are none of.
_AMR_NB_BYTES: Final = (13, 14, 16, 18, 20, 21, 27, 32, 6, 0, 0, 0, 0, 0, 0, 1)
_AMR_WB_BYTES: Final = (18, 24, 33, 37, 41, 47, 51, 59, 61, 6, 0, 0, 0, 0, 1, 1)
_AMR_NB: Final = b"#!AMR\n"
_AMR_WB: Final = b"#!AMR-WB\n"


def container_ends_early(data: bytes | memoryview, container: Container) -> bool:
    """Whether a file's samples were cut off, as far as its container tells."""
    return _ENDS_EARLY[container.demuxer](data)


def _mp4_ends_early(data: bytes | memoryview) -> bool:
    """Boxes of a 32-bit length, which counts itself, and a name."""
    start = 0
    for _ in range(_MAX_PARTS):
        if start >= len(data):
            break
        length = int.from_bytes(data[start : start + 4], "big")
        if length == 1:  # the length has 64 bits, after the name
            length = int.from_bytes(data[start + 8 : start + 16], "big")
        if 0 <= length < 8 and start + 8 <= len(data):
            return False  # 0 stands for «to the end»
        start += max(length, 8)
    return start > len(data)


def _matroska_ends_early(data: bytes | memoryview) -> bool:
    """Elements of a name, a length, and content that is elements again.

    A recording that was made on the fly states no length for its segment and its clusters, but for
    each packet.
    """
    start = 0
    for _ in range(_MAX_PARTS):
        if start >= len(data):
            break
        name, length, n_header = _element(bytes(data[start : start + _LONGEST_ELEMENT_HEADER]))
        if n_header == 0:
            # No element begins here; or one does, and not even its header is whole.
            return len(data) - start < _LONGEST_ELEMENT_HEADER and data[start] != 0
        start += n_header
        if length is not None:
            start += length
        elif name not in (_SEGMENT, _CLUSTER):
            return False
    return start > len(data)


def _element(header: bytes) -> tuple[int, int | None, int]:
    """Return an element's name, its content's length, None for unknown, and its header's length.

    The last is 0 where `header` is none, or breaks off.
    """
    n_name = 9 - header[0].bit_length()
    if n_name > 4 or n_name >= len(header):
        return 0, None, 0
    name = int.from_bytes(header[:n_name], "big")
    n_length = 9 - header[n_name].bit_length()
    n_header = n_name + n_length
    if n_length > 8 or n_header > len(header):
        return 0, None, 0
    unknown = (1 << 7 * n_length) - 1
    length = int.from_bytes(header[n_name:n_header], "big") & unknown
    return name, None if length == unknown else length, n_header


def _adts_ends_early(data: bytes | memoryview) -> bool:
    start = end_of_id3(data)
    for _ in range(_MAX_PARTS):
        header = bytes(data[start : start + 7])
        length = adts_frame_bytes(header)
        if length == 0:
            return 0 < len(header) < 7 and header[0] == 0xFF
        start += length
    return start > len(data)


def _amr_ends_early(data: bytes | memoryview) -> bool:
    is_wide = bytes(data[: len(_AMR_WB)]) == _AMR_WB
    frame_bytes = _AMR_WB_BYTES if is_wide else _AMR_NB_BYTES
    start = len(_AMR_WB if is_wide else _AMR_NB)
    for _ in range(_MAX_PARTS):
        if start >= len(data):
            break
        length = frame_bytes[data[start] >> 3 & 0xF]
        if length == 0:
            return False
        start += length
    return start > len(data)


_ENDS_EARLY: Final[dict[Demuxer, Callable[[bytes | memoryview], bool]]] = {
    "matroska": _matroska_ends_early,
    "mov": _mp4_ends_early,
    "aac": _adts_ends_early,
    "amr": _amr_ends_early,
}
