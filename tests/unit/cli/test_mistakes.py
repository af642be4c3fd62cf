"""Mistakes that users make: each ends with its code, one message with a way out, no traceback, and nothing created.

None of these needs a store: everything here is found out before the first request.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from s3batch.ledger.store import open_ledger
from s3batch.model.status import JobStatus
from tests.unit.cli.command import CommandLine
from tests.unit.ledger.ledgers import new_job, take_to

AWS = "s3://archive/cdaweb/"
USAGE, REFUSED, UNAVAILABLE = 2, 4, 5

MISTAKES: list[tuple[str, int, str]] = [
    ("copy", USAGE, "Source or target is missing. Write s3://BUCKET/PREFIX/ twice"),
    (f"copy {AWS}", USAGE, "Source or target is missing"),
    (f"copy archive/cdaweb {AWS}", USAGE, "'archive/cdaweb' is not an S3 address. Write it as s3://BUCKET/PREFIX/."),
    (f"copy s3:/archive/cdaweb/ {AWS}", USAGE, "is not an S3 address"),
    (f"copy s3://a/cdaweb/ {AWS}", USAGE, "'a' in 's3://a/cdaweb/' is not a bucket name"),
    (f"copy s3://archive/cdaweb {AWS}", REFUSED, "it would also mean s3://archive/cdaweb2/... and"),
    (f"copy {AWS} s3://archive/spdf", REFUSED, "s3://archive/spdf has no final '/'"),
    (f"copy {AWS} {AWS}", REFUSED, "Source and target are the same"),
    (f"move {AWS} {AWS}", REFUSED, "Source and target are the same"),
    (f"copy {AWS} s3://archive/spdf/ extra", USAGE, "unexpected extra argument"),
    (f"copy {AWS} s3://archive/spdf/ --to s3://archive/x/", USAGE, "--to goes with --manifest"),
    (f"copy {AWS} --manifest list.csv --to s3://archive/x/", USAGE, "Both s3://archive/cdaweb/ and --manifest"),
    ("copy --manifest list.csv", USAGE, "--manifest needs --to"),
    ("copy --manifest no-such.csv --to s3://archive/x/", REFUSED, "There is no manifest at"),
    ("copy --manifest s3://archive/folder/ --to s3://archive/x/", USAGE, "s3://archive/folder/ is not an object"),
    ("copy --manifest list.csv --to s3://archive/x/ --min-size 1", USAGE, "A filter by min size cannot be applied"),
    ("copy --manifest list.csv --to s3://archive/x/ --manifest-format xml", USAGE, "Use csv, json or parquet"),
    (f"copy {AWS} s3://archive/x/ --strip-prefix sdo/", USAGE, "is not the beginning of the source's prefix"),
    (f"copy {AWS} s3://archive/x/ --strip-prefix cda", REFUSED, "has no final '/'"),
    (f"copy {AWS} s3://archive/x/ --part-size 4MiB", USAGE, "from 5 MiB to 5,120 MiB"),
    (f"copy {AWS} s3://archive/x/ --part-size lots", USAGE, "'S3BATCH_PART_SIZE'): 'lots' is not a size"),
    (f"copy {AWS} s3://archive/x/ --workers 0", USAGE, "'S3BATCH_WORKERS'): '0' is out of bounds"),
    (f"copy {AWS} s3://archive/x/ --if-target-exists maybe", USAGE, "'--if-target-exists'"),
    (f"copy {AWS} s3://archive/x/ --min-size 2 --max-size 1", USAGE, "min_size 2 is over max_size 1"),
    (f"copy {AWS} s3://archive/x/ --min-size ten", USAGE, "'ten' is not a size such as 64MiB"),
    (f"copy {AWS} s3://archive/x/ --modified-after yesterday", USAGE, "'yesterday' is not a time. Write 2026-11-22"),
    (f"copy {AWS} s3://archive/x/ --regex (", USAGE, "the regular expression '(' is wrong"),
    (f"copy {AWS} s3://archive/x/ --limit 1 --sample 1", USAGE, "limit and sample exclude each other"),
    (f"copy {AWS} s3://archive/x/ --endpoint-url localhost:9000", USAGE, "is not an address such as https://"),
    (f"copy {AWS} s3://archive/x/ --profile nobody", REFUSED, "The config profile (nobody) could not be found"),
    (f"copy {AWS} s3://archive/x/ --ca-bundle /no/such.pem", USAGE, "The CA bundle /no/such.pem is not there"),
    (f"copy {AWS} s3://archive/x/ --report s3://", USAGE, "is not a bucket name"),
    (f"copy {AWS} s3://archive/x/ --priority -1", USAGE, "'--priority'"),
    (f"copy {AWS} s3://archive/x/ --no-such-option", USAGE, "No such option"),
    (f"move {AWS} s3://archive/x/ --sample 5", REFUSED, "A move of a sample would delete some objects"),
    (f"verify {AWS} s3://archive/x/ --level response", USAGE, "rests on a copy's own answers"),
    (f"verify {AWS} s3://archive/x/ --job 1234", USAGE, "--job stands alone"),
    ("verify --job 12345678 --include *.cdf", USAGE, "--job stands alone"),
    ("verify --job 12345678 --strip-prefix sdo/", USAGE, "--job stands alone"),
    ("verify --job 12345678", REFUSED, "No job or move '12345678' is in this ledger"),
    ("delete", USAGE, "Write --job VERIFY_JOB, or --manifest URL --unverified."),
    ("delete --manifest list.csv", USAGE, "Write --job VERIFY_JOB, or --manifest URL --unverified."),
    ("delete --job 1234 --unverified", USAGE, "Write --job VERIFY_JOB, or --manifest URL --unverified."),
    ("delete --unverified", USAGE, "--unverified needs --manifest"),
    ("delete --manifest list.csv --unverified --yes", USAGE, "--yes does not confirm an unverified delete"),
    ("jobs show 12345678", REFUSED, "No job or move '12345678' is in this ledger. `s3batch jobs list`"),
    ("jobs watch 12345678", REFUSED, "No job or move"),
    ("jobs confirm 12345678", REFUSED, "No job or move"),
    ("jobs priority 12345678 high", USAGE, "'N'"),
    ("jobs list --status Running", USAGE, "'--status'"),
    ("jobs shwo", USAGE, "No such command 'shwo'. Is show meant?"),
    ("mvoe", USAGE, "No such command 'mvoe'. Is move meant?"),
]


@pytest.mark.parametrize(("words", "code", "message"), MISTAKES, ids=[words for words, _, _ in MISTAKES])
def test_a_mistake_is_told_with_its_way_out(
    words: str, code: int, message: str, command_line: CommandLine, home: Path
) -> None:
    """The right code, the right words, no traceback, no job."""
    ended = command_line.run(*words.split())
    assert message in ended.err
    assert ended.code == code
    assert ended.out == ""
    assert "Traceback" not in ended.err
    assert not (home / "ledger.sqlite").exists() or open_ledger(home / "ledger.sqlite").list_jobs() == []


@pytest.mark.parametrize("words", ["copy --json", "jobs show 12345678 --json", "jobs list --limit x --json"])
def test_with_json_a_mistake_is_one_document(words: str, command_line: CommandLine) -> None:
    """Scripts read the code, people the message beside it."""
    ended = command_line.run(*words.split())
    assert ended.out.count("\n") == 1
    assert set(ended.document["error"]) == {"code", "message", "way_out"}
    assert ended.err


def test_a_home_that_cannot_be_made_is_told(command_line: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    """The state's folder must be writable; the way out names the variable."""
    monkeypatch.setenv("S3BATCH_HOME", "/proc/no-such-folder")
    ended = command_line.run("jobs", "list")
    assert ended.code == UNAVAILABLE
    assert "cannot be made" in ended.err
    assert "Set S3BATCH_HOME to a folder of your own" in ended.err


def test_a_home_that_holds_something_else_is_told(command_line: CommandLine, home: Path) -> None:
    """A file that is no ledger is neither read nor replaced."""
    home.mkdir()
    (home / "ledger.sqlite").write_bytes(b"something else, more than a page of it" * 200)
    ended = command_line.run("jobs", "list")
    assert ended.code == UNAVAILABLE
    assert "damaged or is no ledger" in ended.err


def test_a_mistake_in_the_settings_file_is_told(command_line: CommandLine, home: Path) -> None:
    """Before anything is done."""
    home.mkdir()
    (home / "config.toml").write_text("wrokers = 3\n")
    ended = command_line.run("copy", AWS, "s3://archive/x/")
    assert (ended.code, ended.out) == (USAGE, "")
    assert "there is no setting 'wrokers'. Is workers meant?" in ended.err


def test_a_mistake_in_a_variable_is_told(command_line: CommandLine, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the option that it stands for."""
    monkeypatch.setenv("S3BATCH_CHUNK_ENTRIES", "0")
    ended = command_line.run("copy", AWS, "s3://archive/x/")
    assert ended.code == USAGE
    assert "'--chunk-entries'" in ended.err


def test_a_job_that_has_ended_takes_no_wish(command_line: CommandLine, home: Path) -> None:
    """Pause, resume, cancel, confirm and priority say what can be done instead."""
    ledger = open_ledger(home / "ledger.sqlite")
    take_to(ledger, JobStatus.FAILED, "job-1111")
    ledger.close()
    for words in ("pause", "resume", "cancel", "confirm", "priority"):
        ended = command_line.run("jobs", words, "job-1111", *(["5"] if words == "priority" else []))
        assert ended.code == REFUSED
        assert "Job job-1111 is Failed: there is nothing to" in ended.err
        assert "jobs retry job-1111" in ended.err


def test_a_beginning_that_two_jobs_share_is_refused(command_line: CommandLine, home: Path) -> None:
    """Nothing is done to the wrong job."""
    ledger = open_ledger(home / "ledger.sqlite")
    ledger.create_jobs([new_job("abcd-1")], now_ms=1)
    ledger.create_jobs([new_job("abcd-2")], now_ms=2)
    ledger.close()
    ended = command_line.run("jobs", "cancel", "abcd")
    assert ended.code == REFUSED
    assert "More than one job or move begins with 'abcd'" in ended.err


def test_a_copy_is_not_taken_for_proof(command_line: CommandLine, home: Path) -> None:
    """A delete needs a verify job; the way out says how to get one."""
    ledger = open_ledger(home / "ledger.sqlite")
    ledger.create_jobs([new_job("copy-1111")], now_ms=1)
    ledger.close()
    ended = command_line.run("delete", "--job", "copy-1111")
    assert ended.code == REFUSED
    assert "Prove the copy first: `s3batch verify --job copy-1111`" in ended.err


def test_what_has_not_ended_cannot_be_tried_again(command_line: CommandLine, home: Path) -> None:
    """Its failures are not known yet."""
    ledger = open_ledger(home / "ledger.sqlite")
    ledger.create_jobs([new_job("copy-1111")], now_ms=1)
    ledger.close()
    ended = command_line.run("jobs", "retry", "copy-1111")
    assert (ended.code, json.dumps(ended.out)) == (REFUSED, '""')
    assert "is not known yet" in ended.err


def test_a_job_without_report_says_so(command_line: CommandLine, home: Path) -> None:
    """And how to see its end."""
    ledger = open_ledger(home / "ledger.sqlite")
    ledger.create_jobs([new_job("copy-1111")], now_ms=1)
    ledger.close()
    ended = command_line.run("jobs", "report", "copy-1111")
    assert ended.code == REFUSED
    assert "has no report yet. `s3batch jobs watch copy-1111` shows how it ends." in ended.err
