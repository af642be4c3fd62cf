"""AWS Signature Version 4 for S3, in two forms: for any request, and as a precomputed plan for the hot path.

In: method, host, encoded path and query, headers, the payload's SHA-256, credentials, the time. Out: the header lines
to send, ``Authorization`` included, as bytes for libcurl. What is signed is what is sent: the lines carry ``Host`` too.
No clock is read and no body is hashed here. A name or value that could end its line is refused.

The rules are from "Create a signed AWS API request" (IAM User Guide, read 2026-11); the tests compare with botocore's
S3SigV4Auth byte for byte. Unlike other services S3 signs the path as it is sent: encoded once, never normalised.
"""

from __future__ import annotations

import re
import time
from binascii import hexlify
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import sha256

from s3batch.model.errors import InconsistentError, RefusedError

EMPTY_SHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
"""The payload hash of a request without a body."""

UNSIGNED_HEADERS = frozenset(
    {
        "authorization",
        "connection",
        "expect",
        "keep-alive",
        "proxy-authenticate",
        "proxy-authorization",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "user-agent",
        "x-amzn-trace-id",
    }
)
"""Sent but never signed, because proxies may change them: botocore 1.44's list, and ``Authorization`` itself."""

_OWN_HEADERS = frozenset({"host", "x-amz-content-sha256", "x-amz-date", "x-amz-security-token"})
_INNER_PAD = bytes(byte ^ 0x36 for byte in range(256))
_OUTER_PAD = bytes(byte ^ 0x5C for byte in range(256))
_BLOCK_BYTES = 64
_ALGORITHM = "AWS4-HMAC-SHA256"
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9a-z-]+")  # RFC 9110, section 5.6.2, after lower()
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


@dataclass(frozen=True, kw_only=True, slots=True)
class Credentials:
    """An access key; secrets stay out of ``repr``."""

    access_key: str
    secret_key: str = field(repr=False)
    token: str | None = field(default=None, repr=False)


class Hmac:
    """HMAC-SHA-256 with a fixed key: both pads are hashed once, each use copies them (0.6 us; ``hmac.new`` 1.3)."""

    __slots__ = ("_inner", "_outer")

    def __init__(self, key: bytes, prefix: bytes = b"") -> None:
        """Hash the pads, and behind the inner one a prefix that all messages have in common."""
        if len(key) > _BLOCK_BYTES:
            key = sha256(key).digest()
        key = key.ljust(_BLOCK_BYTES, b"\0")
        self._inner = sha256(key.translate(_INNER_PAD) + prefix)
        self._outer = sha256(key.translate(_OUTER_PAD))

    def digest(self, message: bytes) -> bytes:
        """Return the 32 bytes of the HMAC of prefix and message."""
        inner = self._inner.copy()
        inner.update(message)
        outer = self._outer.copy()
        outer.update(inner.digest())
        return outer.digest()

    def hexdigest(self, message: bytes) -> str:
        """Return the HMAC of prefix and message in hexadecimal."""
        inner = self._inner.copy()
        inner.update(message)
        outer = self._outer.copy()
        outer.update(inner.digest())
        return outer.hexdigest()


def timestamp(now_s: float) -> str:
    """Return the second in the form of ``x-amz-date``."""
    return time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now_s))


def signing_key(credentials: Credentials, *, date: str, region: str, service: str) -> bytes:
    """Return the key derived for one day (``YYYYMMDD``), region and service."""
    key = f"AWS4{credentials.secret_key}".encode()
    for part in (date, region, service, "aws4_request"):
        key = Hmac(key).digest(part.encode())
    return key


def canonical_query(query_encoded: str) -> str:
    """Return an encoded query string in its signed form: sorted by name, then value, each with its ``=``."""
    if not query_encoded:
        return ""
    pairs = sorted((name, value) for name, _, value in (pair.partition("=") for pair in query_encoded.split("&")))
    return "&".join(f"{name}={value}" for name, value in pairs)


def checked_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers with lower-case names and with values as given, blanks within included.

    Raises:
        RefusedError: a name that is no token, or a value with a line break or another control character.
    """
    checked = {name.strip().lower(): value for name, value in headers.items()}
    for name, value in checked.items():
        if not _TOKEN.fullmatch(name) or _CONTROL.search(value):
            raise RefusedError(
                f"The header {name!r} cannot be sent with the value {value!r}.",
                code="InvalidHeader",
                way_out="Leave line breaks and control characters out of metadata and header values.",
            )
    return checked


def canonical_value(value: str) -> str:
    """Return a header's value as it is signed: no blanks around it, single spaces within."""
    return " ".join(value.split())


class Signer:
    """Signs any request for one region; keeps the key that it derived last."""

    def __init__(self, region: str, service: str = "s3", *, clock_offset_s: float = 0.0) -> None:
        """Sign for ``region``; ``clock_offset_s`` is added to each given time (store's clock minus ours)."""
        self.region = region
        self.service = service
        self.clock_offset_s = clock_offset_s
        self._derived_from: tuple[Credentials, str, str] | None = None
        self._hmac = Hmac(b"")

    def sign(
        self,
        method: str,
        host: str,
        path_encoded: str,
        query_encoded: str,
        headers: Mapping[str, str],
        *,
        payload_sha256: str,
        credentials: Credentials,
        now_s: float,
    ) -> list[bytes]:
        """Return all header lines to send: the given ones, host, date, payload hash, token and ``Authorization``.

        Names become lower-case. Given values of the headers that signing sets itself are replaced.

        Raises:
            RefusedError: a header that could end its line.
        """
        amz_date = timestamp(now_s + self.clock_offset_s)
        values = checked_headers(headers)
        values |= {"host": host, "x-amz-content-sha256": payload_sha256, "x-amz-date": amz_date}
        values.pop("authorization", None)
        values.pop("x-amz-security-token", None)
        if credentials.token:
            values["x-amz-security-token"] = credentials.token
        signed_names = sorted(values.keys() - UNSIGNED_HEADERS)
        names = ";".join(signed_names)
        lines = "".join(f"{name}:{canonical_value(values[name])}\n" for name in signed_names)
        query = canonical_query(query_encoded)
        canonical = f"{method}\n{path_encoded}\n{query}\n{lines}\n{names}\n{payload_sha256}"
        scope = f"{amz_date[:8]}/{self.region}/{self.service}/aws4_request"
        signature = self._hmac_for(credentials, amz_date[:8]).hexdigest(
            f"{_ALGORITHM}\n{amz_date}\n{scope}\n{sha256(canonical.encode()).hexdigest()}".encode()
        )
        values["authorization"] = _authorization(credentials, scope, names) + signature
        return [header_line(name, value) for name, value in values.items()]

    def _hmac_for(self, credentials: Credentials, date: str) -> Hmac:
        wanted = (credentials, date, self.region)
        if self._derived_from != wanted:
            self._hmac = Hmac(signing_key(credentials, date=date, region=self.region, service=self.service))
            self._derived_from = wanted
        return self._hmac


class CopySigner:
    """A plan for requests that differ in path and a few header values only: CopyObject on the hot path.

    All that is the same is prepared once and again when the second or the credentials change; a request costs about
    2 us. Values are spliced in as they are, so they must be free of blanks at their ends and of runs of blanks.
    """

    def __init__(
        self,
        credentials: Credentials,
        region: str,
        host: str,
        fixed_headers: Mapping[str, str],
        varying: Sequence[str] = ("x-amz-copy-source", "x-amz-copy-source-if-match"),
        *,
        method: str = "PUT",
        service: str = "s3",
        clock_offset_s: float = 0.0,
    ) -> None:
        """Prepare for ``host`` (as libcurl sends it) with the same ``fixed_headers`` on every request.

        Raises:
            RefusedError: a fixed header that could end its line.
            InconsistentError: ``varying`` is not in the order in which its headers are signed.
        """
        self._region = region
        self._service = service
        self._host = host
        self._method = method
        self._varying = tuple(varying)
        if list(self._varying) != sorted({name.lower() for name in varying}):
            raise InconsistentError(f"Varying headers must be lower-case, unique and sorted: {self._varying}.")
        self._prefixes = [f"{name}: ".encode() for name in self._varying]
        self._fixed = checked_headers(fixed_headers)
        for name in (*_OWN_HEADERS, "authorization", *self._varying):
            self._fixed.pop(name, None)
        self.use(credentials, clock_offset_s=clock_offset_s)

    def use(self, credentials: Credentials, *, clock_offset_s: float | None = None) -> None:
        """Sign with these credentials from now on, and with this offset of the store's clock to ours."""
        self._credentials = credentials
        if clock_offset_s is not None:
            self._offset_s = clock_offset_s
        self._second = -1

    def headers(self, path: str, copy_source: str, etag: str, now_s: float) -> list[bytes]:
        """Return the header lines of a copy: path and source are percent-encoded already, the ETag has no quotes.

        Raises:
            RefusedError: an ETag that no header can carry.
        """
        if not (etag.isascii() and etag.isprintable()):
            raise RefusedError(f"{etag!r} is not an ETag.", code="InvalidETag", way_out="Correct the manifest's entry.")
        if int(now_s + self._offset_s) != self._second:
            self._refresh(now_s + self._offset_s)
        canonical = self._canonical % (path, copy_source, f'"{etag}"')
        signature = self._hmac.digest(hexlify(sha256(canonical.encode()).digest()))
        return [
            *self._fixed_lines,
            b"x-amz-copy-source: " + copy_source.encode(),
            b'x-amz-copy-source-if-match: "%b"' % etag.encode(),
            self._authorization + hexlify(signature),
        ]

    def lines(self, path: str, values: tuple[str, ...], now_s: float) -> list[bytes]:
        """Return the header lines for this path and these values of the varying headers, in the plan's order of them.

        The canonical request is spliced by ``%``-formatting of one prepared text: 0.4 us for 540 characters.
        """
        if int(now_s + self._offset_s) != self._second:
            self._refresh(now_s + self._offset_s)
        canonical = self._canonical % (path, *values)
        signature = self._hmac.hexdigest(sha256(canonical.encode()).hexdigest().encode())
        varying = [prefix + value.encode() for prefix, value in zip(self._prefixes, values, strict=True)]
        return [*self._fixed_lines, *varying, self._authorization + signature.encode()]

    def _refresh(self, now_s: float) -> None:
        """Prepare everything that is the same within this second."""
        credentials = self._credentials
        self._second = int(now_s)
        amz_date = timestamp(now_s)
        fixed = self._fixed | {"host": self._host, "x-amz-content-sha256": EMPTY_SHA256, "x-amz-date": amz_date}
        if credentials.token:
            fixed["x-amz-security-token"] = credentials.token
        names = sorted((fixed.keys() - UNSIGNED_HEADERS) | set(self._varying))
        lines = "".join(
            f"{name}:{_literal(canonical_value(fixed[name])) if name in fixed else '%s'}\n" for name in names
        )
        signed = ";".join(names)
        self._canonical = f"{self._method}\n%s\n\n{lines}\n{signed}\n{EMPTY_SHA256}"
        scope = f"{amz_date[:8]}/{self._region}/{self._service}/aws4_request"
        key = signing_key(credentials, date=amz_date[:8], region=self._region, service=self._service)
        self._hmac = Hmac(key, f"{_ALGORITHM}\n{amz_date}\n{scope}\n".encode())
        self._fixed_lines = [header_line(name, value) for name, value in fixed.items()]
        self._authorization = b"authorization: " + _authorization(credentials, scope, signed).encode()


def header_line(name: str, value: str) -> bytes:
    """Return one header as libcurl takes it; an empty value needs its semicolon form or libcurl drops the header."""
    return f"{name}: {value}".encode() if value else f"{name};".encode()


def _authorization(credentials: Credentials, scope: str, signed_names: str) -> str:
    credential = f"{credentials.access_key}/{scope}"
    return f"{_ALGORITHM} Credential={credential}, SignedHeaders={signed_names}, Signature="


def _literal(text: str) -> str:
    """Return text that ``%``-formatting leaves as it is."""
    return text.replace("%", "%%")
