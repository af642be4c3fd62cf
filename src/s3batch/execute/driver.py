"""Drives one job from where the ledger says it stands to its next rest: prepare, run its chunks, report.

What cannot be reached now is tried again later: the job keeps its status, its attempts end and are recorded, and it is
given back with a time before which nobody takes it up (``policy.Patience``). Only what time does not mend, or has not
mended for long, fails a job; then its attempts end and its report is written first. Attempts are placed and taken by
``attempts``, the ledger is written by ``held_job``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path

from s3batch.engines.port import Ended, Lost
from s3batch.execute.attempts import Attempts
from s3batch.execute.finish import write_report
from s3batch.execute.former_workers import FormerWorkersError, wait_for_former_workers
from s3batch.execute.held_job import FencedError, HeldJob
from s3batch.execute.hold import LOOK_AGAIN_S, Hold
from s3batch.execute.orders import OrderMaker
from s3batch.execute.policy import (
    Failure,
    Patience,
    bug_failure,
    claims_of,
    failure_of,
    threshold_failure,
    way_to_failed,
)
from s3batch.execute.prepare import Prepared, key_spans, prepare, store_time_ms, versioning_by_source
from s3batch.execute.proof import check_evidence
from s3batch.execute.services import RunnerServices
from s3batch.ledger.records import Job, Wanted
from s3batch.ledger.store import LedgerStore
from s3batch.manifest.normalised import NormalisedManifest
from s3batch.model.errors import InconsistentError, S3BatchError, UnavailableError
from s3batch.model.job import JobSpec
from s3batch.model.status import TERMINAL, JobStatus, may_follow
from s3batch.telemetry import BoundLog

_WATCH_INTERVAL_S = 0.25
_PROGRESS_INTERVAL_S = 0.5
_CLAIM_INTERVAL_S = 1.0
"""How often a job asks again for key ranges that another job holds."""

_END_OF = {
    JobStatus.COMPLETING: JobStatus.COMPLETE,
    JobStatus.CANCELLING: JobStatus.CANCELLED,
    JobStatus.FAILING: JobStatus.FAILED,
}
_PAUSED = "paused on request"
_CANCELLED = "cancelled on request"


class JobDriver:
    """One job in the hands of this runner."""

    def __init__(
        self, services: RunnerServices, job: Job, epoch: int, *, patience: Patience, wake: Callable[[], None]
    ) -> None:
        """``patience`` outlives the driver; ``wake`` tells the runner that there may be something to place."""
        self.job_id = job.id
        self.priority = job.priority
        self.figures: Mapping[str, float] = {}
        self._services = services
        self._log = BoundLog(services.log, {"job": job.id, "epoch": epoch})
        self._patience = patience
        self._held = HeldJob(services, job, epoch)
        self._hold = Hold(services, self._held)
        self._attempts = Attempts(services, self._held, patience, wake=wake)
        self._wake = wake
        self._is_leaving = False
        self._has_listed = False

    @property
    def in_flight(self) -> int:
        """Return how many attempts of this job are under way."""
        return self._attempts.in_flight

    async def drive(self) -> bool:
        """Bring the job to rest: ended, suspended, paused, or another runner's; ``False`` when it must be tried again.

        When that is, the patience says.
        """
        renewing = asyncio.create_task(self._held.keep_lease())
        try:
            return await self._drive()
        finally:
            renewing.cancel()
            self._attempts.let_go()
            with suppress(S3BatchError):
                await self._held.release()

    def leave(self) -> None:
        """Bring the job to rest: running chunks end early and are recorded, another runner may go on."""
        self._is_leaving = True
        self._attempts.changed.set()

    async def place(self, room: int) -> int:
        """Claim up to ``room`` chunks and hand them to the engine; return how many.

        Raises:
            EngineDiedError: the engine takes none any more.
        """
        return await self._attempts.place(room)

    def take(self, event: Ended | Lost) -> None:
        """Take the end of an attempt."""
        self._attempts.take(event)

    # -------------------------------------------------------------------------------------- what errors mean for a job

    async def _drive(self) -> bool:
        try:
            lock = self._services.home.job(self.job_id).workers_lock
            await self._held.reclaim_running()
            await wait_for_former_workers(lock, at_most_s=self._services.times.take_over_s)
            while await self._step():
                pass
        except FencedError:
            self._log.warning("another runner drives the job")
        except FormerWorkersError as error:
            # it waits for as long as it takes: nothing is wrong with it
            self._log.warning("the job waits", extra={"reason": str(error)})
            return False
        except UnavailableError as error:
            return await self._wait_or_fail(error)
        except S3BatchError as error:
            self._log.exception("the job could not be driven on", extra={"code": error.code})
            return await self._fail(failure_of(error))
        except Exception as error:  # noqa: BLE001 - one job's bug must not take the runner's other jobs along
            self._log.exception("the job met a bug")
            return await self._fail(bug_failure(error))
        return True

    async def _wait_or_fail(self, error: UnavailableError) -> bool:
        """Let the job rest as it is until a later try, unless there have been too many for too long."""
        now_s = asyncio.get_running_loop().time()
        self._patience.fail(now_s)
        if self._patience.is_over(now_s):
            return await self._fail(failure_of(error))
        self._log.warning("the job waits", extra={"code": error.code, "reason": str(error)})
        with suppress(FencedError, S3BatchError):
            await self._attempts.drain()
        return False

    async def _fail(self, failure: Failure) -> bool:
        """End a job that cannot be driven on: its attempts first, then its report, as far as it can be written."""
        try:
            job = self._held.read()
            if job.status in TERMINAL:
                return True
            has_run = job.status not in (JobStatus.COMPLETING, JobStatus.FAILING, JobStatus.CANCELLING)
            if has_run and may_follow(job.status, JobStatus.FAILING):
                await self._held.to(job.status, JobStatus.FAILING, reason=failure.family, failure=failure)
                await self._attempts.drain()
                await self._report_if_possible()
                job = self._held.read()
            before = job.status
            for after in way_to_failed(job.status):
                told = None if job.status is JobStatus.FAILING and job.failure_code else failure  # the first one counts
                await self._held.to(before, after, reason=job.status_reason or failure.family, failure=told)
                before = after
        except FencedError:
            return True
        except S3BatchError as error:
            self._log.exception("the job's failure could not be recorded", extra={"code": error.code})
            self._patience.fail(asyncio.get_running_loop().time())
            return False
        return True

    async def _report_if_possible(self) -> None:
        try:
            await self._report(self._held.read())
        except FencedError:
            raise
        except Exception:  # noqa: BLE001 - whatever broke the job may break its report; it has to end
            self._log.exception("the failed job has no report")

    # ------------------------------------------------------------------------------------------------------- steps

    async def _step(self) -> bool:
        """Do what the job's status asks for; ``False`` when the job rests."""
        job = self._held.read()
        match job.status:
            case JobStatus.NEW | JobStatus.PREPARING:
                return await self._prepare(job)
            case JobStatus.READY:
                return await self._activate(job)
            case JobStatus.ACTIVE:
                return await self._run(job)
            case JobStatus.SUSPENDED | JobStatus.PAUSED if job.wanted is Wanted.CANCEL:
                await self._held.to(job.status, JobStatus.CANCELLING, reason=_CANCELLED)
                return True
            case JobStatus.PAUSING:
                await self._held.to(JobStatus.PAUSING, JobStatus.PAUSED, reason=_PAUSED)
            case JobStatus.COMPLETING | JobStatus.CANCELLING | JobStatus.FAILING:
                await self._report(job)
                await self._held.to(job.status, _END_OF[job.status], reason=job.status_reason)
                await self._finish_audit()
        return False

    async def _finish_audit(self) -> None:
        """Add the job's end to the audit file; the ledger has it, should the disk be full."""
        try:
            await self._held.write_audit()
        except S3BatchError as error:
            self._log.warning("the end is missing in the audit file", extra={"code": error.code, "reason": str(error)})

    async def _prepare(self, job: Job) -> bool:
        if job.wanted is Wanted.CANCEL:
            await self._held.to(job.status, JobStatus.CANCELLED, reason=_CANCELLED)
            return False
        if self._is_leaving:
            return False
        if job.status is JobStatus.NEW:
            await self._held.to(JobStatus.NEW, JobStatus.PREPARING)
        try:
            prepared = await self._prepared(job)
        except S3BatchError as error:
            if isinstance(error, UnavailableError) and self._has_listed:
                raise  # a store that has answered is worth waiting for; a wrong address is told at once
            failure = failure_of(error)
            await self._held.to(JobStatus.PREPARING, JobStatus.FAILED, reason=failure.family, failure=failure)
            return False
        if prepared is None:
            return not self._is_leaving
        await self._held.save_plan(prepared)
        after = JobStatus.SUSPENDED if job.confirmation_required else JobStatus.READY
        await self._held.to(JobStatus.PREPARING, after)
        return after is JobStatus.READY

    async def _prepared(self, job: Job) -> Prepared | None:
        """Prepare the job; ``None`` when it shall not go on: the next runner prepares it from the beginning."""
        preparing = asyncio.create_task(prepare(job, self._services, self._tell_preparing))
        try:
            while not preparing.done():
                await asyncio.wait({preparing}, timeout=_WATCH_INTERVAL_S)
                if self._is_leaving or self._held.read().wanted is Wanted.CANCEL:
                    return None
            return preparing.result()
        finally:
            if not preparing.done():
                preparing.cancel()
                await asyncio.wait({preparing})

    async def _tell_preparing(self, progress: Mapping[str, object]) -> None:
        self._has_listed = True
        await self._held.save_progress(progress)

    async def _activate(self, job: Job) -> bool:
        if self._is_leaving:
            return False
        if job.wanted is Wanted.PAUSE:
            await self._held.to(JobStatus.READY, JobStatus.PAUSED, reason=_PAUSED)
            return False
        if job.wanted is Wanted.CANCEL:
            await self._held.to(JobStatus.READY, JobStatus.CANCELLING, reason=_CANCELLED)
            return True
        hold_s = job.spec.hold_s
        if hold_s is not None and await self._hold.is_on(job, hold_s):
            await asyncio.sleep(LOOK_AGAIN_S)
            return True
        if not job.counts.ended:  # later on the gate keeps the rows whose evidence has become too old
            check_evidence(job.spec, self._services.store, now_ms=self._services.now_ms())
        claims = claims_of(job.spec, key_spans(_required(job.manifest_path)), is_move=job.move_id is not None)
        in_the_way = await self._services.writer.write(LedgerStore.add_claims, self.job_id, claims)
        if in_the_way:
            other = in_the_way[0]
            await self._held.save_progress({"waits_for": other.job_id, "waits_for_keys": other.claim.first_key})
            await asyncio.sleep(_CLAIM_INTERVAL_S)
            return True
        await self._held.write_audit()  # who confirmed this is durable beside the report before the first task
        await self._held.to(JobStatus.READY, JobStatus.ACTIVE)
        return True

    async def _run(self, job: Job) -> bool:
        """Place chunks until none is left or something else is wanted."""
        after = JobStatus.READY if self._is_leaving else _wanted_status(job)
        if after is None:  # a wish is heard even where the store is not
            self._attempts.begin(await self._orders(job))
            after = await self._watch(job)
        self._attempts.end()
        await self._held.save_progress({})  # and the time that the job was active
        if after in (JobStatus.COMPLETING, JobStatus.READY):  # from these on no chunk runs
            await self._attempts.drain()
            await self._held.to(JobStatus.ACTIVE, after)
            return True
        failure = self._attempts.failure if after is JobStatus.FAILING else None
        reasons = {JobStatus.PAUSING: _PAUSED, JobStatus.CANCELLING: _CANCELLED}
        reason = failure.family if failure is not None else reasons.get(after)
        await self._held.to(JobStatus.ACTIVE, after, reason=reason, failure=failure)
        await self._attempts.drain()
        return True

    async def _watch(self, job: Job) -> JobStatus:
        """Follow the running job and return the status that comes next."""
        spec = job.spec
        last_told_s = began_s = asyncio.get_running_loop().time()
        active_before_ms = self._held.active_ms
        while True:
            with suppress(TimeoutError):
                await asyncio.wait_for(self._attempts.changed.wait(), _WATCH_INTERVAL_S)
            self._attempts.changed.clear()
            job = self._held.read()
            self.priority = job.priority
            now_s = asyncio.get_running_loop().time()
            self._held.active_ms = active_before_ms + int((now_s - began_s) * 1000)
            if now_s - last_told_s >= _PROGRESS_INTERVAL_S:
                last_told_s = now_s
                await self._held.save_progress(self.figures)
            after = await self._next_status(job, spec)
            if after is not None:
                return after
            self._wake()

    async def _next_status(self, job: Job, spec: JobSpec) -> JobStatus | None:
        attempts = self._attempts
        attempts.failure = attempts.failure or threshold_failure(spec, job.counts)
        if attempts.failure is not None:
            return JobStatus.FAILING
        if job.wanted is Wanted.CANCEL:
            return JobStatus.CANCELLING
        if attempts.is_exhausted and attempts.is_quiet:
            counts = self._services.store.chunk_counts(self.job_id)
            if counts.ready == counts.running == 0:
                return JobStatus.COMPLETING
            if counts.running:  # claimed or ended while the ledger could not be written
                await self._held.reclaim_running()
            attempts.is_exhausted = False
            return None
        return _wanted_status(job) or (JobStatus.READY if self._is_leaving else None)

    async def _orders(self, job: Job) -> OrderMaker:
        """Find out what the attempts must be told."""
        manifest, plan = _required(job.manifest_path), job.plan
        spans, spec = key_spans(manifest), job.spec
        started_at_ms = self._held.first_start_ms()
        if started_at_ms is None:
            started_at_ms = await store_time_ms(spec.connection, spans[0])
            await self._held.record_start(started_at_ms)
        with NormalisedManifest.open(Path(manifest)) as opened:
            buckets = tuple(chunk.bucket for chunk in opened.chunks)
        return OrderMaker(
            services=self._services,
            job_id=self.job_id,
            spec=spec,
            evidence_job_id=spec.source.evidence_job_id,
            manifest=manifest,
            manifest_sha256="" if plan is None else plan.manifest_sha256,
            buckets=buckets,
            versioning_by_bucket=await versioning_by_source(spec, tuple(span.bucket for span in spans)),
            started_at_ms=started_at_ms,
        )

    async def _report(self, job: Job) -> None:
        report = await write_report(job, self._services)
        report["audit"] = str(await self._held.write_audit())
        await self._held.record_report(report)


def _wanted_status(job: Job) -> JobStatus | None:
    """Return the status that somebody wishes for an active job."""
    wishes = {Wanted.PAUSE: JobStatus.PAUSING, Wanted.CANCEL: JobStatus.CANCELLING}
    return None if job.wanted is None else wishes[job.wanted]


def _required(path: str | None) -> str:
    if path is None:
        raise InconsistentError("The job was planned without a manifest.", code="NoManifest")
    return path
