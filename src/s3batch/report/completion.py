"""The completion report in AWS's form, ``Report_CSV_20180820``.

In: a job's manifest and its accepted segments. Out: below ``<prefix>/job-<id>/`` the files ``results/<40 hex>.csv``
(successes and failures in separate files), ``manifest.json.md5`` and ``manifest.json``. The manifest comes last:
readers take a report without it as not ready, so a crash before it leaves files that a second run replaces by equal
ones.

Chunk by chunk, in bounded memory. The number of rows is checked against the ledger's counts before the manifest is
written. Source: "Examples: S3 Batch Operations completion reports" (S3 User Guide, read 2026-11) and reports of real
jobs.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime

from s3batch.manifest.normalised import NormalisedManifest
from s3batch.model.errors import InconsistentError
from s3batch.model.job import ReportScope
from s3batch.model.outcome import Counts
from s3batch.report.ended import SegmentsOfChunk, ended_chunks
from s3batch.report.rows import ENTRY_COLUMNS, OUTCOME_COLUMNS, report_rows
from s3batch.report.sink import ReportSink, ReportWriter

REPORT_FORMAT = "Report_CSV_20180820"
REPORT_SCHEMA = "Bucket, Key, VersionId, TaskStatus, ErrorCode, HTTPStatusCode, ResultMessage"
"""As AWS declares it, which is not the order of the rows (``rows.COLUMNS``)."""

DEFAULT_ROWS_PER_FILE = 1_000_000
"""A file of results ends with the chunk that reaches this; about 100 MB at keys of 60 bytes."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ResultFile:
    """One file of results, complete."""

    status: str
    """``succeeded`` or ``failed``; kept rows are failed rows."""
    key: str
    md5: str
    rows: int


@dataclass(frozen=True, kw_only=True, slots=True)
class CompletionReport:
    """A report that is complete. ``rows`` are in the files; the three counts are of the tasks, whatever the scope."""

    uri: str
    """Where its ``manifest.json`` lies."""
    manifest_key: str
    results: tuple[ResultFile, ...]
    succeeded: int
    failed: int
    kept: int

    @property
    def rows(self) -> int:
        """Return the number of rows in all files of results."""
        return sum(result.rows for result in self.results)


async def write_report(
    *,
    job_id: str,
    manifest: NormalisedManifest,
    segments_of_chunk: SegmentsOfChunk,
    sink: ReportSink,
    prefix: str = "",
    scope: ReportScope = ReportScope.ALL_TASKS,
    created_at_ms: int,
    expected: Counts | None = None,
    rows_per_file: int = DEFAULT_ROWS_PER_FILE,
) -> CompletionReport:
    """Write the report of a job, whatever state it ended in, and return what it consists of.

    Order of writes: files of results, ``manifest.json.md5``, ``manifest.json``. Files have the same names each time, so
    writing a report twice does no harm.

    Raises:
        InconsistentError: damaged inputs, or not as many rows as ``expected`` says; no manifest is written then.
        UnavailableError: the sink did not take it.
    """
    folder = report_folder(prefix, job_id)
    files = {status: _ResultFiles(status, folder, job_id, sink, rows_per_file) for status in ("succeeded", "failed")}
    succeeded = failed = kept = 0
    try:
        for chunk in ended_chunks(
            manifest, segments_of_chunk, entry_columns=ENTRY_COLUMNS, outcome_columns=OUTCOME_COLUMNS
        ):
            rows = report_rows(chunk, scope)
            succeeded += rows.succeeded
            failed += rows.failed
            kept += rows.kept
            await files["succeeded"].add(rows.succeeded_text, rows.succeeded)
            await files["failed"].add(rows.failed_text, rows.failed + rows.kept)
            await asyncio.sleep(0)  # the loop of a runner has leases to renew
        _check_counts(Counts(succeeded=succeeded, failed=failed, kept=kept), expected)
        results = (*await files["succeeded"].finish(), *await files["failed"].finish())
    except BaseException:
        for each in files.values():
            await each.abort()
        raise
    content = manifest_document(results, bucket=sink.bucket, created_at_ms=created_at_ms)
    manifest_key = f"{folder}/manifest.json"
    md5 = hashlib.md5(content, usedforsecurity=False).hexdigest()
    await sink.put(f"{manifest_key}.md5", md5.encode())
    await sink.put(manifest_key, content)
    return CompletionReport(
        uri=sink.uri(manifest_key),
        manifest_key=manifest_key,
        results=results,
        succeeded=succeeded,
        failed=failed,
        kept=kept,
    )


def report_folder(prefix: str, job_id: str) -> str:
    """Return ``<prefix>/job-<id>``. AWS joins without normalising: a prefix that ends in ``/`` gives two of them."""
    return f"{prefix}/job-{job_id}" if prefix else f"job-{job_id}"


def manifest_document(results: tuple[ResultFile, ...], *, bucket: str, created_at_ms: int) -> bytes:
    """Return the content of a report's ``manifest.json``, byte for byte in AWS's form."""
    created_at = datetime.fromtimestamp(created_at_ms / 1000, tz=UTC)
    document = {
        "Format": REPORT_FORMAT,
        "ReportCreationDate": created_at.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "Results": [
            {"TaskExecutionStatus": each.status, "Bucket": bucket, "MD5Checksum": each.md5, "Key": each.key}
            for each in results
        ],
        "ReportSchema": REPORT_SCHEMA,
    }
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()


def _check_counts(found: Counts, expected: Counts | None) -> None:
    """Refuse to complete a report that does not say what the ledger says."""
    if expected is None:
        return
    in_report = (found.succeeded, found.failed, found.kept)
    in_ledger = (expected.succeeded, expected.failed, expected.kept)
    if in_report != in_ledger:
        raise InconsistentError(
            f"The segments hold {in_report} succeeded, failed and kept tasks, the ledger counts {in_ledger}.",
            code="CountsDisagree",
            way_out="Nothing may act on this job any more; keep its folder and report it.",
        )


@dataclass(slots=True)
class _ResultFiles:
    """The files of one status, one after another."""

    status: str
    folder: str
    job_id: str
    sink: ReportSink
    rows_per_file: int
    _writer: ReportWriter | None = None
    _key: str = ""
    _rows: int = 0
    _md5: hashlib._Hash = field(default_factory=lambda: hashlib.md5(usedforsecurity=False))
    _finished: list[ResultFile] = field(default_factory=list)

    async def add(self, text: bytes, rows: int) -> None:
        """Add the rows of one chunk; no text means no rows in this scope."""
        if not text:
            return
        if self._writer is None:
            self._key = f"{self.folder}/results/{self._name()}.csv"
            self._md5 = hashlib.md5(usedforsecurity=False)
            self._rows = 0
            self._writer = await self.sink.open(self._key)
        self._md5.update(text)
        self._rows += rows
        await self._writer.write(text)
        if self._rows >= self.rows_per_file:
            await self._end_file()

    async def finish(self) -> tuple[ResultFile, ...]:
        """Complete the last file and return them all."""
        await self._end_file()
        return tuple(self._finished)

    async def abort(self) -> None:
        """Leave no unfinished file behind."""
        if self._writer is not None:
            await self._writer.abort()
            self._writer = None

    def _name(self) -> str:
        """Return 40 hexadecimal digits that are the same each time this file of this job is written."""
        text = f"{self.job_id}/{self.status}/{len(self._finished)}"
        return hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest()

    async def _end_file(self) -> None:
        if self._writer is None:
            return
        await self._writer.close()
        self._writer = None
        self._finished.append(ResultFile(status=self.status, key=self._key, md5=self._md5.hexdigest(), rows=self._rows))
