"""Entries as columns: the one table shape that passes between the parts of a manifest.

In: pages of a listing, or columns of plain Python values. Out: record batches of ``ENTRY_SCHEMA``, checked: each key
is 1 to 1,024 bytes of UTF-8, each bucket is a bucket name, each size is not negative. Files and requests are other
modules' business. ETags are without quotes, times are milliseconds UTC, keys are decoded.

The limit on keys is from the Amazon S3 User Guide, "Naming Amazon S3 objects" (read 2026-11); other stores have the
same. Bucket names are checked loosely (old and foreign stores allow more than AWS does today).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Protocol

import pyarrow as pa
import pyarrow.compute as pc

from s3batch.manifest.columns import (
    TEXT,
    TIME,
    WORD,
    constant_words,
    few_words,
    lengths_or_minus_one,
    numbers,
    plain,
    texts,
    values_or_zero,
    words,
)
from s3batch.model.errors import RefusedError
from s3batch.model.objects import MAX_KEY_BYTES

ENTRY_SCHEMA: Final = pa.schema(
    [
        pa.field("bucket", WORD, nullable=False),
        pa.field("key", TEXT, nullable=False),
        pa.field("version_id", TEXT),
        pa.field("size", pa.int64()),
        pa.field("etag", TEXT),
        pa.field("last_modified", TIME),
        pa.field("storage_class", WORD),
        pa.field("problem", WORD),
    ]
)
"""``problem`` is a failure code found before the job starts; such a row fails without a request."""

BATCH_ENTRIES: Final = 10_000
"""Entries that a reader hands on at a time: big enough to be cheap per entry, small enough not to count as memory."""

MAX_SIZE: Final = 2**63 - 1
_BUCKET_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._\-]{2,254}\Z")
_SHOWN_CHARACTERS = 120


class Page(Protocol):
    """What is needed of one page of a listing: columns of equal length."""

    keys: list[str]
    sizes: list[int]
    etags: list[str]
    last_modified: list[str]
    storage_classes: list[str]


@dataclass(frozen=True, kw_only=True, slots=True)
class RawColumns:
    """Columns of plain values as a file has them; an absent column is None. ``row_numbers`` are for messages."""

    row_numbers: Sequence[int]
    buckets: Sequence[str]
    keys: Sequence[str]
    version_ids: Sequence[str | None] | None = None
    sizes: Sequence[int | None] | None = None
    etags: Sequence[str | None] | None = None
    last_modified: Sequence[str | None] | None = None
    storage_classes: Sequence[str | None] | None = None


def shown(value: object) -> str:
    """Return a value for a message, not longer than a line."""
    text = repr(value)
    return text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}... ({len(text):,} characters)"


def batch_of_page(bucket: str, page: Page) -> pa.RecordBatch:
    """Return the entries of a page of a listing of ``bucket``. Versions are not known to a plain listing."""
    length = len(page.keys)
    return pa.RecordBatch.from_arrays(
        [
            constant_words(bucket, length),
            pa.array(page.keys, TEXT),
            pa.nulls(length, TEXT),
            pa.array(page.sizes, pa.int64()),
            pa.array(page.etags, TEXT),
            parse_times(page.last_modified, range(1, length + 1)),
            words(page.storage_classes),
            pa.nulls(length, WORD),
        ],
        schema=ENTRY_SCHEMA,
    )


def batch_of_columns(raw: RawColumns) -> pa.RecordBatch:
    """Return checked entries.

    Raises:
        RefusedError: a row that cannot name an object, with its number and value.
    """
    length = len(raw.keys)
    batch = pa.RecordBatch.from_arrays(
        [
            words(raw.buckets),
            _text_column(raw.keys, "key", raw.row_numbers),
            _optional_text(raw.version_ids, "version_id", raw),
            pa.array(raw.sizes, pa.int64()) if raw.sizes is not None else pa.nulls(length, pa.int64()),
            _optional_text(raw.etags, "etag", raw),
            parse_times(raw.last_modified, raw.row_numbers)
            if raw.last_modified is not None
            else pa.nulls(length, TIME),
            words(raw.storage_classes) if raw.storage_classes is not None else pa.nulls(length, WORD),
            pa.nulls(length, WORD),
        ],
        schema=ENTRY_SCHEMA,
    )
    check_entries(batch, raw.row_numbers)
    return batch


def check_entries(batch: pa.RecordBatch, row_numbers: Sequence[int]) -> None:
    """Refuse rows that no store could have: an empty or too long key, a bad bucket name, a negative size.

    Raises:
        RefusedError: code ``InvalidKey``, ``InvalidBucketName`` or ``InvalidSize``, with the row's number.
    """
    if batch.num_rows == 0:
        return
    _check_buckets(batch, row_numbers)
    keys = texts(batch, "key")
    lengths = lengths_or_minus_one(keys)
    if pc.min(lengths).as_py() < 1 or pc.max(lengths).as_py() > MAX_KEY_BYTES:
        _refuse_key(keys.to_pylist(), row_numbers)
    sizes = numbers(batch, "size")
    smallest = pc.min(values_or_zero(sizes)).as_py()
    if smallest < 0:
        row = sizes.to_pylist().index(smallest)
        raise refusal(
            row_numbers[row], f"a size is {smallest}, and must be 0 or more", code="InvalidSize", way_out="Correct it."
        )


def refusal(row: int, problem: str, *, code: str, way_out: str) -> RefusedError:
    """Return the error about one row of a manifest; rows count from 1, lines that held no entry included."""
    return RefusedError(f"Row {row:,} of the manifest: {problem}.", code=code, way_out=way_out)


def parse_times(values: Sequence[str | None], row_numbers: Sequence[int]) -> pa.Array[Any]:
    """Return ISO 8601 times with a zone as milliseconds UTC; smaller parts of a second are cut off.

    Raises:
        RefusedError: code ``InvalidTime``: not such a time.
    """
    try:
        return pa.array(values, TEXT).cast(TIME)
    except pa.ArrowInvalid:
        milliseconds = [_milliseconds(value, row_numbers[row]) for row, value in enumerate(values)]
        return pa.array(milliseconds, pa.int64()).cast(TIME)


def _milliseconds(value: str | None, row: int) -> int | None:
    if not value:
        return None
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        raise refusal(
            row,
            f"last_modified is {shown(value)}, which is not an ISO 8601 time with a zone",
            code="InvalidTime",
            way_out="Write it as 2026-11-22T21:00:00Z, or leave it out.",
        )
    since = moment - datetime(1970, 1, 1, tzinfo=UTC)
    return (since.days * 86_400 + since.seconds) * 1000 + since.microseconds // 1000


def _optional_text(values: Sequence[str | None] | None, name: str, raw: RawColumns) -> pa.Array[Any]:
    return pa.nulls(len(raw.keys), TEXT) if values is None else _text_column(values, name, raw.row_numbers)


def _text_column(values: Sequence[str | None], name: str, row_numbers: Sequence[int]) -> pa.Array[Any]:
    try:
        return pa.array(values, TEXT)
    except UnicodeEncodeError:
        row = next(row for row, value in enumerate(values) if value is not None and not _is_utf8(value))
        raise refusal(
            row_numbers[row],
            f"the {name} {shown(values[row])} holds half of a surrogate pair, which is not a character",
            code="InvalidKey",
            way_out="S3 keys are UTF-8 text; write the manifest with a tool that keeps them so.",
        ) from None


def _is_utf8(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _check_buckets(batch: pa.RecordBatch, row_numbers: Sequence[int]) -> None:
    buckets = few_words(batch, "bucket")
    bad_names = {name for name in plain(buckets.dictionary).to_pylist() if not _BUCKET_NAME.match(name or "")}
    if buckets.null_count == 0 and not bad_names:
        return
    for row, name in enumerate(plain(buckets).to_pylist()):
        if name is None or name in bad_names:
            raise refusal(
                row_numbers[row],
                f"{shown(name)} is not a bucket name",
                code="InvalidBucketName",
                way_out="The first column is the bare bucket name, without s3:// and without an ARN.",
            )


def _refuse_key(keys: Sequence[str | None], row_numbers: Sequence[int]) -> None:
    for row, key in enumerate(keys):
        if not key:
            raise refusal(
                row_numbers[row],
                "the key is empty",
                code="EmptyKey",
                way_out="Each row must name an object; remove the row.",
            )
        size = len(key.encode())
        if size > MAX_KEY_BYTES:
            raise refusal(
                row_numbers[row],
                f"the key {shown(key)} has {size:,} bytes, and S3 allows {MAX_KEY_BYTES:,}",
                code="InvalidKey",
                way_out="No store holds such an object; remove the row.",
            )
