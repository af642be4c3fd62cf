"""Buckets with suspended versioning: a null version that is another object is never destroyed (safety.md rule 17).

Not on moto 5.2, which answers no read of a version ``null`` and puts no marker while versioning is suspended.
"""

from collections.abc import Callable
from typing import Any

import pytest

from tests.safety.bucket import Bucket, counts, numbered
from tests.servers.server import Server

NEIGHBOURS = numbered("cdaweb/", range(40))


@pytest.fixture(params=["ministack", "ceph_rgw"])
def suspending(request: pytest.FixtureRequest, bucket_on: Callable[[Server], Bucket]) -> Bucket:
    """The test's bucket on a server that can suspend versioning."""
    return bucket_on(request.getfixturevalue(request.param))


def _set(bucket: Bucket, status: str) -> None:
    bucket.client.put_bucket_versioning(Bucket=bucket.name, VersioningConfiguration={"Status": status})


def _body(bucket: Bucket, key: str, version_id: str) -> bytes:
    answer: Any = bucket.client.get_object(Bucket=bucket.name, Key=key, VersionId=version_id)
    body: bytes = answer["Body"].read()
    return body


def test_a_delete_keeps_the_source_above_another_null_version(suspending: Bucket) -> None:
    """One key of each kind: null and current, current above a null one, current without one."""
    bucket = suspending
    bucket.put("cdaweb/above", body=b"from before versions")
    _set(bucket, "Enabled")
    bucket.put("cdaweb/above", body=b"new")
    bucket.put("cdaweb/alone", body=b"with an id")
    alone = bucket.client.head_object(Bucket=bucket.name, Key="cdaweb/alone")["VersionId"]
    _set(bucket, "Suspended")
    bucket.put("cdaweb/null", "cdaweb/above, too", *NEIGHBOURS)
    jobs = bucket.move("cdaweb/", "spdf/", "--yes", code=3)
    total = len(NEIGHBOURS) + 4
    assert counts(jobs[2]) == (total, total - 1, 0, 1)
    assert "Versioning of" in " ".join(jobs[0]["plan"]["warnings"])
    assert bucket.failed_rows(jobs[2]["job_id"]) == {"cdaweb/above": "NullVersionAtRisk"}
    assert bucket.bodies("cdaweb/") == {"cdaweb/above": b"new"}
    assert _body(bucket, "cdaweb/above", "null") == b"from before versions"
    assert _body(bucket, "cdaweb/alone", alone) == b"with an id"
    assert len(bucket.keys("spdf/")) == total


def test_a_copy_does_not_destroy_a_null_version_that_nothing_shows(suspending: Bucket) -> None:
    """Below a marker with an id, or below a version: neither HEAD nor a listing tells of it."""
    bucket = suspending
    bucket.put("spdf/hidden", body=b"the only one")
    _set(bucket, "Enabled")
    bucket.remove("spdf/hidden")
    _set(bucket, "Suspended")
    bucket.put("cdaweb/hidden", *NEIGHBOURS)
    assert bucket.keys("spdf/") == []
    (job,) = [bucket.run("copy", bucket.url("cdaweb/"), bucket.url("spdf/"), "--json", code=1).document]
    assert bucket.failed_rows(job["job_id"]) == {"cdaweb/hidden": "NullVersionAtRisk"}
    assert _body(bucket, "spdf/hidden", "null") == b"the only one"
    assert len(bucket.keys("spdf/")) == len(NEIGHBOURS)
