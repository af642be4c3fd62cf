"""Removing delete markers that the gate permitted, and accounting for every key of the answers.

In go rows with their keys and the version ids of their markers, out come the rows whose marker the store says it
removed and, for every other row, a :class:`~s3batch.operations.delete_requests.Trouble`. 1,000 go in one DeleteObjects
(API reference, read 2026-11); keys that XML cannot carry, and those of a batch that was refused for one of them, go by
requests of their own.

A request is repeated by the client when its answer was lost: a marker that is gone already is answered as removed, and
no other version can be met by its id. Nothing is decided here.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from s3batch.model.errors import S3BatchError
from s3batch.operations.delete_requests import (
    ABOUT_ALL_KEYS,
    GRACE_S,
    IN_ANOTHER_WAY,
    SINGLES_AT_ONCE,
    Sent,
    account,
    trouble_of,
)
from s3batch.operations.interruptible import StoppedError, for_each, until_stopped
from s3batch.operations.readings import pick
from s3batch.operations.stop import StopSignal
from s3batch.s3.client import S3Client
from s3batch.s3.errors import S3RefusedError
from s3batch.s3.xml_tree import xml_can_carry


@dataclass(frozen=True, kw_only=True, slots=True)
class PermittedMarkers:
    """Rows whose markers the gate permits to be removed now, as columns of one length."""

    rows: Sequence[int]
    keys: list[str]
    marker_ids: list[str]
    may_send: Callable[[], bool]
    """Asked right before each attempt of a request: whether the chunk goes on and the readings are fresh."""


class MarkerSender:
    """Sends the removals of one chunk; remembers which rows this store does not take together."""

    def __init__(self, *, client: S3Client, bucket: str, stop: StopSignal) -> None:
        """Send to ``bucket`` until ``stop`` is set."""
        self._client = client
        self._bucket = bucket
        self._stop = stop
        self._alone: set[int] = set()

    async def send(self, permitted: PermittedMarkers, sent: Sent) -> None:
        """Remove each marker by its version id, and note in ``sent`` what became of each row.

        Raises:
            StoppedError: the chunk was told to stop, and the answer did not come within the grace.
        """
        alone = [position for position in range(len(permitted.rows)) if self._goes_alone(permitted, position)]
        others = set(alone)
        together = [position for position in range(len(permitted.rows)) if position not in others]
        if together and not self._stop.is_set:
            await self._send_together(sent, permitted, together)

        async def send_alone(position: int) -> None:
            await self._send_alone(sent, permitted, position)

        await for_each(alone, send_alone, limit=min(SINGLES_AT_ONCE, len(alone)), stop=self._stop)

    def _goes_alone(self, permitted: PermittedMarkers, position: int) -> bool:
        return permitted.rows[position] in self._alone or not xml_can_carry(permitted.keys[position])

    async def _send_together(self, sent: Sent, permitted: PermittedMarkers, positions: Sequence[int]) -> None:
        """Send one DeleteObjects."""
        rows = pick(permitted.rows, positions)
        client = self._client.guarded_by(permitted.may_send)
        request = client.remove_markers(
            self._bucket, pick(permitted.keys, positions), pick(permitted.marker_ids, positions)
        )
        try:
            answer = await until_stopped(self._stop, request, grace_s=GRACE_S)
        except S3BatchError as error:
            trouble = trouble_of(error)
            if isinstance(error, S3RefusedError) and not error.is_ambiguous and error.code not in ABOUT_ALL_KEYS:
                self._alone.update(rows)
                trouble = IN_ANOTHER_WAY
            sent.trouble_by_row.update(dict.fromkeys(rows, trouble))
        else:
            account(sent, rows, answer)

    async def _send_alone(self, sent: Sent, permitted: PermittedMarkers, position: int) -> None:
        """Send one DeleteObject."""
        row = permitted.rows[position]
        client = self._client.guarded_by(permitted.may_send)
        request = client.remove_marker(self._bucket, permitted.keys[position], permitted.marker_ids[position])
        try:
            await until_stopped(self._stop, request, grace_s=GRACE_S)
        except StoppedError:
            return
        except S3BatchError as error:
            sent.trouble_by_row[row] = trouble_of(error)
        else:
            sent.deleted.append(row)
            sent.marker_ids.append(None)
