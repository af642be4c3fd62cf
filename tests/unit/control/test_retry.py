"""Trying again: which jobs are made, of what, and what is refused."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from itertools import count
from pathlib import Path

import pytest

from s3batch.control.moves import create_move
from s3batch.control.proven_delete import renewal_of
from s3batch.control.retry import retry
from s3batch.ledger.records import Job
from s3batch.ledger.store import LedgerStore, open_ledger
from s3batch.model.attributes import Attribute
from s3batch.model.errors import RefusedError
from s3batch.model.job import (
    DeleteOptions,
    Extra,
    IfTargetExists,
    JobSpec,
    Level,
    ManifestSource,
    Operation,
    ProbeOptions,
    VerifyOptions,
)
from s3batch.model.status import JobStatus
from tests.unit.ledger.ledgers import LEASE_MS, PlannedChunk, WrittenSegment, new_job, plan_of, specification


@pytest.fixture
def ledger(tmp_path: Path) -> Iterator[LedgerStore]:
    """An empty ledger."""
    store = open_ledger(tmp_path / "ledger.sqlite")
    yield store
    store.close()


def complete(ledger: LedgerStore, job_id: str, *, failed: int = 0, kept: int = 0, code: str = "SlowDown") -> None:
    """Take a recorded job to Complete with ten tasks, so many of which failed or were kept."""
    epoch = ledger.acquire_job(job_id, runner_id="runner", host="here", now_ms=0, lease_ms=LEASE_MS)
    assert epoch is not None
    chunks = [PlannedChunk(entries=10)]
    ledger.set_status(job_id, epoch, JobStatus.NEW, JobStatus.PREPARING, now_ms=0)
    ledger.save_plan(job_id, epoch, plan=plan_of(chunks), manifest_path="manifest.parquet", chunks=chunks, now_ms=0)
    for before, after in ((JobStatus.PREPARING, JobStatus.READY), (JobStatus.READY, JobStatus.ACTIVE)):
        ledger.set_status(job_id, epoch, before, after, now_ms=0)
    (chunk,) = ledger.claim_chunks(job_id, epoch, count=1, now_ms=0)
    bad = failed + kept
    segment = WrittenSegment(
        rows=10, succeeded=10 - bad, failed=failed, kept=kept, by_code={code: bad} if bad else {}, path=job_id
    )
    ledger.finish_chunk(job_id, epoch, chunk.chunk_no, chunk.epoch, segment=segment, complete=True, now_ms=0)
    for before, after in ((JobStatus.ACTIVE, JobStatus.COMPLETING), (JobStatus.COMPLETING, JobStatus.COMPLETE)):
        assert ledger.set_status(job_id, epoch, before, after, now_ms=0)
    ledger.release_job(job_id, epoch, now_ms=0)


def again(ledger: LedgerStore, text: str, *codes: str, is_confirmed: bool = False) -> list[Job]:
    """Retry what a user means by an id."""
    numbers = count()
    return retry(
        ledger,
        ledger.find_jobs(text),
        codes=codes,
        is_confirmed=is_confirmed,
        now_ms=9,
        make_id=lambda: f"again-{next(numbers)}",
    )


def move(ledger: LedgerStore, *, level: Level = Level.CHECKSUM) -> list[Job]:
    """Record a move whose ids are move-0 to move-3."""
    numbers = count()
    return create_move(
        ledger,
        specification(),
        verify=VerifyOptions(level=level),
        delete=DeleteOptions(),
        is_confirmed=True,
        now_ms=0,
        make_id=lambda: f"move-{next(numbers)}",
    )


def test_a_copy_becomes_a_copy_of_its_failed_rows(ledger: LedgerStore) -> None:
    """The same in all else."""
    ledger.create_jobs([new_job("copy-1")], now_ms=0)
    complete(ledger, "copy-1", failed=2)
    (job,) = again(ledger, "copy-1", "SlowDown")
    assert job.spec.source == ManifestSource(job_id="copy-1", codes=("SlowDown",), is_retry=True)
    assert job.spec.mapping == specification().mapping
    assert job.operation is Operation.COPY
    assert job.depends_on is None
    assert not job.confirmation_required


def test_a_delete_is_verified_anew_and_never_follows_old_evidence(ledger: LedgerStore) -> None:
    """Two jobs: the delete takes the new verify job's evidence, and is confirmed by itself."""
    spec = JobSpec(
        operation=Operation.DELETE, source=ManifestSource(job_id="verify-1"), mapping=specification().mapping
    )
    ledger.create_jobs([new_job("verify-1"), new_job("delete-1", spec=spec)], now_ms=0)
    complete(ledger, "delete-1", kept=3, code="TargetMissing")
    verify, delete = again(ledger, "delete-1")
    assert verify.operation is Operation.VERIFY
    assert verify.spec.source == ManifestSource(job_id="delete-1", is_retry=True)
    assert (delete.operation, delete.depends_on) == (Operation.DELETE, verify.id)
    assert delete.spec.source == ManifestSource(job_id=verify.id)
    assert delete.confirmation_required


def test_what_was_deleted_after_a_hold_is_tried_again_after_one(ledger: LedgerStore) -> None:
    """The verify that comes first waits as the one before waited."""
    verify = replace(specification(Operation.VERIFY), hold_s=3_600)
    spec = replace(
        specification(Operation.DELETE), source=ManifestSource(job_id="verify-1"), delete=DeleteOptions(max_bytes=7)
    )
    ledger.create_jobs([new_job("verify-1", spec=verify), new_job("delete-1", spec=spec)], now_ms=0)
    complete(ledger, "delete-1", kept=3, code="TargetMissing")
    again_verify, delete = again(ledger, "delete-1")
    assert (again_verify.spec.hold_s, delete.spec.hold_s, delete.spec.delete) == (3_600, None, spec.delete)


def test_a_move_with_a_hold_has_a_second_verify_and_is_retried_as_such(ledger: LedgerStore) -> None:
    """The second looks at the same copy job's answers, waits, and is what the delete is built on."""
    made = iter(f"held-{number}" for number in range(9))
    steps = create_move(
        ledger,
        specification(),
        verify=VerifyOptions(extra=Extra.FAIL),
        delete=DeleteOptions(),
        hold_s=60,
        is_confirmed=True,
        now_ms=0,
        make_id=lambda: next(made),
    )
    assert [(job.operation, job.spec.hold_s) for job in steps] == [
        (Operation.COPY, None),
        (Operation.VERIFY, None),
        (Operation.VERIFY, 60),
        (Operation.DELETE, None),
    ]
    assert [job.depends_on for job in steps] == [None, *(job.id for job in steps[:-1])]
    assert [job.spec.source.evidence_job_id for job in steps] == [None, steps[0].id, steps[0].id, steps[2].id]
    assert [job.spec.verify.extra for job in steps[1:3]] == [Extra.FAIL, None]
    for job in steps:
        complete(ledger, job.id, kept=int(job is steps[-1]))
    assert [job.spec.hold_s for job in again(ledger, str(steps[0].move_id))] == [None, None, 60, None]


def test_a_verify_without_a_copy_job_is_renewed_over_its_own_entries() -> None:
    """A listing, a manifest and a retry are not read anew: the entries are those that were pinned and proven."""
    for source in (
        ManifestSource(list_bucket="archive"),
        ManifestSource(url="/m.csv"),
        ManifestSource(job_id="x", is_retry=True),
    ):
        renewal = renewal_of(replace(specification(Operation.VERIFY), source=source), "verify-1", hold_s=5)
        assert renewal.source == ManifestSource(job_id="verify-1", is_entries_only=True)
        assert renewal.source.evidence_job_id is None


def test_an_unverified_delete_is_confirmed_again_whatever_is_said(ledger: LedgerStore) -> None:
    """Nothing else guards it."""
    spec = JobSpec(
        operation=Operation.DELETE, source=ManifestSource(url="/list.csv"), delete=DeleteOptions(unverified=True)
    )
    ledger.create_jobs([new_job("delete-1", spec=spec)], now_ms=0)
    complete(ledger, "delete-1", failed=1)
    (job,) = again(ledger, "delete-1", is_confirmed=True)
    assert job.spec.delete.unverified
    assert job.confirmation_required


def test_a_move_becomes_a_move_of_what_was_not_deleted(ledger: LedgerStore) -> None:
    """With its own level; copies that are there already are left as they are if they are the same."""
    move(ledger)
    for step in ("move-1", "move-2"):
        complete(ledger, step)
    complete(ledger, "move-3", kept=2, code="TargetMissing")
    copy, verify, delete = again(ledger, "move-0", is_confirmed=True)
    assert copy.spec.source == ManifestSource(job_id="move-3", is_retry=True)
    assert copy.spec.copy.if_target_exists is IfTargetExists.SKIP_IF_SAME
    assert verify.spec.verify.level is Level.CHECKSUM
    assert (verify.depends_on, delete.depends_on) == (copy.id, verify.id)
    assert len({copy.move_id, verify.move_id, delete.move_id}) == 1
    assert not delete.confirmation_required


@pytest.mark.parametrize(
    ("failed", "codes", "message"),
    [
        (0, (), "No task of job copy-1 failed or was kept."),
        (1, ("AccessDenied",), "No task of job copy-1 ended with AccessDenied. Its codes are: SlowDown 1."),
    ],
)
def test_without_such_rows_no_job_is_made(
    ledger: LedgerStore, failed: int, codes: tuple[str, ...], message: str
) -> None:
    """The codes that there are, are told."""
    ledger.create_jobs([new_job("copy-1")], now_ms=0)
    complete(ledger, "copy-1", failed=failed)
    with pytest.raises(RefusedError) as refusal:
        again(ledger, "copy-1", *codes)
    assert (refusal.value.code, str(refusal.value)) == ("NothingToRetry", message)


def test_a_job_that_has_not_ended_is_not_tried_again(ledger: LedgerStore) -> None:
    """Nor a move one of whose steps is still due."""
    ledger.create_jobs([new_job("copy-1")], now_ms=0)
    move(ledger)
    for text in ("copy-1", "move-0"):
        with pytest.raises(RefusedError, match="not known yet"):
            again(ledger, text)


def test_a_move_whose_delete_did_not_run_is_run_again_as_a_whole(ledger: LedgerStore) -> None:
    """Objects without an outcome would be forgotten otherwise."""
    move(ledger)
    complete(ledger, "move-1", failed=1)
    for step in ("move-3", "move-2"):
        ledger.request_cancel(step, actor="somebody", now_ms=1)
    with pytest.raises(RefusedError, match="Run the same move again with --if-target-exists skip-if-same"):
        again(ledger, "move-0")


def test_a_move_requires_what_its_verify_compares_and_so_does_its_retry(ledger: LedgerStore) -> None:
    """The delete takes no proof that covers less, the second time as the first (safety.md rule 13)."""
    asked = (Attribute.TAGS,)
    create_move(
        ledger,
        specification(),
        verify=VerifyOptions(attributes=asked),
        delete=DeleteOptions(),
        is_confirmed=True,
        now_ms=0,
        make_id=iter([f"move-{number}" for number in range(4)]).__next__,
    )
    assert ledger.get_job("move-3").spec.delete.required == asked
    for job_id in ("move-1", "move-2"):
        complete(ledger, job_id)
    complete(ledger, "move-3", kept=2, code="NotProven")
    _, verify, delete = again(ledger, "move-0")
    assert (verify.spec.verify.attributes, delete.spec.delete.required) == (asked, asked)


def test_a_retry_writes_no_canaries(ledger: LedgerStore) -> None:
    """The prefix was named for another job, and a retry may be a dry run; of moves as of single jobs."""
    named = replace(specification(), probe=ProbeOptions(prefixes=("s3://archive/probes/",)))
    ledger.create_jobs([new_job("copy-1", spec=named)], now_ms=0)
    complete(ledger, "copy-1", failed=2)
    numbers = count()
    create_move(
        ledger,
        named,
        verify=VerifyOptions(),
        delete=DeleteOptions(),
        is_confirmed=True,
        now_ms=0,
        make_id=lambda: f"move-{next(numbers)}",
    )
    assert ledger.get_job("move-3").spec.probe == named.probe  # each step of a move may write them
    for step in ("move-1", "move-2"):
        complete(ledger, step)
    complete(ledger, "move-3", kept=2, code="TargetMissing")
    retried = [*again(ledger, "copy-1"), *retry(ledger, ledger.find_jobs("move-0"), now_ms=9)]
    assert {job.spec.probe for job in retried} == {ProbeOptions()}
