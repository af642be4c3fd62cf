"""Pinning: an entry that names no size or ETag is completed from what is there now (safety.md rule 1).

Input: a normalised manifest's file. Output: the same file with every entry pinned; what is not found gets the problem
``NoSuchKey``, and its task fails without a request. Later stages never ask the source who it is: they compare with
this.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, cast

import pyarrow as pa

from s3batch.manifest.durable_file import put_in_place
from s3batch.manifest.entries import ENTRY_SCHEMA
from s3batch.manifest.normalised import NormalisedManifest, NormalisedWriter
from s3batch.model.job import JobSpec
from s3batch.model.outcome import Code
from s3batch.s3.answers import ObjectHead
from s3batch.s3.client import S3Reader
from s3batch.s3.errors import S3RefusedError
from s3batch.s3.lookup import look_up

Tell = Callable[[Mapping[str, object]], Awaitable[None]]
"""Takes figures about the preparing, for whoever watches."""

_HEADS_IN_FLIGHT = 128
_TIME = ENTRY_SCHEMA.field("last_modified").type


async def pin_entries(reader: S3Reader, path: Path, spec: JobSpec, scratch: Path, tell: Tell) -> None:
    """Complete the manifest at ``path`` in place; nothing is done where every entry is pinned already.

    Raises:
        UnavailableError: the store did not answer.
        S3RefusedError: a listing or a HEAD is not permitted.
    """
    with NormalisedManifest.open(path) as manifest:
        if not any(_is_bare(manifest.read_chunk(number, ("size", "etag"))) for number in range(len(manifest.chunks))):
            return
        pinned = scratch / "pinned.parquet"
        with NormalisedWriter(pinned, chunk_entries=spec.chunk_entries, chunk_bytes=spec.chunk_bytes) as writer:
            for number, chunk in enumerate(manifest.chunks):
                table = manifest.read_chunk(number)
                if _is_bare(table):
                    table = await _pinned(reader, chunk.bucket, table)
                for batch in table.to_batches():
                    writer.write(batch)
                await tell({"listed": manifest.entries, "pinned": writer.entries})
    put_in_place(pinned, path)


def _is_bare(table: pa.Table) -> bool:
    return bool(table.column("size").null_count or table.column("etag").null_count)


async def _pinned(reader: S3Reader, bucket: str, table: pa.Table) -> pa.Table:
    if table.column("version_id").null_count < table.num_rows:
        return await _pinned_versions(reader, bucket, table)
    seen = await look_up(reader, bucket, cast("list[str]", table.column("key").to_pylist()))
    if seen.errors:
        raise next(iter(seen.errors.values()))
    is_there = [etag is not None for etag in seen.etags]
    times = [text if found else None for text, found in zip(seen.last_modified, is_there, strict=True)]
    return _completed(
        table,
        sizes=[size if found else None for size, found in zip(seen.sizes, is_there, strict=True)],
        etags=list(seen.etags),
        times=pa.array(times, pa.string()).cast(_TIME),
        classes=list(seen.storage_classes),
    )


async def _pinned_versions(reader: S3Reader, bucket: str, table: pa.Table) -> pa.Table:
    """Read each version's own head: a listing of keys tells of the newest versions only."""
    room = asyncio.Semaphore(_HEADS_IN_FLIGHT)

    async def head(key: str, version_id: str | None) -> ObjectHead | None:
        async with room:
            try:
                return await reader.head_object(bucket, key, version_id=version_id)
            except S3RefusedError as error:
                if error.code in ("NoSuchKey", "NoSuchVersion", "MethodNotAllowed"):
                    return None
                raise

    keys = cast("list[str]", table.column("key").to_pylist())
    version_ids = table.column("version_id").to_pylist()
    heads = await asyncio.gather(*(head(key, each) for key, each in zip(keys, version_ids, strict=True)))
    return _completed(
        table,
        sizes=[None if each is None else each.size for each in heads],
        etags=[None if each is None else each.etag for each in heads],
        times=pa.array([None if each is None else each.last_modified_ms for each in heads], pa.int64()).cast(_TIME),
        classes=[None if each is None else each.storage_class for each in heads],
    )


def _completed(
    table: pa.Table,
    *,
    sizes: list[int | None],
    etags: list[str | None],
    times: Any,  # noqa: ANN401 - Arrow's array types are generic over what the stubs cannot tell
    classes: list[str | None],
) -> pa.Table:
    """Return the table with what was found; an identity that the manifest gave stays, and must hold.

    A size or ETag in the manifest that is not what is there now means that the object is another one: the task will
    find that out by its own condition, so what the manifest says is kept.
    """
    given_sizes, given_etags = table.column("size").to_pylist(), table.column("etag").to_pylist()
    problems = [None if etag is not None else str(Code.NO_SUCH_KEY) for etag in etags]
    columns = {
        "size": pa.array([a if a is not None else b for a, b in zip(given_sizes, sizes, strict=True)], pa.int64()),
        "etag": pa.array([a or b for a, b in zip(given_etags, etags, strict=True)], pa.string()),
        "last_modified": times,
        "storage_class": pa.array(classes, pa.string()).dictionary_encode(),
        "problem": pa.array(problems, pa.string()).dictionary_encode(),
    }
    for name, column in columns.items():
        field = ENTRY_SCHEMA.field(name)
        table = table.set_column(ENTRY_SCHEMA.get_field_index(name), field, column.cast(field.type))
    return table.combine_chunks()
