"""Sends one typed call until it is answered: signing, attempts, corrections of clock, region and credentials.

In:  a :class:`Call` and a function that reads its answer. Out: what that function returns, or one error of ``errors``.
Nothing is known here about single S3 operations, and keys and bodies come encoded by the caller.

What is repeated. A failure is tried again by its class (``retry``) as long as a second time does no harm:

* nothing was sent, or the store refused (SlowDown, a skewed clock, an ended session, another region): always;
* the outcome is unknown (time-out, connection closed after sending, 500, an answer that makes no sense): only where the
  call is ``Repeat.ALWAYS``. ``Repeat.UNLESS_AMBIGUOUS`` calls surface as they are, with ``is_ambiguous``;
* another write got in between (409): the same.

A final refusal that follows a lost attempt of a changing call has ``is_ambiguous`` too: the 412 may be our own work.
"""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from copy import copy
from dataclasses import dataclass, field, replace
from enum import StrEnum
from hashlib import sha256
from typing import Self, TypeVar

from s3batch.model.errors import RefusedError
from s3batch.s3.addressing import AddressBook
from s3batch.s3.credentials import CredentialSource
from s3batch.s3.encoding import encode_key, encode_query
from s3batch.s3.errors import INVALID_ANSWER, PermissionExpiredError, S3Error, S3UnavailableError, TransportError
from s3batch.s3.retry import MAX_ATTEMPTS, RetryClass, backoff_s, classify, classify_transport
from s3batch.s3.signing import EMPTY_SHA256, Credentials, Signer
from s3batch.s3.throttle import Throttle
from s3batch.s3.transport import RawResponse, ResponseStream, Transport
from s3batch.s3.xml_answers import ErrorAnswer, error_from_answer, error_inside, http_date_ms, parse_error
from s3batch.s3.xml_tree import MAX_XML_BYTES, XmlError

T = TypeVar("T")

MIN_SKEW_S = 240.0
"""A refusal is blamed on the clock when it differs from the store's by more; S3 itself allows 15 minutes."""

MAX_REGION_CORRECTIONS = 2
"""A bucket that is always said to be elsewhere is an error."""

MAX_ERROR_BYTES = 64 * 1024
"""Of an error answer to a streamed call no more is read; S3's have under 1 KiB."""

READ_METHODS = frozenset({"GET", "HEAD"})

_OK = 200
_FIRST_FAILURE = 300
_REDIRECTS = frozenset({301, 307, 308})
_BAD_REQUEST = 400
_FORBIDDEN = 403


class Repeat(StrEnum):
    """Whether a call may be sent again when nobody knows whether it was carried out."""

    ALWAYS = "always"
    UNLESS_AMBIGUOUS = "unless ambiguous"


@dataclass(frozen=True, kw_only=True, slots=True)
class Call:
    """One request as its operation wants it, not yet signed."""

    operation: str
    method: str
    bucket: str
    key: str | None = None
    """``None``: about the bucket itself."""
    query: Sequence[tuple[str, str]] = ()
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes | None = None
    timeout_s: float
    repeat: Repeat = Repeat.ALWAYS
    fresh: bool = False
    """On a connection of its own, so that libcurl cannot replay it by itself."""
    may_fail_late: bool = False
    """A 200 may carry an ``<Error>``."""
    max_body_bytes: int = MAX_XML_BYTES
    needs_permission: bool = False
    """A write, which is not sent once the sender's permission to write is gone."""

    def with_limit(self, max_body_bytes: int) -> Call:
        """Return the same call with another bound on its answer."""
        return replace(self, max_body_bytes=max_body_bytes)

    def __str__(self) -> str:
        """Return what error messages call it."""
        return f"{self.operation} s3://{self.bucket}/{'' if self.key is None else self.key}"


@dataclass(kw_only=True, slots=True)
class Learned:
    """What the store's answers taught; shared by all clients of one store."""

    clock_offset_s: float = 0.0
    conditional_copy_supported: bool | None = None
    conditional_delete_supported: bool | None = None


@dataclass(slots=True)
class _History:
    """What happened to one call so far."""

    attempts: Counter[RetryClass] = field(default_factory=Counter)
    corrections: int = 0
    was_lost: bool = False
    """An attempt may have been carried out without our knowing."""
    has_begun: bool = False

    def count(self, retry_class: RetryClass) -> bool:
        """Count a failure; tell whether another attempt is allowed after it."""
        self.attempts[retry_class] += 1
        return self.attempts[retry_class] < MAX_ATTEMPTS[retry_class]


class Sender:
    """Everything that the calls to one store share; used from one event loop."""

    def __init__(
        self,
        *,
        transport: Transport,
        throttle: Throttle,
        addresses: AddressBook,
        credentials: CredentialSource,
        clock: Callable[[], float],
        methods: frozenset[str] | None,
        headers: Mapping[str, str] | None = None,
        random_unit: Callable[[], float] = random.random,
    ) -> None:
        """Take the parts; ``methods`` are the only ones that may be sent (``None``: all), ``headers`` go with each."""
        self.headers = dict(headers or {})
        self.random_unit = random_unit
        self.transport = transport
        self.throttle = throttle
        self.addresses = addresses
        self.credentials = credentials
        self.learned = Learned()
        self.clock = clock
        self._methods = methods
        self._signers: dict[tuple[str, str], Signer] = {}
        self._may_write: Callable[[], bool] | None = None

    def guarded_by(self, may_write: Callable[[], bool]) -> Self:
        """Return a sender that shares everything with this one and sends a write only while ``may_write`` says so.

        It is asked last of all, when a write has its slot of the throttle, before each of its attempts: what waited
        or backed off may have outlived its permission (safety.md rule 21).
        """
        guarded = copy(self)
        guarded._may_write = may_write  # noqa: SLF001 - of its own class
        return guarded

    def now_s(self) -> float:
        """Return the store's time as far as it is known."""
        return self.clock() + self.learned.clock_offset_s

    async def send(self, call: Call, read: Callable[[RawResponse], T]) -> T:
        """Return what ``read`` makes of the answer; see the module's text for what is tried again.

        Raises:
            S3RefusedError: a final answer.
            S3UnavailableError: the attempts are used up, or it must not be repeated.
            TransportError: the same, without any answer.
            PermissionExpiredError: a write whose time was over.
            RefusedError: the call may not be sent at all.
        """
        self._require_sendable(call)
        history = _History()
        while True:
            credentials = await self.credentials.ready()
            try:
                response = await self._attempt(call, credentials)
            except TransportError as error:
                await self._after_silence(call, error, history)
                continue
            if not is_error(call, response):
                try:
                    return read(response)
                except XmlError as error:
                    failure = _invalid_answer(call, response, error)
                    await self._after_failure(call, failure, RetryClass.SERVER, history, credentials)
                    continue
            await self._after_error(call, response, history, credentials)

    @asynccontextmanager
    async def stream(self, call: Call) -> AsyncIterator[ResponseStream]:
        """Give the answer as soon as its head says success; error answers are tried again as in :meth:`send`.

        Once the body has begun nothing is repeated here: what is missing is the caller's to ask for.
        """
        self._require_sendable(call)
        history = _History()
        while True:
            credentials = await self.credentials.ready()
            url, headers = self.url_and_headers(call, credentials)
            async with self.throttle.slot() as slot:
                try:
                    async with self.transport.stream(
                        call.method, url, headers, timeout_ms=round(call.timeout_s * 1000)
                    ) as stream:
                        if _OK <= stream.status < _FIRST_FAILURE:
                            history.has_begun = True
                            yield stream
                            return
                        response = await _whole(stream)
                except TransportError as error:
                    if history.has_begun:
                        raise
                    silence: TransportError | None = error
                else:
                    silence = None
                    slot.throttled = classify(response.status, "") is RetryClass.THROTTLE
            if silence is not None:
                await self._after_silence(call, silence, history)
            else:
                await self._after_error(call, response, history, credentials)

    async def back_off(self, attempt: int, retry_class: RetryClass) -> None:
        """Wait before the next attempt, with full jitter."""
        await asyncio.sleep(backoff_s(attempt, retry_class, self.random_unit()))

    async def _after_silence(self, call: Call, error: TransportError, history: _History) -> None:
        """Return when the call shall be sent again after a transport error, else raise it."""
        retry_class = classify_transport(error)
        if error.is_ambiguous:
            history.was_lost = True
            if call.repeat is Repeat.UNLESS_AMBIGUOUS:
                raise error
        if not history.count(retry_class):
            raise error
        await self.back_off(history.attempts[retry_class], retry_class)

    async def _after_error(
        self, call: Call, response: RawResponse, history: _History, credentials: Credentials
    ) -> None:
        """Return when the call shall be sent again after an error answer, else raise it."""
        answer = _answer_of(call, response)
        if history.corrections < MAX_REGION_CORRECTIONS and self._correct_region(call, response, answer):
            history.corrections += 1
            return
        failure = _failure(call, response, answer, was_lost=history.was_lost)
        await self._after_failure(call, failure, self._class_of(failure, response, history), history, credentials)

    async def _after_failure(
        self, call: Call, failure: S3Error, retry_class: RetryClass, history: _History, credentials: Credentials
    ) -> None:
        # a 500 does not tell whether the call was carried out before something broke
        if retry_class is RetryClass.SERVER:
            history.was_lost = True
            if call.repeat is Repeat.UNLESS_AMBIGUOUS:
                raise failure
        # another write won meanwhile: what these calls would do now is for the caller to decide
        if retry_class is RetryClass.CONFLICT and call.repeat is Repeat.UNLESS_AMBIGUOUS:
            raise failure
        if not history.count(retry_class):
            raise failure
        if retry_class is RetryClass.CREDENTIALS and not await self.credentials.renew(credentials):
            raise failure
        await self.back_off(history.attempts[retry_class], retry_class)

    def url_and_headers(self, call: Call, credentials: Credentials) -> tuple[str, list[bytes]]:
        """Return where one attempt goes and its signed header lines."""
        address = self.addresses.address(call.bucket)
        path = address.bucket_path if call.key is None else address.key_prefix + encode_key(call.key)
        query = encode_query(call.query)
        signer = self._signers.get((address.region, address.service))
        if signer is None:
            signer = Signer(address.region, address.service)
            self._signers[address.region, address.service] = signer
        headers = signer.sign(
            call.method,
            address.host,
            path,
            query,
            {**call.headers, **self.headers},
            payload_sha256=sha256(call.body).hexdigest() if call.body else EMPTY_SHA256,
            credentials=credentials,
            now_s=self.now_s(),
        )
        return (f"{address.origin}{path}?{query}" if query else address.origin + path), headers

    async def _attempt(self, call: Call, credentials: Credentials) -> RawResponse:
        url, headers = self.url_and_headers(call, credentials)
        async with self.throttle.slot() as slot:
            if call.needs_permission and self._may_write is not None and not self._may_write():
                raise PermissionExpiredError(f"{call}: not sent, the permission to write is over.")
            response = await self.transport.request(
                call.method,
                url,
                headers,
                call.body,
                timeout_ms=round(call.timeout_s * 1000),
                fresh=call.fresh,
                max_body_bytes=call.max_body_bytes,
            )
            slot.throttled = _is_throttling(call, response)
        return response

    def require_method(self, method: str) -> None:
        """Refuse a write where the client only reads.

        Raises:
            RefusedError: code ``ReadOnly``.
        """
        if self._methods is not None and method not in self._methods:
            raise RefusedError(f"This client only reads; {method} is a write.", code="ReadOnly")

    def _require_sendable(self, call: Call) -> None:
        """Refuse an empty key (safety.md rule 3: `DELETE /bucket/` deletes the bucket), and writes of a reader."""
        if call.key is not None:
            require_key(call.key)
        self.require_method(call.method)

    def _correct_region(self, call: Call, response: RawResponse, answer: ErrorAnswer) -> bool:
        """Learn where the bucket is from an answer that sends us away; tell whether to send again."""
        # of a HEAD only the status and perhaps the region's header tell
        is_sent_away = (
            response.status in _REDIRECTS
            or classify(response.status, answer.code) is RetryClass.REGION
            or (response.status == _BAD_REQUEST and call.method == "HEAD")
        )
        if not is_sent_away:
            return False
        region = response.headers.get("x-amz-bucket-region") or answer.region
        return bool(region) and self.addresses.correct_region(call.bucket, region)

    def _class_of(self, failure: S3Error, response: RawResponse, history: _History) -> RetryClass:
        """Return the failure's class; a refusal while the clocks differ widely is blamed on the clock, once."""
        retry_class = classify(failure.status, failure.code)
        if retry_class is not RetryClass.CLOCK and response.status != _FORBIDDEN:
            return retry_class
        server_ms = http_date_ms(response.headers.get("date", ""))
        if server_ms is None or history.attempts[RetryClass.CLOCK]:
            return retry_class
        offset_s = server_ms / 1000 - self.clock()
        if retry_class is RetryClass.CLOCK or abs(offset_s - self.learned.clock_offset_s) > MIN_SKEW_S:
            self.learned.clock_offset_s = offset_s
            return RetryClass.CLOCK
        return retry_class


def require_key(key: str) -> None:
    """Refuse the empty key: its request would be one about the bucket.

    Raises:
        RefusedError: code ``EmptyKey``, or ``InvalidKey`` for text that is no UTF-8.
    """
    if not key:
        raise RefusedError(
            "An object's key cannot be empty.", code="EmptyKey", way_out="Name the object; a bucket is not meant."
        )
    if not key.isascii():
        try:
            key.encode()
        except UnicodeEncodeError as error:
            raise RefusedError(f"The key {key!r} cannot be written as UTF-8.", code="InvalidKey") from error


def is_error(call: Call, response: RawResponse) -> bool:
    """Return whether an answer is a failure; for some calls a 200 may be one."""
    if not _OK <= response.status < _FIRST_FAILURE:
        return True
    return call.may_fail_late and error_inside(response.body) is not None


def _is_throttling(call: Call, response: RawResponse) -> bool:
    late = error_inside(response.body) if call.may_fail_late and response.status == _OK else None
    return classify(response.status, "" if late is None else late.code) is RetryClass.THROTTLE


def _answer_of(call: Call, response: RawResponse) -> ErrorAnswer:
    return parse_error(response.status, response.body, has_key=call.key is not None)


async def _whole(stream: ResponseStream) -> RawResponse:
    """Return an error answer that came as a stream; what is beyond an error's size is not read."""
    pieces = []
    size = 0
    async for piece in stream:
        pieces.append(piece)
        size += len(piece)
        if size > MAX_ERROR_BYTES:
            break
    return RawResponse(status=stream.status, headers=stream.headers, body=b"".join(pieces))


def _failure(call: Call, response: RawResponse, answer: ErrorAnswer, *, was_lost: bool) -> S3Error:
    return error_from_answer(
        str(call),
        response.status,
        answer,
        request_id=response.headers.get("x-amz-request-id", ""),
        is_ambiguous=was_lost and call.method not in READ_METHODS,
    )


def _invalid_answer(call: Call, response: RawResponse, error: XmlError) -> S3UnavailableError:
    return S3UnavailableError(
        f"{call}: {response.status} with an answer that makes no sense ({error}).",
        code=INVALID_ANSWER,
        status=response.status,
        request_id=response.headers.get("x-amz-request-id", ""),
        way_out="If it stays so, check that the endpoint is an S3 store.",
        is_ambiguous=call.method not in READ_METHODS,
    )
