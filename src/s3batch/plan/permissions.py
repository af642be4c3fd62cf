"""Which permissions each step of a job needs, and why: one table, derived from the calls that the code makes.

In: what is asked of a job, as :class:`PolicyRequest`. Out: the rows of :data:`PERMISSIONS` that it needs. Pure;
documents are made of them in ``policy_document``. A test holds every call of ``s3/`` against the table, so that a new
call cannot be added without saying what it needs.

Facts: which action an API operation needs is from the Service Authorization Reference ("API operations defined by
Amazon S3") and the pages of the API reference, read 2026-11; conditional deletes from "How to perform conditional
deletes", KMS from "Uploading and copying objects using multipart upload".
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final

from s3batch.model.attributes import AS_SOURCES, Attribute, CopyAttributes, Keep
from s3batch.model.job import Level
from s3batch.model.objects import S3Object, S3Prefix


class Step(StrEnum):
    """What somebody is to be able to do."""

    MANIFEST = "manifest"
    """``manifest create``: list the source, and write the manifest."""
    CHECK = "check"
    PLAN = "plan"
    """Dry runs of all steps: everything is read, nothing is written."""
    COPY = "copy"
    VERIFY = "verify"
    DELETE = "delete"
    MOVE = "move"
    """Copy, verify and delete by one user."""
    UNDO = "undo"


class Place(StrEnum):
    """Where a permission is about, in the order of a policy."""

    SOURCE = "source"
    TARGET = "target"
    MANIFEST = "manifest"
    REPORT = "report"


class Scope(StrEnum):
    """What of a place a permission is about, in the order of a policy."""

    LIST = "List"
    """The bucket, for listings below the prefix."""
    BUCKET = "Bucket"
    """The bucket as such."""
    OBJECTS = "Objects"
    """Objects below the prefix."""
    KEY = "Key"
    """The KMS key of the bucket's objects."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PolicyRequest:
    """What a policy is wanted for."""

    step: Step
    source: S3Prefix
    target: S3Prefix | None = None
    """``None`` for what has no target: an unverified delete, an undo."""
    manifest: S3Object | None = None
    """A manifest in a bucket: read, or written by the step ``manifest``."""
    report: S3Prefix | None = None
    attributes: CopyAttributes = AS_SOURCES
    compared: frozenset[Attribute] = frozenset()
    level: Level = Level.ETAG
    skips_same: bool = False
    """``--if-target-exists skip-if-same``: what is at the target is compared in all that a copy would have."""
    names_versions: bool = False
    """The manifest names versions."""
    is_target_versioned: bool = False
    is_aws: bool = True
    """On other stores what is asked for of a copy is put and looked at by requests of its own."""
    lists_whole_bucket: bool = False
    """Listings are not restricted to the prefixes."""
    kms_key_by_place: Mapping[Place, str] = field(default_factory=dict)

    @property
    def takes_tags_of_source(self) -> bool:
        """Tell whether copies have the tags of their sources."""
        return self.attributes.tags is None

    @property
    def sets_acl(self) -> bool:
        """Tell whether copies get grants."""
        return Keep.ACL in self.attributes.keep or self.attributes.acl is not None or bool(self.attributes.grants)

    @property
    def sets_retention(self) -> bool:
        """Tell whether copies get a retention."""
        return Keep.LOCK in self.attributes.keep or self.attributes.lock_mode is not None

    @property
    def sets_legal_hold(self) -> bool:
        """Tell whether copies get a legal hold."""
        return Keep.LOCK in self.attributes.keep or bool(self.attributes.legal_hold)

    @property
    def looks_at_copies(self) -> bool:
        """Tell whether what was asked for is looked at at the target, not taken on trust."""
        return not self.is_aws or self.skips_same


Predicate = Callable[[PolicyRequest], bool]


def _always(_: PolicyRequest) -> bool:
    return True


@dataclass(frozen=True, kw_only=True, slots=True)
class Permission:
    """One action at one place, and why it is needed."""

    action: str
    place: Place
    scope: Scope
    steps: frozenset[Step]
    why: str
    calls: tuple[str, ...]
    """The operations of ``s3/`` that are refused, or tell less, without it."""
    when: Predicate = _always


def needed_permissions(request: PolicyRequest) -> tuple[Permission, ...]:
    """Return the rows of the table that a request needs, in the order of the table."""
    return tuple(
        each for each in PERMISSIONS if request.step in each.steps and _has_place(request, each) and each.when(request)
    )


def _has_place(request: PolicyRequest, permission: Permission) -> bool:
    place_is_there = {
        Place.SOURCE: True,
        Place.TARGET: request.target is not None,
        Place.MANIFEST: request.manifest is not None,
        Place.REPORT: request.report is not None,
    }[permission.place]
    return place_is_there and (permission.scope is not Scope.KEY or permission.place in request.kms_key_by_place)


_COPIES: Final = frozenset({Step.COPY, Step.MOVE})
_VERIFIES: Final = frozenset({Step.VERIFY, Step.MOVE})
_DELETES: Final = frozenset({Step.DELETE, Step.MOVE})
_JOBS: Final = frozenset({Step.COPY, Step.VERIFY, Step.DELETE, Step.MOVE, Step.UNDO})
_LOOKS: Final = frozenset({Step.CHECK, Step.PLAN})
_ON_SOURCE: Final = frozenset(Step)
_ON_TARGET: Final = _LOOKS | _COPIES | _VERIFIES | _DELETES
_READS: Final = ("HeadObject", "GetObject")


def _tags_are_read(request: PolicyRequest) -> bool:
    """Tell whether a copy or a comparison reads the tags of sources."""
    copies = request.step in _COPIES and request.takes_tags_of_source
    compares = request.step in _VERIFIES and Attribute.TAGS in request.compared and request.takes_tags_of_source
    return copies or compares or request.step is Step.CHECK


def _tags_of_target_are_read(request: PolicyRequest) -> bool:
    """Tell whether tags at the target are read; where it keeps versions, verify reads those of a version."""
    compares = request.step in _VERIFIES and Attribute.TAGS in request.compared and not request.is_target_versioned
    return compares or (request.step in _COPIES and request.skips_same)


def _tags_may_be_taken_away(request: PolicyRequest) -> bool:
    """Tell whether an empty set of tags is put, which is a call of its own."""
    return not request.is_aws and (request.attributes.tags == {} or Keep.TAGS in request.attributes.keep)


def _parts_are_compared(request: PolicyRequest) -> bool:
    return request.level is not Level.BYTES


def _versions_of_copies_are_read(request: PolicyRequest) -> bool:
    """Tell whether a copy is looked at by the id of its version."""
    return request.is_target_versioned and not request.is_aws and request.attributes != AS_SOURCES


PERMISSIONS: Final = (
    # ------------------------------------------------------------------------------------------------------ the source
    Permission(
        action="s3:ListBucket",
        place=Place.SOURCE,
        scope=Scope.LIST,
        steps=_ON_SOURCE,
        why="lists objects below the prefix, and asks for the store's time",
        calls=("ListObjectsV2", "HeadBucket"),
    ),
    Permission(
        action="s3:ListBucketVersions",
        place=Place.SOURCE,
        scope=Scope.LIST,
        steps=_DELETES,
        why="finds the delete marker of a delete whose answer was lost, for an undo",
        calls=("ListObjectVersions",),
    ),
    Permission(
        action="s3:ListBucketVersions",
        place=Place.SOURCE,
        scope=Scope.LIST,
        steps=frozenset({Step.UNDO}),
        why="lists what is below a delete marker before it is removed",
        calls=("ListObjectVersions",),
    ),
    Permission(
        action="s3:GetBucketVersioning",
        place=Place.SOURCE,
        scope=Scope.BUCKET,
        steps=_DELETES | _LOOKS,
        why="a delete is refused where versioning is suspended, or not known",
        calls=("GetBucketVersioning",),
    ),
    Permission(
        action="s3:GetBucketNotification",
        place=Place.SOURCE,
        scope=Scope.BUCKET,
        steps=_DELETES | _LOOKS,
        why="the plan tells to whom deletes send events",
        calls=("GetBucketNotificationConfiguration",),
    ),
    Permission(
        action="s3:GetReplicationConfiguration",
        place=Place.SOURCE,
        scope=Scope.BUCKET,
        steps=_DELETES | _LOOKS,
        why="the plan tells where delete markers are replicated to",
        calls=("GetBucketReplication",),
    ),
    Permission(
        action="s3:GetBucketRequestPayment",
        place=Place.SOURCE,
        scope=Scope.BUCKET,
        steps=_DELETES | _LOOKS,
        why="the plan tells that requests are paid by who sends them",
        calls=("GetBucketRequestPayment",),
    ),
    Permission(
        action="s3:GetObject",
        place=Place.SOURCE,
        scope=Scope.OBJECTS,
        steps=_COPIES | _LOOKS,
        why="reads the sources of copies; HEAD of single objects",
        calls=(*_READS, "CopyObject", "UploadPartCopy"),
    ),
    Permission(
        action="s3:GetObject",
        place=Place.SOURCE,
        scope=Scope.OBJECTS,
        steps=frozenset({Step.VERIFY}),
        why="compares originals, by HEAD or byte by byte",
        calls=_READS,
    ),
    Permission(
        action="s3:GetObject",
        place=Place.SOURCE,
        scope=Scope.OBJECTS,
        steps=_DELETES,
        why="HEAD before each delete; S3 asks for it too where a delete is conditional on an ETag",
        calls=("HeadObject", "DeleteObject", "DeleteObjects"),
    ),
    Permission(
        action="s3:GetObjectVersion",
        place=Place.SOURCE,
        scope=Scope.OBJECTS,
        steps=_COPIES | _VERIFIES | _LOOKS,
        why="reads the versions that the manifest names",
        calls=(*_READS, "CopyObject", "UploadPartCopy"),
        when=lambda request: request.names_versions,
    ),
    Permission(
        action="s3:GetObjectAttributes",
        place=Place.SOURCE,
        scope=Scope.OBJECTS,
        steps=_COPIES,
        why="tells part sizes, so that copies in parts have their sources' ETags",
        calls=("GetObjectAttributes",),
    ),
    Permission(
        action="s3:GetObjectAttributes",
        place=Place.SOURCE,
        scope=Scope.OBJECTS,
        steps=_VERIFIES,
        why="tells part sizes, so that checksums of parts can be compared",
        calls=("GetObjectAttributes",),
        when=_parts_are_compared,
    ),
    Permission(
        action="s3:GetObjectVersionAttributes",
        place=Place.SOURCE,
        scope=Scope.OBJECTS,
        steps=_COPIES | _VERIFIES,
        why="part sizes of the versions that the manifest names",
        calls=("GetObjectAttributes",),
        when=lambda request: request.names_versions and (request.step in _COPIES or _parts_are_compared(request)),
    ),
    Permission(
        action="s3:GetObjectTagging",
        place=Place.SOURCE,
        scope=Scope.OBJECTS,
        steps=_COPIES | _VERIFIES | {Step.CHECK},
        why="a copy takes the source's tags along, and fails where it may not; --with-tags compares them",
        calls=("GetObjectTagging", "CopyObject"),
        when=_tags_are_read,
    ),
    Permission(
        action="s3:GetObjectVersionTagging",
        place=Place.SOURCE,
        scope=Scope.OBJECTS,
        steps=_COPIES | _VERIFIES,
        why="tags of the versions that the manifest names",
        calls=("GetObjectTagging", "CopyObject"),
        when=lambda request: request.names_versions and _tags_are_read(request),
    ),
    Permission(
        action="s3:GetObjectAcl",
        place=Place.SOURCE,
        scope=Scope.OBJECTS,
        steps=_COPIES,
        why="--keep acl reads grants",
        calls=("GetObjectAcl",),
        when=lambda request: Keep.ACL in request.attributes.keep,
    ),
    Permission(
        action="s3:GetObjectVersionAcl",
        place=Place.SOURCE,
        scope=Scope.OBJECTS,
        steps=_COPIES,
        why="grants of the versions that the manifest names",
        calls=("GetObjectAcl",),
        when=lambda request: request.names_versions and Keep.ACL in request.attributes.keep,
    ),
    Permission(
        action="s3:GetObjectRetention",
        place=Place.SOURCE,
        scope=Scope.OBJECTS,
        steps=_COPIES,
        why="--keep lock: HEAD tells a retention only to who may read it",
        calls=("HeadObject",),
        when=lambda request: Keep.LOCK in request.attributes.keep,
    ),
    Permission(
        action="s3:GetObjectLegalHold",
        place=Place.SOURCE,
        scope=Scope.OBJECTS,
        steps=_COPIES,
        why="--keep lock: HEAD tells a legal hold only to who may read it",
        calls=("HeadObject",),
        when=lambda request: Keep.LOCK in request.attributes.keep,
    ),
    Permission(
        action="s3:DeleteObject",
        place=Place.SOURCE,
        scope=Scope.OBJECTS,
        steps=_DELETES,
        why="deletes originals; with versioning this puts a marker, and no version is deleted",
        calls=("DeleteObject", "DeleteObjects"),
    ),
    Permission(
        action="s3:DeleteObjectVersion",
        place=Place.SOURCE,
        scope=Scope.OBJECTS,
        steps=frozenset({Step.UNDO}),
        why="removes the delete markers that a job recorded; S3 has no action for markers alone",
        calls=("DeleteObject", "DeleteObjects"),
    ),
    Permission(
        action="kms:Decrypt",
        place=Place.SOURCE,
        scope=Scope.KEY,
        steps=_COPIES | _VERIFIES | {Step.CHECK},
        why="reads originals that the key encrypts",
        calls=("CopyObject", "UploadPartCopy", "GetObject"),
    ),
    # ------------------------------------------------------------------------------------------------------ the target
    Permission(
        action="s3:ListBucket",
        place=Place.TARGET,
        scope=Scope.LIST,
        steps=_ON_TARGET,
        why="lists what is at the target: before copies, to verify, and before deletes",
        calls=("ListObjectsV2",),
    ),
    Permission(
        action="s3:GetBucketVersioning",
        place=Place.TARGET,
        scope=Scope.BUCKET,
        steps=_COPIES | _LOOKS,
        why="the plan tells of suspended versioning",
        calls=("GetBucketVersioning",),
    ),
    Permission(
        action="s3:GetLifecycleConfiguration",
        place=Place.TARGET,
        scope=Scope.BUCKET,
        steps=_COPIES | _LOOKS,
        why="a job is refused where a rule would delete its copies",
        calls=("GetBucketLifecycleConfiguration",),
    ),
    Permission(
        action="s3:GetBucketNotification",
        place=Place.TARGET,
        scope=Scope.BUCKET,
        steps=_COPIES | _LOOKS,
        why="the plan tells to whom copies send events",
        calls=("GetBucketNotificationConfiguration",),
    ),
    Permission(
        action="s3:GetReplicationConfiguration",
        place=Place.TARGET,
        scope=Scope.BUCKET,
        steps=_COPIES | _LOOKS,
        why="the plan tells where copies are replicated to",
        calls=("GetBucketReplication",),
    ),
    Permission(
        action="s3:GetEncryptionConfiguration",
        place=Place.TARGET,
        scope=Scope.BUCKET,
        steps=_COPIES | _LOOKS,
        why="the plan tells of an encryption that changes ETags",
        calls=("GetBucketEncryption",),
    ),
    Permission(
        action="s3:GetBucketObjectLockConfiguration",
        place=Place.TARGET,
        scope=Scope.BUCKET,
        steps=_COPIES | _LOOKS,
        why="the plan tells of a default retention",
        calls=("GetObjectLockConfiguration",),
    ),
    Permission(
        action="s3:GetObject",
        place=Place.TARGET,
        scope=Scope.OBJECTS,
        steps=_COPIES,
        why="HEAD of what is at the target: taken keys, lost answers",
        calls=("HeadObject",),
    ),
    Permission(
        action="s3:GetObject",
        place=Place.TARGET,
        scope=Scope.OBJECTS,
        steps=_VERIFIES,
        why="compares copies, by HEAD or byte by byte",
        calls=_READS,
    ),
    Permission(
        action="s3:GetObject",
        place=Place.TARGET,
        scope=Scope.OBJECTS,
        steps=_DELETES,
        why="HEAD of copies before their originals are deleted",
        calls=("HeadObject",),
    ),
    Permission(
        action="s3:GetObjectVersion",
        place=Place.TARGET,
        scope=Scope.OBJECTS,
        steps=_COPIES,
        why="HEAD of the version that a copy made",
        calls=("HeadObject",),
        when=_versions_of_copies_are_read,
    ),
    Permission(
        action="s3:GetObjectAttributes",
        place=Place.TARGET,
        scope=Scope.OBJECTS,
        steps=_VERIFIES,
        why="tells part sizes, so that checksums of parts can be compared",
        calls=("GetObjectAttributes",),
        when=_parts_are_compared,
    ),
    Permission(
        action="s3:GetObjectTagging",
        place=Place.TARGET,
        scope=Scope.OBJECTS,
        steps=_COPIES | _VERIFIES,
        why="--with-tags compares the copies' tags, and skip-if-same those of what is at the target",
        calls=("GetObjectTagging",),
        when=_tags_of_target_are_read,
    ),
    Permission(
        action="s3:GetObjectVersionTagging",
        place=Place.TARGET,
        scope=Scope.OBJECTS,
        steps=_VERIFIES,
        why="--with-tags reads the tags of the version that was verified",
        calls=("GetObjectTagging",),
        when=lambda request: request.is_target_versioned and Attribute.TAGS in request.compared,
    ),
    Permission(
        action="s3:PutObject",
        place=Place.TARGET,
        scope=Scope.OBJECTS,
        steps=_COPIES,
        why="writes copies, in one request or in parts",
        calls=("CopyObject", "CreateMultipartUpload", "UploadPartCopy", "CompleteMultipartUpload"),
    ),
    Permission(
        action="s3:AbortMultipartUpload",
        place=Place.TARGET,
        scope=Scope.OBJECTS,
        steps=_COPIES,
        why="drops the parts of a copy that failed or was stopped; else they stay and are billed",
        calls=("AbortMultipartUpload",),
    ),
    Permission(
        action="s3:PutObjectTagging",
        place=Place.TARGET,
        scope=Scope.OBJECTS,
        steps=_COPIES,
        why="copies have tags",
        calls=("CopyObject", "CreateMultipartUpload", "PutObjectTagging"),
        when=lambda request: request.attributes.tags != {},
    ),
    Permission(
        action="s3:PutObjectVersionTagging",
        place=Place.TARGET,
        scope=Scope.OBJECTS,
        steps=_COPIES,
        why="tags that a copy's header cannot carry are put on the version that it made",
        calls=("PutObjectTagging",),
        when=lambda request: request.is_target_versioned and request.attributes.tags != {},
    ),
    Permission(
        action="s3:DeleteObjectTagging",
        place=Place.TARGET,
        scope=Scope.OBJECTS,
        steps=_COPIES,
        why="on a store other than AWS copies without tags (--no-tags; --keep tags) have theirs taken away",
        calls=("DeleteObjectTagging",),
        when=_tags_may_be_taken_away,
    ),
    Permission(
        action="s3:DeleteObjectVersionTagging",
        place=Place.TARGET,
        scope=Scope.OBJECTS,
        steps=_COPIES,
        why="the same, of the version that a copy made",
        calls=("DeleteObjectTagging",),
        when=lambda request: request.is_target_versioned and _tags_may_be_taken_away(request),
    ),
    Permission(
        action="s3:PutObjectAcl",
        place=Place.TARGET,
        scope=Scope.OBJECTS,
        steps=_COPIES,
        why="copies get grants (--keep acl, --acl, --grant)",
        calls=("CopyObject", "CreateMultipartUpload", "PutObjectAcl"),
        when=lambda request: request.sets_acl,
    ),
    Permission(
        action="s3:PutObjectVersionAcl",
        place=Place.TARGET,
        scope=Scope.OBJECTS,
        steps=_COPIES,
        why="on a store other than AWS grants are put on the version that a copy made",
        calls=("PutObjectAcl",),
        when=lambda request: Keep.ACL in request.attributes.keep and _versions_of_copies_are_read(request),
    ),
    Permission(
        action="s3:GetObjectAcl",
        place=Place.TARGET,
        scope=Scope.OBJECTS,
        steps=_COPIES,
        why="grants are looked at: by skip-if-same, and after each copy on a store other than AWS",
        calls=("GetObjectAcl",),
        when=lambda request: request.sets_acl and request.looks_at_copies,
    ),
    Permission(
        action="s3:GetObjectVersionAcl",
        place=Place.TARGET,
        scope=Scope.OBJECTS,
        steps=_COPIES,
        why="on a store other than AWS the grants of the version that a copy made are looked at",
        calls=("GetObjectAcl",),
        when=lambda request: request.sets_acl and _versions_of_copies_are_read(request),
    ),
    Permission(
        action="s3:PutObjectRetention",
        place=Place.TARGET,
        scope=Scope.OBJECTS,
        steps=_COPIES,
        why="copies get a retention (--keep lock, --object-lock-mode)",
        calls=("CopyObject", "CreateMultipartUpload", "PutObjectRetention"),
        when=lambda request: request.sets_retention,
    ),
    Permission(
        action="s3:GetObjectRetention",
        place=Place.TARGET,
        scope=Scope.OBJECTS,
        steps=_COPIES,
        why="the retention is looked at: by skip-if-same, and after each copy on a store other than AWS",
        calls=("HeadObject",),
        when=lambda request: request.sets_retention and request.looks_at_copies,
    ),
    Permission(
        action="s3:PutObjectLegalHold",
        place=Place.TARGET,
        scope=Scope.OBJECTS,
        steps=_COPIES,
        why="copies get a legal hold (--keep lock, --object-lock-legal-hold)",
        calls=("CopyObject", "CreateMultipartUpload", "PutObjectLegalHold"),
        when=lambda request: request.sets_legal_hold,
    ),
    Permission(
        action="s3:GetObjectLegalHold",
        place=Place.TARGET,
        scope=Scope.OBJECTS,
        steps=_COPIES,
        why="the legal hold is looked at: by skip-if-same, and after each copy on a store other than AWS",
        calls=("HeadObject",),
        when=lambda request: request.sets_legal_hold and request.looks_at_copies,
    ),
    Permission(
        action="kms:GenerateDataKey",
        place=Place.TARGET,
        scope=Scope.KEY,
        steps=_COPIES,
        why="writes copies that the key encrypts",
        calls=("CopyObject", "CreateMultipartUpload", "UploadPartCopy"),
    ),
    Permission(
        action="kms:Decrypt",
        place=Place.TARGET,
        scope=Scope.KEY,
        steps=_COPIES | _VERIFIES,
        why="completes copies in parts, and reads copies to verify them",
        calls=("UploadPartCopy", "CompleteMultipartUpload", "GetObject"),
    ),
    # --------------------------------------------------------------------------------------------- manifest and report
    Permission(
        action="s3:ListBucket",
        place=Place.MANIFEST,
        scope=Scope.BUCKET,
        steps=frozenset({Step.MANIFEST}),
        why="a name that is free is told as free (404) only to who may list the bucket; not needed with --force",
        calls=("HeadObject",),
    ),
    Permission(
        action="s3:GetObject",
        place=Place.MANIFEST,
        scope=Scope.OBJECTS,
        steps=_JOBS - {Step.UNDO} | {Step.PLAN},
        why="reads the manifest, and pins it by its ETag",
        calls=_READS,
    ),
    Permission(
        action="s3:GetObject",
        place=Place.MANIFEST,
        scope=Scope.OBJECTS,
        steps=frozenset({Step.MANIFEST}),
        why="looks whether the name is free; not needed with --force",
        calls=("HeadObject",),
    ),
    Permission(
        action="s3:PutObject",
        place=Place.MANIFEST,
        scope=Scope.OBJECTS,
        steps=frozenset({Step.MANIFEST}),
        why="writes the manifest",
        calls=("PutObject", "CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload"),
    ),
    Permission(
        action="s3:AbortMultipartUpload",
        place=Place.MANIFEST,
        scope=Scope.OBJECTS,
        steps=frozenset({Step.MANIFEST}),
        why="drops the parts of a manifest whose upload failed",
        calls=("AbortMultipartUpload",),
    ),
    Permission(
        action="kms:Decrypt",
        place=Place.MANIFEST,
        scope=Scope.KEY,
        steps=_JOBS - {Step.UNDO} | {Step.PLAN, Step.MANIFEST},
        why="reads the manifest, or completes its upload in parts",
        calls=("GetObject", "UploadPart", "CompleteMultipartUpload"),
    ),
    Permission(
        action="kms:GenerateDataKey",
        place=Place.MANIFEST,
        scope=Scope.KEY,
        steps=frozenset({Step.MANIFEST}),
        why="writes the manifest",
        calls=("PutObject", "CreateMultipartUpload", "UploadPart"),
    ),
    Permission(
        action="s3:PutObject",
        place=Place.REPORT,
        scope=Scope.OBJECTS,
        steps=_JOBS,
        why="writes the completion report",
        calls=("PutObject", "CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload"),
    ),
    Permission(
        action="s3:AbortMultipartUpload",
        place=Place.REPORT,
        scope=Scope.OBJECTS,
        steps=_JOBS,
        why="drops the parts of a report whose upload failed",
        calls=("AbortMultipartUpload",),
    ),
    Permission(
        action="s3:GetObject",
        place=Place.REPORT,
        scope=Scope.OBJECTS,
        steps=_JOBS,
        why="HEAD of a file of the report whose last answer was lost",
        calls=("HeadObject",),
    ),
    Permission(
        action="kms:GenerateDataKey",
        place=Place.REPORT,
        scope=Scope.KEY,
        steps=_JOBS,
        why="writes the completion report",
        calls=("PutObject", "CreateMultipartUpload", "UploadPart"),
    ),
    Permission(
        action="kms:Decrypt",
        place=Place.REPORT,
        scope=Scope.KEY,
        steps=_JOBS,
        why="completes the upload of a report in parts",
        calls=("UploadPart", "CompleteMultipartUpload"),
    ),
)
"""The table. Where several rows of one place name the same action, each says another reason for it."""
