"""Chunks and their accepted segments: claiming, finishing, losing, and what came of them.

Order of writes (design, "Invariants"): a segment's file is durable first, then ``finish_chunk`` names it here. A crash
between the two leaves a file that nobody names and a chunk that is run again. Readers find segments through
``segments``, never by looking into folders. Each write about a chunk checks the job's epoch and the chunk's epoch and
that the chunk is running; otherwise it is a stale attempt's and is dropped whole.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping

from sqlalchemy import Connection, Row, Select, func, insert, select, update

from s3batch.ledger import schema
from s3batch.ledger.driving import held_with, select_held
from s3batch.ledger.jobs import JobBook
from s3batch.ledger.records import (
    Chunk,
    ChunkCounts,
    ChunkState,
    ClaimedChunk,
    Job,
    Segment,
    SegmentFacts,
    as_json,
)
from s3batch.ledger.statuses import put_back_running
from s3batch.model.errors import InconsistentError
from s3batch.model.outcome import Counts
from s3batch.model.status import JobStatus

MAX_CLAIM = 1_000
"""Chunks per claim at most; a runner keeps a window of a few per worker."""


class Chunks(JobBook):
    """The chunks of jobs."""

    def claim_chunks(self, job_id: str, job_epoch: int, *, count: int, now_ms: int) -> list[ClaimedChunk]:
        """Take up to ``count`` ready chunks, spread over the key space, each with a new epoch.

        Empty when none is ready, when the job is not Active, or when another runner drives it. A crash after the
        commit leaves them running; ``reclaim_running`` puts them back.
        """
        table = schema.chunk
        with self._write() as connection:
            job = select_held(connection, job_id, job_epoch)
            if job is None or job.status is not JobStatus.ACTIVE:
                return []
            query = (
                select(table.c.chunk_no, table.c.epoch, table.c.losses, table.c.recorded)
                .where(table.c.job_id == job_id, table.c.state == str(ChunkState.READY))
                .order_by(table.c.start_order)
                .limit(min(count, MAX_CLAIM))
            )
            claimed = [
                ClaimedChunk(chunk_no=row.chunk_no, epoch=row.epoch + 1, losses=row.losses, recorded=row.recorded)
                for row in connection.execute(query)
            ]
            if claimed:
                connection.execute(
                    update(table)
                    .where(table.c.job_id == job_id, table.c.chunk_no.in_([each.chunk_no for each in claimed]))
                    .values(
                        state=str(ChunkState.RUNNING),
                        epoch=table.c.epoch + 1,
                        started_at_ms=now_ms,
                        ended_at_ms=None,
                    )
                )
            return claimed

    def finish_chunk(
        self,
        job_id: str,
        job_epoch: int,
        chunk_no: int,
        epoch: int,
        *,
        segment: SegmentFacts,
        complete: bool,
        now_ms: int,
    ) -> bool:
        """Accept an attempt's durable segment; False when the attempt is stale, and then nothing is written.

        In one transaction: the segment's row, the job's counters, and the chunk done (``complete``: all its entries
        have an outcome now) or ready again for the rest. A segment without rows is not recorded.

        Raises:
            InconsistentError: the rows do not add up to the chunk's entries.
        """
        with self._write() as connection:
            job = select_held(connection, job_id, job_epoch)
            chunk = _running_chunk(connection, job_id, chunk_no, epoch)
            if job is None or chunk is None:
                return False
            recorded = chunk.recorded + segment.rows
            _check_rows(chunk, segment, recorded, complete=complete)
            if segment.rows:
                _append_segment(connection, job_id, chunk, segment, now_ms)
                _add_to_counters(connection, job, segment, now_ms)
            state = ChunkState.DONE if recorded == chunk.entries else ChunkState.READY
            _update_chunk(connection, job_id, chunk_no, {"state": state, "recorded": recorded, "ended_at_ms": now_ms})
            return True

    def lose_chunk(self, job_id: str, job_epoch: int, chunk_no: int, epoch: int, *, now_ms: int) -> int | None:
        """Put back a chunk whose attempt ended without a word; return how often that has happened to it, None if stale.

        From the commit on, whatever the lost attempt still says is dropped.
        """
        with self._write() as connection:
            job = select_held(connection, job_id, job_epoch)
            chunk = _running_chunk(connection, job_id, chunk_no, epoch)
            if job is None or chunk is None:
                return None
            losses = chunk.losses + 1
            values = {"state": ChunkState.READY, "losses": losses, "ended_at_ms": now_ms}
            _update_chunk(connection, job_id, chunk_no, values)
            return losses

    def reclaim_running(self, job_id: str, job_epoch: int) -> int:
        """Put back every running chunk and return how many: what a runner does first with a job it has taken over.

        Each such chunk's next attempt must find out what the former one did (safety.md rule 9).
        """
        with self._write() as connection:
            if select_held(connection, job_id, job_epoch) is None:
                return 0
            return put_back_running(connection, job_id)

    def chunk_counts(self, job_id: str) -> ChunkCounts:
        """Return how many chunks are in which state."""
        table = schema.chunk
        query = (
            select(table.c.state, func.count().label("chunks")).where(table.c.job_id == job_id).group_by(table.c.state)
        )
        with self._read() as connection:
            return ChunkCounts(**{row.state: row.chunks for row in connection.execute(query)})

    def chunks(self, job_id: str) -> list[Chunk]:
        """Return every chunk of a job by number: 100,000 for a thousand million entries."""
        table = schema.chunk
        with self._read() as connection:
            return [_chunk(row) for row in connection.execute(_chunk_query(job_id).order_by(table.c.chunk_no))]

    def segments(self, job_id: str, chunk_no: int | None = None) -> list[Segment]:
        """Return the accepted segments of a job, or of one chunk, by chunk number and in order of acceptance."""
        table = schema.segment
        query = select(table).where(table.c.job_id == job_id).order_by(table.c.chunk_no, table.c.sequence)
        if chunk_no is not None:
            query = query.where(table.c.chunk_no == chunk_no)
        with self._read() as connection:
            return [_segment(row) for row in connection.execute(query)]

    def oldest_segment_ms(self, job_id: str) -> int | None:
        """Return when the first of a job's segments was accepted; nothing where there is none."""
        table = schema.segment
        query = select(func.min(table.c.created_at_ms)).where(table.c.job_id == job_id)
        with self._read() as connection:
            oldest_ms: int | None = connection.execute(query).scalar_one()
        return oldest_ms

    def outcome_totals(self, job_id: str) -> Counts:
        """Return the counts as the accepted segments give them: the truth that the job's counters must equal."""
        by_code: Counter[str] = Counter()
        table = schema.segment
        sums = select(func.sum(table.c.succeeded), func.sum(table.c.failed), func.sum(table.c.kept))
        with self._read() as connection:
            succeeded, failed, kept = connection.execute(sums.where(table.c.job_id == job_id)).one()
            total = connection.execute(select(schema.job.c.total).where(schema.job.c.id == job_id)).scalar_one()
            codes = select(table.c.by_code_json).where(table.c.job_id == job_id, table.c.by_code_json != "{}")
            for text in connection.execute(codes).scalars():
                by_code.update(json.loads(text))
        return Counts(
            total=total,
            succeeded=succeeded or 0,
            failed=failed or 0,
            kept=kept or 0,
            by_code=dict(sorted(by_code.items())),
        )


def _chunk_query(job_id: str) -> Select[tuple[object, ...]]:
    table = schema.chunk
    columns = [column for column in table.c if column.name not in {"job_id", "start_order"}]
    return select(*columns).where(table.c.job_id == job_id)


def _chunk(row: Row[tuple[object, ...]]) -> Chunk:
    members = row._asdict()
    members["state"] = ChunkState(members["state"])
    return Chunk(**members)


def _segment(row: Row[tuple[object, ...]]) -> Segment:
    members = row._asdict()
    members["by_code"] = json.loads(members.pop("by_code_json"))
    return Segment(**members)


def _running_chunk(connection: Connection, job_id: str, chunk_no: int, epoch: int) -> Chunk | None:
    """Return the chunk if this epoch is the one that runs it; the lock on the job's row guards this one."""
    table = schema.chunk
    query = _chunk_query(job_id).where(
        table.c.chunk_no == chunk_no, table.c.epoch == epoch, table.c.state == str(ChunkState.RUNNING)
    )
    found = connection.execute(query).first()
    return None if found is None else _chunk(found)


def _check_rows(chunk: Chunk, segment: SegmentFacts, recorded: int, *, complete: bool) -> None:
    """Stop where accepting the segment would give an entry two outcomes, or end a chunk with an entry that has none."""
    adds_up = segment.succeeded + segment.failed + segment.kept == segment.rows
    if not adds_up or recorded > chunk.entries or (complete and recorded < chunk.entries):
        raise InconsistentError(
            f"Chunk {chunk.chunk_no} has {chunk.entries} entries, {chunk.recorded} of them with an outcome; a segment "
            f"of {segment.rows} rows ({segment.succeeded} succeeded, {segment.failed} failed, {segment.kept} kept) "
            f"does not fit.",
            code="OutcomesDoNotAddUp",
        )


def _append_segment(connection: Connection, job_id: str, chunk: Chunk, segment: SegmentFacts, now_ms: int) -> None:
    table = schema.segment
    last = select(func.max(table.c.sequence)).where(table.c.job_id == job_id, table.c.chunk_no == chunk.chunk_no)
    before = connection.execute(last).scalar()
    connection.execute(
        insert(table).values(
            job_id=job_id,
            chunk_no=chunk.chunk_no,
            sequence=0 if before is None else before + 1,
            epoch=chunk.epoch,
            path=str(segment.path),
            sha256=segment.sha256,
            rows=segment.rows,
            succeeded=segment.succeeded,
            failed=segment.failed,
            kept=segment.kept,
            bytes_done=segment.bytes_done,
            by_code_json=as_json(dict(segment.by_code)),
            created_at_ms=now_ms,
        )
    )


def _add_to_counters(connection: Connection, job: Job, segment: SegmentFacts, now_ms: int) -> None:
    table = schema.job
    by_code = Counter(job.counts.by_code)
    by_code.update(segment.by_code)
    connection.execute(
        update(table)
        .where(held_with(job.id, job.epoch))
        .values(
            succeeded=table.c.succeeded + segment.succeeded,
            failed=table.c.failed + segment.failed,
            kept=table.c.kept + segment.kept,
            bytes_done=table.c.bytes_done + segment.bytes_done,
            by_code_json=as_json(dict(sorted(by_code.items()))),
            updated_at_ms=now_ms,
        )
    )


def _update_chunk(connection: Connection, job_id: str, chunk_no: int, values: Mapping[str, object]) -> None:
    table = schema.chunk
    connection.execute(update(table).where(table.c.job_id == job_id, table.c.chunk_no == chunk_no).values(values))
