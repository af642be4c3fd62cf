"""What happened to a job, in order: the part of the ledger that is only ever appended to.

Every change of status and every wish is recorded here in the transaction that makes it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping

from sqlalchemy import Connection, insert, select

from s3batch.ledger import schema
from s3batch.ledger.port import LedgerPort
from s3batch.ledger.records import Event, as_json

MAX_EVENTS = 1_000
"""Events per call at most; ask again from the last id."""


def record_event(
    connection: Connection, job_id: str, *, now_ms: int, kind: str, actor: str, detail: Mapping[str, object]
) -> None:
    """Append one event within the transaction of what it tells about."""
    connection.execute(
        insert(schema.event).values(job_id=job_id, at_ms=now_ms, kind=kind, actor=actor, detail_json=as_json(detail))
    )


class EventLog(LedgerPort):
    """Events of jobs."""

    def append_event(self, job_id: str, *, kind: str, actor: str, detail: Mapping[str, object], now_ms: int) -> None:
        """Append one event. Writes one row; a crash before the commit leaves nothing."""
        with self._write() as connection:
            record_event(connection, job_id, now_ms=now_ms, kind=kind, actor=actor, detail=detail)

    def all_events(self, job_id: str) -> list[Event]:
        """Return every event of a job, oldest first: some a step and runner, never one a task."""
        found: list[Event] = []
        while page := self.events(job_id, after_id=found[-1].id if found else 0):
            found += page
        return found

    def events(self, job_id: str, *, after_id: int = 0, limit: int = MAX_EVENTS) -> list[Event]:
        """Return the job's events after ``after_id``, oldest first."""
        table = schema.event
        query = (
            select(table)
            .where(table.c.job_id == job_id, table.c.id > after_id)
            .order_by(table.c.id)
            .limit(min(limit, MAX_EVENTS))
        )
        with self._read() as connection:
            return [
                Event(
                    id=row.id,
                    job_id=row.job_id,
                    at_ms=row.at_ms,
                    kind=row.kind,
                    actor=row.actor,
                    detail=json.loads(row.detail_json),
                )
                for row in connection.execute(query)
            ]
