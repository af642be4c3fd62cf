"""What somebody else does to source or target while a move is under way (safety.md rules 1, 7, 14)."""

from tests.safety.bucket import Bucket, counts, numbered

KEYS = numbered("sdo/", range(120))
CHANGED, REMOVED, OVERWRITTEN, GONE = KEYS[3], KEYS[40], KEYS[77], KEYS[101]


def _target(key: str) -> str:
    return key.replace("sdo/", "sdac/", 1)


def test_between_verify_and_delete_exactly_what_changed_is_kept(real_bucket: Bucket) -> None:
    """A changed copy, a removed copy and an overwritten source keep three sources; one that is gone is no loss."""
    bucket = real_bucket
    bucket.put(*KEYS)
    jobs = bucket.move("sdo/", "sdac/", "--chunk-entries", "50")
    assert counts(jobs[1]) == (120, 120, 0, 0)
    bucket.put(_target(CHANGED), body=b"of somebody else")
    bucket.remove(_target(REMOVED), GONE)
    bucket.put(OVERWRITTEN, body=b"a newer observation")
    jobs = bucket.run("jobs", "confirm", jobs[0]["move_id"], "--json", code=3).document["jobs"]
    assert counts(jobs[2]) == (120, 117, 0, 3)
    assert bucket.failed_rows(jobs[2]["job_id"]) == {
        CHANGED: "TargetChanged",
        REMOVED: "TargetMissing",
        OVERWRITTEN: "SourceChanged",
    }
    assert bucket.bodies("sdo/") == {
        CHANGED: CHANGED.encode(),
        REMOVED: REMOVED.encode(),
        OVERWRITTEN: b"a newer observation",
    }
    assert jobs[2]["remaining"]["entries"] == 3
    assert jobs[2]["counts"]["by_code"]["AlreadyGone"] == 1
    assert len(bucket.keys("sdac/")) == 119


def test_between_copy_and_verify_a_changed_source_is_not_matched_against_itself(real_bucket: Bucket) -> None:
    """Verify compares with what was pinned: the copy of the old source is proven, the new source is kept."""
    bucket = real_bucket
    bucket.put(*KEYS)
    (copy,) = [bucket.run("copy", bucket.url("sdo/"), bucket.url("sdac/"), "--json").document]
    bucket.put(OVERWRITTEN, body=b"a newer observation")
    bucket.put(_target(CHANGED), body=b"of somebody else")
    bucket.remove(_target(REMOVED))
    verify = bucket.run("verify", "--job", copy["job_id"], "--json", code=3).document
    found = bucket.failed_rows(verify["job_id"])
    assert found.pop(CHANGED) in ("TargetDifferent", "Undecided")  # by size where sizes differ, else nobody can tell
    assert found == {REMOVED: "TargetMissing"}
    delete = bucket.run("delete", "--job", verify["job_id"], "--yes", "--json", code=3).document
    assert counts(delete) == (120, 117, 0, 3)
    assert bucket.failed_rows(delete["job_id"]) == {
        CHANGED: "NotProven",
        REMOVED: "NotProven",
        OVERWRITTEN: "SourceChanged",
    }
    assert set(bucket.keys("sdo/")) == {CHANGED, REMOVED, OVERWRITTEN}


def test_a_source_that_changed_after_the_plan_is_neither_copied_as_it_was_nor_deleted(bucket: Bucket) -> None:
    """Every copy request pins the source (rule 7)."""
    bucket.put(*KEYS)
    planned = bucket.move("sdo/", "sdac/", "--dry-run")
    bucket.put(OVERWRITTEN, body=b"a newer observation")
    bucket.remove(GONE)
    bucket.run("jobs", "confirm", planned[0]["move_id"], "--json", code=3)  # the delete waits for its confirmation
    jobs = bucket.run("jobs", "confirm", planned[0]["move_id"], "--json", code=3).document["jobs"]
    assert bucket.failed_rows(jobs[0]["job_id"]) == {OVERWRITTEN: "SourceChanged", GONE: "NoSuchKey"}
    assert bucket.bodies("sdo/") == {OVERWRITTEN: b"a newer observation"}
    assert len(bucket.keys("sdac/")) == 118


def test_a_target_that_was_there_before_is_neither_overwritten_nor_taken_for_a_copy(bucket: Bucket) -> None:
    """The default is to fail (rule 6), and the source of a copy that failed is kept."""
    bucket.put(*KEYS)
    bucket.put(_target(CHANGED), body=b"of somebody else")
    jobs = bucket.move("sdo/", "sdac/", "--yes", code=3)
    assert bucket.failed_rows(jobs[0]["job_id"]) == {CHANGED: "TargetExists"}
    assert bucket.failed_rows(jobs[2]["job_id"]) == {CHANGED: "NotProven"}
    assert bucket.bodies("sdo/") == {CHANGED: CHANGED.encode()}
    assert bucket.bodies("sdac/")[_target(CHANGED)] == b"of somebody else"


def test_an_equal_object_that_was_at_the_target_before_is_no_copy_of_this_move(bucket: Bucket) -> None:
    """What it has beside its bytes may be another's: the copy fails, and its source is kept."""
    bucket.put(*KEYS)
    bucket.client.put_object(
        Bucket=bucket.name, Key=_target(CHANGED), Body=CHANGED.encode(), Metadata={"of": "somebody else"}
    )
    jobs = bucket.move("sdo/", "sdac/", "--yes", code=3)
    assert bucket.failed_rows(jobs[0]["job_id"]) == {CHANGED: "TargetExists"}
    assert bucket.bodies("sdo/") == {CHANGED: CHANGED.encode()}
