"""The other direction of a verify: what is at the target that no entry of the manifest explains.

Input: an ended verify job with its manifest and key mapping. Output: a manifest of those objects in the report's
folder, which any command takes, and their number, bytes and first examples as a JSON value. The target prefix is listed
whole; listing and manifest are joined on disk in bounded memory. Nothing is judged here: an object may be there by
right, because its source was deleted since, or because it never was part of this job.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from s3batch.execute.prepare import scratch_folder
from s3batch.execute.services import RunnerServices
from s3batch.ledger.records import Job
from s3batch.manifest.entries import BATCH_ENTRIES, ENTRY_SCHEMA
from s3batch.manifest.filters import Filter
from s3batch.manifest.generator import generate_entries
from s3batch.manifest.normalise import Normaliser
from s3batch.manifest.normalised import NormalisedManifest
from s3batch.model.job import KeyMapping
from s3batch.s3.client import S3Reader

_EXAMPLES = 5
_MEMORY_LIMIT = "200MB"


async def list_extra(job: Job, services: RunnerServices) -> dict[str, object]:
    """List the target of a verify job and say what of it no entry explains.

    Raises:
        S3BatchError: the target could not be listed; nothing is said then.
    """
    mapping, folder = job.spec.mapping, services.home.job(job.id)
    if mapping is None or job.manifest_path is None:
        return {}
    path = folder.report / "extra.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    scratch = scratch_folder(folder)
    there = scratch / "target.parquet"
    try:
        async with await S3Reader.open(job.spec.connection) as reader:
            with Normaliser(there, scratch=scratch) as normaliser:
                prefix = mapping.add_prefix
                listing = generate_entries(reader, mapping.target_bucket, prefix, Filter(), spool_dir=scratch)
                async for batch in listing:
                    normaliser.write(batch)
                await asyncio.to_thread(normaliser.finish)
        return await asyncio.to_thread(write_extra, path, there, Path(job.manifest_path), mapping, scratch=scratch)
    finally:
        there.unlink(missing_ok=True)


def write_extra(path: Path, there: Path, manifest: Path, mapping: KeyMapping, *, scratch: Path) -> dict[str, object]:
    """Write the manifest of what is ``there`` under no mapped key of ``manifest``, and say what is in it."""
    with Normaliser(path, scratch=scratch) as normaliser:
        for batch in _unexplained(there, manifest, mapping, scratch):
            normaliser.write(batch)
        extra = normaliser.finish()
    return {"entries": extra.entries, "bytes": extra.bytes, "manifest": str(path), "examples": _examples(path)}


def _unexplained(there: Path, manifest: Path, mapping: KeyMapping, scratch: Path) -> Iterator[pa.RecordBatch]:
    """Yield what is there and not named, in the order of keys."""
    found = scratch / "unexplained.parquet"
    columns = ", ".join(f"t.{name}" for name in ENTRY_SCHEMA.names)
    mapped = f"{_quoted(mapping.add_prefix)} || substr(key, {len(mapping.strip_prefix) + 1})"
    try:
        with _connected(scratch) as connection:
            connection.execute(
                f"COPY (SELECT {columns} FROM read_parquet({_quoted(there)}) AS t"  # noqa: S608 - all quoted
                f" ANTI JOIN (SELECT {mapped} AS key FROM read_parquet({_quoted(manifest)})) AS m ON t.key = m.key"
                f" ORDER BY t.key) TO {_quoted(found)} (FORMAT parquet)"
            )
        with pq.ParquetFile(found) as file:
            for batch in file.iter_batches(BATCH_ENTRIES):
                yield from pa.Table.from_batches([batch]).cast(ENTRY_SCHEMA).to_batches()
    finally:
        found.unlink(missing_ok=True)


def _quoted(text: Path | str) -> str:
    return "'" + str(text).replace("'", "''") + "'"


@contextmanager
def _connected(scratch: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    config: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": _MEMORY_LIMIT,
        "threads": 1,
        "temp_directory": str(scratch),
    }
    with duckdb.connect(config=config) as connection:
        connection.execute("SET enable_progress_bar = false")  # it would be drawn on standard output
        yield connection


def _examples(path: Path) -> list[str]:
    with NormalisedManifest.open(path) as manifest:
        if not manifest.chunks:
            return []
        rows = manifest.read_chunk(0, ("bucket", "key")).slice(0, _EXAMPLES).to_pylist()
        return [f"s3://{row['bucket']}/{row['key']}" for row in rows]
