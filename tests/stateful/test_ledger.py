"""The ledger under two runners, lost attempts and impatient users, in any order that hypothesis can think of.

The machine keeps its own small idea of who holds the job and which attempt of each chunk is the current one, and
predicts the answer to every call; the invariants are read from the ledger itself.
"""

from __future__ import annotations

import tempfile
from contextlib import nullcontext
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, initialize, invariant, multiple, rule

from s3batch.ledger.driving import start_order
from s3batch.ledger.records import ChunkState, ShownPlan, Wanted
from s3batch.ledger.store import open_ledger
from s3batch.model.errors import InconsistentError, RefusedError
from s3batch.model.status import TERMINAL, JobStatus, may_follow
from tests.unit.ledger.ledgers import PlannedChunk, WrittenSegment, new_job, plan_of

JOB = "job"
LEASE_MS = 100
ENTRIES = 4
COMMON = [JobStatus.PAUSING, JobStatus.PAUSED, JobStatus.ACTIVE, JobStatus.READY, JobStatus.COMPLETING]
WISHES = [*["request_pause", "request_resume", "confirm"] * 3, "request_cancel"]
SHA256 = "0123456789abcdef" * 4
RESTING = TERMINAL | {JobStatus.READY, JobStatus.PAUSED}


@dataclass(frozen=True)
class Held:
    """An epoch that a runner was given; it may be long out of date."""

    runner_id: str
    epoch: int


@dataclass(frozen=True)
class Attempt:
    """A chunk attempt that a runner placed; it may be long out of date."""

    job_epoch: int
    chunk_no: int
    epoch: int


class LedgerMachine(RuleBasedStateMachine):
    """Two runners, one job, users, and a clock."""

    holds = Bundle("holds")
    attempts = Bundle("attempts")
    somebody = st.one_of(st.sampled_from([None] * 9), holds)
    """A hold that may be long out of date, but mostly the latest one, for whom most calls do something."""

    def __init__(self) -> None:
        """Open an empty ledger."""
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.ledger = open_ledger(Path(self.folder.name) / "ledger.sqlite")
        self.now_ms = 0
        self.current: Held | None = None
        self.latest = Held("nobody", 0)
        self.lease_until_ms = 0
        self.epoch = 0
        self.running: dict[int, int] = {}
        self.recorded: dict[int, int] = {}
        self.accepted: list[tuple[int, int, WrittenSegment]] = []
        self.held_until_ms: int | None = None

    def teardown(self) -> None:
        """Close the ledger."""
        self.ledger.close()
        self.folder.cleanup()

    @initialize(
        target=holds, chunks=st.integers(1, 4), confirm=st.booleans(), begun=st.sampled_from([True] * 8 + [False])
    )
    def create(self, chunks: int, confirm: bool, begun: bool) -> object:  # noqa: FBT001
        """Record the job and a successor that waits for it; mostly take it to Active, where most can happen."""
        self.planned = [PlannedChunk(entries=ENTRIES, bytes=ENTRIES)] * chunks
        self.recorded = dict.fromkeys(range(chunks), 0)
        self.ledger.create_jobs(
            [new_job(JOB, confirmation_required=confirm), new_job("next", depends_on=JOB, step=1)], now_ms=0
        )
        held = self.acquire("a", force=False)
        assert isinstance(held, Held)
        if begun:
            self.plan(held)
            if confirm:
                self.wish("confirm")
            self.activate(held)
        return held

    def _is_held_by(self, epoch: int) -> bool:
        return self.current is not None and self.current.epoch == epoch

    def _status(self) -> JobStatus:
        return self.ledger.get_job(JOB).status

    @rule(ms=st.sampled_from([1, 30, 101]))
    def time_passes(self, ms: int) -> None:
        """Leases end by time alone."""
        self.now_ms += ms

    @rule(target=holds, runner_id=st.sampled_from(["a", "b"]), force=st.booleans())
    def acquire(self, runner_id: str, force: bool) -> object:  # noqa: FBT001
        """Take the job, perhaps over a live lease with the host's lock in hand."""
        status = self._status()
        is_live = self.current is not None and self.lease_until_ms > self.now_ms
        may = status not in TERMINAL and (
            force or not is_live or (self.current is not None and self.current.runner_id == runner_id)
        )
        epoch = self.ledger.acquire_job(
            JOB, runner_id=runner_id, host="h", now_ms=self.now_ms, lease_ms=LEASE_MS, force=force
        )
        assert (epoch is not None) == may
        if epoch is None:
            return multiple()
        assert epoch > self.epoch, "an epoch is never given out twice"
        self.epoch, self.lease_until_ms = epoch, self.now_ms + LEASE_MS
        self.current = self.latest = Held(runner_id, epoch)
        return self.current

    @rule(held=somebody)
    def renew(self, held: Held | None) -> None:
        """Only the last one that acquired the job can renew."""
        held = self.latest if held is None else held
        renewed = self.ledger.renew_lease(JOB, held.epoch, now_ms=self.now_ms, lease_ms=LEASE_MS)
        assert renewed == self._is_held_by(held.epoch)
        if renewed:
            self.lease_until_ms = self.now_ms + LEASE_MS

    @rule(held=somebody)
    def release(self, held: Held | None) -> None:
        """A released epoch is worth nothing."""
        held = self.latest if held is None else held
        assert self.ledger.release_job(JOB, held.epoch, now_ms=self.now_ms) == self._is_held_by(held.epoch)
        if self._is_held_by(held.epoch):
            self.current = None
            self.running.clear()

    @rule(held=somebody)
    def plan(self, held: Held | None) -> None:
        """Prepare the job as far as it can be: New, Preparing, then waiting."""
        held = self.latest if held is None else held
        job = self.ledger.get_job(JOB)
        if job.status is JobStatus.NEW:
            self._step(held, JobStatus.NEW, JobStatus.PREPARING)
        if self._status() is not JobStatus.PREPARING:
            return
        saved = self.ledger.save_plan(
            JOB,
            held.epoch,
            plan=replace(plan_of(self.planned), manifest_sha256=SHA256),
            manifest_path="m",
            chunks=self.planned,
            now_ms=self.now_ms,
        )
        assert saved == self._is_held_by(held.epoch)
        after = JobStatus.SUSPENDED if job.confirmation_required else JobStatus.READY
        self._step(held, JobStatus.PREPARING, after)

    @rule(held=somebody, ms=st.integers(1, 1_000))
    def hold(self, held: Held | None, ms: int) -> None:
        """A hold begins once, on a job that is Ready, by whom the job is held; nothing moves its end afterwards."""
        held = self.latest if held is None else held
        job = self.ledger.get_job(JOB)
        is_ours = self._is_held_by(held.epoch)
        begun = self.ledger.begin_hold(JOB, held.epoch, until_ms=self.now_ms + ms, detail={}, now_ms=self.now_ms)
        assert begun == is_ours
        if is_ours and job.status is JobStatus.READY and self.held_until_ms is None:
            self.held_until_ms = self.now_ms + ms

    @rule(objects=st.none() | st.integers(0, 4 * ENTRIES), sha256=st.sampled_from([None, SHA256[:8], SHA256, "f" * 8]))
    def confirm_what_was_shown(self, objects: int | None, sha256: str | None) -> None:
        """A plan that is not the one which was shown is never confirmed, and who confirmed it is on record."""
        before = self.ledger.get_job(JOB)
        is_same = objects in {None, before.total} and (
            sha256 is None or (before.plan is not None and SHA256.startswith(sha256))
        )
        shown = ShownPlan(objects=objects, manifest_sha256=sha256)
        confirm = partial(self.ledger.confirm, JOB, actor="me", now_ms=self.now_ms, shown=shown, facts={"how": "test"})
        if not is_same:
            with pytest.raises(RefusedError, match="plan of job job is about" if before.plan_json else "does not wait"):
                confirm()
        elif before.status is JobStatus.SUSPENDED and before.wanted is not Wanted.CANCEL:
            after = confirm()
            assert (after.status, after.confirmed_by) == (JobStatus.READY, "me")
            return
        assert self.ledger.get_job(JOB) == before

    @invariant()
    def a_hold_ends_when_it_was_said_to_end(self) -> None:
        """One event and one end, or none."""
        job = self.ledger.get_job(JOB)
        held = [event.detail["until_ms"] for event in self.ledger.events(JOB) if event.kind == "held"]
        assert job.held_until_ms == self.held_until_ms
        assert held == ([] if self.held_until_ms is None else [self.held_until_ms])
        assert not job.is_on_hold or job.status in {JobStatus.READY, JobStatus.PAUSED}

    @invariant()
    def a_confirmation_is_on_record_exactly_once(self) -> None:
        """With the plan that it was about."""
        job = self.ledger.get_job(JOB)
        confirmed = [event for event in self.ledger.events(JOB) if event.kind == "confirmed"]
        assert len(confirmed) == (job.confirmed_at_ms is not None)
        assert all(
            (event.detail["objects"], event.detail["manifest_sha256"]) == (job.total, SHA256) for event in confirmed
        )

    @rule(held=somebody)
    def activate(self, held: Held | None) -> None:
        """Begin or go on."""
        held = self.latest if held is None else held
        self._step(held, JobStatus.READY, JobStatus.ACTIVE)

    @rule(
        held=somebody, before=st.none() | st.sampled_from(JobStatus), after=st.sampled_from([*COMMON * 4, *JobStatus])
    )
    def any_step(self, held: Held | None, before: JobStatus | None, after: JobStatus) -> None:
        """A runner that knows where the job stands, or only believes to; planning has its own rule."""
        held = self.latest if held is None else held
        before = self._status() if before is None else before
        if before is not JobStatus.NEW and not (before is JobStatus.PREPARING and after not in TERMINAL):
            self._step(held, before, after)

    def _step(self, held: Held, before: JobStatus, after: JobStatus) -> None:
        job = self.ledger.get_job(JOB)
        is_current = self._is_held_by(held.epoch) and job.status is before
        undone = after is JobStatus.COMPLETING and any(recorded < ENTRIES for recorded in self.recorded.values())
        is_refused = is_current and (undone or not may_follow(before, after))
        with pytest.raises(InconsistentError) if is_refused else nullcontext():
            changed = self.ledger.set_status(JOB, held.epoch, before, after, now_ms=self.now_ms)
            assert changed == is_current
            if changed and after in RESTING:
                self.running.clear()

    @rule(target=attempts, held=somebody, count=st.integers(1, 3))
    def claim(self, held: Held | None, count: int) -> object:
        """Chunks are handed out once each, those far apart first, and only by an active job to its runner."""
        held = self.latest if held is None else held
        return multiple(*self._claim(held, count))

    def _claim(self, held: Held, count: int) -> list[Attempt]:
        may = self._is_held_by(held.epoch) and self._status() is JobStatus.ACTIVE
        ready = [
            number for number, recorded in self.recorded.items() if recorded < ENTRIES and number not in self.running
        ]
        ready.sort(key=lambda number: start_order(number, len(self.recorded)))
        claimed = self.ledger.claim_chunks(JOB, held.epoch, count=count, now_ms=self.now_ms)
        assert [each.chunk_no for each in claimed] == (ready[:count] if may else [])
        for each in claimed:
            assert each.recorded == self.recorded[each.chunk_no]
            self.running[each.chunk_no] = each.epoch
        return [Attempt(held.epoch, each.chunk_no, each.epoch) for each in claimed]

    @rule(target=attempts, held=somebody)
    def lose_and_claim_again(self, held: Held | None) -> object:
        """An attempt is given up, its chunk runs again, and then the first comes back after all, and may once more."""
        held = self.latest if held is None else held
        first = self._claim(held, 1)
        for attempt in first:
            self._lose(attempt)
        second = self._claim(held, 1)
        for attempt in first:
            self._finish(attempt, ENTRIES, 0, 0)
        return multiple(*first, *second)

    @rule(held=somebody, rows=st.integers(0, ENTRIES), failed=st.integers(0, ENTRIES))
    def work(self, held: Held | None, rows: int, failed: int) -> None:
        """A chunk is claimed and comes back at once."""
        held = self.latest if held is None else held
        for attempt in self._claim(held, 1):
            self._finish(attempt, rows, failed, 0)

    @rule(held=somebody)
    def work_to_the_end(self, held: Held | None) -> None:
        """Every chunk that can be had is finished, and then the job if nothing is left."""
        held = self.latest if held is None else held
        for attempt in self._claim(held, len(self.recorded)):
            self._finish(attempt, ENTRIES, 1, 1)
        self._step(held, JobStatus.ACTIVE, JobStatus.COMPLETING)

    def _is_current(self, attempt: Attempt) -> bool:
        return self._is_held_by(attempt.job_epoch) and self.running.get(attempt.chunk_no) == attempt.epoch

    @rule(attempt=attempts, rows=st.integers(0, ENTRIES), failed=st.integers(0, ENTRIES), kept=st.integers(0, ENTRIES))
    def finish(self, attempt: Attempt, rows: int, failed: int, kept: int) -> None:
        """The current attempt's outcomes count once; any other's are dropped whole."""
        self._finish(attempt, rows, failed, kept)

    def _finish(self, attempt: Attempt, rows: int, failed: int, kept: int) -> None:
        rows = min(rows, ENTRIES - self.recorded[attempt.chunk_no]) if self._is_current(attempt) else rows
        failed = min(failed, rows)
        kept = min(kept, rows - failed)
        by_code = {code: count for code, count in (("NoSuchKey", failed), ("SourceChanged", kept)) if count}
        segment = WrittenSegment(
            rows=rows, succeeded=rows - failed - kept, failed=failed, kept=kept, by_code=by_code, bytes_done=rows
        )
        complete = self._is_current(attempt) and self.recorded[attempt.chunk_no] + rows == ENTRIES
        accepted = self.ledger.finish_chunk(
            JOB,
            attempt.job_epoch,
            attempt.chunk_no,
            attempt.epoch,
            segment=segment,
            complete=complete,
            now_ms=self.now_ms,
        )
        assert accepted == self._is_current(attempt)
        if accepted:
            del self.running[attempt.chunk_no]
            self.recorded[attempt.chunk_no] += rows
            if rows:
                self.accepted.append((attempt.chunk_no, attempt.epoch, segment))

    @rule(attempt=attempts)
    def lose(self, attempt: Attempt) -> None:
        """The runner gives an attempt up; a stale runner cannot."""
        self._lose(attempt)

    def _lose(self, attempt: Attempt) -> None:
        lost = self.ledger.lose_chunk(JOB, attempt.job_epoch, attempt.chunk_no, attempt.epoch, now_ms=self.now_ms)
        assert (lost is not None) == self._is_current(attempt)
        if lost is not None:
            del self.running[attempt.chunk_no]

    @rule(held=somebody)
    def reclaim(self, held: Held | None) -> None:
        """A runner that has taken over starts with no chunk running."""
        held = self.latest if held is None else held
        expected = len(self.running) if self._is_held_by(held.epoch) else 0
        assert self.ledger.reclaim_running(JOB, held.epoch) == expected
        if expected:
            self.running.clear()

    @rule(wish=st.sampled_from(WISHES))
    def wish(self, wish: str) -> None:
        """Users ask for anything at any time; twice is as good as once."""
        try:
            first = getattr(self.ledger, wish)(JOB, actor="me", now_ms=self.now_ms)
        except RefusedError:
            return
        assert getattr(self.ledger, wish)(JOB, actor="me", now_ms=self.now_ms) == first
        if first.runner_id is None:
            self.current = None
        if first.status in RESTING:
            self.running.clear()

    @invariant()
    def counters_are_the_sum_of_accepted_segments(self) -> None:
        """In the ledger and in what was acknowledged."""
        job = self.ledger.get_job(JOB)
        kept_segments = [
            (each.chunk_no, each.epoch, each.rows, each.succeeded, each.failed, each.kept)
            for each in self.ledger.segments(JOB)
        ]
        assert kept_segments == [
            (number, epoch, segment.rows, segment.succeeded, segment.failed, segment.kept)
            for number, epoch, segment in sorted(self.accepted, key=lambda each: each[0])
        ]
        assert job.counts == self.ledger.outcome_totals(JOB)
        assert job.counts.ended == job.bytes_done == sum(segment.rows for _, _, segment in self.accepted)

    @invariant()
    def a_chunk_has_at_most_one_running_attempt(self) -> None:
        """And none when the job rests."""
        chunks = self.ledger.chunks(JOB)
        assert {each.chunk_no: each.epoch for each in chunks if each.state is ChunkState.RUNNING} == self.running
        assert {each.chunk_no: each.recorded for each in chunks} == (self.recorded if chunks else {})
        for each in chunks:
            assert (each.state is ChunkState.DONE) == (each.recorded == ENTRIES)
        if self._status() in RESTING:
            assert not self.running

    @invariant()
    def the_job_has_one_driver(self) -> None:
        """The holder that the ledger names is the one that acquired it last."""
        job = self.ledger.get_job(JOB)
        if job.runner_id is None:
            assert self.current is None
        else:
            assert self.current == Held(job.runner_id, job.epoch)

    @invariant()
    def statuses_follow_the_table(self) -> None:
        """Each recorded step begins where the one before ended, and the table has it; an end is an end."""
        for job_id in (JOB, "next"):
            status = JobStatus.NEW
            for event in self.ledger.events(job_id):
                if event.kind == "status":
                    assert event.detail["from"] == status
                    after = JobStatus(str(event.detail["to"]))
                    assert may_follow(status, after)
                    status = after
            job = self.ledger.get_job(job_id)
            assert job.status is status
            assert (job.status in TERMINAL) == (job.ended_at_ms is not None)
            assert job.wanted is not Wanted.PAUSE or job.status is not JobStatus.SUSPENDED

    @invariant()
    def a_successor_never_outlives_a_failure(self) -> None:
        """What can never run has ended; what may yet run has not."""
        ends = {JobStatus.FAILED, JobStatus.CANCELLED}
        assert (self._status() in ends) == (self.ledger.get_job("next").status in ends)


TestLedger = LedgerMachine.TestCase
TestLedger.settings = settings(
    max_examples=30, stateful_step_count=50, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
