"""Claims on key ranges: what overlaps, who conflicts, and how long a claim counts."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3batch.ledger.claims import MAX_CLAIMS
from s3batch.ledger.records import ClaimMode, ConflictingClaim, KeyClaim
from s3batch.ledger.store import LedgerStore
from s3batch.model.errors import RefusedError
from s3batch.model.status import JobStatus
from tests.keys import HOSTILE_KEYS, LONGEST_KEY, LONGEST_WIDE_KEY
from tests.unit.ledger.ledgers import LEASE_MS, new_job

SHARED, EXCLUSIVE = ClaimMode.SHARED, ClaimMode.EXCLUSIVE
_KEYS = st.text(st.sampled_from("ab/\U0010ffff"), max_size=3)
_CLAIMS = st.builds(
    KeyClaim,
    bucket=st.sampled_from(["x", "y"]),
    first_key=_KEYS,
    last_key=st.none() | _KEYS,
    mode=st.sampled_from(ClaimMode),
)


def _has(claim: KeyClaim, key: str) -> bool:
    return claim.first_key <= key and (claim.last_key is None or key <= claim.last_key)


@given(one=_CLAIMS, other=_CLAIMS, keys=st.lists(_KEYS))
def test_claims_conflict_when_they_share_a_key_and_one_is_exclusive(
    one: KeyClaim, other: KeyClaim, keys: list[str]
) -> None:
    """Whichever asks first: the relation is symmetric, and a common key is always found."""
    conflict = one.conflicts_with(other)
    assert conflict == other.conflicts_with(one)
    if one.bucket != other.bucket or one.mode is other.mode is SHARED:
        assert not conflict
    elif any(_has(one, key) and _has(other, key) for key in [*keys, one.first_key, other.first_key]):
        assert conflict


@pytest.mark.parametrize("key", [*HOSTILE_KEYS, LONGEST_KEY, LONGEST_WIDE_KEY])
def test_a_prefix_claims_every_key_that_begins_with_it(key: str) -> None:
    """And nothing beside it: `sdo/` is not `sdo2/`."""
    for length in range(len(key) + 1):
        assert _has(KeyClaim.of_prefix("b", key[:length], SHARED), key)
    assert not _has(KeyClaim.of_prefix("b", "sdo/", SHARED), "sdo2/x")
    assert not _has(KeyClaim.of_prefix("b", "sdo/", SHARED), "sdo.")


def _prefix(prefix: str, mode: ClaimMode) -> KeyClaim:
    return KeyClaim.of_prefix("bucket", prefix, mode)


def test_moves_in_opposite_directions_do_not_use_each_other_as_proof(ledger: LedgerStore) -> None:
    """`a/ -> b/` claims `b/` as evidence and `a/` to delete; `b/ -> a/` then gets neither."""
    ledger.create_jobs([new_job("ab"), new_job("ba")], now_ms=1)
    assert ledger.add_claims("ab", [_prefix("b/", SHARED), _prefix("a/", EXCLUSIVE)]) == []
    in_the_way = ledger.add_claims("ba", [_prefix("a/", SHARED), _prefix("b/", EXCLUSIVE)])
    assert in_the_way == [
        ConflictingClaim(job_id="ab", claim=_prefix("b/", SHARED)),
        ConflictingClaim(job_id="ab", claim=_prefix("a/", EXCLUSIVE)),
    ]
    assert ledger.claims("ba") == [], "all or nothing"
    assert ledger.release_claims("ab") == 2
    assert ledger.add_claims("ba", [_prefix("a/", SHARED), _prefix("b/", EXCLUSIVE)]) == []


def test_evidence_can_be_shared_and_claims_renewed(ledger: LedgerStore) -> None:
    """Two jobs may read one range; a job's new claims stand in place of its old ones."""
    ledger.create_jobs([new_job("one"), new_job("two")], now_ms=1)
    for job_id in ("one", "two", "one"):
        assert ledger.add_claims(job_id, [_prefix("a/", SHARED)]) == []
    assert ledger.claims("one") == [_prefix("a/", SHARED)]
    assert len(ledger.add_claims("one", [_prefix("a/", EXCLUSIVE)])) == 1
    assert ledger.claims("one") == [_prefix("a/", SHARED)], "a refusal takes nothing away"
    assert ledger.add_claims("one", []) == []
    assert ledger.add_claims("two", [_prefix("a/", EXCLUSIVE)]) == []


def test_jobs_that_belong_together_do_not_stand_in_each_others_way(ledger: LedgerStore) -> None:
    """A move's delete removes what its copy read; a delete by a verify job removes what that one compared."""
    ledger.create_jobs([new_job("copy", move_id="m"), new_job("delete", move_id="m", step=2)], now_ms=1)
    ledger.create_jobs([new_job("v"), new_job("d", depends_on="v"), new_job("stranger")], now_ms=1)
    assert ledger.add_claims("copy", [_prefix("a/", EXCLUSIVE)]) == []
    assert ledger.add_claims("delete", [_prefix("a/", EXCLUSIVE)]) == []
    assert ledger.add_claims("v", [_prefix("b/", EXCLUSIVE)]) == []
    assert ledger.add_claims("d", [_prefix("b/", EXCLUSIVE)]) == []
    assert len(ledger.add_claims("stranger", [KeyClaim.of_prefix("bucket", "", SHARED)])) == 4


def _end(ledger: LedgerStore, job_id: str) -> None:
    epoch = ledger.acquire_job(job_id, runner_id="r", host="h", now_ms=1, lease_ms=LEASE_MS)
    assert epoch is not None
    steps = (JobStatus.NEW, JobStatus.PREPARING, JobStatus.READY, JobStatus.ACTIVE, JobStatus.COMPLETING)
    for before, after in zip(steps, (*steps[1:], JobStatus.COMPLETE), strict=True):
        assert ledger.set_status(job_id, epoch, before, after, now_ms=2)


def test_a_claim_counts_until_the_last_job_that_depends_on_it_has_ended(ledger: LedgerStore) -> None:
    """The target that a copy wrote stays claimed until the move's delete has ended, whoever crashes in between."""
    ledger.create_jobs(
        [
            new_job("copy", move_id="m"),
            new_job("verify", move_id="m", step=1, depends_on="copy"),
            new_job("delete", move_id="m", step=2, depends_on="verify"),
            new_job("other"),
        ],
        now_ms=1,
    )
    assert ledger.add_claims("copy", [_prefix("b/", EXCLUSIVE)]) == []
    for job_id in ("copy", "verify"):
        _end(ledger, job_id)
        assert [held.job_id for held in ledger.add_claims("other", [_prefix("b/x/", EXCLUSIVE)])] == ["copy"]
    _end(ledger, "delete")
    assert ledger.add_claims("other", [_prefix("b/x/", EXCLUSIVE)]) == []
    assert ledger.claims("copy") == []


def test_two_deletes_of_one_range_go_one_after_the_other(ledger: LedgerStore) -> None:
    """Each waiting for what the other's verify job keeps would be for ever: the one that was created first goes."""
    ledger.create_jobs([new_job("v1"), new_job("d1", depends_on="v1")], now_ms=1)
    ledger.create_jobs([new_job("v2"), new_job("d2", depends_on="v2")], now_ms=2)
    for job_id in ("v1", "v2"):
        assert ledger.add_claims(job_id, [_prefix("a/", SHARED), _prefix("b/", SHARED)]) == []
        _end(ledger, job_id)
    wanted = [_prefix("a/", EXCLUSIVE), _prefix("b/", SHARED)]
    assert {held.job_id for held in ledger.add_claims("d2", wanted)} == {"v1"}
    assert ledger.add_claims("d1", wanted) == []
    assert {held.job_id for held in ledger.add_claims("d2", wanted)} == {"v1", "d1"}
    _end(ledger, "d1")
    assert ledger.add_claims("d2", wanted) == []


def test_two_deletes_of_one_verify_job_do_not_run_at_once(ledger: LedgerStore) -> None:
    """Both are permitted by the same evidence; at once they would put two delete markers on a key."""
    ledger.create_jobs([new_job("v"), new_job("d1", depends_on="v"), new_job("d2", depends_on="v")], now_ms=1)
    assert ledger.add_claims("v", [_prefix("a/", SHARED)]) == []
    _end(ledger, "v")
    assert ledger.add_claims("d1", [_prefix("a/", EXCLUSIVE)]) == []
    assert [held.job_id for held in ledger.add_claims("d2", [_prefix("a/", EXCLUSIVE)])] == ["d1"]


def test_claims_are_ranges_not_keys(ledger: LedgerStore) -> None:
    """A job that would claim key by key is refused rather than claimed in part."""
    ledger.create_jobs([new_job()], now_ms=1)
    with pytest.raises(RefusedError, match=r"claim 1001 ranges.*1000 is the limit.*whole prefixes"):
        ledger.add_claims("job-1", [_prefix(f"{number}/", SHARED) for number in range(MAX_CLAIMS + 1)])
    assert ledger.claims("job-1") == []
