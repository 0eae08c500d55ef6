"""Containers by their first bytes: those that FFmpeg's decoders are needed for. Light.

All other bytes are libsndfile's, which recognises formats by itself. FFmpeg is never asked what a
file is: it knows some three hundred formats, of which several open other files by name.
"""

from dataclasses import dataclass
from typing import Final, Literal

# What libsndfile decodes, and what FFmpeg does.
ALWAYS_ACCEPTED_IN_WORDS: Final = "WAV, MP3, FLAC, Ogg Vorbis, Opus or AIFF"
ACCEPTED_FORMATS_IN_WORDS: Final = (
    "WAV, MP3, FLAC, Ogg Vorbis, Opus, AIFF, WebM, MP4, M4A, AAC or AMR"
)

Demuxer = Literal["matroska", "mov", "aac", "amr"]

_MATROSKA: Final = b"\x1aE\xdf\xa3"
_MATROSKA_HEAD: Final = 64  # within which a file says whether it is WebM
_AMR: Final = (b"#!AMR\n", b"#!AMR-WB\n")
# QuickTime's files from before `ftyp` begin with one of these.
_QUICKTIME_BOXES: Final = frozenset({b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot"})
_MP4_BOXES: Final = frozenset({b"ftyp", b"styp"})
_ADTS_HEADER_BYTES: Final = 7
_N_ADTS_RATES: Final = 13


@dataclass(frozen=True, slots=True)
class Container:
    """A container that FFmpeg reads.

    Attributes:
        name: what people call it.
        demuxer: what FFmpeg calls that which reads it.
    """

    name: str
    demuxer: Demuxer


def container_of(data: bytes | memoryview) -> Container | None:
    """Return the container that the first bytes are those of; None where it is none of these."""
    head = bytes(data[:_MATROSKA_HEAD])
    if head.startswith(_MATROSKA):
        return Container("WebM" if b"webm" in head else "Matroska", "matroska")
    if head.startswith(_AMR):
        return Container("AMR", "amr")
    if (name := _mp4_name(head, len(data))) is not None:
        return Container(name, "mov")
    if _is_adts(data, end_of_id3(data)):
        return Container("AAC", "aac")
    return None


def end_of_id3(data: bytes | memoryview) -> int:
    """Return where an ID3v2 tag before the audio ends; 0 where there is none."""
    head = bytes(data[:10])
    if head[:3] != b"ID3" or len(head) < 10:
        return 0
    length = 0
    for byte in head[6:10]:  # seven bits each
        length = length << 7 | byte & 0x7F
    return len(head) + length


def adts_frame_bytes(header: bytes) -> int:
    """Return the length of the AAC frame that begins with `header`; 0 where none does."""
    if len(header) < _ADTS_HEADER_BYTES or header[0] != 0xFF or header[1] & 0xF6 != 0xF0:
        return 0
    if header[2] >> 2 & 0xF >= _N_ADTS_RATES:
        return 0
    length = (header[3] & 3) << 11 | header[4] << 3 | header[5] >> 5
    return length if length > _ADTS_HEADER_BYTES else 0


def _mp4_name(head: bytes, n_bytes: int) -> str | None:
    size, kind, brand = int.from_bytes(head[:4], "big"), head[4:8], head[8:12]
    if kind in _MP4_BOXES:
        if brand[:3] in (b"3gp", b"3g2"):
            return "3GP"
        return {b"M4A ": "M4A", b"M4B ": "M4A", b"qt  ": "QuickTime"}.get(brand, "MP4")
    # Letters alone may begin a text: the size before them must be one.
    if kind in _QUICKTIME_BOXES and (size <= 1 or 8 <= size <= n_bytes):
        return "QuickTime"
    return None


def _is_adts(data: bytes | memoryview, start: int) -> bool:
    """Whether two AAC frames follow each other, or one is all that there is.

    A frame's mark has 14 bits, which chance and MP3's damages bring about.
    """
    length = adts_frame_bytes(bytes(data[start : start + _ADTS_HEADER_BYTES]))
    following = bytes(data[start + length : start + length + _ADTS_HEADER_BYTES])
    return length > 0 and (
        adts_frame_bytes(following) > 0 or (start == 0 and len(following) < _ADTS_HEADER_BYTES)
    )
