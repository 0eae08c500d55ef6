"""Arena: shared memory through which uploads reach the compute processes without a copy.

One anonymous file in memory, divided into blocks of the largest upload's size. Pages come into
being as they are written, so that a block costs what is in it. It has no name: nothing is left
behind by a crash, and the size of /dev/shm (64 MB in a container) does not matter.
"""

import fcntl
import mmap
import os
from collections import deque
from typing import Final

# Pages beyond this are given back to the system when a block is: most uploads are smaller, and
# find their pages there already.
KEPT_BYTES: Final = 2 * 1024 * 1024


class Block:
    """A piece of the arena that one upload is written to.

    Attributes:
        offset: where it begins, in bytes.
        length: how much has been written.
        reach: how much of it has ever been written to.
        handed_over: whether it is given back by those who read it, and not by who took it.
    """

    def __init__(self, arena: "Arena", offset: int) -> None:
        self._arena = arena
        self.offset = offset
        self.length = self.reach = 0
        self.handed_over = False

    def write(self, data: bytes | memoryview) -> None:
        """Append bytes. The caller sees to it that they fit.

        Raises:
            ValueError: they do not fit.
        """
        end = self.length + len(data)
        if end > self._arena.block_bytes:
            raise ValueError(f"{end} bytes do not fit into a block of {self._arena.block_bytes}")
        start = self.offset + self.length
        self._arena.memory[start : start + len(data)] = data
        self.length = end
        self.reach = max(self.reach, end)

    def view(self) -> memoryview:
        """Return what has been written, in place."""
        return memoryview(self._arena.memory)[self.offset : self.offset + self.length]

    def rewrite(self, data: bytes) -> None:
        """Write bytes in place of what has been written.

        Raises:
            ValueError: they do not fit.
        """
        self.length = 0
        self.write(data)


class Arena:
    """All blocks, as the HTTP process sees them.

    Args:
        n_blocks: how many uploads can be held at a time.
        block_bytes: the largest upload.
    """

    def __init__(self, n_blocks: int, block_bytes: int) -> None:
        self.block_bytes = block_bytes
        stride = -(-block_bytes // mmap.PAGESIZE) * mmap.PAGESIZE
        self._stride = stride
        self._file_descriptor = os.memfd_create("hark-uploads", os.MFD_ALLOW_SEALING)
        os.ftruncate(self._file_descriptor, n_blocks * stride)
        # Who reads it must not be able to take it away under those who write.
        seals = fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW
        fcntl.fcntl(self._file_descriptor, fcntl.F_ADD_SEALS, seals)
        self._read_only = os.open(f"/proc/self/fd/{self._file_descriptor}", os.O_RDONLY)
        self.memory = mmap.mmap(self._file_descriptor, n_blocks * stride)
        self._free = deque(index * stride for index in range(n_blocks))

    def take(self) -> Block:
        """Return an empty block.

        Raises:
            IndexError: all are in use; the caller admits no more uploads than there are blocks.
        """
        return Block(self, self._free.pop())

    def give_back(self, block: Block) -> None:
        """Return a block after its last use."""
        if block.reach > KEPT_BYTES:
            kept_end = block.offset + KEPT_BYTES
            self.memory.madvise(mmap.MADV_REMOVE, kept_end, self._stride - KEPT_BYTES)
        self._free.append(block.offset)

    def close(self) -> None:
        """Release the memory."""
        self.memory.close()
        os.close(self._file_descriptor)
        os.close(self._read_only)

    def share(self) -> "ArenaReader":
        """Return what a compute process needs to read the arena."""
        return ArenaReader(self._read_only, len(self.memory))


class ArenaReader:
    """The arena as a compute process sees it: read-only, mapped at the first use.

    Args:
        file_descriptor: the arena's; a process that is to read it inherits it.
        size: the arena's, in bytes.
    """

    def __init__(self, file_descriptor: int, size: int) -> None:
        self.file_descriptor = file_descriptor
        self._size = size
        self._memory: mmap.mmap | None = None

    def map(self) -> None:
        """Map the arena, if it is not mapped yet."""
        if self._memory is None:
            self._memory = mmap.mmap(self.file_descriptor, self._size, prot=mmap.PROT_READ)

    def read(self, offset: int, length: int) -> memoryview:
        """Return the bytes of a block, in place."""
        self.map()
        assert self._memory is not None
        return memoryview(self._memory)[offset : offset + length]
