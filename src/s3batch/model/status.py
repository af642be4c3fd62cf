"""Statuses of a job: AWS's thirteen, and the table of transitions between them.

Source: the JobStatus enumeration of the S3 Control API (model 2018-08-20) and the User Guide page
"Tracking job status", read 2026-11. Pausing by the user is ours: AWS's scheduler alone sets Pausing and Paused.
"""

from __future__ import annotations

from enum import StrEnum


class JobStatus(StrEnum):
    """Where a job stands."""

    NEW = "New"
    """Recorded; nobody has looked at it yet."""
    PREPARING = "Preparing"
    """The manifest is being read, completed, sorted and planned; nothing is touched."""
    SUSPENDED = "Suspended"
    """Planned; waits for somebody's confirmation."""
    READY = "Ready"
    """May run; waits for its turn or for another job's claim."""
    ACTIVE = "Active"
    """Chunks are running."""
    PAUSING = "Pausing"
    """Asked to pause; chunks are ending early."""
    PAUSED = "Paused"
    """Nothing runs; goes on where it stopped when resumed."""
    COMPLETING = "Completing"
    """Every task has an outcome; the report is being written."""
    COMPLETE = "Complete"
    """Every task has an outcome. Says nothing about success."""
    CANCELLING = "Cancelling"
    """Asked to cancel; chunks are ending early."""
    CANCELLED = "Cancelled"
    """Ended on request; what was done stays done and is in the report."""
    FAILING = "Failing"
    """Cannot go on; chunks are ending early."""
    FAILED = "Failed"
    """Ended because it could not go on; the reason is recorded."""


TRANSITIONS: dict[JobStatus, frozenset[JobStatus]] = {
    JobStatus.NEW: frozenset({JobStatus.PREPARING, JobStatus.CANCELLED, JobStatus.FAILED}),
    JobStatus.PREPARING: frozenset(
        {
            JobStatus.SUSPENDED,
            JobStatus.READY,
            JobStatus.CANCELLING,
            JobStatus.CANCELLED,
            JobStatus.FAILING,
            JobStatus.FAILED,
        }
    ),
    JobStatus.SUSPENDED: frozenset({JobStatus.READY, JobStatus.CANCELLING, JobStatus.CANCELLED, JobStatus.FAILED}),
    JobStatus.READY: frozenset(
        {
            JobStatus.ACTIVE,
            JobStatus.PAUSED,
            JobStatus.CANCELLING,
            JobStatus.CANCELLED,
            JobStatus.FAILING,
            JobStatus.FAILED,
        }
    ),
    JobStatus.ACTIVE: frozenset(
        {JobStatus.COMPLETING, JobStatus.PAUSING, JobStatus.CANCELLING, JobStatus.FAILING, JobStatus.READY}
    ),
    JobStatus.PAUSING: frozenset({JobStatus.PAUSED, JobStatus.COMPLETING, JobStatus.CANCELLING, JobStatus.FAILING}),
    JobStatus.PAUSED: frozenset({JobStatus.READY, JobStatus.CANCELLING, JobStatus.CANCELLED}),
    JobStatus.COMPLETING: frozenset({JobStatus.COMPLETE, JobStatus.FAILING, JobStatus.FAILED}),
    JobStatus.COMPLETE: frozenset(),
    JobStatus.CANCELLING: frozenset({JobStatus.CANCELLED, JobStatus.FAILED}),
    JobStatus.CANCELLED: frozenset(),
    JobStatus.FAILING: frozenset({JobStatus.FAILED}),
    JobStatus.FAILED: frozenset(),
}
"""From each status, the statuses that may follow."""

TERMINAL = frozenset(status for status, following in TRANSITIONS.items() if not following)
"""Statuses that nothing follows."""


def may_follow(before: JobStatus, after: JobStatus) -> bool:
    """Tell whether ``after`` may come directly after ``before``."""
    return after in TRANSITIONS[before]
