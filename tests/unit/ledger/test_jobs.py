"""Recording jobs and finding them again."""

from contextlib import closing

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s3batch.ledger.records import JobFilter, Wanted
from s3batch.ledger.store import LedgerStore, open_ledger
from s3batch.model.errors import RefusedError
from s3batch.model.job import Operation
from s3batch.model.status import JobStatus
from tests.unit.ledger.ledgers import LEASE_MS, WrittenSegment, active_job, new_job, specification


def test_a_job_comes_back_as_it_was_asked_for(ledger: LedgerStore) -> None:
    """Specification, links and defaults survive the ledger."""
    asked = new_job(description="the sdo archive", priority=7, confirmation_required=True, move_id="m", step=2)
    (made,) = ledger.create_jobs([asked], now_ms=1234)
    job = ledger.get_job("job-1")
    assert made == job
    assert job.spec == specification()
    assert (job.description, job.priority, job.step, job.move_id) == ("the sdo archive", 7, 2, "m")
    assert (job.status, job.operation, job.created_at_ms) == (JobStatus.NEW, Operation.COPY, 1234)
    assert (job.plan, job.progress, job.report, job.wanted, job.counts.total) == (None, {}, None, None, 0)
    assert job.confirmation_required is True


def test_the_jobs_of_a_move_are_recorded_together_or_not_at_all(ledger: LedgerStore) -> None:
    """A refusal of the third leaves no first and second."""
    jobs = [
        new_job("copy", move_id="move", step=0),
        new_job("verify", move_id="move", step=1, depends_on="copy"),
        new_job("delete", move_id="move", step=2, depends_on="verify", priority=-1),
    ]
    with pytest.raises(RefusedError, match="Priority -1 is not in 0 to 2147483647"):
        ledger.create_jobs(jobs, now_ms=1)
    assert ledger.list_jobs() == []
    ledger.create_jobs(jobs[:2], now_ms=1)
    assert [job.id for job in ledger.jobs_by_move("move")] == ["copy", "verify"]


def test_asking_again_with_the_same_token_makes_nothing_new(ledger: LedgerStore) -> None:
    """A caller that lost the answer asks again and gets the jobs of the first call."""
    first = [new_job("a", move_id="m", client_request_token="t"), new_job("b", move_id="m", step=1, depends_on="a")]
    again = [new_job("c", move_id="n", client_request_token="t"), new_job("d", move_id="n", step=1, depends_on="c")]
    made = ledger.create_jobs(first, now_ms=1)
    assert ledger.create_jobs(again, now_ms=2) == made
    assert len(ledger.list_jobs()) == 2


def test_a_token_is_not_lent_to_another_request(ledger: LedgerStore) -> None:
    """As AWS: the same token with another specification is an error."""
    ledger.create_jobs([new_job("a", client_request_token="t")], now_ms=1)
    other = new_job("b", client_request_token="t", spec=specification(Operation.VERIFY))
    with pytest.raises(RefusedError, match=r"was used for a different job, a.*new token") as caught:
        ledger.create_jobs([other], now_ms=2)
    assert caught.value.code == "IdempotencyException"


def test_an_unknown_job_is_refused_with_a_way_out(ledger: LedgerStore) -> None:
    """A mistyped id is a user's mistake, not damage."""
    for ask in (ledger.get_job, ledger.find_jobs):
        with pytest.raises(RefusedError, match=r"No job or move 'nothing'.*jobs list") as caught:
            ask("nothing")
        assert caught.value.code == "NoSuchJob"


def test_jobs_and_moves_are_found_by_id_or_by_its_beginning(ledger: LedgerStore) -> None:
    """Ids of jobs and moves are interchangeable; few characters do where they are unambiguous."""
    ledger.create_jobs(
        [
            new_job("aaaa-1111", move_id="mmmm-9999", step=0),
            new_job("aaaa-2222", move_id="mmmm-9999", step=1),
            new_job("bb%b-3333"),
            new_job("bb%c-4444"),
        ],
        now_ms=1,
    )

    def found(text: str) -> list[str]:
        return [job.id for job in ledger.find_jobs(text)]

    assert found("aaaa-1111") == ["aaaa-1111"]
    assert found("aaaa-1") == ["aaaa-1111"]
    assert found("mmmm-9999") == found("mmmm") == ["aaaa-1111", "aaaa-2222"]
    assert found("bb%b") == ["bb%b-3333"]
    with pytest.raises(RefusedError, match="No job or move 'bb%'"):
        ledger.find_jobs("bb%")
    ledger.create_jobs([new_job("aaaa-1999")], now_ms=2)
    with pytest.raises(RefusedError, match="More than one job or move begins with 'aaaa-1'") as caught:
        ledger.find_jobs("aaaa-1")
    assert caught.value.code == "AmbiguousJob"


def test_a_list_has_filters(ledger: LedgerStore) -> None:
    """By status, operation and move; all filters together."""
    ledger.create_jobs([new_job("a"), new_job("b", spec=specification(Operation.DELETE), move_id="m")], now_ms=1)
    ledger.request_cancel("a", actor="me", now_ms=2)

    def ids(chosen: JobFilter) -> list[str]:
        return [job.id for job in ledger.list_jobs(chosen)]

    assert ids(JobFilter(statuses=[JobStatus.NEW])) == ["b"]
    assert ids(JobFilter(statuses=[JobStatus.CANCELLED, JobStatus.NEW])) == ["b", "a"]
    assert ids(JobFilter(operations=[Operation.COPY])) == ["a"]
    assert ids(JobFilter(move_id="m", operations=[Operation.DELETE])) == ["b"]
    assert ids(JobFilter(move_id="m", statuses=[JobStatus.CANCELLED])) == []


@settings(max_examples=10, deadline=None)
@given(page=st.integers(1, 7), times=st.lists(st.integers(1, 3), max_size=12))
def test_pages_of_a_list_are_the_list(tmp_path_factory: pytest.TempPathFactory, page: int, times: list[int]) -> None:
    """Every job on exactly one page, newest first, however many share a millisecond."""
    with closing(open_ledger(tmp_path_factory.mktemp("pages") / "ledger.sqlite")) as ledger:
        for number, now_ms in enumerate(times):
            ledger.create_jobs([new_job(f"job-{number}", step=number % 3)], now_ms=now_ms)
        whole = ledger.list_jobs()
        paged: list[str] = []
        while chunk := ledger.list_jobs(limit=page, after=paged[-1] if paged else None):
            paged += [job.id for job in chunk]
        assert paged == [job.id for job in whole]
        assert [job.created_at_ms for job in whole] == sorted(times, reverse=True)


def test_only_jobs_that_wait_for_nobody_are_runnable(ledger: LedgerStore) -> None:
    """A successor waits for its predecessor, a held job has its runner, a paused one waits for its user."""

    def runnable(now_ms: int) -> list[str]:
        return [job.id for job in ledger.runnable_jobs(now_ms=now_ms)]

    ledger.create_jobs([new_job("low"), new_job("after-low", depends_on="low", step=1)], now_ms=1)
    ledger.create_jobs([new_job("high", priority=9)], now_ms=2)
    assert runnable(3) == ["high", "low"]
    epoch = ledger.acquire_job("high", runner_id="r", host="h", now_ms=3, lease_ms=LEASE_MS)
    assert epoch == 1
    assert runnable(3) == ["low"]
    assert runnable(3 + LEASE_MS) == ["high", "low"], "an expired lease is no lease"
    for before, after in ((JobStatus.NEW, JobStatus.PREPARING), (JobStatus.PREPARING, JobStatus.SUSPENDED)):
        assert ledger.set_status("high", epoch, before, after, now_ms=4)
    assert ledger.release_job("high", epoch, now_ms=5)
    assert runnable(6) == ["low"], "suspended: it waits for its confirmation"
    ledger.confirm("high", actor="me", now_ms=7)
    assert runnable(8) == ["high", "low"]
    ledger.request_pause("high", actor="me", now_ms=9)
    assert runnable(10) == ["low"]


def test_a_paused_job_with_outcomes_is_runnable_to_be_cancelled(ledger: LedgerStore) -> None:
    """Its report has to be written by somebody."""
    epoch = active_job(ledger)
    (claimed,) = ledger.claim_chunks("job-1", epoch, count=9, now_ms=1)
    segment = WrittenSegment(rows=4, succeeded=4)
    assert ledger.finish_chunk("job-1", epoch, 0, claimed.epoch, segment=segment, complete=False, now_ms=2)
    ledger.request_pause("job-1", actor="me", now_ms=3)
    for before, after in ((JobStatus.ACTIVE, JobStatus.PAUSING), (JobStatus.PAUSING, JobStatus.PAUSED)):
        assert ledger.set_status("job-1", epoch, before, after, now_ms=4)
    assert ledger.release_job("job-1", epoch, now_ms=5)
    assert ledger.runnable_jobs(now_ms=6) == []
    assert ledger.request_cancel("job-1", actor="me", now_ms=7).wanted is Wanted.CANCEL
    assert [job.id for job in ledger.runnable_jobs(now_ms=8)] == ["job-1"]
