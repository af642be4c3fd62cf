"""Claims on ranges of keys: no job uses as evidence what another one overwrites or deletes (safety.md rule 5).

A claim counts as long as its job has not ended, or a job that depends on it has not: the target that a copy wrote stays
claimed until the move's delete has ended, whatever crashes in between. A job and those that it depends on, directly or
by others, and the jobs of one move do not stand in each other's way. Two ledgers cannot see each other's claims.

What an ended job keeps for its dependents holds back only jobs that were created after them: else two deletes, each
waiting for what the other's verify job keeps, would wait for ever. The one that goes first harms nobody, because the
other reads both sides again before it deletes (safety.md rule 14).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import Connection, delete, insert, select

from s3batch.ledger import schema
from s3batch.ledger.jobs import JobBook, select_job
from s3batch.ledger.records import ClaimMode, ConflictingClaim, KeyClaim
from s3batch.model.errors import RefusedError

MAX_CLAIMS = 1_000
"""Claims per job at most: ranges by prefix or by bucket, never by key."""


class Claims(JobBook):
    """Claims of jobs on key ranges."""

    def add_claims(self, job_id: str, claims: Sequence[KeyClaim]) -> list[ConflictingClaim]:
        """Grant all ``claims`` to the job in place of its former ones, or none: then return those in the way.

        One transaction looks and writes, so of two jobs that ask at the same time one gets the other's claims back.

        Raises:
            RefusedError: more than ``MAX_CLAIMS`` ranges.
        """
        if len(claims) > MAX_CLAIMS:
            raise RefusedError(
                f"Job {job_id} would claim {len(claims)} ranges of keys; {MAX_CLAIMS} is the limit.",
                code="TooManyClaims",
                way_out="Claim whole prefixes or buckets instead.",
            )
        with self._write() as connection:
            select_job(connection, job_id)
            _forget_dead(connection)
            in_the_way = [
                ConflictingClaim(job_id=owner, claim=held)
                for owner, held in _claims_of_others(connection, job_id, {claim.bucket for claim in claims})
                if any(claim.conflicts_with(held) for claim in claims)
            ]
            if in_the_way:
                return in_the_way
            connection.execute(delete(schema.claim).where(schema.claim.c.job_id == job_id))
            if claims:
                connection.execute(insert(schema.claim), [_row(job_id, claim) for claim in claims])
            return []

    def release_claims(self, job_id: str) -> int:
        """Give up the job's claims and return how many it had."""
        with self._write() as connection:
            return connection.execute(delete(schema.claim).where(schema.claim.c.job_id == job_id)).rowcount

    def claims(self, job_id: str) -> list[KeyClaim]:
        """Return the job's claims in the order in which it made them."""
        table = schema.claim
        with self._read() as connection:
            query = select(table).where(table.c.job_id == job_id).order_by(table.c.id)
            return [_claim(row.bucket, row.first_key, row.last_key, row.mode) for row in connection.execute(query)]


def _row(job_id: str, claim: KeyClaim) -> dict[str, object]:
    return {
        "job_id": job_id,
        "bucket": claim.bucket,
        "first_key": claim.first_key,
        "last_key": claim.last_key,
        "mode": str(claim.mode),
    }


def _claim(bucket: str, first_key: str, last_key: str | None, mode: str) -> KeyClaim:
    return KeyClaim(bucket=bucket, first_key=first_key, last_key=last_key, mode=ClaimMode(mode))


def _claims_of_others(connection: Connection, job_id: str, buckets: Iterable[str]) -> list[tuple[str, KeyClaim]]:
    """Return the claims in these buckets of jobs that have nothing to do with ``job_id``.

    Overlap is decided in Python, where strings compare by code point, S3's order; a database's collation may not.
    """
    table = schema.claim
    related = _ancestors(connection, job_id) | _descendants(connection, job_id) | _same_move(connection, job_id)
    query = select(table).where(table.c.bucket.in_(sorted(buckets))).order_by(table.c.id)
    found = [row for row in connection.execute(query) if row.job_id not in related]
    blocking = {owner for owner in {row.job_id for row in found} if _is_blocking(connection, owner, job_id)}
    return [
        (row.job_id, _claim(row.bucket, row.first_key, row.last_key, row.mode))
        for row in found
        if row.job_id in blocking
    ]


def _is_blocking(connection: Connection, owner: str, job_id: str) -> bool:
    """Tell whether the owner's claims hold ``job_id`` back: it has not ended, or keeps them for an earlier job."""
    jobs = schema.job
    place = select(jobs.c.created_at_ms, jobs.c.id)
    if connection.execute(select(jobs.c.ended_at_ms).where(jobs.c.id == owner)).scalar_one() is None:
        return True
    asking = tuple(connection.execute(place.where(jobs.c.id == job_id)).one())
    waiting = place.where(jobs.c.id.in_(_descendants(connection, owner)), jobs.c.ended_at_ms.is_(None))
    return any(tuple(row) < asking for row in connection.execute(waiting))


def _same_move(connection: Connection, job_id: str) -> set[str]:
    """Return the job and the others of its move."""
    jobs = schema.job
    move_id = connection.execute(select(jobs.c.move_id).where(jobs.c.id == job_id)).scalar_one()
    others = select(jobs.c.id).where(jobs.c.move_id == move_id, jobs.c.move_id.is_not(None))
    return {job_id, *connection.execute(others).scalars()}


def _ancestors(connection: Connection, job_id: str) -> set[str]:
    """Return the jobs that ``job_id`` depends on, directly or by others."""
    jobs = schema.job
    found: set[str] = set()
    before = connection.execute(select(jobs.c.depends_on).where(jobs.c.id == job_id)).scalar_one()
    while before is not None and before not in found:
        found.add(before)
        before = connection.execute(select(jobs.c.depends_on).where(jobs.c.id == before)).scalar_one()
    return found


def _descendants(connection: Connection, job_id: str) -> set[str]:
    """Return the jobs that depend on ``job_id``, directly or by others."""
    jobs = schema.job
    found: set[str] = set()
    generation = {job_id}
    while generation:
        following = select(jobs.c.id).where(jobs.c.depends_on.in_(generation))
        generation = set(connection.execute(following).scalars()) - found
        found |= generation
    return found


def _forget_dead(connection: Connection) -> None:
    """Delete the claims of ended jobs on which no unended one depends, directly or by others."""
    table, jobs = schema.claim, schema.job
    ended = select(table.c.job_id).join(jobs, jobs.c.id == table.c.job_id).where(jobs.c.ended_at_ms.is_not(None))
    dead = [
        owner for owner in connection.execute(ended.distinct()).scalars() if not _has_live_dependents(connection, owner)
    ]
    if dead:
        connection.execute(delete(table).where(table.c.job_id.in_(dead)))


def _has_live_dependents(connection: Connection, job_id: str) -> bool:
    jobs = schema.job
    alive = select(jobs.c.id).where(jobs.c.id.in_(_descendants(connection, job_id)), jobs.c.ended_at_ms.is_(None))
    return connection.execute(alive.limit(1)).first() is not None
