"""What outcomes and reports cost: user+sys CPU per row, stage by stage.

Run it with ``python tests/bench/report_cost.py [ROWS] [KEYS]``, KEYS one of ``clean``, ``encoded``, ``failed``.
Chunks of 10,000 entries; nothing is asked of a store. Targets at 1,000,000 clean rows: segment 0.4 us, report 0.35
us.
"""

import asyncio
import hashlib
import resource
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path

import pyarrow as pa

from s3batch.ledger.segments import SUCCEEDED, OutcomeColumns, SegmentInfo, segment_name, write_segment
from s3batch.manifest.entries import ENTRY_SCHEMA
from s3batch.manifest.normalised import NormalisedManifest, NormalisedWriter
from s3batch.model.errors import RefusedError
from s3batch.model.job import KeyMapping
from s3batch.report.completion import write_report
from s3batch.report.mapping import write_mapping
from s3batch.report.retry_manifest import write_retry_manifest
from s3batch.report.sink import FolderSink
from s3batch.report.summary import find_samples

CHUNK = 10_000
SIZE = 1024


def main(n_rows: int, kind: str) -> None:
    """Print one line per stage."""
    with tempfile.TemporaryDirectory() as folder_name:
        folder = Path(folder_name)
        cost: dict[str, float] = {}
        manifest = _manifest(folder / "manifest.parquet", n_rows, kind)
        segments = _segments(folder / "segments", manifest, kind, cost)

        started = time.process_time()
        report = asyncio.run(
            write_report(
                job_id="bench",
                manifest=manifest,
                segments_of_chunk=lambda number: [segments[number]],
                sink=FolderSink(folder / "report"),
                created_at_ms=0,
            )
        )
        cost["completion report"] = time.process_time() - started

        started = time.process_time()
        asyncio.run(
            write_mapping(
                folder / "mapping",
                manifest=manifest,
                copy_segments=lambda number: [segments[number]],
                verify_segments=lambda number: [segments[number]],
                mapping=KeyMapping(target_bucket="target-bucket", strip_prefix="sdo/", add_prefix="sdac/sdo/"),
            )
        )
        cost["mapping, Parquet and CSV"] = time.process_time() - started

        started = time.process_time()
        codes = {code for segment in segments for code in segment.by_code}
        find_samples(manifest, lambda number: [segments[number]], codes)
        cost["samples for the summary"] = time.process_time() - started

        started = time.process_time()
        with suppress(RefusedError):  # nothing failed
            write_retry_manifest(folder / "retry.parquet", manifest, lambda number: [segments[number]])
        cost["retry manifest"] = time.process_time() - started

        for stage, seconds in cost.items():
            print(f"{stage:32} {seconds / n_rows * 1e6:7.3f} us a row")  # noqa: T201
        peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(f"{report.rows:,} rows, {kind} keys, peak RSS {peak_mb:.0f} MB")  # noqa: T201


def _manifest(path: Path, n_rows: int, kind: str) -> NormalisedManifest:
    blank = " " if kind == "encoded" else "_"
    with NormalisedWriter(path, chunk_entries=CHUNK) as writer:
        for first in range(0, n_rows, CHUNK):
            numbers = range(first, min(first + CHUNK, n_rows))
            length = len(numbers)
            columns = [
                pa.array(["source-bucket"] * length).dictionary_encode(),
                pa.array([f"sdo/aia/2026/11/22/H0000/AIA{blank}{number:012d}.fits" for number in numbers]),
                pa.nulls(length, pa.string()),
                pa.array([SIZE] * length, pa.int64()),
                pa.array([_etag(number) for number in numbers]),
                pa.array([1_700_000_000_000] * length, pa.timestamp("ms", tz="UTC")),
                pa.array(["STANDARD"] * length).dictionary_encode(),
                pa.nulls(length, pa.dictionary(pa.int32(), pa.string())),
            ]
            writer.write(pa.RecordBatch.from_arrays(columns, schema=ENTRY_SCHEMA))
    return NormalisedManifest.open(path)


def _segments(folder: Path, manifest: NormalisedManifest, kind: str, cost: dict[str, float]) -> list[SegmentInfo]:
    fill = write = 0.0
    segments = []
    for number, chunk in enumerate(manifest.chunks):
        etags = [_etag(chunk.first_row + row) for row in range(chunk.entries)]
        started = time.process_time()
        columns = OutcomeColumns(chunk.entries, level="response", checked_at_ms=1_700_000_000_000)
        status, target_etags = columns.status, columns.etags
        if kind == "failed":
            for row in range(chunk.entries):
                columns.fail(row, "AccessDenied", 403, "Access Denied")
        else:
            for row in range(chunk.entries):
                status[row] = SUCCEEDED
                target_etags[row] = etags[row]  # type: ignore[index]  # a fresh column is a list
            columns.sizes = pa.repeat(pa.scalar(SIZE, pa.int64()), chunk.entries)
        filled = time.process_time()
        segments.append(write_segment(folder / segment_name(number, 1), columns))
        fill += filled - started
        write += time.process_time() - filled
    cost["outcome columns"] = fill
    cost["segment, fsync included"] = write
    return segments


def _etag(number: int) -> str:
    return hashlib.md5(b"%d" % number, usedforsecurity=False).hexdigest()


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000, sys.argv[2] if len(sys.argv) > 2 else "clean")
