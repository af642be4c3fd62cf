"""Outcomes of one chunk attempt: the columns that a running chunk fills, and the Arrow table that becomes its segment.

In go single outcomes or whole columns, out comes a table of the rows that have an outcome. No file is touched here;
that is the business of ``ledger/segments.py``.

Cost is the point of this module: all tasks of a chunk succeeded is the common case, so whatever is constant over a
chunk is built once as an Arrow constant, and all that is special is kept by exception (tests/bench/report_cost.py).
"""

from __future__ import annotations

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from s3batch.model.errors import InconsistentError
from s3batch.model.outcome import TaskStatus

NO_OUTCOME = 0
SUCCEEDED = 1
FAILED = 2
KEPT = 3
"""Small numbers of ``OutcomeColumns.status``; a row without an outcome has 0."""

STATUSES = (TaskStatus.SUCCEEDED, TaskStatus.FAILED, TaskStatus.KEPT)
"""The status of number n is ``STATUSES[n - 1]``; also the dictionary of the ``status`` column."""

FORMAT_VERSION = b"2"
READABLE_VERSIONS = frozenset({b"1", FORMAT_VERSION})
"""Version 1 had no ``covered``: verify compared bytes and nothing else."""

FORMAT_VERSION_NAME = b"s3batch.segment"

AnyArray: TypeAlias = "pa.Array[Any]"
ByRow: TypeAlias = "list[str | None] | AnyArray"
NumbersByRow: TypeAlias = "list[int | None] | AnyArray"

_WORD: Any = pa.dictionary(pa.int32(), pa.string())
SCHEMA = pa.schema(
    [
        pa.field("row", pa.int32(), nullable=False),
        pa.field("status", _WORD, nullable=False),
        pa.field("code", _WORD),
        pa.field("http_status", pa.int16()),
        pa.field("message", _WORD),
        pa.field("etag", pa.string()),
        pa.field("size", pa.int64()),
        pa.field("version_id", pa.string()),
        pa.field("source_version_id", pa.string()),
        pa.field("level", _WORD),
        pa.field("checked_at", pa.timestamp("ms", tz="UTC")),
        pa.field("covered", _WORD),
    ],
    metadata={FORMAT_VERSION_NAME: FORMAT_VERSION},
)
"""Columns of a segment. ``row`` is the position in the chunk; ``etag``, ``size``, ``version_id`` are the target's.

``covered`` says what verify compared of a row that it proved (safety.md rule 13): ``bytes``, ``bytes+metadata``, ..."""

WORD_COLUMNS = [name for name in SCHEMA.names if pa.types.is_dictionary(SCHEMA.field(name).type)]
_MAX_MESSAGE_CHARACTERS = 1_000
"""A store's message is kept up to this length; S3's longest known ones are below 500."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Remark:
    """What is known about a task beyond its status."""

    code: str | None = None
    http_status: int | None = None
    message: str | None = None


class OutcomeColumns:
    """Outcomes of one chunk attempt, by row, while the chunk runs.

    The methods record one outcome each. A hot loop may write ``status`` (``SUCCEEDED``), ``etags``, ``sizes``,
    ``version_ids`` and ``source_version_ids`` directly, or put a whole list or Arrow array of ``n_rows`` values in
    their place. ``level`` and ``checked_at_ms`` hold for every row that has no value of its own in ``level_by_row`` and
    ``checked_at_ms_by_row``; ``covered`` holds for every row that succeeded. A second outcome for a row
    replaces the first.
    """

    __slots__ = (
        "checked_at_ms",
        "checked_at_ms_by_row",
        "covered",
        "etags",
        "level",
        "level_by_row",
        "n_rows",
        "remark_by_row",
        "sizes",
        "source_version_ids",
        "status",
        "version_ids",
    )

    def __init__(self, n_rows: int, *, level: str | None = None, checked_at_ms: int | None = None) -> None:
        """Preallocate for a chunk of ``n_rows`` entries."""
        self.n_rows = n_rows
        self.status = bytearray(n_rows)
        self.etags: ByRow = [None] * n_rows
        self.sizes: NumbersByRow = [None] * n_rows
        self.version_ids: ByRow = [None] * n_rows
        self.source_version_ids: ByRow = [None] * n_rows
        self.remark_by_row: dict[int, Remark] = {}
        self.level = level
        self.level_by_row: dict[int, str] = {}
        self.checked_at_ms = checked_at_ms
        self.checked_at_ms_by_row: dict[int, int] = {}
        self.covered: str | None = None

    @property
    def ended(self) -> int:
        """Return the number of rows that have an outcome."""
        return self.n_rows - self.status.count(NO_OUTCOME)

    def succeed(
        self,
        row: int,
        *,
        etag: str | None = None,
        size: int | None = None,
        version_id: str | None = None,
        source_version_id: str | None = None,
        code: str | None = None,
        message: str | None = None,
        level: str | None = None,
        checked_at_ms: int | None = None,
    ) -> None:
        """Record a success; ``code`` is only for the special ones, as AlreadyGone."""
        self._record(row, SUCCEEDED, Remark(code=code, message=message) if code or message else None)
        self._facts(row, etag, size, version_id, source_version_id)
        self._evidence(row, level, checked_at_ms)

    def fail(
        self,
        row: int,
        code: str,
        http_status: int | None = None,
        message: str | None = None,
        *,
        etag: str | None = None,
        size: int | None = None,
        version_id: str | None = None,
        level: str | None = None,
        checked_at_ms: int | None = None,
    ) -> None:
        """Record a failure; the facts are those of what was seen at the target, if anything was."""
        self._record(row, FAILED, Remark(code=code, http_status=http_status, message=message))
        self._facts(row, etag, size, version_id, None)
        self._evidence(row, level, checked_at_ms)

    def keep(
        self,
        row: int,
        code: str,
        message: str | None = None,
        *,
        http_status: int | None = None,
        etag: str | None = None,
        size: int | None = None,
        version_id: str | None = None,
        checked_at_ms: int | None = None,
    ) -> None:
        """Record that the gate kept the source."""
        self._record(row, KEPT, Remark(code=code, http_status=http_status, message=message))
        self._facts(row, etag, size, version_id, None)
        self._evidence(row, None, checked_at_ms)

    def _record(self, row: int, status: int, remark: Remark | None) -> None:
        """Set the status, and leave no remark of an earlier outcome of this attempt behind."""
        self.status[row] = status
        if remark is not None:
            self.remark_by_row[row] = remark
        elif self.remark_by_row:
            self.remark_by_row.pop(row, None)

    def _facts(
        self, row: int, etag: str | None, size: int | None, version_id: str | None, source_version_id: str | None
    ) -> None:
        """Set what was answered or seen; a column that was given whole as an Arrow array stays as it is."""
        if isinstance(self.etags, list):
            self.etags[row] = etag
        if isinstance(self.sizes, list):
            self.sizes[row] = size
        if isinstance(self.version_ids, list):
            self.version_ids[row] = version_id
        if isinstance(self.source_version_ids, list):
            self.source_version_ids[row] = source_version_id

    def _evidence(self, row: int, level: str | None, checked_at_ms: int | None) -> None:
        """Set the row's own level and time where they differ from the chunk's."""
        if level is not None:
            self.level_by_row[row] = level
        if checked_at_ms is not None:
            self.checked_at_ms_by_row[row] = checked_at_ms


def outcome_table(columns: OutcomeColumns) -> pa.Table:
    """Return the rows that have an outcome, in order of row, as a segment holds them."""
    _check_lengths(columns)
    n_rows = columns.n_rows
    status = status_array(columns)
    rows = None if columns.status.count(NO_OUTCOME) == 0 else pc.indices_nonzero(status)
    n_ended = n_rows if rows is None else len(rows)
    return pa.Table.from_arrays(
        [
            _row_numbers(n_rows) if rows is None else rows.cast(pa.int32()),
            _statuses(_taken(status, rows), columns.status),
            *_remarks(columns, rows, n_ended),
            _column("etag", columns.etags, rows),
            _column("size", columns.sizes, rows),
            _column("version_id", columns.version_ids, rows),
            _column("source_version_id", columns.source_version_ids, rows),
            _words(columns.level, columns.level_by_row, rows, n_ended, n_rows),
            _times(columns, rows, n_ended),
            _covered(columns, _taken(status, rows)),
        ],
        schema=SCHEMA,
    )


def status_array(columns: OutcomeColumns) -> AnyArray:
    """Return the small numbers of all rows; a copy, because the chunk may go on writing."""
    return pa.Array.from_buffers(pa.uint8(), columns.n_rows, [None, pa.py_buffer(bytes(columns.status))])


def _check_lengths(columns: OutcomeColumns) -> None:
    """Refuse columns that a caller replaced by ones of another length: rows would shift against their keys."""
    for name in ("status", "etags", "sizes", "version_ids", "source_version_ids"):
        length = len(getattr(columns, name))
        if length != columns.n_rows:
            raise InconsistentError(
                f"Outcome column {name} has {length} values for a chunk of {columns.n_rows} entries.",
                code="ColumnLength",
                way_out="This is a bug; please report it.",
            )


@lru_cache(maxsize=8)
def _row_numbers(n_rows: int) -> AnyArray:
    """Return 0, 1, ..., n_rows - 1; most chunks of a job have one length."""
    return pa.Array.from_buffers(pa.int32(), n_rows, [None, pa.py_buffer(array("i", range(n_rows)).tobytes())])


def _taken(values: AnyArray, rows: AnyArray | None) -> AnyArray:
    """Return the values of ``rows``, or all of them."""
    return values if rows is None else values.take(rows)


def _column(name: str, values: ByRow | NumbersByRow, rows: AnyArray | None) -> AnyArray:
    """Return a plain column; one without any value costs next to nothing."""
    kind: Any = SCHEMA.field(name).type
    column: AnyArray
    if not isinstance(values, list):
        column = values.cast(kind)
    elif values.count(None) == len(values):
        column = _nulls(len(values), name)
    else:
        column = pa.array(values, kind)
    return _taken(column, rows)


def _statuses(numbers: AnyArray, status: bytearray) -> AnyArray:
    """Return the status column from the small numbers."""
    names = pa.array([str(each) for each in STATUSES])
    indices: AnyArray
    if status.count(SUCCEEDED) == len(status):
        indices = pa.repeat(pa.scalar(0, pa.int32()), len(numbers))
    else:
        indices = pc.subtract(numbers.cast(pa.int32()), pa.scalar(1, pa.int32()))
    return pa.DictionaryArray.from_arrays(indices, names)


def _remarks(columns: OutcomeColumns, rows: AnyArray | None, n_ended: int) -> tuple[AnyArray, AnyArray, AnyArray]:
    """Return code, HTTP status and message; nulls where no row has a remark."""
    if not columns.remark_by_row:
        return _nulls(n_ended, "code"), _nulls(n_ended, "http_status"), _nulls(n_ended, "message")
    nothing = Remark()
    remarks = [columns.remark_by_row.get(row, nothing) for row in range(columns.n_rows)]
    codes = [remark.code for remark in remarks]
    statuses = [remark.http_status for remark in remarks]
    # An empty message says nothing, so it is none: reports then tell the code instead.
    messages = [remark.message[:_MAX_MESSAGE_CHARACTERS] if remark.message else None for remark in remarks]
    return (
        _taken(_encoded(codes), rows),
        _taken(pa.array(statuses, pa.int16()), rows),
        _taken(_encoded(messages), rows),
    )


def _encoded(words: Sequence[str | None]) -> AnyArray:
    """Return words as a dictionary column. Text that UTF-8 cannot carry (a lone surrogate) is written with ``?``."""
    try:
        return pa.array(words, pa.string()).dictionary_encode()
    except UnicodeEncodeError:
        readable = [word and word.encode("utf-8", "replace").decode("utf-8") for word in words]
        return pa.array(readable, pa.string()).dictionary_encode()


def _words(default: str | None, by_row: dict[int, str], rows: AnyArray | None, n_ended: int, n_rows: int) -> AnyArray:
    """Return a dictionary column that is ``default`` but for the rows that have their own."""
    if by_row:
        return _taken(_encoded([by_row.get(row, default) for row in range(n_rows)]), rows)
    if default is None:
        return _nulls(n_ended, "level")
    return pa.DictionaryArray.from_arrays(pa.repeat(pa.scalar(0, pa.int32()), n_ended), pa.array([default]))


def _times(columns: OutcomeColumns, rows: AnyArray | None, n_ended: int) -> AnyArray:
    """Return when each row's evidence was read."""
    kind: Any = SCHEMA.field("checked_at").type
    by_row, default = columns.checked_at_ms_by_row, columns.checked_at_ms
    if by_row:
        values = [by_row.get(row, default) for row in range(columns.n_rows)]
        return _taken(pa.array(values, pa.int64()).cast(kind), rows)
    if default is None:
        return _nulls(n_ended, "checked_at")
    return pa.repeat(pa.scalar(default, pa.int64()), n_ended).cast(kind)


def _covered(columns: OutcomeColumns, numbers: AnyArray) -> AnyArray:
    """Return what was compared of the rows that were proven; nothing of the others is covered by any proof."""
    if columns.covered is None:
        return _nulls(len(numbers), "covered")
    first = pa.scalar(0, pa.int32())
    if columns.status.count(SUCCEEDED) == len(columns.status):
        return pa.DictionaryArray.from_arrays(pa.repeat(first, len(numbers)), pa.array([columns.covered]))
    is_proven = pc.equal(numbers, pa.scalar(SUCCEEDED, pa.uint8()))
    indices = pc.if_else(is_proven, first, pa.scalar(None, pa.int32()))
    return pa.DictionaryArray.from_arrays(indices, pa.array([columns.covered]))


def _nulls(length: int, name: str) -> AnyArray:
    """Return a column without any value."""
    kind: Any = SCHEMA.field(name).type
    column: AnyArray = pa.nulls(length, kind)
    return column
