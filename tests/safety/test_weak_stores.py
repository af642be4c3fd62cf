"""Stores on which a copy proves little: AWS's rule for multipart ETags, and stores that ignore conditions.

The stub shows AWS's rule, which no test server has; Ceph RGW and the stub's switch ignore conditions (rules 7, 11, 15).
"""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.crash.moving import move_of
from tests.safety.bucket import Bucket, counts, numbered
from tests.servers.fault_proxy import run_fault_proxy
from tests.servers.faults import Fault, FaultPlan
from tests.servers.server import Server
from tests.servers.stub.launcher import StubControl

COUNT = 150
BucketOn = Callable[[Server], Bucket]


@pytest.fixture
def control(stub: Server) -> StubControl:
    """The stub, empty."""
    control = StubControl(stub)
    control.reset()
    return control


def test_objects_with_multipart_etags_are_proven_by_their_layout_or_kept(
    stub: Server, control: StubControl, bucket_on: BucketOn
) -> None:
    """CopyObject would give them other ETags, so they are copied in their own parts; whatever is not proven stays."""
    bucket = bucket_on(stub)
    source, target = bucket.name, f"{bucket.name}-2"
    control.configure_bucket(source, etags="multipart")
    control.configure_bucket(target, etags="single")
    control.fill(source, "sdo/", COUNT)
    ended = bucket.command_line.run("move", f"s3://{source}/sdo/", f"s3://{target}/sdo/", "--yes", "--json")
    jobs = ended.document["jobs"]
    total, succeeded, failed, kept = counts(jobs[2])
    assert (total, failed) == (COUNT, 0)
    assert counts(jobs[1])[1] == succeeded  # deleted is what was proven, nothing else
    assert ended.code == (3 if kept else 0)
    assert control.counts().deleted_keys == succeeded
    assert len(bucket.keys("sdo/")) == COUNT - succeeded
    assert kept == len(bucket.failed_rows(jobs[2]["job_id"]))


def test_a_plain_copy_that_changed_the_etag_is_undecided_and_its_source_is_kept(
    stub: Server, control: StubControl, bucket_on: BucketOn
) -> None:
    """Whoever copied with another tool: different ETags of equal sizes prove nothing, in neither direction."""
    bucket = bucket_on(stub)
    source, target = bucket.name, f"{bucket.name}-2"
    control.configure_bucket(source, etags="multipart")
    control.configure_bucket(target, etags="single")
    control.fill(source, "sdo/", 3)
    client = bucket.client
    for key in bucket.keys("sdo/"):
        client.copy_object(Bucket=target, Key=key, CopySource={"Bucket": source, "Key": key})
    verify = bucket.command_line.run("verify", f"s3://{source}/sdo/", f"s3://{target}/sdo/", "--json")
    proven = counts(verify.document)[1]
    delete = bucket.command_line.run("delete", "--job", verify.document["job_id"], "--yes", "--json")
    assert counts(delete.document)[1] == proven
    assert counts(delete.document)[3] == 3 - proven
    assert len(bucket.keys("sdo/")) == 3 - proven


def _overwrite_while_planned(bucket: Bucket) -> None:
    """Plan a move, overwrite one source, run the move: the store copies the new object in spite of the condition."""
    keys = numbered("sdo/", range(60))
    bucket.put(*keys)
    planned = bucket.move("sdo/", "sdac/", "--dry-run")
    victim = keys[31]
    bucket.put(victim, body=b"sdo/x/9999.FITS")  # of the same size
    move_id = planned[0]["move_id"]
    assert bucket.command_line.run("jobs", "confirm", move_id, "--json").code in (1, 3)
    jobs = bucket.run("jobs", "confirm", move_id, "--json", code=3).document["jobs"]
    assert counts(jobs[2]) == (60, 59, 0, 1)
    assert bucket.bodies("sdo/") == {victim: b"sdo/x/9999.FITS"}
    (code,) = bucket.failed_rows(jobs[1]["job_id"]).values()
    assert code in ("SourceChanged", "TargetDifferent", "TargetMissing", "Undecided")


def test_an_overwritten_source_is_noticed_where_conditions_are_ignored(ceph_rgw: Server, bucket_on: BucketOn) -> None:
    """Ceph copies the newer object although its ETag is another: verify compares with what was pinned (rule 7)."""
    _overwrite_while_planned(bucket_on(ceph_rgw))


def test_an_overwritten_source_is_noticed_where_the_condition_of_a_copy_is_ignored(
    moto: Server, bucket_on: BucketOn
) -> None:
    """The same on moto."""
    _overwrite_while_planned(bucket_on(moto))


def test_a_move_on_a_store_that_ignores_every_condition_is_right_when_nobody_interferes(
    stub: Server, control: StubControl, bucket_on: BucketOn
) -> None:
    """Conditions are sent and not relied on."""
    bucket = bucket_on(stub)
    control.configure_bucket(bucket.name, conditions="ignored")
    control.fill(bucket.name, "sdo/", COUNT)
    jobs = bucket.move("sdo/", "sdac/sdo/", "--yes")
    assert [counts(job) for job in jobs] == [(COUNT, COUNT, 0, 0)] * 3
    assert len(bucket.keys("sdac/sdo/")) == COUNT
    assert bucket.keys("sdo/") == []


def test_a_listing_that_hides_a_copy_does_not_make_it_missing(
    ministack: Server, bucket_on: BucketOn, tmp_path: Path
) -> None:
    """What a stale listing does not show is asked for by HEAD before anybody calls it missing (rule 12)."""
    bucket = bucket_on(ministack)
    keys = numbered("sdo/", range(60))
    bucket.put(*keys)
    plan = FaultPlan(probabilities={Fault.STALE_LISTING: 1.0}, stale_s=600.0, matching="prefix=sdac|start-after=sdac")
    with run_fault_proxy(tmp_path, ministack, plan) as proxy, move_of(tmp_path, proxy.server.environment()) as move:
        move.start(bucket.url("sdo/"), bucket.url("sdac/"))
        move.resume()
        move.require_exact_counts(len(keys))
    assert bucket.keys("sdo/") == []
    assert len(bucket.keys("sdac/")) == len(keys)
