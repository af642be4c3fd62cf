"""Bringing an object's exact content into a local file.

In: a reader of a store, an object, and the ETag that it must have where one is pinned. Out: a file that holds it all.
What is read belongs to one version of the object: each read carries ``If-Match``.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from s3batch.model.errors import RefusedError, UnavailableError
from s3batch.model.objects import S3Object
from s3batch.s3.answers import ObjectHead
from s3batch.s3.client import S3Reader
from s3batch.s3.errors import S3RefusedError


async def head_manifest(reader: S3Reader, place: S3Object) -> ObjectHead:
    """Return what the store knows of a manifest.

    Raises:
        RefusedError: code ``NoSuchManifest``.
    """
    try:
        return await reader.head_object(place.bucket, place.key)
    except S3RefusedError as error:
        if error.code in {"NoSuchKey", "NoSuchBucket"}:
            raise missing(str(place), error.message) from error
        raise


async def fetch_object(
    reader: S3Reader,
    place: S3Object,
    copy: Path,
    *,
    pin: str | None = None,
    see: Callable[[bytes], None] | None = None,
) -> None:
    """Write the object to ``copy``; ``see`` is shown each piece on its way.

    Raises:
        RefusedError: code ``NoSuchManifest``, or ``ManifestChanged``: not what ``pin`` says, or replaced on the way.
        UnavailableError: code ``NoSpace``: the local disk did not take it.
    """
    head = await head_manifest(reader, place)
    pinned = pin.strip('"') if pin is not None else head.etag
    if head.etag != pinned:
        raise changed(str(place), f"ETag {pinned}", f"ETag {head.etag}")
    written = 0
    try:
        with copy.open("wb") as file:
            async for piece in reader.stream_object(place.bucket, place.key, if_match=pinned):
                file.write(piece)
                written += len(piece)
                if see is not None:
                    see(piece)
    except S3RefusedError as error:
        if error.code == "PreconditionFailed":
            raise changed(str(place), f"ETag {pinned}", "another") from error
        raise
    except OSError as error:
        raise UnavailableError(
            f"{place} ({head.size:,} bytes) cannot be copied to {copy.parent}: {error.strerror}.",
            code="NoSpace",
            way_out="Free disk space there, or set TMPDIR or S3BATCH_HOME to a place that has more.",
        ) from error
    if written != head.size:
        raise changed(str(place), f"{head.size:,} bytes", f"{written:,} bytes")


def missing(url: str, problem: str) -> RefusedError:
    """Return the error about a manifest that is not there."""
    return RefusedError(f"There is no manifest at {url}: {problem}.", code="NoSuchManifest", way_out="Check the name.")


def changed(url: str, pinned: str, found: str) -> RefusedError:
    """Return the error about a manifest that is not the one which was pinned."""
    return RefusedError(
        f"The manifest {url} is not the one that was pinned: expected {pinned}, found {found}.",
        code="ManifestChanged",
        way_out="Nothing was touched. If the new content is meant, create a new job.",
    )
