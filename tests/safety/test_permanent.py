"""Permanent deletes: exactly the versions that a manifest names, and never without being asked for (rule 16)."""

from typing import Any

import pytest

from tests.safety.bucket import Bucket, counts, jobs_of, numbered
from tests.servers.gaps import gap

KEYS = numbered("cdaweb/", range(30))


@pytest.fixture
def versioned(real_bucket: Bucket) -> Bucket:
    """A bucket with versions, where each of KEYS has an older one."""
    real_bucket.client.put_bucket_versioning(Bucket=real_bucket.name, VersioningConfiguration={"Status": "Enabled"})
    real_bucket.put(*KEYS, body=b"older")
    real_bucket.put(*KEYS)
    return real_bucket


def _versions(bucket: Bucket, prefix: str = "cdaweb/") -> dict[str, list[tuple[str, bool]]]:
    """Return by key the version ids of objects and markers, and whether each is a marker."""
    found: dict[str, list[tuple[str, bool]]] = {}
    for page in bucket.client.get_paginator("list_object_versions").paginate(Bucket=bucket.name, Prefix=prefix):
        for name, is_marker in (("Versions", False), ("DeleteMarkers", True)):
            each: Any
            for each in page.get(name, []):
                found.setdefault(each["Key"], []).append((each["VersionId"], is_marker))
    return found


def _manifest(bucket: Bucket, scope: str, prefix: str = "cdaweb/") -> str:
    url = bucket.url(f"manifests/{scope}.csv")
    bucket.run("manifest", "create", bucket.url(prefix), "--versions", scope, "-o", url, "--force")
    return url


def _move(bucket: Bucket, *words: str) -> tuple[str, ...]:
    manifest = _manifest(bucket, "current")
    return ("move", "--manifest", manifest, "--to", bucket.url("spdf/"), "--strip-prefix", "cdaweb/", *words)


def test_a_move_deletes_the_named_versions_and_says_what_becomes_current(versioned: Bucket) -> None:
    """No marker is left; the older versions are current again, as the plan said; an undo is refused."""
    bucket = versioned
    jobs = jobs_of(bucket.run(*_move(bucket, "--permanent", "--yes", "--json")))
    assert [counts(job) for job in jobs] == [(30, 30, 0, 0)] * 3
    assert bucket.bodies("spdf/") == {key.replace("cdaweb/", "spdf/"): key.encode() for key in KEYS}
    assert bucket.bodies("cdaweb/") == dict.fromkeys(KEYS, b"older")
    assert {len(versions) for versions in _versions(bucket).values()} == {1}
    # the chunk's range is listed from right before its first key, whose newest version such a server leaves out
    told = "29 (145 bytes)" if gap(bucket.server.name, "versions-after-a-key") else "30 (150 bytes)"
    for job in (jobs[0], jobs[2]):
        assert f"becomes current again: {told}" in " ".join(job["plan"]["warnings"])
    undone = bucket.run("jobs", "undo", jobs[2]["job_id"], "--json", code=4)
    assert undone.document["error"]["code"] == "PermanentDelete"


def test_what_was_written_since_stays_and_the_named_version_goes(versioned: Bucket) -> None:
    """A version never changes: a newer one above it is not touched."""
    bucket = versioned
    jobs = jobs_of(bucket.run(*_move(bucket, "--permanent", "--json")))
    bucket.put(KEYS[0], body=b"newest")
    bucket.remove(KEYS[1])
    gone = _versions(bucket)[KEYS[2]][0][0]
    bucket.client.delete_object(Bucket=bucket.name, Key=KEYS[2], VersionId=gone)
    bucket.run("jobs", "confirm", jobs[0]["move_id"])
    delete = jobs_of(bucket.run("jobs", "show", jobs[0]["move_id"], "--json"))[2]
    assert counts(delete) == (30, 30, 0, 0)
    assert bucket.bodies("cdaweb/") == {KEYS[0]: b"newest"} | {
        key: b"older" for key in KEYS if key not in {KEYS[0], KEYS[1]}
    }
    assert [is_marker for _, is_marker in sorted(_versions(bucket)[KEYS[1]], key=lambda each: each[1])] == [False, True]


def test_a_version_whose_copy_is_gone_is_kept(versioned: Bucket) -> None:
    """The gate reads both sides of versions, too."""
    bucket = versioned
    jobs = jobs_of(bucket.run(*_move(bucket, "--permanent", "--json")))
    target = KEYS[3].replace("cdaweb/", "spdf/")
    bucket.remove(target)
    bucket.run("jobs", "confirm", jobs[0]["move_id"], code=3)
    assert bucket.failed_rows(jobs[2]["job_id"]) == {KEYS[3]: "TargetMissing"}
    assert len(_versions(bucket)[KEYS[3]]) == 2
    assert bucket.bodies("cdaweb/")[KEYS[3]] == KEYS[3].encode()


@pytest.mark.parametrize(("scope", "left"), [("noncurrent", 1), ("all", 0)])
def test_old_versions_are_purged_by_their_ids(versioned: Bucket, scope: str, left: int) -> None:
    """Unverified, with the number typed; a marker is in no manifest and stays."""
    bucket = versioned
    bucket.remove(KEYS[0])
    manifest = _manifest(bucket, scope)
    words = ("delete", "--manifest", manifest, "--unverified", "--permanent", "--json")
    planned = bucket.run(*words).document
    named = {"noncurrent": 31, "all": 60}[scope]
    assert planned["counts"]["total"] == named
    bucket.run("jobs", "confirm", planned["job_id"], "--objects", str(named))
    versions = _versions(bucket)
    assert versions.pop(KEYS[0])[0][1], "the marker is still there"
    assert {key: len(ids) for key, ids in versions.items()} == (dict.fromkeys(KEYS[1:], left) if left else {})


def test_permanence_is_said_twice_or_refused(versioned: Bucket) -> None:
    """Version ids without --permanent, --permanent without version ids, several versions to one key."""
    bucket = versioned
    assert bucket.refused(*_move(bucket, "--yes")) == "PermanentDelete"
    assert bucket.refused("move", bucket.url("cdaweb/"), bucket.url("spdf/"), "--permanent") == "VersionIdMissing"
    every = ("--manifest", _manifest(bucket, "all"), "--to", bucket.url("spdf/"), "--strip-prefix", "cdaweb/")
    assert bucket.refused("move", *every, "--permanent") == "SeveralVersions"
    assert {len(versions) for versions in _versions(bucket).values()} == {2}
