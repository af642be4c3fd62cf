"""How far jobs are, in words. Pure: records and times come in, text comes out."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

from s3batch.cli.render import SHORT_ID, SUCCESS_CODES, hold_text, share_text
from s3batch.control.standing import due_job
from s3batch.ledger.records import Job
from s3batch.model.job import Operation
from s3batch.model.status import JobStatus
from s3batch.report.text import count_text, duration_text, size_text, visible

_WINDOW_S = 15.0
"""Rates are those of the last seconds, so that an ETA follows the store's mood."""

_MOST_CODES = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class Rates:
    """Tasks and bytes a second, lately."""

    tasks_per_s: float
    bytes_per_s: float


@dataclass(kw_only=True, slots=True)
class Pace:
    """Remembers how far a job was during the last seconds."""

    job_id: str = ""
    _seen: deque[tuple[float, int, int]] = field(default_factory=deque)

    def see(self, job: Job, now_s: float) -> None:
        """Note how far the job is; another job than before begins anew."""
        if job.id != self.job_id:
            self.job_id = job.id
            self._seen.clear()
        self._seen.append((now_s, tasks_done(job), job.bytes_done))
        while len(self._seen) > 2 and now_s - self._seen[1][0] >= _WINDOW_S:  # noqa: PLR2004 - two make a difference
            self._seen.popleft()

    def rates(self) -> Rates | None:
        """Return the rates; None before anything has moved."""
        if not self._seen:
            return None
        (began_s, tasks, size), (now_s, tasks_now, size_now) = self._seen[0], self._seen[-1]
        if now_s <= began_s or tasks_now <= tasks:
            return None
        elapsed_s = now_s - began_s
        return Rates(tasks_per_s=(tasks_now - tasks) / elapsed_s, bytes_per_s=(size_now - size) / elapsed_s)


def tasks_done(job: Job) -> int:
    """Return the tasks that have an outcome, with those of chunks under way; never more than there are."""
    under_way = job.progress.get("tasks", 0)
    return min(job.total, job.counts.ended + (int(under_way) if isinstance(under_way, int | float) else 0))


def title_text(jobs: Sequence[Job]) -> str:
    """Return which job this is and what it is doing."""
    job = due_job(jobs)
    name = f"{job.operation} {job.id[:SHORT_ID]}"
    if job.move_id is not None and len(jobs) > 1:
        name = f"move {job.move_id[:SHORT_ID]}, step {jobs.index(job) + 1} of {len(jobs)}: {job.operation}"
    return f"{name}: {doing_text(job)}"


def doing_text(job: Job) -> str:
    """Return what a job is doing, in a few words."""
    progress = job.progress
    match job.status:
        case JobStatus.NEW:
            return "starting a runner" if job.depends_on is None else f"waiting for job {job.depends_on[:SHORT_ID]}"
        case JobStatus.PREPARING:
            listed = progress.get("listed")
            return f"preparing, {listed:,} objects found" if isinstance(listed, int) else "preparing"
        case JobStatus.READY:
            return _waiting_text(job)
        case JobStatus.ACTIVE:
            return "running"
        case _:
            return str(job.status).lower()


def _waiting_text(job: Job) -> str:
    other = job.progress.get("waits_for")
    if other is not None:
        key = visible(str(job.progress.get("waits_for_keys", "")))
        return f"waiting for job {str(other)[:SHORT_ID]}, which works on keys from {key!r} on"
    return f"{hold_text(job)}, then verified again" if job.is_on_hold else "ready"


def figures_text(job: Job, rates: Rates | None) -> str:
    """Return objects, bytes, rates and the time left; empty before the job is planned."""
    if not job.total:
        return ""
    done = tasks_done(job)
    parts = [f"{share_text(done, job.total)}", f"{done:,} of {count_text(job.total, 'object')}"]
    if job.operation is Operation.COPY and job.bytes_done:  # bytes are counted when a chunk ends, objects at once
        parts.append(f"{size_text(job.bytes_done)} of {size_text(job.bytes_total)}")
    if rates is not None:
        parts.append(f"{rates.tasks_per_s:,.0f} objects/s")
        if job.operation is Operation.COPY and rates.bytes_per_s:
            parts.append(f"{size_text(rates.bytes_per_s)}/s")
        if done < job.total:
            parts.append(f"{duration_text((job.total - done) / rates.tasks_per_s)} left")
    return ", ".join(parts)


def trouble_text(job: Job) -> str:
    """Return what failed or was kept so far, by code; empty where nothing was."""
    counts = job.counts
    codes = [(code, count) for code, count in counts.by_code.items() if code not in SUCCESS_CODES]
    if not codes:
        return ""
    codes.sort(key=lambda pair: -pair[1])
    told = ", ".join(f"{visible(code)} {count:,}" for code, count in codes[:_MOST_CODES])
    more = f" and {len(codes) - _MOST_CODES} more codes" if len(codes) > _MOST_CODES else ""
    heads = [f"{counts.failed:,} failed"] if counts.failed else []
    heads += [f"{counts.kept:,} kept"] if counts.kept else []
    return f"{', '.join(heads)}: {told}{more}"


def store_text(job: Job) -> str:
    """Return how the store takes it: the adaptive limit and its refusals; empty where the job does not run."""
    concurrency, throttled = job.progress.get("concurrency"), job.progress.get("throttled")
    if job.status is not JobStatus.ACTIVE or not isinstance(concurrency, int | float):
        return ""
    text = f"up to {concurrency:,.0f} requests at once"
    if isinstance(throttled, int | float) and throttled:
        text += f", slowed down by the store {throttled:,.0f} times"
    return text


def line_text(jobs: Sequence[Job], rates: Rates | None) -> str:
    """Return everything in one line, for logs."""
    job = due_job(jobs)
    parts = [title_text(jobs), figures_text(job, rates), trouble_text(job)]
    return "; ".join(part for part in parts if part)
