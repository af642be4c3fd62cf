"""Sending the deletes that the gate permitted, and accounting for every key of the answers.

In go rows with their keys and pinned ETags, out come the rows that the store says it deleted (with the ids of delete
markers) and, for every other row, a :class:`Trouble`. Each key carries its ETag as a condition unless the store refuses
conditions altogether. Keys that XML cannot carry go by requests of their own.

Nothing is sent in another way on the same reading: where the store refuses a batch, or conditions, the rows come back
to be read again first (safety.md rule 14). Nothing is repeated here whose outcome is unknown: on a versioned bucket a
second delete would add a second marker, so the caller reads first (rules 16 and 18). DeleteObjects takes 1,000 keys
(API reference, read 2026-11).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from s3batch.model.errors import S3BatchError, UnavailableError
from s3batch.model.outcome import Code
from s3batch.operations.interruptible import StoppedError, for_each, until_stopped
from s3batch.operations.outage import may_pass
from s3batch.operations.readings import pick
from s3batch.operations.stop import StopSignal
from s3batch.s3.answers import DeleteBatch
from s3batch.s3.client import S3Client
from s3batch.s3.errors import (
    NO_SUCH_BUCKET,
    NO_SUCH_KEY,
    NOT_IMPLEMENTED,
    PRECONDITION_FAILED,
    PermissionExpiredError,
    S3Error,
    S3RefusedError,
    S3UnavailableError,
    TransportError,
)
from s3batch.s3.retry import RetryClass, classify
from s3batch.s3.xml_tree import xml_can_carry

T = TypeVar("T")

SINGLES_AT_ONCE = 16
"""Deletes of one key each that one batch has under way; the throttle bounds the requests of all batches."""

GRACE_S = 2.0
"""How long a delete that is on its way may still be answered after the chunk was told to stop."""

_NO_BATCHES = frozenset({NOT_IMPLEMENTED, "MethodNotAllowed"})
ABOUT_ALL_KEYS = frozenset(
    {
        NO_SUCH_BUCKET,
        "AccountProblem",
        "AllAccessDisabled",
        "ExpiredToken",
        "InvalidAccessKeyId",
        "RequestTimeTooSkewed",
        "SignatureDoesNotMatch",
    }
)
"""Refusals of a whole request that each key alone would get too. After any other, each key is asked for by itself, so
that one of them does not stop 999 others: MiniStack refuses a batch for one key that a policy protects."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Trouble:
    """Why a row was not deleted, as far as is known."""

    code: str
    message: str
    http_status: int | None = None
    is_final: bool = False
    """Reading again and trying again will not help in this attempt."""
    is_unsent: bool = False
    """Nothing was sent for it: it is read again at once."""
    error: S3BatchError | None = None
    """The failure that says nothing about the object: the row is left for a later attempt, or none helps."""
    may_be_done: bool = False
    """The store may have deleted it all the same."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Permitted:
    """Rows that the gate permits to be deleted now, as columns of one length."""

    rows: Sequence[int]
    keys: list[str]
    etags: list[str]
    version_ids: list[str] | None
    """Versions that are to be deleted for good; ``None``: the current objects."""
    may_send: Callable[[], bool]
    """Asked right before each attempt of a request, when its turn has come: whether the chunk goes on and the readings
    are fresh."""
    remaining_s: Callable[[], float]
    """How long an answer may be waited for: no request is on its way once the readings are too old for any delete."""


@dataclass(kw_only=True, slots=True)
class Sent:
    """What became of the rows of one batch, noted as it becomes known; a row that a stop left over is nowhere."""

    deleted: list[int] = field(default_factory=list)
    marker_ids: list[str | None] = field(default_factory=list)
    """By position of ``deleted``: the delete marker that was made, on a versioned bucket."""
    unconditional: list[int] = field(default_factory=list)
    """Those of ``deleted`` whose request carried no condition."""
    trouble_by_row: dict[int, Trouble] = field(default_factory=dict)


LOST = Trouble(code=Code.UNKNOWN_OUTCOME, message="The store's answer to the delete was lost.", may_be_done=True)
NOT_MENTIONED = Trouble(
    code=Code.UNKNOWN_OUTCOME, message="The store's answer does not mention this key.", may_be_done=True
)
TOO_LATE = Trouble(code=Code.EVIDENCE_EXPIRED, message="The readings were too old when its turn came.", is_unsent=True)
IN_ANOTHER_WAY = Trouble(
    code=Code.EVIDENCE_EXPIRED, message="The store wants these deletes sent in another way.", is_unsent=True
)


class DeleteSender:
    """Sends the deletes of one chunk; remembers what this store refuses."""

    def __init__(self, *, client: S3Client, bucket: str, stop: StopSignal) -> None:
        """Send to ``bucket`` until ``stop`` is set."""
        self._client = client
        self._bucket = bucket
        self._stop = stop
        self._takes_batches = True
        self._takes_conditions = True
        self._alone: set[int] = set()
        """Rows of a batch that was refused for the sake of one of them."""

    async def send(self, permitted: Permitted, sent: Sent) -> None:
        """Delete each key on condition that it still has its ETag, and note in ``sent`` what became of each row.

        Raises:
            StoppedError: the chunk was told to stop, and the answer did not come within the grace.
        """
        # an exact version needs no condition: it never changes, and stores may ignore one there (rule 16)
        is_conditional = self._takes_conditions and permitted.version_ids is None
        together: Sequence[int] = range(len(permitted.rows))
        alone: list[int] = []
        if not self._takes_batches:
            together, alone = [], list(together)
        elif not self._alone.isdisjoint(permitted.rows) or not xml_can_carry("".join(permitted.keys)):
            alone = [position for position in together if self._goes_alone(permitted, position)]
            together = [position for position in together if not self._goes_alone(permitted, position)]
        if together:
            await self._send_together(sent, permitted, together, is_conditional=is_conditional)

        async def send_alone(position: int) -> None:
            await self._send_alone(sent, permitted, position, is_conditional=is_conditional)

        await for_each(alone, send_alone, limit=min(SINGLES_AT_ONCE, len(alone)), stop=self._stop)

    def _goes_alone(self, permitted: Permitted, position: int) -> bool:
        return permitted.rows[position] in self._alone or not xml_can_carry(permitted.keys[position])

    async def _send_together(
        self, sent: Sent, permitted: Permitted, positions: Sequence[int], *, is_conditional: bool
    ) -> None:
        """Send one DeleteObjects."""
        rows = pick(permitted.rows, positions)
        etags = pick(permitted.etags, positions) if is_conditional else None
        versions = None if permitted.version_ids is None else pick(permitted.version_ids, positions)
        client = self._client.guarded_by(permitted.may_send)
        try:
            answer = await self._request(
                client.delete_batch(self._bucket, pick(permitted.keys, positions), version_ids=versions, etags=etags),
                permitted,
            )
        except (TimeoutError, S3BatchError) as error:
            trouble = trouble_of(error)
            if isinstance(error, S3RefusedError) and not error.is_ambiguous and error.code not in ABOUT_ALL_KEYS:
                self._takes_batches = self._takes_batches and error.code not in _NO_BATCHES
                self._alone.update(rows)
                trouble = IN_ANOTHER_WAY
            sent.trouble_by_row.update(dict.fromkeys(rows, trouble))
        else:
            account(sent, rows, answer)
            if etags is None and versions is None:
                sent.unconditional += sent.deleted

    async def _send_alone(self, sent: Sent, permitted: Permitted, position: int, *, is_conditional: bool) -> None:
        """Send one DeleteObject; if the store does not know conditions on deletes, the next ones go without."""
        row = permitted.rows[position]
        if is_conditional and not self._takes_conditions:
            sent.trouble_by_row[row] = IN_ANOTHER_WAY
            return
        if_match = permitted.etags[position] if is_conditional else None
        version_id = None if permitted.version_ids is None else permitted.version_ids[position]
        client = self._client.guarded_by(permitted.may_send)
        try:
            result = await self._request(
                client.delete_object(self._bucket, permitted.keys[position], version_id=version_id, if_match=if_match),
                permitted,
            )
        except StoppedError:
            return
        except (TimeoutError, S3BatchError) as error:
            if if_match is not None and error_code(error) == NOT_IMPLEMENTED:
                self._takes_conditions = False
                sent.trouble_by_row[row] = IN_ANOTHER_WAY
            else:
                sent.trouble_by_row[row] = trouble_of(error)
        else:
            sent.deleted.append(row)
            sent.marker_ids.append(result.version_id if result.delete_marker else None)
            if if_match is None and version_id is None:
                sent.unconditional.append(row)

    async def _request(self, request: Coroutine[Any, Any, T], permitted: Permitted) -> T:
        """Send one delete, unless it is too late for it.

        Raises:
            StoppedError: the chunk was told to stop.
            PermissionExpiredError: the readings are too old; nothing was sent.
            TimeoutError: they became too old before the answer came.
        """
        if self._stop.is_set:
            request.close()
            raise StoppedError
        waiting = until_stopped(self._stop, request, grace_s=GRACE_S)
        try:
            return await asyncio.wait_for(waiting, max(permitted.remaining_s(), GRACE_S))
        except PermissionExpiredError:
            if self._stop.is_set:
                raise StoppedError from None
            raise


def account(sent: Sent, rows: Sequence[int], answer: DeleteBatch) -> None:
    """Put each row of a DeleteObjects answer where it belongs: deleted, refused, or not mentioned (safety.md rule 18).

    An answer about another number of keys says nothing about any of them: all are read again.
    """
    if len(answer.marker_ids) != len(rows):
        sent.trouble_by_row.update(dict.fromkeys(rows, NOT_MENTIONED))
        return
    if not answer.errors and not answer.unknown:
        sent.deleted.extend(rows)
        sent.marker_ids.extend(answer.marker_ids)
        return
    for position, (row, marker_id) in enumerate(zip(rows, answer.marker_ids, strict=True)):
        if position in answer.errors:
            error = answer.errors[position]
            sent.trouble_by_row[row] = _trouble(error.code, error.message, status=0)
        elif position in answer.unknown:
            sent.trouble_by_row[row] = NOT_MENTIONED
        else:
            sent.deleted.append(row)
            sent.marker_ids.append(marker_id)


def trouble_of(error: TimeoutError | S3BatchError) -> Trouble:
    """Return what a failed request says about its rows.

    The client has tried again by itself whatever helps, so what it gives up is final, but for what reading again
    settles.
    """
    if isinstance(error, TimeoutError):
        return replace(LOST, error=UnavailableError(LOST.message, code=Code.UNKNOWN_OUTCOME))
    if is_ambiguous(error):
        return replace(LOST, error=UnavailableError(error.message, code=error.code, way_out=error.way_out))
    if isinstance(error, PermissionExpiredError):
        return TOO_LATE
    status = error.status if isinstance(error, S3Error) else 0
    return replace(
        _trouble(error.code, str(error), status=status),
        is_final=error.code not in _STATUS_BY_CODE,
        error=error if may_pass(error) or error.code in ABOUT_ALL_KEYS else None,
    )


def is_ambiguous(error: S3BatchError) -> bool:
    """Tell whether the store may have done what failed."""
    return isinstance(error, S3Error | TransportError) and error.is_ambiguous


def error_code(error: Exception) -> str:
    """Return the code of an error of ours; none for others."""
    return error.code if isinstance(error, S3BatchError) else ""


def _trouble(code: str, message: str, *, status: int) -> Trouble:
    """Return what S3's code says about one key."""
    if code in _STATUS_BY_CODE:
        said = message or "The store says that the object is not the one that was pinned."
        # A request that was delivered twice on the way is answered so the second time: the first may have done it.
        return Trouble(code=code, message=said, http_status=status or _STATUS_BY_CODE[code], may_be_done=True)
    if classify(status, code) in {RetryClass.FINAL, RetryClass.REGION}:
        return Trouble(code=code, message=message, http_status=status or None, is_final=True)
    error = S3UnavailableError(f"The store did not delete it: {code} {message}".rstrip(), code=code, status=status)
    return Trouble(code=code, message=message, http_status=status or None, may_be_done=True, error=error)


_STATUS_BY_CODE = {PRECONDITION_FAILED: 412, NO_SUCH_KEY: 404}
"""Refusals which say that the source is not what was read a moment ago: it is read again, and the gate decides."""
