"""The runner: drives every job of a ledger that is not at rest, the most urgent first.

It takes jobs that nobody holds, gives each a :class:`JobDriver`, shares the engine's room among them by priority, and
hands attempts' ends to their drivers. One runner serves a ledger on one host: it holds the lock file for its life, and
the kernel lets go of the lock when it dies, however it dies (safety.md rule 22).
"""

from __future__ import annotations

import asyncio
import fcntl
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from s3batch.engines.port import Ended, EngineDiedError, Lost, Progress
from s3batch.execute.driver import JobDriver
from s3batch.execute.policy import Patience
from s3batch.execute.services import LEASE_MS, WORKER_PERMISSION_S, RunnerServices
from s3batch.ledger.records import Job, Wanted
from s3batch.ledger.store import LedgerStore
from s3batch.model.errors import S3BatchError, UnavailableError

_POLL_INTERVAL_S = 0.2
_HEARTBEAT_S = 2.0
_LEAVE_S = 100.0
"""How long drivers may take to bring their jobs to rest when the runner leaves."""


class AnotherRunnerError(UnavailableError):
    """A runner on this host serves the ledger already."""

    default_code = "AnotherRunner"


@contextmanager
def only_runner(lock: Path) -> Iterator[None]:
    """Hold the lock that makes this process the ledger's only runner on this host.

    Raises:
        AnotherRunnerError: somebody else holds it.
    """
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise AnotherRunnerError(f"Another runner holds {lock}.") from None
        yield


class Runner:
    """Drives jobs until told to leave, or until nothing has been left to do for a while."""

    def __init__(self, services: RunnerServices, *, idle_exit_s: float | None) -> None:
        """``idle_exit_s``: leave after so long without a job to drive; ``None`` stays."""
        self._services = services
        self._idle_exit_s = idle_exit_s
        self._drivers: dict[str, JobDriver] = {}
        self._tasks: dict[str, asyncio.Task[None]] = {}
        self._patience: dict[str, Patience] = {}
        """Of jobs that are driven or wait to be tried again."""
        self._heard: dict[str, Wanted | None] = {}
        """What was wished of each of them when it was last taken up."""
        self._room_changed = asyncio.Event()
        self._figures: dict[int, Mapping[str, Mapping[str, float]]] = {}
        self._is_leaving = False

    def leave(self) -> None:
        """Stop taking jobs, let running chunks end early, release every job, and end :meth:`run`."""
        self._is_leaving = True
        self._room_changed.set()

    async def run(self) -> None:
        """Serve the ledger."""
        services = self._services
        services.store.register_runner(
            services.runner_id, host=services.host, pid=os.getpid(), now_ms=services.now_ms()
        )
        services.engine.extend(WORKER_PERMISSION_S)
        await services.engine.start()
        helpers = [
            asyncio.create_task(self._dispatch()),
            asyncio.create_task(self._share_room()),
            asyncio.create_task(self._beat()),
        ]
        for helper in helpers:
            helper.add_done_callback(self._on_helper_end)
        try:
            await self._take_up_jobs()
            for driver in self._drivers.values():
                driver.leave()
            if self._tasks:
                _, late = await asyncio.wait(self._tasks.values(), timeout=_LEAVE_S)
                for task in late:
                    task.cancel()
        finally:
            for helper in helpers:
                helper.cancel()
            await services.engine.close()
            with suppress(S3BatchError):
                services.store.remove_runner(services.runner_id)

    def _on_helper_end(self, helper: asyncio.Task[None]) -> None:
        """Leave when a part of the runner has died of a bug: half a runner would hold the jobs and do nothing."""
        if not helper.cancelled() and (error := helper.exception()) is not None:
            self._services.log.error("the runner met a bug", exc_info=error)
            self.leave()

    async def _take_up_jobs(self) -> None:
        """Acquire what may be driven, again and again. What is wrong with one job does not keep the others."""
        loop = asyncio.get_running_loop()
        busy_s = loop.time()
        while not self._is_leaving:
            is_busy = True
            try:
                runnable = self._runnable_jobs()
            except S3BatchError as error:
                self._services.log.warning("the ledger cannot be read", extra={"code": error.code})
            else:
                for job in runnable:
                    self._take_up(job)
                is_busy = bool(self._drivers or runnable)
                known = {job.id for job in runnable} | self._drivers.keys()
                self._patience = {job_id: each for job_id, each in self._patience.items() if job_id in known}
                self._heard = {job_id: each for job_id, each in self._heard.items() if job_id in known}
            if is_busy:
                busy_s = loop.time()
            elif self._idle_exit_s is not None and loop.time() - busy_s >= self._idle_exit_s:
                return
            await asyncio.sleep(_POLL_INTERVAL_S)

    def _take_up(self, job: Job) -> None:
        """Drive a job that nobody drives, unless it was put off; somebody's wish is heard at once."""
        services, now_s = self._services, asyncio.get_running_loop().time()
        patience = self._patience.setdefault(job.id, Patience(give_up_s=services.times.give_up_s))
        if job.id in self._drivers or (now_s < patience.not_before_s and job.wanted in (None, self._heard.get(job.id))):
            return
        self._heard[job.id] = job.wanted
        try:
            # Whoever held a lease on this host is dead: this process holds the lock that its death released.
            epoch = services.store.acquire_job(
                job.id,
                runner_id=services.runner_id,
                host=services.host,
                now_ms=services.now_ms(),
                lease_ms=LEASE_MS,
                force=job.runner_host == services.host,
            )
        except S3BatchError as error:
            services.log.warning("a job could not be taken up", extra={"job": job.id, "code": error.code})
            patience.fail(now_s)
            return
        if epoch is not None:
            driver = JobDriver(services, job, epoch, patience=patience, wake=self._room_changed.set)
            self._drivers[job.id] = driver
            self._tasks[job.id] = asyncio.create_task(self._drive(driver))

    def _runnable_jobs(self) -> list[Job]:
        services = self._services
        return services.store.runnable_jobs(now_ms=services.now_ms(), runner_id=services.runner_id, host=services.host)

    async def _drive(self, driver: JobDriver) -> None:
        try:
            if await driver.drive():
                self._patience.pop(driver.job_id, None)
        finally:
            del self._drivers[driver.job_id]
            del self._tasks[driver.job_id]
            self._room_changed.set()

    async def _share_room(self) -> None:
        """Offer free room to the drivers, the most urgent first, whenever something has changed."""
        while True:
            await self._room_changed.wait()
            self._room_changed.clear()
            for driver in sorted(self._drivers.values(), key=lambda each: -each.priority):
                room = self._services.engine.capacity - sum(each.in_flight for each in self._drivers.values())
                if room <= 0:
                    break
                try:
                    await driver.place(room)
                except EngineDiedError as error:
                    facts = {"reason": str(error)}
                    self._services.log.error("no worker is left", extra=facts)  # noqa: TRY400 - no bug of ours
                    self.leave()

    async def _dispatch(self) -> None:
        """Hand what the engine reports to whom it concerns."""
        while True:
            event = await self._services.engine.next_event()
            match event:
                case Progress():
                    self._figures[event.process] = event.figures
                    for driver in self._drivers.values():
                        driver.figures = _summed(self._figures, driver.job_id)
                case Ended() | Lost():
                    concerned = self._drivers.get(event.attempt.job_id)
                    if concerned is not None:
                        concerned.take(event)

    async def _beat(self) -> None:
        """Say that this runner lives, and let the workers go on; both end when the ledger cannot be written."""
        services = self._services
        while True:
            try:
                await services.writer.write(LedgerStore.heartbeat, services.runner_id, now_ms=services.now_ms())
                services.engine.extend(WORKER_PERMISSION_S)
            except S3BatchError as error:
                services.log.warning("the ledger does not take a heartbeat", extra={"code": error.code})
            await asyncio.sleep(_HEARTBEAT_S)


def _summed(figures: Mapping[int, Mapping[str, Mapping[str, float]]], job_id: str) -> dict[str, float]:
    total: dict[str, float] = {}
    for by_job in figures.values():
        for name, value in by_job.get(job_id, {}).items():
            total[name] = total.get(name, 0) + value
    return total
