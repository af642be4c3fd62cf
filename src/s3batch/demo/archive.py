"""A small archive like the real one: a few thousand objects of varied size, and some of every awkward kind.

In: an empty bucket. Out: the same objects in it on every run, and what each of them is, for the comparison at the end.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta

from s3batch.s3.client import S3Client

SDO, CDAWEB, STAGING = "sdo/", "cdaweb/", "staging/"

LARGE_KEY = "sdo/aia/synoptic/mosaic_20240510.fits"
"""The object that was uploaded in parts."""

_PART_BYTES = (5 * 1024**2, 700_001)
"""5 MiB is S3's smallest part but for the last."""

_PUTS_IN_FLIGHT = 32
_LARGEST_BYTES = 16_000
_FIRST_DAY = date(2024, 5, 10)

_HOSTILE_NAMES = (
    "a b.fits",
    "a+b.fits",
    "a%20b.fits",
    "what?versionId=null",
    "number#sign&amp;.fits",
    "two//slashes.fits",
    "up/../and/./down.fits",
    "quote\"and'apostrophe, comma.fits",
    "line\nfeed.fits",
    "<Key>tag</Key>.fits",
    "Ünïcödé/日本語 🛰.fits",
    "ends with slash/",
    "long/" + "x" * 900,
)
"""Names that break tools; each is a legal key."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """What a listing tells of an object."""

    etag: str
    size: int


@dataclass(frozen=True, kw_only=True, slots=True)
class _New:
    """An object to be put."""

    key: str
    size: int
    headers: dict[str, str] = field(default_factory=dict)

    def body(self) -> bytes:
        """Return bytes that no other key has."""
        digest = hashlib.sha256(self.key.encode()).digest()
        return (digest * (self.size // len(digest) + 1))[: self.size]


async def fill_archive(client: S3Client, bucket: str) -> dict[str, Seen]:
    """Put all objects and return them by key."""
    waiting = _objects()
    originals: dict[str, Seen] = {}

    async def put() -> None:
        for each in waiting:
            result = await client.put_object(bucket, each.key, each.body(), headers=each.headers)
            originals[each.key] = Seen(etag=result.etag, size=each.size)

    async with asyncio.TaskGroup() as group:
        for _ in range(_PUTS_IN_FLIGHT):
            group.create_task(put())
    originals[LARGE_KEY] = await _put_in_parts(client, bucket)
    return originals


def tagged_keys() -> Sequence[str]:
    """Return the keys of the objects that have tags."""
    return [LARGE_KEY, *(each.key for each in _objects() if "x-amz-tagging" in each.headers)]


def _objects() -> Iterator[_New]:
    """Yield every object but the one in parts."""
    yield from (_new(f"{SDO}aia/{_day(n // 200)}/aia_{_WAVES[n % 8]:04d}_{n:06d}.fits", n) for n in range(2_400))
    yield from (_new(f"{SDO}hmi/{_day(n // 100)}/hmi_m_45s_{n:06d}.fits", n, is_tagged=n % 80 == 0) for n in range(800))
    yield from (_new(f"{CDAWEB}ace/mag/{_day(n, '/')}/ac_h0_mfi_{_day(n, '')}_v01.cdf", n) for n in range(900))
    yield from (_new(f"{CDAWEB}wind/swe/{_day(n, '/')}/wi_k0_swe_{_day(n, '')}_v02.cdf", n) for n in range(1_000))
    yield from (_new(f"{SDO}odd names/{name}", n) for n, name in enumerate(_HOSTILE_NAMES))
    yield from (_new(f"{CDAWEB}{name}", n) for n, name in enumerate(_HOSTILE_NAMES))
    yield _New(key=CDAWEB, size=0)  # the key equal to the prefix: some tools make such "folders"
    yield from (_new(f"{STAGING}incoming_{n:04d}.cdf", n) for n in range(120))


_WAVES = (94, 131, 171, 193, 211, 304, 335, 1600)


def _new(key: str, number: int, *, is_tagged: bool = False) -> _New:
    headers = {"content-type": "application/octet-stream", "x-amz-meta-mission": key.partition("/")[0]}
    if is_tagged:
        headers["x-amz-tagging"] = "instrument=hmi&level=1.5"
    return _New(key=key, size=number * 7919 % _LARGEST_BYTES, headers=headers)


def _day(number: int, separator: str = "/") -> str:
    return (_FIRST_DAY - timedelta(days=number)).strftime(f"%Y{separator}%m{separator}%d")


async def _put_in_parts(client: S3Client, bucket: str) -> Seen:
    headers = {"content-type": "image/fits", "x-amz-meta-mission": "sdo", "x-amz-tagging": "product=mosaic"}
    upload_id = await client.create_multipart_upload(bucket, LARGE_KEY, headers=headers)
    parts = [
        await client.upload_part(bucket, LARGE_KEY, upload_id, number, bytes([number]) * size)
        for number, size in enumerate(_PART_BYTES, start=1)
    ]
    result = await client.complete_multipart_upload(bucket, LARGE_KEY, upload_id, parts)
    return Seen(etag=result.etag, size=sum(_PART_BYTES))
