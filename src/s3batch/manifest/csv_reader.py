"""Manifests as CSV: AWS's form, our wider form, and result files of completion reports.

In: decompressed bytes. Out: batches of entries with their row numbers, and findings. Rows count from 1 and include a
header and empty lines. A batch is in memory at a time.

How keys are read. AWS's form has them URL-encoded. Some tools write them as they are. A key that holds a character
which every encoder escapes (``_ALWAYS_ESCAPED``: a space, a control character, anything but ASCII and some more), or a
``%`` that begins no escape, shows that this manifest's keys are not encoded: then all are taken as they are, and that
is reported. If other rows hold escapes, the manifest is ambiguous and refused. A ``+`` is a plus unless the user says
otherwise: AWS's own rule is not documented, and encoders that mean a space by it are told by ``plus_is_space``.
One pass is enough, because a key without ``%`` reads the same in both ways.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Callable, Generator, Iterator, Sequence
from itertools import islice
from typing import BinaryIO, Final
from urllib.parse import unquote

import pyarrow as pa

from s3batch.manifest.entries import BATCH_ENTRIES, RawColumns, batch_of_columns, refusal, shown
from s3batch.manifest.formats import (
    INVENTORY_COLUMNS,
    UTF8_BOM,
    Column,
    Findings,
    KeyEncoding,
    ReadOptions,
    TaskStatusFilter,
    columns_of_header,
    columns_of_row,
)
from s3batch.model.errors import RefusedError

_ALWAYS_ESCAPED: Final = re.compile(r'[^!-~]|["#<>?\\^`{|}]|%(?![0-9A-Fa-f]{2})')
_ESCAPE: Final = re.compile(r"%[0-9A-Fa-f]{2}")
_MAX_DIGITS: Final = 18


class CsvReader:
    """Reads one CSV manifest once."""

    def __init__(self, stream: BinaryIO, options: ReadOptions, findings: Findings) -> None:
        """Take a stream at its beginning; ``findings`` is filled while reading."""
        self._findings = findings
        self._options = options
        self._rows = _rows(stream, findings)
        self._columns: tuple[Column, ...] = ()
        self._keys = _KeyReader(options, findings)

    def batches(self) -> Iterator[tuple[pa.RecordBatch, Sequence[int]]]:
        """Yield entries with their row numbers.

        Raises:
            RefusedError: a row that cannot be read for certain.
        """
        try:
            yield from self._all_batches()
        finally:
            self._rows.close()

    def _all_batches(self) -> Iterator[tuple[pa.RecordBatch, Sequence[int]]]:
        first_row = 1
        while records := list(islice(self._rows, BATCH_ENTRIES)):
            numbers: Sequence[int] = range(first_row, first_row + len(records))
            first_row += len(records)
            if [] in records:
                kept = [(number, record) for number, record in zip(numbers, records, strict=True) if record]
                self._findings.empty_lines += len(records) - len(kept)
                numbers, records = [number for number, _ in kept], [record for _, record in kept]
            if records and not self._columns and self._take_header(records[0], numbers[0]):
                numbers, records = numbers[1:], records[1:]
            if records:
                yield from self._batch(records, numbers)
        self._keys.finish()

    def _take_header(self, record: list[str], row: int) -> bool:
        """Decide what the columns mean from the first row; return whether that row is a header."""
        options = self._options
        named = columns_of_header(record) if options.has_header is not False else None
        is_header = named is not None or bool(options.has_header)
        columns = options.columns or named or columns_of_row(record)
        if columns is None:
            raise refusal(
                row,
                f"{len(record)} columns, whose meaning is unknown (2 or 3 are Bucket,Key[,VersionId]; 7 are a "
                "completion report or a manifest with all columns)",
                code="UnknownColumns",
                way_out="Name them with --columns, for example Bucket,Key,Ignore, or add a header row.",
            )
        self._columns = columns
        self._findings.columns = tuple(columns)
        if is_header:
            self._findings.header = tuple(record)
            self._findings.ignored.update(
                cell for cell, column in zip(record, columns, strict=False) if column is Column.IGNORE
            )
        return is_header

    def _batch(
        self, records: list[list[str]], numbers: Sequence[int]
    ) -> Iterator[tuple[pa.RecordBatch, Sequence[int]]]:
        width = len(self._columns)
        if set(map(len, records)) != {width}:
            position = next(at for at, record in enumerate(records) if len(record) != width)
            raise refusal(
                numbers[position],
                f"{len(records[position])} columns where the first row has {width}: "
                f"{shown(','.join(records[position]))}",
                code="WrongColumnCount",
                way_out="A comma inside a value must be quoted; in AWS's form keys are URL-encoded (a comma is %2C).",
            )
        cells = dict(zip(self._columns, zip(*records, strict=True), strict=True)) | {Column.IGNORE: ()}
        if Column.TASK_STATUS in cells and self._options.task_status is not TaskStatusFilter.ALL:
            kept = [at for at, status in enumerate(cells[Column.TASK_STATUS]) if status == self._options.task_status]
            self._findings.rows_of_other_status += len(records) - len(kept)
            numbers, cells = _only(kept, numbers, cells)
        if not cells.keys().isdisjoint(INVENTORY_COLUMNS):
            numbers, cells = _only(_current_rows(cells, numbers, self._findings), numbers, cells)
        if not numbers:
            return
        yield batch_of_columns(self._raw_columns(cells, numbers)), numbers

    def _raw_columns(self, cells: dict[Column, tuple[str, ...]], numbers: Sequence[int]) -> RawColumns:
        def optional(column: Column) -> list[str | None] | None:
            return [value or None for value in cells[column]] if column in cells else None

        return RawColumns(
            row_numbers=numbers,
            buckets=cells[Column.BUCKET],
            keys=self._keys.decode(cells[Column.KEY], numbers),
            version_ids=optional(Column.VERSION_ID),
            sizes=_sizes(cells[Column.SIZE], numbers) if Column.SIZE in cells else None,
            etags=_etags(cells[Column.ETAG]) if Column.ETAG in cells else None,
            last_modified=optional(Column.LAST_MODIFIED),
            storage_classes=optional(Column.STORAGE_CLASS),
        )


def _only(
    rows: Sequence[int], numbers: Sequence[int], cells: dict[Column, tuple[str, ...]]
) -> tuple[Sequence[int], dict[Column, tuple[str, ...]]]:
    kept = {column: tuple(values[at] for at in rows) if values else () for column, values in cells.items()}
    return [numbers[at] for at in rows], kept


def _current_rows(cells: dict[Column, tuple[str, ...]], numbers: Sequence[int], findings: Findings) -> list[int]:
    """Return the rows that are the latest of their key and no delete marker; count the others."""
    latest = _booleans(Column.IS_LATEST, cells, numbers, absent=True)
    marker = _booleans(Column.IS_DELETE_MARKER, cells, numbers, absent=False)
    kept = [at for at in range(len(numbers)) if latest[at] and not marker[at]]
    markers = sum(1 for is_latest, is_marker in zip(latest, marker, strict=True) if is_latest and is_marker)
    findings.delete_markers += markers
    findings.other_versions += len(numbers) - len(kept) - markers
    return kept


def _booleans(
    column: Column, cells: dict[Column, tuple[str, ...]], numbers: Sequence[int], *, absent: bool
) -> list[bool]:
    if column not in cells:
        return [absent] * len(numbers)
    values = [value.lower() for value in cells[column]]
    if not set(values) <= {"true", "false"}:
        at = next(at for at, value in enumerate(values) if value not in {"true", "false"})
        raise refusal(
            numbers[at],
            f"{column} is {shown(cells[column][at])}, and must be true or false",
            code="InvalidInventory",
            way_out="Use an inventory as Amazon S3 delivers it.",
        )
    return [value == "true" for value in values]


class _KeyReader:
    """Decodes keys, and notices when they are not encoded at all."""

    def __init__(self, options: ReadOptions, findings: Findings) -> None:
        self._options = options
        self._findings = findings
        self._escaped_row: int | None = None
        self._raw_row: int | None = None

    def decode(self, keys: Sequence[str], numbers: Sequence[int]) -> Sequence[str]:
        encoding = self._options.key_encoding
        if encoding is KeyEncoding.NONE:
            return keys
        joined = "/".join(keys)
        if encoding is KeyEncoding.AUTO:
            self._look(keys, numbers, joined)
            if self._raw_row is not None:
                return keys
        if self._options.plus_is_space and "+" in joined:
            keys = [key.replace("+", " ") for key in keys]
        if "%" not in joined:
            return keys
        try:
            return [unquote(key, errors="strict") if "%" in key else key for key in keys]
        except UnicodeDecodeError:
            raise _not_utf8(keys, numbers) from None

    def finish(self) -> None:
        if self._options.key_encoding is KeyEncoding.AUTO:
            self._findings.keys_are_encoded = False if self._raw_row else True if self._escaped_row else None
        else:
            self._findings.keys_are_encoded = None

    def _look(self, keys: Sequence[str], numbers: Sequence[int], joined: str) -> None:
        def marks_encoding(key: str) -> bool:
            return _ESCAPE.search(key) is not None or (self._options.plus_is_space and "+" in key)

        if self._escaped_row is None and marks_encoding(joined):
            self._escaped_row = next(row for row, key in zip(numbers, keys, strict=True) if marks_encoding(key))
        if self._raw_row is None and _ALWAYS_ESCAPED.search(joined) is not None:
            self._raw_row = _first(keys, numbers, _ALWAYS_ESCAPED.search)
        if self._escaped_row is not None and self._raw_row is not None:
            raise RefusedError(
                f"Row {self._escaped_row:,} of the manifest holds a URL-encoded key, and row {self._raw_row:,} one "
                "that is not URL-encoded; the keys cannot be read for certain.",
                code="MixedKeyEncoding",
                way_out="Say which is true with --key-encoding url or --key-encoding none.",
            )


def _rows(stream: BinaryIO, findings: Findings) -> Generator[list[str], None, None]:
    """Yield the records; an empty line is an empty record."""
    head = stream.read(len(UTF8_BOM))
    findings.has_bom = head == UTF8_BOM
    if not findings.has_bom:
        stream.seek(0)
    number = 0
    try:
        with io.TextIOWrapper(stream, encoding="utf-8", newline="") as text:
            for record in csv.reader(text, strict=True):
                number += 1
                yield record
    except csv.Error as error:
        raise refusal(
            number + 1,
            f"not CSV: {error}",
            code="InvalidCsv",
            way_out="Values with a comma, a quote or a line break are quoted, and quotes in them doubled (RFC 4180).",
        ) from error
    except UnicodeDecodeError as error:
        raise refusal(
            number + 1,
            f"here or shortly after, the byte 0x{error.object[error.start]:02X} is not UTF-8",
            code="NotUtf8",
            way_out="Write the manifest in UTF-8.",
        ) from error


def _sizes(values: Sequence[str], numbers: Sequence[int]) -> list[int | None]:
    joined = "".join(values)
    if (joined and not (joined.isascii() and joined.isdecimal())) or max(map(len, values)) > _MAX_DIGITS:
        bad = next(
            at
            for at, value in enumerate(values)
            if len(value) > _MAX_DIGITS or (value and not (value.isascii() and value.isdecimal()))
        )
        raise refusal(
            numbers[bad],
            f"the size {shown(values[bad])} is not a whole number of bytes",
            code="InvalidSize",
            way_out="Write it as digits, or leave it empty.",
        )
    return [int(value) if value else None for value in values]


def _etags(values: Sequence[str]) -> list[str | None]:
    return [value.strip('"') or None for value in values]


def _not_utf8(keys: Sequence[str], numbers: Sequence[int]) -> RefusedError:
    def is_not_utf8(key: str) -> bool:
        try:
            unquote(key, errors="strict")
        except UnicodeDecodeError:
            return True
        return False

    at = next(at for at, key in enumerate(keys) if is_not_utf8(key))
    return refusal(
        numbers[at],
        f"the escapes of the key {shown(keys[at])} are not UTF-8",
        code="InvalidKey",
        way_out="S3 keys are UTF-8; if the keys are not URL-encoded, say --key-encoding none.",
    )


def _first(keys: Sequence[str], numbers: Sequence[int], matches: Callable[[str], object]) -> int:
    return next(row for row, key in zip(numbers, keys, strict=True) if matches(key))
