"""Reading a manifest of any form, as batches of entries.

In: a local file, its name, and what the user said about it. Out: batches of entries in the file's order, and findings.
Form and compression are found from the content; the name decides only where the content says nothing. Nothing is
sorted and duplicates stay: that is ``normalise``'s work. Memory is bounded by a batch.

Version ids are all there or all missing, as AWS demands (S3 User Guide, "Specifying a manifest", read 2026-11): a row
without one would act on the current version. ``null`` is the id of an object from before versioning.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO, cast

import pyarrow as pa

from s3batch.manifest.csv_reader import CsvReader
from s3batch.manifest.formats import (
    GZIP_MAGIC,
    HEAD_BYTES,
    PARQUET_MAGIC,
    Findings,
    ManifestFormat,
    ReadOptions,
    format_of_content,
    format_of_name,
)
from s3batch.manifest.json_reader import read_json_array, read_json_lines
from s3batch.manifest.parquet_reader import read_parquet
from s3batch.model.errors import RefusedError


class ManifestReader:
    """One manifest, to be read once or several times; ``findings`` are those of the latest reading."""

    def __init__(self, path: Path, *, name: str | None = None, options: ReadOptions | None = None) -> None:
        """Look at the file's first bytes. ``name`` is what the user called it, where ``path`` is a temporary copy.

        Raises:
            RefusedError: no form that is read here.
        """
        self._path = path
        self._name = name or path.name
        self._options = options or ReadOptions()
        self.findings = self._look()

    def batches(self) -> Iterator[pa.RecordBatch]:
        """Yield the entries.

        Raises:
            RefusedError: a row that cannot be read for certain, with its number.
        """
        self.findings = self._look()
        versions = _VersionRule(self.findings)
        try:
            for batch, numbers in self._numbered_batches():
                versions.check(batch, numbers)
                self.findings.entries += batch.num_rows
                yield batch
        except (EOFError, gzip.BadGzipFile, zlib.error) as error:
            raise RefusedError(
                f"The gzip data of {self._name} end or break after entry {self.findings.entries:,}: {error}.",
                code="TruncatedManifest",
                way_out="Write or upload it again.",
            ) from error

    def _look(self) -> Findings:
        with self._path.open("rb") as file:
            is_gzip = file.read(len(GZIP_MAGIC)) == GZIP_MAGIC
        with self._open(is_gzip=is_gzip) as stream:
            try:
                head = stream.read(HEAD_BYTES)
            except (EOFError, gzip.BadGzipFile, zlib.error):
                head = b""
        form = self._options.format or format_of_content(head, self._name)
        if form is ManifestFormat.PARQUET and (is_gzip or not head.startswith(PARQUET_MAGIC)):
            raise RefusedError(
                f"The manifest {self._name} is said to be Parquet, and its content is not.",
                code="InvalidParquet",
                way_out="It may be cut short, or compressed as a whole, which Parquet files never are.",
            )
        promised, _ = format_of_name(self._name)
        # Both forms of JSON go by the same suffix in practice.
        is_as_promised = promised in {None, form} or {promised, form} == {ManifestFormat.JSON, ManifestFormat.JSONL}
        return Findings(format=form, is_gzip=is_gzip, mismatched_name=None if is_as_promised else self._name)

    def _numbered_batches(self) -> Iterator[tuple[pa.RecordBatch, Sequence[int]]]:
        if self.findings.format is ManifestFormat.PARQUET:
            yield from read_parquet(self._path, self.findings)
            return
        with self._open(is_gzip=self.findings.is_gzip) as stream:
            match self.findings.format:
                case ManifestFormat.CSV:
                    yield from CsvReader(stream, self._options, self.findings).batches()
                case ManifestFormat.JSON:
                    yield from read_json_array(stream, self.findings)
                case ManifestFormat.JSONL:
                    yield from read_json_lines(stream, self.findings)

    def _open(self, *, is_gzip: bool) -> BinaryIO:
        return cast("BinaryIO", gzip.open(self._path, "rb")) if is_gzip else self._path.open("rb")


class _VersionRule:
    """All rows have a version id, or none has."""

    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._full_row: int | None = None
        self._empty_row: int | None = None

    def check(self, batch: pa.RecordBatch, numbers: Sequence[int]) -> None:
        version_ids = batch.column("version_id")
        if self._empty_row is None and version_ids.null_count:
            self._empty_row = numbers[version_ids.is_null().to_pylist().index(True)]
        if self._full_row is None and version_ids.null_count < len(version_ids):
            self._full_row = numbers[version_ids.is_null().to_pylist().index(False)]
        if len(version_ids):
            self._findings.has_version_ids = self._full_row is not None
        if self._empty_row is not None and self._full_row is not None:
            raise RefusedError(
                f"Row {self._full_row:,} of the manifest has a version id, and row {self._empty_row:,} has none.",
                code="MixedVersionIds",
                way_out="Give all rows a version id ('null' for objects from before versioning), or none.",
            )
