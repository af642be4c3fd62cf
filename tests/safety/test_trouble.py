"""A move that meets trouble in its middle, or is steered there: counts are exact, nothing unproven is deleted."""

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from s3batch.model.status import JobStatus
from tests.crash.moving import Move, move_of
from tests.e2e.command import CommandLine
from tests.safety.bucket import Bucket, counts, numbered
from tests.servers.fault_proxy import run_fault_proxy
from tests.servers.faults import Fault, FaultPlan
from tests.servers.server import Server

BucketOn = Callable[[Server], Bucket]
READ = ("s3:ListBucket", "s3:GetObject*", "s3:GetBucket*", "s3:ListBucketVersions")
WRITE = ("s3:PutObject*", "s3:AbortMultipartUpload")


def _allow(server: Server, name: str, *actions: str) -> None:
    """Let a user do these, from now on, and nothing else."""
    document = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": list(actions), "Resource": "*"}]}
    iam = server.boto3_client(service="iam")
    iam.put_user_policy(UserName=name, PolicyName="now", PolicyDocument=json.dumps(document))


def _as_user(bucket: Bucket, home: Path, *actions: str) -> Bucket:
    """Return the same bucket for a user of its own, with a home of its own."""
    iam = bucket.server.boto3_client(service="iam")
    iam.create_user(UserName=bucket.name)
    key = iam.create_access_key(UserName=bucket.name)["AccessKey"]
    _allow(bucket.server, bucket.name, *actions)
    user = replace(bucket.server, access_key=key["AccessKeyId"], secret_key=key["SecretAccessKey"])
    return replace(bucket, command_line=CommandLine(home=home, environment=user.environment()))


def test_a_permission_to_delete_that_is_lost_before_the_delete_deletes_nothing(bucket: Bucket, tmp_path: Path) -> None:
    """Every row fails by the store's own code and can be tried again once the permission is back."""
    keys = numbered("sdo/", range(40))
    bucket.put(*keys)
    user = _as_user(bucket, tmp_path / "home", *READ, *WRITE, "s3:DeleteObject")
    jobs = user.move("sdo/", "sdac/")
    _allow(bucket.server, bucket.name, *READ, *WRITE)
    jobs = user.run("jobs", "confirm", jobs[0]["move_id"], "--json", code=1).document["jobs"]
    assert counts(jobs[2]) == (40, 0, 40, 0)
    assert set(user.failed_rows(jobs[2]["job_id"]).values()) == {"AccessDenied"}
    assert bucket.keys("sdo/") == sorted(keys)
    _allow(bucket.server, bucket.name, *READ, *WRITE, "s3:DeleteObject")
    again = user.run("jobs", "retry", jobs[0]["move_id"], "--yes", "--json").document["jobs"]
    assert [counts(job) for job in again] == [(40, 40, 0, 0)] * 3
    assert bucket.keys("sdo/") == []


def test_a_permission_to_read_that_is_lost_before_the_delete_deletes_nothing(bucket: Bucket, tmp_path: Path) -> None:
    """What cannot be read again is not deleted, although it was proven."""
    keys = numbered("sdo/", range(40))
    bucket.put(*keys)
    user = _as_user(bucket, tmp_path / "home", *READ, *WRITE, "s3:DeleteObject")
    jobs = user.move("sdo/", "sdac/")
    _allow(bucket.server, bucket.name, "s3:ListBucket", "s3:GetBucket*", "s3:DeleteObject")
    jobs = user.run("jobs", "confirm", jobs[0]["move_id"], "--json", code=1).document["jobs"]
    assert counts(jobs[2])[1] == 0
    assert bucket.keys("sdo/") == sorted(keys)


def test_a_permission_to_write_that_is_missing_ends_in_failed_rows_and_an_untouched_source(
    bucket: Bucket, tmp_path: Path
) -> None:
    """Copies fail, verify finds nothing, the delete keeps everything."""
    keys = numbered("sdo/", range(40))
    bucket.put(*keys)
    user = _as_user(bucket, tmp_path / "home", *READ, "s3:DeleteObject")
    jobs = user.move("sdo/", "sdac/", "--yes", code=3)
    assert [counts(job) for job in jobs] == [(40, 0, 40, 0), (40, 0, 40, 0), (40, 0, 0, 40)]
    assert set(user.failed_rows(jobs[2]["job_id"]).values()) == {"NotProven"}
    assert bucket.keys() == sorted(keys)


def test_a_job_in_which_too_much_fails_ends_and_what_follows_it_is_cancelled(bucket: Bucket) -> None:
    """As AWS's: over half failed after a minimum; the report has what was done."""
    keys = numbered("sdo/", range(120))
    bucket.put(*keys)
    bucket.put(*(key.replace("sdo/", "sdac/", 1) for key in keys), body=b"of somebody else")
    limits = ("--failure-threshold", "0.5", "--failure-minimum", "20", "--chunk-entries", "10")
    jobs = bucket.move("sdo/", "sdac/", "--yes", *limits, code=1)
    assert [job["status"] for job in jobs] == ["Failed", "Cancelled", "Cancelled"]
    assert jobs[0]["failure"]["code"] == "FailureThreshold"
    total, succeeded, failed, kept = counts(jobs[0])
    assert (total, succeeded, kept) == (120, 0, 0)
    assert 20 <= failed <= 120
    assert len(bucket.failed_rows(jobs[0]["job_id"])) == failed
    assert bucket.keys("sdo/") == sorted(keys)


@contextmanager
def _slow_move(bucket: Bucket, folder: Path, matching: str = "^PUT ") -> Iterator[tuple[Move, list[str]]]:
    """Start a move of 300 objects that takes a few seconds per stage."""
    keys = numbered("sdo/", range(300))
    bucket.put(*keys)
    plan = FaultPlan(probabilities={Fault.DELAY_ANSWER: 1.0}, delay_s=0.2, matching=matching)
    with (
        run_fault_proxy(folder, bucket.server, plan) as proxy,
        move_of(folder, proxy.server.environment(), workers=1, chunk_entries=30) as move,
    ):
        move.start(bucket.url("sdo/"), bucket.url("sdac/"), "--concurrency", "8")
        yield move, keys


def test_a_move_is_paused_in_the_middle_and_goes_on_exactly(bucket: Bucket, tmp_path: Path) -> None:
    """Pausing twice, a new priority, resuming: each task once."""
    with _slow_move(bucket, tmp_path) as (move, keys):
        for fraction in (0.1, 0.5):
            assert move.wait_for("copy", fraction)
            assert move.run("jobs", "pause", move.move_id, "--json").returncode == 0
            job = move.jobs()[0]
            assert job.status is JobStatus.PAUSED
            assert 0 < job.counts.ended < len(keys)
            seen = len(bucket.keys("sdac/"))
            assert seen >= job.counts.succeeded
            assert move.run("jobs", "priority", move.move_id, "77").returncode == 0
            assert {each.priority for each in move.jobs()} == {77}
            if fraction < 0.5:
                move.resume_detached()
        move.resume()
        move.require_exact_counts(len(keys))
    assert bucket.bodies() == {key.replace("sdo/", "sdac/", 1): key.encode() for key in keys}


def test_a_move_that_is_cancelled_in_the_middle_has_a_report_and_its_source(bucket: Bucket, tmp_path: Path) -> None:
    """What was done is done and told; nothing was deleted."""
    with _slow_move(bucket, tmp_path) as (move, keys):
        assert move.wait_for("copy", 0.1)
        assert move.run("jobs", "cancel", move.move_id, "--json").returncode == 0
        jobs = move.jobs()
        assert [job.status for job in jobs] == [JobStatus.CANCELLED] * 3
        done = jobs[0].counts.succeeded
        assert 0 < done < len(keys)
        assert len(bucket.keys("sdac/")) == done  # a stop lets what is on its way be answered
        assert _report_rows(move) == done
    assert bucket.keys("sdo/") == sorted(keys)


def test_a_delete_that_is_cancelled_in_the_middle_keeps_the_rest(bucket: Bucket, tmp_path: Path) -> None:
    """Every object is somewhere, and the count of the deleted is exact."""
    with _slow_move(bucket, tmp_path, matching="[?]delete") as (move, keys):
        assert move.wait_for("delete", 0.1)
        assert move.run("jobs", "cancel", move.move_id, "--json").returncode == 0
        job = move.jobs()[2]
        assert job.status is JobStatus.CANCELLED
    assert job.counts.succeeded == len(keys) - len(bucket.keys("sdo/"))
    assert len(bucket.keys("sdac/")) == len(keys)


def _report_rows(move: Move) -> int:
    """Count the rows of the copy's completion report."""
    document = json.loads(move.run("jobs", "show", move.move_id, "--json").stdout)
    manifest = Path(document["jobs"][0]["report"].removeprefix("file://"))
    return sum(len(path.read_text().splitlines()) for path in manifest.parent.rglob("results/*.csv"))


def test_a_dry_run_sends_no_write(ministack: Server, bucket_on: BucketOn, tmp_path: Path) -> None:
    """By the server's own counters; the plan is complete all the same."""
    bucket = bucket_on(ministack)
    bucket.put(*numbered("sdo/", range(60)))
    before = bucket.bodies()
    with (
        run_fault_proxy(tmp_path, ministack, FaultPlan()) as proxy,
        move_of(tmp_path, proxy.server.environment()) as move,
    ):
        ended = move.run("move", bucket.url("sdo/"), bucket.url("sdac/"), "--dry-run", "--json")
        assert ended.returncode == 0, ended.stderr
        assert json.loads(ended.stdout)["jobs"][0]["plan"]["entries"] == 60
        time.sleep(1.0)  # what else the runner might do
        asked = set(proxy.counts().asked)
    assert asked <= {"HeadObject", "HeadBucket", "GetObject", "ListObjectsV2", "Other"}, asked
    assert bucket.bodies() == before
