"""Pinning a manifest: a new job names the content that the manifest has now.

In: where it lies. Out: the same with its ETag or SHA-256. The job's runner refuses any other content.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

from s3batch.manifest.location import file_sha256, is_in_bucket, pin_manifest
from s3batch.model.errors import InconsistentError
from s3batch.model.job import Connection, ManifestSource
from s3batch.s3.client import S3Reader


def pinned(source: ManifestSource, connection: Connection) -> ManifestSource:
    """Return the manifest pinned to what it is now: by its ETag in a bucket, by SHA-256 on this machine.

    Raises:
        RefusedError: code ``NoSuchManifest``; or the store does not let it be read.
        UnavailableError: the store does not answer.
    """
    if source.url is None:
        raise InconsistentError("Only a manifest file can be pinned.")
    if is_in_bucket(source.url):
        return replace(source, pin=asyncio.run(_pin_in_bucket(source.url, connection)))
    return replace(source, pin=file_sha256(Path(source.url)))


async def _pin_in_bucket(url: str, connection: Connection) -> str:
    async with await S3Reader.open(connection) as reader:
        return await pin_manifest(reader, url)
