"""Windows of a live stream: any division into chunks gives the same ones, the right ones."""

import struct
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.audio.stream_windows import SampleFormat, StreamWindow, StreamWindows
from app.audio.wav_header import wav_header

MONO = SampleFormat("pcm_s16le", 8_000, 1)
formats = st.builds(
    SampleFormat,
    encoding=st.sampled_from(["pcm_s16le", "pcm_f32le"]),
    sample_rate_hz=st.integers(50, 400),
    channels=st.integers(1, 5),
)


def numbered(n_frames: int, samples: SampleFormat = MONO) -> bytes:
    """Return frames that each tell their number, in their first two bytes."""
    padding = bytes(samples.frame_bytes - 2)
    return b"".join(struct.pack("<H", n % 65_536) + padding for n in range(n_frames))


def windows_of(windows: StreamWindows, chunks: Iterator[bytes]) -> list[StreamWindow]:
    found = [window for chunk in chunks for window in windows.push(chunk)]
    rest = windows.rest()
    return found if rest is None else [*found, rest]


def in_one_piece(data: bytes) -> Iterator[bytes]:
    yield data


def divided(data: bytes, lengths: list[int]) -> Iterator[bytes]:
    """Yield pieces of the given lengths, over and over."""
    place = n = 0
    while place < len(data):
        length = lengths[n % len(lengths)]
        yield data[place : place + length]
        place, n = place + length, n + 1


def test_windows_grow_and_then_slide() -> None:
    data = numbered(8_000 * 5)
    found = windows_of(StreamWindows(MONO, 4.0, 1.0), in_one_piece(data))
    times = [(window.start_seconds, window.end_seconds) for window in found]
    assert times == [(0, 1), (0, 2), (0, 3), (0, 4), (1, 5)]
    for window in found:
        samples = data[round(window.start_seconds * 16_000) : round(window.end_seconds * 16_000)]
        assert window.wav == wav_header(len(samples), 8_000, 1, "pcm_s16le") + samples


def test_what_came_after_the_last_hop_ends_in_a_last_window() -> None:
    data = numbered(8_000 * 5 + 2_000) + b"\x01"  # and half a sample
    windows = StreamWindows(MONO, 4.0, 1.0)
    last = windows_of(windows, in_one_piece(data))[-1]
    assert (last.start_seconds, last.end_seconds) == (1.25, 5.25)
    assert last.wav[44:] == data[20_000:84_000]
    assert windows.unfinished_bytes == 1
    assert windows.heard_seconds == 5.25


@pytest.mark.parametrize("n_bytes", [0, 1, 8_000 * 2, 8_000 * 2 + 1])
def test_there_is_no_rest_where_nothing_came_after_the_last_hop(n_bytes: int) -> None:
    windows = StreamWindows(MONO, 4.0, 1.0)
    list(windows.push(numbered(8_001)[:n_bytes]))
    assert windows.rest() is None


def test_hops_that_are_no_whole_number_of_samples_do_not_drift() -> None:
    samples = SampleFormat("pcm_s16le", 11_025, 1)
    windows = StreamWindows(samples, 4.0, 0.1)  # 1102.5 samples
    ends = [window.end_seconds for window in windows.push(numbered(11_025 * 20, samples))]
    assert ends == pytest.approx([0.1 * (n + 1) for n in range(200)], abs=1 / 11_025)


@given(
    samples=formats,
    window_seconds=st.floats(0.1, 2),
    hop=st.floats(0.05, 1),
    n_bytes=st.integers(0, 6_000),
    lengths=st.lists(st.integers(1, 500), min_size=1, max_size=9),
)
def test_any_division_gives_the_same_windows(
    samples: SampleFormat, window_seconds: float, hop: float, n_bytes: int, lengths: list[int]
) -> None:
    data = numbered(n_bytes // samples.frame_bytes + 1, samples)[:n_bytes]
    hop_seconds = hop * window_seconds
    whole = StreamWindows(samples, window_seconds, hop_seconds)
    by_piece = StreamWindows(samples, window_seconds, hop_seconds)
    found = windows_of(whole, in_one_piece(data))
    assert windows_of(by_piece, divided(data, lengths)) == found
    most = StreamWindows.window_bytes(samples, window_seconds)
    for window in found:
        start, end = (
            round(seconds * samples.sample_rate_hz) * samples.frame_bytes
            for seconds in (window.start_seconds, window.end_seconds)
        )
        assert window.wav[44:] == data[start:end]
        assert end - start == min(end, most)
    assert whole.heard_seconds == n_bytes // samples.frame_bytes / samples.sample_rate_hz
    if n_bytes >= samples.frame_bytes:
        assert found[-1].end_seconds == whole.heard_seconds


@given(n_bytes=st.integers(1, 300_000))
def test_no_more_is_held_than_a_window_and_a_hop(n_bytes: int) -> None:
    windows = StreamWindows(MONO, 1.0, 0.5)
    for _ in windows.push(bytes(n_bytes)):
        assert len(windows._latest) <= 16_000 + 8_000 + 2
