"""Bytes of containers, written by hand: what no encoder would write, or not in a test's time."""

import struct
import zlib
from typing import Final, NamedTuple

FLAC_BLOCK_FRAMES: Final = 65_535  # the most that a block's header can state

_OGG_HEADER: Final = struct.Struct("<4sBBqIIIB")
_OGG_ENDS: Final = 4
_REVERSED_BITS: Final = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def chunk(name: bytes, content: bytes = b"", byte_order: str = "<") -> bytes:
    """Return a chunk of RIFF, or of AIFF where the byte order is «>»."""
    return name + struct.pack(byte_order + "I", len(content)) + content + bytes(len(content) % 2)


def riff(*chunks: bytes) -> bytes:
    """Return a WAV of these chunks."""
    return chunk(b"RIFF", b"WAVE" + b"".join(chunks))


def aiff(*chunks: bytes) -> bytes:
    """Return an AIFF of these chunks."""
    return chunk(b"FORM", b"AIFF" + b"".join(chunks), ">")


def wav_format(
    tag: int = 1,
    *,
    channels: int = 1,
    sample_rate_hz: int = 22_050,
    block_align: int = 2,
    bits: int = 16,
    extra: bytes = b"",
) -> bytes:
    """Return the chunk in which a WAV states its format."""
    bytes_a_second = sample_rate_hz * block_align
    stated = (tag, channels, sample_rate_hz, bytes_a_second, block_align, bits)
    return chunk(b"fmt ", struct.pack("<HHIIHH", *stated) + extra)


def id3(n_bytes: int) -> bytes:
    """Return the header of an ID3v2 tag that claims a size, in four bytes of seven bits."""
    return b"ID3\x04\0\0" + bytes(n_bytes >> shift & 0x7F for shift in (21, 14, 7, 0))


def silent_flac(seconds: float, sample_rate_hz: int, channels: int = 1) -> bytes:
    """Return silence as FLAC: 15 to 36 bytes for each 65 535 frames, as many as fit the time."""
    n_blocks = round(seconds * sample_rate_hz) // FLAC_BLOCK_FRAMES
    n_frames = n_blocks * FLAC_BLOCK_FRAMES
    what = sample_rate_hz << 44 | (channels - 1) << 41 | 15 << 36 | n_frames
    sizes = struct.pack(">HH6x", FLAC_BLOCK_FRAMES, FLAC_BLOCK_FRAMES)
    stream_info = sizes + what.to_bytes(8, "big") + bytes(16)
    blocks = [_silent_flac_block(number, channels) for number in range(n_blocks)]
    return b"".join([b"fLaC\x80\0\0\x22", stream_info, *blocks])


def lengthened_ogg(
    data: bytes, seconds: float, sample_rate_hz: int, *, n_header_pages: int, packet_frames: int
) -> bytes:
    """Return an Ogg stream of silence whose first page of sound comes again and again.

    Args:
        data: the stream as an encoder made it, of two pages of sound or more.
        seconds: how long it is to be.
        sample_rate_hz: its rate.
        n_header_pages: how many pages there are before the sound.
        packet_frames: how many frames each packet holds.
    """
    pages = ogg_pages(data)
    sound = pages[n_header_pages]
    page_frames = packet_frames * sum(length < 255 for length in sound.segments)
    n_pages = round(seconds * sample_rate_hz) // page_frames
    repeated = [
        sound._replace(number=n_header_pages + index, position=page_frames * (index + 1))
        for index in range(n_pages)
    ]
    repeated[-1] = repeated[-1]._replace(flags=_OGG_ENDS)
    return b"".join(page.to_bytes() for page in [*pages[:n_header_pages], *repeated])


def matroska(*, bits: int, packets: list[bytes], is_compressed: bool = False) -> bytes:
    """Return PCM of 8 kHz in Matroska.

    Args:
        bits: of each sample.
        packets: the sound, as it is stored.
        is_compressed: whether the packets are said to be compressed, with zlib.
    """
    encoding = _element(0x5034, _element(0x4254, b"\0")) if is_compressed else b""
    audio = _element(0xB5, struct.pack(">d", 8_000)) + _element(0x9F, b"\1")
    track = [
        *(_element(name, b"\1") for name in (0xD7, 0x73C5)),
        _element(0x83, b"\2"),
        _element(0x86, b"A_PCM/INT/LIT"),
        _element(0xE1, audio + _element(0x6264, bytes([bits]))),
        _element(0x6D80, _element(0x6240, encoding)) if encoding else b"",
    ]
    blocks = b"".join(_element(0xA3, b"\x81\0\0\x80" + packet) for packet in packets)
    tracks = _element(0x1654AE6B, _element(0xAE, b"".join(track)))
    cluster = _element(0x1F43B675, _element(0xE7, b"\0") + blocks)
    head = _element(0x1A45DFA3, _element(0x4282, b"matroska"))
    return head + _element(0x18538067, tracks + cluster)


def _element(name: int, content: bytes) -> bytes:
    """Return an element of Matroska; its length has eight bytes."""
    stated = name.to_bytes((name.bit_length() + 7) // 8, "big")
    return stated + (1 << 56 | len(content)).to_bytes(8, "big") + content


def box(name: bytes, content: bytes) -> bytes:
    """Return a box of MP4."""
    return struct.pack(">I4s", 8 + len(content), name) + content


class OggPage(NamedTuple):
    """One page of an Ogg stream."""

    flags: int
    position: int
    serial: int
    number: int
    segments: bytes
    content: bytes

    def to_bytes(self) -> bytes:
        """Return the page as it stands in a file, with the checksum that it must have."""
        stated = (self.flags, self.position, self.serial, self.number)
        body = self.segments + self.content
        unsummed = _OGG_HEADER.pack(b"OggS", 0, *stated, 0, len(self.segments)) + body
        checksum = _ogg_checksum(unsummed)
        return _OGG_HEADER.pack(b"OggS", 0, *stated, checksum, len(self.segments)) + body


def ogg_pages(data: bytes) -> list[OggPage]:
    """Return the pages of a whole Ogg stream."""
    pages = []
    start = 0
    while start < len(data):
        _, _, flags, position, serial, number, _, n_segments = _OGG_HEADER.unpack_from(data, start)
        content = start + _OGG_HEADER.size + n_segments
        segments = data[content - n_segments : content]
        start = content + sum(segments)
        pages.append(OggPage(flags, position, serial, number, segments, data[content:start]))
    return pages


def _ogg_checksum(page: bytes) -> int:
    """Return Ogg's CRC-32: zlib's polynomial from the other end, and without its inversions."""
    checksum = zlib.crc32(page.translate(_REVERSED_BITS), 0xFFFF_FFFF) ^ 0xFFFF_FFFF
    return int(f"{checksum:032b}"[::-1], 2)


def _silent_flac_block(number: int, channels: int) -> bytes:
    size_in_16_bits, width_of_16_bits = 0x70, 0x08
    head = bytes([0xFF, 0xF8, size_in_16_bits, (channels - 1) << 4 | width_of_16_bits])
    head += chr(number).encode() + struct.pack(">H", FLAC_BLOCK_FRAMES - 1)
    head += _crc(head, 0x07, 8).to_bytes(1, "big")
    head += bytes(3 * channels)  # «the same value throughout», and the value
    return head + _crc(head, 0x8005, 16).to_bytes(2, "big")


def _crc(data: bytes, polynomial: int, width: int) -> int:
    remainder = 0
    for byte in data:
        remainder ^= byte << width - 8
        for _ in range(8):
            carry = remainder >> width - 1
            remainder = (remainder << 1 ^ polynomial * carry) & (1 << width) - 1
    return remainder
