"""What a plan expects is what a job does: its requests are counted before a real server, kind by kind.

Tolerance: 2 in 100 and two requests more or less of each kind, over a job in whose way nothing stands.
"""

from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from s3batch.plan.pace import LEAST_ACTIVE_MS
from tests.archive import PART_BYTES
from tests.e2e.command import CommandLine
from tests.safety.bucket import Bucket
from tests.servers.fault_proxy import FaultProxy, run_fault_proxy
from tests.servers.faults import FaultPlan
from tests.servers.server import Server
from tests.servers.stub.launcher import StubControl

OBJECTS = 200
CHUNK_ENTRIES = "120"
STUB_OBJECTS = 4_500
PUT_THREADS = 8

CALL_BY_KIND = {
    "List": "ListObjectsV2",
    "Head": "HeadObject",
    "Get": "GetObject",
    "CopyObject": "CopyObject",
    "CreateMultipartUpload": "CreateMultipartUpload",
    "UploadPartCopy": "UploadPartCopy",
    "CompleteMultipartUpload": "CompleteMultipartUpload",
    "DeleteObjects": "DeleteObjects",
}
"""What the proxy calls the plan's kinds; the others are among its ``Other``."""


@pytest.fixture
def seen(ministack: Server, tmp_path: Path) -> Iterator[FaultProxy]:
    """A proxy without faults, which counts."""
    with run_fault_proxy(tmp_path, ministack, FaultPlan()) as proxy:
        yield proxy


@dataclass(frozen=True, kw_only=True)
class Counted:
    """Commands whose requests are counted."""

    bucket: Bucket
    counts: Callable[[], Mapping[str, int]]
    """Requests so far, by call."""

    def compare(self, *words: str, ignored: tuple[str, ...] = ()) -> dict[str, Any]:
        """Plan a job, confirm it, and compare what it sent with what its plan expected; return it as it ended."""
        planned = self.bucket.run(*words, "--dry-run", "--json").document
        before = self.counts()
        ended: dict[str, Any] = self.bucket.run("jobs", "confirm", planned["job_id"], "--json").document
        after = self.counts()
        sent = {kind: after.get(call, 0) - before.get(call, 0) for kind, call in CALL_BY_KIND.items()}
        expected: Mapping[str, int] = planned["plan"]["requests"]
        for kind in sent.keys() - set(ignored):
            assert sent[kind] == pytest.approx(expected.get(kind, 0), rel=0.02, abs=2), (kind, sent, expected)
        assert ended["status"] == "Complete"
        return ended


@pytest.fixture
def counted(ministack: Server, seen: FaultProxy, bucket_name: str, tmp_path: Path) -> Counted:
    """A bucket with many small objects, and two that were uploaded in parts."""
    client = ministack.boto3_client()
    client.create_bucket(Bucket=bucket_name)
    command_line = CommandLine(home=tmp_path / "home", environment=seen.server.environment())
    bucket = Bucket(server=ministack, name=bucket_name, command_line=command_line)
    keys = [f"a/{number % 7}/{number:05d}.cdf" for number in range(OBJECTS)]
    with ThreadPoolExecutor(PUT_THREADS) as threads:
        list(threads.map(lambda key: client.put_object(Bucket=bucket_name, Key=key, Body=b"x"), keys))
    for name, parts in (("two", 2), ("three", 3)):
        _put_in_parts(client, bucket_name, f"a/{name}.cdf", parts)
    return Counted(bucket=bucket, counts=lambda: seen.counts().asked)


def _put_in_parts(client: Any, bucket: str, key: str, parts: int) -> None:  # noqa: ANN401 (boto3 makes its classes at run time)
    upload = {"Bucket": bucket, "Key": key}
    upload["UploadId"] = client.create_multipart_upload(**upload)["UploadId"]
    etags = [
        client.upload_part(**upload, PartNumber=number, Body=b"a" * PART_BYTES)["ETag"]
        for number in range(1, parts + 1)
    ]
    listed = [{"PartNumber": number, "ETag": etag} for number, etag in enumerate(etags, start=1)]
    client.complete_multipart_upload(**upload, MultipartUpload={"Parts": listed})


def test_plans_expect_the_requests_that_their_jobs_make(counted: Counted) -> None:
    """Copy with parts, verify by listing and by bytes, delete by listing: each kind of request is as planned."""
    a, b = counted.bucket.url("a/"), counted.bucket.url("b/")
    copy = counted.compare("copy", a, b, "--chunk-entries", CHUNK_ENTRIES)
    assert copy["plan"]["multipart"] == 2
    counted.compare("verify", "--job", copy["job_id"], "--level", "bytes")
    verify = counted.compare("verify", "--job", copy["job_id"])
    delete = counted.compare("delete", "--job", verify["job_id"], "--trust-listings")
    assert delete["counts"]["succeeded"] == OBJECTS + 2


def test_plans_of_thousands_of_objects_expect_the_requests_that_their_jobs_make(
    stub: Server, bucket_on: Callable[[Server], Bucket]
) -> None:
    """Pages and batches of 1,000 keys, counted by the server itself."""
    control = StubControl(stub)
    counted = Counted(bucket=bucket_on(stub), counts=lambda: control.counts().kinds)
    control.fill(counted.bucket.name, "a/", STUB_OBJECTS)
    copy = counted.compare("copy", counted.bucket.url("a/"), counted.bucket.url("b/"), "--chunk-entries", "2500")
    verify = counted.compare("verify", "--job", copy["job_id"])
    counted.compare("delete", "--job", verify["job_id"], "--trust-listings")
    estimate = counted.compare("copy", counted.bucket.url("b/"), counted.bucket.url("c/"))["plan"]["estimate"]
    is_measurable = copy["active_s"] >= LEAST_ACTIVE_MS / 1000
    assert estimate["jobs_measured"] == is_measurable
    assert (estimate["seconds_measured"] is not None) is is_measurable
    assert (estimate["usd"], estimate["price_region"]) == (None, "")


def test_a_delete_that_trusts_no_listing_is_planned_by_its_heads(counted: Counted) -> None:
    """How many keys go into a DeleteObjects there depends on how fast the store answers HEADs: 64 to 1,000."""
    a, b = counted.bucket.url("a/"), counted.bucket.url("b/")
    copy = counted.bucket.run("copy", a, b, "--json").document
    verify = counted.bucket.run("verify", "--job", copy["job_id"], "--json").document
    before = counted.counts()
    counted.compare("delete", "--job", verify["job_id"], ignored=("DeleteObjects",))
    deletes = counted.counts()["DeleteObjects"] - before.get("DeleteObjects", 0)
    assert OBJECTS / 1_000 <= deletes <= OBJECTS / 64 + 1


@pytest.mark.parametrize(
    "options",
    [("--keep", "all"), ("--tag", "a=b", "--acl", "private")],
    ids=" ".join,
)
def test_a_copy_with_attributes_is_planned_by_what_they_cost(counted: Counted, options: tuple[str, ...]) -> None:
    """Each copy is read, put and looked at as often as the plan says."""
    counted.compare("copy", counted.bucket.url("a/"), counted.bucket.url("b/"), *options)


def test_the_plan_of_a_move_tells_before_its_copy_what_its_delete_will_not_free(bucket: Bucket) -> None:
    """Also on a store without prices: the bytes are told, and the requests of the later steps."""
    bucket.client.put_bucket_versioning(Bucket=bucket.name, VersioningConfiguration={"Status": "Enabled"})
    bucket.put("a/1", "a/2", body=b"123")
    planned = bucket.run("move", bucket.url("a/"), bucket.url("b/"), "--dry-run", "--json").document
    estimate = planned["jobs"][0]["plan"]["estimate"]
    assert (estimate["bytes_added"], estimate["usd"], estimate["charges"]) == (6, None, [])
    (note,) = estimate["notes"]
    assert note == (
        "The later steps of the move come on top: verify about 1 request, delete about 6 requests;"
        " the delete frees none of 6 bytes, which stay as old versions."
    )
    shown = bucket.run("jobs", "show", planned["move_id"]).out
    assert "storage   6 B more for as long as originals and copies are both there" in shown
    bucket.run("jobs", "cancel", planned["move_id"])
