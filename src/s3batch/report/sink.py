"""Where reports are written: a folder, or a bucket.

A sink takes whole small objects (``put``) and large ones piece by piece (``open``), in bounded memory. Nothing of an
object is visible under its name before it is complete: a folder gets it by rename, a bucket by one PUT or by
completing a multipart upload. What the objects are, and in which order they must appear, is the caller's business.
"""

from __future__ import annotations

import asyncio
from pathlib import Path, PurePosixPath
from typing import BinaryIO, Protocol

from s3batch.manifest.durable_file import put_in_place, temporary_beside
from s3batch.model.errors import RefusedError, UnavailableError


class ReportWriter(Protocol):
    """One object that is being written."""

    async def write(self, content: bytes) -> None:
        """Add bytes."""

    async def close(self) -> None:
        """Make the object visible, durably."""

    async def abort(self) -> None:
        """Leave nothing behind."""


class ReportSink(Protocol):
    """A place for the objects of a report."""

    @property
    def bucket(self) -> str:
        """The bucket's name as a report's manifest gives it; empty for a folder."""

    def uri(self, key: str) -> str:
        """Return where the object lies, for people."""

    async def open(self, key: str) -> ReportWriter:
        """Begin an object."""

    async def put(self, key: str, content: bytes) -> None:
        """Write a whole object."""


class FolderSink:
    """Writes reports below a local folder; keys are paths relative to it."""

    bucket = ""

    def __init__(self, root: Path) -> None:
        """Take the folder; it is made when something is written."""
        self.root = root

    def uri(self, key: str) -> str:
        """Return the path of the file."""
        return str(self._path(key))

    async def open(self, key: str) -> ReportWriter:
        """Begin a file under a temporary name.

        Raises:
            UnavailableError: the disk does not take it.
        """
        return _FileWriter(self._path(key))

    async def put(self, key: str, content: bytes) -> None:
        """Write a whole file, durably."""
        writer = _FileWriter(self._path(key))
        await writer.write(content)
        await writer.close()

    def _path(self, key: str) -> Path:
        parts = PurePosixPath(key).parts
        if key.startswith("/") or ".." in parts:
            raise RefusedError(
                f"The report's path {key!r} would leave the folder {self.root}.",
                code="InvalidReportPrefix",
                way_out="Choose a report prefix without '..' and without a leading '/'.",
            )
        return self.root.joinpath(*parts)


class _FileWriter:
    """A file under a temporary name until it is closed."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._temporary = temporary_beside(path)
            self._file: BinaryIO = self._temporary.open("wb")
        except OSError as error:
            raise _not_written(self._path, error) from error

    async def write(self, content: bytes) -> None:
        try:
            self._file.write(content)
        except OSError as error:
            raise _not_written(self._path, error) from error

    async def close(self) -> None:
        try:
            self._file.close()
            await asyncio.to_thread(put_in_place, self._temporary, self._path)
        except OSError as error:
            raise _not_written(self._path, error) from error

    async def abort(self) -> None:
        self._file.close()
        self._temporary.unlink(missing_ok=True)


def _not_written(path: Path, error: OSError) -> UnavailableError:
    return UnavailableError(
        f"The report could not be written to {path}: {error.strerror}.",
        code="ReportNotWritten",
        way_out="Make room or mend the permissions; the job's outcomes are safe, and the report can be written again.",
    )
