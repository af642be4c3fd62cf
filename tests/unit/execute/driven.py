"""A planned verify job on disk, a real ledger and runner, and an engine that does with each order what a test says.

No store is needed: the job's start is recorded already, a verify asks for no versioning, and its report is a folder.
"""

import asyncio
from collections import deque
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from s3batch.config import Home
from s3batch.engines.port import AttemptId, Ended, Event
from s3batch.execute.attempt import AttemptError, AttemptOrder, AttemptResult
from s3batch.execute.runner import Runner
from s3batch.execute.services import RunnerServices, Times, wall_clock_ms
from s3batch.ledger.migrate import upgrade
from s3batch.ledger.records import Job, NewJob
from s3batch.ledger.segments import OutcomeColumns, write_segment
from s3batch.ledger.store import LedgerStore, open_ledger
from s3batch.ledger.writer import LedgerWriter
from s3batch.manifest.normalised import NormalisedManifest
from s3batch.model.job import JobSpec, KeyMapping, ManifestSource, Operation, Plan
from s3batch.model.status import JobStatus
from s3batch.telemetry import make_log
from tests.echo_engine import until
from tests.unit.report.finished_job import BUCKET, Task, finished_job

ENTRIES = 9
CHUNK_ENTRIES = 3

Act = Callable[[AttemptOrder], Mapping[str, Any] | None]
"""Returns an attempt's result, or nothing for an attempt that goes on until it is abandoned."""


@dataclass
class ScriptedEngine:
    """Ends each attempt at once with what ``act`` returns."""

    act: Act
    capacity: int = 2
    orders: list[AttemptOrder] = field(default_factory=list)
    abandoned: list[AttemptId] = field(default_factory=list)
    _events: deque[Event] = field(default_factory=deque)
    _has_events: asyncio.Event = field(default_factory=asyncio.Event)

    async def start(self) -> None:
        """Nothing is to be started."""

    def submit(self, attempt: AttemptId, payload: Mapping[str, Any]) -> None:
        """Do what the test says."""
        order = AttemptOrder.from_payload(payload)
        self.orders.append(order)
        result = self.act(order)
        if result is not None:
            self.tell(Ended(attempt=attempt, result=result))

    def tell(self, event: Event) -> None:
        """Report an event."""
        self._events.append(event)
        self._has_events.set()

    def extend(self, seconds: float) -> None:
        """Attempts here need no permission."""

    def stop(self, job_id: str) -> None:
        """Attempts here do not listen."""

    def abandon(self, attempt: AttemptId) -> None:
        """End it."""
        self.abandoned.append(attempt)
        self.tell(Ended(attempt=attempt, result=trouble("Abandoned")))

    async def next_event(self) -> Event:
        """Wait for an event."""
        while not self._events:
            self._has_events.clear()
            await self._has_events.wait()
        return self._events.popleft()

    async def close(self) -> None:
        """Nothing is open."""


def done(order: AttemptOrder) -> Mapping[str, Any]:
    """Return the result of an attempt in which every task succeeded."""
    outcomes = OutcomeColumns(CHUNK_ENTRIES)
    for row in range(CHUNK_ENTRIES):
        outcomes.succeed(row)
    segment = write_segment(Path(order.segment), outcomes)
    return AttemptResult(segment=segment, is_complete=True).to_payload()


def trouble(code: str, family: str = "unavailable") -> Mapping[str, Any]:
    """Return the result of an attempt that could do nothing."""
    return AttemptResult(error=AttemptError(family=family, code=code, message="as the test says")).to_payload()


@dataclass(kw_only=True)
class Bench:
    """A ledger with a home, and a runner to run."""

    home: Home
    store: LedgerStore
    times: Times
    now_ms: Callable[[], int] = wall_clock_ms

    def plan(self, job_id: str = "job-1", **asked: Any) -> Job:  # noqa: ANN401 - members of a specification
        """Record a job that is Ready, with three chunks."""
        mapping = KeyMapping(target_bucket=BUCKET, strip_prefix="a/", add_prefix="b/")
        spec = JobSpec(operation=Operation.VERIFY, source=ManifestSource(list_bucket=BUCKET), mapping=mapping, **asked)
        self.store.create_jobs([NewJob(id=job_id, spec=spec)], now_ms=1)
        folder = self.home.job(job_id).root
        folder.mkdir(parents=True)
        tasks = [Task(key=f"{job_id}/{number}", size=1, etag="e", status=None) for number in range(ENTRIES)]
        manifest = finished_job(folder, tasks, chunk_entries=CHUNK_ENTRIES).manifest
        self._save_plan(job_id, manifest)
        if spec.hold_s is None:
            self.store.append_event(job_id, kind="started", actor="test", detail={"store_time_ms": 1}, now_ms=1)
        return self.store.get_job(job_id)

    def _save_plan(self, job_id: str, manifest: NormalisedManifest) -> None:
        lease = {"runner_id": "planner", "host": "elsewhere", "now_ms": 1, "lease_ms": 10}
        epoch = self.store.acquire_job(job_id, **lease)  # type: ignore[arg-type]
        assert epoch is not None
        self.store.set_status(job_id, epoch, JobStatus.NEW, JobStatus.PREPARING, now_ms=1)
        plan = Plan(
            entries=manifest.entries, bytes=manifest.bytes, chunks=len(manifest.chunks), manifest_sha256=manifest.sha256
        )
        self.store.save_plan(
            job_id, epoch, plan=plan, manifest_path=str(manifest.path), chunks=manifest.chunks, now_ms=1
        )
        self.store.set_status(job_id, epoch, JobStatus.PREPARING, JobStatus.READY, now_ms=1)
        self.store.release_job(job_id, epoch, now_ms=1)
        manifest.close()

    @asynccontextmanager
    async def running(self, act: Act, *, idle_exit_s: float | None = None) -> AsyncIterator[ScriptedEngine]:
        """Run a runner for the length of the block; then let it leave."""
        engine = ScriptedEngine(act)
        writer = LedgerWriter(self.store, asyncio.get_running_loop())
        services = RunnerServices(
            home=self.home,
            store=self.store,
            writer=writer,
            engine=engine,
            runner_id=f"runner-{wall_clock_ms()}",
            host="here",
            workers=1,
            log=make_log(),
            times=self.times,
            now_ms=self.now_ms,
        )
        runner = Runner(services, idle_exit_s=idle_exit_s)
        task = asyncio.create_task(runner.run())
        try:
            yield engine
        finally:
            runner.leave()
            await task
            await writer.close()

    async def until(self, status: JobStatus, job_id: str = "job-1") -> Job:
        """Wait until the job has that status and return it."""
        await until(lambda: self.store.get_job(job_id).status is status)
        return self.store.get_job(job_id)

    def with_clock(self, now_ms: Callable[[], int]) -> "Bench":
        """Return the same with another clock."""
        return replace(self, now_ms=now_ms)

    def with_times(self, **times: float) -> "Bench":
        """Return the same with other times."""
        return replace(self, times=replace(self.times, **times))


def open_bench(folder: Path) -> Bench:
    """Return a bench in ``folder``."""
    home = Home(root=folder)
    times = Times(drain_s=5.0, take_over_s=0.5, give_up_s=30.0)
    return Bench(home=home, store=open_ledger(home.ledger, upgrade=upgrade), times=times)
