"""Names of things in a store: objects, prefixes, and the ``s3://`` form in which people write them."""

from __future__ import annotations

from dataclasses import dataclass

from s3batch.model.errors import RefusedError, UsageError

MAX_KEY_BYTES = 1024
"""S3's limit on a key in UTF-8 bytes (Amazon S3 User Guide, "Naming Amazon S3 objects", read 2026-11)."""

MAX_COPY_BYTES = 5 * 1024**3
"""The largest object that one CopyObject takes: 5,368,709,120 bytes (CopyObject API reference, read 2026-11)."""

ARCHIVED_CLASSES = frozenset({"GLACIER", "DEEP_ARCHIVE"})
"""Storage classes whose objects cannot be read before a restore (S3 User Guide, "Storage classes", read 2026-11)."""

_SCHEME = "s3://"
_BUCKET_LENGTHS = range(3, 256)


@dataclass(frozen=True, kw_only=True, slots=True)
class S3Prefix:
    """A bucket and the beginning of keys in it; the empty prefix means the whole bucket."""

    bucket: str
    prefix: str

    def __str__(self) -> str:
        """Return the ``s3://`` form."""
        return f"{_SCHEME}{self.bucket}/{self.prefix}"


@dataclass(frozen=True, kw_only=True, slots=True)
class S3Object:
    """One key of one bucket."""

    bucket: str
    key: str

    def __str__(self) -> str:
        """Return the ``s3://`` form."""
        return f"{_SCHEME}{self.bucket}/{self.key}"


def parse_s3_uri(text: str) -> S3Prefix:
    """Return the bucket and the rest of ``s3://bucket/rest``; the rest may be empty and is taken literally.

    Raises:
        UsageError: no ``s3://``, no bucket, or a bucket name that no store accepts.
    """
    if not text.startswith(_SCHEME):
        raise UsageError(f"{text!r} is not an S3 address.", way_out="Write it as s3://BUCKET/PREFIX/.")
    bucket, _, prefix = text[len(_SCHEME) :].partition("/")
    if len(bucket) not in _BUCKET_LENGTHS or any(character in bucket for character in "?#%\\ \n\t"):
        raise UsageError(
            f"{bucket!r} in {text!r} is not a bucket name (3 to 255 characters, no spaces).",
            way_out="Write the address as s3://BUCKET/PREFIX/.",
        )
    return S3Prefix(bucket=bucket, prefix=prefix)


def require_exact_prefix(prefix: S3Prefix, *, raw: bool) -> S3Prefix:
    """Return ``prefix`` if it can only mean one folder.

    ``s3://b/sdo`` also means ``sdo2/x`` and ``sdo.txt`` (safety.md rule 2), so a prefix without a final ``/``
    needs ``raw``.

    Raises:
        RefusedError: code ``InexactPrefix``.
    """
    if raw or not prefix.prefix or prefix.prefix.endswith("/"):
        return prefix
    raise RefusedError(
        f"{prefix} has no final '/': it would also mean {prefix}2/... and {prefix}.txt.",
        code="InexactPrefix",
        way_out=f"Write {prefix}/ or, if every key that begins so is meant, add --raw-prefix.",
    )
