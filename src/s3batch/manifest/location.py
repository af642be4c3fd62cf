"""Manifests where they lie: in a bucket or in a local file; pinned, fetched and stored.

In: an ``s3://`` address or a path. Out: a local copy to read, whose content is exactly what was pinned. A pin is the
ETag of an object, or the SHA-256 of a local file. Objects are read with ``If-Match``, so a manifest that was replaced
after the job was created is refused, never half read.

Objects up to 64 MiB are written by one PUT, larger ones in parts of 16 MiB, which reach 160 GB with S3's 10,000 parts
(Amazon S3 User Guide, "Amazon S3 multipart upload limits", read 2026-11).
"""

from __future__ import annotations

import asyncio
import hashlib
import shutil
import tempfile
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Final

from s3batch.manifest.durable_file import put_in_place, temporary_beside
from s3batch.manifest.fetch import changed, fetch_object, head_manifest, missing
from s3batch.manifest.formats import HEAD_BYTES, ManifestFormat, ReadOptions, describes_inventory
from s3batch.manifest.inventory_files import open_inventory_in_bucket, open_local_inventory
from s3batch.manifest.inventory_reader import InventoryReader
from s3batch.manifest.reader import ManifestReader
from s3batch.model.errors import InconsistentError, RefusedError, UsageError
from s3batch.model.objects import S3Object, parse_s3_uri
from s3batch.s3.answers import PartResult
from s3batch.s3.client import S3Client, S3Reader
from s3batch.s3.errors import S3RefusedError

MAX_PUT_BYTES: Final = 64 * 1024**2
PART_BYTES: Final = 16 * 1024**2
_HASH_BLOCK_BYTES: Final = 1024**2
_CONTENT_TYPES: Final = {".csv": "text/csv", ".json": "application/json", ".jsonl": "application/x-ndjson"}


def is_in_bucket(url: str) -> bool:
    """Return whether a location is an ``s3://`` address."""
    return url.startswith("s3://")


def manifest_object(url: str) -> S3Object:
    """Return the object that an ``s3://`` address names.

    Raises:
        UsageError: code ``NotAnObject``: it names a folder or a bucket.
    """
    place = parse_s3_uri(url)
    if not place.prefix or place.prefix.endswith("/"):
        raise UsageError(
            f"{url} is not an object.", code="NotAnObject", way_out="Name the manifest itself: s3://BUCKET/KEY.csv."
        )
    return S3Object(bucket=place.bucket, key=place.prefix)


async def pin_manifest(reader: S3Reader, url: str) -> str:
    """Return what identifies the manifest's content now: an ETag, or a local file's SHA-256.

    Raises:
        RefusedError: code ``NoSuchManifest``.
    """
    if is_in_bucket(url):
        return (await head_manifest(reader, manifest_object(url))).etag
    return await asyncio.to_thread(file_sha256, Path(url))


@asynccontextmanager
async def open_manifest(
    reader: S3Reader | None,
    url: str,
    *,
    format: str | None = None,  # noqa: A002 - the word for it
    pin: str | None = None,
    scratch: Path | None = None,
    options: ReadOptions | None = None,
) -> AsyncGenerator[ManifestReader | InventoryReader]:
    """Give a reader of the manifest; a copy of an object is made in ``scratch`` and removed at the end.

    A ``manifest.json`` of an S3 Inventory is read as the entries of its files, unless a format is said.

    A local file needs no ``reader``, and so no credentials.

    Raises:
        RefusedError: code ``NoSuchManifest``, ``ManifestChanged`` (not what ``pin`` says), or no manifest.
    """
    options = options or ReadOptions()
    if format is not None:
        options = replace(options, format=ManifestFormat(format))
    if not is_in_bucket(url):
        yield await asyncio.to_thread(_open_local, Path(url), pin, options)
        return
    source = manifest_object(url)
    if reader is None:
        raise InconsistentError(f"{url} cannot be read without a reader.", code="NoReader")
    folder = Path(tempfile.mkdtemp(prefix=".s3batch-manifest-", dir=scratch))
    try:
        copy = folder / "manifest"
        await fetch_object(reader, source, copy, pin=pin)
        if options.format is None and await asyncio.to_thread(_is_inventory, copy):
            yield await open_inventory_in_bucket(reader, source, copy, folder)
            return
        yield ManifestReader(copy, name=source.key.rpartition("/")[2], options=options)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


async def require_free(reader: S3Reader, url: str) -> None:
    """Refuse to write over something.

    Raises:
        RefusedError: code ``AlreadyThere``.
    """
    if is_in_bucket(url):
        place = manifest_object(url)
        try:
            await reader.head_object(place.bucket, place.key)
        except S3RefusedError as error:
            if error.code == "NoSuchKey":
                return
            raise
    elif not await asyncio.to_thread(Path(url).exists):
        return
    raise RefusedError(f"{url} is there already.", code="AlreadyThere", way_out="Use another name, or --force.")


async def store_manifest(client: S3Client, path: Path, url: str) -> str:
    """Write a complete local file to its location and return its pin. A failed upload leaves nothing behind."""
    if is_in_bucket(url):
        return await _upload(client, path, manifest_object(url))
    return await asyncio.to_thread(_copy_local, path, Path(url))


def file_sha256(path: Path) -> str:
    """Return a file's SHA-256.

    Raises:
        RefusedError: code ``NoSuchManifest``.
    """
    digest = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while block := file.read(_HASH_BLOCK_BYTES):
                digest.update(block)
    except (FileNotFoundError, IsADirectoryError, PermissionError) as error:
        raise missing(str(path), error.strerror or "") from error
    return digest.hexdigest()


def _is_inventory(path: Path) -> bool:
    with path.open("rb") as file:
        return describes_inventory(file.read(HEAD_BYTES))


def _open_local(path: Path, pin: str | None, options: ReadOptions) -> ManifestReader | InventoryReader:
    if pin is not None and file_sha256(path) != pin:
        raise changed(str(path), f"SHA-256 {pin}", f"SHA-256 {file_sha256(path)}")
    try:
        if options.format is None and _is_inventory(path):
            return open_local_inventory(path)
        return ManifestReader(path, options=options)
    except (FileNotFoundError, IsADirectoryError, PermissionError) as error:
        raise missing(str(path), error.strerror or "") from error


async def _upload(client: S3Client, path: Path, place: S3Object) -> str:
    suffix = "".join(Path(place.key).suffixes[-1:])
    headers = {"content-type": _CONTENT_TYPES.get(suffix, "application/octet-stream")}
    if (await asyncio.to_thread(path.stat)).st_size <= MAX_PUT_BYTES:
        content = await asyncio.to_thread(path.read_bytes)
        return (await client.put_object(place.bucket, place.key, content, headers=headers)).etag
    upload_id = await client.create_multipart_upload(place.bucket, place.key, headers=headers)
    try:
        parts: list[PartResult] = []
        with path.open("rb") as file:
            while block := await asyncio.to_thread(file.read, PART_BYTES):
                number = len(parts) + 1
                parts.append(await client.upload_part(place.bucket, place.key, upload_id, number, block))
        return (await client.complete_multipart_upload(place.bucket, place.key, upload_id, parts)).etag
    except BaseException:
        await asyncio.shield(client.abort_multipart_upload(place.bucket, place.key, upload_id))
        raise


def _copy_local(path: Path, target: Path) -> str:
    temporary = temporary_beside(target)
    try:
        shutil.copyfile(path, temporary)
        put_in_place(temporary, target)
    finally:
        temporary.unlink(missing_ok=True)
    return file_sha256(target)
