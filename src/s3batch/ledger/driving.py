"""What a runner does to the jobs it drives: hold them, plan them, change their status, say how far they are.

Every write about a job carries the epoch that ``acquire_job`` gave out. A write whose epoch is not the job's any more,
or whose job was released, changes nothing and says so: somebody else drives the job now. A lease ends by time, so its
length must exceed the workers' deadline plus the longest request time-out (safety.md rule 22); a caller that holds the
host's lock file, which dies with the processes, may take over at once with ``force``.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import ColumnElement, Connection, and_, delete, insert, select, update

from s3batch.ledger import schema
from s3batch.ledger.events import record_event
from s3batch.ledger.jobs import JobBook, select_job
from s3batch.ledger.records import ChunkFacts, Job, Runner, as_json
from s3batch.ledger.statuses import StatusChange, change_status, put_back_running
from s3batch.model.errors import InconsistentError
from s3batch.model.job import Plan
from s3batch.model.status import TERMINAL, JobStatus

_ROWS_PER_INSERT = 10_000
"""Chunk rows handed to the driver at once, so that a plan of a million chunks is not held twice in memory."""


def held_with(job_id: str, epoch: int) -> ColumnElement[bool]:
    """Return the condition that fences every write about a job: this epoch drives it, now."""
    table = schema.job
    return and_(table.c.id == job_id, table.c.epoch == epoch, table.c.runner_id.is_not(None))


def select_held(connection: Connection, job_id: str, epoch: int) -> Job | None:
    """Return the job if this epoch drives it, locked for this transaction; None tells a stale runner."""
    query = select(schema.job).where(held_with(job_id, epoch)).with_for_update()
    found = connection.execute(query).first()
    return None if found is None else Job.from_row(found._asdict())


def start_order(chunk_no: int, chunks: int) -> int:
    """Return the place of a chunk in the order of starting: its number with the bits reversed.

    Neighbours in time are then far apart in the key space, so requests spread over S3's key-range partitions.
    """
    width = max(chunks - 1, 0).bit_length()
    return int(f"{chunk_no:0{width}b}"[::-1], 2) if width else 0


class Driving(JobBook):
    """The runner's side of jobs."""

    def register_runner(self, runner_id: str, *, host: str, pid: int, now_ms: int) -> None:
        """Make a runner known, or known again."""
        table = schema.runner
        with self._write() as connection:
            connection.execute(delete(table).where(table.c.id == runner_id))
            connection.execute(
                insert(table).values(id=runner_id, host=host, pid=pid, started_at_ms=now_ms, heartbeat_at_ms=now_ms)
            )

    def heartbeat(self, runner_id: str, *, now_ms: int) -> bool:
        """Say that a runner lives; False when it is not registered."""
        table = schema.runner
        with self._write() as connection:
            return (
                connection.execute(update(table).where(table.c.id == runner_id).values(heartbeat_at_ms=now_ms)).rowcount
                == 1
            )

    def remove_runner(self, runner_id: str) -> None:
        """Forget a runner. Its jobs keep their leases: release them first."""
        with self._write() as connection:
            connection.execute(delete(schema.runner).where(schema.runner.c.id == runner_id))

    def live_runners(self, *, now_ms: int, within_ms: int) -> list[Runner]:
        """Return the runners that were heard of during the last ``within_ms``, oldest first."""
        table = schema.runner
        query = (
            select(table)
            .where(table.c.heartbeat_at_ms > now_ms - within_ms)
            .order_by(table.c.started_at_ms, table.c.id)
        )
        with self._read() as connection:
            return [Runner(**row) for row in connection.execute(query).mappings()]

    def acquire_job(
        self, job_id: str, *, runner_id: str, host: str, now_ms: int, lease_ms: int, force: bool = False
    ) -> int | None:
        """Take a job that is free, expired or one's own, and return its new epoch; None when it is not to be had.

        With ``force`` a live lease is taken over: only for a caller that holds the lock which dies with the former
        holder's processes. One row is written; every epoch given out before is fenced from the commit on. Chunks left
        running by the former holder stay so until ``reclaim_running``.
        """
        with self._write() as connection:
            job = select_job(connection, job_id)
            is_free = force or not job.is_held(now_ms) or job.runner_id == runner_id
            if job.status in TERMINAL or not is_free:
                return None
            epoch = job.epoch + 1
            connection.execute(
                update(schema.job)
                .where(schema.job.c.id == job_id)
                .values(
                    epoch=epoch,
                    runner_id=runner_id,
                    runner_host=host,
                    lease_until_ms=now_ms + lease_ms,
                    updated_at_ms=now_ms,
                )
            )
            detail = {"runner": runner_id, "host": host, "epoch": epoch, "before": job.runner_id}
            record_event(connection, job_id, now_ms=now_ms, kind="acquired", actor=runner_id, detail=detail)
            return epoch

    def renew_lease(self, job_id: str, epoch: int, *, now_ms: int, lease_ms: int) -> bool:
        """Prolong the lease; False when somebody else drives the job now."""
        return self._update_held(job_id, epoch, {"lease_until_ms": now_ms + lease_ms})

    def release_job(self, job_id: str, epoch: int, *, now_ms: int) -> bool:
        """Give the job back, with chunks that still run made ready; the epoch is worth nothing afterwards."""
        with self._write() as connection:
            job = select_held(connection, job_id, epoch)
            if job is None:
                return False
            put_back_running(connection, job_id)
            connection.execute(
                update(schema.job)
                .where(schema.job.c.id == job_id)
                .values(runner_id=None, runner_host=None, lease_until_ms=None, progress_json=None, updated_at_ms=now_ms)
            )
            detail = {"epoch": epoch}
            record_event(connection, job_id, now_ms=now_ms, kind="released", actor=job.runner_id or "", detail=detail)
            return True

    def set_status(
        self,
        job_id: str,
        epoch: int,
        before: JobStatus,
        after: JobStatus,
        *,
        now_ms: int,
        reason: str | None = None,
        failure_code: str | None = None,
        failure_reason: str | None = None,
    ) -> bool:
        """Move a job one step along the table; False when this epoch or this step is out of date.

        In the same transaction: chunks that still run are made ready where the new status lets none run; the jobs that
        wait for one which failed or was cancelled are ended; a job that becomes Paused although the wish to pause was
        taken back meanwhile goes on to Ready.

        Raises:
            InconsistentError: the table has no such step, or Completing would leave tasks without an outcome.
        """
        with self._write() as connection:
            job = select_held(connection, job_id, epoch)
            if job is None or job.status is not before:
                return False
            actor = job.runner_id or ""
            change = StatusChange(
                to=after, actor=actor, reason=reason, failure_code=failure_code, failure_reason=failure_reason
            )
            change_status(connection, job, change, now_ms=now_ms)
            if after is JobStatus.PAUSED and job.wanted is None:
                paused = select_job(connection, job_id)
                resumed = StatusChange(to=JobStatus.READY, actor=actor, reason="resumed while pausing")
                change_status(connection, paused, resumed, now_ms=now_ms)
            return True

    def save_plan(
        self,
        job_id: str,
        epoch: int,
        *,
        plan: Plan,
        manifest_path: str,
        chunks: Sequence[ChunkFacts],
        now_ms: int,
    ) -> bool:
        """Record the plan and its chunks, numbered from 0 in the order given; False when fenced.

        The normalised manifest must be durable at ``manifest_path`` first: a crash before the commit leaves a file that
        nobody names, which preparing again replaces. Totals are those of ``chunks``.

        Raises:
            InconsistentError: the job is not Preparing, or outcomes are recorded already.
        """
        with self._write() as connection:
            job = select_held(connection, job_id, epoch)
            if job is None:
                return False
            if job.status is not JobStatus.PREPARING or job.counts.ended:
                raise InconsistentError(f"Job {job_id} is {job.status}: its plan cannot be written now.")
            connection.execute(delete(schema.chunk).where(schema.chunk.c.job_id == job_id))
            for first in range(0, len(chunks), _ROWS_PER_INSERT):
                rows = _chunk_rows(job_id, chunks, range(first, min(first + _ROWS_PER_INSERT, len(chunks))))
                connection.execute(insert(schema.chunk), rows)
            values = {
                "plan_json": plan.to_json(),
                "manifest_path": manifest_path,
                "total": sum(chunk.entries for chunk in chunks),
                "bytes_total": sum(chunk.bytes for chunk in chunks),
                "updated_at_ms": now_ms,
            }
            connection.execute(update(schema.job).where(schema.job.c.id == job_id).values(values))
            detail = {
                "entries": values["total"],
                "bytes": values["bytes_total"],
                "chunks": len(chunks),
                "manifest_sha256": plan.manifest_sha256,
            }
            record_event(connection, job_id, now_ms=now_ms, kind="planned", actor=job.runner_id or "", detail=detail)
            return True

    def begin_hold(self, job_id: str, epoch: int, *, until_ms: int, detail: Mapping[str, object], now_ms: int) -> bool:
        """Record until when a job that is Ready waits; a hold that has begun stays as it is. False when fenced.

        The row and the event are one transaction: after a crash the hold has begun, with both its ends, or it has not.
        """
        with self._write() as connection:
            job = select_held(connection, job_id, epoch)
            if job is None:
                return False
            if job.status is not JobStatus.READY or job.held_until_ms is not None:
                return True
            table = schema.job
            connection.execute(
                update(table).where(table.c.id == job_id).values(held_until_ms=until_ms, updated_at_ms=now_ms)
            )
            record_event(
                connection,
                job_id,
                now_ms=now_ms,
                kind="held",
                actor=job.runner_id or "",
                detail={"until_ms": until_ms, **detail},
            )
            return True

    def save_progress(
        self, job_id: str, epoch: int, *, progress: Mapping[str, object], active_ms: int, now_ms: int
    ) -> bool:
        """Write the figures of work in flight, about once a second; False when fenced. Never counted as outcomes."""
        values = {"progress_json": as_json(progress), "active_ms": active_ms, "updated_at_ms": now_ms}
        return self._update_held(job_id, epoch, values)

    def record_report(self, job_id: str, epoch: int, *, report: Mapping[str, object], now_ms: int) -> bool:
        """Record where the completion report is, after it is durable there; False when fenced."""
        return self._update_held(job_id, epoch, {"report_json": as_json(report), "updated_at_ms": now_ms})

    def _update_held(self, job_id: str, epoch: int, values: Mapping[str, object]) -> bool:
        with self._write() as connection:
            query = update(schema.job).where(held_with(job_id, epoch)).values(values)
            return connection.execute(query).rowcount == 1


def _chunk_rows(job_id: str, chunks: Sequence[ChunkFacts], numbers: range) -> list[dict[str, object]]:
    count = len(chunks)
    return [
        {
            "job_id": job_id,
            "chunk_no": chunk_no,
            "start_order": start_order(chunk_no, count),
            "state": "ready",
            "epoch": 0,
            "losses": 0,
            "recorded": 0,
            "entries": chunks[chunk_no].entries,
            "bytes": chunks[chunk_no].bytes,
            "bucket": chunks[chunk_no].bucket,
            "first_key": chunks[chunk_no].first_key,
            "last_key": chunks[chunk_no].last_key,
        }
        for chunk_no in numbers
    ]
