"""Jobs: recording new ones and finding those that are there.

Input: specifications and ids (made by the caller). Output: job records. Nothing here drives a job or decides for it.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, Select, and_, bindparam, insert, or_, select, tuple_

from s3batch.ledger import schema
from s3batch.ledger.events import EventLog, record_event
from s3batch.ledger.records import MAX_JOBS, Job, JobFilter, NewJob
from s3batch.model.errors import RefusedError
from s3batch.model.job import Operation
from s3batch.model.status import JobStatus

MIN_PREFIX = 4
"""Characters of an id that are enough to ask by, if no other id begins with them."""

PRIORITIES = range(2**31)
"""AWS's range of JobPriority (S3 Control API model 2018-08-20)."""


_ONE_JOB = select(schema.job).where(schema.job.c.id == bindparam("job_id")).with_for_update()
"""Made once: a runner and each command ask it a few times a second, and making it takes longer than answering it."""


def select_job(connection: Connection, job_id: str) -> Job:
    """Return one job, locked for this transaction where the database locks rows."""
    found = connection.execute(_ONE_JOB, {"job_id": job_id}).first()
    if found is None:
        raise _no_such_job(job_id)
    return Job.from_row(found._asdict())


def select_jobs(connection: Connection, query: Select[tuple[object, ...]]) -> list[Job]:
    """Return the jobs that ``query``, a selection of whole rows of ``job``, finds."""
    return [Job.from_row(row._asdict()) for row in connection.execute(query)]


def check_priority(priority: int) -> None:
    """Refuse a priority outside AWS's range."""
    if priority not in PRIORITIES:
        raise RefusedError(
            f"Priority {priority} is not in 0 to {PRIORITIES[-1]}.",
            code="InvalidPriority",
            way_out="Higher numbers run first; 10 is AWS's usual value.",
        )


def _no_such_job(text: str) -> RefusedError:
    return RefusedError(
        f"No job or move {text!r} is in this ledger.", code="NoSuchJob", way_out="`s3batch jobs list` shows them all."
    )


def _insert_job(connection: Connection, job: NewJob, now_ms: int) -> None:
    check_priority(job.priority)
    connection.execute(
        insert(schema.job).values(
            id=job.id,
            move_id=job.move_id,
            step=job.step,
            depends_on=job.depends_on,
            operation=str(job.spec.operation),
            status=str(JobStatus.NEW),
            priority=job.priority,
            description=job.description,
            created_at_ms=now_ms,
            updated_at_ms=now_ms,
            spec_json=job.spec.to_json(),
            confirmation_required=job.confirmation_required,
            total=0,
            succeeded=0,
            failed=0,
            kept=0,
            by_code_json="{}",
            bytes_total=0,
            bytes_done=0,
            active_ms=0,
            epoch=0,
            client_request_token=job.client_request_token,
        )
    )
    record_event(connection, job.id, now_ms=now_ms, kind="created", actor=job.actor, detail={"move": job.move_id})
    if job.confirmation is not None:
        detail = {"in_advance": True, **job.confirmation}
        record_event(connection, job.id, now_ms=now_ms, kind="confirmed", actor=job.actor, detail=detail)


def _earlier_answer(connection: Connection, jobs: Sequence[NewJob]) -> list[Job]:
    """Return the jobs that an earlier call with the same client request token made; none without one."""
    for asked in jobs:
        if asked.client_request_token is None:
            continue
        table = schema.job
        token = asked.client_request_token
        found = select_jobs(connection, select(table).where(table.c.client_request_token == token))
        if not found:
            continue
        if found[0].spec_json != asked.spec.to_json():
            raise RefusedError(
                f"The client request token {token!r} was used for a different job, {found[0].id}.",
                code="IdempotencyException",
                way_out="Use a new token for a new request.",
            )
        if found[0].move_id is None:
            return found
        return select_jobs(connection, select(table).where(table.c.move_id == found[0].move_id).order_by(table.c.step))
    return []


class JobBook(EventLog):
    """Jobs of a ledger: creating and reading."""

    def create_jobs(self, jobs: Sequence[NewJob], *, now_ms: int) -> list[Job]:
        """Record all ``jobs`` in one transaction, in the order given, and return them.

        Asked again with the same client request token, it records nothing and returns what the first call made.
        A crash leaves either all of them or none.

        Raises:
            RefusedError: the token was used for a different specification; a priority is out of range.
        """
        with self._write() as connection:
            earlier = _earlier_answer(connection, jobs)
            if earlier:
                return earlier
            for job in jobs:
                _insert_job(connection, job, now_ms)
            return [select_job(connection, job.id) for job in jobs]

    def get_job(self, job_id: str) -> Job:
        """Return one job.

        Raises:
            RefusedError: code ``NoSuchJob``.
        """
        with self._read() as connection:
            return select_job(connection, job_id)

    def find_jobs(self, text: str) -> list[Job]:
        """Return the job, or the jobs of the move in their order, that a user means by an id or its beginning.

        Raises:
            RefusedError: no such job or move (``NoSuchJob``), or more than one (``AmbiguousJob``).
        """
        columns = schema.job.c
        query = select(schema.job).order_by(columns.created_at_ms, columns.step)
        with self._read() as connection:
            exact = select_jobs(connection, query.where(or_(columns.id == text, columns.move_id == text)))
            if exact or len(text) < MIN_PREFIX:
                found = exact
            else:
                by_job = columns.id.startswith(text, autoescape=True)
                by_move = columns.move_id.startswith(text, autoescape=True)
                found = select_jobs(connection, query.where(or_(by_job, by_move)).limit(MAX_JOBS))
        if not found:
            raise _no_such_job(text)
        if len(found) > 1 and len({job.move_id or job.id for job in found}) > 1:
            raise RefusedError(
                f"More than one job or move begins with {text!r}.",
                code="AmbiguousJob",
                way_out="Give more characters of the id.",
            )
        single = [job for job in found if job.id.startswith(text)]
        return single if len(single) == 1 else found

    def jobs_by_move(self, move_id: str) -> list[Job]:
        """Return the linked jobs of a move in the order of their steps; empty when there is no such move."""
        table = schema.job
        with self._read() as connection:
            return select_jobs(connection, select(table).where(table.c.move_id == move_id).order_by(table.c.step))

    def list_jobs(
        self, chosen: JobFilter | None = None, *, limit: int = MAX_JOBS, after: str | None = None
    ) -> list[Job]:
        """Return jobs, newest first; ``after`` is the id of the last job of the page before."""
        columns = schema.job.c
        place = (columns.created_at_ms, columns.step, columns.id)
        query = select(schema.job).order_by(*(column.desc() for column in place)).limit(min(limit, MAX_JOBS))
        if chosen is not None:
            query = _filtered(query, chosen)
        with self._read() as connection:
            if after is not None:
                last = select_job(connection, after)
                query = query.where(tuple_(*place) < tuple_(last.created_at_ms, last.step, last.id))
            return select_jobs(connection, query)

    def runnable_jobs(self, *, now_ms: int, runner_id: str | None = None, host: str | None = None) -> list[Job]:
        """Return the jobs that some runner should take up now, the most urgent first.

        A runner that holds its host's lock names itself and its ``host``: leases of other runners of that host are
        then those of dead ones and count for nothing.

        These are the unended ones that no runner holds, whose predecessor is complete, and that wait for nobody: a
        suspended or paused job is among them only when its cancellation is wanted.
        """
        asked = {"now_ms": now_ms, "runner_id": runner_id, "host": host}
        with self._read() as connection:
            return [Job.from_row(row._asdict()) for row in connection.execute(_RUNNABLE_JOBS, asked)]


def _runnable() -> Select[tuple[object, ...]]:
    columns = schema.job.c
    predecessor = schema.job.alias("predecessor")
    return (
        select(schema.job)
        .outerjoin(predecessor, columns.depends_on == predecessor.c.id)
        .where(
            columns.ended_at_ms.is_(None),
            or_(
                columns.runner_id.is_(None),
                columns.lease_until_ms <= bindparam("now_ms"),
                and_(columns.runner_host == bindparam("host"), columns.runner_id != bindparam("runner_id")),
            ),
            or_(
                columns.status.not_in([str(JobStatus.SUSPENDED), str(JobStatus.PAUSED)]),
                columns.wanted == "cancel",
            ),
            or_(
                columns.depends_on.is_(None),
                predecessor.c.status == str(JobStatus.COMPLETE),
                # what a delete did before it was cancelled or failed can be undone
                and_(columns.operation == str(Operation.UNDO), predecessor.c.ended_at_ms.is_not(None)),
                columns.wanted == "cancel",
            ),
        )
        .order_by(columns.priority.desc(), columns.created_at_ms, columns.step, columns.id)
        .limit(MAX_JOBS)
    )


_RUNNABLE_JOBS = _runnable()
"""Made once, as ``_ONE_JOB``: with its alias it takes 5 ms of CPU to make, and is asked five times a second."""


def _filtered(query: Select[tuple[object, ...]], chosen: JobFilter) -> Select[tuple[object, ...]]:
    columns = schema.job.c
    if chosen.statuses:
        query = query.where(columns.status.in_([str(status) for status in chosen.statuses]))
    if chosen.operations:
        query = query.where(columns.operation.in_([str(operation) for operation in chosen.operations]))
    if chosen.move_id is not None:
        query = query.where(columns.move_id == chosen.move_id)
    return query
