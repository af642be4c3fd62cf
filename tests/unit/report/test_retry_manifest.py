"""A retry manifest: the failed entries, pinned to what the first job had pinned."""

from pathlib import Path

import pytest

from s3batch.manifest.normalised import NormalisedManifest
from s3batch.model.errors import RefusedError
from s3batch.model.outcome import TaskStatus
from s3batch.report.retry_manifest import write_retry_manifest
from tests.unit.report.finished_job import FinishedJob, Task, finished_job

TASKS = [
    Task(key="a", size=1, etag="ea"),
    Task(key="b", size=2, etag="eb", version_id="v", status="failed", code="AccessDenied"),
    Task(key="c", size=3, etag="ec", status="kept", code="TargetChanged"),
    Task(key="d", problem="NoSuchKey", status="failed", code="NoSuchKey"),
    Task(key="e", size=5, etag="ee", status=None),
    Task(key="f", size=6, etag="ef", status="failed", code="AccessDenied"),
]


@pytest.fixture
def job(tmp_path: Path) -> FinishedJob:
    """A job with each kind of end."""
    return finished_job(tmp_path, TASKS)


def entries_of(path: Path) -> list[tuple[str, str | None, int | None, str | None, str | None]]:
    """Return what identifies each entry, and its problem."""
    with NormalisedManifest.open(path) as manifest:
        manifest.check_content()
        rows = [row for chunk in manifest.read_chunks() for row in chunk.to_pylist()]
    return [(row["key"], row["version_id"], row["size"], row["etag"], row["problem"]) for row in rows]


def test_failed_and_kept_entries_keep_their_pinned_identity(job: FinishedJob, tmp_path: Path) -> None:
    """Size, ETag and version go with the entry; what the plan had found wrong is looked at again."""
    retry = write_retry_manifest(tmp_path / "retry.parquet", job.manifest, job.segments_of_chunk)
    assert entries_of(retry.path) == [
        ("b", "v", 2, "eb", None),
        ("c", None, 3, "ec", None),
        ("d", None, None, None, None),
        ("f", None, 6, "ef", None),
    ]
    assert (retry.entries, retry.bytes) == (4, 11)


def test_entries_are_chosen_by_code_and_by_status(job: FinishedJob, tmp_path: Path) -> None:
    """One cause is mended at a time."""
    by_code = write_retry_manifest(tmp_path / "1", job.manifest, job.segments_of_chunk, codes=["AccessDenied"])
    kept = write_retry_manifest(tmp_path / "2", job.manifest, job.segments_of_chunk, statuses=[TaskStatus.KEPT])
    assert [entry[0] for entry in entries_of(by_code.path)] == ["b", "f"]
    assert [entry[0] for entry in entries_of(kept.path)] == ["c"]


def test_nothing_to_retry_is_refused_and_leaves_no_file(job: FinishedJob, tmp_path: Path) -> None:
    """An empty job would look like a success."""
    with pytest.raises(RefusedError, match="failed or kept with the code SlowDown") as refused:
        write_retry_manifest(tmp_path / "retry.parquet", job.manifest, job.segments_of_chunk, codes=["SlowDown"])
    assert refused.value.code == "NothingToRetry"
    assert not [path for path in tmp_path.iterdir() if "retry" in path.name]


def test_chunks_are_cut_anew(job: FinishedJob, tmp_path: Path) -> None:
    """A few failures of many chunks make few chunks."""
    retry = write_retry_manifest(tmp_path / "retry.parquet", job.manifest, job.segments_of_chunk, chunk_entries=3)
    with NormalisedManifest.open(retry.path) as manifest:
        assert [chunk.entries for chunk in manifest.chunks] == [3, 1]


def test_entries_that_never_ran_are_tried_again_too(job: FinishedJob, tmp_path: Path) -> None:
    """A job that was cancelled half-way must not leave the other half behind in silence."""
    retry = write_retry_manifest(tmp_path / "retry.parquet", job.manifest, job.segments_of_chunk, with_unended=True)
    assert [entry[0] for entry in entries_of(retry.path)] == ["b", "c", "d", "e", "f"]


def test_a_job_that_never_ran_is_tried_again_whole(tmp_path: Path) -> None:
    """Not one chunk has a segment."""
    job = finished_job(tmp_path, [Task(key=key, size=1, etag="e", status=None) for key in "abc"])
    retry = write_retry_manifest(tmp_path / "retry.parquet", job.manifest, lambda _: [], with_unended=True)
    assert [entry[0] for entry in entries_of(retry.path)] == ["a", "b", "c"]
