"""Multipart bodies: the files in them go straight into shared memory as they arrive.

Starlette's own form parser would write them to temporary files, to be read again.
"""

from dataclasses import dataclass
from typing import Final

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header

from app.api.options import ClassifyOptions
from app.errors import (
    DuplicateFileError,
    InvalidParameterError,
    MalformedUploadError,
    MissingFileError,
    PartHeadersTooLargeError,
    TooManyPartsError,
    UploadError,
)
from app.inference.arena import Block

FILE_FIELD: Final = "file"
HOW_TO: Final = "Send one as multipart/form-data: curl -F file=@sound.wav"
MAX_OPTION_BYTES: Final = 65_536
_COUNTED_HERE: Final = 1 << 31  # the parser's own limit, out of the way of ours
_OPTIONS: Final = frozenset(name.encode() for name in ClassifyOptions.model_fields)


@dataclass(frozen=True, slots=True)
class PartLimits:
    """What a multipart body may be made of.

    Attributes:
        max_parts: how many parts, the files among them.
        max_header_bytes: how many bytes of headers each of them may have.
        max_files: how many files.
    """

    max_parts: int
    max_header_bytes: int
    max_files: int = 1


class MultipartReceiver:
    """Finds the parts named `file` in a multipart body, fed piece by piece.

    Args:
        content_type: the request's header.
        upload: an empty block, to which the files are written one behind the other.
        limits: what the body may be made of.

    Attributes:
        extents: where in the block each file lies: its start and its length, in bytes.

    Raises:
        MalformedUploadError: the header names no boundary.
    """

    def __init__(self, content_type: str, upload: Block, limits: PartLimits) -> None:
        self.extents: list[tuple[int, int]] = []
        self._upload = upload
        self._limits = limits
        self._fields: dict[str, bytearray] = {}
        self._n_parts = 0
        self._in_file = False
        self._field: bytearray | None = None
        self._begun = False
        self._complete = False
        self._header_name = bytearray()
        self._header_value = bytearray()
        self._part_name = b""
        self._part_header_bytes = 0
        self._parser = MultipartParser(
            _boundary_in(content_type),
            {
                "on_part_begin": self._on_part_begin,
                "on_header_field": self._on_header_name,
                "on_header_value": self._on_header_value,
                "on_header_end": self._on_header_end,
                "on_headers_finished": self._on_headers_finished,
                "on_part_data": self._on_part_data,
                "on_part_end": self._on_part_end,
                "on_end": self._on_end,
            },
            max_header_count=limits.max_header_bytes,
            max_header_size=_COUNTED_HERE,
        )

    @property
    def parameters(self) -> dict[str, str]:
        """The options among the form's other fields."""
        return {name: bytes(v).decode(errors="replace") for name, v in self._fields.items()}

    def feed(self, chunk: bytes) -> None:
        """Take the next piece of the body.

        Raises:
            UploadError: the body breaks its own rules, or a limit.
        """
        if not self._begun:
            # The parser would take a preamble after an empty line, if both come in one piece.
            chunk = chunk.lstrip(b"\r\n")
            self._begun = bool(chunk)
        if not chunk:
            return
        try:
            self._parser.write(chunk)
        except FormParserError as error:
            raise MalformedUploadError(
                f"The multipart body breaks off or contradicts itself. {HOW_TO}"
            ) from error

    def finish(self) -> None:
        """Take note that the body is complete.

        Raises:
            UploadError: it is not, or has no file.
        """
        if not self._complete:
            raise MalformedUploadError(
                f"The multipart body ends before its closing boundary. {HOW_TO}"
            )
        if not self.extents:
            raise MissingFileError(f"The request has no part named {FILE_FIELD!r}. {HOW_TO}")

    def _on_part_begin(self) -> None:
        self._part_name = b""
        self._part_header_bytes = 0
        self._in_file = False
        self._field = None
        self._n_parts += 1
        if self._n_parts > self._limits.max_parts:
            raise TooManyPartsError(
                f"The multipart body has more than {self._limits.max_parts} parts, which is the "
                "limit. Send fewer."
            )

    def _on_header_name(self, data: bytes, start: int, end: int) -> None:
        self._count_header_bytes(end - start)
        self._header_name += data[start:end]

    def _on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._count_header_bytes(end - start)
        self._header_value += data[start:end]

    def _count_header_bytes(self, n_bytes: int) -> None:
        self._part_header_bytes += n_bytes
        if self._part_header_bytes > self._limits.max_header_bytes:
            raise PartHeadersTooLargeError(
                f"A part of the multipart body has more than {self._limits.max_header_bytes} bytes "
                "of headers, which is the limit. Send the file under a shorter name."
            )

    def _on_header_end(self) -> None:
        if self._header_name.lower() == b"content-disposition":
            _, options = parse_options_header(bytes(self._header_value))
            self._part_name = options.get(b"name", b"")
        self._header_name.clear()
        self._header_value.clear()

    def _on_headers_finished(self) -> None:
        self._in_file = self._part_name == FILE_FIELD.encode()
        if self._in_file:
            if len(self.extents) == self._limits.max_files:
                raise self._too_many_files()
            self.extents.append((self._upload.length, 0))
        elif self._part_name in _OPTIONS:
            self._field = self._fields.setdefault(self._part_name.decode(), bytearray())
            if self._field:
                self._field += b","  # lists may be given item by item

    def _on_part_data(self, data: bytes, start: int, end: int) -> None:
        if self._in_file:
            self._upload.write(memoryview(data)[start:end])
        elif self._field is not None:
            self._field += data[start:end]
            if len(self._field) > MAX_OPTION_BYTES:
                raise InvalidParameterError(
                    f"{self._part_name.decode()}: it is longer than {MAX_OPTION_BYTES} bytes."
                )

    def _on_part_end(self) -> None:
        if self._in_file:
            start, _ = self.extents[-1]
            self.extents[-1] = (start, self._upload.length - start)

    def _too_many_files(self) -> UploadError:
        most = self._limits.max_files
        if most > 1:
            return TooManyPartsError(
                f"The request has more than {most} parts named {FILE_FIELD!r}, which is the limit. "
                "Send the others in a request of their own."
            )
        return DuplicateFileError(
            f"The request has more than one part named {FILE_FIELD!r}. Send one file a request, or "
            "many to /v1/classify/batch."
        )

    def _on_end(self) -> None:
        self._complete = True


def _boundary_in(content_type: str) -> bytes:
    _, options = parse_options_header(content_type)
    boundary: bytes = options.get(b"boundary", b"")
    # The lengths that RFC 2046 allows; the parser would refuse others with an error of its own.
    if not 1 <= len(boundary) <= 70:
        raise MalformedUploadError(
            f"The Content-Type names no boundary of 1 to 70 characters. {HOW_TO}"
        )
    return boundary
