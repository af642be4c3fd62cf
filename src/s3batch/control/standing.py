"""Where one job, or the linked jobs of a move, stand as a whole. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from enum import Enum, auto

from s3batch.ledger.records import Job
from s3batch.model.status import TERMINAL, JobStatus


class Standing(Enum):
    """What somebody who follows the jobs may expect."""

    UNDER_WAY = auto()
    """A runner drives them on."""
    WAITS_FOR_CONFIRMATION = auto()
    """The job that is due is planned and does nothing before somebody confirms it."""
    PAUSED = auto()
    """The job that is due is paused until somebody resumes it."""
    ENDED = auto()
    """None of them will do anything any more."""


def due_job(jobs: Sequence[Job]) -> Job:
    """Return the first of the jobs that has not ended; the last one where all have."""
    return next((job for job in jobs if job.status not in TERMINAL), jobs[-1])


def standing_of(jobs: Sequence[Job]) -> Standing:
    """Return where the jobs stand; they are in the order of their steps."""
    match due_job(jobs).status:
        case JobStatus.SUSPENDED:
            return Standing.WAITS_FOR_CONFIRMATION
        case JobStatus.PAUSED:
            return Standing.PAUSED
        case status if status in TERMINAL:
            return Standing.ENDED
        case _:
            return Standing.UNDER_WAY
