"""The body of one answer as an asynchronous iterator, in bounded memory.

In: pieces of the body, from libcurl's callbacks. Out: status, headers, and the pieces in order. When the reader is slow
the transfer is paused. An answer that ends early raises; it never looks like a short body. No request is made here.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

import pycurl

from s3batch.s3.errors import TransportError
from s3batch.s3.raw_response import header_dict

MAX_BUFFERED_BYTES = 1024 * 1024
"""The transfer pauses when so much waits for the reader; libcurl may add one buffer of its own."""


class ResponseStream:
    """An answer whose head has arrived; ``async for`` gives its body."""

    def __init__(self, loop: asyncio.AbstractEventLoop, *, timeout_ms: int, resume: Callable[[], None]) -> None:
        """Wait at most ``timeout_ms`` for each next piece; ``resume`` lets a paused transfer go on."""
        self.status = 0
        self.headers: dict[str, str] = {}
        self._loop = loop
        self._timeout_ms = timeout_ms
        self._resume = resume
        self._pieces: deque[bytes] = deque()
        self._buffered_bytes = 0
        self._is_paused = False
        self._has_head = False
        self._is_ended = False
        self._error: TransportError | None = None
        self._waiter: asyncio.Future[None] | None = None

    def on_header_line(self, line: bytes) -> None:
        """Take one raw header line; the blank one after a final status completes the head."""
        if line.startswith(b"HTTP/"):
            self.status = int(line.split(None, 2)[1])
            self.headers = {}
        elif line.strip():
            self.headers.update(header_dict([line]))
        elif self.status >= 200:  # noqa: PLR2004 - 1xx answers come before the final one
            self._has_head = True
            self._wake()

    def on_chunk(self, chunk: bytes) -> int | None:
        """Take a piece, or ask libcurl to offer it again later."""
        if self._buffered_bytes >= MAX_BUFFERED_BYTES:
            self._is_paused = True
            return int(pycurl.WRITEFUNC_PAUSE)
        self._pieces.append(chunk)
        self._buffered_bytes += len(chunk)
        self._wake()
        return None

    def on_done(
        self, _context: object, status: int, _body: bytes, _headers: list[bytes], error: TransportError | None
    ) -> None:
        """Take the end of the transfer."""
        self.status = status or self.status
        self._error = error
        self._is_ended = True
        self._wake()

    async def head(self) -> None:
        """Wait for status and headers.

        Raises:
            TransportError: no answer, or none within the time-out.
        """
        while not self._has_head:
            if self._is_ended:
                self._raise_error()
                raise TransportError(
                    "The head of the answer broke off.", curl_code=pycurl.E_PARTIAL_FILE, kind="closed"
                )
            await self._wait()

    def __aiter__(self) -> ResponseStream:
        """Return itself; a body is read once."""
        return self

    async def __anext__(self) -> bytes:
        """Return the next piece of the body.

        Raises:
            TransportError: the answer broke off, or nothing came within the time-out.
        """
        while not self._pieces:
            if self._is_ended:
                self._raise_error()
                raise StopAsyncIteration
            if self._is_paused:
                self._is_paused = False
                self._resume()
            else:
                await self._wait()
        piece = self._pieces.popleft()
        self._buffered_bytes -= len(piece)
        return piece

    def _raise_error(self) -> None:
        if self._error is not None:
            raise self._error

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def _wait(self) -> None:
        self._waiter = self._loop.create_future()
        try:
            async with asyncio.timeout(self._timeout_ms / 1000):
                await self._waiter
        except TimeoutError as error:
            raise TransportError(
                f"Nothing came for {self._timeout_ms / 1000:g} s.",
                curl_code=pycurl.E_OPERATION_TIMEDOUT,
                kind="timeout",
            ) from error
        finally:
            self._waiter = None
