"""The multipart receiver, fed a header and a body in pieces.

An input is the size of the pieces (one byte), the number of parts that are allowed (one byte), the
Content-Type (up to a line feed), and the body.
"""

from typing import Final

from fastapi import Request
from starlette.types import Message

from app.api.multipart import PartLimits
from app.api.uploads import receive_upload
from app.errors import RequestError
from app.inference.arena import Arena
from tests.fuzz.targets import Note, Target, names_of, note_nothing, unexpected

RECEIVED: Final = "received"
MAX_BYTES: Final = 2_048
MAX_HEADER_BYTES: Final = 128
WORDS: Final = (
    b"--b", b"--b--", b"\r\n--b\r\n", b"\r\n--b--\r\n", b"\r\n", b"\r\n\r\n", b"\n", b"\r", b"--",
    b"Content-Disposition: form-data; ", b'name="file"', b"; filename=", b"filename*=UTF-8''",
    b"name*0=", b"Content-Type: audio/wav", b"Content-Transfer-Encoding: base64", b": ", b"; ",
    b"multipart/form-data; boundary=b", b"boundary=",
    b'{"inputs": "', b'"}', b"UklGRg==", b"data:", b'"', b"\\", b"\x00", b"\xff",
)  # fmt: skip
_arena: Final = Arena(1, MAX_BYTES)


def seeds() -> dict[str, bytes]:
    """Return a well-formed body and some that are nearly so."""
    kind = b"multipart/form-data; boundary=b\n"
    file = b'--b\r\nContent-Disposition: form-data; name="file"; filename="a.wav"\r\n\r\nRIFF\r\n'
    other = b"--b\r\nContent-Disposition: form-data; name=other\r\nX: y\r\n\r\n\r\n--a\r\n"
    bodies = {
        "file": file + b"--b--\r\n",
        "with-another": other + file + b"--b--\r\n",
        "two-files": file + file + b"--b--\r\n",
        "none": other + b"--b--\r\n",
        "cut-off": file[:-8],
        "preamble": b"before\r\n" + file + b"--b--\r\nafter",
        "line-and-preamble": b"\r\nbefore\r\n" + file + b"--b--\r\n",
        "long-header": file.replace(b"a.wav", b"a" * 200) + b"--b--\r\n",
    }
    inputs = {name: b"\x07\x03" + kind + body for name, body in bodies.items()}
    return inputs | {
        "raw": b"\x05\x01audio/wav\nRIFF....WAVEfmt ",
        "json": b'\x05\x01application/json\n{"inputs": "UklGRg==", "parameters": {"top_k": 3}}',
        "json-without-type": b'\x05\x01\n {"inputs": "data:audio/wav;base64,UklG\\nRg"}',
        "no-inputs": b"\x01\x01application/json\n{}",
        "option": kind.join(
            (b"\x07\x03", other.replace(b"=other", b"=top_k") + file + b"--b--\r\n")
        ),
        "long-boundary": b"\x01\x01multipart/form-data; boundary=" + b"b" * 71 + b"\n",
    }


def check(data: bytes, note: Note = note_nothing) -> str:
    """Receive an input in pieces, and in one; return the name of the error, or of success.

    Of two errors in one body, another one may come first in pieces.

    Raises:
        Exception: the input brought about what must not be, or a file only in pieces or in one.
    """
    head, _, body = data[2:].partition(b"\n")
    piece_bytes, max_parts = (data[0] or 1, data[1] or 1) if len(data) > 1 else (1, 1)
    limits = PartLimits(max_parts % 8 + 1, MAX_HEADER_BYTES)
    outcome, received = _receive(head, body, piece_bytes, limits, note)
    other_outcome, other = _receive(head, body, len(body) or 1, limits, note_nothing)
    if received != other:
        raise unexpected("pieces matter", pieces=(outcome, received), whole=(other_outcome, other))
    return outcome


def _receive(
    head: bytes, body: bytes, piece_bytes: int, limits: PartLimits, note: Note
) -> tuple[str, bytes | None]:
    pieces = [body[start : start + piece_bytes] for start in range(0, len(body), piece_bytes)]
    messages: list[Message] = [
        {"type": "http.request", "body": piece, "more_body": True} for piece in pieces
    ]
    messages.append({"type": "http.request", "body": b"", "more_body": False})

    async def receive() -> Message:
        return messages.pop(0)

    headers = [(b"content-type", head.strip())]
    request = Request({"type": "http", "method": "POST", "headers": headers}, receive)
    block = _arena.take()
    coroutine = receive_upload(request, block, limits)
    try:
        coroutine.send(None)  # all that it needs is there,
        coroutine.send(None)  # and it gives way once a piece: these are of one
    except StopIteration:
        outcome = RECEIVED
    except RequestError as error:
        outcome = type(error).__name__
        note(f"{error}")
    else:
        raise unexpected("the receiver waits for what is there")
    finally:
        coroutine.close()
        _arena.give_back(block)
    written = _arena.memory[block.offset : block.offset + block.length]
    decoded = body.lstrip().startswith(b"{")  # base64 in JSON is not what was sent
    if block.length > len(body) or (outcome == RECEIVED and not decoded and written not in body):
        raise unexpected("something is written that was not sent", written=written)
    note(f"{outcome} {block.length.bit_length()}")
    return outcome, written if outcome == RECEIVED else None


TARGET: Final = Target(
    check=check,
    outcomes=(RECEIVED, *names_of(RequestError)),
    seeds=seeds,
    words=WORDS,
    max_bytes=MAX_BYTES,
)
