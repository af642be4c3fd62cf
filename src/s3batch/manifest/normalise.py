"""From entries in any order to the normalised manifest: sorted, without duplicates, cut into chunks.

In: batches of entries, as a reader or a listing gives them. Out: the file, and what was decided on the way. Entries
that come in order (as those of a listing do) are written as they come. At the first entry that is out of order, what
was written becomes a sorted run, the rest is spooled behind it, and DuckDB sorts both on disk within its memory limit.

Versions of one key are put in order of age: by last-modified time, and where that is equal or unknown, as they came
(safety.md rule 10).

DuckDB runs with one thread and 100 MB: sorting 4 million entries then stays at 240 MB for the whole process; with
150 MB it is 290 MB and 9 % slower (measured 2026-11, DuckDB 2.0.0). ``sql(...).to_arrow_reader`` streams, while
``execute(...)`` copies the whole result.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from s3batch.manifest.columns import TIME
from s3batch.manifest.entries import BATCH_ENTRIES, ENTRY_SCHEMA
from s3batch.manifest.normalised import NormalisedWriter
from s3batch.manifest.order import DuplicateFilter, Place, goes_on_in_order, last_place
from s3batch.model.errors import UnavailableError
from s3batch.model.job import DEFAULT_CHUNK_BYTES, DEFAULT_CHUNK_ENTRIES
from s3batch.model.objects import S3Object

SORT_MEMORY_MB: Final = 100
_SPOOL_ROWS: Final = 50_000

_SORTED = """
    SELECT bucket, key, version_id, size, etag, epoch_ms(last_modified) AS last_modified, storage_class, problem
    FROM (
        SELECT *, 0 AS run FROM read_parquet($run, file_row_number = true)
        UNION ALL
        SELECT *, 1 AS run FROM read_parquet($spool, file_row_number = true)
    )
    ORDER BY bucket, key, epoch_ms(last_modified) NULLS FIRST, run, file_row_number
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Normalised:
    """What normalising found and did. ``entries`` and ``bytes`` are without the duplicates."""

    entries: int
    bytes: int
    duplicates: int
    duplicate_samples: tuple[S3Object, ...]
    was_in_order: bool


class Normaliser:
    """Takes entries in any order, and writes the normalised manifest at the end. Memory does not grow with them.

    Use it as a context manager: an error leaves nothing behind.
    """

    def __init__(
        self,
        path: Path,
        *,
        chunk_entries: int = DEFAULT_CHUNK_ENTRIES,
        chunk_bytes: int = DEFAULT_CHUNK_BYTES,
        scratch: Path | None = None,
        sort_memory_mb: int = SORT_MEMORY_MB,
    ) -> None:
        """Open the output. ``scratch`` is the folder for spooling and sorting; by default that of ``path``."""
        self._path = path
        self._chunk_entries = chunk_entries
        self._chunk_bytes = chunk_bytes
        self._scratch = scratch or path.parent
        self._sort_memory_mb = sort_memory_mb
        self._writer = self._open_writer()
        self._duplicates = DuplicateFilter()
        self._last: Place | None = None
        self._sorter: _Sorter | None = None
        self._spooled = 0

    @property
    def entries(self) -> int:
        """Entries taken so far, without the duplicates found so far."""
        return self._writer.entries + self._spooled

    def write(self, batch: pa.RecordBatch) -> None:
        """Take entries.

        Raises:
            RefusedError: code ``ConflictingDuplicates``.
        """
        if batch.num_rows == 0:
            return
        if self._sorter is None and not self._is_next(batch):
            self._sorter = _Sorter(self._scratch, self._writer.release())
            self._spooled = self._writer.entries
            self._writer = self._open_writer()
        if self._sorter is not None:
            self._sorter.spool(batch)
            self._spooled += batch.num_rows
            return
        self._writer.write(self._duplicates.keep_first(batch))
        self._last = last_place(batch)

    def finish(self) -> Normalised:
        """Sort if need be, put the manifest in place and say what was done.

        Raises:
            RefusedError: code ``ConflictingDuplicates``.
            UnavailableError: the scratch folder is full.
        """
        if self._sorter is not None:
            for batch in self._sorter.sorted_batches(self._sort_memory_mb):
                self._writer.write(self._duplicates.keep_first(batch))
            self._sorter.close()
        self._writer.close()
        return Normalised(
            entries=self._writer.entries,
            bytes=self._writer.bytes,
            duplicates=self._duplicates.dropped,
            duplicate_samples=tuple(self._duplicates.samples),
            was_in_order=self._sorter is None,
        )

    def abort(self) -> None:
        """Leave nothing behind."""
        self._writer.abort()
        if self._sorter is not None:
            self._sorter.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.abort()

    def _is_next(self, batch: pa.RecordBatch) -> bool:
        """Return whether the batch can be written as it comes.

        Versions need the sort even when their keys are in order, because their age decides within a key.
        """
        has_versions = batch.column("version_id").null_count < batch.num_rows
        return not has_versions and goes_on_in_order(batch, self._last)

    def _open_writer(self) -> NormalisedWriter:
        return NormalisedWriter(self._path, chunk_entries=self._chunk_entries, chunk_bytes=self._chunk_bytes)


def normalise(
    batches: Iterable[pa.RecordBatch],
    path: Path,
    *,
    chunk_entries: int = DEFAULT_CHUNK_ENTRIES,
    chunk_bytes: int = DEFAULT_CHUNK_BYTES,
    scratch: Path | None = None,
) -> Normalised:
    """Write the normalised manifest of all the batches' entries to ``path``."""
    with Normaliser(path, chunk_entries=chunk_entries, chunk_bytes=chunk_bytes, scratch=scratch) as normaliser:
        for batch in batches:
            normaliser.write(batch)
        return normaliser.finish()


class _Sorter:
    """A sorted run and a spool on disk, to be read as one sorted stream."""

    def __init__(self, scratch: Path, run: Path) -> None:
        scratch.mkdir(parents=True, exist_ok=True)
        self._folder = tempfile.TemporaryDirectory(prefix=".s3batch-sort-", dir=scratch)
        self._run = run
        self._spool = Path(self._folder.name) / "spool.parquet"
        self._writer = pq.ParquetWriter(self._spool, ENTRY_SCHEMA, compression="zstd", compression_level=1)
        self._waiting: list[pa.RecordBatch] = []
        self._waiting_rows = 0

    def spool(self, batch: pa.RecordBatch) -> None:
        self._waiting.append(batch)
        self._waiting_rows += batch.num_rows
        if self._waiting_rows >= _SPOOL_ROWS:
            self._flush()

    def sorted_batches(self, memory_mb: int) -> Iterator[pa.RecordBatch]:
        self._flush()
        self._writer.close()
        configuration: dict[str, str | bool | int | float | list[str]] = {
            "threads": 1,
            "memory_limit": f"{memory_mb}MB",
            "temp_directory": self._folder.name,
            "preserve_insertion_order": False,
            # A sort must not look for extensions on the network.
            "autoinstall_known_extensions": False,
            "autoload_known_extensions": False,
        }
        with duckdb.connect(config=configuration) as connection:
            # Standard output belongs to --json and to manifests; DuckDB would draw a bar there after two seconds.
            connection.execute("SET enable_progress_bar = false")
            files = {"run": str(self._run), "spool": str(self._spool)}
            try:
                yield from map(_as_entries, connection.sql(_SORTED, params=files).to_arrow_reader(BATCH_ENTRIES))
            except (duckdb.IOException, duckdb.OutOfMemoryException) as error:
                raise UnavailableError(
                    f"Sorting the manifest in {self._folder.name} failed: {error}.",
                    code="SortFailed",
                    way_out="Free disk space there, or set TMPDIR or S3BATCH_HOME to a place that has more.",
                ) from error

    def close(self) -> None:
        self._writer.close()
        self._run.unlink(missing_ok=True)
        self._folder.cleanup()

    def _flush(self) -> None:
        if self._waiting:
            self._writer.write_table(pa.Table.from_batches(self._waiting).unify_dictionaries())
        self._waiting, self._waiting_rows = [], 0


def _as_entries(batch: pa.RecordBatch) -> pa.RecordBatch:
    columns: list[pa.Array[Any]] = []
    for field in ENTRY_SCHEMA:
        column = batch.column(field.name)
        if field.type == TIME:
            columns.append(column.cast(TIME))
        elif pa.types.is_dictionary(field.type):
            columns.append(column.dictionary_encode())
        else:
            columns.append(column)
    return pa.RecordBatch.from_arrays(columns, schema=ENTRY_SCHEMA)
