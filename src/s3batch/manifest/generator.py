"""The manifest generator: entries from a listing of a bucket and prefix, filtered.

In: a reader of a store, a prefix, a filter. Out: batches of entries, in the listing's order, and afterwards what was
seen. Listing in parallel and proving it complete is ``s3.listing``'s work; sorting, should a store list out of order,
is ``normalise``'s.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from pathlib import Path

import pyarrow as pa

from s3batch.manifest.columns import TEXT, WORD, constant_words
from s3batch.manifest.entries import ENTRY_SCHEMA
from s3batch.manifest.filters import Filter, Sampler, entry_test
from s3batch.s3.listing import DEFAULT_LANES, PrefixListing, Proof, list_in_order
from s3batch.s3.listing_requests import Lister


class EntryGenerator:
    """One listing turned into entries. Iterate over it once; then ``proof`` says what was checked.

    ``proof`` stays None where a limit ended the listing early.
    """

    def __init__(
        self,
        reader: Lister,
        bucket: str,
        prefix: str,
        kept: Filter,
        *,
        lanes: int = DEFAULT_LANES,
        spool_dir: Path | None = None,
    ) -> None:
        """Nothing is asked before the iteration begins."""
        self._bucket = bucket
        self._filter = kept
        self._keep = entry_test(kept, prefix)
        self._listing: PrefixListing = list_in_order(reader, bucket, prefix, lanes=lanes, spool_dir=spool_dir)
        self.kept = 0
        """Entries given out, or drawn for a sample, so far."""

    @property
    def listed(self) -> int:
        """Keys seen so far in the store."""
        return self._listing.keys_listed

    @property
    def proof(self) -> Proof | None:
        """How the listing is known to be complete."""
        return self._listing.proof

    def __aiter__(self) -> AsyncIterator[pa.RecordBatch]:
        """Iterate over the entries."""
        return self._sampled() if self._filter.sample is not None else self._limited()

    async def _sampled(self) -> AsyncGenerator[pa.RecordBatch]:
        sampler = Sampler(size=self._filter.sample or 0, seed=self._filter.seed)
        async with aclosing(self._limited()) as batches:
            async for batch in batches:
                sampler.write(batch)
        chosen = sampler.finish()
        self.kept = sum(batch.num_rows for batch in chosen)
        for batch in chosen:
            yield batch

    async def _limited(self) -> AsyncGenerator[pa.RecordBatch]:
        limit = self._filter.limit
        async with aclosing(aiter(self._listing)) as pages:  # type: ignore[type-var]  # it is an async generator
            async for page in pages:
                batch = self._keep(batch_of_listing(self._bucket, page.batch))
                if limit is not None:
                    batch = batch.slice(0, limit - self.kept)
                self.kept += batch.num_rows
                if batch.num_rows:
                    yield batch
                if self.kept == limit:
                    return


async def generate_entries(
    reader: Lister, bucket: str, prefix: str, kept: Filter, *, spool_dir: Path | None = None
) -> AsyncGenerator[pa.RecordBatch]:
    """Yield the entries of a prefix that pass the filter."""
    async for batch in EntryGenerator(reader, bucket, prefix, kept, spool_dir=spool_dir):
        yield batch


def batch_of_listing(bucket: str, listed: pa.RecordBatch) -> pa.RecordBatch:
    """Return listed keys, in the columns of ``s3.listed_pages.LISTING_SCHEMA``, as entries."""
    length = listed.num_rows
    return pa.RecordBatch.from_arrays(
        [
            constant_words(bucket, length),
            listed.column("key"),
            pa.nulls(length, TEXT),
            listed.column("size"),
            listed.column("etag"),
            listed.column("last_modified"),
            listed.column("storage_class").dictionary_encode(),
            pa.nulls(length, WORD),
        ],
        schema=ENTRY_SCHEMA,
    )
