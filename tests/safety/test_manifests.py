"""Manifests that say little, name what is not there, or change under the job (safety.md rule 1)."""

from urllib.parse import quote

from tests.safety.bucket import Bucket, counts, numbered

KEYS = numbered("cdaweb/", range(40))


def _manifest(bucket: Bucket, keys: list[str]) -> tuple[str, ...]:
    bucket.put("list.csv", body="".join(f"{bucket.name},{quote(key)}\n" for key in keys).encode())
    return ("--manifest", bucket.url("list.csv"), "--to", bucket.url("spdf/"), "--strip-prefix", "cdaweb/")


def test_a_manifest_that_is_replaced_after_the_plan_changes_nothing(bucket: Bucket) -> None:
    """The job has its own copy of what was planned; the new list's objects stay."""
    bucket.put(*KEYS, "cdaweb/precious")
    manifest = _manifest(bucket, KEYS)
    planned = bucket.run("move", *manifest, "--dry-run", "--json").document
    _manifest(bucket, ["cdaweb/precious"])
    bucket.run("jobs", "confirm", planned["move_id"], "--json")
    jobs = bucket.run("jobs", "confirm", planned["move_id"], "--json").document["jobs"]
    assert [counts(job) for job in jobs] == [(40, 40, 0, 0)] * 3
    assert bucket.keys("cdaweb/") == ["cdaweb/precious"]
    assert len(bucket.keys("spdf/")) == 40


def test_rows_without_size_and_etag_are_pinned_before_anything_is_copied(bucket: Bucket) -> None:
    """A source that changes after the plan is not the one that was pinned; one that is not there fails at once."""
    bucket.put(*KEYS)
    manifest = _manifest(bucket, [*KEYS, "cdaweb/never-there"])
    planned = bucket.run("move", *manifest, "--dry-run", "--json").document
    plan = planned["jobs"][0]["plan"]
    assert (plan["entries"], plan["missing"]) == (41, 1)
    bucket.put(KEYS[7], body=b"written after the plan")
    bucket.run("jobs", "confirm", planned["move_id"], "--json", code=3)
    jobs = bucket.run("jobs", "confirm", planned["move_id"], "--json", code=3).document["jobs"]
    assert bucket.failed_rows(jobs[0]["job_id"]) == {KEYS[7]: "SourceChanged", "cdaweb/never-there": "NoSuchKey"}
    assert counts(jobs[2])[1] == 39
    assert bucket.bodies("cdaweb/") == {KEYS[7]: b"written after the plan"}


def test_an_entry_outside_the_stripped_prefix_refuses_the_whole_manifest(bucket: Bucket) -> None:
    """Before the first write, with an example."""
    bucket.put(*KEYS, "other/x")
    manifest = _manifest(bucket, [*KEYS, "other/x"])
    assert bucket.refused("move", *manifest, "--yes") == "KeyOutsidePrefix"


def test_duplicates_are_one_task_each(bucket: Bucket) -> None:
    """An object that is named twice is copied and deleted once, and the plan says so."""
    bucket.put(*KEYS)
    jobs = bucket.run("move", *_manifest(bucket, KEYS * 2), "--yes", "--json").document["jobs"]
    assert [counts(job) for job in jobs] == [(40, 40, 0, 0)] * 3
    assert jobs[0]["plan"]["duplicates"] == 40
    assert bucket.keys("cdaweb/") == []
