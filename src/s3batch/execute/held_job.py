"""A job that this runner holds: every write about it carries the job's epoch, in one place.

A write that changes nothing means that another runner drives the job now; then :class:`FencedError` ends the driver
without a further word. How long a lease lasts and why is in ``services``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from s3batch.execute.policy import Failure
from s3batch.execute.prepare import Prepared
from s3batch.execute.services import LEASE_MS, RunnerServices
from s3batch.ledger.records import ClaimedChunk, Job
from s3batch.ledger.segments import SegmentInfo
from s3batch.ledger.store import LedgerStore
from s3batch.model.errors import UnavailableError
from s3batch.model.status import JobStatus
from s3batch.report.audit import AUDIT_FILE, append_events

_RENEWALS_PER_LEASE = 6


@dataclass(frozen=True, kw_only=True, slots=True)
class HoldEnd:
    """When a hold ends: by this machine's clock, and by the store's."""

    until_ms: int
    until_store_ms: int


class FencedError(Exception):
    """Another runner drives the job now."""


class HeldJob:
    """One job in the hands of this runner, as the ledger has it."""

    def __init__(self, services: RunnerServices, job: Job, epoch: int) -> None:
        """Take the job as it was when it was acquired with ``epoch``."""
        self.id = job.id
        self.epoch = epoch
        self.active_ms = job.active_ms
        """How long the job has been active so far; written with the progress."""
        self._services = services
        self._write = services.writer.write

    def read(self) -> Job:
        """Return the job as it stands.

        Raises:
            FencedError: it is not ours any more.
        """
        job = self._services.store.get_job(self.id)
        if job.epoch != self.epoch:
            raise FencedError
        return job

    async def to(
        self, before: JobStatus, after: JobStatus, *, reason: str | None = None, failure: Failure | None = None
    ) -> None:
        """Change the job's status; one that is not ``before`` any more is looked at anew by the caller's next step.

        Raises:
            FencedError: the job is not ours any more.
        """
        is_done = await self._write(
            LedgerStore.set_status,
            self.id,
            self.epoch,
            before,
            after,
            now_ms=self._services.now_ms(),
            reason=reason,
            failure_code=None if failure is None else failure.code,
            failure_reason=None if failure is None else failure.reason,
        )
        if not is_done:
            self.read()

    async def save_plan(self, prepared: Prepared) -> None:
        """Record what preparing found out.

        Raises:
            FencedError: the job is not ours any more.
        """
        is_saved = await self._write(
            LedgerStore.save_plan,
            self.id,
            self.epoch,
            plan=prepared.plan,
            manifest_path=str(prepared.manifest),
            chunks=prepared.chunks,
            now_ms=self._services.now_ms(),
        )
        if not is_saved:
            raise FencedError

    async def save_progress(self, progress: Mapping[str, object]) -> None:
        """Record the figures of work in flight."""
        await self._write(
            LedgerStore.save_progress,
            self.id,
            self.epoch,
            progress=progress,
            active_ms=self.active_ms,
            now_ms=self._services.now_ms(),
        )

    async def record_report(self, report: Mapping[str, object]) -> None:
        """Record where the durable report is."""
        await self._write(LedgerStore.record_report, self.id, self.epoch, report=report, now_ms=self._services.now_ms())

    async def record_start(self, store_time_ms: int) -> None:
        """Record when the job first became active, by the store's clock."""
        await self._write(
            LedgerStore.append_event,
            self.id,
            kind="started",
            actor=self._services.runner_id,
            detail={"store_time_ms": store_time_ms},
            now_ms=self._services.now_ms(),
        )

    async def begin_hold(self, end: HoldEnd, *, hold_s: int) -> None:
        """Record until when the job waits before its first task.

        Raises:
            FencedError: the job is not ours any more.
        """
        is_ours = await self._write(
            LedgerStore.begin_hold,
            self.id,
            self.epoch,
            until_ms=end.until_ms,
            detail={"until_store_ms": end.until_store_ms, "hold_s": hold_s},
            now_ms=self._services.now_ms(),
        )
        if not is_ours:
            raise FencedError

    def hold_end(self) -> HoldEnd | None:
        """Return what :meth:`begin_hold` recorded; ``None`` before the hold began."""
        for event in self._services.store.events(self.id):
            if event.kind == "held":
                return HoldEnd(
                    until_ms=int(str(event.detail["until_ms"])),
                    until_store_ms=int(str(event.detail["until_store_ms"])),
                )
        return None

    def first_start_ms(self) -> int | None:
        """Return what :meth:`record_start` recorded; ``None`` before the first start."""
        for event in self._services.store.events(self.id):
            if event.kind == "started":
                return int(str(event.detail["store_time_ms"]))
        return None

    async def write_audit(self) -> Path:
        """Bring the job's audit file up to what the ledger has, and return where it is.

        Raises:
            UnavailableError: it cannot be written.
        """
        path = self._services.home.job(self.id).report / AUDIT_FILE
        events = self._services.store.all_events(self.id)
        try:
            await asyncio.to_thread(append_events, path, events)
        except OSError as error:
            raise UnavailableError(
                f"The audit file {path} cannot be written: {error.strerror}.",
                code="AuditNotWritten",
                way_out="Make room on the disk, or give the folder back its permissions.",
            ) from error
        return path

    async def reclaim_running(self) -> None:
        """Put back the chunks that a former runner left running."""
        await self._write(LedgerStore.reclaim_running, self.id, self.epoch)

    async def claim_chunks(self, count: int) -> list[ClaimedChunk]:
        """Take up to ``count`` chunks that are ready."""
        return await self._write(
            LedgerStore.claim_chunks, self.id, self.epoch, count=count, now_ms=self._services.now_ms()
        )

    async def finish_chunk(self, chunk: ClaimedChunk, segment: SegmentInfo, *, is_complete: bool) -> bool:
        """Accept an attempt's durable segment; ``False`` when the attempt is stale."""
        return await self._write(
            LedgerStore.finish_chunk,
            self.id,
            self.epoch,
            chunk.chunk_no,
            chunk.epoch,
            segment=segment,
            complete=is_complete,
            now_ms=self._services.now_ms(),
        )

    async def lose_chunk(self, chunk: ClaimedChunk) -> bool:
        """Put back a chunk whose attempt ended without a word; ``False`` when the attempt is stale."""
        losses = await self._write(
            LedgerStore.lose_chunk,
            self.id,
            self.epoch,
            chunk.chunk_no,
            chunk.epoch,
            now_ms=self._services.now_ms(),
        )
        return losses is not None

    async def release(self) -> None:
        """Give the job back; chunks that still run are made ready."""
        await self._write(LedgerStore.release_job, self.id, self.epoch, now_ms=self._services.now_ms())

    async def keep_lease(self) -> None:
        """Renew the lease until cancelled; end when the job is not ours any more, with its attempts told to stop."""
        while True:
            await asyncio.sleep(LEASE_MS / 1000 / _RENEWALS_PER_LEASE)
            try:
                is_ours = await self._write(
                    LedgerStore.renew_lease,
                    self.id,
                    self.epoch,
                    now_ms=self._services.now_ms(),
                    lease_ms=LEASE_MS,
                )
            except UnavailableError as error:  # a full disk passes; a lease that has run out is only taken by others
                self._services.log.warning("the lease was not renewed", extra={"job": self.id, "code": error.code})
                continue
            if not is_ours:
                self._services.engine.stop(self.id)
                return
