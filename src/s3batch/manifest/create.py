"""Making a manifest from a listing and putting it where it was asked for.

In: a client, and what is wanted as one value. Out: the manifest, in a bucket, a local file or a stream, and what was
found. Order of writes: the whole listing is normalised in a scratch folder first, so nothing appears at the target
before the listing is complete and proven; then the target is written under its final name at once.
"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa

from s3batch.manifest.filters import Filter
from s3batch.manifest.formats import ManifestFormat
from s3batch.manifest.generator import EntryGenerator
from s3batch.manifest.location import is_in_bucket, manifest_object, require_free, store_manifest
from s3batch.manifest.normalise import Normalised, Normaliser
from s3batch.manifest.normalised import NormalisedManifest
from s3batch.manifest.writers import TextWriter, text_form
from s3batch.model.objects import S3Prefix
from s3batch.s3.client import S3Client
from s3batch.s3.listing import Proof


@dataclass(frozen=True, kw_only=True, slots=True)
class ManifestRequest:
    """Which manifest is wanted. ``target`` is an ``s3://`` address, a path, or a stream that is left open."""

    source: S3Prefix
    kept: Filter
    target: str | BinaryIO
    format: ManifestFormat
    is_gzip: bool = False
    all_columns: bool = False
    may_overwrite: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class CreatedManifest:
    """What was made. ``proof`` is None where a limit ended the listing before its end."""

    entries: int
    bytes: int
    listed: int
    duplicates: int
    pin: str | None
    proof: Proof | None


async def create_manifest(
    client: S3Client, request: ManifestRequest, *, tell: Callable[[int, int], None], scratch: Path | None = None
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
        normal = Path(folder) / "normalised.parquet"
        generator = EntryGenerator(
            client, request.source.bucket, request.source.prefix, request.kept, spool_dir=Path(folder)
        )
        normalised = await _gather(generator, normal, tell)
        return CreatedManifest(
            entries=normalised.entries,
            bytes=normalised.bytes,
            listed=generator.listed,
            duplicates=normalised.duplicates,
            pin=await _deliver(client, request, normal),
            proof=generator.proof,
        )


async def _gather(generator: EntryGenerator, path: Path, tell: Callable[[int, int], None]) -> Normalised:
    with Normaliser(path) as normaliser:
        async for batch in generator:
            normaliser.write(batch)
            tell(generator.listed, generator.kept)
        return await asyncio.to_thread(normaliser.finish)


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
        for batch in _batches(normal):
            writer.write(batch)


def _batches(normal: Path) -> Iterator[pa.RecordBatch]:
    with NormalisedManifest.open(normal) as manifest:
        for chunk in manifest.read_chunks():
            yield from chunk.to_batches()
