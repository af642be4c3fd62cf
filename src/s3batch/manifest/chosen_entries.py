"""Which of the entries of a listing are given out: those that pass a filter, the first so many, or a random sample.

In: batches of entries, as a kind of listing makes them. Out: batches of those that are chosen, and how many they are.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing

import pyarrow as pa

from s3batch.manifest.filters import Filter, Sampler, entry_test


class ChosenEntries(ABC):
    """The chosen entries of one listing. Iterate over it once."""

    def __init__(self, prefix: str, kept: Filter) -> None:
        """Choose by ``kept``, which sees what follows ``prefix``."""
        self._filter = kept
        self._keep = entry_test(kept, prefix)
        self.kept = 0
        """Entries given out, or drawn for a sample, so far."""

    @abstractmethod
    def _listed_entries(self) -> AsyncGenerator[pa.RecordBatch]:
        """Yield what is listed; closed early where a limit is reached."""

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
        async with aclosing(self._listed_entries()) as listed:
            async for entries in listed:
                batch = self._keep(entries)
                if limit is not None:
                    batch = batch.slice(0, limit - self.kept)
                self.kept += batch.num_rows
                if batch.num_rows:
                    yield batch
                if self.kept == limit:
                    return
