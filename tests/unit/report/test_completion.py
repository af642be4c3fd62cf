"""The completion report: AWS's bytes, every ended task exactly once, and no manifest before all is there."""

import asyncio
import csv
import hashlib
import io
import json
import re
import tracemalloc
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s3batch.ledger.segments import OutcomeColumns, segment_name, write_segment
from s3batch.model.errors import InconsistentError, RefusedError, UnavailableError
from s3batch.model.job import ReportScope
from s3batch.model.outcome import Counts
from s3batch.report.completion import CompletionReport, manifest_document, report_folder, write_report
from s3batch.report.sink import FolderSink, ReportWriter
from tests.keys import keys
from tests.unit.report.finished_job import FinishedJob, Task, finished_job

CREATED_AT_MS = 1_554_486_519_725
"""2019-04-05T17:48:39.725Z, the moment of AWS's own example."""

TOO_LARGE = (
    "The specified copy source is larger than the maximum allowable size for a copy source: 5368709120 (Service: "
    "Amazon S3; Status Code: 400; Error Code: InvalidRequest; Request ID: FHNW4MF5ZMKBPDQY; S3 Extended Request ID: x; "
    "Proxy: null)"
)
LAMBDA_ERROR = (
    'Lambda returned function error: {"errorMessage":"2019-04-05T17:35:21.155Z Task timed out after 3.00 seconds"}'
)
CHECKSUM = (
    r'{"checksum_base64":"bS9TOQ\u003d\u003d","etag":"3c3c1813042989094598e4b57ecbdc82","checksumAlgorithm":"CRC32"}'
)


@dataclass
class MemorySink:
    """Keeps what is written, and the order in which it became visible."""

    bucket: str = "my-job-reports"
    objects: dict[str, bytes] = field(default_factory=dict)
    fails_at: str | None = None
    aborted: list[str] = field(default_factory=list)

    def uri(self, key: str) -> str:
        """Return the address."""
        return f"s3://{self.bucket}/{key}"

    async def open(self, key: str) -> ReportWriter:
        """Begin an object."""
        return MemoryWriter(self, key)

    async def put(self, key: str, content: bytes) -> None:
        """Write a whole object."""
        if self.fails_at is not None and re.search(self.fails_at, key):
            raise UnavailableError("The store is away.")
        self.objects[key] = content


@dataclass
class MemoryWriter:
    """One object of a MemorySink."""

    sink: MemorySink
    key: str
    content: bytes = b""

    async def write(self, content: bytes) -> None:
        """Add bytes."""
        self.content += content

    async def close(self) -> None:
        """Make it visible."""
        await self.sink.put(self.key, self.content)

    async def abort(self) -> None:
        """Forget it."""
        self.sink.aborted.append(self.key)


def report_of(job: FinishedJob, sink: MemorySink | FolderSink, **options: Any) -> CompletionReport:  # noqa: ANN401
    """Write the report of a job."""
    return asyncio.run(
        write_report(
            job_id="f8fb9d89-a3aa-461d-bddc-ea6a1b131955",
            manifest=job.manifest,
            segments_of_chunk=job.segments_of_chunk,
            sink=sink,
            created_at_ms=CREATED_AT_MS,
            **options,
        )
    )


def rows_as_aws_reads_them(sink: MemorySink) -> list[list[str]]:
    """Return the rows of all result files in the manifest's order, by the rules that readers of real reports follow."""
    manifest = json.loads(sink.objects[next(key for key in sink.objects if key.endswith("/manifest.json"))])
    rows: list[list[str]] = []
    for result in manifest["Results"]:
        content = sink.objects[result["Key"]]
        assert hashlib.md5(content, usedforsecurity=False).hexdigest() == result["MD5Checksum"]
        here = list(csv.reader(io.StringIO(content.decode(), newline="")))
        assert all(row[3] == result["TaskExecutionStatus"] for row in here)
        rows += here
    for row in rows:
        assert len(row) == 7
        # The column that is three digits is the status, whatever the declared schema says.
        assert re.fullmatch(r"[1-5][0-9][0-9]", row[4])
        assert not re.fullmatch(r"[1-5][0-9][0-9]", row[5])
    return rows


@pytest.mark.parametrize(
    ("bucket", "task", "line"),
    [
        (
            "linz-topographic-archive",
            Task(key="pfouquet/sub/directory/AS21.tiff.zst", version_id="886twyul.uJ3wIF3zzQG8196hf_SOCCW"),
            (
                "linz-topographic-archive,pfouquet/sub/directory/AS21.tiff.zst,886twyul.uJ3wIF3zzQG8196hf_SOCCW,"
                "succeeded,200,,Successful"
            ),
        ),
        (
            "amzn-s3-demo-source",
            Task(
                key="archived.txt",
                version_id="MPJOm_.lSga3Ql8P4u3oHCfdi3qsWvEJ",
                status="failed",
                code="SrcObjectNotEligible",
                http_status=500,
                message="Object is not eligible for replication",
            ),
            (
                "amzn-s3-demo-source,archived.txt,MPJOm_.lSga3Ql8P4u3oHCfdi3qsWvEJ,failed,500,SrcObjectNotEligible,"
                "Object is not eligible for replication"
            ),
        ),
        (
            "BUCKET",
            Task(key="Some-file-name", status="failed", code="InvalidRequest", http_status=400, message=TOO_LARGE),
            f"BUCKET,Some-file-name,,failed,400,InvalidRequest,{TOO_LARGE}",
        ),
        (
            "BUCKET",
            Task(
                key="prefix/file",
                status="failed",
                code="InvalidRequest",
                http_status=400,
                message="Task failed due to missing VersionId",
            ),
            "BUCKET,prefix/file,,failed,400,InvalidRequest,Task failed due to missing VersionId",
        ),
        (
            "awsexamplebucket1",
            Task(key="image_14975", status="failed", code="PermanentFailure", http_status=200, message=LAMBDA_ERROR),
            (
                "awsexamplebucket1,image_14975,,failed,200,PermanentFailure,"
                '"Lambda returned function error: {""errorMessage"":""2019-04-05T17:35:21.155Z Task timed out '
                'after 3.00 seconds""}"'
            ),
        ),
        (
            "amzn-s3-demo-bucket1",
            Task(key="s3-standard-1mb-test-object", message=CHECKSUM),
            (
                "amzn-s3-demo-bucket1,s3-standard-1mb-test-object,,succeeded,200,,"
                r'"{""checksum_base64"":""bS9TOQ\u003d\u003d"",""etag"":""3c3c1813042989094598e4b57ecbdc82"",'
                '""checksumAlgorithm"":""CRC32""}"'
            ),
        ),
        (
            "amzn-s3-demo-bucket1",
            Task(key="pct%20literal"),
            "amzn-s3-demo-bucket1,pct%2520literal,,succeeded,200,,Successful",
        ),
        (
            "amzn-s3-demo-bucket1",
            Task(key='two words+"comma,', version_id="null"),
            "amzn-s3-demo-bucket1,two%20words%2B%22comma%2C,null,succeeded,200,,Successful",
        ),
    ],
)
def test_rows_are_those_of_real_reports_byte_for_byte(tmp_path: Path, bucket: str, task: Task, line: str) -> None:
    """Real and documented rows come out as AWS wrote them, with CRLF, the status before the code, the key encoded."""
    job = finished_job(tmp_path, [task], bucket=bucket)
    sink = MemorySink()
    report = report_of(job, sink)
    assert sink.objects[report.results[0].key] == line.encode() + b"\r\n"


def test_the_manifest_is_the_documented_one_byte_for_byte() -> None:
    """Members, their order, the creation date with milliseconds, and the schema as AWS declares it."""
    example = (
        b'{"Format":"Report_CSV_20180820","ReportCreationDate":"2019-04-05T17:48:39.725Z","Results":[],'
        b'"ReportSchema":"Bucket, Key, VersionId, TaskStatus, ErrorCode, HTTPStatusCode, ResultMessage"}'
    )
    assert manifest_document((), bucket="my-job-reports", created_at_ms=CREATED_AT_MS) == example


def test_succeeded_and_failed_rows_lie_in_separate_files_and_the_manifest_comes_last(tmp_path: Path) -> None:
    """Paths, checksums and the order of writes are AWS's; kept rows are failed rows with their own code."""
    tasks = [
        Task(key="a"),
        Task(key="b", status="failed", code="AccessDenied", http_status=403, message="Access Denied"),
        Task(key="c", status="kept", code="TargetChanged", message="The target has another ETag now."),
        Task(key="d"),
        Task(key="e", status=None),
    ]
    sink = MemorySink()
    report = report_of(
        finished_job(tmp_path, tasks), sink, prefix="reports", expected=Counts(succeeded=2, failed=1, kept=1)
    )
    folder = "reports/job-f8fb9d89-a3aa-461d-bddc-ea6a1b131955"

    names = list(sink.objects)
    assert all(re.fullmatch(rf"{folder}/results/[0-9a-f]{{40}}\.csv", name) for name in names[:2])
    assert names[2:] == [f"{folder}/manifest.json.md5", f"{folder}/manifest.json"]
    manifest = sink.objects[f"{folder}/manifest.json"]
    assert sink.objects[f"{folder}/manifest.json.md5"].decode() == hashlib.md5(manifest).hexdigest()  # noqa: S324
    assert [(each["TaskExecutionStatus"], each["Bucket"]) for each in json.loads(manifest)["Results"]] == [
        ("succeeded", "my-job-reports"),
        ("failed", "my-job-reports"),
    ]
    assert (report.succeeded, report.failed, report.kept, report.rows) == (2, 1, 1, 4)
    assert report.uri == f"s3://my-job-reports/{folder}/manifest.json"
    assert rows_as_aws_reads_them(sink) == [
        ["source-bucket", "a", "", "succeeded", "200", "", "Successful"],
        ["source-bucket", "d", "", "succeeded", "200", "", "Successful"],
        ["source-bucket", "b", "", "failed", "403", "AccessDenied", "Access Denied"],
        ["source-bucket", "c", "", "failed", "200", "TargetChanged", "The target has another ETag now."],
    ]


@pytest.mark.parametrize(
    ("prefix", "folder"), [("", "job-x"), ("a", "a/job-x"), ("a/", "a//job-x"), ("a/b//", "a/b///job-x")]
)
def test_the_prefix_is_joined_without_normalising(prefix: str, folder: str) -> None:
    """AWS puts a slash between prefix and job, also behind a prefix that ends in one."""
    assert report_folder(prefix, "x") == folder


TEXT = st.text(st.characters(codec="utf-8"), max_size=30)


@given(
    tasks=st.lists(
        st.builds(
            Task,
            key=keys(max_pieces=6),
            version_id=st.none() | st.text(st.characters(codec="utf-8"), min_size=1, max_size=8),
            status=st.sampled_from(["succeeded", "failed", "kept", None]),
            code=st.sampled_from(["NoSuchKey", "Odd,Code", "SourceChanged"]),
            http_status=st.none() | st.integers(100, 599),
            message=st.none() | TEXT,
        ),
        unique_by=lambda task: task.key,
        max_size=14,
    )
)
@settings(max_examples=80, deadline=None)
def test_hostile_rows_come_back_through_any_csv_reader(
    tmp_path_factory: pytest.TempPathFactory, tasks: list[Task]
) -> None:
    """Each ended task is one row with its key, version, code and message; the counts are the rows."""
    job = finished_job(tmp_path_factory.mktemp("job"), tasks)
    sink = MemorySink()
    report = report_of(job, sink)
    rows = rows_as_aws_reads_them(sink)

    ended = sorted((task for task in tasks if task.status is not None), key=lambda task: task.key)
    ended = [task for task in ended if task.status == "succeeded"] + [
        task for task in ended if task.status != "succeeded"
    ]
    assert len(rows) == report.rows == report.succeeded + report.failed + report.kept == len(ended)
    for row, task in zip(rows, ended, strict=True):
        assert row[0] == "source-bucket"
        assert unquote(row[1]) == task.key
        assert row[1].isascii()
        assert row[2] == (task.version_id or "")
        if task.status == "succeeded":
            assert row[3:] == ["succeeded", "200", "", task.message or task.code]
        else:
            assert (row[3], row[5], row[6]) == ("failed", task.code, task.message or task.code)


def test_failed_tasks_only_leaves_the_succeeded_files_out(tmp_path: Path) -> None:
    """The scope changes the files, never the counts."""
    sink = MemorySink()
    job = finished_job(tmp_path, [Task(key="a"), Task(key="b", status="failed", code="NoSuchKey")])
    report = report_of(job, sink, scope=ReportScope.FAILED_TASKS_ONLY, expected=Counts(succeeded=1, failed=1))
    assert [result.status for result in report.results] == ["failed"]
    assert (report.succeeded, report.failed, report.rows) == (1, 1, 1)
    assert [row[1] for row in rows_as_aws_reads_them(sink)] == ["b"]


def test_the_status_of_a_failure_without_an_answer_is_still_a_number(tmp_path: Path) -> None:
    """What a listing found missing has no HTTP answer; readers parse the column as a number all the same."""
    tasks = [Task(key="a", status="failed", code="NoSuchKey"), Task(key="b", status="failed", code="UnknownOutcome")]
    sink = MemorySink()
    report_of(finished_job(tmp_path, tasks), sink)
    assert [row[4:] for row in rows_as_aws_reads_them(sink)] == [
        ["404", "NoSuchKey", "NoSuchKey"],
        ["500", "UnknownOutcome", "UnknownOutcome"],
    ]


def test_large_reports_are_cut_into_several_files_with_stable_names(tmp_path: Path) -> None:
    """A file ends with the chunk that fills it; writing again replaces each file by an equal one."""
    job = finished_job(tmp_path, [Task(key=f"key-{number:02d}") for number in range(10)])
    sink = MemorySink()
    first = report_of(job, sink, rows_per_file=4)
    before = dict(sink.objects)
    assert [result.rows for result in first.results] == [6, 4]
    assert report_of(job, sink, rows_per_file=4) == first
    assert sink.objects == before
    assert len(rows_as_aws_reads_them(sink)) == 10


@pytest.mark.parametrize("status", [None, "nothing"])
def test_a_job_that_ended_before_its_first_task_has_an_empty_report(tmp_path: Path, status: str | None) -> None:
    """A report is written whatever state a job ended in."""
    tasks = [Task(key="a", status=None)] if status is None else []
    sink = MemorySink()
    report = report_of(finished_job(tmp_path, tasks), sink, expected=Counts())
    assert report.results == ()
    assert rows_as_aws_reads_them(sink) == []


def test_rows_that_the_ledger_did_not_count_stop_the_report(tmp_path: Path) -> None:
    """A report that disagrees with the ledger is never completed."""
    sink = MemorySink()
    with pytest.raises(InconsistentError, match=r"\(1, 0, 0\).*ledger counts \(2, 0, 0\)"):
        report_of(finished_job(tmp_path, [Task(key="a")]), sink, expected=Counts(succeeded=2))
    assert not [key for key in sink.objects if "manifest" in key]
    assert len(sink.aborted) == 1


def test_a_damaged_segment_stops_the_report(tmp_path: Path) -> None:
    """Nothing is guessed about outcomes that cannot be read."""
    job = finished_job(tmp_path, [Task(key=f"{number}") for number in range(9)])
    damaged = job.segments[1][0].path
    content = bytearray(damaged.read_bytes())
    content[40] ^= 0xFF
    damaged.write_bytes(content)
    sink = MemorySink()
    with pytest.raises(InconsistentError, match="SHA-256"):
        report_of(job, sink)
    assert sink.objects == {}


def test_two_outcomes_of_one_task_stop_the_report(tmp_path: Path) -> None:
    """Each entry ends once."""
    job = finished_job(tmp_path, [Task(key="a"), Task(key="b")])
    again = OutcomeColumns(2)
    again.fail(1, "NoSuchKey")
    job.segments[0].append(write_segment(tmp_path / segment_name(0, 9), again))
    with pytest.raises(InconsistentError, match="two outcomes"):
        report_of(job, MemorySink())


def test_an_orphan_beside_the_accepted_segments_is_not_reported(tmp_path: Path) -> None:
    """A worker that died between segment and ledger leaves a file; only what the ledger names counts."""
    job = finished_job(tmp_path, [Task(key="a"), Task(key="b", status=None)])
    orphan = OutcomeColumns(2)
    orphan.succeed(1)
    write_segment(tmp_path / segment_name(0, 9), orphan)
    assert report_of(job, MemorySink(), expected=Counts(succeeded=1)).rows == 1


@pytest.mark.parametrize("fails_at", [r"results/", r"\.md5$", r"manifest\.json$"])
def test_a_store_that_goes_away_leaves_no_manifest_and_a_second_try_completes(tmp_path: Path, fails_at: str) -> None:
    """Whatever write fails, the commit marker is absent; trying again gives the whole report."""
    job = finished_job(tmp_path, [Task(key="a"), Task(key="b", status="failed", code="NoSuchKey")])
    sink = MemorySink(fails_at=fails_at)
    with pytest.raises(UnavailableError):
        report_of(job, sink)
    assert not [key for key in sink.objects if key.endswith("manifest.json")]
    sink.fails_at = None
    assert report_of(job, sink).rows == 2
    assert len(rows_as_aws_reads_them(sink)) == 2


def test_a_folder_takes_a_report_like_a_bucket(tmp_path: Path) -> None:
    """Files lie where the keys say, whole, with no temporary ones left."""
    job = finished_job(tmp_path / "job", [Task(key="a"), Task(key="b", status="failed", code="NoSuchKey")])
    root = tmp_path / "reports"
    report = report_of(job, FolderSink(root), prefix="nightly")
    files = sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())
    assert files == sorted([*(each.key for each in report.results), report.manifest_key, f"{report.manifest_key}.md5"])
    assert report.uri == str(root / report.manifest_key)
    for each in report.results:
        assert hashlib.md5((root / each.key).read_bytes(), usedforsecurity=False).hexdigest() == each.md5


@pytest.mark.parametrize("prefix", ["../elsewhere", "a/../../b", "/etc"])
def test_a_report_never_leaves_its_folder(tmp_path: Path, prefix: str) -> None:
    """A prefix that points outside is refused before anything is written."""
    with pytest.raises(RefusedError, match="would leave the folder"):
        report_of(finished_job(tmp_path / "job", [Task(key="a")]), FolderSink(tmp_path / "reports"), prefix=prefix)
    assert not (tmp_path / "reports").exists()


def test_a_disk_that_refuses_is_unavailable(tmp_path: Path) -> None:
    """The outcomes are safe, so the same report can be written later; the message says so."""
    (tmp_path / "reports").write_text("a file where the folder should be")
    with pytest.raises(UnavailableError, match="can be written again"):
        report_of(finished_job(tmp_path / "job", [Task(key="a")]), FolderSink(tmp_path / "reports"))


def test_memory_does_not_grow_with_the_job(tmp_path: Path) -> None:
    """Ten times as many chunks need no more Python memory: one chunk is held at a time."""

    def peak_bytes(folder: Path, chunks: int) -> int:
        tasks: Sequence[Task] = [Task(key=f"key/{number:06d}", message="m" * 50) for number in range(chunks * 200)]
        job = finished_job(folder, tasks, chunk_entries=200)
        tracemalloc.start()
        report_of(job, FolderSink(folder / "report"))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return peak

    peak_bytes(tmp_path / "warm", 2)
    assert peak_bytes(tmp_path / "long", 30) < peak_bytes(tmp_path / "short", 3) + 200_000
