"""Making a manifest from a listing or an S3 Inventory and putting it where it was asked for.

In: a client, and what is wanted as one value. Out: the manifest, in a bucket, a local file or a stream, and what was
found. Order of writes: everything is normalised in a scratch folder first, so nothing appears at the target before the
listing is complete and proven, and the inventory's files are checked; then the target is written under its final name
at once.
"""

from __future__ import annotations

import asyncio
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

from s3batch.manifest.filters import Filter
from s3batch.manifest.formats import ManifestFormat
from s3batch.manifest.from_inventory import (
    Gathered,
    InventoryRequest,
    ReadInventory,
    Tell,
    batches_of,
    gather,
    gather_from_inventory,
)
from s3batch.manifest.generator import EntryGenerator
from s3batch.manifest.location import is_in_bucket, manifest_object, require_free, store_manifest
from s3batch.manifest.version_listing import VersionGenerator, VersionScope
from s3batch.manifest.writers import TextWriter, text_form
from s3batch.model.errors import InconsistentError
from s3batch.model.objects import S3Prefix
from s3batch.s3.client import S3Client
from s3batch.s3.listing import Proof


@dataclass(frozen=True, kw_only=True, slots=True)
class ManifestRequest:
    """Which manifest is wanted. ``target`` is an ``s3://`` address, a path, or a stream that is left open.

    ``source`` may be None only with an inventory, whose entries are then all taken.
    """

    source: S3Prefix | None
    kept: Filter
    target: str | BinaryIO
    format: ManifestFormat
    is_gzip: bool = False
    all_columns: bool = False
    may_overwrite: bool = False
    inventory: InventoryRequest | None = None
    versions: VersionScope | None = None
    """Entries name these versions; None: they name current objects by their keys."""


@dataclass(frozen=True, kw_only=True, slots=True)
class CreatedManifest:
    """What was made. ``proof`` is None where a limit ended the listing before its end, or nothing was listed."""

    entries: int
    bytes: int
    listed: int
    duplicates: int
    pin: str | None
    proof: Proof | None
    inventory: ReadInventory | None = None
    markers: int = 0
    """Delete markers that were listed, where versions were."""


async def create_manifest(
    client: S3Client, request: ManifestRequest, *, tell: Tell, scratch: Path | None = None
) -> CreatedManifest:
    """List, filter, write; ``tell`` gets the numbers of keys listed and kept so far.

    Raises:
        RefusedError: code ``AlreadyThere``; nothing was listed.
    """
    if isinstance(request.target, str) and not request.may_overwrite:
        await require_free(client, request.target)
    elif isinstance(request.target, str) and is_in_bucket(request.target):
        manifest_object(request.target)
    with tempfile.TemporaryDirectory(prefix="s3batch-manifest-", dir=scratch) as folder:
        gathered = await _gather(client, request, Path(folder), tell)
        return CreatedManifest(
            entries=gathered.normalised.entries,
            bytes=gathered.normalised.bytes,
            listed=gathered.listed,
            duplicates=gathered.normalised.duplicates,
            pin=await _deliver(client, request, gathered.path),
            proof=gathered.proof,
            inventory=gathered.inventory,
            markers=gathered.markers,
        )


async def _gather(client: S3Client, request: ManifestRequest, folder: Path, tell: Tell) -> Gathered:
    source, kept = request.source, request.kept
    if request.inventory is not None:
        return await gather_from_inventory(client, request.inventory, source, kept, folder, tell=tell)
    if source is None:
        raise InconsistentError("Nothing says of what the manifest is to be made.", code="NoSource")
    path = folder / "normalised.parquet"
    if request.versions is not None:
        versions = VersionGenerator(client, source.bucket, source.prefix, request.versions, kept)
        normalised = await gather(versions, path, tell)
        return Gathered(
            path=path,
            normalised=normalised,
            inventory=None,
            listed=versions.listed,
            proof=versions.proof,
            markers=versions.markers,
        )
    generator = EntryGenerator(client, source.bucket, source.prefix, kept, spool_dir=folder)
    normalised = await gather(generator, path, tell)
    return Gathered(path=path, normalised=normalised, inventory=None, listed=generator.listed, proof=generator.proof)


async def _deliver(client: S3Client, request: ManifestRequest, normal: Path) -> str | None:
    """Write the target in the wanted form and return its pin."""
    if not isinstance(request.target, str):
        await asyncio.to_thread(_write_text, normal, request.target, request)
        return None
    if request.format is ManifestFormat.PARQUET:
        return await store_manifest(client, normal, request.target)
    text = normal.with_name("manifest")
    await asyncio.to_thread(_write_text, normal, text, request)
    return await store_manifest(client, text, request.target)


def _write_text(normal: Path, target: Path | BinaryIO, request: ManifestRequest) -> None:
    form = text_form(request.format, all_columns=request.all_columns)
    with TextWriter(target, form, is_gzip=request.is_gzip) as writer:
        for batch in batches_of(normal):
            writer.write(batch)
