"""What a container says of its length is read for every container, and believed of none."""

import struct
import time
from collections.abc import Callable
from typing import Final

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.audio.completeness import ends_early
from tests.sounds import encode, noisy_sweep, patched, wav_claiming

RATE: Final = 48_000


def sound(container: str, subtype: str = "PCM_16", seconds: float = 1, channels: int = 2) -> bytes:
    return encode(noisy_sweep(seconds, RATE, channels), RATE, container, subtype)


FILES: Final[dict[str, bytes]] = {
    "wav": sound("WAV"),
    "wav of floats": sound("WAV", "FLOAT"),
    "wav of adpcm": sound("WAV", "IMA_ADPCM"),
    "wavex": sound("WAVEX"),
    "rf64": sound("RF64"),
    "w64": sound("W64"),
    "aiff": sound("AIFF"),
    "aiff of floats": sound("AIFF", "FLOAT"),
    "au": sound("AU"),
    "caf": sound("CAF"),
    "mp3": sound("MP3", "MPEG_LAYER_III"),
    "vorbis": sound("OGG", "VORBIS", seconds=3),
    "opus": sound("OGG", "OPUS", seconds=3),
}
WAV: Final = FILES["wav"]
W64: Final = FILES["w64"]
CAF: Final = FILES["caf"]
AU: Final = FILES["au"]
AIFF: Final = FILES["aiff"]
RF64: Final = FILES["rf64"]
MP3: Final = FILES["mp3"]
VORBIS: Final = FILES["vorbis"]


def padded_to_even(data: bytes) -> bytes:
    return data + bytes(len(data) % 2)


def chunk(name: bytes, content: bytes, byte_order: str = "<") -> bytes:
    header = name + struct.pack(byte_order + "I", len(content))
    return header + padded_to_even(content)


def id3(content: bytes) -> bytes:
    """Return an ID3v2 tag, whose size stands in four bytes of seven bits."""
    size = bytes(len(content) >> shift & 0x7F for shift in (21, 14, 7, 0))
    return b"ID3\x04\0\0" + size + content


@pytest.mark.parametrize("name", FILES)
def test_a_whole_file_does_not_end_early(name: str) -> None:
    assert not ends_early(FILES[name])


@pytest.mark.parametrize("name", FILES)
def test_a_view_is_read_as_bytes_are(name: str) -> None:
    data = FILES[name]
    assert not ends_early(memoryview(data))
    assert ends_early(memoryview(data)[: len(data) // 2])


@pytest.mark.parametrize("part", [0.2, 0.5, 0.9])
@pytest.mark.parametrize("name", FILES)
def test_a_part_of_a_file_ends_early(name: str, part: float) -> None:
    data = FILES[name]
    assert ends_early(data[: int(part * len(data))])


@pytest.mark.parametrize("name", FILES)
def test_one_byte_less_is_told(name: str) -> None:
    assert ends_early(FILES[name][:-1])


def test_flac_is_left_to_the_decoder_which_counts_its_samples() -> None:
    flac = sound("FLAC")
    assert not ends_early(flac)
    assert not ends_early(flac[: len(flac) // 2])


@pytest.mark.parametrize("claim", [0x7FFF_F000, 0x7FFF_FFFF, 0x8000_0000, 0xFFFF_F000, 0xFFFF_FFFF])
def test_a_length_that_stands_for_none_is_not_believed(claim: int) -> None:
    assert not ends_early(wav_claiming(WAV, data_bytes=claim))
    assert not ends_early(patched(AU, 8, claim.to_bytes(4, "big")))
    assert not ends_early(patched(AIFF, AIFF.index(b"SSND") + 4, claim.to_bytes(4, "big")))
    half = WAV[: len(WAV) // 2]
    assert not ends_early(wav_claiming(half, data_bytes=claim))


@pytest.mark.parametrize("claim", [len(WAV), 2**30, 0x7FFF_EFFF])
def test_a_length_beyond_the_file_is_believed_where_a_program_might_have_written_it(
    claim: int,
) -> None:
    assert ends_early(wav_claiming(WAV, data_bytes=claim))
    assert ends_early(patched(AU, 8, claim.to_bytes(4, "big")))
    assert ends_early(patched(AIFF, AIFF.index(b"SSND") + 4, claim.to_bytes(4, "big")))


@pytest.mark.parametrize("claim", [0, 1, 2**31, 2**32 - 1])
def test_the_length_of_the_whole_riff_does_not_matter(claim: int) -> None:
    assert not ends_early(wav_claiming(WAV, riff_bytes=claim))
    assert ends_early(wav_claiming(WAV, riff_bytes=claim)[:-1_000])


def test_the_other_byte_order_is_read_too() -> None:
    stated = struct.pack(">HHIIHH", 1, 1, RATE, 2 * RATE, 2, 16)
    chunks = chunk(b"fmt ", stated, ">") + chunk(b"data", bytes(1_000), ">")
    rifx = b"RIFX" + struct.pack(">I", 4 + len(chunks)) + b"WAVE" + chunks
    assert not ends_early(rifx)
    assert ends_early(rifx[:-1])


@pytest.mark.parametrize("n_bytes", [1, 2, 7, 1_001])
def test_chunks_of_odd_length_are_followed_by_a_byte_that_does_not_count(n_bytes: int) -> None:
    between = chunk(b"LIST", b"x" * n_bytes)
    data = WAV[:36] + between + WAV[36:]
    assert not ends_early(data)
    assert ends_early(data[:-1])
    between = chunk(b"ANNO", b"x" * n_bytes, ">")
    data = AIFF[:38] + between + AIFF[38:]
    assert not ends_early(data)
    assert ends_early(data[:-2])


def test_data_of_odd_length_is_whole_without_the_byte_behind_it() -> None:
    data = encode(noisy_sweep(1, 8_001), 8_001, "WAV", "PCM_U8")
    assert len(data) == 44 + 8_001 + 1
    assert not ends_early(data[:-1])
    assert ends_early(data[:-2])


def test_what_follows_the_data_does_not_matter() -> None:
    assert not ends_early(WAV + chunk(b"LIST", b"INFO"))
    assert not ends_early(WAV + b"LIST\xff\xff\xff\x00")
    assert not ends_early(AIFF + b"ID3 \x00")


def test_a_file_cut_before_its_data_is_left_to_the_decoder() -> None:
    assert not any(ends_early(WAV[:n_bytes]) for n_bytes in range(4, 44))
    assert ends_early(WAV[:44])


# libsndfile reads files of up to 9 000 chunks before the data.
@pytest.mark.parametrize("n_chunks", [10, 900, 8_000])
def test_the_data_is_found_behind_as_many_chunks_as_the_decoder_reads(n_chunks: int) -> None:
    data = WAV[:36] + chunk(b"junk", b"") * n_chunks + WAV[36:]
    assert not ends_early(data)
    assert ends_early(data[: -len(WAV) // 2])


def test_rf64_states_its_length_in_another_chunk() -> None:
    size = RF64.index(b"ds64") + 8 + 8
    data = RF64.index(b"data", size)
    n_bytes = len(RF64) - data - 8
    claimed = patched(RF64, data + 4, b"\xff\xff\xff\xff")
    assert not ends_early(claimed)
    assert not ends_early(patched(claimed, size, struct.pack("<Q", n_bytes)))
    assert ends_early(patched(claimed, size, struct.pack("<Q", n_bytes + 1)))
    assert ends_early(patched(claimed, size, struct.pack("<Q", 2**63)))
    assert ends_early(claimed[:-1])


def test_rf64_with_a_length_of_32_bits_is_read_as_wav_is() -> None:
    data = RF64.index(b"data", RF64.index(b"ds64") + 36)
    n_bytes = len(RF64) - data - 8
    assert not ends_early(patched(RF64, data + 4, struct.pack("<I", n_bytes)))
    assert ends_early(patched(RF64, data + 4, struct.pack("<I", n_bytes + 1)))


@pytest.mark.parametrize("n_bytes", range(1, 10))
def test_w64_chunks_are_padded_to_eight(n_bytes: int) -> None:
    name = b"junk" + W64[4:16]
    content = b"x" * n_bytes + bytes(-n_bytes % 8)
    between = name + struct.pack("<Q", 24 + n_bytes) + content
    data = W64[:40] + between + W64[40:]
    assert not ends_early(data)
    assert ends_early(data[:-1])


@pytest.mark.parametrize("claim", [0, 1, 23])
def test_w64_with_a_chunk_shorter_than_its_header_is_not_read_for_ever(claim: int) -> None:
    name = b"junk" + W64[4:16]
    assert not ends_early(W64[:40] + name + struct.pack("<Q", claim) + W64[40:])


def test_caf_may_go_to_the_end_of_the_file() -> None:
    length = CAF.index(b"data") + 4
    stated = len(CAF) - length - 8
    assert not ends_early(patched(CAF, length, struct.pack(">q", stated)))
    assert ends_early(patched(CAF, length, struct.pack(">q", stated + 1)))
    assert not ends_early(patched(CAF, length, struct.pack(">q", -1)))
    assert not ends_early(patched(CAF, length, struct.pack(">q", -1))[:-1_000])


def test_au_states_where_its_samples_begin() -> None:
    note = b"x" * 1_000
    data = patched(AU, 4, struct.pack(">I", 24 + len(note)))
    data = data[:24] + note + data[24:]
    assert not ends_early(data)
    assert ends_early(data[:-1])


def test_an_id3_tag_before_mp3_does_not_count() -> None:
    tagged = id3(bytes(100_000)) + MP3
    assert not ends_early(tagged)
    assert ends_early(tagged[:-100])
    assert ends_early(tagged[: len(tagged) - len(MP3) // 2])


def test_an_id3_tag_behind_mp3_does_not_matter() -> None:
    assert not ends_early(MP3 + b"TAG" + bytes(125))
    assert not ends_early(id3(bytes(100)) + MP3 + b"TAG" + bytes(125))


def test_an_id3_tag_with_all_bits_set_is_not_longer_than_it_can_be() -> None:
    assert not ends_early(b"ID3\xff\xff\xff\xff\xff\xff\xff" + MP3)


@pytest.mark.parametrize("tag", [b"", id3(bytes(500))], ids=["plain", "tagged"])
def test_mp3_without_a_word_of_its_length_is_taken_to_be_whole(tag: bytes) -> None:
    silent = MP3.replace(b"Xing", bytes(4)).replace(b"Info", bytes(4))
    assert silent != MP3
    assert not ends_early(tag + silent)
    assert not ends_early(tag + silent[: len(silent) // 2])


@pytest.mark.parametrize("flags", [0, 1, 4, 8, 13])
def test_mp3_whose_first_frame_states_no_bytes_is_taken_to_be_whole(flags: int) -> None:
    mark = max(MP3.find(b"Xing"), MP3.find(b"Info"))
    assert not ends_early(patched(MP3, mark + 4, struct.pack(">I", flags))[: len(MP3) // 2])


def test_ogg_whose_last_page_is_not_marked_ends_early() -> None:
    last = VORBIS.rindex(b"OggS")
    assert not ends_early(VORBIS)
    assert ends_early(patched(VORBIS, last + 5, bytes([VORBIS[last + 5] & ~4])))
    assert ends_early(VORBIS[:last])
    assert ends_early(VORBIS[: last + 20])


def test_ogg_in_a_chain_is_judged_by_its_last_stream() -> None:
    assert not ends_early(VORBIS + FILES["opus"])
    assert ends_early(VORBIS + FILES["opus"][:-1_000])


MAGICS: Final = [
    *(data[:12] for data in FILES.values()),
    *(data[:60] for data in FILES.values()),
    b"RIFX\0\0\0\0WAVE",
    b"ID3\x04\0\0\0\0\0\x10",
    b"fLaC",
    b"",
]


@settings(max_examples=500, deadline=None)
@given(st.sampled_from(MAGICS), st.binary(max_size=300))
def test_no_bytes_make_it_fail(magic: bytes, data: bytes) -> None:
    assert isinstance(ends_early(magic + data), bool)


@settings(max_examples=500, deadline=None)
@given(
    st.sampled_from(sorted(FILES)),
    st.lists(st.tuples(st.integers(0, 150), st.integers(0, 255)), max_size=12),
    st.integers(0, 1_000),
)
def test_no_damage_makes_it_fail(name: str, damages: list[tuple[int, int]], length: int) -> None:
    data = bytearray(FILES[name][:length])
    for offset, value in damages:
        if offset < len(data):
            data[offset] = value
    assert isinstance(ends_early(bytes(data)), bool)


@pytest.mark.parametrize(
    "make",
    [
        lambda: b"RIFF\0\0\0\0WAVE" + b"junk\0\0\0\0" * 3_000_000,
        lambda: b"FORM\0\0\0\0AIFF" + b"JUNK\0\0\0\0" * 3_000_000,
        lambda: b"caff\0\1\0\0" + (b"free" + bytes(8)) * 2_000_000,
        lambda: W64[:40] + (b"junk" + W64[4:16] + struct.pack("<Q", 24)) * 1_000_000,
        lambda: VORBIS[:58] + b"OggS" * 6_000_000,
        lambda: b"ID3\x04\0\0\0\0\0\0" * 2_500_000,
        lambda: MP3[:200] + b"Xing" * 6_000_000,
        lambda: bytes(24_000_000),
    ],
    ids=["riff", "aiff", "caf", "w64", "ogg", "id3", "xing", "zeros"],
)
def test_the_largest_file_takes_no_longer_than_a_small_one(make: Callable[[], bytes]) -> None:
    data = make()
    started = time.perf_counter()
    ends_early(data)
    assert time.perf_counter() - started < 0.5
