"""The normalised manifest: one Parquet file, sorted by bucket and key, whose row groups are the chunks of a job.

In: entries in order. Out: the file, and chunk by chunk its entries again. One chunk is in memory at a time. The file's
metadata ``s3batch`` is a JSON document with the counts, each chunk's range of keys, and a SHA-256 over the content, so
that a runner can plan without reading a row. Sorting and dropping duplicates happen before, in ``normalise``.

A chunk has entries of one bucket only, all versions of a key, at most ``chunk_entries`` entries and ``chunk_bytes``
bytes. Two things break a bound because they cannot be cut: an object bigger than ``chunk_bytes`` is a chunk of its own,
and so are the versions of one key when there are more of them than ``chunk_entries``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self, cast

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from s3batch.manifest.columns import (
    lengths_or_minus_one,
    number_bytes,
    plain,
    rows_where,
    text_bytes,
    values_or_minus_one,
)
from s3batch.manifest.durable_file import put_in_place, temporary_beside
from s3batch.manifest.entries import ENTRY_SCHEMA, shown
from s3batch.manifest.order import Place, first_place, goes_on_in_order, last_place
from s3batch.model.errors import InconsistentError, RefusedError
from s3batch.model.job import DEFAULT_CHUNK_BYTES, DEFAULT_CHUNK_ENTRIES

FORMAT_VERSION: Final = 1

_METADATA_KEY: Final = "s3batch"
_WORD_COLUMNS: Final = ["bucket", "storage_class", "problem"]


@dataclass(frozen=True, kw_only=True, slots=True)
class ChunkInfo:
    """One chunk: what it holds and where it lies in the order. ``first_row`` is its first entry's ordinal, from 0."""

    entries: int
    bytes: int
    bucket: str
    first_key: str
    last_key: str
    first_row: int


def chunk_length(keys: Sequence[str], sizes: Sequence[int], *, chunk_bytes: int) -> int:
    """Return how many of the entries of one bucket, in order, make the next chunk; the last key may be incomplete.

    At least all versions of the first key, then as many whole keys as ``chunk_bytes`` allows. The entries must
    not be more than a chunk may have.
    """
    taken = 0
    for row, total in enumerate(accumulate(sizes)):
        starts_key = row > 0 and keys[row] != keys[row - 1]
        if starts_key:
            taken = row
        if total > chunk_bytes and taken:
            return taken
    return len(keys)


class NormalisedWriter:
    """Writes a normalised manifest from entries that come in order. Appears under its name only when complete.

    Use it as a context manager: an error leaves nothing behind.
    """

    def __init__(
        self,
        path: Path,
        *,
        chunk_entries: int = DEFAULT_CHUNK_ENTRIES,
        chunk_bytes: int = DEFAULT_CHUNK_BYTES,
    ) -> None:
        """Open a temporary file beside ``path``."""
        if chunk_entries < 1 or chunk_bytes < 1:
            raise RefusedError(
                f"A chunk of {chunk_entries} entries and {chunk_bytes} bytes is impossible; both must be at least 1.",
                code="InvalidChunkSize",
                way_out="Leave the chunk size at its default.",
            )
        self._path = path
        self._temporary = temporary_beside(path)
        self._chunk_entries = chunk_entries
        self._chunk_bytes = chunk_bytes
        self._parquet: pq.ParquetWriter | None = pq.ParquetWriter(
            self._temporary,
            ENTRY_SCHEMA,
            compression="zstd",
            compression_level=1,
            use_dictionary=_WORD_COLUMNS,  # type: ignore[arg-type]  # a list of columns is documented
            # Keys in order share long beginnings: 20 % smaller, and no dearer to write.
            column_encoding={"key": "DELTA_BYTE_ARRAY"},
            write_page_checksum=True,
        )
        self._pending: list[pa.RecordBatch] = []
        self._pending_entries = 0
        self._after: Place | None = None
        self._chunks: list[ChunkInfo] = []
        self._entries = 0
        self._bytes = 0
        self._digest = hashlib.sha256()

    @property
    def entries(self) -> int:
        """Entries taken so far."""
        return self._entries + self._pending_entries

    @property
    def bytes(self) -> int:
        """Bytes of the objects in the chunks written so far; of all of them once it is closed."""
        return self._bytes

    @property
    def last_place(self) -> Place | None:
        """Place of the last entry taken."""
        return self._after

    def write(self, batch: pa.RecordBatch) -> None:
        """Take entries that follow those taken before.

        Raises:
            InconsistentError: code ``NotSorted``.
        """
        if batch.num_rows == 0:
            return
        if not goes_on_in_order(batch, self._after):
            raise InconsistentError(
                f"Entries after {shown(self._after)} are not in the order of bucket and key.", code="NotSorted"
            )
        for part in _by_bucket(batch):
            bucket = first_place(part).bucket
            if self._after is not None and self._after.bucket != bucket:
                self._cut(until_entries=0)
            self._pending.append(part)
            self._pending_entries += part.num_rows
            self._after = last_place(part)
            if self._pending_entries > self._chunk_entries:
                self._cut(until_entries=self._chunk_entries)

    def close(self) -> None:
        """Write what is left and give the file its name."""
        temporary = self.release()
        put_in_place(temporary, self._path)

    def release(self) -> Path:
        """Write what is left and return the complete temporary file, which now belongs to the caller."""
        if self._parquet is None:
            raise InconsistentError("This manifest is closed already.", code="Closed")
        self._cut(until_entries=0)
        self._parquet.add_key_value_metadata({_METADATA_KEY: json.dumps(self._document())})
        self._parquet.close()
        self._parquet = None
        return self._temporary

    def abort(self) -> None:
        """Leave nothing behind."""
        if self._parquet is not None:
            self._parquet.close()
            self._parquet = None
        self._temporary.unlink(missing_ok=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is not None or self._parquet is None:
            self.abort()
        else:
            self.close()

    def _cut(self, *, until_entries: int) -> None:
        """Write chunks until at most ``until_entries`` entries wait; 0 means that no entry of this bucket follows."""
        if self._pending_entries <= until_entries:
            return
        waiting = pa.Table.from_batches(self._pending)
        while waiting.num_rows > until_entries:
            length = self._next_length(waiting, is_end=until_entries == 0)
            if length == 0:
                break
            self._write_chunk(waiting.slice(0, length))
            waiting = waiting.slice(length)
        self._pending = waiting.to_batches()
        self._pending_entries = waiting.num_rows

    def _next_length(self, waiting: pa.Table, *, is_end: bool) -> int:
        """Return the next chunk's length, or 0 when its last key's versions may not all be here yet."""
        length = self._whole_keys(waiting, is_end=is_end)
        total = pc.sum(waiting.column("size").slice(0, length)).as_py() or 0
        if total <= self._chunk_bytes:
            return length
        candidates = waiting.slice(0, length)
        sizes = [size or 0 for size in candidates.column("size").to_pylist()]
        keys = cast("list[str]", candidates.column("key").to_pylist())
        return chunk_length(keys, sizes, chunk_bytes=self._chunk_bytes)

    def _whole_keys(self, waiting: pa.Table, *, is_end: bool) -> int:
        """Return the greatest number of entries, at most a chunk, after which a new key begins."""
        if waiting.num_rows <= self._chunk_entries:
            return waiting.num_rows if is_end else 0
        keys = waiting.column("key")
        length = self._chunk_entries
        boundary = keys[length].as_py()
        while length > 0 and keys[length - 1].as_py() == boundary:
            length -= 1
        if length > 0:
            return length
        length = self._chunk_entries
        while length < waiting.num_rows and keys[length].as_py() == boundary:
            length += 1
        return length if length < waiting.num_rows or is_end else 0

    def _write_chunk(self, chunk: pa.Table) -> None:
        if self._parquet is None:
            raise InconsistentError("This manifest is closed already.", code="Closed")
        chunk = chunk.unify_dictionaries().combine_chunks()
        keys = chunk.column("key")
        size_bytes = pc.sum(chunk.column("size")).as_py() or 0
        info = ChunkInfo(
            entries=chunk.num_rows,
            bytes=size_bytes,
            bucket=chunk.column("bucket")[0].as_py(),
            first_key=keys[0].as_py(),
            last_key=keys[chunk.num_rows - 1].as_py(),
            first_row=self._entries,
        )
        self._parquet.write_table(chunk, row_group_size=chunk.num_rows)
        update_digest(self._digest, chunk)
        self._chunks.append(info)
        self._entries += info.entries
        self._bytes += info.bytes

    def _document(self) -> dict[str, Any]:
        return {
            "version": FORMAT_VERSION,
            "entries": self._entries,
            "bytes": self._bytes,
            "sha256": self._digest.hexdigest(),
            "chunks": [
                {
                    "entries": chunk.entries,
                    "bytes": chunk.bytes,
                    "bucket": chunk.bucket,
                    "first_key": chunk.first_key,
                    "last_key": chunk.last_key,
                }
                for chunk in self._chunks
            ],
        }


class NormalisedManifest:
    """A normalised manifest opened for reading, one chunk at a time."""

    def __init__(self, path: Path, file: pq.ParquetFile, document: dict[str, Any]) -> None:
        """Take an open file and its description; use ``open``."""
        self.path = path
        self.entries: int = document["entries"]
        self.bytes: int = document["bytes"]
        self.sha256: str = document["sha256"]
        self.chunks: tuple[ChunkInfo, ...] = tuple(_chunks(document["chunks"]))
        self._file = file

    @classmethod
    def open(cls, path: Path) -> Self:
        """Open a manifest and check that its description fits its row groups.

        Raises:
            RefusedError: code ``NotNormalised``: a Parquet file, but not one of ours.
            InconsistentError: code ``ManifestDamaged``.
        """
        try:
            file = pq.ParquetFile(path, pre_buffer=False, page_checksum_verification=True)
        except (OSError, pa.ArrowInvalid) as error:
            raise _damaged(path, str(error)) from error
        document = read_description(file)
        if document is None:
            file.close()
            raise RefusedError(
                f"{path} is a Parquet file without s3batch's description.",
                code="NotNormalised",
                way_out="Read it as a manifest; it will be normalised.",
            )
        manifest = cls(path, file, document)
        lengths = [file.metadata.row_group(number).num_rows for number in range(file.metadata.num_row_groups)]
        if lengths != [chunk.entries for chunk in manifest.chunks] or sum(lengths) != manifest.entries:
            file.close()
            raise _damaged(path, "its row groups are not those that its description lists")
        return manifest

    def read_chunk(self, number: int, columns: Sequence[str] | None = None) -> pa.Table:
        """Return the entries of one chunk; chunks count from 0.

        Raises:
            InconsistentError: code ``ManifestDamaged``.
        """
        try:
            return self._file.read_row_group(number, columns=list(columns) if columns else None, use_threads=False)
        except (OSError, pa.ArrowInvalid) as error:
            raise _damaged(self.path, f"chunk {number}: {error}") from error

    def read_chunks(self, columns: Sequence[str] | None = None) -> Iterator[pa.Table]:
        """Yield the chunks in order."""
        for number in range(len(self.chunks)):
            yield self.read_chunk(number, columns)

    def check_content(self) -> None:
        """Read everything once and compare it with the SHA-256 that was written with it.

        Raises:
            InconsistentError: code ``ManifestDamaged``.
        """
        digest = hashlib.sha256()
        for chunk in self.read_chunks():
            update_digest(digest, chunk)
        if digest.hexdigest() != self.sha256:
            raise _damaged(self.path, f"its content has SHA-256 {digest.hexdigest()}, and was written as {self.sha256}")

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def read_description(file: pq.ParquetFile) -> dict[str, Any] | None:
    """Return the description in a Parquet file's metadata, or None when it is not one of ours."""
    text = (file.metadata.metadata or {}).get(_METADATA_KEY.encode())
    if text is None:
        return None
    document = json.loads(text)
    if not isinstance(document, dict) or document.get("version") != FORMAT_VERSION:
        return None
    return document


def update_digest(digest: hashlib._Hash, chunk: pa.Table) -> None:
    """Add the content of a chunk to a SHA-256, whatever its arrays' layout: lengths (null as -1), then the values."""
    digest.update(chunk.num_rows.to_bytes(8, "little"))
    for batch in chunk.combine_chunks().to_batches():
        for field in ENTRY_SCHEMA:
            column = batch.column(field.name)
            if pa.types.is_dictionary(field.type) or pa.types.is_string(field.type):
                text = plain(column)
                digest.update(number_bytes(lengths_or_minus_one(text)))
                digest.update(text_bytes(text.drop_null() if text.null_count else text))
            else:
                digest.update(number_bytes(values_or_minus_one(column)))


def _by_bucket(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """Yield the batch cut where the bucket changes."""
    if first_place(batch).bucket == last_place(batch).bucket:
        yield batch
        return
    buckets = plain(batch.column("bucket"))
    changes = rows_where(pc.not_equal(buckets[:-1], buckets[1:]))
    start = 0
    for change in [*changes, batch.num_rows - 1]:
        yield batch.slice(start, change + 1 - start)
        start = change + 1


def _chunks(documents: Sequence[dict[str, Any]]) -> Iterator[ChunkInfo]:
    first_row = 0
    for document in documents:
        yield ChunkInfo(first_row=first_row, **document)
        first_row += document["entries"]


def _damaged(path: Path, problem: str) -> InconsistentError:
    return InconsistentError(
        f"The normalised manifest {path} cannot be trusted: {problem}.",
        code="ManifestDamaged",
        way_out="Create the job again from its original manifest.",
    )
