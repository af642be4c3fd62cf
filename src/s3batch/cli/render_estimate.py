"""What a job is expected to cost and take, as people read it. Pure; nothing here sounds more certain than it is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from s3batch.ledger.records import Job
from s3batch.model.estimate import Estimate, money_text, usd_of_kind
from s3batch.model.job import Operation
from s3batch.report.text import count_text, duration_text, size_text


def estimate_texts(estimate: Estimate, operation: Operation) -> Iterator[tuple[str, str]]:
    """Yield labels and what is to be said under them: storage, time, cost."""
    storage = _storage_text(estimate)
    if storage:
        yield "storage", storage
    yield "time", _time_text(estimate, operation)
    if estimate.usd is not None:
        yield "cost", _cost_text(estimate, estimate.usd)


def bill_text(jobs: Sequence[Job]) -> Iterator[str]:
    """Yield, of jobs that have done something, what their plans expected it to cost; nothing where no prices apply."""
    estimates = [job.plan.estimate for job in jobs if job.counts.ended and job.plan is not None]
    priced = [each for each in estimates if each is not None and each.usd is not None]
    if priced:
        usd = sum(each.usd or 0.0 for each in priced)
        yield f"about {money_text(usd)} as planned, {_basis(priced[0])}; what was repeated comes on top"


def _storage_text(estimate: Estimate) -> str:
    told = []
    if estimate.bytes_added:
        told.append(f"{size_text(estimate.bytes_added)} more for as long as originals and copies are both there")
    if estimate.usd_a_month is not None and estimate.bytes_added:
        told.append(f"the copies cost about {money_text(estimate.usd_a_month)} a month")
    if estimate.bytes_not_freed:
        told.append(f"frees nothing: {size_text(estimate.bytes_not_freed)} stay as old versions")
    if estimate.bytes_read:
        told.append(f"{size_text(estimate.bytes_read)} are read by this machine")
    return "; ".join(told)


def _time_text(estimate: Estimate, operation: Operation) -> str:
    told = []
    if estimate.seconds_measured is not None:
        times = dict.fromkeys(map(duration_text, estimate.seconds_measured))
        told.append(f"about {' to '.join(times)}, by {count_text(estimate.jobs_measured, f'{operation} job')} here")
    else:
        told.append(f"no comparable {operation} job has ended here yet to measure by")
    if estimate.seconds_at_s3_rate is not None:
        told.append(f"{duration_text(estimate.seconds_at_s3_rate)} at S3's documented rates for one prefix partition")
    if estimate.seconds_at_max_rate is not None:
        told.append(f"at least {duration_text(estimate.seconds_at_max_rate)} at --max-rate")
    return "; ".join(told)


def _cost_text(estimate: Estimate, usd: float) -> str:
    parts = ", ".join(f"{kind} {money_text(amount)}" for kind, amount in usd_of_kind(estimate.charges).items())
    return f"about {money_text(usd)}{f': {parts}' if parts else ''} ({_basis(estimate)})"


def _basis(estimate: Estimate) -> str:
    return f"at list prices of {estimate.price_region}, {estimate.price_date}"
