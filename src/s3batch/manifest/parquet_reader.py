"""Manifests as Parquet: our own normalised ones, and others with columns of the same names.

In: a file. Out: batches of entries with their row numbers, from 1. ``bucket`` and ``key`` are needed; ``version_id``,
``size``, ``etag``, ``last_modified`` and ``storage_class`` are used when they are there, other columns are reported.
What an earlier plan noted in ``problem`` is not taken over: a new job looks for itself.

Batches are decoded one after another, so a file with large row groups costs no more memory than one with small ones.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from s3batch.manifest.columns import TEXT, TIME, plain
from s3batch.manifest.entries import BATCH_ENTRIES, ENTRY_SCHEMA, check_entries
from s3batch.manifest.formats import Findings
from s3batch.model.errors import RefusedError

_NAMES: Final = {
    "bucket": ("bucket", "Bucket"),
    "key": ("key", "Key"),
    "version_id": ("version_id", "VersionId"),
    "size": ("size", "Size"),
    "etag": ("etag", "ETag"),
    "last_modified": ("last_modified", "LastModified"),
    "storage_class": ("storage_class", "StorageClass"),
}
_READ_BUFFER_BYTES: Final = 256 * 1024


def read_parquet(path: Path, findings: Findings) -> Iterator[tuple[pa.RecordBatch, Sequence[int]]]:
    """Yield the entries of a Parquet file.

    Raises:
        RefusedError: damaged, cut short, without the needed columns, or with columns of other types.
    """
    try:
        with parquet_batches(path) as (schema, read):
            name_by_column = _columns(schema, path)
            findings.columns = tuple(name_by_column)
            findings.ignored.update(set(schema.names) - set(name_by_column.values()) - {"problem"})
            first_row = 1
            for batch in read(list(name_by_column.values())):
                numbers = range(first_row, first_row + batch.num_rows)
                first_row += batch.num_rows
                entries = as_entries(batch, name_by_column)
                check_entries(entries, numbers)
                yield entries, numbers
    except (OSError, pa.ArrowInvalid) as error:
        raise RefusedError(
            f"The manifest {path.name} is not a readable Parquet file: {error}.",
            code="InvalidParquet",
            way_out="It may be cut short; write or upload it again.",
        ) from error


@contextmanager
def parquet_batches(path: Path) -> Iterator[tuple[pa.Schema, Callable[[list[str]], Iterator[pa.RecordBatch]]]]:
    """Give a file's schema, and a function that reads columns of it by batches, not by row groups."""
    with pq.ParquetFile(path, pre_buffer=False, buffer_size=_READ_BUFFER_BYTES) as file:
        yield (
            file.schema_arrow,
            lambda columns: file.iter_batches(BATCH_ENTRIES, columns=columns, use_threads=False),
        )


def _columns(schema: pa.Schema, path: Path) -> dict[str, str]:
    found = {
        column: name for column, names in _NAMES.items() for name in names[::-1] if schema.get_field_index(name) >= 0
    }
    missing = {"bucket", "key"} - found.keys()
    if missing:
        raise RefusedError(
            f"The manifest {path.name} has no column {' and no column '.join(sorted(missing))}; "
            f"its columns are {', '.join(schema.names)}.",
            code="UnknownColumns",
            way_out="Name the columns bucket, key, version_id, size, etag, last_modified, storage_class.",
        )
    return found


def as_entries(batch: pa.RecordBatch, name_by_column: dict[str, str]) -> pa.RecordBatch:
    """Return a batch of any types as entries; ``name_by_column`` tells where each of ours comes from.

    Raises:
        RefusedError: code ``InvalidColumnType``.
    """
    columns: list[pa.Array[Any]] = []
    for field in ENTRY_SCHEMA:
        if field.name not in name_by_column:
            columns.append(pa.nulls(batch.num_rows, field.type))
            continue
        column = batch.column(name_by_column[field.name])
        try:
            columns.append(_as_type(column, field))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError) as error:
            raise RefusedError(
                f"The manifest's column {name_by_column[field.name]} is {column.type}, not {field.type}: {error}.",
                code="InvalidColumnType",
                way_out="Write keys and ETags as text, sizes as whole numbers, times as timestamps with a zone.",
            ) from error
    return pa.RecordBatch.from_arrays(columns, schema=ENTRY_SCHEMA)


def _as_type(column: pa.Array[Any], field: pa.Field[Any]) -> pa.Array[Any]:
    if field.type == TIME:
        return _as_time(column)
    if not (pa.types.is_dictionary(field.type) or field.type == TEXT):
        return column.cast(field.type)
    text = plain(column) if pa.types.is_dictionary(column.type) else column.cast(TEXT)
    if field.name == "etag":
        text = pc.utf8_trim(text, '"')
    if field.name not in {"bucket", "key"}:
        text = pc.if_else(pc.equal(text, pa.scalar("", TEXT)), pa.scalar(None, TEXT), text)
    return text.dictionary_encode() if pa.types.is_dictionary(field.type) else text


def _as_time(column: pa.Array[Any]) -> pa.Array[Any]:
    if not pa.types.is_timestamp(column.type):
        return column.cast(TIME)
    if column.type.tz is None:
        raise pa.ArrowInvalid("a timestamp without a zone")
    return column.cast(TIME, safe=False)
