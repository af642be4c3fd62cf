"""Outcomes: the recorded ends of tasks, their codes, and how they are counted.

Three counts, one meaning each: succeeded, failed, kept (a source that the gate would not let go). Kept rows are failed
rows in AWS's report format, do not count towards the failure threshold, and can be tried again (safety.md rule 26).
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum


class TaskStatus(StrEnum):
    """How a task ended."""

    SUCCEEDED = "succeeded"
    FAILED = "failed"
    KEPT = "kept"


class Code(StrEnum):
    """Codes of ours beside S3's own; a failed request keeps the code that the store gave."""

    ALREADY_COPIED = "AlreadyCopied"
    """This job itself had written the target before; success."""
    ALREADY_SAME = "AlreadySame"
    """The target was there with equal size and ETag and the job was told to skip such; success."""
    SKIPPED = "Skipped"
    """The target was there and the job was told to leave it; success, nothing was compared."""
    ALREADY_GONE = "AlreadyGone"
    """The proven source was absent when its delete came; success."""
    ALREADY_UNDONE = "AlreadyUndone"
    """The delete marker was gone and its object current when the undo came; success."""
    NOT_DELETED = "NotDeleted"
    """The delete job to be undone did not delete this object; success, nothing was to be done."""
    ATTRIBUTES_LOST = "AttributesLost"
    """The store took the copy and shows less at it than the job asked for."""
    TARGET_EXISTS = "TargetExists"
    """The target was there and the job was not told to replace it."""
    SOURCE_CHANGED = "SourceChanged"
    """The source is not the object that the manifest pinned."""
    NO_SUCH_KEY = "NoSuchKey"
    """The object that the manifest names is not there."""
    TARGET_MISSING = "TargetMissing"
    """Verify or the gate found nothing at the target."""
    TARGET_DIFFERENT = "TargetDifferent"
    """Verify found an object at the target that is not the copy."""
    METADATA_DIFFERS = "MetadataDiffers"
    """Verify found equal bytes and other metadata, content headers, redirect or storage class."""
    TAGS_DIFFER = "TagsDiffer"
    """Verify found equal bytes and other tags."""
    TARGET_CHANGED = "TargetChanged"
    """The target is no longer what verify proved."""
    UNDECIDED = "Undecided"
    """The level of verification asked for cannot tell; never counted as proven."""
    NOT_PROVEN = "NotProven"
    """There is no evidence for this object, so its delete is not permitted."""
    EVIDENCE_EXPIRED = "EvidenceExpired"
    """Both sides could not be read again within the allowed time before the delete."""
    EVIDENCE_TOO_OLD = "EvidenceTooOld"
    """The proof is older than the delete was told to take."""
    NOT_BACKED_UP = "NotBackedUp"
    """A backup was asked for, and no copy of this object was proven there."""
    NULL_VERSION_AT_RISK = "NullVersionAtRisk"
    """A delete would permanently remove a null version that is not the proven object."""
    NO_MARKER = "NoMarker"
    """The delete job recorded no delete marker for this object, so there is none that an undo may remove."""
    NOT_LATEST = "NotLatest"
    """The delete marker is not the latest version of its key: somebody has written or deleted since."""
    NO_SUCH_VERSION = "NoSuchVersion"
    """The version that a delete marker hid is gone; S3's own code for a version that is not there."""
    UNKNOWN_OUTCOME = "UnknownOutcome"
    """The store's answer was lost and reading again did not settle it."""
    ARCHIVED = "InvalidObjectState"
    """S3's own code for an object that must be restored before it can be read."""


FINDINGS = frozenset(
    {Code.TARGET_MISSING, Code.TARGET_DIFFERENT, Code.METADATA_DIFFERS, Code.TAGS_DIFFER, Code.UNDECIDED}
)
"""Codes of a verify job that are findings about the data, not failures of the work: they end with exit code 3."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Counts:
    """How many tasks ended how; ``by_code`` counts the failed, the kept and the specially succeeded ones."""

    total: int = 0
    succeeded: int = 0
    failed: int = 0
    kept: int = 0
    by_code: dict[str, int] = field(default_factory=dict)

    @property
    def ended(self) -> int:
        """Return the number of tasks that have an outcome."""
        return self.succeeded + self.failed + self.kept

    @property
    def findings(self) -> int:
        """Return the number of failed tasks that are findings of a verify job."""
        return sum(count for code, count in self.by_code.items() if code in FINDINGS)
