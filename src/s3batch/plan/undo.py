"""What an undo can do, counted over the record of the delete job before anything is touched.

In go the delete job's outcomes, chunk by chunk, and where its copies are. Out come the markers that would be removed,
sentences about the rest, and the refusal where no marker is on record, with what to do instead. Pure.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from s3batch.model.errors import RefusedError
from s3batch.model.job import KeyMapping
from s3batch.model.objects import S3Prefix
from s3batch.model.outcome import TaskStatus
from s3batch.plan.figures import KEYS_PER_REQUEST

UNDO_COLUMNS = ("row", "status", "version_id")
"""The columns of a segment that these figures are made of."""


@dataclass(kw_only=True, slots=True)
class UndoFigures:
    """Sums over the chunks that were added."""

    entries: int = 0
    markers: int = 0
    """Deleted, with the marker's id on record."""
    unmarked: int = 0
    """Deleted or gone, without a marker on record."""
    kept: int = 0
    unsettled: int = 0
    """Failed, or without an outcome: most are still there."""

    def add(self, outcomes: pa.Table, entries: int) -> None:
        """Add one chunk of so many entries, whose outcomes have :data:`UNDO_COLUMNS`."""
        status: Any = outcomes.column("status").cast(pa.string())
        is_deleted: Any = pc.equal(status, pa.scalar(str(TaskStatus.SUCCEEDED)))
        has_marker: Any = pc.and_(is_deleted, pc.is_valid(outcomes.column("version_id")))
        deleted, markers = _count(is_deleted), _count(has_marker)
        kept = _count(pc.equal(status, pa.scalar(str(TaskStatus.KEPT))))
        self.entries += entries
        self.markers += markers
        self.unmarked += deleted - markers
        self.kept += kept
        self.unsettled += entries - deleted - kept

    def requests(self) -> dict[str, int]:
        """Return about how many requests the undo makes, by kind."""
        looks = self.unmarked + self.unsettled
        found = {
            "ListObjectVersions": self.markers,
            "DeleteObjects": -(-self.markers // KEYS_PER_REQUEST),
            "List": -(-looks // KEYS_PER_REQUEST),
        }
        return {kind: count for kind, count in found.items() if count}

    def notes(self) -> tuple[str, ...]:
        """Say what the undo would do, and what it cannot do and why."""
        told = (
            (self.markers, "delete markers are on record; each is removed if it is still its key's latest version."),
            (self.unmarked, "objects were deleted or gone without a marker on record: they cannot be undone."),
            (self.kept, "objects were kept by the delete job: nothing is to be undone."),
            (self.unsettled, "have no known outcome of their delete: they are looked at, and nothing is removed."),
        )
        return tuple(f"{count:,} {text}" for count, text in told if count)

    def require_markers(self, delete_id: str, *, bucket: str, mapping: KeyMapping | None) -> None:
        """Refuse an undo without a single marker, and say how to get the objects back instead.

        Raises:
            RefusedError: code ``NothingToUndo`` where nothing was deleted, else ``NoMarkers``.
        """
        if self.markers:
            return
        if not self.unmarked:
            raise RefusedError(
                f"Job {delete_id} deleted nothing: there is nothing to undo.",
                code="NothingToUndo",
                way_out=f"`s3batch jobs show {delete_id}` tells what became of its objects.",
            )
        raise RefusedError(
            f"Job {delete_id} made no delete markers: versioning of {bucket} was off, and {self.unmarked:,} objects"
            " were deleted for good.",
            code="NoMarkers",
            way_out=_back_from_copies(bucket, mapping),
        )


def _back_from_copies(bucket: str, mapping: KeyMapping | None) -> str:
    """Return how to get objects back that left no version behind."""
    if mapping is None:
        return "No copy of them was proven by this job; only a backup has them."
    copies = S3Prefix(bucket=mapping.target_bucket, prefix=mapping.add_prefix)
    originals = S3Prefix(bucket=bucket, prefix=mapping.strip_prefix)
    return (
        f"Copy them back from their proven copies: `s3batch copy {copies} {originals} --if-target-exists skip-if-same`;"
        " then `s3batch verify --job` that copy job."
    )


def _count(mask: Any) -> int:  # noqa: ANN401 - Arrow's array types are generic over what the stubs cannot tell
    return pc.sum(mask).as_py() or 0
