"""Writing manifests: CSV in AWS's form, our wider CSV, JSON Lines and one JSON array; each also with gzip.

In: batches of entries. Out: a file that appears only when it is complete. Parquet is written by ``normalised``.
Keys in CSV are URL-encoded with ``%20`` and ``%2B``, never with ``+``, because readers differ about ``+``; they then
hold nothing that CSV would have to quote. Lines end with LF. gzip carries no time, so equal entries give equal files.
"""

from __future__ import annotations

import gzip
import json
import re
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Final, Protocol, Self, cast

import pyarrow as pa
import pyarrow.compute as pc

from s3batch.manifest.columns import TEXT, plain, texts
from s3batch.manifest.durable_file import replace_durably
from s3batch.manifest.formats import ManifestFormat
from s3batch.model.errors import RefusedError
from s3batch.s3.encoding import encode_key

_GZIP_LEVEL: Final = 4
_NEEDS_QUOTES: Final = re.compile(r'[,"\r\n]')
_JSON_VALUE: Final = json.JSONEncoder(ensure_ascii=False).encode


class TextForm(Protocol):
    """Turns batches into text; ``head`` and ``tail`` stand around all of it."""

    head: str
    tail: str

    def lines(self, batch: pa.RecordBatch) -> str:
        """Return a batch's entries as text."""
        ...


class AwsCsv:
    """``Bucket,Key``, or ``Bucket,Key,VersionId`` when the first entry has a version id; then all must have one."""

    head = ""
    tail = ""

    def __init__(self) -> None:
        """Leave open whether there are version ids."""
        self._has_versions: bool | None = None

    def lines(self, batch: pa.RecordBatch) -> str:
        """Return rows of two or three columns.

        Raises:
            RefusedError: code ``MixedVersionIds``.
        """
        version_ids = batch.column("version_id")
        if self._has_versions is None:
            self._has_versions = version_ids.null_count == 0
        if version_ids.null_count != (0 if self._has_versions else len(version_ids)):
            raise RefusedError(
                "Some entries have a version id and some have none; AWS's CSV form has no place for that.",
                code="MixedVersionIds",
                way_out="Write JSON or Parquet, or make two manifests.",
            )
        buckets, keys = _names(batch)
        if self._has_versions:
            versions = _quoted(texts(batch, "version_id").to_pylist())
            return "".join(
                [f"{bucket},{key},{version}\n" for bucket, key, version in zip(buckets, keys, versions, strict=True)]
            )
        if buckets[0] == buckets[-1] and buckets.count(buckets[0]) == len(buckets):
            return f"{buckets[0]},{f'{chr(10)}{buckets[0]},'.join(keys)}\n"
        return "".join([f"{bucket},{key}\n" for bucket, key in zip(buckets, keys, strict=True)])


class FullCsv:
    """Seven columns: bucket, key, version id, size, ETag, last modified, storage class; absent values are empty."""

    head = ""
    tail = ""

    def lines(self, batch: pa.RecordBatch) -> str:
        """Return rows of seven columns."""
        buckets, keys = _names(batch)
        facts = (
            _quoted(texts(batch, "version_id").to_pylist()),
            _quoted(batch.column("size").cast(TEXT).to_pylist()),
            _quoted(texts(batch, "etag").to_pylist()),
            _quoted(_times(batch)),
            _quoted(plain(batch.column("storage_class")).to_pylist()),
        )
        return "".join([",".join(row) + "\n" for row in zip(buckets, keys, *facts, strict=True)])


class JsonLines:
    """One object a line; absent values are left out."""

    head = ""
    tail = ""

    def lines(self, batch: pa.RecordBatch) -> str:
        """Return one object a line."""
        return "".join([f"{text}\n" for text in _objects(batch)])


class JsonArray:
    """One array, one object a line."""

    head = "["
    tail = "\n]\n"

    def __init__(self) -> None:
        """Begin before the first object, which no comma precedes."""
        self._separator = "\n"

    def lines(self, batch: pa.RecordBatch) -> str:
        """Return objects with the commas between them."""
        text = self._separator + ",\n".join(_objects(batch))
        self._separator = ",\n"
        return text


def text_form(form: ManifestFormat, *, all_columns: bool) -> TextForm:
    """Return the way to write a format as text; ``all_columns`` chooses the wider CSV.

    Raises:
        RefusedError: Parquet is not text.
    """
    match form:
        case ManifestFormat.CSV:
            return FullCsv() if all_columns else AwsCsv()
        case ManifestFormat.JSON:
            return JsonArray()
        case ManifestFormat.JSONL:
            return JsonLines()
        case ManifestFormat.PARQUET:
            raise RefusedError("Parquet is not a text format.", code="NotText", way_out="Give a file with -o.")


class TextWriter:
    """Writes a manifest as text, to a file that appears only when complete, or to an open stream.

    Use it as a context manager: an error leaves no file behind.
    """

    def __init__(self, target: Path | BinaryIO, form: TextForm, *, is_gzip: bool = False) -> None:
        """Open the output. A stream is flushed at the end, not closed."""
        self._form = form
        self._stack = ExitStack()
        stream: BinaryIO
        if isinstance(target, Path):
            stream = self._stack.enter_context(self._stack.enter_context(replace_durably(target)).open("wb"))
        else:
            stream = target
        if is_gzip:
            plain_file = gzip.GzipFile(filename="", mode="wb", compresslevel=_GZIP_LEVEL, fileobj=stream, mtime=0)
            stream = cast("BinaryIO", self._stack.enter_context(plain_file))
        self._stream = stream
        self._stack.push(self._end)
        self._stream.write(form.head.encode())

    def write(self, batch: pa.RecordBatch) -> None:
        """Append entries."""
        if batch.num_rows:
            self._stream.write(self._form.lines(batch).encode())

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def _end(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if error is None:
            self._stream.write(self._form.tail.encode())
            self._stream.flush()


def _names(batch: pa.RecordBatch) -> tuple[list[str], list[str]]:
    """Return buckets and encoded keys."""
    buckets = cast("list[str]", plain(batch.column("bucket")).to_pylist())
    return buckets, [encode_key(key) for key in cast("list[str]", texts(batch, "key").to_pylist())]


def _quoted(values: Sequence[str | None]) -> list[str]:
    cells = [value or "" for value in values]
    if _NEEDS_QUOTES.search("".join(cells)) is None:
        return cells
    return ['"' + cell.replace('"', '""') + '"' if _NEEDS_QUOTES.search(cell) else cell for cell in cells]


def _times(batch: pa.RecordBatch) -> list[str | None]:
    text = batch.column("last_modified").cast(TEXT)
    return pc.replace_substring(text, " ", "T").to_pylist()


def _objects(batch: pa.RecordBatch) -> list[str]:
    """Return each entry as a JSON text, put together by columns: four times as quick as an encoder by rows."""
    columns = (
        _members("bucket", plain(batch.column("bucket")).to_pylist()),
        _members("key", texts(batch, "key").to_pylist()),
        _members("version_id", texts(batch, "version_id").to_pylist()),
        _members("size", batch.column("size").to_pylist()),
        _members("etag", texts(batch, "etag").to_pylist()),
        _members("last_modified", _times(batch)),
        _members("storage_class", plain(batch.column("storage_class")).to_pylist()),
    )
    return ["{" + "".join(row)[1:] + "}" for row in zip(*columns, strict=True)]


def _members(name: str, values: Sequence[object]) -> Sequence[str]:
    """Return each value as a JSON member with a comma before it, or nothing where there is none."""
    if values.count(None) == len(values):
        return [""] * len(values)
    begin = f',"{name}":'
    return ["" if value is None else begin + _JSON_VALUE(value) for value in values]
