"""The runner and its drivers over a real ledger: what errors mean for a job, and that no job or chunk is forgotten."""

import asyncio
import fcntl
import sqlite3
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from s3batch.control.jobs import cancel, pause, resume
from s3batch.execute import driver, finish, prepare
from s3batch.execute.attempt import AttemptOrder
from s3batch.ledger.records import NewJob
from s3batch.ledger.store import LedgerStore
from s3batch.model.errors import UnavailableError
from s3batch.model.status import TERMINAL, JobStatus
from tests.echo_engine import WAIT_S, until
from tests.unit.execute.driven import Bench, done, open_bench, trouble
from tests.unit.ledger.ledgers import specification


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    """Give a ledger in a fresh folder."""
    bench = open_bench(tmp_path)
    yield bench
    bench.store.close()


def hang(order: AttemptOrder) -> None:
    """Go on until abandoned."""


def test_a_planned_job_runs_to_its_end(bench: Bench) -> None:
    """Each chunk is run once, with the digest of the manifest that was planned."""
    bench.plan()

    async def scenario() -> None:
        async with bench.running(done) as engine:
            job = await bench.until(JobStatus.COMPLETE)
            assert job.counts.succeeded == job.total == 9
            assert sorted(order.chunk_no for order in engine.orders) == [0, 1, 2]
            assert job.plan is not None
            assert {order.manifest_sha256 for order in engine.orders} == {job.plan.manifest_sha256}

    asyncio.run(scenario())


def test_an_outage_is_waited_out_however_many_attempts_it_ends(bench: Bench) -> None:
    """Attempts that fail together are one round; a store that comes back finds the job going on."""
    bench.plan()
    tries: Counter[int] = Counter()

    def act(order: AttemptOrder) -> Mapping[str, Any]:
        tries[order.chunk_no] += 1
        return trouble("ServiceUnavailable") if tries.total() <= 3 else done(order)

    async def scenario() -> None:
        async with bench.running(act):
            assert (await bench.until(JobStatus.COMPLETE)).counts.succeeded == 9

    asyncio.run(scenario())


def test_an_outage_without_end_fails_the_job_with_its_reason_and_a_report(bench: Bench) -> None:
    """What was done before is in the report."""
    bench.plan()
    bench = bench.with_times(give_up_s=1.5)

    def act(order: AttemptOrder) -> Mapping[str, Any]:
        return done(order) if order.chunk_no == 0 else trouble("ServiceUnavailable")

    async def scenario() -> None:
        async with bench.running(act):
            job = await bench.until(JobStatus.FAILED)
            assert (job.failure_code, job.status_reason) == ("ServiceUnavailable", "unavailable")
            assert job.counts.succeeded == 3
            assert job.report is not None

    asyncio.run(scenario())


def test_a_report_that_cannot_be_written_now_is_written_later(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """One 503 of the report's bucket does not turn a complete job into a failed one."""
    bench.plan()
    calls: Counter[str] = Counter()

    async def fail_once(*args: Any) -> dict[str, object]:  # noqa: ANN401 - passed on
        calls["report"] += 1
        if calls["report"] == 1:
            raise UnavailableError("SlowDown", code="SlowDown")
        return await finish.write_report(*args)

    monkeypatch.setattr(driver, "write_report", fail_once)

    async def scenario() -> None:
        async with bench.running(done, idle_exit_s=0.1):
            job = await bench.until(JobStatus.COMPLETE)
            assert job.report is not None
            assert job.failure_code is None

    asyncio.run(scenario())


def test_an_end_that_the_ledger_does_not_take_is_offered_again(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A disk that was full for a moment costs no work and no job."""
    bench.plan()
    accept, calls = LedgerStore.finish_chunk, Counter[str]()

    def full_at_first(*args: Any, **kwargs: Any) -> bool:  # noqa: ANN401 - passed on
        calls["finish"] += 1
        if calls["finish"] == 1:
            raise UnavailableError("disk full", code="LedgerFull")
        return accept(*args, **kwargs)

    monkeypatch.setattr(LedgerStore, "finish_chunk", full_at_first)

    async def scenario() -> None:
        async with bench.running(done) as engine:
            await bench.until(JobStatus.COMPLETE)
            assert Counter(order.chunk_no for order in engine.orders) == {0: 1, 1: 1, 2: 1}

    asyncio.run(scenario())


def test_a_stale_attempt_s_error_is_not_the_job_s(bench: Bench) -> None:
    """An attempt that was given up says what it likes later (safety.md rule 21)."""
    bench.plan()
    seen: list[AttemptOrder] = []

    def act(order: AttemptOrder) -> Mapping[str, Any]:
        seen.append(order)
        if len(seen) == 1:  # put back behind the attempt's back, as a newer epoch would do
            bench.store.lose_chunk(order.job_id, bench.store.get_job(order.job_id).epoch, 0, order.epoch, now_ms=2)
            return trouble("Bug", family="internal")
        return done(order)

    async def scenario() -> None:
        async with bench.running(act):
            assert (await bench.until(JobStatus.COMPLETE)).counts.succeeded == 9

    asyncio.run(scenario())


def test_a_chunk_that_could_not_be_placed_is_placed_again(bench: Bench) -> None:
    """Claimed and not handed over is not running; the job does not stay Active for ever."""
    bench.plan()
    calls: Counter[str] = Counter()

    def act(order: AttemptOrder) -> Mapping[str, Any]:
        calls["submit"] += 1
        if calls["submit"] == 2:
            raise UnavailableError("no worker is up", code="NoWorker")
        return done(order)

    async def scenario() -> None:
        async with bench.running(act):
            assert (await bench.until(JobStatus.COMPLETE)).counts.succeeded == 9

    asyncio.run(scenario())


def test_a_bug_in_placing_fails_the_job_by_name_and_the_runner_goes_on(bench: Bench) -> None:
    """Another job is driven as if nothing had been."""
    bench.plan("bad")
    bench.plan("good")

    def act(order: AttemptOrder) -> Mapping[str, Any]:
        if order.job_id == "bad":
            raise ZeroDivisionError
        return done(order)

    async def scenario() -> None:
        async with bench.running(act):
            assert (await bench.until(JobStatus.FAILED, "bad")).failure_code == "InternalError"
            await bench.until(JobStatus.COMPLETE, "good")

    asyncio.run(scenario())


@pytest.mark.parametrize("status", [JobStatus.NEW, JobStatus.READY, JobStatus.PAUSED])
def test_a_specification_of_a_later_version_ends_its_job_only(bench: Bench, status: JobStatus) -> None:
    """The runner lives, the other job runs, and the first one says why it ended, from whatever status it had."""
    if status is JobStatus.NEW:
        bench.store.create_jobs([NewJob(id="odd", spec=specification())], now_ms=1)
    else:
        bench.plan("odd")
    bench.plan("plain")
    members = 'spec_json = replace(spec_json, \'"chunk_entries"\', \'"later":1,"chunk_entries"\')'
    if status is JobStatus.PAUSED:
        members += ", status = 'Paused', wanted = 'cancel'"
    with sqlite3.connect(bench.home.ledger) as connection:
        connection.execute(f"UPDATE job SET {members} WHERE id = 'odd'")  # noqa: S608 - constants of this test
    connection.close()

    async def scenario() -> None:
        async with bench.running(done):
            assert (await bench.until(JobStatus.FAILED, "odd")).failure_code == "UnknownSpecification"
            await bench.until(JobStatus.COMPLETE, "plain")

    asyncio.run(scenario())


def test_a_ledger_that_cannot_be_read_once_does_not_end_the_runner(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither looking for jobs nor taking one up is fatal."""
    bench.plan()
    calls: Counter[str] = Counter()
    for name in ("runnable_jobs", "acquire_job"):
        _fail_first(monkeypatch, name, calls)

    async def scenario() -> None:
        async with bench.running(done, idle_exit_s=0.1):
            await bench.until(JobStatus.COMPLETE)

    asyncio.run(scenario())


def _fail_first(monkeypatch: pytest.MonkeyPatch, name: str, calls: Counter[str]) -> None:
    method = getattr(LedgerStore, name)

    def failing(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - passed on
        calls[name] += 1
        if calls[name] == 1:
            raise UnavailableError("locked", code="LedgerBusy")
        return method(*args, **kwargs)

    monkeypatch.setattr(LedgerStore, name, failing)


def test_a_job_whose_folder_cannot_be_made_is_not_taken_up_without_pause(bench: Bench) -> None:
    """It waits with its reason in the log; it is not acquired five times a second."""
    bench.store.create_jobs([NewJob(id="job-1", spec=specification())], now_ms=1)
    in_the_way = bench.home.job("job-1").root
    in_the_way.parent.mkdir(parents=True)
    in_the_way.write_text("a file where the folder should be")

    async def scenario() -> None:
        async with bench.running(done):
            await asyncio.sleep(1.5)
        assert bench.store.get_job("job-1").epoch <= 2

    asyncio.run(scenario())


def test_a_paused_job_has_no_attempt_left_that_could_hold_it_up(bench: Bench) -> None:
    """An attempt that does not end when asked to is ended by force; the job can be resumed at once."""
    bench.plan()
    bench = bench.with_times(drain_s=0.1)
    is_stuck = True

    def act(order: AttemptOrder) -> Mapping[str, Any] | None:
        return None if is_stuck else done(order)

    async def scenario() -> None:
        nonlocal is_stuck
        async with bench.running(act) as engine:
            await bench.until(JobStatus.ACTIVE)
            await until(lambda: len(engine.orders) == engine.capacity)
            pause(bench.store, [bench.store.get_job("job-1")], actor="test", now_ms=2)
            paused = await bench.until(JobStatus.PAUSED)
            assert len(engine.abandoned) == engine.capacity
            is_stuck = False
            resume(bench.store, [paused], actor="test", now_ms=3)
            assert (await bench.until(JobStatus.COMPLETE)).counts.succeeded == 9

    asyncio.run(scenario())


def test_a_job_waits_for_a_former_runner_s_workers_and_does_not_fail(bench: Bench) -> None:
    """As long as one of them holds its lock, however long that is."""
    bench.plan()
    bench = bench.with_times(take_over_s=0.1)
    lock = bench.home.job("job-1").workers_lock

    async def scenario() -> None:
        with lock.open("a") as held:
            fcntl.flock(held, fcntl.LOCK_SH)
            async with bench.running(done):
                await asyncio.sleep(1.0)
                assert bench.store.get_job("job-1").status is JobStatus.READY
                fcntl.flock(held, fcntl.LOCK_UN)
                await bench.until(JobStatus.COMPLETE)

    asyncio.run(scenario())


def test_a_lease_that_was_not_renewed_once_is_renewed_the_next_time(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first error of the ledger does not end the renewing."""
    bench.plan()
    calls: Counter[str] = Counter()
    _fail_first(monkeypatch, "renew_lease", calls)
    monkeypatch.setattr("s3batch.execute.held_job.LEASE_MS", 300)

    async def scenario() -> None:
        async with bench.with_times(drain_s=0.1).running(hang):
            await until(lambda: calls["renew_lease"] >= 3)

    asyncio.run(scenario())


@pytest.mark.parametrize("is_cancelled", [True, False])
def test_preparing_ends_when_it_is_asked_to(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, *, is_cancelled: bool
) -> None:
    """A listing of hours is not in the way of a cancel, nor of a runner that leaves."""
    bench.store.create_jobs([NewJob(id="job-1", spec=specification())], now_ms=1)

    async def prepare_for_ever(*_: object) -> prepare.Prepared:
        await asyncio.sleep(WAIT_S * 2)
        raise AssertionError

    monkeypatch.setattr(driver, "prepare", prepare_for_ever)

    async def scenario() -> None:
        async with bench.running(done), asyncio.timeout(WAIT_S):
            job = await bench.until(JobStatus.PREPARING)
            if is_cancelled:
                cancel(bench.store, [job], actor="test", now_ms=2)
                await bench.until(JobStatus.CANCELLED)

    asyncio.run(asyncio.wait_for(scenario(), WAIT_S))


def test_a_wish_is_heard_while_the_store_is_away(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """A job that waits for its store can be cancelled, and says what it did."""
    bench.plan()

    async def away(*_: object) -> dict[str, str]:
        raise UnavailableError("no answer", code="ServiceUnavailable")

    monkeypatch.setattr(driver, "versioning_by_source", away)

    async def scenario() -> None:
        async with bench.running(done):
            job = await bench.until(JobStatus.ACTIVE)
            await asyncio.sleep(0.5)
            assert bench.store.get_job("job-1").status is JobStatus.ACTIVE
            cancel(bench.store, [job], actor="test", now_ms=2)
            assert (await bench.until(JobStatus.CANCELLED)).report is not None

    asyncio.run(scenario())


def test_one_failing_driver_leaves_every_chunk_at_rest(bench: Bench) -> None:
    """A job that fails has no chunk running in the ledger and no attempt in the engine."""
    bench.plan()

    async def scenario() -> None:
        async with bench.running(lambda _: trouble("Bug", family="internal")):
            job = await bench.until(JobStatus.FAILED)
            assert job.failure_code == "Bug"
            assert bench.store.chunk_counts("job-1").running == 0
            assert job.status in TERMINAL

    asyncio.run(scenario())
