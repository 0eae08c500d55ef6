"""What FFmpeg decodes, through PyAV: the containers that phones and browsers record into.

An optional extra, `hark[av]`, and imported only once such a file comes. FFmpeg knows hundreds of
formats and protocols, and files that name other files; here it gets bytes in memory, one demuxer,
and a few decoders.

Whatever FFmpeg refuses is damage to the file, also where it could not get as much memory as a table
or a packet claims to need: it frees what it had, and no file of a size that is taken needs that.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import chain
from types import ModuleType
from typing import TYPE_CHECKING, Any, Final, NoReturn

import numpy as np
from numpy.typing import NDArray

from app.audio.container_ends import container_ends_early
from app.audio.frames import holds_integers, samples_of
from app.audio.limits import DecodeLimits
from app.audio.memory_file import MemoryFile
from app.audio.reader import BLOCK_FRAMES, AudioReader, check_format, check_length
from app.audio.signatures import ALWAYS_ACCEPTED_IN_WORDS, Container
from app.errors import (
    DecoderMissingError,
    EmptyAudioError,
    NoAudioTrackError,
    TruncatedAudioError,
    UnsupportedEncodingError,
)

if TYPE_CHECKING:
    from av import AudioFrame, AudioStream, Packet
    from av.container import InputContainer

# FFmpeg's own names of its decoders. What is not here is not opened, pictures least of all.
ACCEPTED_DECODERS: Final = frozenset(
    {
        *("opus", "vorbis", "aac", "alac", "mp3float", "mp3", "flac", "amrnb", "amrwb"),
        *("pcm_u8", "pcm_s8", "pcm_s16le", "pcm_s16be", "pcm_s24le", "pcm_s24be"),
        *("pcm_s32le", "pcm_s32be", "pcm_f32le", "pcm_f32be", "pcm_f64le", "pcm_f64be"),
        *("pcm_alaw", "pcm_mulaw"),
    }
)
_OPTIONS: Final = {
    "codec_whitelist": ",".join(sorted(ACCEPTED_DECODERS)),
    "protocol_whitelist": "",
    # QuickTime's references to other files. These are the defaults, and here on purpose.
    "enable_drefs": "0",
    "use_absolute_path": "0",
    "ignore_chapters": "1",
    # How much is looked at before the first packet is handed out: a format is known sooner, and
    # five megabytes, the default, may be a million packets of nothing.
    "probesize": "100000",
}
# Each packet takes time, however little it holds. The shortest in practice hold 2.5 ms; of those
# that give no sound there is one at the beginning, and there are some where there is damage.
_MAX_PACKETS_A_SECOND: Final = 500
_MAX_EMPTY_PACKETS: Final = 5_000

_CUT_OFF: Final = (
    "The audio was cut off before its first sample, or is damaged. Send the whole file."
)


class ContainerReader(AudioReader):
    """An `AudioReader` of what FFmpeg decodes: the default audio track of a container.

    What a damaged packet held is left out, and so is what has another rate or other channels than
    the beginning; `truncated` says so.

    Args:
        data: the file's bytes. Not copied.
        container: what its first bytes are those of.
        limits: what the clip may be.

    Raises:
        DecoderMissingError: PyAV is not installed.
        NoAudioTrackError: there are pictures or texts, and no sound.
        SampleRateError: the sample rate is outside the limits.
        TooManyChannelsError: there are more channels than the limit.
        UnsupportedEncodingError: no decoder for the encoding is here.
        EmptyAudioError: there is a track, and no packet in it.
        TruncatedAudioError: the container is recognised, and cut off before its first sample.
    """

    def __init__(
        self, data: bytes | memoryview, container: Container, limits: DecodeLimits
    ) -> None:
        self.format = container.name
        self._data = data
        self._container = container
        self._limits = limits
        self._av = _library(container)
        self._is_damaged = False
        self._n_packets = 0
        self._input = self._open()
        try:
            self._stream = self._audio_stream()
            self._frames = self._decoded_frames()
            self._first = next(self._frames, None) or self._raise_for_no_samples()
            self.sample_rate_hz: int = self._first.sample_rate
            self.channels: int = self._first.layout.nb_channels
            self.holds_integers = holds_integers(self._first)
            self.truncated = False
            check_format(self.sample_rate_hz, self.channels, limits)
        except BaseException:
            self.close()
            raise

    def blocks(self) -> Iterator[NDArray[np.float32]]:
        block = np.empty((BLOCK_FRAMES, self.channels), dtype=np.float32)
        n_filled = n_decoded = 0
        for frame in chain([self._first], self._frames):
            if not self._is_like_the_first(frame):
                self._is_damaged = True
                continue
            n_decoded += frame.samples
            check_length(n_decoded, self.sample_rate_hz, self.channels, self._limits)
            samples = samples_of(frame)
            while len(samples):
                n_copied = min(len(samples), BLOCK_FRAMES - n_filled)
                block[n_filled : n_filled + n_copied] = samples[:n_copied]
                samples = samples[n_copied:]
                n_filled += n_copied
                if n_filled == BLOCK_FRAMES:
                    yield block
                    n_filled = 0
        if n_filled:
            yield block[:n_filled]
        self.truncated = self._is_damaged or container_ends_early(self._data, self._container)

    def close(self) -> None:
        self._input.close()

    def _open(self) -> InputContainer:
        try:
            opened: InputContainer = self._av.open(
                MemoryFile(self._data),
                "r",
                format=self._container.demuxer,
                container_options=_OPTIONS,
                metadata_errors="replace",
                io_open=_refuse_to_open,
            )
        except self._av.FFmpegError as error:
            raise TruncatedAudioError(
                f"The file begins as {self._container.name} and breaks off, or breaks its format, "
                "before the first sample. Send the whole file: a recording that was not ended "
                "properly cannot be read."
            ) from error
        return opened

    def _audio_stream(self) -> AudioStream:
        streams = self._input.streams
        # FFmpeg's choice is by the file's own default; none where a damaged header has no rate.
        stream: AudioStream | None = streams.best("audio")  # type: ignore[assignment]
        if stream is None and not streams.audio:
            raise NoAudioTrackError(
                f"The file is {self._container.name} without a track of sound. Choose one with "
                "sound."
            )
        stream = stream or streams.audio[0]
        for other in self._input.streams:
            if other is not stream:
                other.discard = self._av.stream.Discard.all
        context = stream.codec_context
        if context is None or context.name not in ACCEPTED_DECODERS:
            self._raise_for_encoding(None if context is None else context.name)
        context.thread_count = 1
        context.thread_type = "NONE"
        context.options = {"max_samples": str(self._limits.max_samples)}
        return stream

    def _decoded_frames(self) -> Iterator[AudioFrame]:
        n_empty = 0
        for packet in self._packets():
            self._is_damaged = self._is_damaged or packet.is_corrupt
            frames: list[AudioFrame] = []
            try:
                frames = self._stream.codec_context.decode(packet)
            except self._av.FFmpegError:
                self._is_damaged = True
            n_empty += not frames
            if n_empty > _MAX_EMPTY_PACKETS:
                self._is_damaged = True
                return
            yield from frames

    def _packets(self) -> Iterator[Packet[AudioStream]]:
        max_packets = round(self._limits.max_seconds * _MAX_PACKETS_A_SECOND)
        try:
            for packet in self._input.demux(self._stream):
                self._n_packets += packet.size > 0
                if self._n_packets > max_packets:
                    self._is_damaged = True
                    return
                yield packet
        except self._av.FFmpegError:
            self._is_damaged = True

    def _is_like_the_first(self, frame: AudioFrame) -> bool:
        return (
            frame.sample_rate == self.sample_rate_hz
            and frame.layout.nb_channels == self.channels
            and holds_integers(frame) == self.holds_integers
        )

    def _raise_for_encoding(self, name: str | None) -> NoReturn:
        if name is None and container_ends_early(self._data, self._container):
            raise TruncatedAudioError(_CUT_OFF)
        raise UnsupportedEncodingError(
            f"The encoding of the sound in this {self._container.name} file "
            f"({name or 'unknown, or encrypted'}) is not accepted. Convert it to AAC, Opus, or "
            "16-bit PCM WAV."
        )

    def _raise_for_no_samples(self) -> NoReturn:
        ends_early = container_ends_early(self._data, self._container)
        if self._n_packets == 0 and not ends_early and not self._is_damaged:
            raise EmptyAudioError(
                f"The {self._container.name} file has a track of sound with nothing in it. Check "
                "that the recording was started, and ended properly, and send it again."
            )
        raise TruncatedAudioError(_CUT_OFF)


def _library(container: Container) -> ModuleType:
    try:
        import av
    except ImportError as error:
        raise DecoderMissingError(
            f"The file is {container.name}, whose decoder is not installed here. Send "
            f"{ALWAYS_ACCEPTED_IN_WORDS}; or have the extra installed: pip install 'hark[av]'."
        ) from error
    return av


def _refuse_to_open(url: str, flags: int, options: dict[str, Any]) -> NoReturn:
    raise PermissionError("a file named another one")
