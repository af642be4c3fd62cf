"""HTTP/1.1 requests, many at a time, by libcurl's multi interface on an asyncio loop.

In: method, address, complete (signed) header lines, body, deadline. Out: one callback per request with status, body,
header lines or error; rarely wanted forms (a future, a streamed body) are built on it. Nothing is signed, retried or
redirected here, and no S3 is known here. What libcurl sends is what was given: paths are never normalised.

Handles are driven by ``socket_action``, 64 to a multi, because one multi gets slower with the number of its handles
(docs/adr/0001-http-engine.md). Two traps of libcurl shape the callers' side: a kept connection that dies before a byte
of the answer is replaced and the request sent again without a word, unless ``fresh``; and a cancelled request's
connection is closed, never used again.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import NewType

import pycurl

from s3batch.model.errors import InconsistentError, UsageError
from s3batch.s3.easy_handle import BodySink, EasyHandle, OnDone, Shard
from s3batch.s3.errors import TransportError
from s3batch.s3.network_environment import default_ca_bundle
from s3batch.s3.polling import Poller, new_poller
from s3batch.s3.raw_response import RawResponse, resolve
from s3batch.s3.response_stream import ResponseStream

__all__ = ["Handle", "OnDone", "RawResponse", "ResponseStream", "Transport"]

Handle = NewType("Handle", int)
"""Names one submitted request; never used again, so cancelling one that has ended does nothing."""

HANDLES_PER_MULTI = 64
SPARE_CONNECTIONS = 16
"""Connections that a multi keeps beyond one per handle, for more than one host name."""

MAX_BODY_BYTES = 64 * 1024 * 1024
"""The largest body that is collected, unless the caller says otherwise; a page of 1,000 keys has at most 4 MB."""

_ROUNDS = 16
"""How often finished requests may start new ones before the loop gets its turn."""

_NEVER = math.inf
_END_OF_ORIGIN = len("https://")

_Ended = tuple[int, OnDone, object, int, bytes, list[bytes], TransportError | None]


class Transport:
    """Sends requests; all calls belong to the loop's thread."""

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        *,
        max_in_flight: int = 256,
        connect_timeout_s: float = 10.0,
        ca_bundle: str | None = None,
        verify_tls: bool = True,
        proxy: Callable[[str], str] | None = None,
    ) -> None:
        """Prepare; connections are opened as requests need them.

        Args:
            loop: the running loop.
            max_in_flight: the most requests at once; more is the caller's mistake.
            connect_timeout_s: bound on name, connection and TLS together.
            ca_bundle: a file or folder of certificates to trust; None means the system's.
            verify_tls: False trusts anybody.
            proxy: gives the proxy for an origin (``https://host``), empty for none; asked once for each origin.

        Raises:
            UsageError: the CA bundle does not exist.
        """
        if ca_bundle is not None and not Path(ca_bundle).exists():
            raise UsageError(f"There is no CA bundle {ca_bundle!r}.", way_out="Correct AWS_CA_BUNDLE or --ca-bundle.")
        self._loop = loop
        self._max_in_flight = max_in_flight
        self._connect_timeout_s = connect_timeout_s
        self._ca_bundle = (ca_bundle or default_ca_bundle()) if verify_tls else None
        self._proxy = proxy
        self._proxy_by_origin: dict[str, str] = {}
        self._handles: list[EasyHandle] = []
        self._free: list[EasyHandle] = []
        self._shards: list[Shard] = []
        self._shard_by_fd: dict[int, Shard] = {}
        self._ended: list[_Ended] = []
        self._dropped: set[int] = set()
        self._is_stepping = False
        self._is_closed = False
        self._timer: asyncio.Handle | None = None
        self._timer_at_s = _NEVER
        self._poller: Poller = new_poller(loop, self._on_events)

    @property
    def in_flight(self) -> int:
        """Return the number of requests that have not ended."""
        return len(self._handles) - len(self._free)

    def submit(
        self,
        method: str,
        url: str | bytes,
        headers: list[bytes],
        body: bytes | None,
        *,
        timeout_ms: int,
        on_done: OnDone,
        context: object = None,
        fresh: bool = False,
        want_headers: bool = False,
        max_body_bytes: int = MAX_BODY_BYTES,
        sink: BodySink | None = None,
    ) -> Handle:
        """Start a request and return at once; ``on_done`` is called later, from the loop, exactly once or cancelled.

        The address is sent as it is: percent-encoded by the caller. ``fresh`` opens a new connection, so that libcurl
        has no reason to send the request twice. An answer over ``max_body_bytes`` is an error of kind "other".
        ``on_done`` may submit again: handles are free by then.

        Raises:
            InconsistentError: too many requests in flight, or the transport is closed.
        """
        handle = self._free.pop() if self._free else self._new_handle()
        try:
            proxy = self._proxy_for(url) if self._proxy is not None else ""
            handle.prepare(method, url, headers, body, timeout_ms, max_body_bytes, fresh, want_headers, proxy, sink)
            handle.shard.multi.add_handle(handle.curl)
        except BaseException:
            handle.clear()
            self._free.append(handle)
            raise
        handle.shard.attached += 1
        handle.on_done = on_done
        handle.context = context
        handle.ticket += self._max_in_flight
        return Handle(handle.ticket)

    def cancel(self, handle: Handle) -> None:
        """End a request without an answer: its callback is not called and its connection is closed."""
        easy = self._handles[handle % self._max_in_flight]
        if easy.ticket == handle and easy.on_done is not None:
            self._detach(easy)
            easy.clear()
            self._free.append(easy)
        elif self._is_stepping:
            self._dropped.add(handle)  # ended, but its callback may be waiting in this step

    async def request(
        self,
        method: str,
        url: str | bytes,
        headers: list[bytes],
        body: bytes | None = None,
        *,
        timeout_ms: int,
        fresh: bool = False,
        max_body_bytes: int = MAX_BODY_BYTES,
    ) -> RawResponse:
        """Send one request and return its answer; a cancelled task cancels the request.

        Raises:
            TransportError: there is no whole answer.
        """
        future: asyncio.Future[RawResponse] = self._loop.create_future()
        handle = self.submit(
            method,
            url,
            headers,
            body,
            timeout_ms=timeout_ms,
            on_done=resolve,
            context=future,
            fresh=fresh,
            want_headers=True,
            max_body_bytes=max_body_bytes,
        )
        try:
            return await future
        except asyncio.CancelledError:
            self.cancel(handle)
            raise

    @asynccontextmanager
    async def stream(
        self, method: str, url: str | bytes, headers: list[bytes], *, timeout_ms: int, fresh: bool = False
    ) -> AsyncIterator[ResponseStream]:
        """Send one request and give its answer as soon as the head is there; the body follows in bounded memory.

        ``timeout_ms`` bounds each wait for the next piece, not the whole. Leaving early cancels the request.

        Raises:
            TransportError: no answer; also from the stream itself, when the body breaks off or stalls.
        """
        stream = ResponseStream(self._loop, timeout_ms=timeout_ms, resume=lambda: self._resume(handle))
        handle = self.submit(
            method, url, headers, None, timeout_ms=0, on_done=stream.on_done, fresh=fresh, max_body_bytes=0, sink=stream
        )
        try:
            await stream.head()
            yield stream
        finally:
            self.cancel(handle)

    async def close(self) -> None:
        """End all requests with an error of kind "cancelled", then close all connections."""
        if self._is_closed:
            return
        self._is_closed = True
        for easy in self._handles:
            if easy.on_done is not None:
                error = TransportError("The transport was closed.", kind="cancelled")
                self._ended.append((easy.ticket, easy.on_done, easy.context, 0, b"", [], error))
                self._detach(easy)
                easy.clear()
        self._free.clear()
        self._deliver()
        if self._timer is not None:
            self._timer.cancel()
        for shard in self._shards:
            shard.multi.close()
        for easy in self._handles:
            easy.curl.close()
        self._poller.close()

    def _new_handle(self) -> EasyHandle:
        if self._is_closed:
            raise InconsistentError("The transport is closed.", code="TransportClosed")
        count = len(self._handles)
        if count >= self._max_in_flight:
            raise InconsistentError(f"More than {count} requests in flight.", code="TransportFull")
        if count % HANDLES_PER_MULTI == 0:
            self._shards.append(self._new_shard())
        handle = EasyHandle(
            shard=self._shards[-1],
            ticket=count,
            connect_timeout_s=self._connect_timeout_s,
            ca_bundle=self._ca_bundle,
        )
        self._handles.append(handle)
        return handle

    def _new_shard(self) -> Shard:
        shard = Shard()
        shard.multi.setopt(pycurl.M_PIPELINING, 0)
        shard.multi.setopt(pycurl.M_MAXCONNECTS, HANDLES_PER_MULTI + SPARE_CONNECTIONS)
        shard.multi.setopt(pycurl.M_SOCKETFUNCTION, partial(self._on_socket, shard))
        shard.multi.setopt(pycurl.M_TIMERFUNCTION, partial(self._on_timer_wish, shard))
        return shard

    def _proxy_for(self, url: str | bytes) -> str:
        text = url if isinstance(url, str) else url.decode()
        end = text.find("/", _END_OF_ORIGIN)
        origin = text if end < 0 else text[:end]
        proxy = self._proxy_by_origin.get(origin)
        if proxy is None and self._proxy is not None:
            proxy = self._proxy_by_origin[origin] = self._proxy(origin)
        return proxy or ""

    def _detach(self, easy: EasyHandle) -> None:
        easy.shard.multi.remove_handle(easy.curl)
        easy.shard.attached -= 1

    def _resume(self, handle: Handle) -> None:
        easy = self._handles[handle % self._max_in_flight]
        if easy.ticket == handle and easy.on_done is not None:
            easy.curl.unpause()

    # What libcurl wants: called from within its functions, so none of them may be called here.

    def _on_socket(self, shard: Shard, wish: int, fd: int, _multi: object, _data: object) -> None:
        if wish == pycurl.POLL_REMOVE:
            self._shard_by_fd.pop(fd, None)
            self._poller.unwatch(fd)
        else:
            self._shard_by_fd[fd] = shard
            self._poller.watch(fd, wish)

    def _on_timer_wish(self, shard: Shard, delay_ms: int) -> None:
        if delay_ms < 0:
            shard.deadline_s = _NEVER
            return
        shard.deadline_s = self._loop.time() + delay_ms / 1000 if delay_ms else 0.0
        if not self._is_stepping:
            self._arm(shard.deadline_s)

    # One step: sockets, then finished requests and due timers by turns.

    def _on_events(self, events: list[tuple[int, int]]) -> None:
        self._is_stepping = True
        shard_by_fd = self._shard_by_fd
        try:
            for fd, bits in events:
                shard = shard_by_fd.get(fd)
                if shard is not None and shard.socket_action(fd, bits)[1] != shard.attached:
                    shard.has_ended = True
        finally:
            self._advance()

    def _on_timer(self) -> None:
        self._timer = None
        self._timer_at_s = _NEVER
        self._is_stepping = True
        self._advance()

    def _advance(self) -> None:
        try:
            for _ in range(_ROUNDS):
                now_s = self._loop.time()
                for shard in self._shards:
                    if shard.deadline_s <= now_s:
                        self._fire(shard)
                    if shard.has_ended:
                        self._collect(shard)
                if not self._ended:
                    break
                self._deliver()
        finally:
            self._is_stepping = False
            self._arm(min(shard.deadline_s for shard in self._shards))

    def _fire(self, shard: Shard) -> None:
        """Tell libcurl that its time has come, and never lose its next wish.

        Where it was called a fraction of a millisecond early it may see nothing new to name (libcurl 8.23 names the
        time again, older ones only a changed one); without the question below that would be the last time-out.
        """
        shard.deadline_s = _NEVER
        if shard.socket_action(pycurl.SOCKET_TIMEOUT, 0)[1] != shard.attached:
            shard.has_ended = True
        if shard.deadline_s is _NEVER:
            delay_ms = shard.multi.timeout()
            if delay_ms >= 0:
                shard.deadline_s = self._loop.time() + max(delay_ms, 1) / 1000

    def _collect(self, shard: Shard) -> None:
        """Take all finished requests off a multi; their handles are free before any callback runs."""
        shard.has_ended = False
        queued = 1
        while queued:
            queued, succeeded, failed = shard.multi.info_read()
            for curl in succeeded:
                self._end(curl.easy_handle, None)
            for curl, code, text in failed:
                self._end(curl.easy_handle, (code, text))

    def _end(self, easy: EasyHandle, failure: tuple[int, str] | None) -> None:
        on_done = easy.on_done
        if on_done is None:
            return
        context = easy.context
        if failure is None and easy.is_head_cut():
            failure = (pycurl.E_PARTIAL_FILE, "The head of the answer broke off")
        error = easy.error(*failure) if failure else None
        self._detach(easy)
        status, body, header_lines = easy.take_answer()
        if error is not None:
            status, body = 0, b""  # half an answer is none
        self._ended.append((easy.ticket, on_done, context, status, body, header_lines, error))
        self._free.append(easy)

    def _deliver(self) -> None:
        ended, self._ended = self._ended, []
        for ticket, on_done, context, status, body, header_lines, error in ended:
            if ticket in self._dropped:
                continue
            try:
                on_done(context, status, body, header_lines, error)
            except Exception as raised:  # noqa: BLE001 - one caller's bug must not lose the others' answers
                self._loop.call_exception_handler({"message": "A request's callback failed.", "exception": raised})
        self._dropped.clear()

    def _arm(self, deadline_s: float) -> None:
        """Have the loop call in time; a timer that is set for earlier already will do."""
        if deadline_s >= self._timer_at_s or self._is_closed:
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer_at_s = deadline_s
        if deadline_s <= self._loop.time():
            self._timer = self._loop.call_soon(self._on_timer)
        else:
            self._timer = self._loop.call_at(deadline_s, self._on_timer)
