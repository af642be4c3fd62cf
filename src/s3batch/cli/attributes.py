"""From options to what copies shall have: words are read, checked against each other, and refused with a way out.

Pure; which of it a store keeps is found out when it is copied.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from typing import TypeVar

from s3batch.cli.options import Attributes
from s3batch.model.attributes import (
    CHECKSUM_ALGORITHMS,
    CONTENT_HEADERS,
    GRANT_PERMISSIONS,
    CopyAttributes,
    Encryption,
    Keep,
    LockMode,
    checked,
)
from s3batch.model.errors import UsageError

_Word = TypeVar("_Word", bound=StrEnum)


def copy_attributes(options: Attributes) -> CopyAttributes:
    """Return what the copies shall have.

    Raises:
        UsageError: code ``InvalidAttributes``: a word that is none, or attributes that exclude each other.
    """
    content = {name: getattr(options, name.replace("-", "_")) for name in CONTENT_HEADERS}
    hold = options.object_lock_legal_hold
    return checked(
        CopyAttributes(
            keep=_kept(options.keep or ()),
            metadata_directive=options.metadata_directive,
            metadata=_pairs("--metadata", options.metadata or ()),
            content={name: value for name, value in content.items() if value is not None},
            tags=_tags(options),
            acl=options.acl,
            grants=_grants(options.grant or ()),
            encryption=_word("--sse", options.sse, Encryption),
            kms_key_id=options.sse_kms_key_id,
            bucket_key=options.bucket_key,
            checksum_algorithm=_one_of("--checksum-algorithm", options.checksum_algorithm, CHECKSUM_ALGORITHMS),
            redirect=options.website_redirect,
            lock_mode=_word("--object-lock-mode", options.object_lock_mode, LockMode),
            retain_until=_moment(options.object_lock_retain_until),
            legal_hold=None if hold is None else _one_of("--object-lock-legal-hold", hold, ("on", "off")) == "on",
        )
    )


def _kept(words: Sequence[str]) -> frozenset[Keep]:
    if "all" in words:
        return frozenset(Keep)
    return frozenset(Keep(_one_of("--keep", word, [*Keep, "all"]) or word) for word in words)


def _tags(options: Attributes) -> dict[str, str] | None:
    if options.no_tags and options.tag:
        raise _refused("--no-tags and --tag exclude each other.", "Give one of them.")
    if options.no_tags:
        return {}
    return _pairs("--tag", options.tag) if options.tag else None


def _pairs(option: str, texts: Iterable[str]) -> dict[str, str]:
    """Return names and values; a value may hold further ``=``."""
    pairs: dict[str, str] = {}
    for text in texts:
        name, sign, value = text.partition("=")
        if not sign or not name:
            raise _refused(f"{option} {text!r} has no name and value.", f"Write {option} NAME=VALUE.")
        if name in pairs:
            raise _refused(f"{option} names {name!r} twice.", "Give each name once.")
        pairs[name] = value
    return pairs


def _grants(texts: Iterable[str]) -> dict[str, tuple[str, ...]]:
    grants: dict[str, tuple[str, ...]] = {}
    for text in texts:
        permission, _, grantee = text.partition("=")
        _one_of("--grant", permission, GRANT_PERMISSIONS)
        kind, sign, name = grantee.partition("=")
        if not sign or not name or kind not in {"id", "uri", "emailAddress"}:
            raise _refused(
                f"--grant {text!r} names no grantee.",
                f"Write {permission}=id=ID, {permission}=uri=URI or {permission}=emailAddress=ADDRESS.",
            )
        grants[permission] = (*grants.get(permission, ()), grantee)
    return grants


def _word(option: str, text: str | None, words: type[_Word]) -> _Word | None:
    return None if text is None else words(_one_of(option, text, list(words)) or text)


def _one_of(option: str, text: str | None, words: Sequence[str]) -> str | None:
    """Return the word as it is spelt, whatever its case was."""
    if text is None:
        return None
    found = next((word for word in words if word.lower() == text.lower()), None)
    if found is None:
        raise _refused(f"{option} {text!r} is unknown.", f"Give one of {', '.join(words)}.")
    return str(found)


def _moment(text: str | None) -> str | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise _refused(f"{text!r} is not a time.", "Write 2030-01-01T00:00:00Z.") from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _refused(what: str, way_out: str) -> UsageError:
    return UsageError(what, code="InvalidAttributes", way_out=way_out)
