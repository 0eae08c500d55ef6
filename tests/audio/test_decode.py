"""Decoding: every format by its content, block by block, and a clear refusal of all the rest."""

import io
import zipfile
from collections.abc import Callable
from typing import Final, NamedTuple

import numpy as np
import pytest
import soundfile

from app.audio.decode import decode, open_audio
from app.audio.limits import DecodeLimits
from app.audio.reader import BLOCK_FRAMES
from app.errors import (
    AudioError,
    AudioTooLongError,
    EmptyAudioError,
    NotAudioError,
    SampleRateError,
    TooManyChannelsError,
    TruncatedAudioError,
)
from tests.sounds import encode, flac_claiming, noisy_sweep, tone, wav_claiming

RATE: Final = 44_100


class Codec(NamedTuple):
    """A format, how far its samples may lie from the original's, and how many it may append."""

    container: str
    subtype: str
    tolerance: float
    rate: int = RATE
    appended: int = 0


CODECS: Final = [
    Codec("WAV", "PCM_U8", 1 / 127),
    Codec("WAV", "PCM_16", 2**-15),
    Codec("WAV", "PCM_24", 2**-23),
    Codec("WAV", "PCM_32", 2**-25),  # float32 holds 24 bits, of values below 1/2
    Codec("WAV", "FLOAT", 2**-25),
    Codec("WAV", "DOUBLE", 2**-25),
    Codec("WAV", "ALAW", 0.01),
    Codec("WAV", "ULAW", 0.01),
    Codec("WAV", "IMA_ADPCM", 0.02, appended=2048),  # ADPCM fills its last block
    Codec("WAV", "MS_ADPCM", 0.02, appended=2048),
    Codec("WAV", "PCM_16", 2**-15, rate=8_000),
    Codec("WAV", "PCM_16", 2**-15, rate=96_000),
    Codec("WAVEX", "PCM_16", 2**-15),
    Codec("RF64", "PCM_16", 2**-15),
    Codec("W64", "PCM_16", 2**-15),
    Codec("AIFF", "PCM_16", 2**-15),
    Codec("AIFF", "PCM_24", 2**-23),
    Codec("AU", "PCM_16", 2**-15),
    Codec("CAF", "PCM_16", 2**-15),
    Codec("FLAC", "PCM_16", 2**-15),
    Codec("FLAC", "PCM_24", 2**-23),
    # A shift by one sample would make an error of 0.017 at 44.1 kHz, and of 0.047 at 16 kHz.
    Codec("MP3", "MPEG_LAYER_III", 0.015),
    Codec("MP3", "MPEG_LAYER_III", 0.04, rate=16_000),
    Codec("OGG", "VORBIS", 0.015),
    Codec("OGG", "VORBIS", 0.03, rate=16_000),
    Codec("OGG", "OPUS", 0.015, rate=48_000),
]

CODEC_NAMES: Final = [f"{codec.container}-{codec.subtype}-{codec.rate}" for codec in CODECS]


def failure(data: bytes, limits: DecodeLimits | None = None) -> AudioError:
    """Return the error that decoding ends with, whose message must be for a person."""
    with pytest.raises(AudioError) as raised:
        decode(data, limits)
    message = str(raised.value)
    assert message[0].isupper()
    assert message.endswith(".")
    assert len(message.split()) > 5
    return raised.value


@pytest.fixture(scope="module")
def wav() -> bytes:
    return encode(noisy_sweep(1, RATE, 2), RATE)


@pytest.fixture(scope="module")
def flac() -> bytes:
    return encode(noisy_sweep(1, RATE, 2), RATE, "FLAC")


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("codec", CODECS, ids=CODEC_NAMES)
def test_every_format_gives_back_the_sound(codec: Codec, channels: int) -> None:
    original = tone(1, codec.rate, channels)
    audio = decode(encode(original, codec.rate, codec.container, codec.subtype))
    assert audio.sample_rate_hz == codec.rate
    assert audio.samples.dtype == np.float32
    assert audio.samples.shape[1] == channels
    n_appended = len(audio.samples) - len(original)
    assert 0 <= n_appended <= codec.appended
    error = np.abs(audio.samples[: len(original)] - original)
    assert error.max() <= codec.tolerance


@pytest.mark.parametrize(
    ("container", "subtype"),
    [
        ("WAV", "PCM_16"),
        ("WAV", "FLOAT"),
        ("MP3", "MPEG_LAYER_III"),
        ("FLAC", "PCM_16"),
        ("OGG", "VORBIS"),
        ("OGG", "OPUS"),
        ("AIFF", "PCM_16"),
    ],
)
def test_blocks_add_up_to_the_whole(container: str, subtype: str) -> None:
    data = encode(noisy_sweep(5, 48_000, 2), 48_000, container, subtype)
    with open_audio(data) as reader:
        blocks = [block.copy() for block in reader.blocks()]
    assert len(blocks) == 8
    assert {len(block) for block in blocks[:-1]} == {BLOCK_FRAMES}
    whole, _ = soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)
    np.testing.assert_array_equal(np.concatenate(blocks), whole)


@pytest.mark.parametrize(
    ("container", "subtype"),
    [
        *[("WAV", subtype) for subtype in ("PCM_16", "PCM_24", "PCM_32")],
        *[("AIFF", subtype) for subtype in ("PCM_16", "PCM_24", "PCM_32")],
        *[("FLAC", subtype) for subtype in ("PCM_16", "PCM_24")],
    ],
)
def test_integers_become_the_floats_that_libsndfile_makes_of_them(
    container: str, subtype: str
) -> None:
    data = encode(noisy_sweep(1, RATE, 2), RATE, container, subtype)
    expected, _ = soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)
    np.testing.assert_array_equal(decode(data).samples, expected)


@pytest.mark.parametrize("n_frames", [1, BLOCK_FRAMES - 1, BLOCK_FRAMES, BLOCK_FRAMES + 1])
def test_no_frame_is_lost_at_the_edge_of_a_block(n_frames: int) -> None:
    original = noisy_sweep(2, RATE)[:n_frames]
    audio = decode(encode(original, RATE, subtype="FLOAT"))
    np.testing.assert_array_equal(audio.samples, original.astype(np.float32))


def test_bytes_are_read_in_place_from_any_buffer(wav: bytes) -> None:
    arena = bytearray(b"another upload" + wav + b"another upload")
    view = memoryview(arena)[14:-14].toreadonly()
    np.testing.assert_array_equal(decode(view).samples, decode(wav).samples)


def test_a_tag_before_and_chunks_around_the_sound_are_passed_over(wav: bytes) -> None:
    mp3 = encode(tone(1, RATE), RATE, "MP3", "MPEG_LAYER_III")
    title = b"TIT2" + (6).to_bytes(4, "big") + bytes(2) + b"\x03hello"
    tagged = b"ID3\x04\x00\x00" + len(title).to_bytes(4, "big") + title + mp3
    np.testing.assert_array_equal(decode(tagged).samples, decode(mp3).samples)
    chunk = b"LIST" + (12).to_bytes(4, "little") + b"INFOISFT" + bytes(4)
    with_chunks = wav[:12] + chunk + wav[12:] + chunk
    np.testing.assert_array_equal(decode(with_chunks).samples, decode(wav).samples)


def zipped() -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        archive.writestr("sound.txt", "not a sound " * 1000)
    return buffer.getvalue()


NOT_AUDIO: Final = {
    "one byte": b"R",
    "text": b"To be or not to be.\n" * 100,
    "web page": b"<!doctype html><html><body>404</body></html>",
    "json": b'{"samples": [0.1, 0.2]}',
    "zeros": bytes(5_000),
    "ones": b"\xff" * 5_000,
    "png": b"\x89PNG\r\n\x1a\n" + np.random.default_rng(0).bytes(5_000),
    "pdf": b"%PDF-1.7\n" + np.random.default_rng(1).bytes(5_000),
    "zip": zipped(),
    "a RIFF file of another kind": b"RIFF\x24\x00\x00\x00AVI LIST" + bytes(100),
    **{
        f"{n} random bytes": np.random.default_rng(n).bytes(n) for n in (3, 12, 100, 9_999, 100_000)
    },
}


@pytest.mark.parametrize("data", NOT_AUDIO.values(), ids=NOT_AUDIO)
def test_what_is_not_audio_is_refused_as_such(data: bytes) -> None:
    assert type(failure(data)) is NotAudioError


@pytest.mark.parametrize("container", ["HTK", "IRCAM", "MAT5", "NIST", "PAF", "PVF", "SVX", "VOC"])
def test_containers_that_nobody_sends_are_refused(container: str) -> None:
    assert type(failure(encode(tone(1, RATE), RATE, container))) is NotAudioError


EMPTY: Final = {
    "no byte": b"",
    "wav": encode(np.empty((0, 2)), RATE),
    "float wav": encode(np.empty(0), RATE, subtype="FLOAT"),
    "aiff": encode(np.empty(0), RATE, "AIFF"),
    "vorbis": encode(np.empty(0), RATE, "OGG", "VORBIS"),
}


@pytest.mark.parametrize("data", EMPTY.values(), ids=EMPTY)
def test_audio_without_a_sample_is_empty(data: bytes) -> None:
    assert type(failure(data)) is EmptyAudioError


@pytest.mark.parametrize(
    ("container", "subtype", "n_bytes"),
    [
        *(("WAV", "PCM_16", n_bytes) for n_bytes in (4, 12, 20, 30, 40)),
        *(("FLAC", "PCM_16", n_bytes) for n_bytes in (4, 8, 20, 42, 200)),
        *(("OGG", "VORBIS", n_bytes) for n_bytes in (4, 27, 40, 500, 3_000)),
        *(("OGG", "OPUS", n_bytes) for n_bytes in (4, 27, 40, 80)),
        *(("AIFF", "PCM_16", n_bytes) for n_bytes in (12, 20, 40)),
        *(("W64", "PCM_16", n_bytes) for n_bytes in (40, 60)),
    ],
)
def test_a_file_cut_inside_its_header_is_truncated(
    container: str, subtype: str, n_bytes: int
) -> None:
    data = encode(tone(1, 48_000), 48_000, container, subtype)
    assert type(failure(data[:n_bytes])) is TruncatedAudioError


@pytest.mark.parametrize(
    ("container", "subtype", "lost_seconds"),
    [
        ("WAV", "PCM_16", 0.01),
        ("AIFF", "PCM_16", 0.01),
        ("MP3", "MPEG_LAYER_III", 0.2),
        ("FLAC", "PCM_16", 0.3),
        ("OGG", "VORBIS", 0.5),
        ("OGG", "OPUS", 1.0),  # it comes in pages of a second
    ],
)
@pytest.mark.parametrize("seconds", [2.4, 4.4])
def test_half_a_file_still_gives_what_is_there(
    container: str, subtype: str, lost_seconds: float, seconds: float
) -> None:
    data = encode(noisy_sweep(seconds, 48_000, 2), 48_000, container, subtype)
    whole = decode(data).samples
    half = decode(data[: len(data) // 2]).samples
    assert seconds / 2 - lost_seconds <= len(half) / 48_000 <= seconds / 2 + 0.2
    n_certain = len(half) - 4096  # a codec may blur the place where it was cut
    np.testing.assert_allclose(half[:n_certain], whole[:n_certain], atol=1e-6)


@pytest.mark.parametrize("claim", [0, RATE + 1, 2**31, 2**35, 2**36 - 1])
def test_a_flac_that_lies_about_its_length_gives_what_it_holds(flac: bytes, claim: int) -> None:
    limits = DecodeLimits(max_seconds=1)
    forged = decode(flac_claiming(flac, claim), limits)
    np.testing.assert_array_equal(forged.samples, decode(flac).samples)


@pytest.mark.parametrize(
    "forge",
    [
        lambda wav: wav_claiming(wav, data_bytes=2**31),
        lambda wav: wav_claiming(wav, data_bytes=2**32 - 1),
        lambda wav: wav_claiming(wav, riff_bytes=0),
        lambda wav: wav_claiming(wav, riff_bytes=2**32 - 1),
    ],
    ids=["data of 2^31", "data of 2^32 - 1", "riff of 0", "riff of 2^32 - 1"],
)
def test_a_wav_that_lies_about_its_length_gives_what_it_holds(
    wav: bytes, forge: Callable[[bytes], bytes]
) -> None:
    forged = decode(forge(wav), DecodeLimits(max_seconds=1))
    np.testing.assert_array_equal(forged.samples, decode(wav).samples)


@pytest.mark.parametrize("seconds", [0.5, 2.0])
@pytest.mark.parametrize("container", ["WAV", "FLAC"])
def test_the_longest_clip_is_counted_in_decoded_frames(seconds: float, container: str) -> None:
    limits = DecodeLimits(max_seconds=seconds)
    sound = noisy_sweep(3, RATE)
    n_frames = round(seconds * RATE)
    assert len(decode(encode(sound[:n_frames], RATE, container), limits).samples) == n_frames
    error = failure(encode(sound[: n_frames + 1], RATE, container), limits)
    assert type(error) is AudioTooLongError
    assert f"{seconds:g} seconds" in str(error)


def test_a_long_clip_is_given_up_before_it_is_decoded_whole() -> None:
    data = encode(np.zeros(30 * BLOCK_FRAMES), RATE, "FLAC")
    with (
        open_audio(data, DecodeLimits(max_seconds=1)) as reader,
        pytest.raises(AudioTooLongError),
    ):
        list(reader.blocks())
    assert reader.channels == 1


@pytest.mark.parametrize("rate", [1, 3_999, 384_001, 2**31 - 1])
def test_a_sample_rate_outside_the_limits_is_refused(wav: bytes, rate: int) -> None:
    error = failure(wav_claiming(wav, sample_rate_hz=rate))
    assert type(error) is SampleRateError
    assert f"{rate} Hz" in str(error)


@pytest.mark.parametrize("channels", [17, 1_024])
def test_too_many_channels_are_refused(wav: bytes, channels: int) -> None:
    error = failure(wav_claiming(wav, channels=channels))
    assert type(error) is TooManyChannelsError
    assert f"{channels} channels" in str(error)


@pytest.mark.parametrize(("rate", "channels"), [(4_000, 1), (384_000, 2), (8_000, 16)])
def test_the_limits_themselves_are_accepted(rate: int, channels: int) -> None:
    audio = decode(encode(noisy_sweep(0.1, rate, channels), rate))
    assert audio.sample_rate_hz == rate
    assert audio.samples.shape == (rate // 10, channels)


@pytest.mark.parametrize(
    "claims",
    [
        {"sample_rate_hz": 0},
        {"sample_rate_hz": 2**31},
        {"sample_rate_hz": 2**32 - 1},
        {"channels": 0},
        {"channels": 65_535},
    ],
    ids=str,
)
def test_an_impossible_header_is_refused(wav: bytes, claims: dict[str, int]) -> None:
    failure(wav_claiming(wav, **claims))
