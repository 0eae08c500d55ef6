"""Windows of a live stream: raw bytes go in as they come, and a WAV file comes out at each hop."""

from collections.abc import Iterator
from dataclasses import dataclass

from app.audio.wav_header import BYTES_PER_SAMPLE, SampleEncoding, wav_header


@dataclass(frozen=True, slots=True)
class SampleFormat:
    """What raw bytes are: samples of all channels in turn, at a rate in Hz."""

    encoding: SampleEncoding
    sample_rate_hz: int
    channels: int

    @property
    def frame_bytes(self) -> int:
        """Bytes of one sample of every channel."""
        return BYTES_PER_SAMPLE[self.encoding] * self.channels


@dataclass(frozen=True, slots=True)
class StreamWindow:
    """What was heard last, at the end of a hop.

    Attributes:
        start_seconds: where in the stream it begins.
        end_seconds: where it ends.
        wav: its samples, as a WAV file.
    """

    start_seconds: float
    end_seconds: float
    wav: bytes


class StreamWindows:
    """Keeps the last window of a stream, and hands it out at the end of each hop.

    Before a whole window has been heard, a window is what has been heard so far. What comes out
    does not depend on how the bytes were divided into chunks.

    Args:
        samples: what the bytes are.
        window_seconds: how long a window is.
        hop_seconds: from the end of one window to that of the next; not longer than a window.
    """

    def __init__(self, samples: SampleFormat, window_seconds: float, hop_seconds: float) -> None:
        self._format = samples
        self._hop_seconds = hop_seconds
        self._window_bytes = self.window_bytes(samples, window_seconds)
        self._latest = bytearray()
        self._n_received = 0  # bytes, since the stream's beginning
        self._n_hops = 0
        self._hop_end = 0  # in bytes
        self._begin_hop()

    @staticmethod
    def window_bytes(samples: SampleFormat, window_seconds: float) -> int:
        """Return how many bytes a window holds."""
        return round(window_seconds * samples.sample_rate_hz) * samples.frame_bytes

    @property
    def heard_seconds(self) -> float:
        """How much has come."""
        return self._seconds(self._n_received // self._format.frame_bytes)

    @property
    def unfinished_bytes(self) -> int:
        """How many bytes have come of a frame that is not complete."""
        return self._n_received % self._format.frame_bytes

    def push(self, chunk: bytes) -> Iterator[StreamWindow]:
        """Take in bytes, and yield the windows that they complete, one by one.

        No more than a window and a hop are held at a time, however long the chunk is. The next
        chunk may be pushed once all windows of this one have been taken.
        """
        left = memoryview(chunk)
        while left:
            piece = left[: self._hop_end - self._n_received]
            left = left[len(piece) :]
            self._take_in(piece)
            if self._n_received == self._hop_end:
                yield self._window()
                self._begin_hop()

    def rest(self) -> StreamWindow | None:
        """Return the window that ends where the stream ends, if anything came after the last hop.

        Bytes of a frame that is not complete are left out.
        """
        n_since_hop = self._n_received - self._frames_at_hop(self._n_hops - 1) * self._frame_bytes
        return self._window() if n_since_hop >= self._frame_bytes else None

    @property
    def _frame_bytes(self) -> int:
        return self._format.frame_bytes

    def _take_in(self, piece: memoryview) -> None:
        self._latest += piece
        self._n_received += len(piece)
        # A frame more than a window, since the last one may not be complete.
        excess = len(self._latest) - self._window_bytes - self._frame_bytes
        if excess > 0:
            del self._latest[:excess]

    def _begin_hop(self) -> None:
        self._n_hops += 1
        self._hop_end = self._frames_at_hop(self._n_hops) * self._frame_bytes

    def _frames_at_hop(self, n_hops: int) -> int:
        """Return where hops end, counted from the stream's beginning, so that no error adds up."""
        return max(n_hops, round(n_hops * self._hop_seconds * self._format.sample_rate_hz))

    def _window(self) -> StreamWindow:
        n_frames = self._n_received // self._frame_bytes
        end = len(self._latest) - self.unfinished_bytes
        samples = self._latest[max(0, end - self._window_bytes) : end]
        kind = self._format
        header = wav_header(len(samples), kind.sample_rate_hz, kind.channels, kind.encoding)
        return StreamWindow(
            start_seconds=self._seconds(n_frames - len(samples) // self._frame_bytes),
            end_seconds=self._seconds(n_frames),
            wav=header + samples,
        )

    def _seconds(self, n_frames: int) -> float:
        return n_frames / self._format.sample_rate_hz
