"""``s3batch copy`` as a user runs it: real processes, a real server."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

from s3batch.model.status import JobStatus
from tests.archive import Original
from tests.e2e.command import CommandLine, interrupt_when
from tests.servers.server import Server

Fill = Callable[..., dict[str, Original]]
Listed = Callable[[str], dict[str, str]]


def etags(originals: dict[str, Original], prefix: str) -> dict[str, str]:
    """Return the ETags of objects by their keys without the prefix."""
    return {key.removeprefix(prefix): original.etag for key, original in originals.items()}


def test_copy_keeps_what_follows_the_prefix(
    command_line: CommandLine, fill: Fill, etag_by_key: Listed, bucket_name: str
) -> None:
    """``s3batch copy s3://B/cdaweb/ s3://B/spdf/ --json`` prints one document; hostile keys arrive unchanged."""
    originals = fill("cdaweb/", 60, multipart=True)
    ended = command_line.run("copy", f"s3://{bucket_name}/cdaweb/", f"s3://{bucket_name}/spdf/", "--json")
    assert ended.code == 0, ended.err
    document = ended.document
    assert document["status"] == "Complete"
    assert document["operation"] == "copy"
    assert document["counts"] == {
        "total": len(originals), "succeeded": len(originals), "failed": 0, "kept": 0, "by_code": {}
    }  # fmt: skip
    assert document["bytes"] == sum(original.size for original in originals.values())
    assert json.loads(Path(document["report"]).read_text())["Format"] == "Report_CSV_20180820"
    assert document["plan"]["multipart"] == 1
    assert etag_by_key("spdf/") == etags(originals, "cdaweb/")


def test_copy_says_what_it_did_and_what_to_type_next(command_line: CommandLine, fill: Fill, bucket_name: str) -> None:
    """``s3batch copy s3://B/sdo/ s3://B/new/``: the plan and progress on standard error, the summary on output."""
    count = len(fill("sdo/", 40))
    ended = command_line.run("copy", f"s3://{bucket_name}/sdo/", f"s3://{bucket_name}/new/")
    job_id = command_line.jobs()[0].id
    assert ended.code == 0
    assert f"Copy {job_id}: Complete" in ended.out
    assert f"Complete: {count} copied of {count} objects" in ended.out
    assert f"s3batch verify --job {job_id}" in ended.out
    assert f"Plan of the copy job {job_id}" in ended.err
    assert f"{count} objects" in ended.err


def test_a_manifest_names_the_objects(
    command_line: CommandLine, fill: Fill, etag_by_key: Listed, bucket_name: str, ministack: Server
) -> None:
    """``s3batch copy --manifest s3://B/list.csv --to s3://B/sdac/ --sample 5 --json`` copies five of them."""
    originals = fill("sdo/", 50)
    rows = "".join(f"{bucket_name},{quote(key)}\n" for key in originals)
    ministack.boto3_client().put_object(Bucket=bucket_name, Key="list.csv", Body=rows.encode())
    manifest = ["--manifest", f"s3://{bucket_name}/list.csv", "--to", f"s3://{bucket_name}/sdac/"]
    sample = command_line.run("copy", *manifest, "--sample", "5", "--json")
    assert sample.code == 0, sample.err
    assert sample.document["counts"]["succeeded"] == len(etag_by_key("sdac/")) == 5
    everything = command_line.run("copy", *manifest, "--if-target-exists", "skip-if-same", "--json")
    assert everything.document["counts"]["by_code"] == {"AlreadySame": 5}
    assert etag_by_key("sdac/sdo/") == etags(originals, "sdo/")


def test_a_dry_run_writes_nothing_until_it_is_confirmed(
    command_line: CommandLine, fill: Fill, etag_by_key: Listed, bucket_name: str
) -> None:
    """``s3batch copy ... --dry-run`` prints the plan; ``s3batch jobs confirm ID`` runs it."""
    count = len(fill("sdo/", 40))
    ended = command_line.run("copy", f"s3://{bucket_name}/sdo/", f"s3://{bucket_name}/new/", "--dry-run")
    job = command_line.jobs()[0]
    assert ended.code == 0
    assert ended.out.startswith(f"Plan of the copy job {job.id}")
    assert f"s3batch jobs confirm {job.id}" in ended.out
    assert job.status is JobStatus.SUSPENDED
    assert etag_by_key("new/") == {}
    confirmed = command_line.run("jobs", "confirm", job.id[:8], "--json")
    assert confirmed.code == 0, confirmed.err
    assert len(etag_by_key("new/")) == count


def test_what_failed_is_reported_and_tried_again(
    command_line: CommandLine, fill: Fill, etag_by_key: Listed, bucket_name: str, ministack: Server
) -> None:
    """``s3batch jobs report ID --failed``, then ``s3batch jobs retry ID --code TargetExists --json``."""
    originals = fill("sdo/", 40)
    taken = sorted(originals)[7].removeprefix("sdo/")
    client = ministack.boto3_client()
    client.put_object(Bucket=bucket_name, Key=f"new/{taken}", Body=b"somebody else's")
    ended = command_line.run("copy", f"s3://{bucket_name}/sdo/", f"s3://{bucket_name}/new/")
    job_id = command_line.jobs()[0].id
    assert ended.code == 1
    assert f"{len(originals) - 1} copied, 1 failed of {len(originals)} objects" in ended.out
    assert "TargetExists (copy): Look at the target; then run again with" in ended.out
    assert f"s3batch jobs retry {job_id}" in ended.out
    rows = command_line.run("jobs", "report", job_id, "--failed").out.splitlines()
    assert len(rows) == 1
    assert rows[0].startswith(f"{bucket_name},{quote('sdo/' + taken)},,failed,")
    client.delete_object(Bucket=bucket_name, Key=f"new/{taken}")
    nothing = command_line.run("jobs", "retry", job_id, "--code", "SlowDown")
    assert (nothing.code, "Its codes are: TargetExists 1." in nothing.err) == (4, True)
    again = command_line.run("jobs", "retry", job_id, "--code", "TargetExists", "--json")
    assert again.code == 0, again.err
    assert again.document["counts"]["total"] == 1
    assert etag_by_key("new/") == etags(originals, "sdo/")


def test_ctrl_c_pauses_and_resume_goes_on(
    command_line: CommandLine, fill: Fill, etag_by_key: Listed, bucket_name: str
) -> None:
    """``s3batch copy ... `` with Ctrl-C ends with 130, ``s3batch jobs resume ID --json`` does the rest, once each."""
    originals = fill("sdo/", 120)
    process = command_line.start(
        "copy", f"s3://{bucket_name}/sdo/", f"s3://{bucket_name}/new/", "--max-rate", "30", "--chunk-entries", "10"
    )

    ended = interrupt_when(process, lambda: command_line.is_under_way(bucket_name))
    job = command_line.jobs()[0]
    assert ended.code == 130, ended.err
    assert "Pausing the copy job; Ctrl-C again leaves without waiting for it." in ended.err
    assert f"s3batch jobs resume {job.id}" in ended.out
    assert job.status is JobStatus.PAUSED
    assert 0 < job.succeeded < len(originals)
    assert len(etag_by_key("new/")) == job.succeeded
    resumed = command_line.run("jobs", "resume", job.id, "--json")
    assert resumed.code == 0, resumed.err
    assert resumed.document["counts"]["succeeded"] == len(originals)
    assert etag_by_key("new/") == etags(originals, "sdo/")


def test_a_runner_that_is_killed_while_it_is_followed_is_replaced(
    command_line: CommandLine, fill: Fill, etag_by_key: Listed, bucket_name: str
) -> None:
    """``s3batch copy ... --json`` goes on and counts each object once although its runner was killed (kill -9)."""
    originals = fill("sdo/", 100)
    process = command_line.start(
        "copy",
        f"s3://{bucket_name}/sdo/",
        f"s3://{bucket_name}/new/",
        "--max-rate",
        "40",
        "--chunk-entries",
        "10",
        "--json",
    )
    os.kill(command_line.pid_of_runner(bucket_name), signal.SIGKILL)
    out, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    assert json.loads(out)["counts"]["succeeded"] == len(originals)
    assert etag_by_key("new/") == etags(originals, "sdo/")


def test_a_detached_job_is_watched_later(
    command_line: CommandLine, fill: Fill, etag_by_key: Listed, bucket_name: str
) -> None:
    """``ID=$(s3batch copy ... --detach)``, then ``s3batch jobs watch $ID --json`` and ``s3batch jobs list --json``."""
    count = len(fill("sdo/", 40))
    detached = command_line.run("copy", f"s3://{bucket_name}/sdo/", f"s3://{bucket_name}/new/", "--detach")
    job_id = detached.out.strip()
    assert detached.code == 0
    watched = command_line.run("jobs", "watch", job_id, "--json")
    assert (watched.code, watched.document["status"]) == (0, "Complete")
    assert len(etag_by_key("new/")) == count
    listed = command_line.run("jobs", "list", "--json").document
    assert [job["status"] for job in listed if job["job_id"] == job_id] == ["Complete"]
    assert job_id[:8] in command_line.run("jobs", "list").out


def test_a_cancelled_job_has_a_report(command_line: CommandLine, fill: Fill, bucket_name: str) -> None:
    """``s3batch copy ... --dry-run`` and ``s3batch jobs cancel ID --json``; a running one ends early with a report."""
    fill("sdo/", 60)
    planned = command_line.run("copy", f"s3://{bucket_name}/sdo/", f"s3://{bucket_name}/new/", "--dry-run", "--json")
    cancelled = command_line.run("jobs", "cancel", planned.document["job_id"], "--json")
    assert (cancelled.code, cancelled.document["status"]) == (0, "Cancelled")
    again = command_line.run("jobs", "resume", planned.document["job_id"])
    assert (again.code, "there is nothing to resume" in again.err) == (4, True)
    slow = command_line.run(
        "copy", f"s3://{bucket_name}/sdo/", f"s3://{bucket_name}/new/", "--detach", "--max-rate", "5"
    )
    ended = command_line.run("jobs", "cancel", slow.out.strip(), "--json")
    assert (ended.code, ended.document["status"]) == (0, "Cancelled")


def test_without_credentials_nothing_is_started(command_line: CommandLine, bucket_name: str) -> None:
    """``s3batch copy ...`` without keys ends with 4 and says how to sign in."""
    home = command_line.home / "nobody"
    environment = {**command_line.environment, "AWS_ACCESS_KEY_ID": "", "AWS_SECRET_ACCESS_KEY": ""}
    ended = CommandLine(home=home, environment=environment).run(
        "copy", f"s3://{bucket_name}/sdo/", f"s3://{bucket_name}/new/"
    )
    assert ended.code == 4, ended.out
    assert "No credentials were found. Set AWS_ACCESS_KEY_ID" in ended.out


def test_a_bucket_that_is_not_there_is_told(command_line: CommandLine, bucket_name: str) -> None:
    """``s3batch copy s3://NONE/sdo/ ...`` ends with 4 and the store's own code."""
    ended = command_line.run("copy", f"s3://{bucket_name}/sdo/", f"s3://{bucket_name}/new/", "--json")
    assert ended.code == 4, ended.out
    assert ended.document["failure"]["code"] == "NoSuchBucket"


def test_a_store_that_does_not_answer_is_told(command_line: CommandLine, bucket_name: str) -> None:
    """``s3batch copy ... --endpoint-url http://127.0.0.1:1`` ends with 5: the same may succeed later."""
    ended = command_line.run(
        "copy", f"s3://{bucket_name}/sdo/", f"s3://{bucket_name}/new/", "--endpoint-url", "http://127.0.0.1:1"
    )
    assert ended.code == 5, ended.out
    assert "http://127.0.0.1:1" in ended.out
