"""Drives one job from where the ledger says it stands to its next rest: prepare, place chunks, take results, report.

Every write carries the job's epoch; a write that changes nothing means that another runner drives the job now, and this
driver lets go without a further word. The runner calls :meth:`JobDriver.place` when there is room and hands in
attempts' ends; all else happens in :meth:`JobDriver.drive`.
"""

from __future__ import annotations

import asyncio
import fcntl
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

from s3batch.engines.port import AttemptId, Ended, Lost
from s3batch.execute.attempt import AttemptOrder, AttemptResult, SegmentRef
from s3batch.execute.finish import write_report
from s3batch.execute.policy import (
    MAX_IDLE_ATTEMPTS,
    MAX_LOSSES,
    Failure,
    attempt_failure,
    claims_of,
    pause_s,
    threshold_failure,
)
from s3batch.execute.prepare import Prepared, bucket_versioning, key_spans, prepare, store_time_ms
from s3batch.execute.services import LEASE_MS, RunnerServices
from s3batch.ledger.records import ClaimedChunk, Job, Wanted
from s3batch.ledger.segments import SegmentInfo, segment_name
from s3batch.ledger.store import LedgerStore
from s3batch.model.errors import InconsistentError, S3BatchError, UnavailableError
from s3batch.model.job import Connection, JobSpec, Operation
from s3batch.model.status import JobStatus, may_follow
from s3batch.s3.errors import S3RefusedError

_WATCH_INTERVAL_S = 0.25
_PROGRESS_INTERVAL_S = 0.5
_CLAIM_INTERVAL_S = 1.0
"""How often a job asks again for key ranges that another job holds."""

_DRAIN_S = 90.0
"""How long attempts may take to end early before they are given up: longer than one request's time-out."""

_TAKE_OVER_S = 60.0
"""How long a runner waits for the workers of a dead one to be gone."""

_END_OF = {
    JobStatus.COMPLETING: JobStatus.COMPLETE,
    JobStatus.CANCELLING: JobStatus.CANCELLED,
    JobStatus.FAILING: JobStatus.FAILED,
}
_PAUSED = "paused on request"
_CANCELLED = "cancelled on request"
_NOTHING = SegmentInfo(path=Path(), sha256="", rows=0, succeeded=0, failed=0, kept=0, bytes_done=0)


class FencedError(Exception):
    """Another runner drives the job now."""


class FormerWorkersError(UnavailableError):
    """Workers of a runner that is gone are still alive; the job waits until they are gone too."""

    default_code = "FormerWorkers"


class JobDriver:
    """One job in the hands of this runner."""

    def __init__(self, services: RunnerServices, job: Job, epoch: int, *, wake: Callable[[], None]) -> None:
        """``wake`` tells the runner that there may be something to place."""
        self.job_id = job.id
        self.priority = job.priority
        self.figures: Mapping[str, float] = {}
        self._services = services
        self._write = services.writer.write
        self._epoch = epoch
        self._wake = wake
        self._spec = job.spec
        self._in_flight: dict[AttemptId, ClaimedChunk] = {}
        self._lost: dict[int, int] = {}
        self._idle: dict[int, int] = {}
        self._unavailable_in_a_row = 0
        self._not_before_s = 0.0
        self._failure: Failure | None = None
        self._is_placing = False
        self._is_exhausted = False
        self._is_leaving = False
        self._preparing: asyncio.Task[Prepared] | None = None
        self._changed = asyncio.Event()
        self._versioning = ""
        self._started_at_ms = 0
        self._active_ms = job.active_ms
        self._taking: set[asyncio.Task[None]] = set()

    @property
    def in_flight(self) -> int:
        """Return how many attempts of this job are under way."""
        return len(self._in_flight)

    async def drive(self) -> None:
        """Bring the job to rest: ended, suspended, paused, or waiting for another job."""
        log = self._services.log.bind(job=self.job_id, epoch=self._epoch)
        renewing = asyncio.create_task(self._keep_lease())
        try:
            await self._write(LedgerStore.reclaim_running, self.job_id, self._epoch)
            await self._wait_for_dead_workers()
            while await self._step():
                pass
        except FencedError:
            log.warning("another runner drives the job")
        except FormerWorkersError as error:
            log.warning("the job waits", reason=str(error))  # it is given back, taken up again, and waits again
        except S3BatchError as error:
            log.exception("the job could not be driven on", code=error.code)
            await self._fail_from_anywhere(Failure(code=error.code, reason=str(error), family=error.family))
        except Exception as error:
            log.exception("the job met a bug")
            reason = f"{type(error).__name__}: {error}. The runner's log has the details."
            await self._fail_from_anywhere(Failure(code="InternalError", reason=reason, family="inconsistent"))
        finally:
            renewing.cancel()
            for attempt in tuple(self._in_flight):
                self._services.engine.stop(attempt.job_id)
            with suppress(S3BatchError):
                await self._write(LedgerStore.release_job, self.job_id, self._epoch, now_ms=self._services.now_ms())

    def leave(self) -> None:
        """Bring the job to rest: running chunks end early and are recorded, another runner may go on."""
        self._is_leaving = True
        self._changed.set()
        if self._preparing is not None:
            self._preparing.cancel()

    async def place(self, room: int) -> int:
        """Claim up to ``room`` chunks and hand them to the engine; return how many.

        Raises:
            EngineDiedError: the engine takes none; what was claimed is put back when the job is given back.
        """
        loop_s = asyncio.get_running_loop().time()
        if not self._is_placing or self._is_exhausted or room <= 0 or loop_s < self._not_before_s:
            return 0
        services = self._services
        claimed = await self._write(
            LedgerStore.claim_chunks, self.job_id, self._epoch, count=room, now_ms=services.now_ms()
        )
        if not claimed:
            self._is_exhausted = True
            self._changed.set()
        for chunk in claimed:
            attempt = AttemptId(job_id=self.job_id, chunk_no=chunk.chunk_no, epoch=chunk.epoch)
            services.engine.submit(attempt, self._order(chunk).to_payload())
            self._in_flight[attempt] = chunk
        return len(claimed)

    def take(self, event: Ended | Lost) -> None:
        """Take the end of an attempt. What is stale is dropped by the ledger."""
        task = asyncio.get_running_loop().create_task(self._take(event))
        self._taking.add(task)
        task.add_done_callback(self._taking.discard)

    # ------------------------------------------------------------------------------------------------------- steps

    async def _step(self) -> bool:
        """Do what the job's status asks for; ``False`` when the job rests."""
        job = self._services.store.get_job(self.job_id)
        match job.status:
            case JobStatus.NEW | JobStatus.PREPARING:
                return await self._prepare(job)
            case JobStatus.READY:
                return await self._activate(job)
            case JobStatus.ACTIVE:
                return await self._run(job)
            case JobStatus.SUSPENDED | JobStatus.PAUSED if job.wanted is Wanted.CANCEL:
                await self._to(job.status, JobStatus.CANCELLING, reason=_CANCELLED)
                return True
            case JobStatus.PAUSING:
                await self._to(JobStatus.PAUSING, JobStatus.PAUSED, reason=_PAUSED)
            case JobStatus.COMPLETING | JobStatus.CANCELLING | JobStatus.FAILING:
                await self._report(job)
                await self._to(job.status, _END_OF[job.status], reason=job.status_reason)
        return False

    async def _prepare(self, job: Job) -> bool:
        if job.wanted is Wanted.CANCEL:
            await self._to(job.status, JobStatus.CANCELLED, reason=_CANCELLED)
            return False
        if job.status is JobStatus.NEW:
            await self._to(JobStatus.NEW, JobStatus.PREPARING)
        self._preparing = asyncio.create_task(prepare(job, self._services, self._save_progress))
        try:
            prepared = await self._preparing
        except asyncio.CancelledError:
            return False  # leaving: the next runner prepares from the beginning
        except S3BatchError as error:
            await self._to(
                JobStatus.PREPARING,
                JobStatus.FAILED,
                reason=error.family,
                failure=Failure(code=error.code, reason=str(error), family=error.family),
            )
            return False
        is_saved = await self._write(
            LedgerStore.save_plan,
            self.job_id,
            self._epoch,
            plan=prepared.plan,
            manifest_path=str(prepared.manifest),
            chunks=prepared.chunks,
            now_ms=self._services.now_ms(),
        )
        if not is_saved:
            raise FencedError
        after = JobStatus.SUSPENDED if job.confirmation_required else JobStatus.READY
        await self._to(JobStatus.PREPARING, after)
        return after is JobStatus.READY

    async def _activate(self, job: Job) -> bool:
        if self._is_leaving:
            return False
        if job.wanted is Wanted.PAUSE:
            await self._to(JobStatus.READY, JobStatus.PAUSED, reason=_PAUSED)
            return False
        if job.wanted is Wanted.CANCEL:
            await self._to(JobStatus.READY, JobStatus.CANCELLING, reason=_CANCELLED)
            return True
        spans = key_spans(_required(job.manifest_path))
        claims = claims_of(self._spec, spans, is_move=job.move_id is not None)
        in_the_way = await self._write(LedgerStore.add_claims, self.job_id, claims)
        if in_the_way:
            other = in_the_way[0]
            await self._save_progress({"waits_for": other.job_id, "waits_for_keys": other.claim.first_key})
            await asyncio.sleep(_CLAIM_INTERVAL_S)
            return True
        await self._to(JobStatus.READY, JobStatus.ACTIVE)
        return True

    async def _run(self, job: Job) -> bool:
        """Place chunks until none is left or something else is wanted."""
        services = self._services
        spans = key_spans(_required(job.manifest_path))
        self._started_at_ms = await self._first_start(spans[0].bucket if spans else "")
        self._versioning = await self._versioning_of_written_bucket(spans[0].bucket if spans else "")
        self._is_placing = True
        self._wake()
        last_told_s = began_s = asyncio.get_running_loop().time()
        active_before_ms = job.active_ms
        after: JobStatus | None = None
        while after is None:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), _WATCH_INTERVAL_S)
            self._changed.clear()
            job = services.store.get_job(self.job_id)
            if job.epoch != self._epoch:
                raise FencedError
            self.priority = job.priority
            now_s = asyncio.get_running_loop().time()
            self._active_ms = active_before_ms + int((now_s - began_s) * 1000)
            if now_s - last_told_s >= _PROGRESS_INTERVAL_S:
                last_told_s = now_s
                await self._save_progress(self.figures)
            self._failure = self._failure or threshold_failure(self._spec, job.counts)
            after = self._next_status(job)
            self._wake()
        self._is_placing = False
        await self._save_progress({})  # and the time that the job was active
        if after in (JobStatus.COMPLETING, JobStatus.READY):  # from these on no chunk runs
            await self._drain()
            await self._to(JobStatus.ACTIVE, after)
        else:
            await self._to(JobStatus.ACTIVE, after, reason=self._reason_of(after), failure=self._failure)
            await self._drain()
        return True

    async def _versioning_of_written_bucket(self, source_bucket: str) -> str:
        """Return what the answers will tell of versions; a delete must know, a copy looks for them when in doubt."""
        spec = self._spec
        if spec.operation is Operation.DELETE:
            return await bucket_versioning(spec.connection, source_bucket)
        if spec.operation is Operation.VERIFY or spec.mapping is None:
            return ""
        try:
            return await bucket_versioning(spec.connection, spec.mapping.target_bucket)
        except S3RefusedError:
            return "Enabled"

    def _next_status(self, job: Job) -> JobStatus | None:
        if self._failure is not None:
            return JobStatus.FAILING
        if job.wanted is Wanted.CANCEL:
            return JobStatus.CANCELLING
        if self._is_exhausted and not self._in_flight and not self._taking:
            counts = self._services.store.chunk_counts(self.job_id)
            if counts.ready == counts.running == 0:
                return JobStatus.COMPLETING
            self._is_exhausted = False
            return None
        if job.wanted is Wanted.PAUSE:
            return JobStatus.PAUSING
        return JobStatus.READY if self._is_leaving else None

    def _reason_of(self, after: JobStatus) -> str | None:
        if after is JobStatus.FAILING and self._failure is not None:
            return self._failure.family
        return {JobStatus.PAUSING: _PAUSED, JobStatus.CANCELLING: _CANCELLED}.get(after)

    async def _drain(self) -> None:
        """Let the attempts end early and take what they recorded; give up those that do not answer."""
        self._services.engine.stop(self.job_id)
        deadline_s = asyncio.get_running_loop().time() + _DRAIN_S
        while (self._in_flight or self._taking) and asyncio.get_running_loop().time() < deadline_s:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._changed.wait(), _WATCH_INTERVAL_S)
            self._changed.clear()
        for attempt in tuple(self._in_flight):
            await self._lose(attempt, "did not end when asked to")

    # ---------------------------------------------------------------------------------------------------- attempts

    def _order(self, chunk: ClaimedChunk) -> AttemptOrder:
        services = self._services
        folder = services.home.job(self.job_id)
        job = services.store.get_job(self.job_id)
        recorded = services.store.segments(self.job_id, chunk.chunk_no) if chunk.recorded else []
        evidence = services.store.segments(job.depends_on, chunk.chunk_no) if job.depends_on is not None else []
        return AttemptOrder(
            job_id=self.job_id,
            spec=_per_worker(self._spec, services.workers),
            chunk_no=chunk.chunk_no,
            epoch=chunk.epoch,
            is_first=chunk.epoch == 1,
            manifest=_required(job.manifest_path),
            segment=str(folder.segments / segment_name(chunk.chunk_no, chunk.epoch)),
            journal=str(folder.journal),
            lock=str(folder.workers_lock),
            job_started_at_ms=self._started_at_ms,
            versioning=self._versioning,
            recorded=tuple(SegmentRef(path=each.path, sha256=each.sha256) for each in recorded),
            evidence=tuple(SegmentRef(path=each.path, sha256=each.sha256) for each in evidence),
        )

    async def _take(self, event: Ended | Lost) -> None:
        attempt = event.attempt
        try:
            if isinstance(event, Lost):
                await self._lose(attempt, event.reason)
            else:
                await self._accept(attempt, AttemptResult.from_payload(event.result))
        except S3BatchError as error:
            self._failure = Failure(code=error.code, reason=str(error), family=error.family)
        except Exception as error:
            self._services.log.exception("an attempt's end met a bug", job=self.job_id)
            self._failure = Failure(code="InternalError", reason=repr(error), family="inconsistent")
        finally:
            self._in_flight.pop(attempt, None)
            self._changed.set()
            self._wake()

    async def _accept(self, attempt: AttemptId, result: AttemptResult) -> None:
        """Record an attempt's segment, durable by now, then look at what ended the attempt."""
        segment = result.segment or _NOTHING
        await self._write(
            LedgerStore.finish_chunk,
            self.job_id,
            self._epoch,
            attempt.chunk_no,
            attempt.epoch,
            segment=segment,
            complete=result.is_complete,
            now_ms=self._services.now_ms(),
        )
        self._is_exhausted = self._is_exhausted and result.is_complete
        if result.error is not None:
            self._services.log.warning(
                "an attempt ended early",
                job=self.job_id,
                chunk=attempt.chunk_no,
                code=result.error.code,
                message=result.error.message,
            )
            self._unavailable_in_a_row += 1
            self._failure = self._failure or attempt_failure(
                result.error, unavailable_in_a_row=self._unavailable_in_a_row
            )
            self._not_before_s = asyncio.get_running_loop().time() + pause_s(self._unavailable_in_a_row)
        elif segment.rows:
            self._unavailable_in_a_row = 0
            self._idle.pop(attempt.chunk_no, None)
        elif self._is_placing:
            idle = self._idle[attempt.chunk_no] = self._idle.get(attempt.chunk_no, 0) + 1
            if idle >= MAX_IDLE_ATTEMPTS:
                reason = f"{idle} attempts at chunk {attempt.chunk_no} recorded nothing."
                self._failure = Failure(code="NoProgress", reason=reason, family="unavailable")

    async def _lose(self, attempt: AttemptId, reason: str) -> None:
        self._in_flight.pop(attempt, None)
        await self._write(
            LedgerStore.lose_chunk,
            self.job_id,
            self._epoch,
            attempt.chunk_no,
            attempt.epoch,
            now_ms=self._services.now_ms(),
        )
        self._is_exhausted = False
        losses = self._lost[attempt.chunk_no] = self._lost.get(attempt.chunk_no, 0) + 1
        self._services.log.warning("an attempt was lost", job=self.job_id, chunk=attempt.chunk_no, reason=reason)
        if losses >= MAX_LOSSES:
            text = f"Chunk {attempt.chunk_no} was lost {losses} times; the last time its {reason}."
            self._failure = Failure(code="ChunkLost", reason=text, family="unavailable")

    # ------------------------------------------------------------------------------------------------------ ledger

    async def _first_start(self, bucket: str) -> int:
        """Return when the job first became active, by the store's clock; recorded once, before any copy."""
        for event in self._services.store.events(self.job_id):
            if event.kind == "started":
                return int(str(event.detail["store_time_ms"]))
        time_ms = await store_time_ms(self._spec.connection, bucket)
        await self._write(
            LedgerStore.append_event,
            self.job_id,
            kind="started",
            actor=self._services.runner_id,
            detail={"store_time_ms": time_ms},
            now_ms=self._services.now_ms(),
        )
        return time_ms

    async def _report(self, job: Job) -> None:
        report = await write_report(job, self._services)
        await self._write(
            LedgerStore.record_report, self.job_id, self._epoch, report=report, now_ms=self._services.now_ms()
        )

    async def _to(
        self, before: JobStatus, after: JobStatus, *, reason: str | None = None, failure: Failure | None = None
    ) -> None:
        is_done = await self._write(
            LedgerStore.set_status,
            self.job_id,
            self._epoch,
            before,
            after,
            now_ms=self._services.now_ms(),
            reason=reason,
            failure_code=None if failure is None else failure.code,
            failure_reason=None if failure is None else failure.reason,
        )
        if not is_done and self._services.store.get_job(self.job_id).epoch != self._epoch:
            raise FencedError

    async def _fail_from_anywhere(self, failure: Failure) -> None:
        """End a job that cannot be driven on, from whatever status it is in."""
        with suppress(FencedError, S3BatchError):
            job = self._services.store.get_job(self.job_id)
            if job.status in (JobStatus.COMPLETING, JobStatus.FAILING, JobStatus.CANCELLING):
                await self._to(job.status, JobStatus.FAILED, reason=failure.family, failure=failure)
            elif may_follow(job.status, JobStatus.FAILING):
                await self._to(job.status, JobStatus.FAILING, reason=failure.family, failure=failure)
                await self._to(JobStatus.FAILING, JobStatus.FAILED, reason=failure.family, failure=failure)
            elif may_follow(job.status, JobStatus.FAILED):
                await self._to(job.status, JobStatus.FAILED, reason=failure.family, failure=failure)

    async def _save_progress(self, progress: Mapping[str, object]) -> None:
        await self._write(
            LedgerStore.save_progress,
            self.job_id,
            self._epoch,
            progress=progress,
            active_ms=self._active_ms,
            now_ms=self._services.now_ms(),
        )

    async def _keep_lease(self) -> None:
        """Renew the lease until cancelled; the runner extends the workers' permission after each renewal."""
        while True:
            await asyncio.sleep(LEASE_MS / 6000)
            try:
                is_ours = await self._write(
                    LedgerStore.renew_lease,
                    self.job_id,
                    self._epoch,
                    now_ms=self._services.now_ms(),
                    lease_ms=LEASE_MS,
                )
            except UnavailableError as error:  # a full disk passes; a lease that has run out is only taken by others
                self._services.log.warning("the lease was not renewed", job=self.job_id, code=error.code)
                continue
            if not is_ours:
                self._services.engine.stop(self.job_id)
                return

    async def _wait_for_dead_workers(self) -> None:
        """Wait until no attempt of a former runner is alive: each holds a shared lock for as long as it runs."""
        folder = self._services.home.job(self.job_id)
        folder.root.mkdir(parents=True, exist_ok=True)
        deadline_s = asyncio.get_running_loop().time() + _TAKE_OVER_S
        with folder.workers_lock.open("a") as file:
            while True:
                try:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    if asyncio.get_running_loop().time() > deadline_s:
                        raise FormerWorkersError(
                            f"Workers of a former runner still hold {folder.workers_lock}.",
                            way_out="End the processes that hold the file.",
                        ) from None
                    await asyncio.sleep(_WATCH_INTERVAL_S)
                else:
                    return


def _per_worker(spec: JobSpec, workers: int) -> JobSpec:
    """Return the specification for one of so many workers: they share the job's rate."""
    rate = spec.connection.max_rate
    if rate is None or workers == 1:
        return spec
    connection: Connection = replace(spec.connection, max_rate=rate / workers)
    return replace(spec, connection=connection)


def _required(path: str | None) -> str:
    if path is None:
        raise InconsistentError("The job was planned without a manifest.", code="NoManifest")
    return path
