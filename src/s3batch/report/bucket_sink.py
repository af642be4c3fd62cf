"""Reports written to a bucket.

In: the objects of a report, piece by piece. Out: one PUT for an object of up to :data:`PART_BYTES`, else a multipart
upload of parts of that size; nothing is visible before the object is complete. In memory is at most one part per open
object. A local file can be sent as well (:func:`send_file`).

Encryption and storage class are the bucket's defaults: not every store takes headers about them.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path, PurePosixPath

from s3batch.model.errors import S3BatchError
from s3batch.report.sink import ReportSink, ReportWriter
from s3batch.s3.answers import PartResult
from s3batch.s3.client import S3Client
from s3batch.s3.errors import S3RefusedError, S3UnavailableError, TransportError

PART_BYTES = 16 * 1024**2
"""Memory for each open object. 10,000 parts (S3's limit, "Amazon S3 multipart upload limits", read 2026-11) of this
size are 160 GB, a thousand times more than a file of results has."""

_CONTENT_TYPES = {".csv": "text/csv", ".json": "application/json", ".md5": "text/plain"}


class BucketSink:
    """Writes reports to one bucket through a client that may write."""

    def __init__(self, client: S3Client, bucket: str) -> None:
        """Take an open client; closing it stays the caller's business."""
        self._client = client
        self.bucket = bucket

    def uri(self, key: str) -> str:
        """Return the ``s3://`` address."""
        return f"s3://{self.bucket}/{key}"

    async def open(self, key: str) -> ReportWriter:
        """Begin an object; no request is made yet."""
        return _ObjectWriter(self._client, self.bucket, key)

    async def put(self, key: str, content: bytes) -> None:
        """Write a whole object."""
        await self._client.put_object(self.bucket, key, content, headers=_headers(key))


async def send_file(sink: ReportSink, key: str, path: Path) -> None:
    """Write a local file to ``key`` of a sink, in bounded memory."""
    writer = await sink.open(key)
    try:
        with path.open("rb") as file:
            while piece := await asyncio.to_thread(file.read, PART_BYTES):
                await writer.write(piece)
        await writer.close()
    except BaseException:
        await writer.abort()
        raise


class _ObjectWriter:
    """One object: a buffer until it outgrows one part, then a multipart upload."""

    def __init__(self, client: S3Client, bucket: str, key: str) -> None:
        self._client = client
        self._bucket = bucket
        self._key = key
        self._buffer = bytearray()
        self._upload_id: str | None = None
        self._parts: list[PartResult] = []
        self._size = 0

    async def write(self, content: bytes) -> None:
        self._buffer += content
        self._size += len(content)
        while len(self._buffer) > PART_BYTES:
            if self._upload_id is None:
                headers = _headers(self._key)
                self._upload_id = await self._client.create_multipart_upload(self._bucket, self._key, headers=headers)
            await self._send_part(self._upload_id)

    async def close(self) -> None:
        if self._upload_id is None:
            await self._client.put_object(self._bucket, self._key, bytes(self._buffer), headers=_headers(self._key))
            return
        await self._send_part(self._upload_id)
        try:
            await self._client.complete_multipart_upload(self._bucket, self._key, self._upload_id, self._parts)
        except (S3UnavailableError, TransportError) as error:
            if not (error.is_ambiguous and await self._is_there()):
                raise
        self._upload_id = None

    async def abort(self) -> None:
        """Drop the upload; a store that is away must not hide the error that led here."""
        self._buffer.clear()
        if self._upload_id is not None:
            with suppress(S3BatchError):
                await self._client.abort_multipart_upload(self._bucket, self._key, self._upload_id)
            self._upload_id = None

    async def _send_part(self, upload_id: str) -> None:
        body = bytes(memoryview(self._buffer)[:PART_BYTES])
        number = len(self._parts) + 1
        self._parts.append(await self._client.upload_part(self._bucket, self._key, upload_id, number, body))
        del self._buffer[:PART_BYTES]

    async def _is_there(self) -> bool:
        """Tell whether the object is there after an answer was lost.

        The same size is enough: a key of a report belongs to one job, and what was there before had the same content.
        """
        try:
            head = await self._client.head_object(self._bucket, self._key)
        except S3RefusedError:
            return False
        return head.size == self._size


def _headers(key: str) -> dict[str, str]:
    content_type = _CONTENT_TYPES.get(PurePosixPath(key).suffix)
    return {} if content_type is None else {"content-type": content_type}
