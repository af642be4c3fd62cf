"""``s3batch verify`` and ``s3batch delete`` as a user runs them: nothing goes that was not proven."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

import pytest

from s3batch.model.status import JobStatus
from tests.archive import Original
from tests.e2e.command import CommandLine
from tests.servers.server import Server

Fill = Callable[..., dict[str, Original]]
Listed = Callable[[str], dict[str, str]]


@pytest.fixture
def copied(command_line: CommandLine, fill: Fill, bucket_name: str) -> tuple[str, dict[str, Original]]:
    """A copy job's id and the originals, copied from sdo/ to sdac/sdo/."""
    originals = fill("sdo/", 80)
    ended = command_line.run("copy", f"s3://{bucket_name}/sdo/", f"s3://{bucket_name}/sdac/sdo/", "--json")
    assert ended.code == 0, ended.err
    return ended.document["job_id"], originals


def test_what_was_proven_is_deleted(
    command_line: CommandLine, copied: tuple[str, dict[str, Original]], etag_by_key: Listed
) -> None:
    """``s3batch verify --job COPY --json``, then ``s3batch delete --job VERIFY --yes --json``."""
    copy_id, originals = copied
    verified = command_line.run("verify", "--job", copy_id[:8], "--json")
    assert verified.code == 0, verified.err
    assert verified.document["counts"]["succeeded"] == len(originals)
    assert Path(verified.document["mapping"]["csv"]).is_file()
    deleted = command_line.run("delete", "--job", verified.document["job_id"], "--yes", "--json")
    assert deleted.code == 0, deleted.err
    assert deleted.document["counts"]["succeeded"] == len(originals)
    assert etag_by_key("sdo/") == {}
    assert len(etag_by_key("sdac/sdo/")) == len(originals)


def test_listings_are_trusted_on_the_users_word_only_and_the_plan_shows_it(
    command_line: CommandLine, fill: Fill, bucket_name: str
) -> None:
    """``s3batch delete ... --dry-run`` and ``s3batch move``, with and without ``--trust-listings``."""
    originals = fill("sdo/", 3)
    manifest = command_line.home / "list.csv"
    manifest.write_text("".join(f"{bucket_name},{quote(key)}\n" for key in originals))
    warning = "--trust-listings: what this store lists is taken for what is there"
    for words in ((), ("--trust-listings",)):
        planned = command_line.run("delete", "--manifest", str(manifest), "--unverified", "--dry-run", *words)
        assert planned.code == 0, planned.err
        told = planned.out + planned.err
        assert "Conditional deletes were not probed on this store." in told
        assert (warning in told) == bool(words)
        assert command_line.jobs()[0].spec.delete.trust_listings == bool(words)
    moved = command_line.run("move", f"s3://{bucket_name}/sdo/", f"s3://{bucket_name}/a/", *words, "--dry-run")
    assert moved.code == 0, moved.err
    assert any(job.spec.delete.trust_listings for job in command_line.jobs() if job.move_id)


def test_a_difference_is_found_and_its_original_kept(
    command_line: CommandLine,
    copied: tuple[str, dict[str, Original]],
    etag_by_key: Listed,
    bucket_name: str,
    ministack: Server,
) -> None:
    """``s3batch verify`` and ``s3batch delete`` end with 3, and ``s3batch jobs retry`` does not delete it either."""
    copy_id, originals = copied
    changed, gone = (key.removeprefix("sdo/") for key in sorted(originals)[3:5])
    client = ministack.boto3_client()
    client.put_object(Bucket=bucket_name, Key=f"sdac/sdo/{changed}", Body=b"changed behind its back")
    client.delete_object(Bucket=bucket_name, Key=f"sdac/sdo/{gone}")
    verified = command_line.run("verify", "--job", copy_id)
    verify_id = command_line.jobs()[0].id
    assert verified.code == 3
    assert f"{len(originals) - 2} proven, 2 not proven of {len(originals)} objects" in verified.out
    assert "TargetDifferent (verify): Something else is at the target" in verified.out
    assert "TargetMissing (verify): The copy is not at the target" in verified.out
    waiting = command_line.run("delete", "--job", verify_id)
    delete_id = command_line.jobs()[0].id
    assert waiting.code == 0
    assert f"s3batch jobs confirm {delete_id}" in waiting.out
    assert len(etag_by_key("sdo/")) == len(originals)
    deleted = command_line.run("jobs", "confirm", delete_id, "--json")
    assert deleted.code == 3
    counts = deleted.document["counts"]
    assert (counts["succeeded"], counts["failed"], counts["kept"]) == (len(originals) - 2, 0, 2)
    assert set(etag_by_key("sdo/")) == {changed, gone}
    rows = command_line.run("jobs", "report", delete_id, "--failed").out.splitlines()
    assert sorted(row.split(",")[1] for row in rows) == sorted(quote(f"sdo/{key}") for key in (changed, gone))
    again = command_line.run("jobs", "retry", delete_id, "--yes", "--json")
    assert again.code == 3, again.err
    assert [job["operation"] for job in again.document["jobs"]] == ["verify", "delete"]
    assert [job["counts"]["total"] for job in again.document["jobs"]] == [2, 2]
    assert set(etag_by_key("sdo/")) == {changed, gone}


def test_two_prefixes_are_compared_without_a_job(
    command_line: CommandLine, copied: tuple[str, dict[str, Original]], bucket_name: str
) -> None:
    """``s3batch verify s3://B/sdo/ s3://B/sdac/sdo/ --level bytes --json``: every byte is read."""
    _, originals = copied
    ended = command_line.run(
        "verify", f"s3://{bucket_name}/sdo/", f"s3://{bucket_name}/sdac/sdo/", "--level", "bytes", "--json"
    )
    assert ended.code == 0, ended.err
    assert ended.document["counts"]["succeeded"] == len(originals)


def test_an_unverified_delete_wants_the_number_of_objects(
    command_line: CommandLine, fill: Fill, etag_by_key: Listed, bucket_name: str, tmp_path: Path
) -> None:
    """``s3batch delete --manifest FILE --unverified``, then ``s3batch jobs confirm ID --objects N``."""
    originals = fill("tmp/", 70)
    named = sorted(originals)[:5]
    manifest = tmp_path / "list.csv"
    manifest.write_text("".join(f"{bucket_name},{quote(key)}\n" for key in named))
    limited = command_line.run("delete", "--manifest", str(manifest), "--unverified", "--max-delete", "4")
    assert limited.code == 4
    assert "The job would delete 5 objects; --max-delete allows 4." in limited.out
    total = sum(originals[key].size for key in named)
    words = ["delete", "--manifest", str(manifest), "--unverified", "--max-delete", "5", "--max-delete-bytes"]
    limited = command_line.run(*words, str(total - 1))
    assert limited.code == 4
    assert f"The job would delete {total:,} bytes; --max-delete-bytes allows {total - 1:,}." in limited.out
    assert len(etag_by_key("tmp/")) == len(originals)
    assert command_line.run(*words, str(total), "--dry-run").code == 0
    planned = command_line.run("delete", "--manifest", str(manifest), "--unverified")
    job = command_line.jobs()[0]
    assert (planned.code, job.status) == (0, JobStatus.SUSPENDED)
    assert f"s3batch jobs confirm {job.id} --objects N" in planned.out
    for wrong, told in (([], "their number was not given right"), (["--objects", "6"], "is about 5 objects, not 6")):
        refused = command_line.run("jobs", "confirm", job.id, *wrong)
        assert refused.code == 4
        assert told in refused.err
    assert len(etag_by_key("tmp/")) == len(originals)
    done = command_line.run("jobs", "confirm", job.id, "--objects", "5", "--json")
    assert done.code == 0, done.err
    assert len(etag_by_key("tmp/")) == len(originals) - 5
    manifest.write_text(f"{bucket_name},{quote(sorted(originals)[6])}\n")
    question = "Type the number of objects to delete them"
    for typed, left in (("2", len(originals) - 5), ("1", len(originals) - 6)):
        command_line.run_in_terminal("delete", "--manifest", str(manifest), "--unverified", answers={question: typed})
        assert len(etag_by_key("tmp/")) == left


def test_a_sample_that_was_proven_is_not_deleted(
    command_line: CommandLine, fill: Fill, etag_by_key: Listed, bucket_name: str
) -> None:
    """``s3batch copy --sample 5``, ``s3batch verify --job``; ``s3batch delete --job`` of that is refused."""
    originals = fill("sdo/", 70)
    copy = command_line.run(
        "copy", f"s3://{bucket_name}/sdo/", f"s3://{bucket_name}/new/", "--sample", "5", "--json"
    ).document
    verify = command_line.run("verify", "--job", copy["job_id"], "--json").document
    assert verify["counts"]["succeeded"] == 5
    refused = command_line.run("delete", "--job", verify["job_id"], "--yes")
    assert refused.code == 4
    assert "worked on a sample: deleting it would leave the other objects behind" in refused.err
    assert len(etag_by_key("sdo/")) == len(originals)


def test_a_verify_that_is_not_complete_permits_nothing(
    command_line: CommandLine, copied: tuple[str, dict[str, Original]]
) -> None:
    """``s3batch verify --job COPY --dry-run``, then ``s3batch delete --job``: refused until it has run."""
    planned = command_line.run("verify", "--job", copied[0], "--dry-run", "--json").document
    refused = command_line.run("delete", "--job", planned["job_id"], "--yes")
    assert refused.code == 4
    assert "is Suspended: only a complete one can be built on" in refused.err
