"""What a multipart upload must be told so that its object is the source: nothing is kept of a source by itself.

In go the source's HEAD and tags, out come the headers of CreateMultipartUpload. Pure. What HEAD cannot show cannot be
kept, so such an object is refused instead of copied without it.

Facts: CreateMultipartUpload and PutObject API references; "Checking object integrity" and "Categorizing your storage
using tags", S3 User Guide, all read 2026-11.
"""

from __future__ import annotations

from collections.abc import Mapping

from s3batch.model.attributes import AS_SOURCES, CopyAttributes, MetadataDirective
from s3batch.model.errors import InconsistentError
from s3batch.operations.copy_headers import (
    BUCKET_KEY,
    ENCRYPTION,
    KMS_KEY,
    REDIRECT,
    SourceAttributes,
    attribute_headers,
    metadata_headers,
    require_all_shown,
    tag_headers,
    wanted_metadata,
)
from s3batch.verify.checksums import FULL_OBJECT

CHECKSUM_HEADERS = ("x-amz-checksum-algorithm", "x-amz-checksum-type")

_KMS_HEADERS = (ENCRYPTION, KMS_KEY, BUCKET_KEY)

_WHOLE_IN_PARTS = ("CRC64NVME", "CRC32C", "CRC32")
"""Algorithms whose checksum of a whole object can be made of those of its parts."""


def upload_headers(
    source: SourceAttributes, storage_class: str | None, attributes: CopyAttributes = AS_SOURCES
) -> dict[str, str]:
    """Return the headers that make the new upload what the source is, but for what the job sets anew.

    ``source`` has HEAD and tags. Whatever HEAD shows is kept but the lock, which only some buckets take.

    Raises:
        RefusedError: code ``MetadataNotShown``; a copy would lose metadata.
    """
    head = source.head
    if head is None or source.tags is None:
        raise InconsistentError("A source that is copied in parts was not read.", code="SourceNotRead")
    metadata, content = wanted_metadata(attributes, head)
    headers = content | metadata_headers(metadata)
    if attributes.metadata_directive is not MetadataDirective.REPLACE:
        require_all_shown(head, headers, "a copy in parts")
    if REDIRECT in head.headers:
        headers[REDIRECT] = head.headers[REDIRECT]
    wanted_class = storage_class or head.storage_class
    if wanted_class != "STANDARD":
        headers["x-amz-storage-class"] = wanted_class
    if head.headers.get(ENCRYPTION, "").startswith("aws:kms") and attributes.encryption is None:
        headers |= {name: head.headers[name] for name in _KMS_HEADERS if name in head.headers}
    headers |= attribute_headers(attributes, source)
    headers |= _checksum_headers(head.checksums, head.checksum_type, attributes.checksum_algorithm)
    return headers | tag_headers(source.tags)


def _checksum_headers(
    checksums: Mapping[str, str], checksum_type: str | None, algorithm_wanted: str | None
) -> dict[str, str]:
    """Ask for the source's checksum algorithm and type where an upload can have them, so that they can be compared.

    An upload has no SHA of the whole object; it gets a CRC64NVME of it, which a later copy can keep.
    """
    if algorithm_wanted is not None:
        return {CHECKSUM_HEADERS[0]: algorithm_wanted}
    if not checksums:
        return {}
    algorithm = next(iter(checksums))
    if checksum_type == FULL_OBJECT and algorithm not in _WHOLE_IN_PARTS:
        algorithm = next((name for name in _WHOLE_IN_PARTS if name in checksums), _WHOLE_IN_PARTS[0])
    values = (algorithm, checksum_type)
    return {name: value for name, value in zip(CHECKSUM_HEADERS, values, strict=True) if value is not None}
