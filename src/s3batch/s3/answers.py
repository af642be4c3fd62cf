"""What a store's answers say, as values.

ETags are held without quotes, keys decoded, sizes in bytes, times in milliseconds since the epoch (UTC); a listing
keeps its times as the text that the store sent, because they are converted in bulk. Nothing is parsed here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field


@dataclass(frozen=True, kw_only=True, slots=True)
class ObjectHead:
    """What HEAD, and the headers of GET, tell about one object."""

    size: int
    """Of the whole object, also where a range was asked for; of the part, where a part number was."""
    etag: str
    last_modified_ms: int
    storage_class: str = "STANDARD"
    version_id: str | None = None
    metadata: Mapping[str, str] = field(default_factory=dict)
    """User metadata, names in lower case without ``x-amz-meta-``."""
    missing_metadata: int = 0
    """How much user metadata the store has but cannot send as headers (``x-amz-missing-meta``)."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """The other headers that belong to the object (content type, encryption, lock, ...), names in lower case."""
    checksums: Mapping[str, str] = field(default_factory=dict)
    """Value by algorithm, named as S3 does: ``CRC64NVME``, ``SHA256``, ..."""
    checksum_type: str | None = None
    """``FULL_OBJECT`` or ``COMPOSITE``."""
    parts_count: int | None = None
    tag_count: int = 0
    delete_marker: bool = False
    restore: str | None = None
    """The text of ``x-amz-restore``."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ListPage:
    """One page of a listing, in columns; all of the same length but ``common_prefixes``."""

    keys: list[str]
    sizes: list[int]
    etags: list[str]
    last_modified: list[str]
    """As sent, ISO 8601 with a Z."""
    storage_classes: list[str]
    is_truncated: bool
    next_token: str | None = None
    common_prefixes: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True, slots=True)
class ObjectVersion:
    """One version or delete marker, as ListObjectVersions tells it."""

    key: str
    version_id: str
    is_latest: bool
    is_delete_marker: bool
    last_modified: str
    etag: str = ""
    size: int = 0
    storage_class: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class VersionsPage:
    """One page of versions, in the store's order: keys ascending, the newest version of a key first."""

    versions: list[ObjectVersion]
    is_truncated: bool
    next_key_marker: str | None = None
    next_version_id_marker: str | None = None
    common_prefixes: list[str] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True, slots=True)
class Grant:
    """One grant of an object's access control list."""

    permission: str
    """``FULL_CONTROL``, ``READ``, ``READ_ACP`` or ``WRITE_ACP``."""
    grantee: tuple[str, str]
    """Kind (``id``, ``uri``, ``emailAddress``) and name."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ObjectAcl:
    """An object's access control list."""

    owner_id: str
    grants: tuple[Grant, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class PutResult:
    """What a write of a whole object answered."""

    etag: str
    version_id: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class CopyResult:
    """What CopyObject or CompleteMultipartUpload answered."""

    etag: str
    version_id: str | None = None
    source_version_id: str | None = None
    last_modified_ms: int | None = None
    """``None`` where the answer has no time (CompleteMultipartUpload)."""
    checksums: Mapping[str, str] = field(default_factory=dict)
    checksum_type: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class DeleteResult:
    """What DeleteObject answered; a key that was not there is answered the same way."""

    delete_marker: bool
    version_id: str | None = None
    """With ``delete_marker`` and no version id in the request: the marker that was made."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DeleteKey:
    """One key of a DeleteObjects request; ``etag`` is the condition under which it may go."""

    key: str
    version_id: str | None = None
    etag: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class DeletedKey:
    """The store says that it deleted this key (or that it was not there: the answer is the same)."""

    key: str
    version_id: str | None = None
    """As in the request."""
    delete_marker: bool = False
    delete_marker_version_id: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class DeleteError:
    """The store says that it did not delete this key."""

    key: str
    version_id: str | None = None
    code: str
    message: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class Unknown:
    """The answer does not mention this key: read it again before saying anything (safety.md rule 18)."""

    key: str
    version_id: str | None = None


DeleteOutcome = DeletedKey | DeleteError | Unknown


@dataclass(frozen=True, kw_only=True, slots=True)
class DeleteBatch:
    """The answer to one DeleteObjects request, by position in the request; what is in neither map was deleted."""

    marker_ids: list[str | None]
    """For each key: the delete marker that was made, if one was."""
    errors: Mapping[int, DeleteError]
    unknown: frozenset[int] = frozenset()
    """Positions that the answer does not mention."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PartResult:
    """What UploadPart or UploadPartCopy answered."""

    part_number: int
    etag: str
    checksums: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class ObjectPart:
    """One part of an object that was uploaded in parts, or of an upload that is not complete."""

    part_number: int
    size: int
    etag: str = ""
    """Only ListParts tells it."""
    checksums: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True, slots=True)
class ObjectAttributes:
    """What GetObjectAttributes tells; members that the store left out are ``None`` or empty."""

    etag: str
    size: int | None = None
    storage_class: str = "STANDARD"
    version_id: str | None = None
    last_modified_ms: int | None = None
    checksums: Mapping[str, str] = field(default_factory=dict)
    checksum_type: str | None = None
    parts_count: int | None = None
    parts: Sequence[ObjectPart] = ()
    next_part_number_marker: int | None = None
    """Where the next page of parts begins; ``None`` on the last."""


@dataclass(frozen=True, kw_only=True, slots=True)
class MultipartUpload:
    """An upload that was begun and neither completed nor aborted."""

    key: str
    upload_id: str
    initiated: str


@dataclass(frozen=True, kw_only=True, slots=True)
class UploadsPage:
    """One page of uploads under way."""

    uploads: list[MultipartUpload]
    is_truncated: bool
    next_key_marker: str | None = None
    next_upload_id_marker: str | None = None


@dataclass(frozen=True, kw_only=True, slots=True)
class PartsPage:
    """One page of an upload's parts."""

    parts: list[ObjectPart]
    is_truncated: bool
    next_part_number_marker: int | None = None
