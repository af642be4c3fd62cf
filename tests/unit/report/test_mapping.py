"""Old -> new: every ended copy has its row, and only what verify proved carries a level."""

import asyncio
import csv
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s3batch.model.job import KeyMapping
from s3batch.report.mapping import MAPPING_SCHEMA, MappingFiles, write_mapping
from tests.keys import keys
from tests.unit.report.finished_job import FinishedJob, Task, finished_job

MAPPING = KeyMapping(target_bucket="target-bucket", strip_prefix="cdaweb/", add_prefix="spdf/")


def mapping_of(folder: Path, copied: FinishedJob, verified: FinishedJob | None = None) -> MappingFiles:
    """Write the mapping of a copy job and, perhaps, its verify job."""
    return asyncio.run(
        write_mapping(
            folder / "mapping",
            manifest=copied.manifest,
            mapping=MAPPING,
            copy_segments=copied.segments_of_chunk,
            verify_segments=None if verified is None else verified.segments_of_chunk,
        )
    )


def outcomes_by_key(files: MappingFiles) -> dict[str, tuple[str | None, str, str | None]]:
    """Return level, outcome and code by source address."""
    rows = pq.read_table(files.parquet).to_pylist()
    return {row["source_uri"]: (row["level"], row["outcome"], row["code"]) for row in rows}


def test_a_verified_copy_is_told_with_both_identities(tmp_path: Path) -> None:
    """All columns, in Parquet and CSV alike."""
    task = Task(key="cdaweb/a b.cdf", version_id="v1", size=7, etag="source-etag", target_etag="answered-etag")
    proof = Task(key="cdaweb/a b.cdf", size=7, target_etag="seen-etag", level="etag", covered="bytes+tags")
    files = mapping_of(tmp_path, finished_job(tmp_path, [task]), finished_job(tmp_path, [proof], epoch=2))
    expected = {
        "source_uri": "s3://source-bucket/cdaweb/a b.cdf",
        "target_uri": "s3://target-bucket/spdf/a b.cdf",
        "size": 7,
        "source_etag": "source-etag",
        "target_etag": "seen-etag",
        "source_version_id": "v1",
        "target_version_id": None,
        "level": "etag",
        "outcome": "succeeded",
        "code": None,
        "covered": "bytes+tags",
    }
    assert files.rows == 1
    assert pq.read_table(files.parquet).schema.names == MAPPING_SCHEMA.names
    assert pq.read_table(files.parquet).to_pylist() == [expected]
    with files.csv.open(encoding="utf-8", newline="") as file:
        assert list(csv.DictReader(file)) == [
            {name: "" if value is None else str(value) for name, value in expected.items()}
        ]


def test_a_copy_that_nobody_verified_carries_no_level(tmp_path: Path) -> None:
    """The copy's own answer is no evidence, so the column that tells of proof stays empty."""
    files = mapping_of(tmp_path, finished_job(tmp_path, [Task(key="cdaweb/a", level="response")]))
    assert outcomes_by_key(files) == {"s3://source-bucket/cdaweb/a": (None, "succeeded", None)}


def test_the_two_jobs_are_joined_row_for_row(tmp_path: Path) -> None:
    """What verify proved is proven; a failed copy tells its own cause; what verify did not reach is merely copied."""
    copied = [
        Task(key="cdaweb/1 proven"),
        Task(key="cdaweb/2 differs"),
        Task(key="cdaweb/3 failed", status="failed", code="SourceChanged"),
        Task(key="cdaweb/4 was there", status="failed", code="TargetExists"),
        Task(key="cdaweb/5 unverified"),
        Task(key="cdaweb/6 never run", status=None),
        Task(key="cdaweb/7 failed, unverified", status="failed", code="AccessDenied"),
    ]
    verified = [
        Task(key="cdaweb/1 proven", level="checksum"),
        Task(key="cdaweb/2 differs", status="failed", code="TargetDifferent"),
        Task(key="cdaweb/3 failed", status="failed", code="TargetMissing"),
        Task(key="cdaweb/4 was there", level="etag"),
        Task(key="cdaweb/5 unverified", status=None),
        Task(key="cdaweb/6 never run", status="failed", code="TargetMissing"),
        Task(key="cdaweb/7 failed, unverified", status=None),
    ]
    copy_job = finished_job(tmp_path, copied, chunk_entries=4)
    files = mapping_of(tmp_path, copy_job, finished_job(tmp_path, verified, chunk_entries=4, epoch=2))
    assert {uri.removeprefix("s3://source-bucket/cdaweb/"): row for uri, row in outcomes_by_key(files).items()} == {
        "1 proven": ("checksum", "succeeded", None),
        "2 differs": (None, "failed", "TargetDifferent"),
        "3 failed": (None, "failed", "SourceChanged"),
        "4 was there": ("etag", "succeeded", None),
        "5 unverified": (None, "succeeded", None),
        "7 failed, unverified": (None, "failed", "AccessDenied"),
    }


@given(rests=st.lists(keys(max_pieces=6).filter(lambda key: len(key.encode()) <= 1000), unique=True, max_size=12))
@settings(max_examples=40, deadline=None)
def test_hostile_keys_are_mapped_as_the_job_maps_them(
    tmp_path_factory: pytest.TempPathFactory, rests: list[str]
) -> None:
    """Target addresses are those of the job's own key mapping, in both files, newlines and quotes included."""
    folder = tmp_path_factory.mktemp("job")
    tasks = [Task(key=f"cdaweb/{rest}") for rest in rests]
    files = mapping_of(folder, finished_job(folder, tasks))
    expected = [
        (f"s3://source-bucket/{task.key}", f"s3://target-bucket/{MAPPING.target_key(task.key)}")
        for task in sorted(tasks, key=lambda task: task.key)
    ]
    rows = pq.read_table(files.parquet).to_pylist()
    assert [(row["source_uri"], row["target_uri"]) for row in rows] == expected
    with files.csv.open(encoding="utf-8", newline="") as file:
        assert [(row["source_uri"], row["target_uri"]) for row in csv.DictReader(file)] == expected


def test_an_error_leaves_the_files_that_were_there(tmp_path: Path) -> None:
    """Both files appear whole or not at all, and nothing temporary is left."""
    job = finished_job(tmp_path, [Task(key="cdaweb/a")])
    files = mapping_of(tmp_path, job)
    before = (files.parquet.read_bytes(), files.csv.read_bytes())
    names = sorted(path.name for path in tmp_path.iterdir())
    job.segments[0][0].path.write_bytes(b"damage")
    with pytest.raises(Exception, match="SHA-256"):
        mapping_of(tmp_path, job)
    assert (files.parquet.read_bytes(), files.csv.read_bytes()) == before
    assert sorted(path.name for path in tmp_path.iterdir()) == names
