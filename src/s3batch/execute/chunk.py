"""One chunk, in a worker process: read its entries, run the operation, write the segment.

Input: an order (:class:`AttemptOrder`). Output: a result (:class:`AttemptResult`) that names the durable segment.
The ledger is not touched here: the segment is durable before the result is sent, and the runner's fenced write makes it
count. A crash anywhere in between leaves an orphan file and a chunk that runs again, after reading what is already
there.
"""

from __future__ import annotations

import asyncio
import fcntl
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from traceback import format_exception
from typing import Any

import pyarrow as pa

from s3batch.execute.attempt import AttemptError, AttemptOrder, AttemptResult, SegmentRef
from s3batch.execute.journal import JournalFile, uploads_of_earlier_attempts
from s3batch.ledger.segments import NO_OUTCOME, OutcomeColumns, read_outcomes, write_segment
from s3batch.manifest.normalised import NormalisedManifest
from s3batch.model.errors import InconsistentError, S3BatchError, UnavailableError
from s3batch.model.job import Connection, JobSpec, KeyMapping, Operation
from s3batch.operations.copy import CopyOperation
from s3batch.operations.delete import DeleteOperation
from s3batch.operations.null_versions import SUSPENDED
from s3batch.operations.stop import StopSignal
from s3batch.operations.task import ChunkOperation, ChunkWork, TaskContext
from s3batch.operations.undo import UndoOperation
from s3batch.operations.verify import VerifyOperation
from s3batch.s3.client import S3Client
from s3batch.verify.evidence import EVIDENCE_COLUMNS, Evidence, read_evidence

MAX_OPEN_MANIFESTS = 8
"""Files of manifests that a worker keeps open; a worker lives through any number of jobs."""

_WORK_COLUMNS = ("key", "version_id", "size", "etag", "storage_class", "problem")


@dataclass(kw_only=True, slots=True)
class _Running:
    """An attempt under way, for the live figures."""

    job_id: str
    outcomes: OutcomeColumns
    before: int


class ChunkRunner:
    """Runs chunk attempts; one per worker process, so that attempts share connections. See ``engines.port``."""

    def __init__(self) -> None:
        """Open nothing yet: the first order says which store."""
        self._clients: dict[Connection, S3Client] = {}
        self._manifests: OrderedDict[str, NormalisedManifest] = OrderedDict()
        self._attempts: dict[int, _Running] = {}
        self._opening = asyncio.Lock()

    async def run(self, payload: Mapping[str, Any], stop: StopSignal) -> Mapping[str, Any]:
        """Run one attempt to its end, or until ``stop`` says so, and return its result."""
        order = AttemptOrder.from_payload(payload)
        with _shared_lock(Path(order.lock)):
            result = await self._run(order, stop)
        return result.to_payload()

    def figures(self) -> Mapping[str, Mapping[str, float]]:
        """Return tasks ended in running attempts by job, and what the throttles do."""
        figures: dict[str, dict[str, float]] = {}
        for attempt in self._attempts.values():
            of_job = figures.setdefault(attempt.job_id, {"tasks": 0})
            of_job["tasks"] += attempt.outcomes.ended - attempt.before
        for of_job in figures.values():
            of_job["concurrency"] = sum(client.throttle.limit for client in self._clients.values())
            of_job["throttled"] = sum(client.throttle.throttled_total for client in self._clients.values())
        return figures

    async def close(self) -> None:
        """Close connections and files."""
        for client in self._clients.values():
            await client.close()
        for manifest in self._manifests.values():
            manifest.close()

    async def _run(self, order: AttemptOrder, stop: StopSignal) -> AttemptResult:
        manifest = self._manifest(order)
        table = manifest.read_chunk(order.chunk_no, _WORK_COLUMNS)
        outcomes = OutcomeColumns(table.num_rows)
        recorded = _recorded_rows(order.recorded, table.num_rows)
        work = _work_of(order, manifest, table, outcomes, recorded)
        client = await self._client(order.spec.connection)
        running = _Running(job_id=order.job_id, outcomes=outcomes, before=outcomes.ended)
        self._attempts[id(running)] = running
        error: AttemptError | None = None
        try:
            with JournalFile(Path(order.journal), chunk_no=order.chunk_no, epoch=order.epoch) as journal:
                guarded = client.guarded_by(lambda: not stop.is_set)
                context = TaskContext(
                    source=guarded,
                    target=guarded,
                    outcomes=outcomes,
                    stop=stop,
                    journal=journal,
                    earlier_uploads=uploads_of_earlier_attempts(
                        Path(order.journal), chunk_no=order.chunk_no, before_epoch=order.epoch
                    ),
                    job_started_at_ms=order.job_started_at_ms,
                )
                if work.rows:
                    await operation_for(order.spec, versioning=order.versioning).run(work, context)
        except Exception as caught:  # noqa: BLE001 - whatever it is, what was recorded before it still counts
            error = attempt_error(caught)
        finally:
            del self._attempts[id(running)]
        ended = outcomes.ended
        if any(outcomes.status[row] != NO_OUTCOME for row in recorded):
            raise InconsistentError("An operation recorded a row that was done before.", code="TwoOutcomes")
        segment = await asyncio.to_thread(write_segment, Path(order.segment), outcomes) if ended else None
        return AttemptResult(
            segment=segment, is_complete=error is None and ended + len(recorded) == table.num_rows, error=error
        )

    def _manifest(self, order: AttemptOrder) -> NormalisedManifest:
        """Return the job's manifest; it is read before anything is waited for, so an old one can be closed here."""
        path = order.manifest
        if path not in self._manifests:
            if len(self._manifests) >= MAX_OPEN_MANIFESTS:
                self._manifests.popitem(last=False)[1].close()
            self._manifests[path] = NormalisedManifest.open(Path(path))
        self._manifests.move_to_end(path)
        manifest = self._manifests[path]
        if order.manifest_sha256 not in {"", manifest.sha256}:
            raise InconsistentError(
                f"The manifest {path} has SHA-256 {manifest.sha256}; the plan was made of {order.manifest_sha256}.",
                code="ManifestChanged",
                way_out="Start a new job; this one's file was replaced.",
            )
        return manifest

    async def _client(self, connection: Connection) -> S3Client:
        async with self._opening:
            if connection not in self._clients:
                self._clients[connection] = await S3Client.open(connection)
            return self._clients[connection]


async def make_chunk_runner() -> ChunkRunner:
    """Return a chunk runner; what an engine calls once in each worker process."""
    return ChunkRunner()


def attempt_error(error: Exception) -> AttemptError:
    """Return what the runner is told; of several errors at once the one that says most against going on.

    A bug is told by name and traceback, because nobody else sees this process.
    """
    leaves = sorted(_leaves(error), key=_gravity)
    worst = leaves[0]
    if isinstance(worst, S3BatchError):
        return AttemptError(family=worst.family, code=worst.code, message=str(worst))
    return AttemptError(family="internal", code=type(worst).__name__, message="".join(format_exception(worst)))


def _leaves(error: Exception) -> Iterator[Exception]:
    if isinstance(error, ExceptionGroup):
        for each in error.exceptions:
            yield from _leaves(each)
    else:
        yield error


def _gravity(error: Exception) -> int:
    if isinstance(error, InconsistentError):
        return 0
    if not isinstance(error, S3BatchError):
        return 1
    return 3 if isinstance(error, UnavailableError) else 2


def operation_for(spec: JobSpec, *, versioning: str) -> ChunkOperation:
    """Return the operation that a specification asks for."""
    match spec.operation:
        case Operation.COPY:
            return CopyOperation(
                mapping=_required(spec.mapping),
                options=spec.copy,
                is_versioned=versioning == "Enabled",
                is_suspended=versioning == SUSPENDED,
            )
        case Operation.VERIFY:
            return VerifyOperation(
                mapping=_required(spec.mapping),
                level=spec.verify.level,
                attributes=frozenset(spec.verify.attributes),
                copy=spec.copy,
            )
        case Operation.DELETE:
            return DeleteOperation(
                mapping=spec.mapping,
                unverified=spec.delete.unverified,
                versioning=versioning,
                trust_listings=spec.delete.trust_listings,
                required=frozenset(spec.delete.required),
                is_permanent=spec.delete.permanent,
                max_evidence_age_ms=spec.delete.max_evidence_age_s * 1000,
            )
        case Operation.UNDO:
            return UndoOperation()


def _required(value: KeyMapping | None) -> KeyMapping:
    if value is None:
        raise InconsistentError("The job has no key mapping.", code="NoMapping")
    return value


@contextmanager
def _shared_lock(path: Path) -> Iterator[None]:
    """Hold a shared lock on ``path``: a runner that takes over waits until no such lock is left."""
    with path.open("a") as file:
        fcntl.flock(file, fcntl.LOCK_SH)
        yield


def _recorded_rows(segments: Sequence[SegmentRef], n_rows: int) -> frozenset[int]:
    if not segments:
        return frozenset()
    return frozenset(_values(read_outcomes(segments, n_rows, columns=["row"]), "row"))


def _work_of(
    order: AttemptOrder,
    manifest: NormalisedManifest,
    table: pa.Table,
    outcomes: OutcomeColumns,
    recorded: frozenset[int],
) -> ChunkWork:
    """Return the chunk as columns; rows that the plan found impossible get their outcome here."""
    n_rows = table.num_rows
    rows: Sequence[int] = range(n_rows) if not recorded else [row for row in range(n_rows) if row not in recorded]
    if table.column("problem").null_count < n_rows:
        problems = _values(table, "problem")
        for row in rows:
            if problems[row] is not None:
                outcomes.fail(row, problems[row], message="found when the manifest was prepared; no request was made")
        rows = [row for row in rows if problems[row] is None]
    chunk = manifest.chunks[order.chunk_no]
    before = manifest.chunks[order.chunk_no - 1] if order.chunk_no else None
    return ChunkWork(
        bucket=chunk.bucket,
        keys=_values(table, "key"),
        sizes=_values(table, "size"),
        etags=_values(table, "etag"),
        storage_classes=_values(table, "storage_class"),
        version_ids=None if table.column("version_id").null_count == n_rows else _values(table, "version_id"),
        rows=rows,
        after=before.last_key if before is not None and before.bucket == chunk.bucket else None,
        is_first_attempt=order.is_first,
        evidence=_evidence_of(order, n_rows),
        backed_up=_backed_up(order, n_rows),
    )


def _evidence_of(order: AttemptOrder, n_rows: int) -> Evidence | None:
    if not order.evidence:
        return None
    outcomes = read_outcomes(order.evidence, n_rows, columns=EVIDENCE_COLUMNS)
    return read_evidence(outcomes, n_rows, recorded_at_ms=order.evidence_at_ms)


def _backed_up(order: AttemptOrder, n_rows: int) -> list[bool] | None:
    if order.spec.delete.backup_job_id is None:
        return None
    if not order.backup:
        return [False] * n_rows
    return read_evidence(read_outcomes(order.backup, n_rows, columns=EVIDENCE_COLUMNS), n_rows).proven


def _values(table: pa.Table, name: str) -> list[Any]:
    """Return a column as plain values; which columns may hold nulls is the manifest's schema.

    A dictionary's values are 1.6 us each, as plain text 0.04 us (pyarrow 26); of one value there is nothing to read.
    """
    column = table.column(name)
    if pa.types.is_dictionary(column.type):
        words = column.unique().to_pylist()
        return words * len(column) if len(words) == 1 else column.cast(pa.string()).to_pylist()
    return column.to_pylist()
