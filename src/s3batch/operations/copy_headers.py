"""What a copy's requests must say so that it has the attributes that were asked for, and what of them it has not.

In go the job's :class:`~s3batch.model.attributes.CopyAttributes` and, where each source is read, its HEAD, grants and
tags. Out come header names and values for CopyObject and CreateMultipartUpload, and afterwards the names of what the
store has lost. Pure; tags that are too many for a header are left to the caller.

Facts: CopyObject and CreateMultipartUpload API references, read 2026-11.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import urlencode

from s3batch.model.attributes import CONTENT_HEADERS, CopyAttributes, Keep, MetadataDirective
from s3batch.model.errors import RefusedError
from s3batch.s3.acl import grant_headers
from s3batch.s3.answers import ObjectAcl, ObjectHead

TAG_HEADER_BYTES = 2048
"""Longest ``x-amz-tagging`` header; more tags are put afterwards."""

REDIRECT = "x-amz-website-redirect-location"
ENCRYPTION = "x-amz-server-side-encryption"
KMS_KEY = f"{ENCRYPTION}-aws-kms-key-id"
BUCKET_KEY = f"{ENCRYPTION}-bucket-key-enabled"
LOCK_MODE = "x-amz-object-lock-mode"
RETAIN_UNTIL = "x-amz-object-lock-retain-until-date"
LEGAL_HOLD = "x-amz-object-lock-legal-hold"

_METADATA = "x-amz-meta-"
_ALL_USERS = "http://acs.amazonaws.com/groups/global/AllUsers"
_ANY_USER = "http://acs.amazonaws.com/groups/global/AuthenticatedUsers"
_GROUP_OF_CANNED_ACL = {
    "public-read": _ALL_USERS,
    "public-read-write": _ALL_USERS,
    "authenticated-read": _ANY_USER,
}


@dataclass(frozen=True, kw_only=True, slots=True)
class SourceAttributes:
    """What was read of a source; ``None`` where nobody asked."""

    head: ObjectHead | None = None
    acl: ObjectAcl | None = None
    tags: tuple[tuple[str, str], ...] | None = None
    read_at_s: float = 0.0
    """When, by the store's clock, in seconds since the epoch."""


def copy_headers(attributes: CopyAttributes, source: SourceAttributes, *, storage_class: str | None) -> dict[str, str]:
    """Return what CopyObject must be told: it makes every copy STANDARD unless the class is given.

    Raises:
        RefusedError: code ``MetadataNotShown``: the source's metadata cannot be read whole, so not be merged either.
    """
    headers = attribute_headers(attributes, source)
    if storage_class not in {None, "STANDARD"}:
        headers["x-amz-storage-class"] = str(storage_class)
    if attributes.checksum_algorithm is not None:
        headers["x-amz-checksum-algorithm"] = attributes.checksum_algorithm
    if attributes.metadata_directive is not MetadataDirective.COPY:
        metadata, content = wanted_metadata(attributes, source.head)
        headers |= {"x-amz-metadata-directive": "REPLACE", **metadata_headers(metadata), **content}
        if source.head is not None:
            require_all_shown(source.head, headers, "changing metadata")
    if attributes.tags is not None:
        headers["x-amz-tagging-directive"] = "REPLACE"
        headers |= tag_headers(tuple(attributes.tags.items()))
    return headers


def attribute_headers(attributes: CopyAttributes, source: SourceAttributes) -> dict[str, str]:
    """Return grants, encryption, redirect and lock: what is set anew, and what is kept of the source."""
    headers = {f"x-amz-grant-{name}": ", ".join(map(_grantee, each)) for name, each in attributes.grants.items()}
    given = {
        "x-amz-acl": attributes.acl,
        ENCRYPTION: attributes.encryption,
        KMS_KEY: attributes.kms_key_id,
        BUCKET_KEY: None if attributes.bucket_key is None else str(attributes.bucket_key).lower(),
        REDIRECT: attributes.redirect,
        LOCK_MODE: attributes.lock_mode,
        RETAIN_UNTIL: attributes.retain_until,
        LEGAL_HOLD: None if attributes.legal_hold is None else ("ON" if attributes.legal_hold else "OFF"),
    }
    headers |= {name: str(value) for name, value in given.items() if value is not None}
    if source.acl is not None:
        headers |= grant_headers(source.acl)
    if source.head is not None:
        kept = _kept_names(attributes.keep)
        shown = {name: source.head.headers[name] for name in kept if name in source.head.headers}
        headers |= _without_ended_retention(shown, source.read_at_s)
    return headers


def wanted_metadata(attributes: CopyAttributes, head: ObjectHead | None) -> tuple[dict[str, str], dict[str, str]]:
    """Return the user metadata and the content headers that the copy shall have, as far as they are known."""
    metadata: dict[str, str] = {}
    content: dict[str, str] = {}
    if head is not None and attributes.metadata_directive is not MetadataDirective.REPLACE:
        metadata |= head.metadata
        content |= {name: head.headers[name] for name in CONTENT_HEADERS if name in head.headers}
    return metadata | dict(attributes.metadata), content | dict(attributes.content)


def metadata_headers(metadata: Mapping[str, str]) -> dict[str, str]:
    """Return user metadata as headers."""
    return {f"{_METADATA}{name}": value for name, value in metadata.items()}


def tag_headers(tags: Sequence[tuple[str, str]]) -> dict[str, str]:
    """Return tags as a header; nothing where they do not fit into one."""
    return {"x-amz-tagging": urlencode(tags)} if tags and fit_header(tags) else {}


def fit_header(tags: Sequence[tuple[str, str]]) -> bool:
    """Tell whether tags can be named in a header."""
    return len(urlencode(tags)) <= TAG_HEADER_BYTES


def require_all_shown(head: ObjectHead, headers: Mapping[str, str], what: str) -> None:
    """Refuse an object of which HEAD tells less than it has, or in bytes that would not be sent as they came.

    Raises:
        RefusedError: code ``MetadataNotShown``.
    """
    if head.missing_metadata:
        why = f"{head.missing_metadata} entries of its metadata cannot be shown as headers"
    elif any(not _is_text(value) for value in headers.values()):
        why = "its metadata is not UTF-8"
    else:
        return
    raise RefusedError(
        f"{what[0].upper()}{what[1:]} would lose metadata: {why}.",
        code="MetadataNotShown",
        way_out="One request keeps all metadata: copy it without --metadata, and with a --multipart-threshold above"
        " its size (up to 5 GiB).",
    )


def lost_attributes(
    attributes: CopyAttributes, headers: Mapping[str, str], target: ObjectHead, acl: ObjectAcl | None
) -> tuple[str, ...]:
    """Return the names of what was asked for in ``headers`` and is not shown at the target; empty: nothing is lost."""
    lost = [name for name in (ENCRYPTION, KMS_KEY, REDIRECT) if _differs(name, headers, target)]
    if LOCK_MODE in headers and not _has_retention(headers, target):
        lost.append(LOCK_MODE)
    if headers.get(LEGAL_HOLD, "OFF") == "ON" and target.headers.get(LEGAL_HOLD) != "ON":
        lost.append(LEGAL_HOLD)
    if headers.get("x-amz-metadata-directive") == "REPLACE":
        lost += [f"{_METADATA}{name}" for name in _lost_metadata(headers, target)]
        lost += [name for name in CONTENT_HEADERS if _differs(name, headers, target)]
    if acl is not None:
        lost += _lost_grants(attributes, headers, acl)
    return tuple(lost)


def _lost_metadata(headers: Mapping[str, str], target: ObjectHead) -> list[str]:
    wanted = {name[len(_METADATA) :]: value for name, value in headers.items() if name.startswith(_METADATA)}
    return [
        name for name in sorted(wanted.keys() | target.metadata.keys()) if wanted.get(name) != target.metadata.get(name)
    ]


def _lost_grants(attributes: CopyAttributes, headers: Mapping[str, str], acl: ObjectAcl) -> list[str]:
    """Return what the target's list does not say; of canned lists only those that are for everybody can be told."""
    group = _GROUP_OF_CANNED_ACL.get(attributes.acl or "")
    if group is not None and not any(grant.grantee == ("uri", group) for grant in acl.grants):
        return ["x-amz-acl"]
    shown = {(f"x-amz-grant-{grant.permission.lower().replace('_', '-')}", grant.grantee[1]) for grant in acl.grants}
    asked = [
        (name, grantee.partition("=")[2].strip('"'))
        for name, value in headers.items()
        if name.startswith("x-amz-grant-")
        for grantee in value.split(", ")
    ]
    return sorted({name for name, grantee in asked if (name, grantee) not in shown and "@" not in grantee})


def _differs(name: str, headers: Mapping[str, str], target: ObjectHead) -> bool:
    return name in headers and target.headers.get(name) != headers[name]


def _has_retention(headers: Mapping[str, str], target: ObjectHead) -> bool:
    """Tell whether the target is locked as asked: stores write the same moment in more than one way."""
    shown = target.headers.get(RETAIN_UNTIL)
    return (
        target.headers.get(LOCK_MODE) == headers[LOCK_MODE]
        and shown is not None
        and _moment_s(shown) == _moment_s(headers[RETAIN_UNTIL])
    )


def _kept_names(keep: frozenset[Keep]) -> tuple[str, ...]:
    names: tuple[str, ...] = ()
    if Keep.ENCRYPTION in keep:
        names += (ENCRYPTION, KMS_KEY, BUCKET_KEY)
    if Keep.REDIRECT in keep:
        names += (REDIRECT,)
    if Keep.LOCK in keep:
        names += (LOCK_MODE, RETAIN_UNTIL, LEGAL_HOLD)
    return names


def _without_ended_retention(shown: Mapping[str, str], now_s: float) -> dict[str, str]:
    """Leave out a retention that is over: it protects nothing any more, and S3 refuses to set one in the past."""
    is_over = RETAIN_UNTIL in shown and _moment_s(shown[RETAIN_UNTIL]) <= now_s
    return {name: value for name, value in shown.items() if not (is_over and name in {LOCK_MODE, RETAIN_UNTIL})}


def _moment_s(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp())


def _grantee(text: str) -> str:
    kind, _, name = text.partition("=")
    return f'{kind}="{name.strip(chr(34))}"'


def _is_text(value: str) -> bool:
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
