"""What copies shall be beyond their bytes: which attributes of the source are kept, and which are set anew.

Pure values, checked against each other. One CopyObject keeps user metadata, content headers, Expires, tags and the
checksum algorithm by itself, and the storage class because it is always named. Nothing else of an object is kept
unless it is read from the source first; :class:`Keep` names what can be.

Facts: CopyObject, CreateMultipartUpload and PutObjectTagging API references, S3 User Guide "Copying, moving, and
renaming objects", read 2026-11.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from enum import StrEnum
from typing import Any, Self

from s3batch.model.errors import UsageError

MAX_TAGS = 10
MAX_TAG_KEY_CHARACTERS = 128
MAX_TAG_VALUE_CHARACTERS = 256
"""Of one object ("Categorizing your storage using tags", S3 User Guide, read 2026-11)."""

MAX_METADATA_BYTES = 2048
"""Names and values of an object's user metadata together ("Working with object metadata", read 2026-11)."""

CANNED_ACLS = (
    "private",
    "public-read",
    "public-read-write",
    "authenticated-read",
    "aws-exec-read",
    "bucket-owner-read",
    "bucket-owner-full-control",
)
GRANT_PERMISSIONS = ("read", "read-acp", "write-acp", "full-control")
CHECKSUM_ALGORITHMS = ("CRC64NVME", "CRC32", "CRC32C", "SHA1", "SHA256")
CONTENT_HEADERS = (
    "content-type",
    "cache-control",
    "content-disposition",
    "content-encoding",
    "content-language",
    "expires",
)

_TOKEN = re.compile(r"[!#$%&'*+\-.^_`|~0-9a-z]+")
"""What a header's name is made of (RFC 9110, section 5.6.2), in lower case."""

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")


class Keep(StrEnum):
    """An attribute that S3 does not keep by itself in a copy; each costs a read of each source."""

    ACL = "acl"
    """Grants, by GetObjectAcl."""
    ENCRYPTION = "encryption"
    """Kind of server-side encryption, KMS key and bucket key; else the target bucket's default."""
    LOCK = "lock"
    """Object Lock mode, retention and legal hold."""
    REDIRECT = "redirect"
    """The website redirect."""
    TAGS = "tags"
    """Read and put explicitly, for stores that lose the tags of a copy in silence (Ceph RGW 16.2, where
    metadata is replaced)."""


class Attribute(StrEnum):
    """What verify can compare beside the bytes."""

    METADATA = "metadata"
    """User metadata, content headers, Expires and the website redirect."""
    STORAGE_CLASS = "storage-class"
    TAGS = "tags"


class MetadataDirective(StrEnum):
    """Where the metadata and content headers of a copy come from."""

    COPY = "copy"
    """From the source, all of them."""
    REPLACE = "replace"
    """From the job alone; what it does not name is gone."""
    MERGE = "merge"
    """From the source, read first, with what the job names in its place."""


class Encryption(StrEnum):
    """Server-side encryption that can be asked for by name."""

    AES256 = "AES256"
    KMS = "aws:kms"
    DSSE = "aws:kms:dsse"


class LockMode(StrEnum):
    """Modes of Object Lock."""

    GOVERNANCE = "GOVERNANCE"
    COMPLIANCE = "COMPLIANCE"


@dataclass(frozen=True, kw_only=True, slots=True)
class CopyAttributes:
    """What copies shall have. ``None`` and empty leave an attribute to the source or, where S3 does, to the bucket."""

    keep: frozenset[Keep] = frozenset()
    metadata_directive: MetadataDirective = MetadataDirective.COPY
    metadata: Mapping[str, str] = field(default_factory=dict)
    """User metadata by name, in lower case without ``x-amz-meta-``."""
    content: Mapping[str, str] = field(default_factory=dict)
    """Content headers by name, of :data:`CONTENT_HEADERS`."""
    tags: Mapping[str, str] | None = None
    """The copies' tags in place of the sources'; an empty mapping takes all away."""
    acl: str | None = None
    grants: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Grantees (``id=...``, ``uri=...``, ``emailAddress=...``) by permission, of :data:`GRANT_PERMISSIONS`."""
    encryption: Encryption | None = None
    kms_key_id: str | None = None
    bucket_key: bool | None = None
    checksum_algorithm: str | None = None
    redirect: str | None = None
    lock_mode: LockMode | None = None
    retain_until: str | None = None
    """ISO 8601, UTC, as S3 takes it."""
    legal_hold: bool | None = None

    @property
    def reads_sources(self) -> bool:
        """Tell whether each source has to be read before it is copied."""
        return bool(self.keep) or self.metadata_directive is MetadataDirective.MERGE

    @classmethod
    def from_members(cls, raw: Mapping[str, Any]) -> Self:
        """Return the value from its JSON form.

        Raises:
            TypeError, ValueError: a member or a word that this version does not know.
        """
        known = {**raw, "keep": frozenset(map(Keep, raw.get("keep", ())))}
        for name, kind in (
            ("metadata_directive", MetadataDirective),
            ("encryption", Encryption),
            ("lock_mode", LockMode),
        ):
            if known.get(name) is not None:
                known[name] = kind(known[name])
        known["grants"] = {name: tuple(grantees) for name, grantees in raw.get("grants", {}).items()}
        return cls(**known)

    def to_members(self) -> dict[str, Any]:
        """Return the JSON form; only what differs from the default."""
        members = {
            each.name: getattr(self, each.name)
            for each in fields(self)
            if getattr(self, each.name) != getattr(AS_SOURCES, each.name)
        }
        if "keep" in members:
            members["keep"] = sorted(self.keep)
        return members


AS_SOURCES = CopyAttributes()
"""What S3 keeps by itself, and nothing anew."""


def checked(attributes: CopyAttributes) -> CopyAttributes:
    """Return the attributes with names in one form, if they can be had together.

    Raises:
        UsageError: code ``InvalidAttributes``; says which option is wrong and what to write.
    """
    attributes = replace(
        attributes, metadata={name.strip().lower(): value for name, value in attributes.metadata.items()}
    )
    _check_text(attributes)
    _check_metadata(attributes)
    _check_tags(attributes)
    _check_access(attributes)
    _check_encryption(attributes)
    _check_lock(attributes)
    return attributes


def _check_text(attributes: CopyAttributes) -> None:
    """Refuse what no header can carry before anything is begun."""
    if name := next((name for name in attributes.metadata if not _TOKEN.fullmatch(name)), None):
        raise _refused(f"{name!r} is no name of metadata.", "Use letters, digits and -_.!#$%&'*+^`|~ only.")
    texts = {**attributes.metadata, **attributes.content, "redirect": attributes.redirect or ""}
    texts |= {
        "key": attributes.kms_key_id or "",
        **{f"--grant {name}": "".join(each) for name, each in attributes.grants.items()},
    }
    if name := next((name for name, text in texts.items() if _CONTROL.search(text)), None):
        raise _refused(f"The value of {name} has a line break or another control character.", "Leave it out.")


def _check_metadata(attributes: CopyAttributes) -> None:
    if attributes.metadata_directive is MetadataDirective.COPY and (attributes.metadata or attributes.content):
        raise _refused(
            "Metadata or content headers are given, but they are copied from the sources.",
            "Add --metadata-directive merge to change these and keep the others, or replace to drop the others.",
        )
    total = sum(len(name) + len(value.encode()) for name, value in attributes.metadata.items())
    if total > MAX_METADATA_BYTES:
        raise _refused(
            f"The metadata has {total:,} bytes; S3 takes {MAX_METADATA_BYTES:,}.", "Shorten names or values."
        )


def _check_tags(attributes: CopyAttributes) -> None:
    tags = attributes.tags
    if tags is None:
        return
    if Keep.TAGS in attributes.keep:
        raise _refused("Tags are to be kept and to be set anew.", "Leave out --keep tags or --tag.")
    if len(tags) > MAX_TAGS:
        raise _refused(f"{len(tags)} tags are given; an object has at most {MAX_TAGS}.", "Leave some out.")
    for name, value in tags.items():
        if not 0 < len(name) <= MAX_TAG_KEY_CHARACTERS or len(value) > MAX_TAG_VALUE_CHARACTERS:
            raise _refused(
                f"The tag {name!r}={value!r} is too long or has no name.",
                f"Names have 1 to {MAX_TAG_KEY_CHARACTERS} characters, values at most {MAX_TAG_VALUE_CHARACTERS}.",
            )


def _check_access(attributes: CopyAttributes) -> None:
    ways = [
        name
        for name, is_given in (
            ("--keep acl", Keep.ACL in attributes.keep),
            ("--acl", attributes.acl is not None),
            ("--grant", bool(attributes.grants)),
        )
        if is_given
    ]
    if len(ways) > 1:
        raise _refused(f"{' and '.join(ways)} exclude each other.", "Give one of them.")
    if attributes.acl is not None and attributes.acl not in CANNED_ACLS:
        raise _refused(f"{attributes.acl!r} is no canned ACL.", f"Give one of {', '.join(CANNED_ACLS)}.")


def _check_encryption(attributes: CopyAttributes) -> None:
    if attributes.encryption is not None and Keep.ENCRYPTION in attributes.keep:
        raise _refused("Encryption is to be kept and to be set anew.", "Leave out --keep encryption or --sse.")
    is_kms = attributes.encryption in {Encryption.KMS, Encryption.DSSE}
    if (attributes.kms_key_id is not None or attributes.bucket_key) and not is_kms:
        raise _refused("A KMS key is given without encryption by KMS.", "Add --sse aws:kms.")


def _check_lock(attributes: CopyAttributes) -> None:
    has_lock = attributes.lock_mode is not None or attributes.legal_hold is not None
    if has_lock and Keep.LOCK in attributes.keep:
        raise _refused("The lock is to be kept and to be set anew.", "Leave out --keep lock or --object-lock-....")
    if (attributes.lock_mode is None) is not (attributes.retain_until is None):
        raise _refused(
            "A retention has a mode and an end.",
            "Give both --object-lock-mode and --object-lock-retain-until, or neither.",
        )


def _refused(what: str, way_out: str) -> UsageError:
    return UsageError(what, code="InvalidAttributes", way_out=way_out)
