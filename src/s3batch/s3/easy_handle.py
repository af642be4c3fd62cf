"""One reusable libcurl easy handle: its fixed options, what changes with each request, and what its errors mean.

In: a request as method, address, header lines and body. Out: a prepared handle; later its status, body, header lines
or error. It is not driven here (see ``transport``), nothing is signed, redirects are not followed: S3's 307 must be
signed again. Options of libcurl that pycurl has no name for are given by number, from curl/curl.h of libcurl 8.23.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Protocol

import pycurl

from s3batch.s3.errors import TransportError, TransportKind

OnDone = Callable[[Any, int, bytes, list[bytes], TransportError | None], None]
"""Takes context, status (0 without an answer), body, raw header lines, and the error when there is no whole answer."""

BUFFER_BYTES = 128 * 1024
"""What libcurl reads at once; pages of a listing are 100 KB to 3 MB. One buffer per multi, not per handle."""

MAX_CONNECTION_AGE_S = 300
"""A connection is used for at most so long; then the name is asked again, so that load follows S3's DNS."""

DNS_CACHE_S = 5
"""Names are asked again soon, because S3 answers with other addresses each time; curl's own default is 60 s."""

_DNS_SHUFFLE_ADDRESSES = 275
_SUPPRESS_CONNECT_HEADERS = 265
_MAXLIFETIME_CONN = 314
_QUICK_EXIT = 322

_EMPTY_BODY = b"Content-Length: 0"
_NO_ACCEPT = b"Accept:"
_TAIL_WITHOUT_BODY = {"PUT": [_NO_ACCEPT, _EMPTY_BODY], "POST": [_NO_ACCEPT, _EMPTY_BODY]}
_TAIL_OTHERWISE = [_NO_ACCEPT]
_TAIL_WITH_BODY = [_NO_ACCEPT, b"Expect:"]
_NO_CONTENT_TYPE = b"Content-Type:"
_END_OF_HEAD = (b"\r\n", b"\n")

_KINDS: dict[int, TransportKind] = {
    pycurl.E_COULDNT_RESOLVE_PROXY: "connect",
    pycurl.E_COULDNT_RESOLVE_HOST: "connect",
    pycurl.E_COULDNT_CONNECT: "connect",
    pycurl.E_OPERATION_TIMEDOUT: "timeout",
    pycurl.E_PARTIAL_FILE: "closed",
    pycurl.E_GOT_NOTHING: "closed",
    pycurl.E_SEND_ERROR: "closed",
    pycurl.E_RECV_ERROR: "closed",
    pycurl.E_SSL_CONNECT_ERROR: "tls",
    pycurl.E_SSL_ENGINE_NOTFOUND: "tls",
    pycurl.E_SSL_ENGINE_SETFAILED: "tls",
    pycurl.E_SSL_CERTPROBLEM: "tls",
    pycurl.E_SSL_CIPHER: "tls",
    pycurl.E_PEER_FAILED_VERIFICATION: "tls",
    pycurl.E_SSL_CACERT_BADFILE: "tls",
    pycurl.E_SSL_CRL_BADFILE: "tls",
    pycurl.E_SSL_ISSUER_ERROR: "tls",
    pycurl.E_SSL_PINNEDPUBKEYNOTMATCH: "tls",
    pycurl.E_SSL_INVALIDCERTSTATUS: "tls",
}
_WAYS_OUT: dict[TransportKind, str] = {
    "connect": "Check the endpoint's address, the network and the proxy settings.",
    "tls": "Check the endpoint's certificate and the CA bundle (AWS_CA_BUNDLE).",
}


class BodySink(Protocol):
    """Takes a body as it comes, in place of collecting it."""

    def on_header_line(self, line: bytes) -> None:
        """Take one raw header line."""

    def on_chunk(self, chunk: bytes) -> int | None:
        """Take a piece of the body, or refuse it for now by returning ``WRITEFUNC_PAUSE``."""


class Shard:
    """A multi and what is known about it."""

    __slots__ = ("attached", "deadline_s", "has_ended", "multi", "socket_action")

    def __init__(self) -> None:
        """Make a multi without handles."""
        self.multi = pycurl.CurlMulti()
        self.socket_action = self.multi.socket_action
        self.attached = 0
        """Handles of requests that are under way."""
        self.has_ended = False
        """Whether some of them have ended and wait to be taken off."""
        self.deadline_s = math.inf
        """The latest time, by the loop's clock, at which libcurl wants to be called."""


class EasyHandle:
    """A handle and what it is used for now. ``on_done`` is None while it is free."""

    __slots__ = (
        "_chunks",
        "_has_body",
        "_has_sink",
        "_header_lines",
        "_is_fresh",
        "_max_body_bytes",
        "_mode",
        "_proxy",
        "_setopt",
        "_timeout_ms",
        "_wants_headers",
        "context",
        "curl",
        "on_done",
        "shard",
        "ticket",
    )

    def __init__(self, *, shard: Shard, ticket: int, connect_timeout_s: float, ca_bundle: str | None) -> None:
        """Make a handle with the options that never change; ``ca_bundle`` None means no TLS verification."""
        self.curl = pycurl.Curl()
        self.curl.easy_handle = self
        self.shard = shard
        self.ticket = ticket
        self.on_done: OnDone | None = None
        self.context: object = None
        self._setopt = self.curl.setopt
        self._chunks: list[bytes] = []
        self._header_lines: list[bytes] = []
        self._mode = ""
        self._proxy = ""
        self._timeout_ms = 0
        self._max_body_bytes = 0
        self._is_fresh = self._wants_headers = self._has_sink = self._has_body = False
        _set_fixed_options(self.curl, connect_timeout_s=connect_timeout_s, ca_bundle=ca_bundle)
        self._setopt(pycurl.WRITEFUNCTION, self._chunks.append)

    def prepare(  # noqa: PLR0917 - on the hot path keywords would cost
        self,
        method: str,
        url: str | bytes,
        headers: list[bytes],
        body: bytes | None,
        timeout_ms: int,
        max_body_bytes: int,
        fresh: bool,  # noqa: FBT001
        want_headers: bool,  # noqa: FBT001
        proxy: str,
        sink: BodySink | None,
    ) -> None:
        """Set the options of one request; those that are as in the request before are left alone."""
        setopt = self._setopt
        if body is not None:
            self._switch_method(method, body)
            tail = _TAIL_WITH_BODY if _has_content_type(headers) else [*_TAIL_WITH_BODY, _NO_CONTENT_TYPE]
        else:
            if method != self._mode:
                self._switch_method(method, None)
            tail = _TAIL_WITHOUT_BODY.get(method, _TAIL_OTHERWISE)
        if method == "HEAD":
            max_body_bytes = 0  # libcurl would compare the object's Content-Length with it
        if timeout_ms != self._timeout_ms:
            setopt(pycurl.TIMEOUT_MS, timeout_ms)
            self._timeout_ms = timeout_ms
        if max_body_bytes != self._max_body_bytes:
            setopt(pycurl.MAXFILESIZE_LARGE, max_body_bytes)
            self._max_body_bytes = max_body_bytes
        if fresh is not self._is_fresh:
            setopt(pycurl.FRESH_CONNECT, fresh)
            self._is_fresh = fresh
        if proxy != self._proxy:
            setopt(pycurl.PROXY, proxy)
            self._proxy = proxy
        if want_headers is not self._wants_headers:
            self._collect_headers(self._header_lines.append if want_headers else None)
            self._wants_headers = want_headers
        if sink is not None:
            setopt(pycurl.WRITEFUNCTION, sink.on_chunk)
            self._collect_headers(sink.on_header_line)
            self._has_sink = True
        setopt(pycurl.HTTPHEADER, headers + tail)
        setopt(pycurl.URL, url)

    def is_head_cut(self) -> bool:
        """Return whether the connection ended within the head; libcurl 8.23 takes such an answer as whole.

        Told only where headers are collected; without them an answer's body must speak for itself.
        """
        lines = self._header_lines
        return self._wants_headers and not any(line in _END_OF_HEAD for line in lines[_last_status_line(lines) :])

    def take_answer(self) -> tuple[int, bytes, list[bytes]]:
        """Return status, body and header lines, and make the handle ready for another request."""
        status = self.curl.getinfo(pycurl.RESPONSE_CODE)
        chunks = self._chunks
        body = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        header_lines = _last_block(self._header_lines) if self._header_lines else []
        self.clear()
        return status, body, header_lines

    def clear(self) -> None:
        """Forget the request."""
        self.on_done = self.context = None
        self._chunks.clear()
        if self._header_lines:
            self._header_lines.clear()
        if self._has_body:
            self._setopt(pycurl.POSTFIELDS, b"")  # or the handle would keep a part of 100 MB alive
            self._mode = ""
            self._has_body = False
        if self._has_sink:
            self._setopt(pycurl.WRITEFUNCTION, self._chunks.append)
            self._collect_headers(None)
            self._has_sink = self._wants_headers = False

    def error(self, curl_code: int, text: str) -> TransportError:
        """Return what libcurl's code means to the caller.

        ``sent`` is told by the bytes that left for the server, over all connections that libcurl tried: a request may
        fail with "could not connect" after it was sent on a kept connection that died (seen with libcurl 8.23).
        """
        kind = _KINDS.get(curl_code, "other")
        return TransportError(
            f"{text or 'The transfer failed'} (libcurl {curl_code}).",
            curl_code=curl_code,
            kind=kind,
            sent=None if self.curl.getinfo(pycurl.REQUEST_SIZE) else False,
            way_out=_WAYS_OUT.get(kind, ""),
        )

    def _switch_method(self, method: str, body: bytes | None) -> None:
        """Set the method; HTTPGET comes first, because only it clears what an earlier HEAD or body left behind."""
        setopt = self._setopt
        setopt(pycurl.HTTPGET, 1)
        if method == "HEAD":
            self.curl.unsetopt(pycurl.CUSTOMREQUEST)
            setopt(pycurl.NOBODY, 1)
        else:
            setopt(pycurl.NOBODY, 0)
            if body is not None:
                setopt(pycurl.POSTFIELDS, body)
            setopt(pycurl.CUSTOMREQUEST, method)
        self._mode = method
        self._has_body = body is not None

    def _collect_headers(self, collect: Callable[[bytes], None] | None) -> None:
        if collect is None:
            self.curl.unsetopt(pycurl.HEADERFUNCTION)
        else:
            self._setopt(pycurl.HEADERFUNCTION, collect)


def _set_fixed_options(curl: Any, *, connect_timeout_s: float, ca_bundle: str | None) -> None:  # noqa: ANN401 - untyped
    options: list[tuple[int, object]] = [
        (pycurl.PATH_AS_IS, 1),  # or /a/../c would address /c: another object
        (pycurl.NOSIGNAL, 1),
        (pycurl.TCP_NODELAY, 1),
        (pycurl.TCP_KEEPALIVE, 1),
        (pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_1_1),
        (pycurl.PROTOCOLS, pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS),
        (pycurl.FOLLOWLOCATION, 0),
        (pycurl.PROXY, ""),  # explicit, or libcurl reads the environment by its own rules
        (pycurl.USERAGENT, ""),  # pycurl sets its own
        (pycurl.CONNECTTIMEOUT_MS, max(1, round(connect_timeout_s * 1000))),
        (pycurl.BUFFERSIZE, BUFFER_BYTES),
        (pycurl.DNS_CACHE_TIMEOUT, DNS_CACHE_S),
        (_DNS_SHUFFLE_ADDRESSES, 1),
        (_MAXLIFETIME_CONN, MAX_CONNECTION_AGE_S),
        (_SUPPRESS_CONNECT_HEADERS, 1),
        (_QUICK_EXIT, 1),  # a cancel or the end of the program does not wait for a name server
    ]
    if ca_bundle is None:
        options += [
            (pycurl.SSL_VERIFYPEER, 0),
            (pycurl.SSL_VERIFYHOST, 0),
            (pycurl.PROXY_SSL_VERIFYPEER, 0),
            (pycurl.PROXY_SSL_VERIFYHOST, 0),
        ]
    elif Path(ca_bundle).is_dir():
        options += [(pycurl.CAPATH, ca_bundle), (pycurl.PROXY_CAPATH, ca_bundle)]
    else:
        options += [(pycurl.CAINFO, ca_bundle), (pycurl.PROXY_CAINFO, ca_bundle)]
    for option, value in options:
        curl.setopt(option, value)


def _has_content_type(headers: Sequence[bytes]) -> bool:
    return any(line[:13].lower() == b"content-type:" for line in headers)


def _last_status_line(lines: list[bytes]) -> int:
    """Return the place of the final answer's status line; a ``100 Continue`` may come before."""
    return max((place for place, line in enumerate(lines) if line.startswith(b"HTTP/")), default=0)


def _last_block(lines: list[bytes]) -> list[bytes]:
    """Return the header lines of the final answer, without its status line; trailers come last."""
    return [line for line in lines[_last_status_line(lines) + 1 :] if line not in _END_OF_HEAD]
