"""Arena: bytes reach another process in place, blocks stay apart, memory is given back."""

import json
import mmap
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.inference.arena import KEPT_BYTES, Arena

MIB = 1024 * 1024


@pytest.fixture
def arena() -> Iterator[Arena]:
    arena = Arena(n_blocks=3, block_bytes=8 * MIB)
    yield arena
    arena.close()


def arenas_of_this_process() -> dict[int, int]:
    """Map each arena's inode to the bytes of memory that it occupies."""
    open_files = (path for path in Path("/proc/self/fd").iterdir() if path.is_symlink())
    statuses = [path.stat() for path in open_files if "hark-uploads" in str(path.readlink())]
    return {status.st_ino: status.st_blocks * 512 for status in statuses}


def occupied_bytes() -> int:
    return sum(arenas_of_this_process().values()) - _of_others


_of_others = 0


@pytest.fixture(autouse=True)
def _leave_others_out() -> None:
    """Other tests of the same run may hold an arena of their own."""
    global _of_others
    _of_others = sum(arenas_of_this_process().values())


def test_what_is_written_piece_by_piece_is_read_whole(arena: Arena) -> None:
    block = arena.take()
    for piece in (b"RIFF", memoryview(b"....WAVE"), b""):
        block.write(piece)
    assert block.length == 12
    assert bytes(arena.share().read(block.offset, block.length)) == b"RIFF....WAVE"


READ_IN_ANOTHER_PROCESS = """
import json, sys
from app.inference.arena import ArenaReader
reader = ArenaReader(int(sys.argv[1]), int(sys.argv[2]))
for line in sys.stdin:
    print(bytes(reader.read(*json.loads(line))).hex(), flush=True)
"""


def test_another_process_reads_what_is_written_before_and_after_its_start(arena: Arena) -> None:
    early, late = arena.take(), arena.take()
    early.write(os.urandom(100))
    reader = arena.share()
    process = subprocess.Popen(
        [
            *(sys.executable, "-c", READ_IN_ANOTHER_PROCESS),
            *(str(reader.file_descriptor), str(len(arena.memory))),
        ],
        pass_fds=[reader.file_descriptor],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdin is not None
    assert process.stdout is not None
    late.write(os.urandom(3 * MIB))
    for block in (early, late):
        print(json.dumps([block.offset, block.length]), file=process.stdin, flush=True)
        read = bytes.fromhex(process.stdout.readline())
        assert read == arena.memory[block.offset : block.offset + block.length]
    process.communicate()
    assert process.returncode == 0


@pytest.mark.parametrize("block_bytes", [1, mmap.PAGESIZE - 1, mmap.PAGESIZE, mmap.PAGESIZE + 1])
def test_full_blocks_do_not_overlap(block_bytes: int) -> None:
    arena = Arena(n_blocks=4, block_bytes=block_bytes)
    blocks = [arena.take() for _ in range(4)]
    for index, block in enumerate(blocks):
        block.write(bytes([index + 1]) * block_bytes)
    reader = arena.share()
    for index, block in enumerate(blocks):
        assert bytes(reader.read(block.offset, block.length)) == bytes([index + 1]) * block_bytes
    arena.close()


def test_a_block_too_small_refuses_and_keeps_what_it_had(arena: Arena) -> None:
    block = arena.take()
    block.write(b"x" * (8 * MIB - 1))
    with pytest.raises(ValueError, match="8388609 bytes do not fit into a block of 8388608"):
        block.write(b"yz")
    block.write(b"y")
    assert block.length == 8 * MIB
    assert bytes(arena.share().read(block.offset + 8 * MIB - 2, 2)) == b"xy"


def test_a_refused_write_does_not_touch_the_next_block(arena: Arena) -> None:
    blocks = [arena.take() for _ in range(3)]
    for block in blocks:
        with pytest.raises(ValueError, match="do not fit"):
            block.write(b"x" * (8 * MIB + 1))
    assert occupied_bytes() == 0


def test_there_are_no_more_blocks_than_were_asked_for(arena: Arena) -> None:
    blocks = [arena.take() for _ in range(3)]
    with pytest.raises(IndexError):
        arena.take()
    arena.give_back(blocks[1])
    again = arena.take()
    assert again.offset == blocks[1].offset
    assert again.length == 0


def test_a_block_costs_what_is_in_it(arena: Arena) -> None:
    assert occupied_bytes() == 0
    arena.take().write(b"x" * MIB)
    assert occupied_bytes() == MIB


def test_the_memory_of_a_big_upload_is_given_back(arena: Arena) -> None:
    neighbour, block = arena.take(), arena.take()
    neighbour.write(b"n" * 8 * MIB)
    block.write(b"x" * 8 * MIB)
    assert occupied_bytes() == 16 * MIB
    arena.give_back(block)
    assert occupied_bytes() == 8 * MIB + KEPT_BYTES
    assert bytes(arena.share().read(neighbour.offset, neighbour.length)) == b"n" * 8 * MIB


def test_the_memory_of_many_uploads_does_not_add_up(arena: Arena) -> None:
    for _ in range(5):
        block = arena.take()
        block.write(b"x" * 8 * MIB)
        arena.give_back(block)
    assert occupied_bytes() == KEPT_BYTES


def test_a_reader_cannot_write(arena: Arena) -> None:
    block = arena.take()
    block.write(b"sound")
    with pytest.raises(TypeError, match="read-only"):
        arena.share().read(block.offset, block.length)[0] = 0


def test_a_closed_arena_leaves_nothing_behind() -> None:
    before = arenas_of_this_process()
    arena = Arena(n_blocks=1, block_bytes=MIB)
    assert len(arenas_of_this_process()) == len(before) + 1
    arena.close()
    assert arenas_of_this_process() == before
