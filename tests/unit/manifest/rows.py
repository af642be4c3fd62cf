"""Rows of manifests as plain values, and batches of entries made from them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pyarrow as pa

from s3batch.manifest.entries import RawColumns, batch_of_columns


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One entry."""

    bucket: str
    key: str
    version_id: str | None = None
    size: int | None = None
    etag: str | None = None
    last_modified: str | None = None
    storage_class: str | None = None

    def replace(self, **changes: str | int | None) -> Row:
        """Return the row with other values."""
        return dataclasses.replace(self, **changes)  # type: ignore[arg-type]


def batch_of(rows: Sequence[Row], first_row: int = 1) -> pa.RecordBatch:
    """Return rows as one batch of entries."""
    return batch_of_columns(
        RawColumns(
            row_numbers=range(first_row, first_row + len(rows)),
            buckets=[row.bucket for row in rows],
            keys=[row.key for row in rows],
            version_ids=[row.version_id for row in rows],
            sizes=[row.size for row in rows],
            etags=[row.etag for row in rows],
            last_modified=[row.last_modified for row in rows],
            storage_classes=[row.storage_class for row in rows],
        )
    )


def batches(rows: Sequence[Row], size: int) -> Iterator[pa.RecordBatch]:
    """Yield rows as batches of ``size``."""
    for start in range(0, len(rows), size):
        yield batch_of(rows[start : start + size], start + 1)


def rows_of(table: pa.Table | pa.RecordBatch) -> list[Row]:
    """Return entries as rows."""
    rows = []
    for row in table.to_pylist():
        moment = row["last_modified"]
        row["last_modified"] = moment.isoformat(timespec="milliseconds").replace("+00:00", "Z") if moment else None
        row.pop("problem")
        rows.append(Row(**row))
    return rows
