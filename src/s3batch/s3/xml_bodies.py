"""The XML bodies that requests carry: DeleteObjects, CompleteMultipartUpload, tags, locks.

In: decoded keys, ETags without quotes. Out: UTF-8 bytes. Which keys may go into such a body at all is told by
``xml_tree.xml_can_carry``; a key that cannot is refused here rather than sent as another key.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from s3batch.model.errors import RefusedError
from s3batch.s3.answers import PartResult
from s3batch.s3.xml_tree import escape, needs_escape, xml_can_carry

_NAMESPACE = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
_DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>'


def delete_body(
    keys: Sequence[str],
    *,
    version_ids: Sequence[str | None] | None = None,
    etags: Sequence[str | None] | None = None,
) -> bytes:
    """Return the body of DeleteObjects, not quiet: the answer shall name every key.

    Order of elements and quotes around the ETag are botocore's (seen on the wire, 2026-11). About 0.3 us a key.

    Raises:
        RefusedError: code ``KeyNotInXml``, a key that XML cannot carry; delete it by a request of its own.
    """
    together = "".join(keys)
    if not xml_can_carry(together):
        _refuse_first(keys)
    written = [escape(key) for key in keys] if needs_escape(together) else keys
    if version_ids is None and etags is not None and None not in etags:
        pairs = [f'{key}</Key><ETag>"{etag}"</ETag>' for key, etag in zip(written, _plain(etags), strict=True)]
        text = "</Object><Object><Key>".join(pairs)
        return f"{_DECLARATION}<Delete {_NAMESPACE}><Object><Key>{text}</Object></Delete>".encode()
    conditions = zip(
        written,
        version_ids or [None] * len(keys),
        etags or [None] * len(keys),
        strict=True,
    )
    text = "".join(_object(key, version_id, etag) for key, version_id, etag in conditions)
    return f"{_DECLARATION}<Delete {_NAMESPACE}>{text}</Delete>".encode()


def _object(key: str, version_id: str | None, etag: str | None) -> str:
    version = "" if version_id is None else f"<VersionId>{escape(version_id)}</VersionId>"
    condition = "" if etag is None else f'<ETag>"{escape(etag)}"</ETag>'
    return f"<Object><Key>{key}</Key>{version}{condition}</Object>"


def _plain(etags: Sequence[str | None]) -> Sequence[str | None]:
    """Return ETags as they stand in XML; all that stores make are letters, digits and hyphens, as one look tells."""
    if "".join(filter(None, etags)).replace("-", "").isalnum():
        return etags
    return [None if etag is None else escape(etag) for etag in etags]


def complete_body(parts: Iterable[PartResult]) -> bytes:
    """Return the body of CompleteMultipartUpload, parts in ascending order, with the checksums that they have."""
    ordered = sorted(parts, key=lambda part: part.part_number)
    text = "".join(
        f"<Part><PartNumber>{part.part_number}</PartNumber><ETag>&quot;{escape(part.etag)}&quot;</ETag>"
        + "".join(f"<Checksum{name}>{escape(value)}</Checksum{name}>" for name, value in part.checksums.items())
        + "</Part>"
        for part in ordered
    )
    return f"{_DECLARATION}<CompleteMultipartUpload {_NAMESPACE}>{text}</CompleteMultipartUpload>".encode()


def tagging_body(tags: Iterable[tuple[str, str]]) -> bytes:
    """Return the body of PutObjectTagging."""
    text = "".join(f"<Tag><Key>{escape(name)}</Key><Value>{escape(value)}</Value></Tag>" for name, value in tags)
    return f"{_DECLARATION}<Tagging {_NAMESPACE}><TagSet>{text}</TagSet></Tagging>".encode()


def retention_body(mode: str, retain_until: str) -> bytes:
    """Return the body of PutObjectRetention."""
    text = f"<Mode>{escape(mode)}</Mode><RetainUntilDate>{escape(retain_until)}</RetainUntilDate>"
    return f"{_DECLARATION}<Retention {_NAMESPACE}>{text}</Retention>".encode()


def legal_hold_body(*, is_on: bool) -> bytes:
    """Return the body of PutObjectLegalHold."""
    return f"{_DECLARATION}<LegalHold {_NAMESPACE}><Status>{'ON' if is_on else 'OFF'}</Status></LegalHold>".encode()


def _refuse_first(keys: Sequence[str]) -> None:
    culprit = next(key for key in keys if not xml_can_carry(key))
    raise RefusedError(
        f"The key {culprit!r} has a character that XML cannot carry.",
        code="KeyNotInXml",
        way_out="Delete it by a request of its own (DeleteObject).",
    )
