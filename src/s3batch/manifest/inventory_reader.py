"""The rows of an S3 Inventory as entries: of CSV, ORC and Parquet, current objects only.

In: an inventory's description and its files, checked before. Out: batches of entries in the files' order, which is
none, and findings. Memory is bounded by a batch: also an ORC stripe is decoded piece by piece (2 million rows of one
stripe: 93 MB for the whole process, measured 2026-11).

Which rows. An inventory of all versions says of each row whether it is the latest and whether it is a delete marker:
only latest rows that are no marker become entries; the others are counted. Entries carry no version id: they are
current objects, pinned by size and ETag as those of a listing are (safety.md rule 1). An inventory with version ids
that does not say which ones are the latest is refused.

How keys are written. In CSV URL-encoded, a space as ``+`` and a plus as ``%2B`` (keys "must be decoded": User Guide,
"Amazon S3 Inventory list", read 2026-11; the plus: cloud-custodian issue 1997, seen on AWS). In ORC and Parquet as they
are. Times are UTC; ORC's carry no zone.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, BinaryIO, Final, cast

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds

from s3batch.manifest.columns import few_words, rows_where
from s3batch.manifest.csv_reader import CsvReader
from s3batch.manifest.entries import BATCH_ENTRIES, check_entries
from s3batch.manifest.formats import GZIP_MAGIC, Column, Findings, KeyEncoding, ReadOptions
from s3batch.manifest.inventory import Inventory, InventoryFile, InventoryFormat, invalid
from s3batch.manifest.parquet_reader import as_entries, parquet_batches
from s3batch.model.errors import RefusedError

_CSV_COLUMNS: Final = {
    "Bucket": Column.BUCKET,
    "Key": Column.KEY,
    "IsLatest": Column.IS_LATEST,
    "IsDeleteMarker": Column.IS_DELETE_MARKER,
    "Size": Column.SIZE,
    "LastModifiedDate": Column.LAST_MODIFIED,
    "ETag": Column.ETAG,
    "StorageClass": Column.STORAGE_CLASS,
}
_NAME_BY_COLUMN: Final = {
    "bucket": "bucket",
    "key": "key",
    "size": "size",
    "etag": "e_tag",
    "last_modified": "last_modified_date",
    "storage_class": "storage_class",
}
"""Ours -> that of ORC and Parquet."""
_FLAGS: Final = ("is_latest", "is_delete_marker")
_Numbered = tuple[pa.RecordBatch, Sequence[int]]


class InventoryReader:
    """One inventory, to be read once or several times; ``findings`` are those of the latest reading."""

    def __init__(self, inventory: Inventory, paths: Sequence[Path]) -> None:
        """Take the data files in the order of the description; they are opened when they are read."""
        self._inventory = inventory
        self._paths = paths
        self.findings = self._new_findings()
        if inventory.format is InventoryFormat.CSV:
            _require_columns(inventory, inventory.url, inventory.columns, ("Bucket", "Key", "VersionId", "IsLatest"))

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the entries.

        Raises:
            RefusedError: a row that cannot be read for certain, with its file and number.
        """
        self.findings = self._new_findings()
        for path, file in zip(self._paths, self._inventory.files, strict=True):
            try:
                for batch, _ in self._numbered_batches(path, file):
                    self._check_bucket(batch, file)
                    self.findings.entries += batch.num_rows
                    yield batch
            except RefusedError as error:
                raise RefusedError(f"{file.key}: {error.message}", code=error.code, way_out=error.way_out) from error
            except (OSError, EOFError, zlib.error, pa.ArrowInvalid) as error:
                raise invalid(self._inventory.url, f"{file.key} is no {self._inventory.format}: {error}") from error

    def _new_findings(self) -> Findings:
        inventory = self._inventory
        return Findings(
            inventory_format=inventory.format,
            inventory_bucket=inventory.source_bucket,
            inventory_created_ms=inventory.created_ms,
            has_version_ids=False,
        )

    def _numbered_batches(self, path: Path, file: InventoryFile) -> Iterator[_Numbered]:
        if not file.size:
            return
        match self._inventory.format:
            case InventoryFormat.CSV:
                yield from self._csv_batches(path)
            case InventoryFormat.PARQUET:
                with parquet_batches(path) as (schema, read):
                    yield from self._arrow_batches(file, schema, read)
            case InventoryFormat.ORC:
                data = ds.dataset(str(path), format=ds.OrcFileFormat())
                yield from self._arrow_batches(file, data.schema, lambda columns: _orc_batches(data, columns))

    def _csv_batches(self, path: Path) -> Iterator[_Numbered]:
        options = ReadOptions(
            columns=tuple(_CSV_COLUMNS.get(name, Column.IGNORE) for name in self._inventory.columns),
            has_header=False,
            key_encoding=KeyEncoding.URL,
            plus_is_space=True,
        )
        with _open(path) as stream:
            yield from CsvReader(stream, options, self.findings).batches()

    def _arrow_batches(self, file: InventoryFile, schema: pa.Schema, read: Any) -> Iterator[_Numbered]:  # noqa: ANN401
        names = tuple(schema.names)
        _require_columns(self._inventory, file.key, names, ("bucket", "key", "version_id", "is_latest"))
        used = {column: name for column, name in _NAME_BY_COLUMN.items() if name in names}
        flags = [name for name in _FLAGS if name in names]
        first_row = 1
        for batch in read([*used.values(), *flags]):
            numbers: Sequence[int] = range(first_row, first_row + batch.num_rows)
            first_row += batch.num_rows
            kept = self._current_rows(batch, flags, file)
            if kept:
                current = batch if len(kept) == batch.num_rows else batch.take(pa.array(kept, pa.int64()))
                numbers = [numbers[row] for row in kept]
                entries = as_entries(_in_utc(current), used)
                check_entries(entries, numbers)
                yield entries, numbers

    def _current_rows(self, batch: pa.RecordBatch, flags: Sequence[str], file: InventoryFile) -> Sequence[int]:
        """Return the rows that are the latest of their key and no delete marker; count the others."""
        if not flags:
            return range(batch.num_rows)
        for name in flags:
            if not pa.types.is_boolean(batch.schema.field(name).type) or batch.column(name).null_count:
                raise invalid(self._inventory.url, f"{file.key} has rows whose {name} is neither true nor false")
        everywhere = pa.array([True] * batch.num_rows, pa.bool_())
        latest: Any = batch.column("is_latest") if "is_latest" in flags else everywhere
        marker: Any = batch.column("is_delete_marker") if "is_delete_marker" in flags else pc.invert(everywhere)
        kept = rows_where(pc.and_(latest, pc.invert(marker)))
        markers = len(rows_where(pc.and_(latest, marker)))
        self.findings.delete_markers += markers
        self.findings.other_versions += batch.num_rows - len(kept) - markers
        return kept

    def _check_bucket(self, batch: pa.RecordBatch, file: InventoryFile) -> None:
        """Refuse rows of a bucket that the inventory is not about: something is mixed up."""
        expected = self._inventory.source_bucket
        others = {str(name) for name in few_words(batch, "bucket").dictionary.to_pylist()} - {expected}
        if others:
            raise invalid(self._inventory.url, f"{file.key} names {min(others)!r}, its sourceBucket {expected!r}")


def _require_columns(inventory: Inventory, where: str, found: Sequence[str], names: tuple[str, str, str, str]) -> None:
    bucket, key, version_id, is_latest = names
    missing = [name for name in (bucket, key) if name not in found]
    if missing:
        raise invalid(inventory.url, f"{where} has no column {' and no column '.join(missing)}")
    if version_id in found and is_latest not in found:
        raise invalid(inventory.url, f"{where} has {version_id} but no {is_latest}, so the current objects are unknown")


def _orc_batches(data: ds.Dataset, columns: list[str]) -> Iterator[pa.RecordBatch]:
    """Decode batch by batch, never a whole stripe, which may be millions of rows."""
    scanner = data.scanner(
        columns=columns, batch_size=BATCH_ENTRIES, use_threads=False, batch_readahead=1, fragment_readahead=1
    )
    yield from scanner.to_batches()


def _in_utc(batch: pa.RecordBatch) -> pa.RecordBatch:
    at = batch.schema.get_field_index("last_modified_date")
    if at < 0 or not pa.types.is_timestamp(batch.column(at).type) or batch.column(at).type.tz is not None:
        return batch
    times = cast("pa.TimestampArray[Any, None]", batch.column(at))
    return batch.set_column(at, "last_modified_date", pc.assume_timezone(times, "UTC"))


def _open(path: Path) -> BinaryIO:
    with path.open("rb") as file:
        is_gzip = file.read(len(GZIP_MAGIC)) == GZIP_MAGIC
    return cast("BinaryIO", gzip.open(path, "rb")) if is_gzip else path.open("rb")
