"""What became of an inventory's objects since it was made: its entries against those of a listing.

In: two normalised manifests of one bucket, both in order. Out: how many objects are new, changed, gone and the same.
Nothing is decided about entries here: the listing's are the right ones. Both are read chunk by chunk, side by side.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple

import pyarrow as pa

from s3batch.manifest.normalised import NormalisedManifest

_COLUMNS: Final = ("key", "size", "etag", "last_modified")
_SECOND_MS: Final = 1000


@dataclass(frozen=True, kw_only=True, slots=True)
class Changes:
    """Numbers of objects. ``unknown``: there before and now, and the inventory has nothing to tell a change by."""

    new: int = 0
    changed: int = 0
    gone: int = 0
    same: int = 0
    unknown: int = 0


class _Identity(NamedTuple):
    key: str
    size: int | None
    etag: str | None
    modified_ms: int | None


def changes_since(inventory: Path, listing: Path) -> Changes:
    """Return what the listing shows to be otherwise than the inventory says."""
    counts = {"new": 0, "changed": 0, "gone": 0, "same": 0, "unknown": 0}
    with NormalisedManifest.open(inventory) as before, NormalisedManifest.open(listing) as now:
        for told, listed in _side_by_side(_identities(before), _identities(now)):
            counts[_change(told, listed)] += 1
    return Changes(**counts)


def _side_by_side(
    before: Iterator[_Identity], now: Iterator[_Identity]
) -> Iterator[tuple[_Identity | None, _Identity | None]]:
    """Yield what stands under each key on both sides. Python compares text by code points, which is S3's order."""
    told, listed = next(before, None), next(now, None)
    while told is not None or listed is not None:
        if listed is None or (told is not None and told.key < listed.key):
            yield told, None
            told = next(before, None)
        elif told is None or listed.key < told.key:
            yield None, listed
            listed = next(now, None)
        else:
            yield told, listed
            told, listed = next(before, None), next(now, None)


def _change(told: _Identity | None, listed: _Identity | None) -> str:
    """Return the word for one key. Times decide only where the inventory has no ETag, and to the second."""
    if told is None:
        return "new"
    if listed is None:
        return "gone"
    if told.size is not None and told.size != listed.size:
        return "changed"
    if told.etag is not None:
        return "same" if told.etag == listed.etag else "changed"
    if told.modified_ms is None or listed.modified_ms is None:
        return "unknown"
    return "same" if told.modified_ms // _SECOND_MS == listed.modified_ms // _SECOND_MS else "changed"


def _identities(manifest: NormalisedManifest) -> Iterator[_Identity]:
    for number in range(len(manifest.chunks)):
        table = manifest.read_chunk(number, _COLUMNS)
        columns = [table.column(name) for name in _COLUMNS]
        columns[-1] = columns[-1].cast(pa.int64())
        yield from map(_Identity._make, zip(*(column.to_pylist() for column in columns), strict=True))
