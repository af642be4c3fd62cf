"""The small XML answers of S3: errors, copies, deletes, multipart uploads, attributes, tags.

In: status, body, sometimes headers. Out: values of ``answers``, or :class:`~s3batch.s3.xml_tree.XmlError` where the
body is not the document that the call answers with. No request is made and nothing is tried again here.
A status of 200 proves nothing for CopyObject, UploadPartCopy and CompleteMultipartUpload: S3 sends it early and may put
an ``<Error>`` in the body (CopyObject API reference, read 2026-11), so those need their own result with an ETag.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache

from s3batch.s3.answers import (
    DeleteBatch,
    DeleteError,
    MultipartUpload,
    ObjectAttributes,
    ObjectPart,
    PartsPage,
    UploadsPage,
)
from s3batch.s3.errors import (
    EMPTY_ANSWER,
    INVALID_ANSWER,
    S3Error,
    S3RefusedError,
    S3UnavailableError,
    code_without_body,
)
from s3batch.s3.retry import RetryClass, classify
from s3batch.s3.xml_tree import Element, XmlError, needs_escape, parse_tree, unescape, unquote_etag

_OK = 200
_MESSAGE_CHARACTERS = 500
"""A store's message is cut here; some send whole pages of HTML."""

_NO_CHECKSUM_VALUES = frozenset({"Checksum", "ChecksumType", "ChecksumAlgorithm"})
_COPY_RESULT = b"<CopyObjectResult"
_USUAL_ETAG = re.compile(rb'<ETag>(?:&quot;|")([0-9A-Za-z]+)(?:&quot;|")</ETag>')
_ETAG = b"<ETag>"
_ETAG_END = b"</ETag>"
_MARKER = r"<DeleteMarker>true</DeleteMarker><DeleteMarkerVersionId>([^<]*+)</DeleteMarkerVersionId>"
_DELETED = re.compile(rf"<Deleted>(?:{_MARKER})?<Key>([^<]*+)</Key>(?:{_MARKER})?</Deleted>")
_QUOTE = b"&quot;"


@dataclass(frozen=True, kw_only=True, slots=True)
class ErrorAnswer:
    """The members of an ``<Error>``; empty where the store left them out."""

    code: str
    message: str = ""
    region: str = ""
    """What AuthorizationHeaderMalformed says the region should be."""
    request_id: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class CopyAnswer:
    """The body of a copy, of a part's copy, or of a completed upload."""

    etag: str
    """Empty where the store left it out (Ceph RGW 16.2 does in CompleteMultipartUpload)."""
    last_modified_ms: int | None
    checksums: Mapping[str, str]
    checksum_type: str | None


def parse_error(status: int, body: bytes, *, has_key: bool) -> ErrorAnswer:
    """Return what an error answer says; without XML (a proxy's page, HEAD's nothing) the status gives the code."""
    if body.strip():
        try:
            root = parse_tree(body)
        except XmlError:
            root = Element("")
        # some stores and the service's older errors wrap it: <ErrorResponse><Error>
        error = root if root.tag == "Error" else root.find("Error")
        if error is not None and error.value("Code"):
            return ErrorAnswer(
                code=error.value("Code").strip(),
                message=error.value("Message").strip()[:_MESSAGE_CHARACTERS],
                region=error.value("Region").strip(),
                request_id=error.value("RequestId").strip(),
            )
    return ErrorAnswer(code=code_without_body(status, has_key=has_key))


def error_inside(body: bytes) -> ErrorAnswer | None:
    """Return the error in the body of a 200 answer, or ``None``; white space may stand before it."""
    if b"<Error" not in body:
        return None
    try:
        root = parse_tree(body)
    except XmlError:
        return None
    return parse_error(_OK, body, has_key=True) if root.tag in {"Error", "ErrorResponse"} else None


def error_from_answer(
    what: str, status: int, answer: ErrorAnswer, *, request_id: str = "", is_ambiguous: bool = False
) -> S3Error:
    """Return the exception for an error answer, in the family of its retry class."""
    retry_class = classify(status, answer.code)
    family = S3RefusedError if retry_class in {RetryClass.FINAL, RetryClass.REGION} else S3UnavailableError
    tail = f": {answer.message}" if answer.message else "."
    return family(
        f"{what}: {status} {answer.code}{tail}",
        code=answer.code,
        status=status,
        request_id=request_id or answer.request_id,
        is_ambiguous=is_ambiguous or retry_class is RetryClass.SERVER,
    )


def parse_copy_answer(status: int, body: bytes) -> str | S3Error:
    """Return the copy's ETag, or what went wrong, without building a tree: for the path that every object takes.

    Success needs 200, a ``<CopyObjectResult>`` and an ETag in it. Without them it is the error ``EmptyAnswer``: some
    stores answer so when they copied, hence read the target. About 0.3 us.
    """
    if status == _OK and _COPY_RESULT in body:
        usual = _USUAL_ETAG.search(body)
        if usual is not None:
            return usual[1].decode()
        start = body.find(_ETAG)
        end = body.find(_ETAG_END, start)
        if 0 < start < end:
            etag = body[start + len(_ETAG) : end]
            if etag.startswith(_QUOTE) and etag.endswith(_QUOTE):
                etag = etag[len(_QUOTE) : -len(_QUOTE)]
            text = etag.decode("ascii", "replace")
            text = text if text.isalnum() else unquote_etag(unescape(text))
            if text:
                return text
    if status == _OK:
        return _copy_failure(body)
    return error_from_answer("CopyObject", status, parse_error(status, body, has_key=True))


def _copy_failure(body: bytes) -> S3Error:
    error = error_inside(body)
    if error is not None:
        return error_from_answer("CopyObject", _OK, error)
    if not body.strip() or _COPY_RESULT in body:
        return S3UnavailableError(
            "CopyObject was answered 200 without an ETag.", code=EMPTY_ANSWER, status=_OK, is_ambiguous=True
        )
    return S3UnavailableError(
        f"CopyObject was answered 200 without a result: {body[:200]!r}.",
        code=INVALID_ANSWER,
        status=_OK,
        is_ambiguous=True,
    )


def parse_result(body: bytes, tag: str) -> CopyAnswer:
    """Return a ``<CopyObjectResult>``, ``<CopyPartResult>`` or ``<CompleteMultipartUploadResult>``.

    Raises:
        XmlError: another document.
    """
    root = _root(body, tag)
    return CopyAnswer(
        etag=unquote_etag(root.value("ETag")),
        last_modified_ms=iso_ms(root.value("LastModified")),
        checksums=_checksums(root),
        checksum_type=root.optional("ChecksumType"),
    )


def parse_delete_batch(
    body: bytes, keys: Sequence[str], version_ids: Sequence[str | None] | None = None
) -> DeleteBatch:
    """Return what DeleteObjects says of each key asked for.

    The usual answer, every key deleted and named in the order of the request, costs 0.4 us a key; others are matched by
    key and version id. An error is believed over a success for the same key.

    Raises:
        XmlError: not a ``<DeleteResult>``, or cut short.
    """
    marker_ids = _all_deleted(body, keys) if version_ids is None else None
    if marker_ids is not None:
        return DeleteBatch(marker_ids=marker_ids, errors={})
    deleted, errors = _said(_root(body, "DeleteResult"))
    found_ids: list[str | None] = [None] * len(keys)
    found_errors: dict[int, DeleteError] = {}
    unknown = set()
    for position, key in enumerate(keys):
        version_id = None if version_ids is None else version_ids[position]
        # the version of a key that was asked for without one is told as null, or not at all
        same = ((key, version_id), (key, None)) if version_id is not None else ((key, None), (key, "null"))
        error = errors.get(same[0]) or errors.get(same[1])
        if error is not None:
            found_errors[position] = error
        elif same[0] in deleted:
            found_ids[position] = deleted[same[0]]
        elif version_id in {None, "null"} and same[1] in deleted:
            found_ids[position] = deleted[same[1]]
        else:
            unknown.add(position)
    return DeleteBatch(marker_ids=found_ids, errors=found_errors, unknown=frozenset(unknown))


def _all_deleted(body: bytes, keys: Sequence[str]) -> list[str | None] | None:
    """Return the markers' ids if the answer is the plain one: every key deleted, in order, nothing else."""
    if b"<Error>" in body or not body.rstrip().endswith(b"</DeleteResult>"):
        return None
    if _is_only(body, keys):
        return [None] * len(keys)
    try:
        rows = _DELETED.findall(body.decode())
    except UnicodeDecodeError:
        return None
    if len(rows) != len(keys) or body.count(b"<Deleted>") != len(keys):
        return None
    said = [unescape(row[1]) if "&" in row[1] else row[1] for row in rows]
    if said != list(keys):
        return None
    return [row[0] or row[2] or None for row in rows]


def _is_only(body: bytes, keys: Sequence[str]) -> bool:
    """Tell whether the answer names the keys and no more, as it does without versions; 0.1 us a key, not 0.8.

    Keys with characters that XML escapes are left to the reader.
    """
    beginning = body.find(b"<Deleted>")
    if beginning < 0 or needs_escape("".join(keys)):
        return False
    named = "</Key></Deleted><Deleted><Key>".join(keys)
    return body[beginning:].rstrip() == f"<Deleted><Key>{named}</Key></Deleted></DeleteResult>".encode()


def _said(
    root: Element,
) -> tuple[dict[tuple[str, str | None], str | None], dict[tuple[str, str | None], DeleteError]]:
    """Return the deleted with their marker ids, and the errors, both by key and version id."""
    deleted: dict[tuple[str, str | None], str | None] = {}
    errors: dict[tuple[str, str | None], DeleteError] = {}
    for entry in root.children:
        identity = (entry.value("Key"), entry.optional("VersionId"))
        if entry.tag == "Deleted":
            deleted[identity] = entry.optional("DeleteMarkerVersionId") if identity[1] is None else None
        elif entry.tag == "Error":
            errors[identity] = DeleteError(
                key=identity[0],
                version_id=identity[1],
                code=entry.value("Code") or INVALID_ANSWER,
                message=entry.value("Message")[:_MESSAGE_CHARACTERS],
            )
    return deleted, errors


def parse_upload_id(body: bytes) -> str:
    """Return the id of a new multipart upload.

    Raises:
        XmlError: another document, or no id.
    """
    upload_id = _root(body, "InitiateMultipartUploadResult").value("UploadId")
    if not upload_id:
        raise XmlError("no <UploadId>")
    return upload_id


def parse_uploads_page(body: bytes) -> UploadsPage:
    """Return one page of ListMultipartUploads (asked for without an encoding type)."""
    root = _root(body, "ListMultipartUploadsResult")
    return UploadsPage(
        uploads=[
            MultipartUpload(
                key=entry.value("Key"), upload_id=entry.value("UploadId"), initiated=entry.value("Initiated")
            )
            for entry in root.find_all("Upload")
        ],
        is_truncated=root.flag("IsTruncated"),
        next_key_marker=root.optional("NextKeyMarker"),
        next_upload_id_marker=root.optional("NextUploadIdMarker"),
    )


def parse_parts_page(body: bytes) -> PartsPage:
    """Return one page of ListParts."""
    root = _root(body, "ListPartsResult", "ListPartsResponse")  # the latter is moto's
    is_truncated = root.flag("IsTruncated")
    return PartsPage(
        parts=[_part(entry) for entry in root.find_all("Part")],
        is_truncated=is_truncated,
        next_part_number_marker=root.number("NextPartNumberMarker") if is_truncated else None,
    )


def parse_object_attributes(body: bytes, headers: Mapping[str, str]) -> ObjectAttributes:
    """Return the answer to GetObjectAttributes."""
    root = _root(body, "GetObjectAttributesResponse", "GetObjectAttributesOutput")
    checksum = root.find("Checksum") or Element("Checksum")
    parts = root.find("ObjectParts") or Element("ObjectParts")
    # the API's model and its wire form differ: PartsCount against TotalPartsCount
    parts_count = parts.number("PartsCount") or parts.number("TotalPartsCount") or None
    return ObjectAttributes(
        etag=unquote_etag(root.value("ETag")),
        size=root.number("ObjectSize") if root.find("ObjectSize") is not None else None,
        storage_class=root.value("StorageClass") or "STANDARD",
        version_id=headers.get("x-amz-version-id"),
        last_modified_ms=http_date_ms(headers.get("last-modified", "")),
        checksums=_checksums(checksum),
        checksum_type=checksum.optional("ChecksumType"),
        parts_count=parts_count,
        parts=tuple(_part(entry) for entry in parts.find_all("Part")),
        next_part_number_marker=parts.number("NextPartNumberMarker") if parts.flag("IsTruncated") else None,
    )


def parse_tagging(body: bytes) -> tuple[tuple[str, str], ...]:
    """Return names and values of an object's tags."""
    tag_set = _root(body, "Tagging").find("TagSet") or Element("TagSet")
    return tuple((tag.value("Key"), tag.value("Value")) for tag in tag_set.find_all("Tag"))


def parse_versioning(body: bytes) -> str:
    """Return a bucket's versioning: ``Enabled``, ``Suspended`` or nothing."""
    # the second name is moto's
    return _root(body, "VersioningConfiguration", "GetBucketVersioningResponse").value("Status").strip()


def checksums_in_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the checksums that an answer's headers carry, by algorithm."""
    prefix = "x-amz-checksum-"
    return {
        name[len(prefix) :].upper(): value
        for name, value in headers.items()
        if name.startswith(prefix) and name not in {"x-amz-checksum-type", "x-amz-checksum-algorithm"}
    }


@lru_cache(maxsize=1024)
def http_date_ms(text: str) -> int | None:
    """Return the time of an HTTP date header; ``None`` where there is none to read.

    Answers of one second, and objects written together, have the same; reading one costs 7 us.
    """
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return None
    return _ms(moment)


def iso_ms(text: str) -> int | None:
    """Return the time of an ISO 8601 text as S3 writes it; ``None`` where there is none to read."""
    try:
        moment = datetime.fromisoformat(unescape(text.strip()))
    except ValueError:
        return None
    return _ms(moment)


def _ms(moment: datetime) -> int:
    aware = moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    return round(aware.timestamp() * 1000)


def _part(entry: Element) -> ObjectPart:
    return ObjectPart(
        part_number=entry.number("PartNumber"),
        size=entry.number("Size"),
        etag=unquote_etag(entry.value("ETag")),
        checksums=_checksums(entry),
    )


def _checksums(element: Element) -> dict[str, str]:
    prefix = "Checksum"
    return {
        child.tag[len(prefix) :]: child.text
        for child in element.children
        if child.tag.startswith(prefix) and child.tag not in _NO_CHECKSUM_VALUES and child.text
    }


def _root(body: bytes, *tags: str) -> Element:
    root = parse_tree(body)
    if root.tag not in tags:
        raise XmlError(f"<{root.tag}> where <{tags[0]}> was expected")
    return root
