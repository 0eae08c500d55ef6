"""The decode path: bytes to windows, as `FrontEnd.windows` does it."""

import re
import struct
import zlib
from typing import Final

import numpy as np
import soundfile

from app.audio.completeness import ends_early
from app.audio.containers import ContainerReader
from app.audio.decode import open_audio
from app.audio.limits import DecodeLimits
from app.audio.reader import AudioReader
from app.audio.sound_file import SoundFileReader
from app.audio.spec import FrontEndSpec
from app.audio.waveform import Windows, canonical_waveform, cut_windows
from app.errors import AudioError
from tests.fuzz.targets import Note, Target, names_of, note_nothing, unexpected
from tests.recordings import record
from tests.sounds import Samples, encode

WINDOWS: Final = "windows"
# Short windows, so that a clip of some hundred frames has several.
SPEC: Final = FrontEndSpec(window_seconds=0.1, shortest_tail_seconds=0.01)
LIMITS: Final = DecodeLimits(max_seconds=5.0)
FRAMES: Final = 400
# (container, subtype, sample rate, channels)
ENCODINGS: Final = (
    *(
        ("WAV", subtype, 8_000, 1)
        for subtype in (
            "PCM_U8", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW", "IMA_ADPCM",
            "MS_ADPCM", "GSM610", "G721_32", "NMS_ADPCM_16",
        )
    ),
    ("WAV", "PCM_16", 44_100, 2),
    ("WAVEX", "PCM_24", 48_000, 3),
    ("RF64", "PCM_16", 8_000, 2),
    ("W64", "PCM_16", 8_000, 2),
    ("W64", "MS_ADPCM", 8_000, 1),
    *(
        ("AIFF", subtype, 8_000, 1)
        for subtype in ("PCM_S8", "PCM_16", "FLOAT", "IMA_ADPCM", "DWVW_16", "GSM610")
    ),
    *(("AU", subtype, 8_000, 1) for subtype in ("PCM_16", "FLOAT", "ULAW", "G721_32", "G723_24")),
    *(("CAF", subtype, 8_000, 1) for subtype in ("PCM_16", "ALAC_16", "ALAC_24")),
    ("FLAC", "PCM_16", 16_000, 2),
    ("FLAC", "PCM_24", 8_000, 1),
    ("MP3", "MPEG_LAYER_III", 8_000, 1),
    ("MP3", "MPEG_LAYER_III", 44_100, 2),
    ("OGG", "VORBIS", 8_000, 1),
    ("OGG", "OPUS", 48_000, 2),
)  # fmt: skip
# (container, encoder, sample rate), as phones and browsers record
RECORDINGS: Final = (
    ("webm", "libopus", 48_000),
    ("mp4", "aac", 44_100),
    ("mov", "pcm_s16le", 8_000),
    ("mov", "alac", 8_000),
    ("matroska", "flac", 8_000),
    ("matroska", "libmp3lame", 44_100),
    ("3gp", "libopencore_amrnb", 8_000),
    ("amr", "libopencore_amrnb", 8_000),
    ("adts", "aac", 44_100),
)
# An ID3v2.4 tag with a title, and room after it.
ID3: Final = b"ID3\x04\x00\x00\x00\x00\x00\x20TIT2\x00\x00\x00\x06\x00\x00\x03siren" + bytes(16)
WORDS: Final = (
    # Containers
    b"RIFF", b"RIFX", b"RF64", b"WAVE", b"FORM", b"AIFF", b"AIFC", b".snd", b"dns.", b"caff",
    b"OggS", b"fLaC", b"ID3\x03", b"ID3\x04", b"TAG", b"Xing", b"Info", b"LAME", b"VBRI",
    b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\x00\x00",
    b"wave\xf3\xac\xd3\x11\x8c\xd1\x00\xc0\x4f\x8e\xdb\x8a",
    b"data\xf3\xac\xd3\x11\x8c\xd1\x00\xc0\x4f\x8e\xdb\x8a",
    # Chunks
    b"fmt ", b"data", b"fact", b"LIST", b"INFO", b"PEAK", b"cue ", b"smpl", b"bext", b"ds64",
    b"JUNK", b"PAD ", b"cart", b"inst", b"acid", b"strc", b"slnt", b"wavl", b"exif",
    b"COMM", b"SSND", b"FVER", b"MARK", b"INST", b"APPL", b"NAME", b"AUTH", b"ANNO", b"COMT",
    b"desc", b"kuki", b"pakt", b"chan", b"free", b"strg", b"info", b"uuid", b"basc",
    # Encodings
    b"NONE", b"sowt", b"twos", b"raw ", b"fl32", b"FL64", b"in24", b"ulaw", b"alaw", b"ima4",
    b"MAC3", b"GSM ", b"DWVW", b"G722", b"lpcm", b"alac",
    b"\x01\x00", b"\x02\x00", b"\x03\x00", b"\x06\x00", b"\x07\x00", b"\x11\x00", b"\x31\x00",
    b"\x38\x00", b"\x40\x00", b"\x50\x00", b"\x55\x00", b"\x64\x00", b"\xfe\xff",
    # Packets of Ogg and blocks of FLAC
    b"\x01vorbis", b"\x03vorbis", b"\x05vorbis", b"OpusHead", b"OpusTags", b"Speex   ",
    b"\x7fFLAC", b"fishead\x00", b"\x00\x00\x00\x22", b"\x04\x00\x00", b"\x81\x00\x00", b"\xff\xf8",
    # Frames of MPEG, in its versions and layers
    b"\xff\xfb\x90\x64", b"\xff\xf3\x18\xc4", b"\xff\xe3\x18\xc4", b"\xff\xfd", b"\xff\xff",
    b"TIT2",
    # Boxes of MP4, and elements of Matroska
    b"ftyp", b"moov", b"moof", b"mdat", b"trak", b"mdia", b"minf", b"stbl", b"stsd", b"stts",
    b"stsc", b"stsz", b"stco", b"co64", b"edts", b"elst", b"dref", b"url ", b"trun", b"esds",
    b"mp4a", b"Opus", b"samr", b"sawb", b"\x1aE\xdf\xa3", b"\x18\x53\x80\x67",
    b"\x1f\x43\xb6\x75", b"\x16\x54\xae\x6b", b"A_OPUS", b"A_PCM/INT/LIT", b"A_FLAC",
    b"#!AMR\n", b"#!AMR-WB\n", b"\xff\xf1\x50\x80",
    # Lengths
    b"\x00\x00\x00\x00", b"\xff\xff\xff\xff", b"\xff\xff\xff\x7f", b"\x7f\xff\xff\xff",
    b"\x00\x00\x00\x80", b"\x80\x00\x00\x00", b"\x00\xf0\xff\x7f",
    b"\xff\xff\xff\xff\xff\xff\xff\xff",
)  # fmt: skip
_LOG_BYTES: Final = 1 << 14
_GET_LOG: Final = 0x1001  # libsndfile's SFC_GET_LOG_INFO
_NUMBERS: Final = re.compile(r"0x[0-9A-Fa-f]+|-?[0-9A-F.]*[0-9][0-9A-F.]*")
_SIGNS_OF_NAMES: Final = ("nknown", "nimplemented", "skipped", "Ogg_stream data")
_log = soundfile._ffi.new("char[]", _LOG_BYTES)


def seeds() -> dict[str, bytes]:
    """Return a small clip in each encoding, and some with what programs add."""
    files = {
        f"{container}-{subtype}-{channels}": encode(
            _sines(rate, channels), rate, container, subtype
        )
        for container, subtype, rate, channels in ENCODINGS
    }
    files |= {
        f"{container}-{codec}": record(_sines(rate, 1), rate, container, codec)
        for container, codec, rate in RECORDINGS
    }
    mp3 = files["MP3-MPEG_LAYER_III-1"]
    return {
        **files,
        "MP3-ID3": ID3 + mp3,
        "MP3-ID3v1": mp3 + b"TAG" + bytes(125),
        "OGG-chained": files["OGG-VORBIS-1"] + files["OGG-OPUS-2"],
        "no-audio": b"This is no audio, but a sentence. " * 4,
    }


def _sines(sample_rate_hz: int, channels: int) -> Samples:
    """Return sines: a frequency a channel, or an encoder would join the channels."""
    turns = 2 * np.pi * np.arange(FRAMES)[:, np.newaxis] / sample_rate_hz
    return 0.4 * np.sin(turns * (300 + 170 * np.arange(channels)))


def check(data: bytes, note: Note = note_nothing) -> str:
    """Make windows of bytes; return the name of the error that refuses them, or of success.

    Raises:
        Exception: the bytes brought about what must not be.
    """
    early = ends_early(data)
    if not isinstance(early, bool):
        raise unexpected("ends_early answers neither yes nor no", early=early)
    try:
        with open_audio(memoryview(data), LIMITS) as reader:
            form = _form(reader)
            note(f"{form} {reader.channels}")
            if isinstance(reader, SoundFileReader):
                _note_lines(reader._file.extra_info, note)
            waveform = canonical_waveform(reader, SPEC)
            windows = cut_windows(waveform, SPEC, truncated=reader.truncated)
    except AudioError as error:
        _note_lines(str(error), note)
        _note_lines("\n".join(_last_log().splitlines()[-2:]), note)
        return type(error).__name__
    _check_windows(windows)
    note(f"{form} {len(waveform).bit_length()} {windows.truncated}")
    return WINDOWS


def _form(reader: AudioReader) -> str:
    """Return what a decoder takes a file for."""
    if isinstance(reader, SoundFileReader):
        return f"{reader._file.format} {reader._file.subtype}"
    assert isinstance(reader, ContainerReader)
    return f"{reader._container.name} {reader._stream.codec_context.name}"


def _check_windows(windows: Windows) -> None:
    samples = windows.samples
    if samples.shape != (len(windows.audio_seconds), SPEC.window_samples) or not len(samples):
        raise unexpected("windows of another shape", shape=samples.shape)
    if samples.dtype != np.float32 or not np.isfinite(samples).all():
        raise unexpected("windows of what is no sound", dtype=samples.dtype)
    longest = LIMITS.max_seconds + 1 / SPEC.sample_rate_hz
    if not 0 < windows.duration_seconds <= longest:
        raise unexpected("a duration beyond the limit", seconds=windows.duration_seconds)
    if not (windows.audio_seconds > 0).all():
        raise unexpected("a window without audio", seconds=windows.audio_seconds)


def _last_log() -> str:
    """Return what libsndfile wrote down about the last file that it did not open."""
    length = soundfile._snd.sf_command(soundfile._ffi.NULL, _GET_LOG, _log, _LOG_BYTES)
    text: bytes = soundfile._ffi.buffer(_log, _LOG_BYTES)[: max(0, length)]
    return text.decode("latin-1")


def _note_lines(text: str, note: Note) -> None:
    """Note what libsndfile says, without numbers and names, which would make each line a new one.

    It is the only view into that library.
    """
    for line in text.splitlines():
        without = next((sign for sign in _SIGNS_OF_NAMES if sign in line), line)
        note(_NUMBERS.sub("0", without))


def mend(data: bytes) -> bytes:
    """Make the checksums of Ogg's pages right, without which no packet gets to its decoder."""
    mended = bytearray(data)
    page = data.find(b"OggS")
    while page >= 0:
        if page + 27 <= len(data):
            body = page + 27 + data[page + 26]
            end = body + sum(data[page + 27 : body])
            if end <= len(data):
                mended[page + 22 : page + 26] = bytes(4)
                struct.pack_into("<I", mended, page + 22, _ogg_checksum(mended[page:end]))
        page = data.find(b"OggS", page + 4)
    return bytes(mended)


_MIRRORED: Final = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))


def _ogg_checksum(page: bytes | bytearray) -> int:
    """Return a CRC-32 with zlib's polynomial, but from the other end and without its inversions."""
    mirrored = zlib.crc32(page.translate(_MIRRORED), 0xFFFF_FFFF) ^ 0xFFFF_FFFF
    return int.from_bytes(mirrored.to_bytes(4, "little").translate(_MIRRORED), "big")


TARGET: Final = Target(
    check=check,
    outcomes=(WINDOWS, *names_of(AudioError)),
    seeds=seeds,
    words=WORDS,
    mend=mend,
)
