"""Rows of AWS's completion report: the CSV text of one chunk's ended tasks.

In: entries and outcomes of a chunk. Out: bytes for the file of succeeded rows and for the file of failed rows. Pure;
files, checksums and the report's manifest are ``completion.py``'s business.

Format (``Report_CSV_20180820``; "Examples: S3 Batch Operations completion reports", read 2026-11, and rows of real
reports): no header, seven columns in the order of :data:`COLUMNS`, RFC 4180 quoting where needed, CRLF, keys
URL-encoded as in a manifest, statuses in lower case. The schema that AWS declares in the report's manifest names two
columns the other way round; real rows never have that order.

Nearly all rows are successes whose keys need no encoding, so those are joined by Arrow for a whole chunk at once.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from s3batch.model.job import ReportScope
from s3batch.model.outcome import TaskStatus
from s3batch.report.ended import EndedChunk
from s3batch.s3.encoding import encode_key

COLUMNS = ("Bucket", "Key", "VersionId", "TaskStatus", "HTTPStatusCode", "ErrorCode", "ResultMessage")
"""The order that real rows have."""

ENTRY_COLUMNS = ("key", "version_id")
OUTCOME_COLUMNS = ("status", "code", "http_status", "message")
"""What :func:`report_rows` needs of entries and outcomes."""

SUCCESS_MESSAGE = "Successful"
SUCCESS_HTTP_STATUS = 200
KEPT_HTTP_STATUS = 200
"""A kept row has no request that failed; AWS, too, writes 200 for tasks that failed by a decision of theirs."""

FAILED_HTTP_STATUS = 500
HTTP_STATUS_BY_CODE = {
    "AccessDenied": 403,
    "InvalidObjectState": 403,
    "NoSuchBucket": 404,
    "NoSuchKey": 404,
    "PreconditionFailed": 412,
    "SlowDown": 503,
}
"""For a failed row whose outcome has no HTTP status (found by a listing, or no answer came): readers take the column as
a number, so it is never empty. AWS writes 500 for conditions that it finds itself. It cannot drive retries."""

_URL_SAFE = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/"
_MUST_BE_QUOTED = re.compile(r'[",\r\n]')

Column: TypeAlias = "pa.ChunkedArray[Any]"


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportRows:
    """CSV text of one chunk, and how many rows it has. ``kept`` rows are among the failed text."""

    succeeded_text: bytes
    failed_text: bytes
    succeeded: int
    failed: int
    kept: int


def report_rows(chunk: EndedChunk, scope: ReportScope) -> ReportRows:
    """Return the rows of one chunk. Successes are left out of the text, not of the count, by FailedTasksOnly."""
    status: Any = chunk.outcomes.column("status").cast(pa.string())
    has_succeeded = pc.equal(status, pa.scalar(str(TaskStatus.SUCCEEDED)))
    succeeded = pc.sum(has_succeeded).as_py() or 0
    good, bad = (chunk.entries, chunk.outcomes), None
    if succeeded < chunk.outcomes.num_rows:
        has_not = pc.invert(has_succeeded)
        bad = (chunk.entries.filter(has_not), chunk.outcomes.filter(has_not))
        good = (chunk.entries.filter(has_succeeded), chunk.outcomes.filter(has_succeeded))
    kept = pc.sum(pc.equal(status, pa.scalar(str(TaskStatus.KEPT)))).as_py() or 0
    bucket = csv_field(chunk.info.bucket)
    return ReportRows(
        succeeded_text=_succeeded_text(bucket, *good) if succeeded and scope is ReportScope.ALL_TASKS else b"",
        failed_text=b"" if bad is None else _failed_text(bucket, *bad),
        succeeded=succeeded,
        failed=chunk.outcomes.num_rows - succeeded - kept,
        kept=kept,
    )


def csv_field(text: str) -> str:
    """Return one field as RFC 4180 has it, quoted only where that is needed."""
    if _MUST_BE_QUOTED.search(text) is None:
        return text
    return '"' + text.replace('"', '""') + '"'


def encoded_keys(keys: Column) -> Any:  # noqa: ANN401 - Arrow's array types are generic over what the stubs cannot tell
    """Return the keys URL-encoded, as AWS's manifests and reports have them.

    One look over the bytes of all keys tells whether anything has to be done.
    """
    plain = _one_array(keys)
    if not _text_bytes(plain).translate(None, _URL_SAFE):
        return plain
    return pa.array([encode_key(key) for key in plain.to_pylist()], pa.string())


def _succeeded_text(bucket: str, entries: pa.Table, outcomes: pa.Table) -> bytes:
    """Return the rows of successes. What follows the status is mostly one constant for all of them."""
    codes, statuses, messages = (outcomes.column(name) for name in ("code", "http_status", "message"))
    if codes.null_count == statuses.null_count == messages.null_count == outcomes.num_rows:
        endings: list[Any] = [pa.scalar(f"{SUCCESS_HTTP_STATUS},,{SUCCESS_MESSAGE}\r\n")]
    else:
        endings = [
            pc.coalesce(statuses.cast(pa.string()), pa.scalar(str(SUCCESS_HTTP_STATUS))),
            pa.scalar(",,"),
            pc.coalesce(_mapped(messages, csv_field), _mapped(codes, csv_field), pa.scalar(SUCCESS_MESSAGE)),
            pa.scalar("\r\n"),
        ]
    return _joined(*_beginnings(bucket, entries), pa.scalar(",succeeded,"), *endings)


def _failed_text(bucket: str, entries: pa.Table, outcomes: pa.Table) -> bytes:
    """Return the rows of failed and kept tasks; a whole job may fail, so these are made in bulk as well."""
    code_fields = _mapped(outcomes.column("code"), csv_field)
    http_statuses = pc.coalesce(
        outcomes.column("http_status").cast(pa.string()),
        _mapped(outcomes.column("status"), lambda status: str(KEPT_HTTP_STATUS) if status == TaskStatus.KEPT else None),
        _mapped(outcomes.column("code"), lambda code: str(HTTP_STATUS_BY_CODE.get(code, FAILED_HTTP_STATUS))),
        pa.scalar(str(FAILED_HTTP_STATUS)),
    )
    return _joined(
        *_beginnings(bucket, entries),
        pa.scalar(",failed,"),
        http_statuses,
        pa.scalar(","),
        pc.coalesce(code_fields, pa.scalar("")),
        pa.scalar(","),
        pc.coalesce(_mapped(outcomes.column("message"), csv_field), code_fields, pa.scalar("")),
        pa.scalar("\r\n"),
    )


def _beginnings(bucket: str, entries: pa.Table) -> list[Any]:
    """Return bucket, key and version id, which is empty where the manifest had none."""
    version_ids = entries.column("version_id")
    keys = encoded_keys(entries.column("key"))
    if version_ids.null_count == len(version_ids):
        return [pa.scalar(f"{bucket},"), keys, pa.scalar(",")]
    fields = _one_array(pc.fill_null(version_ids, pa.scalar("")))
    if _MUST_BE_QUOTED.search(_text_bytes(fields).decode()):
        fields = pa.array([csv_field(version_id) for version_id in fields.to_pylist()], pa.string())
    return [pa.scalar(f"{bucket},"), keys, pa.scalar(","), fields]


def _mapped(words: Any, function: Callable[[str], str | None]) -> Any:  # noqa: ANN401 - as encoded_keys
    """Return a column of words as text, each different word mapped once; null stays null."""
    array = words.unify_dictionaries().combine_chunks()
    mapped = pa.array([function(word) for word in array.dictionary.to_pylist()], pa.string())
    return mapped.take(array.indices)


def _joined(*pieces: Any) -> bytes:  # noqa: ANN401 - as encoded_keys
    """Return the rows that the pieces make side by side, one behind the other."""
    return _text_bytes(_one_array(pc.binary_join_element_wise(*pieces, pa.scalar(""))))


def _one_array(column: Any) -> Any:  # noqa: ANN401 - as encoded_keys
    """Return a column of text as one array."""
    array = column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column
    if isinstance(array, pa.ChunkedArray):
        array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], array.type)
    return array if array.type == pa.string() else array.cast(pa.string())


def _text_bytes(array: Any) -> bytes:  # noqa: ANN401 - as encoded_keys
    """Return the bytes of a text array without nulls, one value behind the other.

    A sliced array shares its buffer with the whole, so the offsets decide where to begin and to end.
    """
    if len(array) == 0:
        return b""
    _, offsets, values = array.buffers()
    if values is None:
        return b""
    starts = memoryview(offsets).cast("i")
    return memoryview(values)[starts[array.offset] : starts[array.offset + len(array)]].tobytes()
