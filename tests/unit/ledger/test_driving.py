"""Driving jobs: leases, fencing, plans, and chunks with their segments."""

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3batch.ledger.driving import start_order
from s3batch.ledger.records import ChunkCounts, ChunkState
from s3batch.ledger.store import LedgerStore
from s3batch.model.errors import InconsistentError
from s3batch.model.outcome import Counts
from s3batch.model.status import JobStatus
from tests.keys import HOSTILE_KEYS
from tests.unit.ledger.ledgers import LEASE_MS, PlannedChunk, WrittenSegment, active_job, counters, new_job, plan_of


def test_a_job_has_one_runner_at_a_time(ledger: LedgerStore) -> None:
    """A live lease keeps others away, its holder may take it again, an expired one is free; each is a new epoch."""
    ledger.create_jobs([new_job()], now_ms=0)

    def acquire(runner_id: str, now_ms: int, *, force: bool = False) -> int | None:
        return ledger.acquire_job("job-1", runner_id=runner_id, host="h", now_ms=now_ms, lease_ms=LEASE_MS, force=force)

    assert acquire("a", 0) == 1
    assert acquire("b", LEASE_MS - 1) is None
    assert acquire("a", 5) == 2
    assert acquire("b", 5 + LEASE_MS) == 3
    assert acquire("c", 6 + LEASE_MS) is None
    assert acquire("c", 6 + LEASE_MS, force=True) == 4
    for stale in (1, 2, 3):
        assert not ledger.renew_lease("job-1", stale, now_ms=7 + LEASE_MS, lease_ms=LEASE_MS)
    assert ledger.renew_lease("job-1", 4, now_ms=7 + LEASE_MS, lease_ms=LEASE_MS)
    assert ledger.get_job("job-1").lease_until_ms == 7 + 2 * LEASE_MS
    assert ledger.release_job("job-1", 4, now_ms=8 + LEASE_MS)
    assert not ledger.renew_lease("job-1", 4, now_ms=9 + LEASE_MS, lease_ms=LEASE_MS), "released is released"


def test_an_ended_job_cannot_be_acquired(ledger: LedgerStore) -> None:
    """Not even by force."""
    ledger.create_jobs([new_job()], now_ms=0)
    ledger.request_cancel("job-1", actor="me", now_ms=1)
    assert ledger.acquire_job("job-1", runner_id="r", host="h", now_ms=2, lease_ms=1, force=True) is None


def test_everything_a_stale_runner_writes_is_dropped(ledger: LedgerStore) -> None:
    """After a take-over each write of the former runner changes nothing and says so."""
    stale = active_job(ledger, chunks=[PlannedChunk(), PlannedChunk()])
    (claimed, _other) = ledger.claim_chunks("job-1", stale, count=2, now_ms=1)
    epoch = ledger.acquire_job("job-1", runner_id="b", host="h", now_ms=LEASE_MS, lease_ms=LEASE_MS)
    assert epoch == stale + 1
    before = ledger.get_job("job-1"), ledger.chunks("job-1"), ledger.events("job-1")
    segment = WrittenSegment(rows=10, succeeded=10)
    number, chunk_epoch = claimed.chunk_no, claimed.epoch
    assert not ledger.set_status("job-1", stale, JobStatus.ACTIVE, JobStatus.PAUSING, now_ms=9)
    assert not ledger.save_progress("job-1", stale, progress={"x": 1}, active_ms=5, now_ms=9)
    assert not ledger.record_report("job-1", stale, report={"x": 1}, now_ms=9)
    assert not ledger.release_job("job-1", stale, now_ms=9)
    assert not ledger.save_plan("job-1", stale, plan=plan_of([]), manifest_path="m", chunks=[], now_ms=9)
    assert ledger.claim_chunks("job-1", stale, count=5, now_ms=9) == []
    assert ledger.reclaim_running("job-1", stale) == 0
    assert ledger.lose_chunk("job-1", stale, number, chunk_epoch, now_ms=9) is None
    assert not ledger.finish_chunk("job-1", stale, number, chunk_epoch, segment=segment, complete=True, now_ms=9)
    assert (ledger.get_job("job-1"), ledger.chunks("job-1"), ledger.events("job-1")) == before
    assert ledger.reclaim_running("job-1", epoch) == 2
    assert ledger.chunk_counts("job-1") == ChunkCounts(ready=2)


def test_a_stale_attempt_is_dropped_although_its_runner_is_not(ledger: LedgerStore) -> None:
    """The measured case: claim A, lose it, claim B; A's result changes nothing, B's counts once."""
    epoch = active_job(ledger)
    (first,) = ledger.claim_chunks("job-1", epoch, count=1, now_ms=1)
    assert ledger.lose_chunk("job-1", epoch, 0, first.epoch, now_ms=2) == 1
    (second,) = ledger.claim_chunks("job-1", epoch, count=1, now_ms=3)
    assert (second.epoch, second.losses) == (first.epoch + 1, 1)

    def finish(chunk_epoch: int, path: str) -> bool:
        segment = WrittenSegment(rows=10, succeeded=9, failed=1, by_code={"NoSuchKey": 1}, path=path)
        return ledger.finish_chunk("job-1", epoch, 0, chunk_epoch, segment=segment, complete=True, now_ms=4)

    assert not finish(first.epoch, "a")
    assert finish(second.epoch, "b")
    assert not finish(first.epoch, "a")
    assert not finish(second.epoch, "b"), "accepted once"
    assert [(segment.path, segment.epoch) for segment in ledger.segments("job-1")] == [("b", second.epoch)]
    assert counters(ledger.get_job("job-1")) == (9, 1, 0)


def test_a_chunk_may_be_done_in_pieces(ledger: LedgerStore) -> None:
    """A pause ends an attempt early: what it recorded counts, the next one does the rest, in order of acceptance."""
    epoch = active_job(ledger)
    pieces = [
        WrittenSegment(rows=3, succeeded=3, bytes_done=300, path="one"),
        WrittenSegment(rows=0, succeeded=0, path="nothing"),
        WrittenSegment(rows=7, succeeded=4, failed=1, kept=2, by_code={"SourceChanged": 2, "X": 1}, bytes_done=1),
    ]
    for number, piece in enumerate(pieces):
        (claimed,) = ledger.claim_chunks("job-1", epoch, count=1, now_ms=number)
        assert ledger.finish_chunk(
            "job-1", epoch, 0, claimed.epoch, segment=piece, complete=piece is pieces[-1], now_ms=number
        )
    assert ledger.claim_chunks("job-1", epoch, count=1, now_ms=9) == []
    segments = ledger.segments("job-1", 0)
    assert [(segment.sequence, segment.epoch, segment.rows) for segment in segments] == [(0, 1, 3), (1, 3, 7)]
    (chunk,) = ledger.chunks("job-1")
    assert (chunk.state, chunk.recorded, chunk.losses) == (ChunkState.DONE, 10, 0)
    totals = Counts(total=10, succeeded=7, failed=1, kept=2, by_code={"SourceChanged": 2, "X": 1})
    assert ledger.outcome_totals("job-1") == ledger.get_job("job-1").counts == totals
    assert ledger.get_job("job-1").bytes_done == 301


@pytest.mark.parametrize(
    ("segment", "complete"),
    [
        (WrittenSegment(rows=11, succeeded=11), False),
        (WrittenSegment(rows=9, succeeded=9), True),
        (WrittenSegment(rows=10, succeeded=9), True),
    ],
)
def test_outcomes_that_do_not_add_up_are_never_recorded(
    ledger: LedgerStore,
    segment: WrittenSegment,
    complete: bool,  # noqa: FBT001
) -> None:
    """Two outcomes for one entry, or a done chunk with an entry that has none, is damage: nothing is written."""
    epoch = active_job(ledger)
    (claimed,) = ledger.claim_chunks("job-1", epoch, count=1, now_ms=1)
    with pytest.raises(InconsistentError, match=r"Chunk 0 has 10 entries.*does not fit"):
        ledger.finish_chunk("job-1", epoch, 0, claimed.epoch, segment=segment, complete=complete, now_ms=2)
    assert ledger.segments("job-1") == []
    assert ledger.chunk_counts("job-1") == ChunkCounts(running=1)


def test_a_job_completes_only_with_an_outcome_for_each_task(ledger: LedgerStore) -> None:
    """Completing with a chunk undone is refused, whoever asks."""
    epoch = active_job(ledger, chunks=[PlannedChunk(), PlannedChunk()])
    (claimed,) = ledger.claim_chunks("job-1", epoch, count=1, now_ms=1)
    segment = WrittenSegment(rows=10, kept=10, succeeded=0)
    ledger.finish_chunk("job-1", epoch, claimed.chunk_no, claimed.epoch, segment=segment, complete=True, now_ms=2)
    with pytest.raises(InconsistentError, match="chunk 1 has tasks without an outcome"):
        ledger.set_status("job-1", epoch, JobStatus.ACTIVE, JobStatus.COMPLETING, now_ms=3)


def test_a_step_that_the_table_lacks_is_refused(ledger: LedgerStore) -> None:
    """A bug of the runner is told apart from a job that somebody else has moved on."""
    epoch = active_job(ledger)
    with pytest.raises(InconsistentError, match="cannot go from Active to Complete"):
        ledger.set_status("job-1", epoch, JobStatus.ACTIVE, JobStatus.COMPLETE, now_ms=1)
    assert not ledger.set_status("job-1", epoch, JobStatus.READY, JobStatus.ACTIVE, now_ms=1)


def test_a_failed_job_says_why_and_ends_its_dependents(ledger: LedgerStore) -> None:
    """In one transaction: nobody finds a delete that waits for a verify which will never be."""
    ledger.create_jobs([new_job("verify"), new_job("delete", depends_on="verify")], now_ms=0)
    epoch = ledger.acquire_job("verify", runner_id="r", host="h", now_ms=0, lease_ms=LEASE_MS)
    assert epoch is not None
    assert ledger.set_status(
        "verify",
        epoch,
        JobStatus.NEW,
        JobStatus.FAILED,
        now_ms=7,
        failure_code="ManifestChanged",
        failure_reason="ETag",
    )
    verify, delete = ledger.get_job("verify"), ledger.get_job("delete")
    assert (verify.failure_code, verify.failure_reason, verify.ended_at_ms) == ("ManifestChanged", "ETag", 7)
    assert (delete.status, delete.failure_code) == (JobStatus.CANCELLED, "DependencyEnded")


def test_chunks_that_still_run_when_a_job_rests_are_put_back(ledger: LedgerStore) -> None:
    """Their late results are dropped, and no chunk of a resting job is running."""
    epoch = active_job(ledger)
    (claimed,) = ledger.claim_chunks("job-1", epoch, count=1, now_ms=1)
    assert ledger.set_status("job-1", epoch, JobStatus.ACTIVE, JobStatus.READY, now_ms=2)
    segment = WrittenSegment(rows=10, succeeded=10)
    assert not ledger.finish_chunk("job-1", epoch, 0, claimed.epoch, segment=segment, complete=True, now_ms=3)
    assert ledger.claim_chunks("job-1", epoch, count=1, now_ms=4) == [], "only an active job hands out chunks"


def test_a_plan_can_be_written_again_until_work_begins(ledger: LedgerStore) -> None:
    """A crash in Preparing is followed by another Preparing, which replaces what the first one wrote."""
    ledger.create_jobs([new_job()], now_ms=0)
    epoch = ledger.acquire_job("job-1", runner_id="r", host="h", now_ms=0, lease_ms=LEASE_MS)
    assert epoch is not None
    ledger.set_status("job-1", epoch, JobStatus.NEW, JobStatus.PREPARING, now_ms=1)
    for count in (5, 3):
        chunks = [PlannedChunk(entries=number, bytes=number * 100) for number in range(1, count + 1)]
        plan = plan_of(chunks)
        assert ledger.save_plan("job-1", epoch, plan=plan, manifest_path=f"manifest-{count}", chunks=chunks, now_ms=2)
    job = ledger.get_job("job-1")
    assert (job.plan, job.manifest_path, job.total, job.bytes_total) == (plan, "manifest-3", 6, 600)
    assert [chunk.entries for chunk in ledger.chunks("job-1")] == [1, 2, 3]
    ledger.set_status("job-1", epoch, JobStatus.PREPARING, JobStatus.READY, now_ms=3)
    with pytest.raises(InconsistentError, match="its plan cannot be written now"):
        ledger.save_plan("job-1", epoch, plan=plan, manifest_path="m", chunks=chunks, now_ms=4)


def test_hostile_keys_survive_the_ledger(ledger: LedgerStore) -> None:
    """The bounds of a chunk are keys as the store has them."""
    keys = sorted(HOSTILE_KEYS)
    active_job(ledger, chunks=[PlannedChunk(first_key=key, last_key=key) for key in keys])
    assert [(chunk.first_key, chunk.last_key) for chunk in ledger.chunks("job-1")] == [(key, key) for key in keys]


def test_progress_and_report_are_kept(ledger: LedgerStore) -> None:
    """Progress is overwritten each second and never counted as outcomes."""
    epoch = active_job(ledger)
    for second in (1, 2):
        assert ledger.save_progress("job-1", epoch, progress={"copied": second}, active_ms=second * 1000, now_ms=second)
    assert ledger.record_report("job-1", epoch, report={"url": "s3://b/ü"}, now_ms=3)
    job = ledger.get_job("job-1")
    assert (job.progress, job.active_ms, job.report, job.succeeded) == ({"copied": 2}, 2000, {"url": "s3://b/ü"}, 0)


def test_runners_are_known_while_they_are_heard_of(ledger: LedgerStore) -> None:
    """A silent runner is not live, a removed one is gone, a new start replaces the old one."""
    ledger.register_runner("a", host="h", pid=1, now_ms=100)
    ledger.register_runner("b", host="h", pid=2, now_ms=150)
    assert [runner.id for runner in ledger.live_runners(now_ms=190, within_ms=100)] == ["a", "b"]
    assert [runner.id for runner in ledger.live_runners(now_ms=210, within_ms=100)] == ["b"]
    assert ledger.heartbeat("a", now_ms=205)
    assert len(ledger.live_runners(now_ms=210, within_ms=100)) == 2
    ledger.register_runner("a", host="h", pid=3, now_ms=206)
    assert {runner.pid for runner in ledger.live_runners(now_ms=210, within_ms=100)} == {2, 3}
    ledger.remove_runner("a")
    assert not ledger.heartbeat("a", now_ms=207)


@given(chunks=st.integers(1, 3000))
def test_every_chunk_has_its_own_place_in_the_order_of_starting(chunks: int) -> None:
    """No two chunks share a place, so the order is total and none is forgotten."""
    assert len({start_order(number, chunks) for number in range(chunks)}) == chunks


def test_chunks_start_far_apart(ledger: LedgerStore) -> None:
    """Bit-reversed: the first four of eight lie in different quarters of the key space."""
    epoch = active_job(ledger, chunks=[PlannedChunk()] * 8)
    first = ledger.claim_chunks("job-1", epoch, count=3, now_ms=1)
    rest = ledger.claim_chunks("job-1", epoch, count=99, now_ms=2)
    assert [claimed.chunk_no for claimed in first + rest] == [0, 4, 2, 6, 1, 5, 3, 7]


def test_a_thousand_million_entries_are_a_hundred_thousand_rows(
    ledger: LedgerStore, capsys: pytest.CaptureFixture[str]
) -> None:
    """The largest plan is written, claimed and finished; how fast is printed for the reader, not judged."""
    chunks = [PlannedChunk(entries=10_000, first_key=f"sdo/{number:09}") for number in range(100_000)]
    spent = {}
    started = time.perf_counter()
    epoch = active_job(ledger, chunks=chunks)
    spent["plan_s"] = round(time.perf_counter() - started, 2)
    started = time.perf_counter()
    claimed = ledger.claim_chunks("job-1", epoch, count=200, now_ms=1)
    spent["claim_200_s"] = round(time.perf_counter() - started, 4)
    started = time.perf_counter()
    with ledger.batch() as batch:
        for each in claimed:
            segment = WrittenSegment(rows=10_000, succeeded=9_999, failed=1, by_code={"NoSuchKey": 1})
            assert batch.finish_chunk(
                "job-1", epoch, each.chunk_no, each.epoch, segment=segment, complete=True, now_ms=2
            )
    spent["finish_us_each"] = round((time.perf_counter() - started) * 1e6 / len(claimed))
    assert ledger.get_job("job-1").total == 10**9
    assert ledger.chunk_counts("job-1") == ChunkCounts(ready=99_800, done=200)
    with capsys.disabled():
        print(f"\n100,000 chunks: {json.dumps(spent)}")  # noqa: T201 - the figures are what this line is for
