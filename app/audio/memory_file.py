"""Bytes in memory as a file, for decoders that read one."""

import io


class MemoryFile(io.RawIOBase):
    """A read-only file over a buffer, without the copy that `io.BytesIO` makes.

    libsndfile probes positions before the start of damaged files; such a seek stays where it is,
    as a failing `lseek` would, instead of raising inside a C callback.
    """

    def __init__(self, data: bytes | memoryview) -> None:
        self._data = memoryview(data)
        self._position = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: len(self._data)}[whence]
        if base + offset >= 0:
            self._position = base + offset
        return self._position

    def readinto(self, buffer) -> int:  # type: ignore[no-untyped-def]  # cffi's own buffer type
        chunk = self._data[self._position : self._position + len(buffer)]
        buffer[: len(chunk)] = chunk
        self._position += len(chunk)
        return len(chunk)
