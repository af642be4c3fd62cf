"""S3 Inventories as Amazon S3 delivers them, written with pyarrow and gzip, to read back."""

from __future__ import annotations

import csv
import gzip
import hashlib
import io
import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any
from urllib.parse import quote_plus

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import orc

from s3batch.manifest.inventory import InventoryFormat

BUCKET = "archive"
CREATED_MS = 1_795_651_200_000  # 2026-11-26T00:00:00Z
TYPES = {
    "Bucket": ("bucket", pa.string()),
    "Key": ("key", pa.string()),
    "VersionId": ("version_id", pa.string()),
    "IsLatest": ("is_latest", pa.bool_()),
    "IsDeleteMarker": ("is_delete_marker", pa.bool_()),
    "Size": ("size", pa.int64()),
    "LastModifiedDate": ("last_modified_date", pa.timestamp("ms")),
    "ETag": ("e_tag", pa.string()),
    "StorageClass": ("storage_class", pa.string()),
    "ReplicationStatus": ("replication_status", pa.string()),
}
"""Name in a CSV's schema -> that of ORC and Parquet, and the type."""

Record = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Delivered:
    """One inventory in a folder that is laid out as its bucket."""

    root: Path
    description: Path
    data: tuple[Path, ...]

    def key(self, path: Path) -> str:
        """Return a file's key."""
        return path.relative_to(self.root).as_posix()

    def describe(self, **changes: object) -> None:
        """Write the description again with other members, and its checksum."""
        document = json.loads(self.description.read_text()) | changes
        write_description(self.description, document)


def deliver(
    root: Path,
    form: InventoryFormat,
    parts: Sequence[Sequence[Record]],
    columns: Sequence[str],
    *,
    bucket: str = BUCKET,
    created_ms: int = CREATED_MS,
) -> Delivered:
    """Write an inventory with one data file for each part; values are by the names of a CSV's schema."""
    base = root / "inv" / bucket / "daily"
    (base / "data").mkdir(parents=True)
    suffix = {InventoryFormat.CSV: "csv.gz", InventoryFormat.ORC: "orc", InventoryFormat.PARQUET: "parquet"}[form]
    data = tuple(base / "data" / f"part-{number}.{suffix}" for number in range(len(parts)))
    for path, records in zip(data, parts, strict=True):
        _write_data(path, form, records, columns)
    description = base / "2026-11-26T00-00Z" / "manifest.json"
    description.parent.mkdir()
    write_description(
        description,
        {
            "sourceBucket": bucket,
            "destinationBucket": "arn:aws:s3:::reports",
            "version": "2016-11-30",
            "creationTimestamp": str(created_ms),
            "fileFormat": form.value,
            "fileSchema": ", ".join(columns) if form is InventoryFormat.CSV else "struct<bucket:string,key:string>",
            "files": [_described(path, root) for path in data],
        },
    )
    return Delivered(root=root, description=description, data=data)


def write_description(path: Path, document: Record) -> None:
    """Write ``manifest.json`` and the ``manifest.checksum`` beside it."""
    content = json.dumps(document, indent=2).encode()
    path.write_bytes(content)
    path.with_name("manifest.checksum").write_text(hashlib.md5(content, usedforsecurity=False).hexdigest() + "\n")


def _described(path: Path, root: Path) -> Record:
    content = path.read_bytes()
    digest = hashlib.md5(content, usedforsecurity=False).hexdigest()
    return {"key": path.relative_to(root).as_posix(), "size": len(content), "MD5checksum": digest}


def _write_data(path: Path, form: InventoryFormat, records: Sequence[Record], columns: Sequence[str]) -> None:
    if form is InventoryFormat.CSV:
        text = io.StringIO()
        writer = csv.writer(text, quoting=csv.QUOTE_ALL, lineterminator="\n")
        writer.writerows([_cell(name, record.get(name)) for name in columns] for record in records)
        path.write_bytes(gzip.compress(text.getvalue().encode()))
        return
    arrays = {
        TYPES[name][0]: pa.array([_value(name, record.get(name)) for record in records], TYPES[name][1])
        for name in columns
    }
    table = pa.table(arrays)
    if form is InventoryFormat.ORC:
        orc.write_table(table, path, compression="ZLIB")
    else:
        pq.write_table(table, path, compression="snappy")


def _cell(name: str, value: object) -> str:
    if value is None:
        return ""
    if name == "Key":
        return quote_plus(str(value), safe="/")
    return str(value).lower() if isinstance(value, bool) else str(value)


def _value(name: str, value: object) -> object:
    is_time = name == "LastModifiedDate" and value is not None
    return datetime.fromisoformat(str(value)).replace(tzinfo=None) if is_time else value
