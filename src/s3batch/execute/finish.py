"""The end of a job: completion report, old -> new mapping, samples of failures, and what remains at a move's source.

Input: a job whose chunks are at rest. Output: files below the job's report folder (or in a bucket) and a JSON value for
the ledger that says where they are. Written before the job's last status, so a crash in between writes them again,
equal.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import duckdb

from s3batch.execute.prepare import key_spans, scratch_folder
from s3batch.execute.services import RunnerServices
from s3batch.ledger.records import Job, Segment
from s3batch.manifest.filters import Filter
from s3batch.manifest.generator import generate_entries
from s3batch.manifest.normalise import Normaliser
from s3batch.manifest.normalised import NormalisedManifest
from s3batch.model.job import Operation
from s3batch.model.objects import parse_s3_uri
from s3batch.report.bucket_sink import BucketSink
from s3batch.report.completion import write_report as write_completion_report
from s3batch.report.mapping import write_mapping
from s3batch.report.sink import FolderSink
from s3batch.report.summary import find_samples
from s3batch.s3.client import S3Client, S3Reader

_EXAMPLES = 5


class SegmentsByChunk:
    """The accepted segments of a job, by chunk number."""

    def __init__(self, segments: list[Segment]) -> None:
        """Group them; they come in the order of acceptance."""
        self._by_chunk: defaultdict[int, list[Segment]] = defaultdict(list)
        for segment in segments:
            self._by_chunk[segment.chunk_no].append(segment)

    def __call__(self, chunk_no: int) -> list[Segment]:
        """Return the segments of one chunk; none where it was not run."""
        return self._by_chunk.get(chunk_no, [])


async def write_report(job: Job, services: RunnerServices) -> dict[str, object]:
    """Write everything that tells what happened in a job and return where it is."""
    if job.manifest_path is None:
        return {}
    spec, folder = job.spec, services.home.job(job.id)
    segments = SegmentsByChunk(services.store.segments(job.id))
    report: dict[str, object] = {}
    with NormalisedManifest.open(Path(job.manifest_path)) as manifest:
        prefix, client = "", None
        sink: FolderSink | BucketSink = FolderSink(folder.report)
        if spec.report.url is not None and spec.report.url.startswith("s3://"):
            place = parse_s3_uri(spec.report.url)
            client = await S3Client.open(spec.connection)
            sink, prefix = BucketSink(client, place.bucket), place.prefix
        elif spec.report.url is not None:
            sink = FolderSink(Path(spec.report.url))
        try:
            completion = await write_completion_report(
                job_id=job.id,
                manifest=manifest,
                segments_of_chunk=segments,
                sink=sink,
                prefix=prefix,
                scope=spec.report.scope,
                created_at_ms=services.now_ms(),
                expected=job.counts,
            )
        finally:
            if client is not None:
                await client.close()
        report["uri"] = completion.uri
        report["samples"] = {
            code: [{"uri": each.uri, "version_id": each.version_id, "message": each.message} for each in samples]
            for code, samples in find_samples(manifest, segments, list(job.counts.by_code)).items()
        }
        if spec.mapping is not None and spec.operation is not Operation.DELETE:
            report["mapping"] = await _write_mapping(job, services, manifest, segments)
    if spec.list_source_at_end:
        report["remaining"] = await _list_remaining(job, services)
    return report


async def _write_mapping(
    job: Job, services: RunnerServices, manifest: NormalisedManifest, segments: SegmentsByChunk
) -> dict[str, object]:
    """Write old -> new for a copy, or for a verify with what it found (safety.md rule 25)."""
    mapping = job.spec.mapping
    if mapping is None:
        return {}
    copied, verified = segments, None
    if job.spec.operation is Operation.VERIFY and job.depends_on is not None:
        copied, verified = SegmentsByChunk(services.store.segments(job.depends_on)), segments
    files = await write_mapping(
        services.home.job(job.id).report / "mapping",
        manifest=manifest,
        mapping=mapping,
        copy_segments=copied,
        verify_segments=verified,
    )
    return {"csv": str(files.csv), "parquet": str(files.parquet), "rows": files.rows}


async def _list_remaining(job: Job, services: RunnerServices) -> dict[str, object]:
    """List the source of a move and say what is still there (safety.md rule 23)."""
    mapping, folder = job.spec.mapping, services.home.job(job.id)
    if mapping is None or job.manifest_path is None:
        return {}
    path = folder.report / "remaining.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    buckets = [span.bucket for span in key_spans(job.manifest_path)]
    scratch = scratch_folder(folder)
    async with await S3Reader.open(job.spec.connection) as reader:
        with Normaliser(path, scratch=scratch) as normaliser:
            for bucket in buckets:
                async for batch in generate_entries(reader, bucket, mapping.strip_prefix, Filter(), spool_dir=scratch):
                    normaliser.write(batch)
            entries = normaliser.finish().entries
    return {"entries": entries, "manifest": str(path), **_against_manifest(path, Path(job.manifest_path), scratch)}


def _against_manifest(remaining: Path, manifest: Path, scratch: Path) -> Mapping[str, object]:
    """Tell how many of the remaining objects the manifest never named, with examples."""
    with duckdb.connect(config={"memory_limit": "200MB", "threads": 1, "temp_directory": str(scratch)}) as connection:
        connection.execute("SET enable_progress_bar = false")  # it would be drawn on standard output
        connection.execute(
            "CREATE TEMP VIEW others AS SELECT r.bucket, r.key FROM read_parquet($remaining) AS r ANTI JOIN"
            " read_parquet($manifest) AS m ON r.bucket = m.bucket AND r.key = m.key".replace(
                "$remaining", _quoted(remaining)
            ).replace("$manifest", _quoted(manifest))
        )
        count = connection.execute("SELECT count(*) FROM others").fetchall()[0][0]
        examples = connection.execute("SELECT bucket, key FROM others ORDER BY key LIMIT $n", {"n": _EXAMPLES})
        return {
            "not_in_manifest": count,
            "not_in_manifest_examples": [f"s3://{bucket}/{key}" for bucket, key in examples.fetchall()],
        }


def _quoted(path: Path) -> str:
    return "'" + str(path).replace("'", "''") + "'"
