"""What a multipart upload must be told so that its object is the source: nothing is kept of a source by itself.

In go the source's HEAD and tags, out come the headers of CreateMultipartUpload. Pure. What HEAD cannot show cannot be
kept, so such an object is refused instead of copied without it.

Facts: CreateMultipartUpload and PutObject API references; "Checking object integrity" and "Categorizing your storage
using tags", S3 User Guide, all read 2026-11.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from urllib.parse import urlencode

from s3batch.model.errors import RefusedError
from s3batch.operations.own_copies import KEPT_HEADERS
from s3batch.s3.answers import ObjectHead
from s3batch.verify.checksums import FULL_OBJECT

CHECKSUM_HEADERS = ("x-amz-checksum-algorithm", "x-amz-checksum-type")

_TAG_HEADER_BYTES = 2048
"""Longest ``x-amz-tagging`` header; more tags are put afterwards."""

_MAX_TAGS_ON_CREATE = 10
"""Tags of one object."""

_ENCRYPTION = "x-amz-server-side-encryption"
_KMS_HEADERS = (_ENCRYPTION, f"{_ENCRYPTION}-aws-kms-key-id", f"{_ENCRYPTION}-bucket-key-enabled")

_WHOLE_IN_PARTS = ("CRC64NVME", "CRC32C", "CRC32")
"""Algorithms whose checksum of a whole object can be made of those of its parts."""


def upload_headers(head: ObjectHead, tags: Sequence[tuple[str, str]], storage_class: str | None) -> dict[str, str]:
    """Return the headers that make the new upload what the source is.

    Raises:
        RefusedError: code ``MetadataNotShown``; a copy would lose metadata.
    """
    headers = {name: head.headers[name] for name in KEPT_HEADERS if name in head.headers}
    headers |= {f"x-amz-meta-{name}": value for name, value in head.metadata.items()}
    _require_all_shown(head, headers)
    wanted_class = storage_class or head.storage_class
    if wanted_class != "STANDARD":
        headers["x-amz-storage-class"] = wanted_class
    if head.headers.get(_ENCRYPTION, "").startswith("aws:kms"):
        headers |= {name: head.headers[name] for name in _KMS_HEADERS if name in head.headers}
    headers |= _checksum_headers(head.checksums, head.checksum_type)
    tagging = urlencode(tags)
    if tags and len(tags) <= _MAX_TAGS_ON_CREATE and len(tagging) <= _TAG_HEADER_BYTES:
        headers["x-amz-tagging"] = tagging
    return headers


def _require_all_shown(head: ObjectHead, headers: Mapping[str, str]) -> None:
    """Refuse an object of which HEAD tells less than it has, or in bytes that would not be sent as they came."""
    if head.missing_metadata:
        what = f"{head.missing_metadata} entries of its metadata cannot be shown as headers"
    elif any(not _is_text(value) for value in headers.values()):
        what = "its metadata is not UTF-8"
    else:
        return
    raise RefusedError(
        f"A copy in parts would lose metadata: {what}.",
        code="MetadataNotShown",
        way_out="Raise --multipart-threshold above its size (up to 5 GiB): one request copies all metadata.",
    )


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def _checksum_headers(checksums: Mapping[str, str], checksum_type: str | None) -> dict[str, str]:
    """Ask for the source's checksum algorithm and type where an upload can have them, so that they can be compared.

    An upload has no SHA of the whole object; it gets a CRC64NVME of it, which a later copy can keep.
    """
    if not checksums:
        return {}
    algorithm = next(iter(checksums))
    if checksum_type == FULL_OBJECT and algorithm not in _WHOLE_IN_PARTS:
        algorithm = next((name for name in _WHOLE_IN_PARTS if name in checksums), _WHOLE_IN_PARTS[0])
    values = (algorithm, checksum_type)
    return {name: value for name, value in zip(CHECKSUM_HEADERS, values, strict=True) if value is not None}
