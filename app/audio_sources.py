"""Sources of live audio: a file at real speed, and a microphone; mono, 16-bit, in small chunks."""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Final, Protocol

CHUNK_SECONDS: Final = 0.05
_FULL_SCALE: Final = 32_767
_HELD_CHUNKS: Final = 200  # ten seconds; a microphone does not wait


class SourceError(Exception):
    """There is nothing to listen to; the message is a sentence that says why."""


class Source(Protocol):
    """Something that is heard as time passes."""

    @property
    def name(self) -> str:
        """What it is called."""

    @property
    def sample_rate_hz(self) -> int:
        """Its sample rate, in Hz."""

    def chunks(self) -> AsyncIterator[tuple[float, bytes]]:
        """Yield samples as they are heard, int16 mono, each after the second that it ends at."""


class FileSource:
    """A file, as if it were played.

    Args:
        path: a file in any format that Hark decodes.

    Raises:
        OSError: it cannot be read.
        AudioError: it cannot be decoded.
    """

    def __init__(self, path: Path) -> None:
        from app.audio.decode import open_audio

        self.name = path.name
        self._reader = open_audio(path.read_bytes())
        self.sample_rate_hz = self._reader.sample_rate_hz

    async def chunks(self) -> AsyncIterator[tuple[float, bytes]]:
        """Yield each chunk when a player would have played it."""
        started = time.monotonic()
        n_sent = 0
        for samples in self._pieces():
            n_sent += len(samples) // 2
            end_seconds = n_sent / self.sample_rate_hz
            await asyncio.sleep(started + end_seconds - time.monotonic())
            yield end_seconds, samples

    def _pieces(self) -> Iterator[bytes]:
        import numpy as np

        from app.audio.waveform import downmix

        n_chunk = max(1, round(CHUNK_SECONDS * self.sample_rate_hz))
        with self._reader:
            for block in self._reader.blocks():
                mono = np.nan_to_num(downmix(block)).clip(-1, 1)
                samples = np.rint(mono * _FULL_SCALE).astype("<i2")
                for start in range(0, len(samples), n_chunk):
                    yield samples[start : start + n_chunk].tobytes()


class Microphone:
    """An input of this machine's sound system, through PortAudio. Needs `hark[listen]`.

    Args:
        device: its number or a part of its name; the default input if None.

    Raises:
        SourceError: the library or the device is not there.
    """

    def __init__(self, device: str | None = None) -> None:
        self._sound = _sound_library()
        chosen = int(device) if device is not None and device.isdecimal() else device
        try:
            found: dict[str, Any] = self._sound.query_devices(chosen, "input")
        except (self._sound.PortAudioError, ValueError) as error:
            raise SourceError(
                f"There is no microphone {device or 'here'} ({error}). Plug one in, name another "
                "with --device, or stream a file: hark listen FILE."
            ) from error
        self.name = str(found["name"])
        self.sample_rate_hz = round(found["default_samplerate"])
        self._device = chosen

    async def chunks(self) -> AsyncIterator[tuple[float, bytes]]:
        """Yield what the microphone hears.

        Raises:
            SourceError: it cannot be opened.
        """
        loop = asyncio.get_running_loop()
        queue: asyncio.Queue[bytes] = asyncio.Queue(_HELD_CHUNKS)

        def put(samples: bytes) -> None:
            if queue.full():
                queue.get_nowait()  # the connection is too slow: the oldest is lost
            queue.put_nowait(samples)

        def on_audio(samples: Any, _frames: int, _time: object, _status: object) -> None:
            loop.call_soon_threadsafe(put, bytes(samples))

        try:
            stream = self._sound.RawInputStream(
                samplerate=self.sample_rate_hz,
                blocksize=round(CHUNK_SECONDS * self.sample_rate_hz),
                device=self._device,
                channels=1,
                dtype="int16",
                callback=on_audio,
            )
        except self._sound.PortAudioError as error:
            raise SourceError(f"The microphone {self.name!r} cannot be opened: {error}.") from error
        n_sent = 0
        with stream:
            while True:
                samples = await queue.get()
                n_sent += len(samples) // 2
                yield n_sent / self.sample_rate_hz, samples


def _sound_library() -> Any:
    try:
        import sounddevice  # type: ignore[import-untyped]
    except ImportError as error:
        raise SourceError(
            "A microphone needs the extra: pip install 'hark[listen]'. Without it, stream a file: "
            "hark listen FILE."
        ) from error
    except OSError as error:
        raise SourceError(
            "A microphone needs the library PortAudio, which is not installed (apt install "
            "libportaudio2). Without it, stream a file: hark listen FILE."
        ) from error
    return sounddevice
