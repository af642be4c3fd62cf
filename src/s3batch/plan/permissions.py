"""Which permissions each step of a job needs, and why: one table, derived from the calls that the code makes.

In: what a policy is wanted for (``policy_request``). Out: the rows of :data:`PERMISSIONS` that it needs. Pure;
documents are made of them in ``policy_document``. A test holds every call of ``s3/`` against the table, so that a new
call cannot be added without saying what it needs.

Facts: which action an API operation needs is from the Service Authorization Reference ("API operations defined by
Amazon S3") and the pages of the API reference, read 2026-11; conditional deletes from "How to perform conditional
deletes", KMS from "Uploading and copying objects using multipart upload".
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from s3batch.model.attributes import AS_SOURCES, Attribute, Keep
from s3batch.model.job import Level
from s3batch.plan.policy_request import Place, PolicyRequest, Scope, Step

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
_PROBE: Final = frozenset({Step.PROBE})
_ON_SOURCE: Final = frozenset(Step) - _PROBE
_ON_TARGET: Final = _LOOKS | _COPIES | _VERIFIES | _DELETES
_READS: Final = ("HeadObject", "GetObject")


def _tags_are_read(request: PolicyRequest) -> bool:
    """Tell whether a copy or a comparison reads the tags of sources."""
    copies = request.step in _COPIES and request.takes_tags_of_source
    plans = request.step is Step.PLAN and Keep.TAGS in request.attributes.keep
    compares = request.step in _VERIFIES and Attribute.TAGS in request.compared and request.takes_tags_of_source
    return copies or plans or compares or request.step is Step.CHECK


def _tags_of_target_are_read(request: PolicyRequest) -> bool:
    """Tell whether tags at the target are read; where it keeps versions, verify reads those of a version."""
    compares = request.step in _VERIFIES and Attribute.TAGS in request.compared and not request.is_target_versioned
    return compares or (request.step in _COPIES and request.skips_same)


def _tags_may_be_taken_away(request: PolicyRequest) -> bool:
    """Tell whether an empty set of tags is put, which is a call of its own."""
    return not request.is_aws and (request.attributes.tags == {} or Keep.TAGS in request.attributes.keep)


def _reads_current(request: PolicyRequest) -> bool:
    return request.reads_current


def _is_permanent(request: PolicyRequest) -> bool:
    return request.is_permanent


def _has_versions(request: PolicyRequest) -> bool:
    """Tell whether what is deleted of a probe leaves versions behind."""
    return request.is_target_versioned


def _parts_are_compared(request: PolicyRequest) -> bool:
    return request.level is not Level.BYTES


def _versions_of_copies_are_read(request: PolicyRequest) -> bool:
    """Tell whether a copy is looked at by the id of its version."""
    return request.is_target_versioned and not request.is_aws and request.attributes != AS_SOURCES


@dataclass(frozen=True, kw_only=True, slots=True)
class _Need:
    """A row of the table before it is said where."""

    action: str
    steps: frozenset[Step]
    why: str
    calls: tuple[str, ...]
    when: Predicate


def _need(action: str, steps: frozenset[Step], why: str, calls: tuple[str, ...], *, when: Predicate = _always) -> _Need:
    return _Need(action=action, steps=steps, why=why, calls=calls, when=when)


def _at(place: Place, scope: Scope, *needs: _Need) -> tuple[Permission, ...]:
    return tuple(
        Permission(
            action=each.action,
            place=place,
            scope=scope,
            steps=each.steps,
            why=each.why,
            calls=each.calls,
            when=each.when,
        )
        for each in needs
    )


PERMISSIONS: Final = (
    *_at(
        Place.SOURCE,
        Scope.LIST,
        _need(
            "s3:ListBucket",
            _ON_SOURCE,
            "lists objects below the prefix, and asks for the store's time",
            ("ListObjectsV2", "HeadBucket"),
            when=lambda request: request.step is not Step.MANIFEST or not request.names_versions,
        ),
        _need(
            "s3:ListBucketVersions",
            frozenset({Step.MANIFEST}),
            "--versions lists versions instead of objects",
            ("ListObjectVersions",),
            when=lambda request: request.names_versions,
        ),
        _need(
            "s3:ListBucketVersions",
            _DELETES,
            "finds the delete marker of a delete whose answer was lost, for an undo",
            ("ListObjectVersions",),
            when=_reads_current,
        ),
        _need(
            "s3:ListBucketVersions",
            _DELETES | {Step.PLAN},
            "where versioning is suspended, finds null versions that a delete would destroy",
            ("ListObjectVersions",),
            when=lambda request: request.reads_current and (request.step in _DELETES or request.is_source_suspended),
        ),
        _need(
            "s3:ListBucketVersions",
            _DELETES | {Step.PLAN},
            "with --permanent the plan says which older versions become current",
            ("ListObjectVersions",),
            when=_is_permanent,
        ),
        _need(
            "s3:ListBucketVersions",
            frozenset({Step.UNDO}),
            "lists what is below a delete marker before it is removed",
            ("ListObjectVersions",),
        ),
    ),
    *_at(
        Place.SOURCE,
        Scope.BUCKET,
        _need(
            "s3:GetBucketVersioning",
            _DELETES | _LOOKS,
            "a delete must know whether versions are kept, or versioning is suspended",
            ("GetBucketVersioning",),
        ),
        _need(
            "s3:GetBucketNotification",
            _DELETES | _LOOKS,
            "the plan tells to whom deletes send events",
            ("GetBucketNotificationConfiguration",),
        ),
        _need(
            "s3:GetReplicationConfiguration",
            _DELETES | _LOOKS,
            "the plan tells where delete markers are replicated to",
            ("GetBucketReplication",),
        ),
        _need(
            "s3:GetBucketRequestPayment",
            _DELETES | _LOOKS,
            "the plan tells that requests are paid by who sends them",
            ("GetBucketRequestPayment",),
        ),
    ),
    *_at(
        Place.SOURCE,
        Scope.OBJECTS,
        _need(
            "s3:GetObject",
            _COPIES | _LOOKS,
            "reads the sources of copies; HEAD of single objects",
            (*_READS, "CopyObject", "UploadPartCopy"),
            when=_reads_current,
        ),
        _need(
            "s3:GetObject",
            frozenset({Step.VERIFY}),
            "compares originals, by HEAD or byte by byte",
            _READS,
            when=_reads_current,
        ),
        _need(
            "s3:GetObject",
            _DELETES,
            "HEAD before each delete; S3 asks for it too where a delete is conditional on an ETag",
            ("HeadObject", "DeleteObject", "DeleteObjects"),
            when=_reads_current,
        ),
        _need(
            "s3:GetObjectVersion",
            _COPIES | _VERIFIES | _LOOKS,
            "reads the versions that the manifest names",
            (*_READS, "CopyObject", "UploadPartCopy"),
            when=lambda request: request.reads_versions,
        ),
        _need(
            "s3:GetObjectVersion",
            _DELETES,
            "with --permanent, HEAD of each version before its delete",
            ("HeadObject",),
            when=_is_permanent,
        ),
        _need(
            "s3:GetObjectAttributes",
            _COPIES,
            "tells part sizes, so that copies in parts have their sources' ETags",
            ("GetObjectAttributes",),
            when=_reads_current,
        ),
        _need(
            "s3:GetObjectAttributes",
            _VERIFIES,
            "tells part sizes, so that checksums of parts can be compared",
            ("GetObjectAttributes",),
            when=lambda request: request.reads_current and _parts_are_compared(request),
        ),
        _need(
            "s3:GetObjectVersionAttributes",
            _COPIES | _VERIFIES,
            "part sizes of the versions that the manifest names",
            ("GetObjectAttributes",),
            when=lambda request: request.reads_versions and (request.step in _COPIES or _parts_are_compared(request)),
        ),
        _need(
            "s3:GetObjectTagging",
            _COPIES | _VERIFIES | _LOOKS,
            "a copy takes the source's tags along, and fails where it may not; --with-tags compares them",
            ("GetObjectTagging", "CopyObject"),
            when=lambda request: request.reads_current and _tags_are_read(request),
        ),
        _need(
            "s3:GetObjectVersionTagging",
            _COPIES | _VERIFIES | {Step.PLAN},
            "tags of the versions that the manifest names",
            ("GetObjectTagging", "CopyObject"),
            when=lambda request: request.reads_versions and _tags_are_read(request),
        ),
        _need(
            "s3:GetObjectAcl",
            _COPIES | {Step.PLAN},
            "--keep acl reads grants, and the plan asks once",
            ("GetObjectAcl",),
            when=lambda request: request.reads_current and Keep.ACL in request.attributes.keep,
        ),
        _need(
            "s3:GetObjectVersionAcl",
            _COPIES | {Step.PLAN},
            "grants of the versions that the manifest names",
            ("GetObjectAcl",),
            when=lambda request: request.reads_versions and Keep.ACL in request.attributes.keep,
        ),
        _need(
            "s3:GetObjectRetention",
            _COPIES | {Step.PLAN},
            "--keep lock: HEAD tells a retention only to who may read it, and the plan asks once",
            ("HeadObject", "GetObjectRetention"),
            when=lambda request: Keep.LOCK in request.attributes.keep,
        ),
        _need(
            "s3:GetObjectLegalHold",
            _COPIES | {Step.PLAN},
            "--keep lock: HEAD tells a legal hold only to who may read it, and the plan asks once",
            ("HeadObject", "GetObjectLegalHold"),
            when=lambda request: Keep.LOCK in request.attributes.keep,
        ),
        _need(
            "s3:DeleteObject",
            _DELETES,
            "deletes originals; with versioning this puts a marker, and no version is deleted",
            ("DeleteObject", "DeleteObjects"),
            when=_reads_current,
        ),
        _need(
            "s3:DeleteObjectVersion",
            _DELETES,
            "with --permanent, deletes the versions that the manifest names, for good",
            ("DeleteObject", "DeleteObjects"),
            when=_is_permanent,
        ),
        _need(
            "s3:DeleteObjectVersion",
            frozenset({Step.UNDO}),
            "removes the delete markers that a job recorded; S3 has no action for markers alone",
            ("DeleteObject", "DeleteObjects"),
        ),
    ),
    *_at(
        Place.SOURCE,
        Scope.KEY,
        _need(
            "kms:Decrypt",
            _COPIES | _VERIFIES | {Step.CHECK},
            "reads originals that the key encrypts",
            ("CopyObject", "UploadPartCopy", "GetObject"),
        ),
    ),
    *_at(
        Place.SOURCE,
        Scope.BUCKET,
        _need(
            "s3:ListBucket",
            _PROBE,
            "that a key is free (404) is told only to who may list the bucket; finds canaries that are left over",
            ("HeadObject", "ListObjectsV2", "HeadBucket"),
        ),
    ),
    *_at(
        Place.SOURCE,
        Scope.LIST,
        _need(
            "s3:ListBucketVersions",
            _PROBE,
            "finds the versions of canaries that are to be removed",
            ("ListObjectVersions",),
            when=_has_versions,
        ),
    ),
    *_at(
        Place.SOURCE,
        Scope.BUCKET,
        _need(
            "s3:GetBucketVersioning",
            _PROBE,
            "nothing is written where canaries might leave versions that cannot be removed",
            ("GetBucketVersioning",),
        ),
        _need(
            "s3:GetBucketObjectLockConfiguration",
            _PROBE,
            "nothing is written where canaries would be locked",
            ("GetObjectLockConfiguration",),
        ),
    ),
    *_at(
        Place.SOURCE,
        Scope.OBJECTS,
        _need("s3:PutObject", _PROBE, "writes canaries and copies of them", ("PutObject", "CopyObject")),
        _need(
            "s3:GetObject",
            _PROBE,
            "copies canaries, and HEAD of what became of them",
            ("HeadObject", "GetObject", "CopyObject", "DeleteObject", "DeleteObjects"),
        ),
        _need(
            "s3:GetObjectVersion",
            _PROBE,
            "knows what is left over of a canary by its bytes, before it is removed",
            ("GetObject",),
            when=_has_versions,
        ),
        _need("s3:PutObjectTagging", _PROBE, "canaries and their copies have tags", ("PutObjectTagging", "CopyObject")),
        _need("s3:GetObjectTagging", _PROBE, "shows whether copies keep tags", ("GetObjectTagging", "CopyObject")),
        _need(
            "s3:DeleteObject",
            _PROBE,
            "tries conditional deletes, and removes canaries",
            ("DeleteObject", "DeleteObjects"),
        ),
        _need(
            "s3:DeleteObjectVersion",
            _PROBE,
            "removes canaries with their versions and delete markers",
            ("DeleteObject",),
            when=_has_versions,
        ),
    ),
    *_at(
        Place.SOURCE,
        Scope.KEY,
        _need(
            "kms:Decrypt",
            _PROBE,
            "copies canaries that the key encrypts, and reads left-over ones",
            ("CopyObject", "GetObject"),
        ),
        _need("kms:GenerateDataKey", _PROBE, "writes canaries that the key encrypts", ("PutObject", "CopyObject")),
    ),
    *_at(
        Place.TARGET,
        Scope.LIST,
        _need(
            "s3:ListBucket",
            _ON_TARGET,
            "lists what is at the target: before copies, to verify, and before deletes",
            ("ListObjectsV2",),
        ),
        _need(
            "s3:ListBucketVersions",
            _COPIES | {Step.PLAN},
            "where versioning is suspended, finds null versions that a copy would destroy",
            ("ListObjectVersions",),
            when=lambda request: request.is_target_suspended,
        ),
    ),
    *_at(
        Place.TARGET,
        Scope.BUCKET,
        _need(
            "s3:GetBucketVersioning",
            _COPIES | _LOOKS,
            "the plan tells of suspended versioning",
            ("GetBucketVersioning",),
        ),
        _need(
            "s3:GetLifecycleConfiguration",
            _COPIES | _LOOKS,
            "a job is refused where a rule would delete its copies",
            ("GetBucketLifecycleConfiguration",),
        ),
        _need(
            "s3:GetBucketNotification",
            _COPIES | _LOOKS,
            "the plan tells to whom copies send events",
            ("GetBucketNotificationConfiguration",),
        ),
        _need(
            "s3:GetReplicationConfiguration",
            _COPIES | _LOOKS,
            "the plan tells where copies are replicated to",
            ("GetBucketReplication",),
        ),
        _need(
            "s3:GetEncryptionConfiguration",
            _COPIES | _LOOKS,
            "the plan tells of an encryption that changes ETags",
            ("GetBucketEncryption",),
        ),
        _need(
            "s3:GetBucketObjectLockConfiguration",
            _COPIES | _LOOKS,
            "the plan tells of a default retention",
            ("GetObjectLockConfiguration",),
        ),
    ),
    *_at(
        Place.TARGET,
        Scope.OBJECTS,
        _need("s3:GetObject", _COPIES, "HEAD of what is at the target: taken keys, lost answers", ("HeadObject",)),
        _need("s3:GetObject", _VERIFIES, "compares copies, by HEAD or byte by byte", _READS),
        _need("s3:GetObject", _DELETES, "HEAD of copies before their originals are deleted", ("HeadObject",)),
        _need(
            "s3:GetObjectVersion",
            _COPIES,
            "HEAD of the version that a copy made",
            ("HeadObject",),
            when=_versions_of_copies_are_read,
        ),
        _need(
            "s3:GetObjectAttributes",
            _VERIFIES,
            "tells part sizes, so that checksums of parts can be compared",
            ("GetObjectAttributes",),
            when=_parts_are_compared,
        ),
        _need(
            "s3:GetObjectTagging",
            _COPIES | _VERIFIES,
            "--with-tags compares the copies' tags, and skip-if-same those of what is at the target",
            ("GetObjectTagging",),
            when=_tags_of_target_are_read,
        ),
        _need(
            "s3:GetObjectVersionTagging",
            _VERIFIES,
            "--with-tags reads the tags of the version that was verified",
            ("GetObjectTagging",),
            when=lambda request: request.is_target_versioned and Attribute.TAGS in request.compared,
        ),
        _need(
            "s3:PutObject",
            _COPIES,
            "writes copies, in one request or in parts",
            ("CopyObject", "CreateMultipartUpload", "UploadPartCopy", "CompleteMultipartUpload"),
        ),
        _need(
            "s3:AbortMultipartUpload",
            _COPIES,
            "drops the parts of a copy that failed or was stopped; else they stay and are billed",
            ("AbortMultipartUpload",),
        ),
        _need(
            "s3:PutObjectTagging",
            _COPIES,
            "copies have tags",
            ("CopyObject", "CreateMultipartUpload", "PutObjectTagging"),
            when=lambda request: request.attributes.tags != {},
        ),
        _need(
            "s3:PutObjectVersionTagging",
            _COPIES,
            "tags that a copy's header cannot carry are put on the version that it made",
            ("PutObjectTagging",),
            when=lambda request: request.is_target_versioned and request.attributes.tags != {},
        ),
        _need(
            "s3:DeleteObjectTagging",
            _COPIES,
            "on a store other than AWS copies without tags (--no-tags; --keep tags) have theirs taken away",
            ("DeleteObjectTagging",),
            when=_tags_may_be_taken_away,
        ),
        _need(
            "s3:DeleteObjectVersionTagging",
            _COPIES,
            "the same, of the version that a copy made",
            ("DeleteObjectTagging",),
            when=lambda request: request.is_target_versioned and _tags_may_be_taken_away(request),
        ),
        _need(
            "s3:PutObjectAcl",
            _COPIES,
            "copies get grants (--keep acl, --acl, --grant)",
            ("CopyObject", "CreateMultipartUpload", "PutObjectAcl"),
            when=lambda request: request.sets_acl,
        ),
        _need(
            "s3:PutObjectVersionAcl",
            _COPIES,
            "on a store other than AWS grants are put on the version that a copy made",
            ("PutObjectAcl",),
            when=lambda request: Keep.ACL in request.attributes.keep and _versions_of_copies_are_read(request),
        ),
        _need(
            "s3:GetObjectAcl",
            _COPIES,
            "grants are looked at: by skip-if-same, and after each copy on a store other than AWS",
            ("GetObjectAcl",),
            when=lambda request: request.sets_acl and request.looks_at_copies,
        ),
        _need(
            "s3:GetObjectVersionAcl",
            _COPIES,
            "on a store other than AWS the grants of the version that a copy made are looked at",
            ("GetObjectAcl",),
            when=lambda request: request.sets_acl and _versions_of_copies_are_read(request),
        ),
        _need(
            "s3:PutObjectRetention",
            _COPIES,
            "copies get a retention (--keep lock, --object-lock-mode)",
            ("CopyObject", "CreateMultipartUpload", "PutObjectRetention"),
            when=lambda request: request.sets_retention,
        ),
        _need(
            "s3:GetObjectRetention",
            _COPIES,
            "the retention is looked at: by skip-if-same, and after each copy on a store other than AWS",
            ("HeadObject",),
            when=lambda request: request.sets_retention and request.looks_at_copies,
        ),
        _need(
            "s3:PutObjectLegalHold",
            _COPIES,
            "copies get a legal hold (--keep lock, --object-lock-legal-hold)",
            ("CopyObject", "CreateMultipartUpload", "PutObjectLegalHold"),
            when=lambda request: request.sets_legal_hold,
        ),
        _need(
            "s3:GetObjectLegalHold",
            _COPIES,
            "the legal hold is looked at: by skip-if-same, and after each copy on a store other than AWS",
            ("HeadObject",),
            when=lambda request: request.sets_legal_hold and request.looks_at_copies,
        ),
    ),
    *_at(
        Place.TARGET,
        Scope.KEY,
        _need(
            "kms:GenerateDataKey",
            _COPIES,
            "writes copies that the key encrypts",
            ("CopyObject", "CreateMultipartUpload", "UploadPartCopy"),
        ),
        _need(
            "kms:Decrypt",
            _COPIES | _VERIFIES,
            "completes copies in parts, and reads copies to verify them",
            ("UploadPartCopy", "CompleteMultipartUpload", "GetObject"),
        ),
    ),
    *_at(
        Place.MANIFEST,
        Scope.BUCKET,
        _need(
            "s3:ListBucket",
            frozenset({Step.MANIFEST}),
            "a name that is free is told as free (404) only to who may list the bucket; not needed with --force",
            ("HeadObject",),
        ),
    ),
    *_at(
        Place.MANIFEST,
        Scope.OBJECTS,
        _need("s3:GetObject", _JOBS - {Step.UNDO} | {Step.PLAN}, "reads the manifest, and pins it by its ETag", _READS),
        _need(
            "s3:GetObject",
            frozenset({Step.MANIFEST}),
            "looks whether the name is free; not needed with --force",
            ("HeadObject",),
        ),
        _need(
            "s3:PutObject",
            frozenset({Step.MANIFEST}),
            "writes the manifest",
            ("PutObject", "CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload"),
        ),
        _need(
            "s3:AbortMultipartUpload",
            frozenset({Step.MANIFEST}),
            "drops the parts of a manifest whose upload failed",
            ("AbortMultipartUpload",),
        ),
    ),
    *_at(
        Place.MANIFEST,
        Scope.KEY,
        _need(
            "kms:Decrypt",
            _JOBS - {Step.UNDO} | {Step.PLAN, Step.MANIFEST},
            "reads the manifest, or completes its upload in parts",
            ("GetObject", "UploadPart", "CompleteMultipartUpload"),
        ),
        _need(
            "kms:GenerateDataKey",
            frozenset({Step.MANIFEST}),
            "writes the manifest",
            ("PutObject", "CreateMultipartUpload", "UploadPart"),
        ),
    ),
    *_at(
        Place.REPORT,
        Scope.OBJECTS,
        _need(
            "s3:PutObject",
            _JOBS,
            "writes the completion report",
            ("PutObject", "CreateMultipartUpload", "UploadPart", "CompleteMultipartUpload"),
        ),
        _need(
            "s3:AbortMultipartUpload",
            _JOBS,
            "drops the parts of a report whose upload failed",
            ("AbortMultipartUpload",),
        ),
        _need("s3:GetObject", _JOBS, "HEAD of a file of the report whose last answer was lost", ("HeadObject",)),
    ),
    *_at(
        Place.REPORT,
        Scope.KEY,
        _need(
            "kms:GenerateDataKey",
            _JOBS,
            "writes the completion report",
            ("PutObject", "CreateMultipartUpload", "UploadPart"),
        ),
        _need(
            "kms:Decrypt", _JOBS, "completes the upload of a report in parts", ("UploadPart", "CompleteMultipartUpload")
        ),
    ),
)
"""The table. Where several rows of one place name the same action, each says another reason for it."""
