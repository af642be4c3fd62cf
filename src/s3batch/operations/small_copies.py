"""Copies of one request each: the hot path. Callbacks on the transport, no coroutine and no future per object.

Input: rows whose target was seen to be absent, in portions, so that the look at the target is never old. Each goes out
as one CopyObject that pins the source (``x-amz-copy-source-if-match``) and protects the target (``If-None-Match: *``);
a success is a few list writes. All that is not a plain success leaves this path: a failure that may pass is repeated by
coroutine through the client, which backs off, renews credentials and corrects the clock; the rest goes to the caller's
``settle``.
"""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Mapping, Sequence
from typing import Protocol, cast

from s3batch.ledger.segments import SUCCEEDED
from s3batch.model.errors import S3BatchError
from s3batch.model.objects import S3Object
from s3batch.operations.outage import Outage
from s3batch.operations.task import ChunkWork, TaskContext
from s3batch.s3.client import CopyPlan, parse_copy_answer
from s3batch.s3.encoding import encode_keys
from s3batch.s3.errors import NOT_IMPLEMENTED, S3Error, TransportError
from s3batch.s3.retry import RetryClass, classify, classify_transport

MAX_REPEATING = 256
"""Copies that may be repeating at once; above it no new one is started, so that a storm does not pile up coroutines."""

LOW_WATER = 256
"""Rows that wait when the next portion is asked for: enough to keep the connections busy while targets are read."""

_VERSION_HEADER = b"x-amz-version-id:"
_SOURCE_VERSION_HEADER = b"x-amz-copy-source-version-id:"


class Settle(Protocol):
    """What the caller does about a copy that did not succeed plainly."""

    def __call__(self, row: int, error: S3BatchError, *, is_ambiguous: bool) -> Awaitable[None]:
        """Read, decide, and record the row's outcome. ``is_ambiguous``: some attempt may have been carried out."""


class SmallCopies:
    """Copies rows of one chunk; a source of the throttle, see :class:`s3batch.s3.throttle.Source`."""

    def __init__(
        self,
        *,
        work: ChunkWork,
        context: TaskContext,
        target_bucket: str,
        target_keys: Sequence[str],
        headers_by_class: Mapping[str | None, Mapping[str, str]],
        want_versions: bool,
        settle: Settle,
        outage: Outage,
    ) -> None:
        """``headers_by_class`` has the further headers of the copies, by the source's storage class."""
        self._work = work
        self._context = context
        self._target_bucket = target_bucket
        self._target_keys = target_keys
        self._encoded_keys = encode_keys(work.keys)
        self._encoded_target_keys = encode_keys(target_keys)
        self._headers_by_class = headers_by_class
        self._plan_by_class: dict[str | None, CopyPlan] = {
            storage_class: context.target.copy_plan(
                work.bucket, target_bucket, headers=headers, if_none_match=True, want_headers=want_versions
            )
            for storage_class, headers in headers_by_class.items()
        }
        outcomes = context.outcomes
        self._etags = cast("list[str | None]", outcomes.etags)
        self._sizes = cast("list[int | None]", outcomes.sizes)
        self._version_ids = cast("list[str | None]", outcomes.version_ids)
        self._source_version_ids = cast("list[str | None]", outcomes.source_version_ids)
        self._waiting: deque[int] = deque()
        self._is_fed = False
        self._low: asyncio.Future[None] | None = None
        self._settle = settle
        self._outage = outage
        self._loop = asyncio.get_running_loop()
        self._throttle = context.target.throttle
        self._started_s: dict[int, float] = {}
        self._repeating: set[asyncio.Task[None]] = set()
        self._ended: asyncio.Future[None] = self._loop.create_future()

    async def run(self) -> None:
        """Copy what :meth:`extend` brings until :meth:`finish`; a stop or an outage leaves rows without an outcome."""
        self._throttle.add(self)
        try:
            self._end_if_idle()
            await self._ended
        finally:
            self._throttle.remove(self)
            for task in self._repeating:
                task.cancel()

    def extend(self, rows: Sequence[int]) -> None:
        """Take more rows to copy."""
        self._waiting.extend(rows)
        self._throttle.wake(self)

    def finish(self) -> None:
        """No more rows come."""
        self._is_fed = True
        self._end_if_idle()

    async def until_low(self) -> None:
        """Wait until few rows wait to be started."""
        while len(self._waiting) > LOW_WATER:
            self._low = self._loop.create_future()
            await self._low

    def start_next(self) -> bool:
        """Send the next copy, if one is left and the deadline has not passed."""
        if not self._waiting or len(self._repeating) >= MAX_REPEATING:
            return False
        if self._context.stop.is_set or self._outage.is_lasting:
            self._waiting.clear()
            self._loop.call_soon(self._on_drained)
            return False
        row = self._waiting.popleft()
        if self._low is not None and len(self._waiting) <= LOW_WATER:
            self._tell_low()
        work = self._work
        self._started_s[row] = time.perf_counter()
        try:
            self._plan_by_class[work.storage_classes[row]].start_encoded(
                self._encoded_keys[row],
                self._encoded_target_keys[row],
                work.etags[row],
                self._on_done,
                row,
                None if work.version_ids is None else work.version_ids[row],
            )
        except Exception as error:  # noqa: BLE001 - whatever it is, the row did not start, and the chunk must end
            del self._started_s[row]
            self._note_unstarted(row, error)
            return False
        return True

    def _note_unstarted(self, row: int, error: Exception) -> None:
        """Record a row that cannot be sent at all, and come back for the next one."""
        if isinstance(error, S3BatchError):
            self._context.outcomes.fail(row, error.code, message=str(error))
        else:
            self._outage.end(error)
        self._loop.call_soon(self._on_drained)

    def _on_drained(self) -> None:
        """Go on after a turn in which nothing was started although rows had waited."""
        if len(self._waiting) <= LOW_WATER:
            self._tell_low()
        self._throttle.wake(self)
        self._end_if_idle()

    def _tell_low(self) -> None:
        if self._low is not None and not self._low.done():
            self._low.set_result(None)
        self._low = None

    def _on_done(
        self, row: object, status: int, body: bytes, headers: Sequence[bytes], error: TransportError | None
    ) -> None:
        """Take an answer. Called from the transport's loop."""
        assert isinstance(row, int)  # noqa: S101 - what start_next handed over
        latency_s = time.perf_counter() - self._started_s.pop(row)
        answer = parse_copy_answer(status, body) if error is None else error
        if isinstance(answer, str):
            self._context.outcomes.status[row] = SUCCEEDED
            self._etags[row] = answer
            self._sizes[row] = self._work.sizes[row]
            for line in headers:
                if line[:1] in b"xX" and b"version-id" in line.lower():
                    self._note_version(row, line)
            self._throttle.done(latency_s=latency_s, throttled=False)
        else:
            self._fail(row, answer, latency_s)
        if not self._started_s:
            self._end_if_idle()

    def _note_version(self, row: int, line: bytes) -> None:
        """Keep the version that was made, and the one that was copied."""
        name, _, value = line.partition(b":")
        text = value.strip().decode("ascii", "replace")
        if name.lower() == _VERSION_HEADER[:-1]:
            self._version_ids[row] = text
        elif name.lower() == _SOURCE_VERSION_HEADER[:-1]:
            self._source_version_ids[row] = text

    def _fail(self, row: int, error: S3Error | TransportError, latency_s: float) -> None:
        retry = _retry_class(error)
        self._throttle.done(latency_s=latency_s, throttled=retry is RetryClass.THROTTLE)
        task = self._loop.create_task(self._repeat_or_settle(row, error, retry))
        self._repeating.add(task)
        task.add_done_callback(self._end_repeating)

    async def _repeat_or_settle(self, row: int, error: S3Error | TransportError, retry: RetryClass) -> None:
        """Repeat what may pass, unless its time is over: then the row stays without an outcome. Settle the rest."""
        if retry is RetryClass.FINAL and error.code != NOT_IMPLEMENTED:
            await self._settle(row, error, is_ambiguous=error.is_ambiguous)
            return
        if self._context.stop.is_set:
            return
        if self._outage.is_lasting:
            self._outage.leave(error)
            return
        work = self._work
        target = S3Object(bucket=self._target_bucket, key=self._target_keys[row])
        try:
            result = await self._context.target.copy_object(
                work.bucket,
                work.keys[row],
                target.bucket,
                target.key,
                source_version_id=None if work.version_ids is None else work.version_ids[row],
                source_if_match=work.etags[row],
                if_none_match=True,
                headers=self._headers_by_class[work.storage_classes[row]],
            )
        except S3BatchError as repeated:
            # the first attempt may have been carried out, whatever the last one was answered
            is_ambiguous = error.is_ambiguous or getattr(repeated, "is_ambiguous", False)
            await self._settle(row, repeated, is_ambiguous=is_ambiguous)
            return
        self._context.outcomes.succeed(
            row,
            etag=result.etag,
            size=work.sizes[row],
            version_id=result.version_id,
            source_version_id=result.source_version_id,
        )

    def _end_repeating(self, task: asyncio.Task[None]) -> None:
        self._repeating.discard(task)
        if not task.cancelled() and isinstance(error := task.exception(), Exception):
            self._outage.end(error)
        self._throttle.wake(self)
        self._end_if_idle()

    def _end_if_idle(self) -> None:
        if self._is_fed and not (self._waiting or self._started_s or self._repeating or self._ended.done()):
            self._ended.set_result(None)


def _retry_class(error: S3Error | TransportError) -> RetryClass:
    return classify_transport(error) if isinstance(error, TransportError) else classify(error.status, error.code)
