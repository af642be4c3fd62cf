"""Gathering the entries of a new manifest from an S3 Inventory, and on request setting them right by a listing.

In: a client, where the inventory lies, a bucket and prefix, a filter. Out: a normalised manifest and what was found.
Refreshed, the manifest holds exactly what the listing shows; the inventory then only says what is new, changed or gone,
compared among the entries that pass the filter. Files of an inventory are not sorted: ``normalise`` sorts them on disk,
and limit and sample are applied afterwards, so that they mean the order of keys.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from s3batch.manifest.columns import texts
from s3batch.manifest.filters import Filter, entry_test, filtered
from s3batch.manifest.formats import Findings
from s3batch.manifest.generator import EntryGenerator
from s3batch.manifest.inventory_reader import InventoryReader
from s3batch.manifest.location import open_manifest
from s3batch.manifest.normalise import Normalised, Normaliser, normalise
from s3batch.manifest.normalised import NormalisedManifest
from s3batch.manifest.refresh import Changes, changes_since
from s3batch.manifest.version_listing import VersionGenerator
from s3batch.model.errors import RefusedError, UsageError
from s3batch.model.objects import S3Prefix
from s3batch.s3.client import S3Client, S3Reader
from s3batch.s3.listing import Proof

Tell = Callable[[int, int], None]
"""Takes the numbers of entries seen and kept so far."""


@dataclass(frozen=True, kw_only=True, slots=True)
class InventoryRequest:
    """Which inventory is to be read; ``is_refreshed`` asks for a listing besides."""

    url: str
    is_refreshed: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class ReadInventory:
    """What an inventory held. ``rows`` are those of current objects; ``changes`` is None where none was asked for."""

    source_bucket: str
    created_ms: int
    rows: int
    other_versions: int
    delete_markers: int
    changes: Changes | None


@dataclass(frozen=True, kw_only=True, slots=True)
class Gathered:
    """Entries of a normalised manifest. ``listed`` counts keys of the listing, 0 where there was none."""

    path: Path
    normalised: Normalised
    inventory: ReadInventory | None
    listed: int
    proof: Proof | None
    markers: int = 0
    """Delete markers that were listed, where versions were."""


async def gather_from_inventory(
    client: S3Client, wanted: InventoryRequest, source: S3Prefix | None, kept: Filter, folder: Path, *, tell: Tell
) -> Gathered:
    """Read the inventory, list if asked to, and write the normalised manifest into ``folder``.

    Raises:
        UsageError: code ``NoPrefix``: a listing is asked for and nothing says of what.
        RefusedError: code ``NotAnInventory``, ``OtherBucket``, or the inventory cannot be used.
    """
    if wanted.is_refreshed and source is None:
        raise UsageError(
            "--refresh lists a prefix, and none is named: an inventory does not say what it was limited to.",
            code="NoPrefix",
            way_out="Name it: s3batch manifest create --from-inventory URL --refresh s3://BUCKET/PREFIX/.",
        )
    passing = replace(kept, limit=None, sample=None)
    path = folder / "inventory.parquet"
    normalised, findings = await _read(client, wanted.url, source, passing, path, tell=tell)
    changes, proof, listed = None, None, 0
    if wanted.is_refreshed and source is not None:
        listing = folder / "listing.parquet"
        generator = EntryGenerator(client, source.bucket, source.prefix, passing, spool_dir=folder)
        normalised = await gather(generator, listing, tell)
        changes = await asyncio.to_thread(changes_since, path, listing)
        path, proof, listed = listing, generator.proof, generator.listed
    if kept.limit is not None or kept.sample is not None:
        chosen = Filter(limit=kept.limit, sample=kept.sample, seed=kept.seed)
        selection = folder / "selection.parquet"
        selected = await asyncio.to_thread(_select, path, chosen, selection)
        path, normalised = selection, replace(selected, duplicates=normalised.duplicates)
    inventory = ReadInventory(
        source_bucket=findings.inventory_bucket or "",
        created_ms=findings.inventory_created_ms or 0,
        rows=findings.entries,
        other_versions=findings.other_versions,
        delete_markers=findings.delete_markers,
        changes=changes,
    )
    return Gathered(path=path, normalised=normalised, inventory=inventory, listed=listed, proof=proof)


async def gather(generator: EntryGenerator | VersionGenerator, path: Path, tell: Tell) -> Normalised:
    """Write the normalised manifest of a listing."""
    with Normaliser(path) as normaliser:
        async for batch in generator:
            normaliser.write(batch)
            tell(generator.listed, generator.kept)
        return await asyncio.to_thread(normaliser.finish)


def batches_of(path: Path) -> Iterator[pa.RecordBatch]:
    """Yield the entries of a normalised manifest."""
    with NormalisedManifest.open(path) as manifest:
        for chunk in manifest.read_chunks():
            yield from chunk.to_batches()


async def _read(
    reader: S3Reader, url: str, source: S3Prefix | None, passing: Filter, path: Path, *, tell: Tell
) -> tuple[Normalised, Findings]:
    async with open_manifest(reader, url, scratch=path.parent) as opened:
        if not isinstance(opened, InventoryReader):
            raise RefusedError(
                f"{url} describes no S3 Inventory.",
                code="NotAnInventory",
                way_out="Name the manifest.json of the inventory. Other manifests need no --from-inventory.",
            )
        bucket = opened.findings.inventory_bucket
        if source is not None and source.bucket != bucket:
            raise RefusedError(
                f"The inventory {url} is about the bucket {bucket}, not about {source.bucket}.",
                code="OtherBucket",
                way_out=f"Name a prefix of s3://{bucket}/, or another inventory.",
            )
        keep = _test(source, passing)
        with Normaliser(path) as normaliser:
            async for batch in _off_loop(opened.batches()):
                normaliser.write(keep(batch))
                tell(opened.findings.entries, normaliser.entries)
            return await asyncio.to_thread(normaliser.finish), opened.findings


async def _off_loop(batches: Iterator[pa.RecordBatch]) -> AsyncIterator[pa.RecordBatch]:
    """Decode batches beside the event loop."""
    while (batch := await asyncio.to_thread(next, batches, None)) is not None:
        yield batch


def _test(source: S3Prefix | None, passing: Filter) -> Callable[[pa.RecordBatch], pa.RecordBatch]:
    prefix = source.prefix if source is not None else ""
    test = entry_test(passing, prefix)
    if not prefix:
        return test
    return lambda batch: test(batch.filter(pc.starts_with(texts(batch, "key"), pattern=prefix)))


def _select(path: Path, chosen: Filter, selection: Path) -> Normalised:
    return normalise(filtered(batches_of(path), chosen), selection)
