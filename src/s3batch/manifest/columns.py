"""Typed access to Arrow columns, and the few column operations that more than one part of a manifest needs.

In: record batches and tables of entries. Out: their columns, as what they are. No meaning is attached to them here.
The type information that exists for Arrow leaves the kind of a column open; this is the one place that says it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final, cast

import pyarrow as pa
import pyarrow.compute as pc

TEXT: Final = pa.string()
WORD: Final = pa.dictionary(pa.int32(), pa.string())
"""Text of few different values."""
TIME: Final = pa.timestamp("ms", tz="UTC")


def texts(batch: pa.RecordBatch, name: str) -> pa.StringArray:
    """Return a column of text."""
    return cast("pa.StringArray", batch.column(name))


def numbers(batch: pa.RecordBatch, name: str) -> pa.Int64Array:
    """Return a column of whole numbers."""
    return cast("pa.Int64Array", batch.column(name))


def few_words(batch: pa.RecordBatch, name: str) -> pa.DictionaryArray[Any, Any]:
    """Return a column of few different values."""
    return cast("pa.DictionaryArray[Any, Any]", batch.column(name))


def plain(column: pa.Array[Any]) -> pa.StringArray:
    """Return a column of text or of few different values as text."""
    return cast("pa.StringArray", column.cast(TEXT) if pa.types.is_dictionary(column.type) else column)


def constant_words(value: str | None, length: int) -> pa.DictionaryArray[Any, Any]:
    """Return a column that holds one value ``length`` times."""
    if value is None:
        return pa.nulls(length, WORD)
    zeros = pa.repeat(pa.scalar(0, pa.int32()), length)
    return pa.DictionaryArray.from_arrays(zeros, pa.array([value], TEXT))


def words(values: Sequence[str | None]) -> pa.DictionaryArray[Any, Any]:
    """Return a column of few different values."""
    if values and values.count(values[0]) == len(values):
        return constant_words(values[0], len(values))
    return pa.array(values, TEXT).dictionary_encode()


def text_bytes(column: pa.StringArray) -> memoryview:
    """Return the bytes of a text column without nulls, one value behind the other."""
    _, offsets, values = column.buffers()
    if len(column) == 0 or offsets is None or values is None:
        return memoryview(b"")
    starts = memoryview(offsets).cast("i")
    return memoryview(values)[starts[column.offset] : starts[column.offset + len(column)]]


def number_bytes(column: pa.Array[Any]) -> memoryview:
    """Return the bytes of a column of numbers of fixed width without nulls."""
    values = column.buffers()[1]
    if len(column) == 0 or values is None:
        return memoryview(b"")
    width = column.type.bit_width // 8
    return memoryview(values)[column.offset * width : (column.offset + len(column)) * width]


def lengths_or_minus_one(column: pa.StringArray) -> pa.Array[Any]:
    """Return each text's length in bytes, and -1 where there is none."""
    return _without_nulls(pc.binary_length(column))


def values_or_minus_one(column: pa.Array[Any]) -> pa.Array[Any]:
    """Return a column of numbers or times as whole numbers, and -1 where there is none."""
    return _without_nulls(column.cast(pa.int64()))


def values_or_zero(column: pa.Array[Any]) -> pa.Array[Any]:
    """Return a column of whole numbers, and 0 where there is none."""
    return cast("pa.Array[Any]", pc.fill_null(column, pa.scalar(0, column.type)))


def rows_where(condition: pa.BooleanArray) -> list[int]:
    """Return the numbers of the rows, from 0, for which the condition is true."""
    return cast("list[int]", pc.indices_nonzero(condition).to_pylist())


def _without_nulls(column: pa.Array[Any]) -> pa.Array[Any]:
    return cast("pa.Array[Any]", pc.fill_null(column, pa.scalar(-1, column.type)))
