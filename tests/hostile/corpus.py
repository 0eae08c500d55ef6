"""Files that nobody means well with, made here, each with the answer that it must get."""

import functools
import gzip
import io
import struct
import zipfile
import zlib
from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np

from tests.hostile.forge import (
    aiff,
    box,
    chunk,
    id3,
    matroska,
    ogg_pages,
    riff,
    silent_flac,
    wav_format,
)
from tests.recordings import film, record
from tests.sounds import encode, flac_claiming, noisy_sweep, patched, wav_claiming

RATE: Final = 22_050
MEGABYTE: Final = 1_000_000


class HostileFile(NamedTuple):
    """A file, and the answer to it.

    Attributes:
        make: writes it.
        status: the answer's.
        code: of the problem, where it is one.
        truncated: what the answer says, where it is none.
    """

    make: Callable[[], bytes]
    status: int
    code: str | None = None
    truncated: bool = False


def _served(make: Callable[[], bytes]) -> HostileFile:
    return HostileFile(make, 200)


def _served_as_truncated(make: Callable[[], bytes]) -> HostileFile:
    return HostileFile(make, 200, truncated=True)


def _not_audio(make: Callable[[], bytes]) -> HostileFile:
    return HostileFile(make, 415, "not_audio")


def _refused(code: str, make: Callable[[], bytes]) -> HostileFile:
    return HostileFile(make, 422, code)


@functools.cache
def sound(container: str = "WAV", subtype: str = "PCM_16", seconds: float = 1) -> bytes:
    """Return a whole file of noise."""
    return encode(noisy_sweep(seconds, RATE), RATE, container, subtype)


@functools.cache
def recording(container: str, codec: str = "aac", seconds: float = 4) -> bytes:
    """Return what a phone or browser records; an MP4's index stands at its beginning."""
    options = {"movflags": "faststart"} if container in ("mp4", "ipod") else {}
    rate = 48_000 if codec == "libopus" else RATE
    return record(noisy_sweep(seconds, rate), rate, container, codec, options=options)


def half_recording(container: str, codec: str = "aac") -> bytes:
    """Return the first half of such a file."""
    data = recording(container, codec)
    return data[: len(data) // 2]


def damaged_recording(container: str, codec: str = "aac") -> bytes:
    """Return such a file with every three hundredth byte of its second half replaced."""
    data = bytearray(recording(container, codec))
    replaced = data[len(data) // 2 :: 300]
    data[len(data) // 2 :: 300] = noise(len(replaced))
    return bytes(data)


def _mp4_claiming(name: bytes, offset: int, claim: int, width: int = 4) -> bytes:
    """Return an MP4 that says something else at a place behind the name of a box."""
    data = recording("mp4")
    return patched(data, data.index(name) + len(name) + offset, claim.to_bytes(width, "big"))


def _mp4_with_edits(count: int) -> bytes:
    """Return an MP4 that is to be played again and again, by its list of edits."""
    data = recording("mov")  # whose index is at its end, where it may grow
    edit = struct.pack(">IIhh", 4_000, 0, 1, 0)
    edits = box(b"edts", box(b"elst", struct.pack(">II", 0, count) + edit * count))
    old = data.index(b"edts") - 4
    end = old + int.from_bytes(data[old : old + 4], "big")
    longer = data[:old] + edits + data[end:]
    for around in (b"moov", b"trak"):
        place = longer.index(around) - 4
        size = int.from_bytes(longer[place : place + 4], "big") + len(edits) - (end - old)
        longer = patched(longer, place, size.to_bytes(4, "big"))
    return longer


def _nested_boxes(depth: int) -> bytes:
    """Return an MP4 of an index in an index in an index."""
    sizes = (struct.pack(">I4s", 8 * (depth - level), b"moov") for level in range(depth))
    return box(b"ftyp", b"isom\0\0\2\0") + b"".join(sizes)


def half(container: str, subtype: str = "PCM_16") -> bytes:
    """Return the first half of a file."""
    data = sound(container, subtype, seconds=4)
    return data[: len(data) // 2]


def noise(n_bytes: int, seed: int = 0) -> bytes:
    """Return bytes that mean nothing."""
    return np.random.default_rng(seed).bytes(n_bytes)


def damaged(container: str, subtype: str = "PCM_16") -> bytes:
    """Return a file with every thirtieth byte of its second half replaced."""
    data = bytearray(sound(container, subtype))
    replaced = data[len(data) // 2 :: 30]
    data[len(data) // 2 :: 30] = noise(len(replaced))
    return bytes(data)


def wav_with(value: float, subtype: str = "FLOAT", container: str = "WAV") -> bytes:
    """Return floats of which the last one of the second channel is `value`."""
    samples = noisy_sweep(1, RATE, 2)
    samples[-1, 1] = value
    return encode(samples, RATE, container, subtype)


def _wav_chunks() -> tuple[bytes, bytes]:
    data = sound()
    return data[12:36], data[36:]


def _aiff_chunks() -> tuple[bytes, bytes]:
    data = sound("AIFF")
    return data[12:38], data[38:]


def _wav_around(*chunks: bytes) -> bytes:
    """Return a WAV with more chunks between its format and its data."""
    stated, data = _wav_chunks()
    return riff(stated, *chunks, data)


def _wav_of_format(stated: bytes) -> bytes:
    return riff(stated, _wav_chunks()[1])


def mp3_in_wav() -> bytes:
    """Return MP3 inside RIFF, as editors write it."""
    stated = wav_format(
        0x55, block_align=1, bits=0, extra=struct.pack("<HHIHHH", 12, 1, 2, 417, 1, 1_393)
    )
    return riff(stated, chunk(b"fact", struct.pack("<I", RATE)), chunk(b"data", mp3()))


def mp3(seconds: float = 1) -> bytes:
    """Return a whole MP3."""
    return sound("MP3", "MPEG_LAYER_III", seconds)


def vorbis(seconds: float = 1) -> bytes:
    """Return a whole Ogg stream."""
    return sound("OGG", "VORBIS", seconds)


def zipped(data: bytes) -> bytes:
    """Return a ZIP archive."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("sound.wav", data)
    return buffer.getvalue()


def _aiff_claiming(offset: int, claim: int) -> bytes:
    return patched(sound("AIFF"), offset, claim.to_bytes(4, "big"))


def _aiff_data_claiming(claim: int) -> bytes:
    return _aiff_claiming(sound("AIFF").index(b"SSND") + 4, claim)


def _au_claiming(data_bytes: int) -> bytes:
    return patched(sound("AU"), 8, data_bytes.to_bytes(4, "big"))


def _caf_with_free_chunk_of(length: int) -> bytes:
    data = sound("CAF")
    return patched(data, data.index(b"free") + 4, length.to_bytes(8, "big", signed=True))


def _w64_with_chunk_of(length: int) -> bytes:
    data = sound("W64")
    name = b"junk" + data[4:16]
    return data[:40] + name + length.to_bytes(8, "little") + data[40:]


def _ogg_of_255_segments() -> bytes:
    """Return a page that claims 255 segments of 255 bytes, and holds one of 30."""
    data = vorbis()
    return data[:26] + b"\xff" * 256 + data[28:]


def _ogg_with_streams(count: int) -> bytes:
    """Return a stream that many others seem to begin in."""
    data = vorbis()
    first = ogg_pages(data)[0]
    others = [first._replace(serial=serial).to_bytes() for serial in range(count)]
    head = first.to_bytes()
    return b"".join([head, *others, data[len(head) :]])


def _ogg_full_of_marks() -> bytes:
    """Return a stream that goes on with marks of pages, whose lengths all reach over the others."""
    return ogg_pages(vorbis())[0].to_bytes() + b"OggS" * 500_000


# libsndfile's word for what breaks a container's rules is the same as for what breaks off.
_BROKEN: Final = "truncated_audio"

CORPUS: Final[dict[str, HostileFile]] = {
    # Lengths that are not true
    "flac of unknown length": _served(lambda: flac_claiming(sound("FLAC"), 0)),
    "flac claiming 2^36 - 1": _served_as_truncated(
        lambda: flac_claiming(sound("FLAC"), 2**36 - 1)
    ),
    "flac claiming one frame": _served(lambda: flac_claiming(sound("FLAC"), 1)),
    "riff of 2^32 - 1": _served(lambda: wav_claiming(sound(), riff_bytes=2**32 - 1)),
    "riff of 0": _served(lambda: wav_claiming(sound(), riff_bytes=0)),
    "data of 2^32 - 1, as from a pipe": _served(
        lambda: wav_claiming(sound(), riff_bytes=2**32 - 1, data_bytes=2**32 - 1)
    ),
    "data of 2^31 - 1": _served(lambda: wav_claiming(sound(), data_bytes=2**31 - 1)),
    "data of 2^30": _served_as_truncated(lambda: wav_claiming(sound(), data_bytes=2**30)),
    "data of 0": _refused("empty_audio", lambda: wav_claiming(sound(), data_bytes=0)),
    "aiff data of 2^32 - 1": _served(lambda: _aiff_data_claiming(2**32 - 1)),
    "aiff form of 0": _served(lambda: _aiff_claiming(4, 0)),
    "aiff format of 2^32 - 1": _refused(
        "unsupported_encoding", lambda: _aiff_claiming(16, 2**32 - 1)
    ),
    "au of unknown length": _served(lambda: _au_claiming(2**32 - 1)),
    "au claiming 2^30": _served_as_truncated(lambda: _au_claiming(2**30)),
    # libsndfile adds this to where the data begins, in 32 bits with a sign.
    "au claiming 2^31 - 1": _refused("empty_audio", lambda: _au_claiming(2**31 - 1)),
    "caf with a chunk of -1": _refused(_BROKEN, lambda: _caf_with_free_chunk_of(-1)),
    "caf with a chunk of -12": _refused(_BROKEN, lambda: _caf_with_free_chunk_of(-12)),
    "caf with a chunk of -2^63": _refused(_BROKEN, lambda: _caf_with_free_chunk_of(-(2**63))),
    "caf with a chunk of 2^63 - 1": _refused(_BROKEN, lambda: _caf_with_free_chunk_of(2**63 - 1)),
    "w64 with a chunk of 0": _served(lambda: _w64_with_chunk_of(0)),
    "w64 with a chunk of 24": _served(lambda: _w64_with_chunk_of(24)),
    "w64 with a chunk of 2^64 - 24": _served(lambda: _w64_with_chunk_of(2**64 - 24)),
    # Files that become huge
    "eleven minutes in a few kB": _refused("audio_too_long", lambda: silent_flac(660, 16_000)),
    "an hour in a few kB": _refused("audio_too_long", lambda: silent_flac(3_600, 8_000)),
    "a minute of silence": _served(lambda: silent_flac(60, RATE)),
    "a minute of eight silent channels at 96 kHz": _served(lambda: silent_flac(60, 96_000, 8)),
    # Files that break off
    "half an mp3": _served_as_truncated(lambda: half("MP3", "MPEG_LAYER_III")),
    "half a wav": _served_as_truncated(lambda: half("WAV")),
    "half a rf64": _served_as_truncated(lambda: half("RF64")),
    "half a w64": _served_as_truncated(lambda: half("W64")),
    "half an aiff": _served_as_truncated(lambda: half("AIFF")),
    "half an au": _served_as_truncated(lambda: half("AU")),
    "half a caf": _refused(_BROKEN, lambda: half("CAF")),
    "half a flac": _served_as_truncated(lambda: half("FLAC")),
    "half a vorbis": _served_as_truncated(lambda: half("OGG", "VORBIS")),
    "half an alac, whose index is at its end": _refused(_BROKEN, lambda: half("CAF", "ALAC_16")),
    "nothing": _refused("empty_audio", lambda: b""),
    "one byte": _not_audio(lambda: b"R"),
    "a wav's header": _refused("empty_audio", lambda: sound()[:44]),
    "half a wav's header": _refused(_BROKEN, lambda: sound()[:36]),
    "a flac's header": _refused(_BROKEN, lambda: sound("FLAC")[:42]),
    "an aiff's header": _refused(_BROKEN, lambda: sound("AIFF")[:38]),
    "an ogg's first page": _refused(_BROKEN, lambda: vorbis()[:58]),
    "an mp3's first header": _not_audio(lambda: mp3()[:4]),
    "an id3 tag alone": _not_audio(lambda: id3(100) + bytes(100)),
    # Formats beyond the limits
    "1 Hz": _refused("sample_rate_out_of_range", lambda: wav_claiming(sound(), sample_rate_hz=1)),
    "2^31 - 1 Hz": _refused(
        "sample_rate_out_of_range", lambda: wav_claiming(sound(), sample_rate_hz=2**31 - 1)
    ),
    "2^32 - 1 Hz": _refused(_BROKEN, lambda: wav_claiming(sound(), sample_rate_hz=2**32 - 1)),
    "1024 channels": _refused("too_many_channels", lambda: wav_claiming(sound(), channels=1_024)),
    "65535 channels": _refused(_BROKEN, lambda: wav_claiming(sound(), channels=65_535)),
    "no channels": _refused(_BROKEN, lambda: wav_claiming(sound(), channels=0)),
    "64-bit integers": _refused(
        "unsupported_encoding", lambda: _wav_of_format(wav_format(block_align=8, bits=64))
    ),
    "no bits": _refused("unsupported_encoding", lambda: _wav_of_format(wav_format(bits=0))),
    "mp3 inside wav": _served(mp3_in_wav),
    "mp3 that says no more than that it is inside wav": _refused(
        _BROKEN, lambda: _wav_of_format(wav_format(0x55, bits=0))
    ),
    "an encoding that is none": _refused(_BROKEN, lambda: _wav_of_format(wav_format(0x1234))),
    "block align of 0": _served(lambda: _wav_of_format(wav_format(block_align=0))),
    "block align of 65535": _served(lambda: _wav_of_format(wav_format(block_align=65_535))),
    "adpcm with a block align of 0": _refused(
        _BROKEN,
        lambda: _wav_of_format(
            wav_format(0x11, block_align=0, bits=4, extra=struct.pack("<HH", 2, 0))
        ),
    ),
    "adpcm of blocks without an end": _refused(
        _BROKEN,
        lambda: _wav_of_format(
            wav_format(0x11, block_align=1, bits=4, extra=struct.pack("<HH", 2, 65_535))
        ),
    ),
    "adpcm with 65535 coefficients": _refused(
        _BROKEN,
        lambda: _wav_of_format(
            wav_format(2, block_align=256, bits=4, extra=struct.pack("<HHH", 2, 500, 65_535))
        ),
    ),
    # Samples that are no sound
    **{
        f"{name} as {subtype} in {container}": _refused(
            "invalid_samples", functools.partial(wav_with, value, subtype, container)
        )
        for name, value in {
            "nan": np.nan,
            "infinity": np.inf,
            "minus infinity": -np.inf,
            "1e30": 1e30,
        }.items()
        for subtype, container in [("FLOAT", "WAV"), ("DOUBLE", "WAV"), ("FLOAT", "AIFF")]
    },
    # Tags
    "an id3 tag that claims 100 MB": _not_audio(lambda: id3(100 * MEGABYTE) + mp3()),
    "an id3 tag of 20 MB": _served(lambda: id3(20 * MEGABYTE) + bytes(20 * MEGABYTE) + mp3()),
    "an id3 tag of 100 MB": HostileFile(
        lambda: id3(100 * MEGABYTE) + bytes(100 * MEGABYTE) + mp3(), 413, "upload_too_large"
    ),
    "a hundred id3 tags": _not_audio(lambda: id3(0) * 100 + mp3()),
    # Chunks
    "8 000 tiny chunks": _served(lambda: _wav_around(*[chunk(b"junk")] * 8_000)),
    "40 000 tiny chunks": _refused(_BROKEN, lambda: _wav_around(*[chunk(b"junk")] * 40_000)),
    "40 000 lists": _refused(_BROKEN, lambda: _wav_around(*[chunk(b"LIST", b"INFO")] * 40_000)),
    "40 000 comments in a list": _refused(
        _BROKEN, lambda: _wav_around(chunk(b"LIST", b"INFO" + chunk(b"ICMT") * 40_000))
    ),
    "lists in lists, each larger than the file": _refused(
        _BROKEN, lambda: _wav_around(*[b"LIST\xff\xff\xff\x7fINFO"] * 1_000)
    ),
    "an empty list": _served(lambda: _wav_around(chunk(b"LIST"))),
    "a chunk of 2^32 - 1": _refused(_BROKEN, lambda: _wav_around(b"junk\xff\xff\xff\xff")),
    "a chunk of 2^32 - 8, which leads back to itself": _refused(
        _BROKEN, lambda: _wav_around(b"junk\xf8\xff\xff\xff")
    ),
    "wav in wav": _refused(_BROKEN, lambda: riff(sound())),
    "a thousand riffs in a row": _refused(
        _BROKEN, lambda: b"RIFF\xff\xff\xff\xffWAVE" * 1_000 + sound()[12:]
    ),
    "data before its format": _refused(_BROKEN, lambda: riff(*reversed(_wav_chunks()))),
    "data twice": _refused(_BROKEN, lambda: riff(*_wav_chunks(), _wav_chunks()[1])),
    "2^32 - 1 cue points": _served(
        lambda: _wav_around(chunk(b"cue ", b"\xff\xff\xff\xff" + bytes(48)))
    ),
    "2^32 - 1 loops": _served(
        lambda: _wav_around(chunk(b"smpl", bytes(28) + b"\xff" * 8 + bytes(48)))
    ),
    "a comment of 20 MB": _served(lambda: _wav_around(chunk(b"bext", b"x" * 20 * MEGABYTE))),
    "40 000 tiny chunks of aiff": _refused(
        _BROKEN,
        lambda: aiff(
            _aiff_chunks()[0], *[chunk(b"JUNK", byte_order=">")] * 40_000, _aiff_chunks()[1]
        ),
    ),
    "65 535 markers that are not there": _served(
        lambda: aiff(
            _aiff_chunks()[0], chunk(b"MARK", b"\xff\xff" + bytes(60), ">"), _aiff_chunks()[1]
        )
    ),
    "flac metadata without an end": _refused(
        _BROKEN, lambda: b"fLaC" + b"\x04\0\0\0" * (5 * MEGABYTE)
    ),
    "a thousand stream infos": _refused(
        _BROKEN, lambda: sound("FLAC")[:42] + sound("FLAC")[4:42] * 1_000
    ),
    # Pages
    "an ogg page of 255 segments": _refused(_BROKEN, _ogg_of_255_segments),
    "a thousand streams in an ogg": _served(lambda: _ogg_with_streams(1_000)),
    "an ogg of beginnings": _refused(_BROKEN, lambda: vorbis()[:58] * 100_000),
    # libogg would sum up every page that a mark claims: a second for a megabyte, 32 for 24.
    "an ogg full of marks": _refused(_BROKEN, _ogg_full_of_marks),
    "an ogg and 20 MB of zeros": _served_as_truncated(lambda: vorbis() + bytes(20 * MEGABYTE)),
    "an ogg and 20 MB of noise": _served_as_truncated(lambda: vorbis() + noise(20 * MEGABYTE)),
    "a flac's header and 20 MB of zeros": _refused(
        _BROKEN, lambda: sound("FLAC")[:42] + bytes(20 * MEGABYTE)
    ),
    "a flac's header and 10 MB of frames' marks": _refused(
        _BROKEN, lambda: sound("FLAC")[:42] + b"\xff\xf8" * (5 * MEGABYTE)
    ),
    "an mp3 and 20 MB of zeros": _served(lambda: mp3() + bytes(20 * MEGABYTE)),
    "10 MB of mp3 frames' marks": _not_audio(lambda: b"\xff\xfb\x90\x00" * (5 * MEGABYTE // 2)),
    # No audio
    "text": _not_audio(lambda: b"to be or not to be\n" * 50),
    "20 MB of text": _not_audio(lambda: b"to be or not to be\n" * MEGABYTE),
    "text about RIFF and WAVE": _not_audio(lambda: b"RIFF and WAVE are words.\n"),
    "20 MB of zeros": _not_audio(lambda: bytes(20 * MEGABYTE)),
    "20 MB of noise": _not_audio(lambda: noise(20 * MEGABYTE)),
    "20 MB of ones": _not_audio(lambda: b"\xff" * 20 * MEGABYTE),
    "a zip bomb": _not_audio(lambda: zipped(bytes(100 * MEGABYTE))),
    "a gzip bomb": _not_audio(lambda: gzip.compress(bytes(100 * MEGABYTE))),
    "a wav in gzip": _not_audio(lambda: gzip.compress(sound())),
    # What phones and browsers record
    "half a webm": _served_as_truncated(lambda: half_recording("webm", "libopus")),
    "half an mp4": _served_as_truncated(lambda: half_recording("mp4")),
    "half an aac": _served_as_truncated(lambda: half_recording("adts")),
    "half an mp4 whose index is at its end": _refused(_BROKEN, lambda: half_recording("mov")),
    "an mp4 whose index is at its end": _served(lambda: recording("mov")),
    "a damaged webm": _served(lambda: damaged_recording("webm", "libopus")),
    "a damaged mp4": _served_as_truncated(lambda: damaged_recording("mp4")),
    "a damaged aac": _served_as_truncated(lambda: damaged_recording("adts")),
    "a film without sound": _refused("no_audio_track", lambda: film(None, RATE)),
    "a webm without sound": _refused("no_audio_track", lambda: film(None, RATE, "webm")),
    "a film": _served(lambda: film(noisy_sweep(1, 48_000), 48_000)),
    "an mp4's first box": _refused(_BROKEN, lambda: recording("mp4")[:28]),
    "an mp4's index": _refused(
        _BROKEN, lambda: recording("mp4")[: recording("mp4").index(b"mdat") + 4]
    ),
    "a webm's first element": _refused(_BROKEN, lambda: recording("webm", "libopus")[:36]),
    "an amr's mark": _refused("empty_audio", lambda: b"#!AMR\n"),
    "20 MB of amr without data": _refused(
        _BROKEN, lambda: b"#!AMR\n" + b"\x7c" * 20 * MEGABYTE
    ),
    # Any bytes are sound to it.
    "amr of noise": _served_as_truncated(lambda: b"#!AMR\n" + noise(20_000)),
    "20 MB of amr that is none": _refused(
        _BROKEN, lambda: b"#!AMR\n" + b"\xff" * 20 * MEGABYTE
    ),
    "16 MB of empty aac": _refused(
        _BROKEN, lambda: b"\xff\xf1\x50\x80\x01\x1f\xfc\0" * 2 * MEGABYTE
    ),
    "an mp4 of 2^31 samples": _refused(_BROKEN, lambda: _mp4_claiming(b"stsz", 8, 2**31 - 1)),
    "an mp4 of 2^31 samples of a byte": _refused(
        "empty_audio",
        lambda: _mp4_claiming(b"stsz", 4, 1 << 32 | 2**31 - 1, width=8)
    ),
    "an mp4 of 2^27 samples of a byte in one chunk": _refused(
        "empty_audio",
        lambda: patched(
            _mp4_claiming(b"stsz", 4, 1 << 32 | 2**27, width=8),
            recording("mp4").index(b"stsc") + 16,
            (2**27).to_bytes(4, "big"),
        )
    ),
    "an mp4 of 2^32 - 1 chunks": _served(lambda: _mp4_claiming(b"stco", 4, 2**32 - 1)),
    "an mp4 of chunks beyond its end": _refused(
        "empty_audio", lambda: _mp4_claiming(b"stco", 8, 2**32 - 1)
    ),
    "an mp4 of samples of 2^32 - 1": _served(lambda: _mp4_claiming(b"stts", 8, 2**32 - 1)),
    "an mp4 whose index has no end": _served_as_truncated(
        lambda: patched(
            recording("mp4"), recording("mp4").index(b"moov") - 4, b"\xff\xff\xff\xff"
        )
    ),
    "an mp4 of a thousand edits": _refused("audio_too_long", lambda: _mp4_with_edits(1_000)),
    "an index in an index, 100 000 deep": _refused(_BROKEN, lambda: _nested_boxes(100_000)),
    "an mp4 and 20 MB of zeros": _served(lambda: recording("mp4") + bytes(20 * MEGABYTE)),
    "a webm and 20 MB of noise": _served(
        lambda: recording("webm", "libopus") + noise(20 * MEGABYTE)
    ),
    "matroska of a bit a sample": _served(lambda: matroska(bits=1, packets=[bytes(800)])),
    "matroska of tiny packets": _served(lambda: matroska(bits=16, packets=[b"\0\0"] * 10_000)),
    "matroska of zlib bombs": _refused(
        "audio_too_long",
        lambda: matroska(
            bits=16, packets=[zlib.compress(bytes(9 * MEGABYTE), 9)] * 100, is_compressed=True
        )
    ),
    # Two things at once
    "a pdf that ends as a wav": _not_audio(lambda: b"%PDF-1.4\n" + sound()),
    "a pdf that ends as an mp3": _not_audio(lambda: b"%PDF-1.4\n" * 100 + mp3()),
    "a wav that holds a pdf": _served(lambda: _wav_around(chunk(b"%PDF", b"-1.4\n%%EOF"))),
    "a wav that ends as a zip": _served(lambda: sound() + zipped(bytes(MEGABYTE))),
    "a page that ends as an mp3": _not_audio(
        lambda: b"<html><script>alert(1)</script></html>" + mp3()
    ),
    "a gif that ends as a wav": _not_audio(lambda: b"GIF89a" + sound()),
    "a script that ends as an mp3": _not_audio(lambda: b"#!/bin/sh\nexit\n" + mp3()),
    # Noise where a format is announced
    **{
        f"noise after {magic[:16]!r}": _refused(
            _BROKEN, functools.partial(magic.__add__, noise(20_000))
        )
        for magic in (
            b"RIFF\xff\xff\xff\x7fWAVE",
            b"RIFF\xff\xff\xff\x7fWAVEfmt ",
            b"RIFX\0\0\xff\xffWAVE",
            b"RF64\xff\xff\xff\xffWAVEds64",
            b"riff.\x91\xcf\x11\xa5\xd6(\xdb\x04\xc1\0\0",
            b"FORM\0\0\0\xffAIFF",
            b"FORM\0\0\0\xffAIFC",
            b"fLaC",
            b"OggS",
            b"caff\0\1\0\0",
            b".snd",
            b"\0\0\0\x20ftypM4A ",
            b"\x1aE\xdf\xa3",
        )
    },
    **{
        f"noise after {magic!r}": _not_audio(functools.partial(magic.__add__, noise(20_000)))
        for magic in (b"\xff\xfb\x90\x64", b"ID3\x04", b"PK\x03\x04", b"\x1f\x8b\x08")
    },
    # Damage within
    **{
        f"a damaged {container} {subtype}": _served(
            functools.partial(damaged, container, subtype)
        )
        for container, subtype in (
            ("WAV", "PCM_16"),
            ("WAV", "IMA_ADPCM"),
            ("WAV", "MS_ADPCM"),
            ("WAV", "GSM610"),
            ("AIFF", "PCM_16"),
            ("AU", "ULAW"),
            ("CAF", "PCM_16"),
            ("W64", "PCM_16"),
            ("MP3", "MPEG_LAYER_III"),
        )
    },
}  # fmt: skip
