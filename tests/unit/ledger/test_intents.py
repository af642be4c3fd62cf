"""Pause, resume, cancel, confirm, priority: what each does to a job in each status."""

from dataclasses import replace

import pytest

from s3batch.ledger.intents import Decision, decide_cancel, decide_pause, decide_resume
from s3batch.ledger.records import Job, ShownPlan, Wanted
from s3batch.ledger.store import LedgerStore
from s3batch.model.errors import RefusedError
from s3batch.model.status import TERMINAL, JobStatus, may_follow
from tests.unit.ledger.ledgers import (
    LEASE_MS,
    PlannedChunk,
    WrittenSegment,
    active_job,
    job_in,
    new_job,
    plan_of,
    take_to,
)


@pytest.mark.parametrize("status", JobStatus)
@pytest.mark.parametrize("wanted", [None, *Wanted])
@pytest.mark.parametrize("is_held", [False, True])
def test_what_is_done_at_once_is_in_the_table(status: JobStatus, wanted: Wanted | None, is_held: bool) -> None:  # noqa: FBT001
    """No wish takes a job along a step that the table does not have, and a driven job is left to its runner."""
    job = job_in(status, wanted=wanted, lease_until_ms=10 if is_held else None)
    for decision, after in (
        (decide_pause(job, 5), JobStatus.PAUSED),
        (decide_resume(job), JobStatus.READY),
        (decide_cancel(job, 5), JobStatus.CANCELLED),
    ):
        if decision is Decision.AT_ONCE:
            assert may_follow(status, after)
            assert not is_held or after is JobStatus.READY
        if status in TERMINAL and not (status is after is JobStatus.CANCELLED):
            assert decision is Decision.REFUSE


def test_a_waiting_job_is_paused_at_once_and_resumed(ledger: LedgerStore) -> None:
    """No runner is needed for a job that nobody drives."""
    take_to(ledger, JobStatus.READY)
    for _ in range(2):
        paused = ledger.request_pause("job-1", actor="me", now_ms=5)
        assert (paused.status, paused.wanted) == (JobStatus.PAUSED, Wanted.PAUSE)
    for _ in range(2):
        resumed = ledger.request_resume("job-1", actor="me", now_ms=6)
        assert (resumed.status, resumed.wanted) == (JobStatus.READY, None)


def test_a_driven_job_is_asked_to_pause(ledger: LedgerStore) -> None:
    """The wish waits for the runner, is not repeated in the event log, and can be taken back."""
    active_job(ledger)
    for _ in range(2):
        asked = ledger.request_pause("job-1", actor="me", now_ms=5)
        assert (asked.status, asked.wanted) == (JobStatus.ACTIVE, Wanted.PAUSE)
    assert [event.detail for event in ledger.events("job-1") if event.kind == "wanted"] == [{"wanted": "pause"}]
    assert ledger.request_resume("job-1", actor="me", now_ms=6).wanted is None


def test_a_job_resumed_while_pausing_goes_on(ledger: LedgerStore) -> None:
    """The table has no way back from Pausing, so it rests for no time in Paused."""
    epoch = active_job(ledger)
    ledger.request_pause("job-1", actor="me", now_ms=1)
    assert ledger.set_status("job-1", epoch, JobStatus.ACTIVE, JobStatus.PAUSING, now_ms=2)
    assert ledger.request_resume("job-1", actor="me", now_ms=3).status is JobStatus.PAUSING
    assert ledger.set_status("job-1", epoch, JobStatus.PAUSING, JobStatus.PAUSED, now_ms=4)
    assert ledger.get_job("job-1").status is JobStatus.READY


def test_resuming_a_job_whose_runner_was_killed_changes_nothing(ledger: LedgerStore) -> None:
    """The next runner takes it up as it is: after a crash `jobs resume` must never refuse."""
    active_job(ledger)
    job = ledger.request_resume("job-1", actor="me", now_ms=10 * LEASE_MS)
    assert (job.status, job.wanted) == (JobStatus.ACTIVE, None)
    assert [job.id for job in ledger.runnable_jobs(now_ms=10 * LEASE_MS)] == ["job-1"]


def test_a_job_that_did_nothing_is_cancelled_at_once_and_its_dependents_with_it(ledger: LedgerStore) -> None:
    """A move's verify and delete make no sense without their copy."""
    ledger.create_jobs(
        [new_job("copy"), new_job("verify", depends_on="copy"), new_job("delete", depends_on="verify")], now_ms=1
    )
    for _ in range(2):
        assert ledger.request_cancel("copy", actor="me", now_ms=2).status is JobStatus.CANCELLED
    for job_id, cause in (("verify", "copy"), ("delete", "verify")):
        job = ledger.get_job(job_id)
        assert (job.status, job.failure_code, job.ended_at_ms) == (JobStatus.CANCELLED, "DependencyEnded", 2)
        assert job.status_reason == f"job {cause}, on which this one depends, is Cancelled"


def test_a_job_that_did_something_is_cancelled_by_a_runner(ledger: LedgerStore) -> None:
    """Its report has to be written; the wish outlives the runner."""
    epoch = active_job(ledger)
    (claimed,) = ledger.claim_chunks("job-1", epoch, count=1, now_ms=1)
    segment = WrittenSegment(rows=3, succeeded=3)
    ledger.finish_chunk("job-1", epoch, 0, claimed.epoch, segment=segment, complete=False, now_ms=2)
    ledger.release_job("job-1", epoch, now_ms=3)
    job = ledger.request_cancel("job-1", actor="me", now_ms=4)
    assert (job.status, job.wanted) == (JobStatus.ACTIVE, Wanted.CANCEL)
    assert ledger.request_pause("job-1", actor="me", now_ms=5).wanted is Wanted.CANCEL, "cancel outweighs pause"


def test_cancelling_at_once_fences_whoever_held_the_job(ledger: LedgerStore) -> None:
    """A runner that was silent for too long must not go on with what was cancelled meanwhile."""
    ledger.create_jobs([new_job()], now_ms=1)
    epoch = ledger.acquire_job("job-1", runner_id="r", host="h", now_ms=1, lease_ms=LEASE_MS)
    assert epoch is not None
    assert ledger.request_cancel("job-1", actor="me", now_ms=2).wanted is Wanted.CANCEL
    cancelled = ledger.request_cancel("job-1", actor="me", now_ms=1 + LEASE_MS)
    assert (cancelled.status, cancelled.wanted, cancelled.runner_id) == (JobStatus.CANCELLED, None, None)
    assert not ledger.renew_lease("job-1", epoch, now_ms=2 + LEASE_MS, lease_ms=LEASE_MS)


@pytest.mark.parametrize("verb", ["request_pause", "request_resume", "request_cancel"])
def test_an_ended_job_refuses_wishes(ledger: LedgerStore, verb: str) -> None:
    """The refusal names the status and the way out."""
    take_to(ledger, JobStatus.FAILED)
    with pytest.raises(RefusedError, match=r"Job job-1 is Failed and cannot be .*jobs retry job-1") as caught:
        getattr(ledger, verb)("job-1", actor="me", now_ms=9)
    assert caught.value.code == "JobStatus"


def test_a_suspended_job_is_confirmed_once(ledger: LedgerStore) -> None:
    """Who confirmed and when is kept; a second confirmation changes nothing."""
    take_to(ledger, JobStatus.SUSPENDED)
    with pytest.raises(RefusedError, match=r"jobs confirm job-1"):
        ledger.request_resume("job-1", actor="me", now_ms=4)
    assert ledger.request_pause("job-1", actor="me", now_ms=4).status is JobStatus.SUSPENDED
    first = ledger.confirm("job-1", actor="me", now_ms=5)
    assert (first.status, first.confirmed_by, first.confirmed_at_ms) == (JobStatus.READY, "me", 5)
    assert ledger.confirm("job-1", actor="you", now_ms=6) == first


def test_a_confirmation_is_about_the_plan_that_was_shown(ledger: LedgerStore) -> None:
    """Another number of objects or another manifest is refused and says what the plan is about; the job still waits."""
    ledger.create_jobs([new_job(confirmation_required=True)], now_ms=1)
    epoch = ledger.acquire_job("job-1", runner_id="runner", host="here", now_ms=1, lease_ms=LEASE_MS)
    assert epoch is not None
    ledger.set_status("job-1", epoch, JobStatus.NEW, JobStatus.PREPARING, now_ms=1)
    chunks = [PlannedChunk()]
    plan = replace(plan_of(chunks), manifest_sha256="12345678" * 8)
    ledger.save_plan("job-1", epoch, plan=plan, manifest_path="m", chunks=chunks, now_ms=1)
    ledger.set_status("job-1", epoch, JobStatus.PREPARING, JobStatus.SUSPENDED, now_ms=1)
    job = ledger.get_job("job-1")
    for shown, told in (
        (ShownPlan(objects=job.total + 1), f"about {job.total:,} objects, not {job.total + 1:,}"),
        (ShownPlan(objects=job.total, manifest_sha256="abcdef01"), "about a manifest with SHA-256 .*, not abcdef01"),
    ):
        with pytest.raises(RefusedError, match=f"{told}.*jobs show job-1") as caught:
            ledger.confirm("job-1", actor="me", now_ms=5, shown=shown)
        assert caught.value.code == "PlanChanged"
        assert ledger.get_job("job-1") == job
    ledger.confirm("job-1", actor="me", now_ms=6, shown=ShownPlan(manifest_sha256="12345678"), facts={"how": "typed"})
    (confirmed,) = [event for event in ledger.events("job-1") if event.kind == "confirmed"]
    assert (confirmed.actor, confirmed.at_ms) == ("me", 6)
    assert confirmed.detail == {
        "objects": job.total,
        "bytes": job.bytes_total,
        "manifest_sha256": plan.manifest_sha256,
        "options": {},
        "profile": None,
        "how": "typed",
    }


def test_a_job_that_waits_for_no_confirmation_refuses_one(ledger: LedgerStore) -> None:
    """A confirmation given before the plan is there would be a blank cheque."""
    ledger.create_jobs([new_job(confirmation_required=True)], now_ms=1)
    with pytest.raises(RefusedError, match="does not wait for a confirmation") as caught:
        ledger.confirm("job-1", actor="me", now_ms=2)
    assert caught.value.code == "NotSuspended"


def test_priorities_order_runnable_jobs(ledger: LedgerStore) -> None:
    """A higher number goes first, within AWS's range."""
    ledger.create_jobs([new_job("a"), new_job("b")], now_ms=1)
    for _ in range(2):
        assert ledger.set_priority("b", 10, actor="me", now_ms=2).priority == 10
    assert [job.id for job in ledger.runnable_jobs(now_ms=3)] == ["b", "a"]
    assert [event.detail for event in ledger.events("b")][1:] == [{"from": 0, "to": 10}]
    with pytest.raises(RefusedError, match="Priority 2147483648 is not in 0 to 2147483647"):
        ledger.set_priority("b", 2**31, actor="me", now_ms=4)


def test_every_change_is_in_the_event_log(ledger: LedgerStore) -> None:
    """Who did what, in order, in pages."""
    take_to(ledger, JobStatus.READY)
    ledger.request_pause("job-1", actor="ann", now_ms=5)
    events = ledger.events("job-1")
    assert [event.kind for event in events[-3:]] == ["released", "wanted", "status"]
    assert (events[-1].actor, events[-1].at_ms) == ("ann", 5)
    assert events[-1].detail == {"from": "Ready", "to": "Paused", "reason": "paused on request", "code": None}
    assert ledger.events("job-1", after_id=events[1].id, limit=2) == events[2:4]
    ledger.append_event("job-1", kind="note", actor="bob", detail={"text": "zoë"}, now_ms=6)
    assert ledger.events("job-1")[-1].detail == {"text": "zoë"}


def test_a_job_record_tells_who_holds_it() -> None:
    """A lease counts until its last millisecond, and only with a runner."""
    job: Job = job_in(JobStatus.ACTIVE, lease_until_ms=10)
    assert job.is_held(9)
    assert not job.is_held(10)
    assert not job_in(JobStatus.ACTIVE, lease_until_ms=None).is_held(0)
