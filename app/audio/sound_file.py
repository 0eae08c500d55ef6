"""What libsndfile decodes: WAV, MP3, FLAC, Ogg and their kin."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import soundfile
from numpy.typing import NDArray

from app.audio.completeness import ends_early
from app.audio.limits import DecodeLimits
from app.audio.memory_file import MemoryFile
from app.audio.reader import BLOCK_FRAMES, AudioReader, check_format, check_length
from app.audio.signatures import ACCEPTED_FORMATS_IN_WORDS
from app.errors import (
    EmptyAudioError,
    NotAudioError,
    TruncatedAudioError,
    UnsupportedEncodingError,
)

# Containers that people send. libsndfile opens some twenty more; each is a parser that strangers
# could aim at, and several of them (HTK, PAF, XI) take arbitrary bytes for audio.
ACCEPTED_FORMATS: Final = frozenset(
    {"WAV", "WAVEX", "RF64", "W64", "MP3", "FLAC", "OGG", "AIFF", "AU", "CAF"}
)

# Encodings that people send. libsndfile has some twenty more, from telephones and samplers of the
# last century: parsers to aim at, and G.723 takes longer than a request may.
ACCEPTED_ENCODINGS: Final = frozenset(
    {
        *("PCM_S8", "PCM_U8", "PCM_16", "PCM_24", "PCM_32", "FLOAT", "DOUBLE", "ULAW", "ALAW"),
        *("IMA_ADPCM", "MS_ADPCM", "GSM610", "VORBIS", "OPUS"),
        *("MPEG_LAYER_I", "MPEG_LAYER_II", "MPEG_LAYER_III"),
    }
)

# One frame of MP3: mpg123 loses what a call had decoded before it meets damage, so it is asked for
# no more at a time. The others keep it, and are faster in one piece.
MP3_FRAME: Final = 1152
# libsndfile says so where a FLAC file states no length; a length has 36 bits.
FLAC_LENGTH_UNKNOWN: Final = 1 << 36

_OGG_PAGE_HEADER: Final = 27
_OGG_PIECE: Final = 1 << 20

# libsndfile's SFE_UNIMPLEMENTED and SF_ERR_UNSUPPORTED_ENCODING.
_UNKNOWN_ENCODING: Final = frozenset({4, 18})
# It says so of these where they are cut off, too.
_OF_ONE_ENCODING: Final = frozenset({b"fLaC", b"OggS"})


_CONVERT_IT: Final = "Convert it to 16-bit PCM WAV, MP3 or FLAC."


@dataclass(frozen=True, slots=True)
class _SampleType:
    """How libsndfile is asked for samples: its function, C's name of a sample, and NumPy's."""

    read: Callable[[Any, Any, int], int]
    c_name: str
    dtype: type[np.int16 | np.int32 | np.float32]
    full_scale: int


_FLOAT: Final = _SampleType(soundfile._snd.sf_readf_float, "float *", np.float32, 1)
_SHORT: Final = _SampleType(soundfile._snd.sf_readf_short, "short *", np.int16, 1 << 15)
_INT: Final = _SampleType(soundfile._snd.sf_readf_int, "int *", np.int32, 1 << 31)
# Integers are fetched as they are and made floats here: the same numbers, since full scales are
# powers of two, for a fifth of the time that libsndfile takes (0.12 instead of 0.58 ms for four
# seconds of stereo).
_INTEGER_SUBTYPES: Final = {"PCM_16": _SHORT, "PCM_24": _INT, "PCM_32": _INT}


class SoundFileReader(AudioReader):
    """An `AudioReader` of what libsndfile decodes.

    Args:
        data: the file's bytes. Not copied.
        limits: what the clip may be.

    Raises:
        NotAudioError: no accepted format is recognised.
        SampleRateError: the sample rate is outside the limits.
        TooManyChannelsError: there are more channels than the limit.
        UnsupportedEncodingError: no decoder for the encoding is here.
        TruncatedAudioError: the container is recognised, and cut off before its format.
    """

    def __init__(self, data: bytes | memoryview, limits: DecodeLimits) -> None:
        self._limits = limits
        self._data = data
        self._file = _open(data)
        self.format: str = self._file.format
        self.sample_rate_hz: int = self._file.samplerate
        self.channels: int = self._file.channels
        self._sample_type = _INTEGER_SUBTYPES.get(self._file.subtype, _FLOAT)
        self.holds_integers = self._sample_type is not _FLOAT
        self.truncated = False
        self._piece_frames = MP3_FRAME if self._file.format == "MP3" else BLOCK_FRAMES
        if self._file.subtype not in ACCEPTED_ENCODINGS:
            raise UnsupportedEncodingError(
                f"The audio's encoding, {self._file.subtype}, is not accepted. {_CONVERT_IT}"
            )
        check_format(self.sample_rate_hz, self.channels, limits)

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        shape = (BLOCK_FRAMES, self.channels)
        block = np.empty(shape, dtype=np.float32)
        decoded: NDArray[Any] = block
        if self.holds_integers:
            decoded = np.empty(shape, dtype=self._sample_type.dtype)
        scale = np.float32(1 / self._sample_type.full_scale)
        n_decoded = 0
        while n_block := self._read(decoded):
            n_decoded += n_block
            check_length(n_decoded, self.sample_rate_hz, self.channels, self._limits)
            if self.holds_integers:
                np.multiply(decoded[:n_block], scale, out=block[:n_block], dtype=np.float32)
            yield block[:n_block]
        if n_decoded == 0:
            self._raise_for_no_samples()
        self.truncated = ends_early(self._data) or self._holds_less_than_flac_says(n_decoded)

    def close(self) -> None:
        self._file.close()

    def _read(self, buffer: NDArray[Any]) -> int:
        """Fill `buffer` with the next frames and return how many there were; 0 at the end.

        Calls libsndfile through soundfile's own binding: where a file breaks off, `SoundFile.read`
        raises, and does not tell how many frames were decoded before.
        """
        read = self._sample_type.read
        pointer = soundfile._ffi.from_buffer(self._sample_type.c_name, buffer)
        n_read = 0
        while n_read < len(buffer):
            wanted = min(self._piece_frames, len(buffer) - n_read)
            n_piece = read(self._file._file, pointer + n_read * self.channels, wanted)
            n_read += n_piece
            if n_piece < wanted:
                break
        return n_read

    def _holds_less_than_flac_says(self, n_decoded: int) -> bool:
        n_stated: int = self._file.frames
        return self._file.format == "FLAC" and n_decoded < n_stated < FLAC_LENGTH_UNKNOWN

    def _raise_for_no_samples(self) -> None:
        if self._file.frames == 0:
            raise EmptyAudioError(
                "The audio's header says that it holds no sample. Check that the recording was "
                "started, and ended properly, and send it again."
            )
        if self._file.format != "MP3" and self._file.subtype.startswith("MPEG"):
            raise UnsupportedEncodingError(
                "The audio is MP3 in another container, which no decoder here reads. Send it as an "
                "MP3 file, or convert it to 16-bit PCM WAV."
            )
        raise TruncatedAudioError(
            "The audio was cut off before its first sample. Send the whole file."
        )


def _open(data: bytes | memoryview) -> soundfile.SoundFile:
    if len(data) == 0:
        raise EmptyAudioError("The file is empty: it holds no byte. Choose another one.")
    if bytes(data[:4]) == b"OggS" and _claims_absurdly_much(data):
        raise TruncatedAudioError(
            "The file holds marks of Ogg pages that overlap, so it is damaged, or none at all. "
            "Export it again."
        )
    try:
        file = soundfile.SoundFile(MemoryFile(data))
    except soundfile.LibsndfileError as error:
        if error.code in _UNKNOWN_ENCODING and bytes(data[:4]) not in _OF_ONE_ENCODING:
            raise UnsupportedEncodingError(
                f"The audio's encoding is none that a decoder here reads. {_CONVERT_IT}"
            ) from error
        if _names_a_container(data):
            raise TruncatedAudioError(
                "The file begins as audio and breaks off, or breaks its format, before the first "
                "sample. Send the whole file, or convert it to 16-bit PCM WAV."
            ) from error
        raise NotAudioError(
            f"The bytes are not audio in a known format. Send {ACCEPTED_FORMATS_IN_WORDS}."
        ) from error
    if file.format not in ACCEPTED_FORMATS:
        file.close()
        raise NotAudioError(
            f"The format {file.format} is not accepted. Send {ACCEPTED_FORMATS_IN_WORDS}."
        )
    return file


def _names_a_container(data: bytes | memoryview) -> bool:
    """Whether the first bytes are those of an accepted container (MP3 has no such mark)."""
    head = bytes(data[:12])
    return (head[:4] in (b"RIFF", b"RIFX", b"RF64") and head[8:12] in (b"WAVE", b"")) or (
        head[:4] in (b"fLaC", b"OggS", b"caff", b".snd", b"riff")
        or (head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"))
    )


def _claims_absurdly_much(data: bytes | memoryview) -> bool:
    """Whether the pages that an Ogg file has marks of would be much longer than the file.

    libogg computes a checksum over each, so that a file of nothing but marks keeps it busy for
    minutes. In a real file they are as long as the file.
    """
    content = np.frombuffer(data, dtype=np.uint8)
    marks = np.flatnonzero(content[: max(0, len(content) - _OGG_PAGE_HEADER)] == ord("O"))
    for place, letter in enumerate(b"ggS", start=1):
        marks = marks[content[marks + place] == letter]
    claimed = 0
    for start in range(0, len(content), _OGG_PIECE):
        piece = content[start : start + _OGG_PIECE + _OGG_PAGE_HEADER + 255]
        sums = np.concatenate([[0], np.cumsum(piece, dtype=np.int64)])
        in_piece = marks[np.searchsorted(marks, start) : np.searchsorted(marks, start + _OGG_PIECE)]
        begins = in_piece - start + _OGG_PAGE_HEADER
        n_segments = piece[begins - 1]
        ends = np.minimum(begins + n_segments, len(piece))
        claimed += int((sums[ends] - sums[begins]).sum())  # a page states its segments' lengths
    return claimed > 2 * len(content) + 1_000_000
