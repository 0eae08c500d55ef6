"""What phones and browsers record: WebM, MP4, M4A, AAC and AMR, decoded by FFmpeg within limits."""

import contextlib
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import pytest

from app.audio import containers
from app.audio.decode import decode, open_audio
from app.audio.limits import DecodeLimits
from app.audio.reader import BLOCK_FRAMES
from app.audio.signatures import container_of
from app.audio.spec import FrontEndSpec
from app.audio.waveform import canonical_waveform
from app.errors import (
    AudioError,
    AudioTooLongError,
    EmptyAudioError,
    InvalidSamplesError,
    NoAudioTrackError,
    NotAudioError,
    SampleRateError,
    TooManyChannelsError,
    TooManySamplesError,
    TruncatedAudioError,
    UnsupportedEncodingError,
)
from tests.hostile.forge import matroska
from tests.recordings import film, record
from tests.sounds import buzz, encode, noisy_sweep, patched, tone

RATE: Final = 44_100
AMR_WB: Final = (Path(__file__).parent / "data" / "buzz.awb").read_bytes()


class Recording(NamedTuple):
    """A container and codec, how far samples may lie from the original's, how many may be added.

    MP4 does not say how much of its last packet is sound, and AAC without a container not even how
    much silence an encoder put first.
    """

    container: str
    codec: str
    rate: int
    tolerance: float
    appended: int = 0
    first: int = 0
    options: dict[str, str] | None = None


FRAGMENTS: Final = {"movflags": "frag_keyframe+empty_moov"}
RECORDINGS: Final = {
    "webm": Recording("webm", "libopus", 48_000, 0.01),
    "webm of a browser, without lengths": Recording(
        "webm", "libopus", 48_000, 0.01, options={"live": "1"}
    ),
    "matroska with opus": Recording("matroska", "libopus", 48_000, 0.01),
    "matroska with mp3": Recording("matroska", "libmp3lame", RATE, 0.03),
    "m4a": Recording("ipod", "aac", RATE, 0.01, 1024),
    "mp4": Recording("mp4", "aac", 48_000, 0.01, 1024),
    "mp4 of 16 kHz": Recording("mp4", "aac", 16_000, 0.03, 1024),
    "mp4 whose index is at its beginning": Recording(
        "mp4", "aac", RATE, 0.01, 1024, options={"movflags": "faststart"}
    ),
    "mp4 of a browser, in fragments": Recording(
        "mp4", "aac", RATE, 0.01, 1024, 1024, options=FRAGMENTS
    ),
    "mp4 with opus": Recording("mp4", "libopus", 48_000, 0.01, 960),
    "mp4 with mp3": Recording("mp4", "libmp3lame", RATE, 0.03, 1152),
    "aac": Recording("adts", "aac", RATE, 0.01, 1024, 1024),
}


def recorded(kind: str, channels: int = 1, seconds: float = 1) -> bytes:
    recording = RECORDINGS[kind]
    samples = tone(seconds, recording.rate, channels)
    return record(
        samples, recording.rate, recording.container, recording.codec, options=recording.options
    )


def truncated(data: bytes) -> bool:
    with open_audio(data) as reader:
        for _ in reader.blocks():
            pass
        return reader.truncated


def failure(data: bytes, limits: DecodeLimits | None = None) -> AudioError:
    """Return the error that decoding ends with, whose message must be for a person."""
    with pytest.raises(AudioError) as raised:
        decode(data, limits)
    message = str(raised.value)
    assert message[0].isupper()
    assert message.endswith(".")
    assert len(message.split()) > 5
    return raised.value


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("kind", RECORDINGS)
def test_every_recording_gives_back_the_sound(kind: str, channels: int) -> None:
    recording = RECORDINGS[kind]
    original = tone(1, recording.rate, channels)
    audio = decode(recorded(kind, channels))
    assert audio.sample_rate_hz == recording.rate
    assert audio.samples.dtype == np.float32
    assert audio.samples.shape[1] == channels
    sound = audio.samples[recording.first :]
    assert 0 <= len(sound) - len(original) < recording.appended + 1
    # A shift by one sample would make an error of 0.017 at 44.1 kHz.
    assert np.abs(sound[: len(original)] - original).max() <= recording.tolerance
    assert np.abs(audio.samples[: recording.first]).max(initial=0) <= recording.tolerance
    assert not truncated(recorded(kind, channels))


@pytest.mark.parametrize(
    ("data", "rate"),
    [
        (record(buzz(1, 8_000), 8_000, "amr", "libopencore_amrnb", bit_rate=12_200), 8_000),
        (record(buzz(1, 8_000), 8_000, "3gp", "libopencore_amrnb", bit_rate=12_200), 8_000),
        (AMR_WB, 16_000),
    ],
    ids=["amr", "3gp", "amr-wb"],
)
def test_a_telephones_voice_is_heard(data: bytes, rate: int) -> None:
    audio = decode(data)
    assert audio.sample_rate_hz == rate
    assert not truncated(data)
    assert 0 <= audio.samples.size - rate <= 160
    original, heard = buzz(1, rate)[:, 0], audio.samples[:, 0]
    n_compared = rate - rate // 50
    likeness = max(
        np.corrcoef(original[:n_compared], heard[delay : delay + n_compared])[0, 1]
        for delay in range(rate // 200)  # what the codec looks ahead
    )
    assert likeness > 0.7
    assert np.std(heard) == pytest.approx(np.std(original), rel=0.3)
    spectrum = np.abs(np.fft.rfft(heard[:rate]))
    loudest = np.argsort(spectrum)[-10:]
    assert set(np.round(loudest / 200) * 200) <= set(range(200, 2_200, 200))
    assert np.abs(loudest - np.round(loudest / 200) * 200).max() <= 5


class Lossless(NamedTuple):
    """A codec that keeps every bit, and what it is handed."""

    container: str
    codec: str
    sample_format: str
    bits: int
    holds_integers: bool = True


LOSSLESS: Final = [
    Lossless("mov", "pcm_s16le", "s16", 16),
    Lossless("mov", "pcm_s16be", "s16", 16),
    Lossless("mov", "pcm_s24le", "s32", 24),
    Lossless("mov", "pcm_s32be", "s32", 24),  # of which float32 holds 24
    Lossless("mov", "pcm_f64le", "dbl", 24, holds_integers=False),
    Lossless("mov", "alac", "s16p", 16),
    Lossless("mov", "alac", "s32p", 24),
    Lossless("matroska", "pcm_u8", "u8", 8),
    Lossless("matroska", "pcm_s16le", "s16", 16),
    Lossless("matroska", "pcm_f32le", "flt", 24, holds_integers=False),
    Lossless("matroska", "flac", "s16", 16),
    Lossless("matroska", "flac", "s32", 24),
]


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("kind", LOSSLESS, ids=lambda kind: "-".join(map(str, kind[:3])))
def test_what_is_lossless_is_equal_to_the_bit(kind: Lossless, channels: int) -> None:
    exact = np.round(noisy_sweep(1, RATE, channels) * 2 ** (kind.bits - 2)) / 2 ** (kind.bits - 1)
    data = record(exact, RATE, kind.container, kind.codec, sample_format=kind.sample_format)
    with open_audio(data) as reader:
        assert reader.holds_integers == kind.holds_integers
        samples = np.concatenate([block.copy() for block in reader.blocks()])
        assert not reader.truncated
    np.testing.assert_array_equal(samples, exact)


@pytest.mark.parametrize(("codec", "sample_format"), [("flac", "s16"), ("aac", "fltp")])
def test_eight_channels_are_eight(codec: str, sample_format: str) -> None:
    original = tone(0.5, RATE, 8)
    original[:, 3] = 0  # the fourth is for the lowest tones alone, where a codec hears the rest
    data = record(original, RATE, "matroska", codec, sample_format=sample_format)
    samples = decode(data).samples
    assert samples.shape[1] == 8
    assert np.abs(samples[: len(original)] - original).max() < 0.05


@pytest.mark.parametrize("kind", ["webm", "mp4"])
def test_blocks_are_full_but_for_the_last(kind: str) -> None:
    data = recorded(kind, 2, seconds=3)
    with open_audio(data) as reader:
        lengths = [len(block) for block in reader.blocks()]
    assert set(lengths[:-1]) == {BLOCK_FRAMES}
    assert sum(lengths) == len(decode(data).samples)


@pytest.mark.parametrize("container", ["mp4", "mov", "webm", "matroska"])
def test_a_film_is_its_sound(container: str) -> None:
    samples = decode(film(tone(1, 48_000), 48_000, container)).samples
    assert np.abs(samples[:48_000] - tone(1, 48_000)).max() < 0.01


@pytest.mark.parametrize("container", ["mp4", "webm"])
def test_a_film_without_sound_is_told_so(container: str) -> None:
    error = failure(film(None, 48_000, container))
    assert type(error) is NoAudioTrackError
    assert {"mp4": "MP4", "webm": "WebM"}[container] in str(error)


def test_bytes_are_read_in_place_from_any_buffer() -> None:
    data = recorded("m4a")
    arena = bytearray(b"another upload" + data + b"another upload")
    view = memoryview(arena)[14:-14].toreadonly()
    np.testing.assert_array_equal(decode(view).samples, decode(data).samples)


@pytest.mark.parametrize("kind", ["webm", "m4a", "aac", "mp4 of a browser, in fragments"])
def test_the_ffmpeg_command_hears_the_same(kind: str) -> None:
    """Another build of FFmpeg, of another year, called as people do."""
    if shutil.which("ffmpeg") is None:
        pytest.skip("there is no ffmpeg command here")
    data = recorded(kind, 2)
    command = ["ffmpeg", "-v", "error", "-i", "pipe:0", "-f", "f32le", "pipe:1"]
    finished = subprocess.run(command, input=data, capture_output=True, check=True)
    expected = np.frombuffer(finished.stdout, np.float32).reshape(-1, 2)
    np.testing.assert_allclose(decode(data).samples, expected, atol=2e-4)


# Recognition


@pytest.mark.parametrize(
    ("data", "name"),
    [
        (b"\x1aE\xdf\xa3\x9fB\x82\x84webm" + bytes(40), "WebM"),
        (b"\x1aE\xdf\xa3\x9fB\x82\x88matroska" + bytes(40), "Matroska"),
        (b"\0\0\0\x1cftypisom" + bytes(16), "MP4"),
        (b"\0\0\0\x1cftypM4A " + bytes(16), "M4A"),
        (b"\0\0\0\x1cftyp3gp4" + bytes(16), "3GP"),
        (b"\0\0\0\x14ftypqt  " + bytes(16), "QuickTime"),
        (b"\0\0\0\x08wide" + bytes(16), "QuickTime"),
        (b"#!AMR\n" + bytes(40), "AMR"),
        (b"#!AMR-WB\n" + bytes(40), "AMR"),
    ],
)
def test_a_container_is_called_what_people_call_it(data: bytes, name: str) -> None:
    container = container_of(data)
    assert container is not None
    assert container.name == name


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x1aE",
        b"To free the text from what it is not.",  # `free` stands where a box's name does
        b"#!AMRO is no AMR",
        b"\xff" * 100,
        b"\xff\xf1\x50\x80\x03\xdf\xfc" + b"no frame follows" * 100,
        encode(tone(1, RATE), RATE),
        encode(tone(1, RATE), RATE, "FLAC"),
        encode(tone(1, RATE), RATE, "MP3", "MPEG_LAYER_III"),
        encode(tone(1, RATE), RATE, "OGG", "VORBIS"),
    ],
    ids=lambda data: repr(bytes(data[:12])),
)
def test_all_other_bytes_are_libsndfiles(data: bytes) -> None:
    assert container_of(data) is None


def test_aac_behind_a_tag_is_recognised() -> None:
    aac = recorded("aac")
    title = b"TIT2" + (6).to_bytes(4, "big") + bytes(2) + b"\x03hello"
    tagged = b"ID3\x04\0\0" + len(title).to_bytes(4, "big") + title + aac
    np.testing.assert_array_equal(decode(tagged).samples, decode(aac).samples)


def test_no_list_of_other_files_is_opened(tmp_path: Path) -> None:
    """FFmpeg would fetch what such files name."""
    secret = tmp_path / "secret.wav"
    secret.write_bytes(encode(tone(1, RATE), RATE))
    lists = [
        f"#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\n{secret}\n#EXT-X-ENDLIST\n",
        f"ffconcat version 1.0\nfile {secret}\n",
        f"v=0\no=- 0 0 IN IP4 127.0.0.1\nc=IN IP4 127.0.0.1\nm=audio 9 RTP/AVP 0\na=x:{secret}\n",
    ]
    for text in lists:
        assert type(failure(text.encode())) is NotAudioError


@pytest.mark.parametrize("name", ["secret.mov", "/etc/passwd", "http://127.0.0.1:9/x"])
def test_a_movie_whose_sound_is_in_another_file_has_none(name: str) -> None:
    """QuickTime's data reference: not followed, neither by name nor by address."""
    data = record(tone(1, RATE), RATE, "mov", "pcm_s16le", sample_format="s16")
    assert type(failure(referring_to(data, name))) is EmptyAudioError


def test_ffmpeg_has_no_means_to_open_another_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """The second lock, behind the options; and that the movie of the test above does refer."""
    for option in ("enable_drefs", "use_absolute_path"):
        monkeypatch.setitem(containers._OPTIONS, option, "1")
    data = record(tone(1, RATE), RATE, "mov", "pcm_s16le", sample_format="s16")
    with pytest.raises(PermissionError):
        decode(referring_to(data, "secret.mov"))


def referring_to(data: bytes, name: str) -> bytes:
    """Return a QuickTime file, whose index is at its end, with its samples said to be in `name`.

    The reference (`dref`) holds one entry, `url ` with the flag «in this file»; in its place comes
    an alias (`alis`), and each box around it becomes longer.
    """
    entry = data.index(b"url ", data.index(b"dref")) - 4
    text = name.encode()
    path = (2).to_bytes(2, "big") + len(text).to_bytes(2, "big") + text + bytes(len(text) % 2)
    volume = bytes([4]) + b"disk" + bytes(23)
    alias = bytes(6) + (2).to_bytes(2, "big") + bytes(2) + volume + bytes(12)
    alias += bytes([len(text)]) + text.ljust(63, b"\0") + bytes(16)
    alias += (1).to_bytes(2, "big") * 2 + bytes(16) + path + b"\xff\xff\0\0"
    box = (12 + len(alias)).to_bytes(4, "big") + b"alis" + bytes(4) + alias
    longer = data[:entry] + box + data[entry + 12 :]
    for around in (b"moov", b"trak", b"mdia", b"minf", b"dinf", b"dref"):
        place = data.rindex(around, 0, entry) - 4
        size = int.from_bytes(data[place : place + 4], "big") + len(box) - 12
        longer = patched(longer, place, size.to_bytes(4, "big"))
    return longer


def test_only_decoders_of_sound_are_opened() -> None:
    import av

    for name in containers.ACCEPTED_DECODERS:
        assert av.codec.Codec(name, "r").type == "audio"


def test_an_encoding_that_is_not_accepted_is_named() -> None:
    error = failure(record(tone(1, 48_000), 48_000, "matroska", "ac3"))
    assert type(error) is UnsupportedEncodingError
    assert "ac3" in str(error)


# Limits


@pytest.mark.parametrize("kind", ["webm", "m4a", "aac"])
def test_the_longest_clip_is_counted_in_decoded_frames(kind: str) -> None:
    data = recorded(kind)
    n_frames = len(decode(data).samples)
    seconds = n_frames / RECORDINGS[kind].rate
    assert len(decode(data, DecodeLimits(max_seconds=seconds)).samples) == n_frames
    assert type(failure(data, DecodeLimits(max_seconds=seconds - 0.001))) is AudioTooLongError


def test_the_other_limits_are_kept() -> None:
    data = record(tone(1, RATE, 2), RATE, "mp4", "aac")
    assert type(failure(data, DecodeLimits(max_channels=1))) is TooManyChannelsError
    assert type(failure(data, DecodeLimits(max_sample_rate_hz=RATE - 1))) is SampleRateError
    assert type(failure(data, DecodeLimits(min_sample_rate_hz=RATE + 1))) is SampleRateError
    assert type(failure(data, DecodeLimits(max_samples=2 * RATE))) is TooManySamplesError


def test_packets_without_end_are_given_up() -> None:
    """Each takes time, also where it holds nothing."""
    empty_frame = b"\xff\xf1\x50\x80\x01\x1f\xfc\0"
    started = time.process_time()
    assert type(failure(empty_frame * 2_000_000)) is TruncatedAudioError
    assert time.process_time() - started < 5
    # Packets of one sample each, of which a real file of this length has a few hundred.
    tiny = matroska(bits=16, packets=[b"\0\0"] * 10_000)
    with open_audio(tiny, DecodeLimits(max_seconds=10)) as reader:
        assert sum(len(block) for block in reader.blocks()) == 5_000
        assert reader.truncated


# Damage


@pytest.mark.parametrize("part", [0.4, 0.7, 0.95])
@pytest.mark.parametrize(
    "kind",
    [
        "webm",
        "webm of a browser, without lengths",
        "mp4 whose index is at its beginning",
        "mp4 of a browser, in fragments",
        "aac",
    ],
)
def test_a_part_of_a_recording_gives_what_is_there(kind: str, part: float) -> None:
    data = recorded(kind, 2, seconds=4)
    whole = decode(data).samples
    cut = data[: round(part * len(data))]
    samples = decode(cut).samples
    n_certain = len(samples) - 2_048
    assert 0.2 * len(whole) < len(samples) < len(whole)
    np.testing.assert_allclose(samples[:n_certain], whole[:n_certain], atol=1e-6)
    assert truncated(cut)


@pytest.mark.parametrize("data", [AMR_WB, record(buzz(1, 8_000), 8_000, "amr", "amr_nb")])
def test_a_part_of_a_call_gives_what_is_there(data: bytes) -> None:
    assert not truncated(data)
    cut = data[: len(data) // 2 + 1]
    assert truncated(cut)
    assert len(decode(cut).samples) == pytest.approx(len(decode(data).samples) / 2, rel=0.05)


@pytest.mark.parametrize("n_bytes", [1, 2, 3, 5, 10, 30])
@pytest.mark.parametrize(
    "kind",
    ["webm", "webm of a browser, without lengths", "mp4 whose index is at its beginning", "aac"],
)
def test_the_last_bytes_missing_are_told(kind: str, n_bytes: int) -> None:
    assert truncated(recorded(kind)[:-n_bytes])


@pytest.mark.parametrize("kind", ["m4a", "mp4"])
def test_without_its_index_a_recording_cannot_be_read(kind: str) -> None:
    """It stands at the end, which a recording that was not ended does not have."""
    data = recorded(kind, seconds=4)
    for n_bytes in (len(data) // 2, data.rindex(b"moov") - 4, 28, 8):
        assert type(failure(data[:n_bytes])) is TruncatedAudioError


@pytest.mark.parametrize("kind", RECORDINGS)
def test_any_beginning_gets_an_answer(kind: str) -> None:
    data = recorded(kind)
    for n_bytes in [*range(4, 100, 7), *range(100, len(data), len(data) // 30)]:
        with contextlib.suppress(TruncatedAudioError, NoAudioTrackError, NotAudioError):
            decode(data[:n_bytes])


@pytest.mark.parametrize("kind", RECORDINGS)
def test_damage_within_costs_what_is_damaged(kind: str) -> None:
    data = bytearray(recorded(kind, seconds=4))
    begin = len(data) // 2
    data[begin : begin + 50] = np.random.default_rng(0).bytes(50)
    samples = decode(bytes(data)).samples
    assert len(samples) > 0.45 * 4 * RECORDINGS[kind].rate


# FFmpeg itself


def test_ffmpeg_writes_nothing(capfd: pytest.CaptureFixture[str]) -> None:
    data = bytearray(recorded("aac", seconds=4))
    data[5_000::100] = b"\xff" * len(data[5_000::100])
    decode(bytes(data))
    failure(b"\x1aE\xdf\xa3" + bytes(1_000))
    assert capfd.readouterr() == ("", "")


def test_it_takes_no_threads() -> None:
    code = (
        "import os, sys; from app.audio.decode import decode; "
        "data = sys.stdin.buffer.read(); before = os.listdir('/proc/self/task'); decode(data); "
        "assert 'av' in sys.modules; assert os.listdir('/proc/self/task') == before"
    )
    command = [sys.executable, "-c", code]
    finished = subprocess.run(command, input=recorded("m4a"), capture_output=True, check=False)
    assert (finished.returncode, finished.stderr) == (0, b"")


@pytest.mark.parametrize("make", [lambda: recorded("m4a"), lambda: recorded("webm")])
def test_it_is_loaded_for_such_files_alone(make: Callable[[], bytes]) -> None:
    code = (
        "import io, sys; from app.audio.decode import decode; import numpy as np; "
        "wav, other = sys.stdin.buffer.read().split(b'|||'); decode(wav); "
        "assert 'av' not in sys.modules; decode(other); assert 'av' in sys.modules"
    )
    files = encode(tone(0.1, RATE), RATE) + b"|||" + make()
    finished = subprocess.run(
        [sys.executable, "-c", code], input=files, capture_output=True, check=False
    )
    assert (finished.returncode, finished.stderr) == (0, b"")


@pytest.mark.parametrize(
    ("codec", "kind", "value"),
    [
        *(("pcm_f64le", "dbl", value) for value in (np.nan, np.inf, -np.inf, 1e300, -1e30)),
        *(("pcm_f32le", "flt", value) for value in (np.nan, np.inf, -np.inf, 3e38, -1e30)),
    ],
)
def test_values_that_are_no_sound_are_refused(codec: str, kind: str, value: float) -> None:
    samples = noisy_sweep(1, RATE, 2)
    samples[-1, 1] = value
    data = record(samples, RATE, "mov", codec, sample_format=kind)
    with open_audio(data) as reader, pytest.raises(InvalidSamplesError):
        canonical_waveform(reader, FrontEndSpec())
