"""The headers of an object's answer as an :class:`~s3batch.s3.answers.ObjectHead`, and conditions as headers.

Pure; names are those of the HeadObject and GetObject API references, read 2026-11.
"""

from __future__ import annotations

from collections.abc import Mapping

from s3batch.s3.answers import ObjectHead
from s3batch.s3.xml_answers import checksums_in_headers, http_date_ms
from s3batch.s3.xml_tree import XmlError, unquote_etag

_METADATA = "x-amz-meta-"
_OF_THE_OBJECT = frozenset(
    {
        "cache-control",
        "content-disposition",
        "content-encoding",
        "content-language",
        "content-type",
        "expires",
        "x-amz-archive-status",
        "x-amz-expiration",
        "x-amz-object-lock-legal-hold",
        "x-amz-object-lock-mode",
        "x-amz-object-lock-retain-until-date",
        "x-amz-replication-status",
        "x-amz-server-side-encryption",
        "x-amz-server-side-encryption-aws-kms-key-id",
        "x-amz-server-side-encryption-bucket-key-enabled",
        "x-amz-server-side-encryption-customer-algorithm",
        "x-amz-website-redirect-location",
    }
)


def object_head(headers: Mapping[str, str]) -> ObjectHead:
    """Return what the headers tell.

    Raises:
        XmlError: no size or no ETag, so this is no object's answer.
    """
    etag = unquote_etag(headers.get("etag", ""))
    is_marker = headers.get("x-amz-delete-marker", "") == "true"
    if not etag and not is_marker:
        raise XmlError("no ETag header")
    return ObjectHead(
        size=_size(headers),
        etag=etag,
        last_modified_ms=http_date_ms(headers.get("last-modified", "")) or 0,
        storage_class=headers.get("x-amz-storage-class") or "STANDARD",
        version_id=headers.get("x-amz-version-id"),
        metadata={name[len(_METADATA) :]: value for name, value in headers.items() if name.startswith(_METADATA)},
        missing_metadata=_number(headers.get("x-amz-missing-meta")) or 0,
        headers={name: value for name, value in headers.items() if name in _OF_THE_OBJECT},
        checksums=checksums_in_headers(headers),
        checksum_type=headers.get("x-amz-checksum-type"),
        parts_count=_number(headers.get("x-amz-mp-parts-count")),
        tag_count=_number(headers.get("x-amz-tagging-count")) or 0,
        delete_marker=is_marker,
        restore=headers.get("x-amz-restore"),
    )


def conditions(
    *, if_match: str | None = None, if_none_match: bool = False, source_if_match: str | None = None
) -> dict[str, str]:
    """Return the condition headers; ETags come without quotes and are sent with them, ``*`` stays ``*``."""
    headers = {}
    if if_match is not None:
        headers["if-match"] = _quoted(if_match)
    if if_none_match:
        headers["if-none-match"] = "*"
    if source_if_match is not None:
        headers["x-amz-copy-source-if-match"] = _quoted(source_if_match)
    return headers


def _quoted(etag: str) -> str:
    return etag if etag == "*" else f'"{etag}"'


def _size(headers: Mapping[str, str]) -> int:
    """Return the size; of a range's answer the size of the whole object is in ``content-range``."""
    whole = _number(headers.get("content-range", "").rpartition("/")[2])
    size = whole if whole is not None else _number(headers.get("content-length"))
    if size is None:
        raise XmlError("no Content-Length header")
    return size


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdigit() else None
