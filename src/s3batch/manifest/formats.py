"""The forms in which manifests are written: which one a file has, and what its columns are called.

In: a file's name and first bytes, or a header. Out: the form, and for each column what it means. No file is opened
here. ``csv_reader``, ``json_reader``, ``parquet_reader`` and ``writers`` do the work.

AWS's CSV is ``Bucket,Key[,VersionId]``, keys URL-encoded, no header (S3 User Guide, "Specifying a manifest for a Batch
Operations job", read 2026-11). A completion report's rows are ``Bucket, Key, VersionId, TaskStatus, HTTPStatusCode,
ErrorCode, ResultMessage`` in this order, whatever the report's own ``ReportSchema`` says.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from s3batch.model.errors import RefusedError, UsageError

HEAD_BYTES: Final = 4096
"""Bytes of a file that decide its form."""

GZIP_MAGIC: Final = b"\x1f\x8b"
PARQUET_MAGIC: Final = b"PAR1"
UTF8_BOM: Final = b"\xef\xbb\xbf"


class ManifestFormat(StrEnum):
    """The forms that are read and written."""

    CSV = "csv"
    JSON = "json"  # one array of objects
    JSONL = "jsonl"  # one object a line
    PARQUET = "parquet"


class Column(StrEnum):
    """What a column of a CSV manifest means; the first four are AWS's names for ``Fields``."""

    BUCKET = "Bucket"
    KEY = "Key"
    VERSION_ID = "VersionId"
    IGNORE = "Ignore"
    SIZE = "Size"
    ETAG = "ETag"
    LAST_MODIFIED = "LastModified"
    STORAGE_CLASS = "StorageClass"
    TASK_STATUS = "TaskStatus"
    IS_LATEST = "IsLatest"
    IS_DELETE_MARKER = "IsDeleteMarker"


class KeyEncoding(StrEnum):
    """How keys are written in a CSV manifest."""

    AUTO = "auto"
    URL = "url"
    NONE = "none"


class TaskStatusFilter(StrEnum):
    """Which rows of a completion report become entries."""

    ALL = "all"
    FAILED = "failed"
    SUCCEEDED = "succeeded"


FULL_COLUMNS: Final = (
    Column.BUCKET,
    Column.KEY,
    Column.VERSION_ID,
    Column.SIZE,
    Column.ETAG,
    Column.LAST_MODIFIED,
    Column.STORAGE_CLASS,
)
"""Our wider CSV. AWS's service takes it when its job says Fields=[Bucket,Key,Ignore,Ignore,Ignore,Ignore,Ignore]."""

REPORT_COLUMNS: Final = (
    Column.BUCKET,
    Column.KEY,
    Column.VERSION_ID,
    Column.TASK_STATUS,
    Column.IGNORE,
    Column.IGNORE,
    Column.IGNORE,
)

INVENTORY_COLUMNS: Final = (Column.IS_LATEST, Column.IS_DELETE_MARKER)
"""Only an inventory's description gives them a meaning; in any other CSV a row is an entry whatever they say."""

_NAMED_COLUMNS: Final = tuple(column for column in Column if column not in INVENTORY_COLUMNS)
_COLUMN_BY_NAME: Final = {column.value.lower(): column for column in _NAMED_COLUMNS} | {
    "lastmodifieddate": Column.LAST_MODIFIED
}
_SUFFIXES: Final = {
    ".csv": ManifestFormat.CSV,
    ".json": ManifestFormat.JSON,
    ".jsonl": ManifestFormat.JSONL,
    ".ndjson": ManifestFormat.JSONL,
    ".parquet": ManifestFormat.PARQUET,
}
_FOREIGN: Final = {
    b"ORC": "an ORC file",
    b"\x28\xb5\x2f\xfd": "compressed with zstd",
    b"PK\x03\x04": "a ZIP archive",
    b"BZh": "compressed with bzip2",
    b"\xfd7zXZ": "compressed with xz",
    b"<": "an XML or HTML document",
    b"\xff\xfe": "UTF-16 text",
    b"\xfe\xff": "UTF-16 text",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class ReadOptions:
    """What a user may say about a manifest; the defaults find it out.

    ``has_header`` None means: a first row whose cells name columns is one. ``columns`` names the CSV's columns as
    AWS's ``Fields`` do. ``plus_is_space`` is for keys written by form encoders; without it ``+`` is a plus.
    """

    format: ManifestFormat | None = None
    columns: tuple[Column, ...] | None = None
    has_header: bool | None = None
    key_encoding: KeyEncoding = KeyEncoding.AUTO
    plus_is_space: bool = False
    task_status: TaskStatusFilter = TaskStatusFilter.ALL


@dataclass(kw_only=True, slots=True)
class Findings:
    """What was found in a manifest and decided about it; complete when the last entry was read."""

    format: ManifestFormat = ManifestFormat.CSV
    is_gzip: bool = False
    has_bom: bool = False
    header: tuple[str, ...] | None = None
    columns: tuple[str, ...] = ()
    keys_are_encoded: bool | None = None
    has_version_ids: bool | None = None
    empty_lines: int = 0
    rows_of_other_status: int = 0
    entries: int = 0
    ignored: set[str] = field(default_factory=set)
    mismatched_name: str | None = None
    inventory_format: str | None = None
    inventory_bucket: str | None = None
    inventory_created_ms: int | None = None
    other_versions: int = 0
    delete_markers: int = 0

    @property
    def form(self) -> str:
        """What the manifest is, in a word or two."""
        return self.format if self.inventory_format is None else f"{self.inventory_format} inventory"

    def messages(self) -> tuple[str, ...]:
        """Return the decisions that a user should know about, as sentences."""
        told = []
        if self.mismatched_name is not None:
            told.append(f"The name {self.mismatched_name!r} promises another format; its content is {self.format}.")
        if self.has_bom:
            told.append("A byte order mark at the beginning was skipped.")
        if self.header is not None:
            told.append(f"The first row was read as a header: {', '.join(self.header)}.")
        if self.keys_are_encoded is False:
            told.append("Keys were read as they are, not URL-encoded: some hold characters that encoding would escape.")
        if self.empty_lines:
            told.append(f"{self.empty_lines:,} empty lines were skipped.")
        if self.rows_of_other_status:
            told.append(f"{self.rows_of_other_status:,} rows of the other task status were left out.")
        if self.other_versions or self.delete_markers:
            told.append(
                f"{self.other_versions:,} rows of other versions and {self.delete_markers:,} of current delete markers "
                "were left out."
            )
        if self.ignored:
            told.append(f"Columns that were not used: {', '.join(sorted(self.ignored))}.")
        return tuple(told)


def format_of_name(name: str) -> tuple[ManifestFormat | None, bool]:
    """Return the format that a file's name promises, if any, and whether it promises gzip."""
    lower = name.lower()
    is_gzip = lower.endswith(".gz")
    stem = lower.removesuffix(".gz")
    return next((form for suffix, form in _SUFFIXES.items() if stem.endswith(suffix)), None), is_gzip


def format_of_content(head: bytes, name: str) -> ManifestFormat:
    """Return the format that a file's first bytes, decompressed, show.

    Raises:
        RefusedError: code ``UnknownManifestFormat``, or ``NotAManifest`` for other documents of S3's.
    """
    if head.startswith(PARQUET_MAGIC):
        return ManifestFormat.PARQUET
    for magic, what in _FOREIGN.items():
        if head.startswith(magic):
            raise RefusedError(
                f"The manifest {name!r} is {what}, which cannot be read.",
                code="UnknownManifestFormat",
                way_out="Manifests are CSV, JSON, JSON Lines (these also with gzip) or Parquet, in UTF-8.",
            )
    text = head.removeprefix(UTF8_BOM).lstrip()
    if text.startswith(b"["):
        return ManifestFormat.JSON
    if text.startswith(b"{"):
        _refuse_descriptions(text, name)
        return ManifestFormat.JSONL
    named, _ = format_of_name(name)
    return named if not text and named is not None else ManifestFormat.CSV


def _refuse_descriptions(text: bytes, name: str) -> None:
    if b'"Results"' in text and b'"Report_CSV_' in text:
        raise RefusedError(
            f"{name!r} describes a completion report; its rows are in the files that its Results list.",
            code="NotAManifest",
            way_out="Name one of those files (results/....csv) as the manifest.",
        )
    if describes_inventory(text):
        raise RefusedError(
            f"{name!r} describes an S3 Inventory; its rows are in the files that it lists.",
            code="NotAManifest",
            way_out="Name the manifest.json as S3 delivered it, not compressed, and say no format.",
        )


def describes_inventory(head: bytes) -> bool:
    """Return whether a file's first bytes are those of an S3 Inventory's ``manifest.json``."""
    return (
        head.removeprefix(UTF8_BOM).lstrip().startswith(b"{") and b'"fileSchema"' in head and b'"sourceBucket"' in head
    )


def columns_of_header(cells: Sequence[str]) -> tuple[Column, ...] | None:
    """Return what the columns of a header mean, or None when the row is no header.

    A header names at least a bucket and a key column; other names are columns to ignore.
    """
    columns = tuple(_COLUMN_BY_NAME.get(_plain_name(cell), Column.IGNORE) for cell in cells)
    is_header = columns.count(Column.BUCKET) == 1 and columns.count(Column.KEY) == 1 and all(cells)
    return columns if is_header else None


def columns_of_row(cells: Sequence[str]) -> tuple[Column, ...] | None:
    """Return what the columns of a file without header mean, judged by its first row; None when that is unknown."""
    match len(cells):
        case 2 | 3:
            return FULL_COLUMNS[: len(cells)]
        case 7:
            return REPORT_COLUMNS if cells[3] in {"succeeded", "failed"} else FULL_COLUMNS
        case _:
            return None


def parse_columns(text: str) -> tuple[Column, ...]:
    """Return the columns of a text such as ``Bucket,Key,Ignore``.

    Raises:
        UsageError: code ``InvalidColumns``: an unknown name, or not exactly one bucket and one key column.
    """
    columns = []
    for name in text.split(","):
        column = _COLUMN_BY_NAME.get(_plain_name(name))
        if column is None:
            raise UsageError(
                f"{name!r} is not the name of a manifest column.",
                code="InvalidColumns",
                way_out=f"Use {', '.join(_NAMED_COLUMNS)}.",
            )
        columns.append(column)
    used = [column for column in columns if column is not Column.IGNORE]
    if not {Column.BUCKET, Column.KEY} <= set(used) or len(used) != len(set(used)):
        raise UsageError(
            f"The columns {text!r} must hold Bucket and Key once, and no other but Ignore twice.",
            code="InvalidColumns",
            way_out="For example: Bucket,Key,Ignore.",
        )
    return tuple(columns)


def read_json_object(text: str) -> dict[str, object] | None:
    """Return the JSON object that a text is, or None."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _plain_name(name: str) -> str:
    return "".join(character for character in name.lower() if character not in "_- ")
