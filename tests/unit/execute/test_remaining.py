"""What is told about objects that are still at a move's source."""

from pathlib import Path
from typing import Any, cast

from s3batch.execute.remaining import NOT_RUN, WRITTEN_AGAIN, explain
from s3batch.plan.collisions import KeySpan
from tests.unit.report.finished_job import Task, finished_job


def test_every_remaining_object_has_its_reason(tmp_path: Path) -> None:
    """Failed and kept by their codes, then what was never run, what came after its delete, what was never named."""
    tasks = [
        Task(key="a/0", status="succeeded"),
        Task(key="a/1", status="succeeded"),
        Task(key="a/2", status="kept", code="TargetMissing"),
        Task(key="a/3", status="failed", code="AccessDenied"),
        Task(key="a/4", status=None),
        Task(key="a/5", status="kept", code="TargetMissing"),
    ]
    job = finished_job(tmp_path / "job", tasks, chunk_entries=2)
    there = [Task(key=key, status=None) for key in ("a/1", "a/2", "a/3", "a/4", "a/5", "a/new")]
    remaining = finished_job(tmp_path / "remaining", there)
    found = explain(remaining.manifest.path, job.manifest.path, cast("Any", job.segments), tmp_path)
    assert found == {
        "not_in_manifest": 1,
        "not_in_manifest_examples": ["s3://source-bucket/a/new"],
        "reasons": {"AccessDenied": 1, NOT_RUN: 1, "TargetMissing": 2, WRITTEN_AGAIN: 1},
    }


def test_without_a_prefix_only_the_folder_of_the_manifest_s_keys_is_listed() -> None:
    """A move of some keys says nothing about a bucket of a thousand million others."""
    assert KeySpan(bucket="b", first_key="x/y/1", last_key="x/y/9").folder == "x/y/"
    assert KeySpan(bucket="b", first_key="x/1", last_key="xy/9").folder == ""
    assert KeySpan(bucket="b", first_key="x/same", last_key="x/same").folder == "x/"
