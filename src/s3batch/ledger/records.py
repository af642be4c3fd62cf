"""What the ledger holds, as values: jobs, chunks, segments, claims, events, runners.

Output of the reading methods and input of the writing ones. Pure: no SQL and no clock; times are milliseconds since
the epoch, sizes are bytes. JSON members stay text until somebody asks for them, so a long list of jobs parses nothing
and one specification of a later version cannot spoil the list.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, Protocol, Self, cast

from s3batch.model.job import JobSpec, Operation, Plan
from s3batch.model.objects import MAX_KEY_BYTES
from s3batch.model.outcome import Counts
from s3batch.model.status import JobStatus

_LAST_CHARACTER = "\U0010ffff"
_LAST_SUFFIX = _LAST_CHARACTER * (MAX_KEY_BYTES // 4)  # four UTF-8 bytes each: no key that begins so is greater


MAX_JOBS = 1_000
"""Jobs per page at most (ListJobs of the S3 Control API has the same bound, read 2026-11)."""


class Wanted(StrEnum):
    """What somebody asked a job's runner to do, until it is done."""

    PAUSE = "pause"
    CANCEL = "cancel"


class ChunkState(StrEnum):
    """Where a chunk stands; failures of single tasks are outcomes in its segments, never a state of the chunk."""

    READY = "ready"
    RUNNING = "running"
    DONE = "done"


class ClaimMode(StrEnum):
    """``shared`` on what serves a job as evidence, ``exclusive`` on what it overwrites or deletes."""

    SHARED = "shared"
    EXCLUSIVE = "exclusive"


class ChunkFacts(Protocol):
    """What the ledger records of a planned chunk; the manifest's own description of a chunk fits."""

    @property
    def entries(self) -> int: ...  # noqa: D102
    @property
    def bytes(self) -> int: ...  # noqa: D102
    @property
    def bucket(self) -> str: ...  # noqa: D102
    @property
    def first_key(self) -> str: ...  # noqa: D102
    @property
    def last_key(self) -> str: ...  # noqa: D102


class SegmentFacts(Protocol):
    """What the ledger records of a durable segment; the value that writing a segment returns fits."""

    @property
    def path(self) -> object: ...  # noqa: D102
    @property
    def sha256(self) -> str: ...  # noqa: D102
    @property
    def rows(self) -> int: ...  # noqa: D102
    @property
    def succeeded(self) -> int: ...  # noqa: D102
    @property
    def failed(self) -> int: ...  # noqa: D102
    @property
    def kept(self) -> int: ...  # noqa: D102
    @property
    def bytes_done(self) -> int: ...  # noqa: D102
    @property
    def by_code(self) -> Mapping[str, int]: ...  # noqa: D102


@dataclass(frozen=True, kw_only=True, slots=True)
class NewJob:
    """A job to be recorded. The jobs of a move share ``move_id`` and are linked by ``depends_on``."""

    id: str
    spec: JobSpec
    move_id: str | None = None
    step: int = 0
    depends_on: str | None = None
    priority: int = 0
    description: str = ""
    confirmation_required: bool = False
    actor: str = "control"
    """Who asked for it."""
    confirmation: Mapping[str, object] | None = None
    """Where somebody confirmed the job in advance: how, and what is known of them; recorded as an event."""
    client_request_token: str | None = None
    """At most once per call of ``create_jobs``: on the first job of a move."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """A job as the ledger has it. Field names are column names."""

    id: str
    move_id: str | None
    step: int
    depends_on: str | None
    operation: Operation
    status: JobStatus
    priority: int
    description: str
    created_at_ms: int
    updated_at_ms: int
    ended_at_ms: int | None
    spec_json: str
    plan_json: str | None
    confirmation_required: bool
    confirmed_by: str | None
    confirmed_at_ms: int | None
    wanted: Wanted | None
    status_reason: str | None
    failure_code: str | None
    failure_reason: str | None
    manifest_path: str | None
    total: int
    succeeded: int
    failed: int
    kept: int
    by_code_json: str
    bytes_total: int
    bytes_done: int
    progress_json: str | None
    active_ms: int
    epoch: int
    runner_id: str | None
    runner_host: str | None
    lease_until_ms: int | None
    client_request_token: str | None
    report_json: str | None
    held_until_ms: int | None

    @classmethod
    def from_row(cls, row: Mapping[str, Any]) -> Self:
        """Return the job that a row of the table ``job`` describes."""
        members = dict(row)
        members["operation"] = Operation(members["operation"])
        members["status"] = JobStatus(members["status"])
        members["wanted"] = None if members["wanted"] is None else Wanted(members["wanted"])
        members["confirmation_required"] = bool(members["confirmation_required"])
        return cls(**members)

    @property
    def spec(self) -> JobSpec:
        """Return what was asked.

        Raises:
            InconsistentError: a later version wrote it.
        """
        return JobSpec.from_json(self.spec_json)

    @property
    def plan(self) -> Plan | None:
        """Return the plan, once Preparing has saved it."""
        return None if self.plan_json is None else Plan.from_json(self.plan_json)

    @property
    def counts(self) -> Counts:
        """Return how many tasks ended how, over all accepted segments."""
        return Counts(
            total=self.total,
            succeeded=self.succeeded,
            failed=self.failed,
            kept=self.kept,
            by_code=json.loads(self.by_code_json),
        )

    @property
    def progress(self) -> dict[str, object]:
        """Return the figures of work in flight as the runner last wrote them; empty when there are none."""
        return {} if self.progress_json is None else cast("dict[str, object]", json.loads(self.progress_json))

    @property
    def report(self) -> dict[str, object] | None:
        """Return where the completion report is and what it says, once written."""
        return None if self.report_json is None else cast("dict[str, object]", json.loads(self.report_json))

    @property
    def is_on_hold(self) -> bool:
        """Tell whether the job waits for the end of a hold, or for its turn right after it."""
        waits = self.status in {JobStatus.READY, JobStatus.PAUSED}
        return waits and self.held_until_ms is not None and not self.active_ms and not self.counts.ended

    def is_held(self, now_ms: int) -> bool:
        """Tell whether a runner holds an unexpired lease on this job."""
        return self.runner_id is not None and self.lease_until_ms is not None and self.lease_until_ms > now_ms


@dataclass(frozen=True, kw_only=True, slots=True)
class JobFilter:
    """Which jobs to list; an empty collection means all."""

    statuses: Collection[JobStatus] = ()
    operations: Collection[Operation] = ()
    move_id: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class ClaimedChunk:
    """A chunk that its runner may now place, with the epoch that every write about it must carry."""

    chunk_no: int
    epoch: int
    losses: int
    """Earlier attempts that ended without a word."""
    recorded: int
    """Entries that already have an outcome from earlier attempts."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Chunk:
    """A chunk as the ledger has it."""

    chunk_no: int
    state: ChunkState
    epoch: int
    losses: int
    recorded: int
    entries: int
    bytes: int
    bucket: str
    first_key: str
    last_key: str
    started_at_ms: int | None
    ended_at_ms: int | None


@dataclass(frozen=True, kw_only=True, slots=True)
class ChunkCounts:
    """How many chunks of a job are in which state."""

    ready: int = 0
    running: int = 0
    done: int = 0


@dataclass(frozen=True, kw_only=True, slots=True)
class Segment:
    """An accepted segment: the outcomes of one chunk attempt, in a file whose digest is recorded here."""

    job_id: str
    chunk_no: int
    sequence: int
    epoch: int
    path: str
    sha256: str
    rows: int
    succeeded: int
    failed: int
    kept: int
    bytes_done: int
    by_code: Mapping[str, int]
    created_at_ms: int


@dataclass(frozen=True, kw_only=True, slots=True)
class KeyClaim:
    """A range of keys of one bucket that a job relies on. Both ends are included; no ``last_key`` means no end.

    Buckets of one name in two stores count as one: a store has many addresses, and waiting harms nobody.
    """

    bucket: str
    first_key: str
    last_key: str | None
    mode: ClaimMode

    @classmethod
    def of_prefix(cls, bucket: str, prefix: str, mode: ClaimMode) -> Self:
        """Return the claim on every key that begins with ``prefix``."""
        return cls(bucket=bucket, first_key=prefix, last_key=prefix + _LAST_SUFFIX if prefix else None, mode=mode)

    def conflicts_with(self, other: KeyClaim) -> bool:
        """Tell whether both cannot be granted to different jobs: they overlap and at least one is exclusive."""
        if self.bucket != other.bucket or self.mode is other.mode is ClaimMode.SHARED:
            return False
        begins_after = other.last_key is not None and self.first_key > other.last_key
        ends_before = self.last_key is not None and self.last_key < other.first_key
        return not (begins_after or ends_before)


@dataclass(frozen=True, kw_only=True, slots=True)
class ConflictingClaim:
    """A claim that another job holds and that stands in the way."""

    job_id: str
    claim: KeyClaim


@dataclass(frozen=True, kw_only=True, slots=True)
class Event:
    """Something that happened to a job, in the order of ``id``."""

    id: int
    job_id: str
    at_ms: int
    kind: str
    actor: str
    detail: Mapping[str, object]


@dataclass(frozen=True, kw_only=True, slots=True)
class Runner:
    """A process that drives jobs."""

    id: str
    host: str
    pid: int
    started_at_ms: int
    heartbeat_at_ms: int


@dataclass(frozen=True, kw_only=True, slots=True)
class ShownPlan:
    """The plan that somebody was shown before they confirmed it; what is not given is not compared."""

    objects: int | None = None
    manifest_sha256: str | None = None
    """The manifest's SHA-256, or its beginning."""


def as_json(value: Mapping[str, object]) -> str:
    """Return the compact JSON text that the ledger's columns hold."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
