"""The upload journal: which multipart uploads an attempt has begun, durable before their first part is sent.

One file per chunk attempt, JSON Lines. A later attempt of the same chunk reads the files of older epochs and aborts
what they left open, so that a late Complete of a dead attempt finds no upload (safety.md rule 21), and so that
unfinished parts, which no listing shows and which are billed, do not stay. The line before a completion holds the ETag
that it shall give, by which a later attempt knows its job's own work (rule 9), and whether tags are still to be put.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import IO, Self

from s3batch.operations.task import StartedUpload


class JournalFile:
    """The journal of one attempt. Nothing is created until the first upload is recorded."""

    def __init__(self, folder: Path, *, chunk_no: int, epoch: int) -> None:
        """Name the file; touch nothing."""
        self._path = folder / f"chunk-{chunk_no:07d}-epoch-{epoch:04d}.jsonl"
        self._file: IO[str] | None = None

    def begin(self, bucket: str, key: str, upload_id: str) -> None:
        """Write an upload down; on return it survives a crash."""
        self._append({"begun": upload_id, "bucket": bucket, "key": key})

    def complete(self, upload_id: str, *, etag: str, tags_due: bool) -> None:
        """Write down what is about to be completed; on return it survives a crash."""
        self._append({"completing": upload_id, "etag": etag, "tags_due": tags_due})

    def give_up(self, upload_id: str) -> None:
        """Write down what is about to be aborted; on return it survives a crash."""
        self._append({"giving_up": upload_id})

    def end(self, upload_id: str) -> None:
        """Write down that the upload needs nothing more. Lost in a crash, it costs a look at an upload that is gone."""
        self._append({"ended": upload_id}, is_durable=False)

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

    def _append(self, line: Mapping[str, str | bool], *, is_durable: bool = True) -> None:
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
        if is_durable:
            os.fsync(self._file.fileno())


def uploads_of_earlier_attempts(folder: Path, *, chunk_no: int, before_epoch: int) -> tuple[StartedUpload, ...]:
    """Return the uploads that older attempts at this chunk began, in that order, ended or not.

    Ended ones are among them: their keys may hold this job's own work. A torn last line is the trace of a crash before
    what it was to announce, and is left out.
    """
    uploads: dict[str, StartedUpload] = {}
    for path in sorted(folder.glob(f"chunk-{chunk_no:07d}-epoch-*.jsonl")):
        if int(path.stem.rpartition("-")[2]) >= before_epoch:
            continue
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                entry = json.loads(line)
            except ValueError:
                continue
            _apply(uploads, entry)
    return tuple(uploads.values())


def _apply(uploads: dict[str, StartedUpload], entry: Mapping[str, str | bool]) -> None:
    """Take one line into what is known about the uploads."""
    match entry:
        case {"begun": str(upload_id), "bucket": str(bucket), "key": str(key)}:
            uploads[upload_id] = StartedUpload(bucket=bucket, key=key, upload_id=upload_id)
        case {"completing": str(upload_id), "etag": str(etag), "tags_due": bool(tags_due)} if upload_id in uploads:
            uploads[upload_id] = replace(uploads[upload_id], etag=etag, tags_due=tags_due)
        case {"giving_up": str(upload_id)} if upload_id in uploads:
            uploads[upload_id] = replace(uploads[upload_id], is_given_up=True)
        case {"ended": str(upload_id)} if upload_id in uploads:
            uploads[upload_id] = replace(uploads[upload_id], tags_due=False)
