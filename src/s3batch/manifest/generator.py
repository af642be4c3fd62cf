"""The manifest generator: entries from a listing of a bucket and prefix, filtered.

In: a reader of a store, a prefix, a filter. Out: batches of entries, in the listing's order, and afterwards what was
seen. Listing in parallel and proving it complete is ``s3.listing``'s work; sorting, should a store list out of order,
is ``normalise``'s.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from pathlib import Path

import pyarrow as pa

from s3batch.manifest.chosen_entries import ChosenEntries
from s3batch.manifest.columns import TEXT, WORD, constant_words
from s3batch.manifest.entries import ENTRY_SCHEMA
from s3batch.manifest.filters import Filter
from s3batch.s3.listing import DEFAULT_LANES, PrefixListing, Proof, list_in_order
from s3batch.s3.listing_requests import Lister


class EntryGenerator(ChosenEntries):
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
        super().__init__(prefix, kept)
        self._listing: PrefixListing = list_in_order(reader, bucket, prefix, lanes=lanes, spool_dir=spool_dir)

    @property
    def listed(self) -> int:
        """Keys seen so far in the store."""
        return self._listing.keys_listed

    @property
    def proof(self) -> Proof | None:
        """How the listing is known to be complete."""
        return self._listing.proof

    async def _listed_entries(self) -> AsyncGenerator[pa.RecordBatch]:
        async with aclosing(aiter(self._listing)) as pages:  # type: ignore[type-var]  # it is an async generator
            async for page in pages:
                yield batch_of_listing(self._bucket, page.batch)


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
