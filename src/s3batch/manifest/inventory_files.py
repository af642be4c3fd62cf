"""The files of an S3 Inventory: brought to this machine and checked, all of them before the first row counts.

In: where ``manifest.json`` lies, in a bucket or in a local folder. Out: an inventory's reader over local files whose
sizes and MD5s are those that ``manifest.json`` names, which itself is what ``manifest.checksum`` says. So a file that
is missing, damaged or cut short ends everything before an entry is taken, and pinning ``manifest.json`` pins the whole.

In a bucket the data files are those of that same bucket under their full keys, because S3 delivers them together. In a
local folder they lie as in the bucket (``../data/NAME`` from ``manifest.json``), or in ``data/`` or right beside it;
only the last part of a key names a local file, so no key reaches outside. Data files are brought one after another and
need as much local disk as the inventory has bytes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Final

from s3batch.manifest.fetch import fetch_object
from s3batch.manifest.inventory import (
    MAX_DESCRIPTION_BYTES,
    Inventory,
    InventoryFile,
    damaged,
    invalid,
    md5,
    parse_inventory,
)
from s3batch.manifest.inventory_reader import InventoryReader
from s3batch.model.errors import RefusedError
from s3batch.model.objects import S3Object
from s3batch.s3.client import S3Reader

_CHECKSUM_NAME: Final = "manifest.checksum"
_MAX_CHECKSUM_BYTES: Final = 4096
_HASH_BLOCK_BYTES: Final = 1024**2


async def open_inventory_in_bucket(
    reader: S3Reader, source: S3Object, description: Path, folder: Path
) -> InventoryReader:
    """Bring the files into ``folder``; ``description`` is the local copy of ``manifest.json``.

    Raises:
        RefusedError: code ``InventoryFileMissing``, ``InventoryDamaged`` or ``InvalidInventory``.
        UnavailableError: the store does not answer, or the disk is full.
    """
    checksum = folder / _CHECKSUM_NAME
    beside = S3Object(bucket=source.bucket, key=f"{source.key.rpartition('/')[0]}/{_CHECKSUM_NAME}".lstrip("/"))
    await _fetch(reader, beside, checksum)
    inventory = await asyncio.to_thread(_described, description, checksum, str(source))
    paths = []
    for number, file in enumerate(inventory.files):
        path = folder / f"data-{number}"
        await _fetch_checked(reader, S3Object(bucket=source.bucket, key=file.key), file, path)
        paths.append(path)
    return InventoryReader(inventory, paths)


def open_local_inventory(path: Path) -> InventoryReader:
    """Find and check the files of a local copy, where ``path`` is its ``manifest.json``.

    Raises:
        RefusedError: code ``InventoryFileMissing``, ``InventoryDamaged`` or ``InvalidInventory``.
    """
    inventory = _described(path, path.with_name(_CHECKSUM_NAME), str(path))
    paths = [_local_file(path.parent, file) for file in inventory.files]
    for found, file in zip(paths, inventory.files, strict=True):
        _check_local(found, file)
    return InventoryReader(inventory, paths)


def _described(description: Path, checksum: Path, url: str) -> Inventory:
    if description.stat().st_size > MAX_DESCRIPTION_BYTES:
        raise invalid(url, f"it has more than {MAX_DESCRIPTION_BYTES:,} bytes")
    try:
        with checksum.open("rb") as file:
            expected = file.read(_MAX_CHECKSUM_BYTES)
    except OSError as error:
        raise _missing(str(checksum), error.strerror or "") from error
    return parse_inventory(description.read_bytes(), expected, url)


async def _fetch(reader: S3Reader, place: S3Object, path: Path, *, see: Callable[[bytes], None] | None = None) -> None:
    try:
        await fetch_object(reader, place, path, see=see)
    except RefusedError as error:
        if error.code == "NoSuchManifest":
            raise _missing(str(place), "the bucket does not hold it") from error
        raise


async def _fetch_checked(reader: S3Reader, place: S3Object, file: InventoryFile, path: Path) -> None:
    digest = md5()
    await _fetch(reader, place, path, see=digest.update)
    _check(str(place), file, (await asyncio.to_thread(path.stat)).st_size, digest.hexdigest())


def _local_file(folder: Path, file: InventoryFile) -> Path:
    name = file.key.rpartition("/")[2]
    places = (folder.parent / "data" / name, folder / "data" / name, folder / name)
    found = next((place for place in places if name not in {".", ".."} and place.is_file()), None)
    if found is None:
        raise _missing(str(places[0]), f"it is not there, nor is {places[1]} or {places[2]}")
    return found


def _check_local(path: Path, file: InventoryFile) -> None:
    digest = md5()
    try:
        with path.open("rb") as opened:
            while block := opened.read(_HASH_BLOCK_BYTES):
                digest.update(block)
    except OSError as error:
        raise _missing(str(path), error.strerror or "") from error
    _check(str(path), file, path.stat().st_size, digest.hexdigest())


def _check(url: str, file: InventoryFile, size: int, checksum: str) -> None:
    if size != file.size:
        raise damaged(url, "bytes", f"{file.size:,}", f"{size:,}")
    if checksum != file.md5:
        raise damaged(url, "MD5", file.md5, checksum)


def _missing(url: str, problem: str) -> RefusedError:
    return RefusedError(
        f"A file of the inventory is missing: {url}: {problem}.",
        code="InventoryFileMissing",
        way_out="No entry was taken. Wait until the inventory is delivered whole, or copy all of its files.",
    )
