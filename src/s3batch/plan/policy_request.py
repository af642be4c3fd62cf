"""What a policy is wanted for: a step, its places, and what of a job's options makes a difference to permissions.

Pure values, which surfaces make of words or of a recorded job; ``permissions`` has what they need.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

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
    PROBE = "probe"
    """What ``--probe-prefix`` writes and removes; the source is that prefix."""


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
    """``None`` for what has no target: an unverified delete, an undo, a probe."""
    manifest: S3Object | None = None
    """A manifest in a bucket: read, or written by the step ``manifest``."""
    report: S3Prefix | None = None
    attributes: CopyAttributes = AS_SOURCES
    compared: frozenset[Attribute] = frozenset()
    level: Level = Level.ETAG
    skips_same: bool = False
    """``--if-target-exists skip-if-same``: what is at the target is compared in all that a copy would have."""
    names_versions: bool = False
    """The manifest names versions, of some of its entries at least."""
    is_permanent: bool = False
    """``--permanent``: all entries name versions, and exactly these are deleted."""
    is_target_versioned: bool = False
    """The target bucket, or that of a probe, has or had versioning."""
    is_source_suspended: bool = False
    is_target_suspended: bool = False
    """Versioning is suspended there: a write or delete destroys the ``null`` version of its key."""
    is_aws: bool = True
    """On other stores what is asked for of a copy is put and looked at by requests of its own."""
    lists_whole_bucket: bool = False
    """Listings are not restricted to the prefixes."""
    kms_key_by_place: Mapping[Place, str] = field(default_factory=dict)

    @property
    def reads_versions(self) -> bool:
        """Tell whether sources are read by version id."""
        return self.names_versions or self.is_permanent

    @property
    def reads_current(self) -> bool:
        """Tell whether sources are read without version id."""
        return not self.is_permanent

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
