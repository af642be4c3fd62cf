"""The upload journal: which multipart uploads an attempt has begun, durable before their first part is sent.

One file per chunk attempt, JSON Lines, each line fsynced. A later attempt of the same chunk reads the files of older
epochs and aborts what they left open, so that a late Complete of a dead attempt finds no upload (safety.md rule 21),
and so that unfinished parts, which no listing shows and which are billed, do not stay.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import IO, Self

from s3batch.operations.task import StartedUpload


class JournalFile:
    """The journal of one attempt. Nothing is created until the first upload is recorded."""

    def __init__(self, folder: Path, *, chunk_no: int, epoch: int) -> None:
        """Name the file; touch nothing."""
        self._path = folder / f"chunk-{chunk_no:07d}-epoch-{epoch:04d}.jsonl"
        self._file: IO[str] | None = None

    def record(self, bucket: str, key: str, upload_id: str) -> None:
        """Write an upload down; on return it survives a crash."""
        self._append({"begun": upload_id, "bucket": bucket, "key": key})

    def forget(self, upload_id: str) -> None:
        """Write down that the upload was completed or aborted."""
        self._append({"ended": upload_id})

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()

    def __enter__(self) -> Self:
        """Return the journal itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self.close()

    def _append(self, line: dict[str, str]) -> None:
        if self._file is None:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self._path.open("a", encoding="utf-8")
            folder = os.open(self._path.parent, os.O_RDONLY)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)
        self._file.write(json.dumps(line) + "\n")
        self._file.flush()
        os.fsync(self._file.fileno())


def uploads_of_earlier_attempts(folder: Path, *, chunk_no: int, before_epoch: int) -> tuple[StartedUpload, ...]:
    """Return the uploads that older attempts at this chunk began, ended or not.

    Ended ones are among them: their keys may hold this job's own work. A torn last line is the trace of a crash before
    the upload's first part, and is left out.
    """
    uploads = []
    for path in sorted(folder.glob(f"chunk-{chunk_no:07d}-epoch-*.jsonl")):
        if int(path.stem.rpartition("-")[2]) >= before_epoch:
            continue
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            if "begun" in entry:
                uploads.append(StartedUpload(bucket=entry["bucket"], key=entry["key"], upload_id=entry["begun"]))
    return tuple(uploads)
