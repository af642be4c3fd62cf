"""Pages of a listing as columns, and the place where those wait that were listed ahead of their turn.

In: :class:`~s3batch.s3.answers.ListPage`. Out: Arrow record batches of ``LISTING_SCHEMA``, in memory up to a budget,
behind it in one nameless file of Arrow messages that vanishes with the process. Their order is their taker's business.
"""

from __future__ import annotations

import os
import tempfile
from collections import deque
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from s3batch.s3.answers import ListPage

_TEXT: Final[pa.DataType] = pa.string()
_NUMBER: Final[pa.DataType] = pa.int64()
_TIME: Final[Any] = pa.timestamp("ms", tz="UTC")

LISTING_SCHEMA: Final = pa.schema(
    [
        pa.field("key", _TEXT, nullable=False),
        pa.field("size", _NUMBER, nullable=False),
        pa.field("etag", _TEXT, nullable=False),
        pa.field("last_modified", _TIME),
        pa.field("storage_class", _TEXT, nullable=False),
    ]
)
"""What a listing tells about each key; ``etag`` without quotes, a time that cannot be read is null."""

MEMORY_BYTES = 48 * 1024 * 1024
"""Pages waiting in memory; further ones go to the file. A page of 1,000 keys is 60 to 120 KB as columns."""

SPOOL_BYTES = 64 * 1024**3
"""The file never grows beyond this; lanes that are ahead then wait. About 10^9 keys."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ListedPage:
    """Some keys of a listing, in the columns of ``LISTING_SCHEMA``.

    While ``is_sorted``, keys ascend strictly within a page and from one page to the next. The first page without it
    says that the order of the whole listing cannot be relied on: what came before and what follows must be sorted
    together, and of keys that come twice one must be dropped.
    """

    batch: pa.RecordBatch
    is_sorted: bool = True


def page_to_batch(page: ListPage, rows: int | None = None) -> pa.RecordBatch:
    """Return the first ``rows`` entries of a page (all, if ``None``) as columns; about 0.2 us a key."""
    whole = rows is None or rows == len(page.keys)
    return pa.RecordBatch.from_arrays(
        [
            pa.array(page.keys if whole else page.keys[:rows], pa.string()),
            pa.array(page.sizes if whole else page.sizes[:rows], pa.int64()),
            pa.array(page.etags if whole else page.etags[:rows], pa.string()),
            _times(page.last_modified if whole else page.last_modified[:rows]),
            pa.array(page.storage_classes if whole else page.storage_classes[:rows], pa.string()),
        ],
        schema=LISTING_SCHEMA,
    )


def _times(texts: list[str]) -> Any:  # noqa: ANN401 - Arrow's arrays are generic over what the stubs cannot tell
    try:
        return pa.array(texts, pa.string()).cast(_TIME)
    except pa.ArrowInvalid:  # not ISO 8601 with a Z: read one by one
        return pa.array([_time(text) for text in texts], _TIME)


def _time(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class _Filed:
    """A batch in the file."""

    offset: int
    size_bytes: int


class Spool:
    """Queues of pages, one for each name, in memory and behind that in a file."""

    def __init__(
        self, folder: Path | None, *, memory_bytes: int = MEMORY_BYTES, spool_bytes: int = SPOOL_BYTES
    ) -> None:
        """Nothing is written, and no file made, before ``memory_bytes`` are waiting."""
        self._folder = folder
        self._memory_limit = memory_bytes
        self._spool_limit = spool_bytes
        self._queues: dict[object, deque[pa.RecordBatch | _Filed]] = {}
        self._memory_bytes = 0
        self._file_bytes = 0
        self._descriptor: int | None = None

    @property
    def is_full(self) -> bool:
        """Tell whether nothing more should be put here but what is taken at once."""
        return self._file_bytes >= self._spool_limit

    def put(self, name: object, batch: pa.RecordBatch) -> None:
        """Add a batch to the end of a queue."""
        queue = self._queues.setdefault(name, deque())
        size_bytes = batch.nbytes
        if self._memory_bytes + size_bytes <= self._memory_limit:
            self._memory_bytes += size_bytes
            queue.append(batch)
        else:
            queue.append(self._write(batch))

    def take(self, name: object) -> pa.RecordBatch | None:
        """Remove and return the first batch of a queue; ``None``: it is empty."""
        queue = self._queues.get(name)
        if not queue:
            return None
        batch = queue.popleft()
        if not queue:
            del self._queues[name]
        if isinstance(batch, _Filed):
            return self._read(batch)
        self._memory_bytes -= batch.nbytes
        return batch

    def has(self, name: object) -> bool:
        """Tell whether a batch is waiting in a queue."""
        return name in self._queues

    def close(self) -> None:
        """Forget everything."""
        self._queues.clear()
        self._memory_bytes = 0
        self._file_bytes = 0
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _write(self, batch: pa.RecordBatch) -> _Filed:
        if self._descriptor is None:
            descriptor, path = tempfile.mkstemp(prefix="listing-", suffix=".arrow", dir=self._folder)
            self._descriptor = descriptor
            Path(path).unlink()  # nothing is left behind, however the process ends
        message = memoryview(batch.serialize())
        filed = _Filed(self._file_bytes, len(message))
        written = 0
        while written < len(message):
            written += os.pwrite(self._descriptor, message[written:], filed.offset + written)
        self._file_bytes += len(message)
        return filed

    def _read(self, filed: _Filed) -> pa.RecordBatch:
        if self._descriptor is None:
            raise RuntimeError("a page was filed without a file")
        message = os.pread(self._descriptor, filed.size_bytes, filed.offset)
        return pa.ipc.read_record_batch(pa.py_buffer(message), LISTING_SCHEMA)
