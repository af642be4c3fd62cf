"""Following jobs: wait for their next rest, show how far they are, and pause them when the user presses Ctrl-C.

The runner does the work in a process of its own; this only reads the ledger, and starts the runner again, a bounded
number of times, should it die.
"""

from __future__ import annotations

import signal
import socket
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from enum import Enum, auto
from types import FrameType

from s3batch.cli.display import Display, make_display
from s3batch.cli.render import plan_lines
from s3batch.cli.session import now_ms, read_jobs
from s3batch.config import Home
from s3batch.control import jobs as control
from s3batch.control.background import BackgroundRunner, is_served
from s3batch.control.standing import Standing, due_job, standing_of
from s3batch.ledger.records import Job, Wanted
from s3batch.ledger.store import LedgerStore
from s3batch.model.errors import RefusedError, UnavailableError
from s3batch.model.status import JobStatus

_POLL_INTERVALS_S = (0.05, 0.3)
"""How often the ledger is read: at first, for short jobs, and after a while."""

_SOON_S = 3.0
_TAKEN_WITHIN_S = 20.0
"""How long a detaching command waits until a runner has taken its job; starting one takes a second or two."""


class Rest(Enum):
    """Why following ended."""

    ENDED = auto()
    WAITS_FOR_CONFIRMATION = auto()
    PAUSED = auto()
    LEFT = auto()
    """The user left while the job was still pausing."""


_REST_BY_STANDING = {
    Standing.ENDED: Rest.ENDED,
    Standing.WAITS_FOR_CONFIRMATION: Rest.WAITS_FOR_CONFIRMATION,
    Standing.PAUSED: Rest.PAUSED,
}


@dataclass(kw_only=True, slots=True)
class _Interrupts:
    """How often Ctrl-C was pressed."""

    count: int = 0


def follow(
    store: LedgerStore,
    home: Home,
    jobs: Sequence[Job],
    *,
    workers: int,
    as_json: bool,
    actor: str,
    may_pause: bool = True,
    show_plan: bool = False,
) -> tuple[Rest, list[Job]]:
    """Wait until the jobs rest; return why, and the jobs as they are then.

    Ctrl-C asks the job to pause and waits for that; a second one leaves at once. With ``may_pause`` false the first
    leaves at once and the job goes on. ``show_plan`` shows the first job's plan as soon as it is there.

    Raises:
        UnavailableError: runners die again and again, or the ledger cannot be read.
    """
    runner = BackgroundRunner(home, workers=workers)
    began_s = time.monotonic()
    with make_display(as_json=as_json) as display, _counted_interrupts() as interrupts:
        told = 0
        while True:
            now_s = time.monotonic()
            found = read_jobs(store, jobs)
            if show_plan and found[0].plan_json is not None:
                show_plan = False
                display.say("\n".join(plan_lines(found[0])))
            display.update(found, now_s)
            standing = standing_of(found)
            if standing in _REST_BY_STANDING:
                return _REST_BY_STANDING[standing], found
            if interrupts.count > (1 if may_pause else 0):
                return Rest.LEFT, found
            if interrupts.count:
                _ask_to_pause(store, found, display if interrupts.count > told else None, actor=actor)
                told = interrupts.count
            runner.keep(now_s)
            time.sleep(_POLL_INTERVALS_S[now_s - began_s > _SOON_S])


def start_detached(store: LedgerStore, home: Home, jobs: Sequence[Job], *, workers: int) -> list[Job]:
    """See to it that a runner has taken up the job that is due, then return the jobs as they are.

    A runner that was about to leave for want of work is thus not mistaken for one that will do it.

    Raises:
        UnavailableError: code ``NotTaken``: no runner took it.
    """
    runner = BackgroundRunner(home, workers=workers)
    deadline_s = time.monotonic() + _TAKEN_WITHIN_S
    dead = None if is_served(home) else _holder(due_job(read_jobs(store, jobs)))
    while True:
        now_s = time.monotonic()
        found = read_jobs(store, jobs)
        if standing_of(found) is not Standing.UNDER_WAY or _is_taken(due_job(found), dead):
            return found
        if now_s > deadline_s:
            raise UnavailableError(
                f"No runner has taken job {due_job(found).id} within {_TAKEN_WITHIN_S:.0f} s.",
                code="NotTaken",
                way_out=f"It is recorded; look at {home.runner_log}, then `s3batch jobs resume {due_job(found).id}`.",
            )
        runner.keep(now_s)
        time.sleep(_POLL_INTERVALS_S[0])


def _holder(job: Job) -> str | None:
    """Return the runner of this host that holds a lease on the job: where none serves the folder, a dead one."""
    return job.runner_id if job.runner_host == socket.gethostname() else None


def _is_taken(job: Job, dead: str | None) -> bool:
    """Tell whether a runner drives the job; a runner that was killed holds its lease until that runs out."""
    return job.is_held(now_ms()) and job.runner_id != dead


def _ask_to_pause(store: LedgerStore, jobs: Sequence[Job], display: Display | None, *, actor: str) -> None:
    """Record the wish on the job that is due; said again for the next step of a move, should it begin meanwhile."""
    job = due_job(jobs)
    if display is not None:
        display.say(f"Pausing the {job.operation} job; Ctrl-C again leaves without waiting for it.")
    if job.wanted is not Wanted.PAUSE and job.status not in (JobStatus.PAUSING, JobStatus.COMPLETING):
        with suppress(RefusedError):  # it has ended meanwhile; the next look tells
            control.pause(store, [job], actor=actor, now_ms=now_ms())


@contextmanager
def _counted_interrupts() -> Iterator[_Interrupts]:
    """Count Ctrl-C instead of raising in the middle of something, for the time of the block."""
    interrupts = _Interrupts()

    def count(_number: int, _frame: FrameType | None) -> None:
        interrupts.count += 1

    before = signal.signal(signal.SIGINT, count)
    try:
        yield interrupts
    finally:
        signal.signal(signal.SIGINT, before)
