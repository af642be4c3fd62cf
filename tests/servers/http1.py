"""HTTP/1.1 messages as they are on the wire: read from a stream, kept whole, bytes unchanged.

For the fault proxy, which must pass on exactly what was signed. No rule of HTTP is enforced here but where a body ends.
"""

import asyncio
import re
from dataclasses import dataclass

MAX_HEAD_BYTES = 64 * 1024
STREAM_LIMIT_BYTES = 1024 * 1024

_NO_BODY_STATUS = re.compile(rb"HTTP/1\.[01] (1\d\d|204|304)")


@dataclass(frozen=True, kw_only=True, slots=True)
class Message:
    """One request or answer: its head with the final empty line, and its body as sent (chunks and all)."""

    head: bytes
    body: bytes
    ends_by_close: bool = False
    """Whether the body has neither length nor chunks, so that only closing the connection ends it."""

    @property
    def first_line(self) -> bytes:
        """The request line or the status line."""
        return self.head[: self.head.index(b"\r\n")]

    def header(self, name: bytes) -> bytes | None:
        """Return a header's value, or None."""
        return header(self.head, name)

    def without(self, name: bytes) -> "Message":
        """Return the message without a header."""
        head = re.sub(rb"(?im)^" + re.escape(name) + rb":[^\r\n]*\r\n", b"", self.head)
        return Message(head=head, body=self.body, ends_by_close=self.ends_by_close)

    def plain_body(self) -> bytes:
        """Return the body without chunk framing."""
        if (self.header(b"transfer-encoding") or b"").lower() != b"chunked":
            return self.body
        pieces, rest = [], self.body
        while rest:
            size_line, _, rest = rest.partition(b"\r\n")
            size = int(size_line.partition(b";")[0], 16)
            if size == 0:
                break
            pieces.append(rest[:size])
            rest = rest[size + 2 :]
        return b"".join(pieces)

    def with_body(self, body: bytes) -> "Message":
        """Return the message with another body, told by its length."""
        head = self.without(b"transfer-encoding").without(b"content-length").head
        return Message(head=head[:-2] + b"Content-Length: %d\r\n\r\n" % len(body), body=body)


def header(head: bytes, name: bytes) -> bytes | None:
    """Return the value of a header in a head, or None."""
    found = re.search(rb"(?im)^" + re.escape(name) + rb":[ \t]*([^\r\n]*?)[ \t]*\r$", head)
    return found[1] if found else None


async def read_head(reader: asyncio.StreamReader) -> bytes | None:
    """Read a head; None when the connection ends before one begins.

    Raises:
        asyncio.IncompleteReadError: it ends in the middle.
    """
    try:
        return await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as error:
        if not error.partial:
            return None
        raise


async def read_body(reader: asyncio.StreamReader, head: bytes) -> bytes:
    """Read the body that a request's head announces."""
    if (header(head, b"transfer-encoding") or b"").lower() == b"chunked":
        return await _read_chunks(reader)
    return await reader.readexactly(int(header(head, b"content-length") or 0))


async def read_answer(reader: asyncio.StreamReader, *, is_head_request: bool) -> Message:
    """Read an answer, skipping interim ones.

    Raises:
        asyncio.IncompleteReadError: the connection ended before the answer did.
    """
    while True:
        head = await reader.readuntil(b"\r\n\r\n")
        if not re.match(rb"HTTP/1\.[01] 1\d\d", head):
            break
    if is_head_request or _NO_BODY_STATUS.match(head):
        return Message(head=head, body=b"")
    is_framed = header(head, b"transfer-encoding") is not None or header(head, b"content-length") is not None
    body = await read_body(reader, head) if is_framed else await reader.read()
    return Message(head=head, body=body, ends_by_close=not is_framed)


async def _read_chunks(reader: asyncio.StreamReader) -> bytes:
    pieces = []
    while True:
        line = await reader.readuntil(b"\r\n")
        size = int(line.partition(b";")[0], 16)
        pieces.append(line)
        if size == 0:
            break
        pieces.append(await reader.readexactly(size + 2))
    while pieces[-1] != b"\r\n":  # trailers
        pieces.append(await reader.readuntil(b"\r\n"))
    return b"".join(pieces)
