"""Source and target of the same rows, read at the same time right before a delete, and how old that reading is.

In go a chunk, some of its rows, and where their keys are mapped to; out comes what is there now as columns, with the
moment at which the first request began, on a clock that counts suspension (safety.md rules 14 and 21). Nothing is
decided here: the columns go to the gate.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass

from s3batch.model.errors import S3BatchError
from s3batch.model.job import KeyMapping
from s3batch.operations.readings import Seen, confirm, key_before, look, look_closely, pick, target_keys_of
from s3batch.operations.stop import boot_time_s
from s3batch.operations.task import ChunkWork, TaskContext
from s3batch.s3.reader import S3Reader
from s3batch.verify.gate import MAX_READING_AGE_MS


@dataclass(kw_only=True, slots=True)
class BothSides:
    """What was read for some rows; ``target`` is empty where no copy was asked for."""

    bucket: str
    source_keys: list[str]
    source_version_ids: list[str] | None
    """The versions that were read; ``None``: the current ones."""
    source: Seen
    target_bucket: str
    target_keys: list[str]
    target: Seen
    read_at_ms: int
    began_s: float

    def age_ms(self) -> int:
        """Return how old the oldest part of this is."""
        return round((boot_time_s() - self.began_s) * 1000)

    def remaining_s(self, limit_ms: int = MAX_READING_AGE_MS) -> float:
        """Return for how long a delete may still rest on this."""
        return (limit_ms - self.age_ms()) / 1000

    def seen_target(self, position: int) -> tuple[str | None, int | None]:
        """Return ETag and size of the target as it is now, for the record."""
        if not self.target_keys or self.target.etags[position] is None:
            return None, None
        return self.target.etags[position], self.target.sizes[position]

    def error_at(self, position: int) -> S3BatchError | None:
        """Return why nothing is known about one of the sides, if so."""
        return self.source.errors.get(position) or self.target.errors.get(position)


async def read_both_sides(
    work: ChunkWork,
    context: TaskContext,
    mapping: KeyMapping | None,
    rows: Sequence[int],
    *,
    trust_listings: bool,
    version_ids: list[str] | None = None,
) -> BothSides:
    """Return what is there now under the keys of ``rows`` and, where a mapping is given, under their mapped keys.

    ``trust_listings``: believe what a listing shows as present also where the store is not AWS. ``version_ids``: of
    ``rows``, whose source is these versions and not the current ones.
    """
    began_s, read_at_ms = boot_time_s(), context.now_ms()
    source_keys = pick(work.keys, rows)
    before = key_before(work, rows)
    if version_ids is not None:
        reading_source = look_closely(context.source, work.bucket, source_keys, version_ids=version_ids)
    else:
        reading_source = _read(context.source, work.bucket, source_keys, before, trust_listings=trust_listings)
    bucket, target_keys, target = "", list[str](), Seen([], [], {}, {})
    if mapping is None:
        source = await reading_source
    else:
        bucket, target_keys = mapping.target_bucket, target_keys_of(mapping, source_keys)
        after = None if before is None else mapping.target_key(before)
        reading_target = _read(context.target, bucket, target_keys, after, trust_listings=trust_listings)
        both = [asyncio.ensure_future(reading_source), asyncio.ensure_future(reading_target)]
        try:
            source, target = await asyncio.gather(*both)
        finally:
            for each in both:
                each.cancel()
            await asyncio.gather(*both, return_exceptions=True)
    return BothSides(
        bucket=work.bucket,
        source_keys=source_keys,
        source_version_ids=version_ids,
        source=source,
        target_bucket=bucket,
        target_keys=target_keys,
        target=target,
        read_at_ms=read_at_ms,
        began_s=began_s,
    )


async def confirm_both_sides(sides: BothSides, context: TaskContext, positions: Sequence[int]) -> None:
    """Ask by HEAD for what listings showed as changed or missing (safety.md rule 12); the reading keeps its age."""
    versions = sides.source_version_ids
    await confirm(context.source, sides.bucket, sides.source_keys, sides.source, positions, version_ids=versions)
    if sides.target_keys:
        await confirm(context.target, sides.target_bucket, sides.target_keys, sides.target, positions)


async def _read(reader: S3Reader, bucket: str, keys: list[str], after: str | None, *, trust_listings: bool) -> Seen:
    if reader.is_aws or trust_listings:
        return await look(reader, bucket, keys, after=after)
    return await look_closely(reader, bucket, keys)
