"""The summary: a contract for scripts, and a next step for people."""

import json
from pathlib import Path

import pytest

from s3batch.model.job import Operation
from s3batch.model.outcome import Code, Counts
from s3batch.model.status import JobStatus
from s3batch.report.advice import ADVICE, OTHERWISE, advice
from s3batch.report.summary import Sample, Summary, find_samples
from tests.unit.report.finished_job import Task, finished_job


def test_the_json_form_is_the_documented_one() -> None:
    """Members that scripts depend on, in their order, and ours behind them."""
    summary = Summary(
        job_id="job-1",
        operation=Operation.DELETE,
        status=JobStatus.COMPLETE,
        counts=Counts(total=4, succeeded=2, failed=0, kept=1, by_code={"TargetChanged": 1}),
        bytes_done=2048,
        elapsed_s=2.0,
        report_uri="s3://reports/job-job-1/manifest.json",
        move_id="move-1",
        samples_by_code={"TargetChanged": (Sample(uri="s3://b/a b", version_id=None, message="other ETag"),)},
    )
    assert json.loads(json.dumps(summary.to_document())) == {
        "job_id": "job-1",
        "operation": "delete",
        "status": "Complete",
        "counts": {"total": 4, "succeeded": 2, "failed": 0, "kept": 1, "by_code": {"TargetChanged": 1}},
        "bytes": 2048,
        "report": "s3://reports/job-job-1/manifest.json",
        "move_id": "move-1",
        "elapsed_s": 2.0,
        "objects_per_s": 1.5,
        "bytes_per_s": 1024.0,
        "codes": [
            {
                "code": "TargetChanged",
                "count": 1,
                "advice": ADVICE["TargetChanged"],
                "samples": [{"uri": "s3://b/a b", "version_id": None, "message": "other ETag"}],
            }
        ],
    }


def test_a_job_of_no_move_has_no_move_id_and_no_time_gives_no_rate() -> None:
    """A member that does not apply is left out; nothing is divided by zero."""
    summary = Summary(
        job_id="j",
        operation=Operation.COPY,
        status=JobStatus.CANCELLED,
        counts=Counts(),
        bytes_done=0,
        elapsed_s=0.0,
    )
    document = summary.to_document()
    assert "move_id" not in document
    assert document["report"] is None
    assert (document["objects_per_s"], document["bytes_per_s"]) == (0.0, 0.0)


def test_samples_are_the_first_of_each_code_and_reading_stops_when_there_are_enough(tmp_path: Path) -> None:
    """A few examples of each code, from as few chunks as will do."""
    tasks = [
        Task(
            key=f"{number:02d}",
            status="failed",
            code="NoSuchKey" if number % 2 else "AccessDenied",
            message=f"m{number}",
        )
        for number in range(12)
    ]
    job = finished_job(tmp_path, tasks, chunk_entries=4)
    job.segments[2][0].path.unlink()
    found = find_samples(job.manifest, job.segments_of_chunk, ["NoSuchKey", "AccessDenied"], per_code=3)
    assert [sample.uri for sample in found["NoSuchKey"]] == [f"s3://source-bucket/{n:02d}" for n in (1, 3, 5)]
    assert [sample.message for sample in found["AccessDenied"]] == ["m0", "m2", "m4"]


def test_without_failures_nothing_is_read(tmp_path: Path) -> None:
    """The summary of a job of 10^9 successes costs nothing."""
    job = finished_job(tmp_path, [Task(key="a")])
    job.segments[0][0].path.unlink()
    assert find_samples(job.manifest, job.segments_of_chunk, []) == {}


@pytest.mark.parametrize("code", list(Code))
def test_every_code_of_ours_has_an_advice(code: Code) -> None:
    """A code without a next step helps nobody."""
    assert advice(code) != OTHERWISE
    assert advice(str(code)) == advice(code)


@pytest.mark.parametrize("code", list(ADVICE))
def test_an_advice_is_one_sentence_and_an_unknown_code_has_a_general_one(code: str) -> None:
    """Short enough for a table in a terminal."""
    assert advice(code).endswith(".")
    assert len(advice(code)) <= 110
    assert advice("NobodyHasSeenThis") == OTHERWISE
