"""What a job is expected to cost, to add to the store and to take. Pure; never exact, and says where it may be off.

In: a plan's figures, the requests counted from them, what is known of the buckets, the price table, finished jobs. Out:
an :class:`~s3batch.model.estimate.Estimate`. Money is told for AWS only, by list prices; each charge is a line of its
own, and their sum is the cost. A GB of AWS's bill is 2^30 bytes, a month has 30 days here.

Left out, because nothing tells it: discounts and free tiers, KMS requests for reading sources, transfer out to a
machine that is not in the bucket's region, what notifications and replication cost, requests of preparing and of
retries.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from s3batch.model.attributes import Encryption, Keep
from s3batch.model.estimate import Charge, Estimate, money_text, usd_of_kind
from s3batch.model.job import JobSpec, Level, Operation
from s3batch.plan.class_figures import ClassFigures
from s3batch.plan.figures import PlanFigures
from s3batch.plan.pace import FinishedJob, measured_seconds, seconds_at_max_rate, seconds_at_s3_rate
from s3batch.plan.prices import STANDARD, ClassPrices, PriceTable
from s3batch.plan.requests import UPLOADING, Kind, RequestCount

GB = 1024**3
DAYS_A_MONTH = 30

_FREE = frozenset({Kind.DELETE})
_AS_GET = frozenset({Kind.HEAD, Kind.GET, Kind.GET_TAGGING, Kind.GET_ACL})
_CENT_PARTS = 6
"""Decimal places of money: one COPY into STANDARD is 0.000005."""


@dataclass(frozen=True, kw_only=True, slots=True)
class BucketFacts:
    """What is known of a job's buckets; empty where it is not."""

    is_aws: bool
    source_region: str = ""
    target_region: str = ""
    keeps_versions: bool = False
    """Of the source: deletes there put markers."""
    encrypts_by_kms: bool = False
    """Of the target, by itself."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Step:
    """One job of those that belong together, and what is expected of it."""

    operation: Operation
    requests: int
    estimate: Estimate


def estimate_job(
    figures: PlanFigures,
    spec: JobSpec,
    counts: Sequence[RequestCount],
    facts: BucketFacts,
    *,
    prices: PriceTable,
    finished: Sequence[FinishedJob] = (),
) -> Estimate:
    """Return what is expected of a job that makes these requests."""
    measured, jobs_measured = measured_seconds(figures, spec, finished)
    is_copy, is_delete = spec.operation is Operation.COPY, spec.operation is Operation.DELETE
    charges = tuple(_charges(figures, spec, counts, facts, prices)) if facts.is_aws else ()
    return Estimate(
        bytes_added=figures.bytes if is_copy else 0,
        bytes_read=2 * figures.bytes if _reads_bytes(spec) else 0,
        bytes_not_freed=figures.bytes if is_delete and facts.keeps_versions else 0,
        charges=charges,
        usd=_money(sum(each.usd for each in charges)) if facts.is_aws else None,
        usd_a_month=_storage_a_month(figures, spec, prices) if facts.is_aws and is_copy else None,
        price_region=prices.home_region if facts.is_aws else "",
        price_date=prices.date if facts.is_aws else "",
        seconds_at_s3_rate=seconds_at_s3_rate(counts) if facts.is_aws else None,
        seconds_at_max_rate=seconds_at_max_rate(counts, spec.connection.max_rate),
        seconds_measured=measured,
        jobs_measured=jobs_measured,
        notes=tuple(_notes(figures, spec, facts, prices)),
    )


def later_steps_note(steps: Sequence[Step]) -> str:
    """Return what the steps of a move after this one add, in a sentence: its own figures do not have it."""
    requests = ", ".join(f"{each.operation} about {_counted(each.requests, 'request')}" for each in steps)
    charges = [charge for each in steps for charge in each.estimate.charges]
    parts = ", ".join(f"{kind} {money_text(usd)}" for kind, usd in usd_of_kind(charges).items())
    cost = f"; about {money_text(sum(each.usd for each in charges))} together ({parts})" if charges else ""
    kept = max(each.estimate.bytes_not_freed for each in steps)
    freed = f"; the delete frees none of {kept:,} bytes, which stay as old versions" if kept else ""
    return f"The later steps of the move come on top: {requests}{cost}{freed}."


# ------------------------------------------------------------------------------------------------------------- charges


def _charges(
    figures: PlanFigures, spec: JobSpec, counts: Sequence[RequestCount], facts: BucketFacts, prices: PriceTable
) -> Iterator[Charge]:
    for each in counts:
        yield from _request_charge(each, prices)
    match spec.operation:
        case Operation.COPY:
            yield from _retrievals(figures, prices)
            yield from _transfers(figures, facts, prices)
            yield from _kms_requests(figures, spec, facts, prices)
        case Operation.VERIFY if _reads_bytes(spec):
            yield from _retrievals(figures, prices)
            yield from _retrievals(figures, prices, target_class=spec.copy.storage_class)
        case Operation.DELETE if not facts.keeps_versions:
            yield from _early_deletions(figures, prices)
        case _:
            pass


def _request_charge(each: RequestCount, prices: PriceTable) -> Iterator[Charge]:
    if each.kind in _FREE:
        return
    of_class = prices.of_class(each.storage_class)
    if each.kind in UPLOADING and of_class.parts_at_standard:
        of_class = prices.of_class(STANDARD)
    price = of_class.get_per_1000 if each.kind in _AS_GET else of_class.put_per_1000
    yield _charge("requests", _request_text(each), each.count, "requests", price / 1000)


def _request_text(each: RequestCount) -> str:
    if each.kind in {Kind.LIST, Kind.LIST_VERSIONS}:
        return str(each.kind)
    return f"{each.kind} {'of' if each.kind in _AS_GET else 'into'} {each.storage_class}"


def _retrievals(figures: PlanFigures, prices: PriceTable, *, target_class: str | None = None) -> Iterator[Charge]:
    """Yield what reading objects of classes for rare access costs; an archived one is not read, but refused."""
    for name, each in figures.by_class.items():
        read_class = target_class or name
        of_class = prices.of_class(read_class)
        if of_class.retrieval_per_gb and not of_class.restore_per_1000:
            yield _charge("retrieval", f"reading {read_class}", each.bytes / GB, "GB", of_class.retrieval_per_gb)


def _transfers(figures: PlanFigures, facts: BucketFacts, prices: PriceTable) -> Iterator[Charge]:
    price = prices.transfer_price(facts.source_region, facts.target_region)
    if price:
        what = f"{facts.source_region} to {facts.target_region}"
        yield _charge("transfer", what, figures.bytes / GB, "GB", price)


def _kms_requests(figures: PlanFigures, spec: JobSpec, facts: BucketFacts, prices: PriceTable) -> Iterator[Charge]:
    """Yield one data key for each copy that KMS encrypts, unless a bucket key saves nearly all of them."""
    attributes = spec.copy.attributes
    by_default = facts.encrypts_by_kms and attributes.encryption is None and Keep.ENCRYPTION not in attributes.keep
    is_asked = attributes.encryption in {Encryption.KMS, Encryption.DSSE}
    if (by_default or is_asked) and not attributes.bucket_key:
        yield _charge("KMS", "a data key for each copy", figures.objects, "requests", prices.kms_per_10000 / 10_000)


def _early_deletions(figures: PlanFigures, prices: PriceTable) -> Iterator[Charge]:
    """Yield the storage that is charged although it is deleted: the rest of each class's minimum duration."""
    for name, each in figures.by_class.items():
        of_class = prices.of_class(name)
        byte_days = each.young_byte_days + each.young_object_days * of_class.overhead_bytes
        byte_days += each.young_shortfall_days if of_class.smallest_billed_bytes else 0
        if byte_days:
            months = byte_days / GB / DAYS_A_MONTH
            what = f"{each.young:,} of {name} younger than {of_class.minimum_days} days"
            yield _charge("early deletion", what, months, "GB-months", of_class.storage_per_gb_month)


def _charge(kind: str, what: str, quantity: float, unit: str, usd_each: float) -> Charge:
    return Charge(kind=kind, what=what, quantity=quantity, unit=unit, usd=_money(quantity * usd_each))


def _money(usd: float) -> float:
    return round(usd, _CENT_PARTS)


# ------------------------------------------------------------------------------------------------------------- storage


def _storage_a_month(figures: PlanFigures, spec: JobSpec, prices: PriceTable) -> float:
    """Return what the copies cost a month, small ones as large as their class bills them."""
    return _money(
        sum(
            _billed_bytes(each, of_class) / GB * of_class.storage_per_gb_month
            + each.objects / 1000 * of_class.monitoring_per_1000
            for name, each in figures.by_class.items()
            for of_class in (prices.of_class(spec.copy.storage_class or name),)
        )
    )


def _billed_bytes(each: ClassFigures, of_class: ClassPrices) -> int:
    shortfall = each.shortfall_bytes if of_class.smallest_billed_bytes else 0
    return each.bytes + shortfall + each.objects * of_class.overhead_bytes


def _reads_bytes(spec: JobSpec) -> bool:
    return spec.operation is Operation.VERIFY and spec.verify.level is Level.BYTES


# --------------------------------------------------------------------------------------------------------------- notes


def _notes(figures: PlanFigures, spec: JobSpec, facts: BucketFacts, prices: PriceTable) -> Iterator[str]:
    if not facts.is_aws:
        return
    yield from _note_of_region(facts, prices)
    unpriced = sorted(name for name in _classes(figures, spec) if name not in prices.classes)
    if unpriced:
        yield f"{', '.join(unpriced)} is not in the price table; its prices are taken to be those of {STANDARD}."
    if spec.operation is Operation.COPY:
        yield from _notes_of_copy(figures, spec, prices)
    undated = sum(each.undated for each in figures.by_class.values())
    if spec.operation is Operation.DELETE and undated and not facts.keeps_versions:
        told = _counted(undated, "object")
        yield f"The manifest does not tell the age of {told}: their early deletion is not counted."
    if _reads_bytes(spec):
        yield "Every byte is read by this machine: outside the buckets' region that is charged as transfer, too."


def _note_of_region(facts: BucketFacts, prices: PriceTable) -> Iterator[str]:
    others = sorted({facts.source_region, facts.target_region} - {"", *prices.regions})
    if others:
        yield f"Prices of {prices.home_region} are shown; those of {', '.join(others)} differ."
    elif not (facts.source_region or facts.target_region):
        yield f"Prices of {prices.home_region} are shown; the bucket's region is not known."


def _notes_of_copy(figures: PlanFigures, spec: JobSpec, prices: PriceTable) -> Iterator[str]:
    for name, each in figures.by_class.items():
        target = spec.copy.storage_class or name
        of_class = prices.of_class(target)
        if of_class.smallest_billed_bytes and each.shortfall_bytes:
            yield (
                f"{target} bills objects under {of_class.smallest_billed_bytes // 1024} KiB as that large:"
                f" {each.objects:,} copies of {each.bytes:,} bytes are billed as {_billed_bytes(each, of_class):,}."
            )
        if of_class.minimum_days:
            yield f"Copies in {target} are charged for at least {of_class.minimum_days} days, also if they go sooner."
    restores = [(name, figures.by_class[name]) for name in figures.by_class if prices.of_class(name).restore_per_1000]
    if restores:
        usd = sum(
            each.objects / 1000 * of_class.restore_per_1000 + each.bytes / GB * of_class.retrieval_per_gb
            for name, each in restores
            for of_class in (prices.of_class(name),)
        )
        yield f"A standard restore of the archived objects, which they need first, costs about {money_text(usd)} more."


def _counted(count: int, noun: str) -> str:
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def _classes(figures: PlanFigures, spec: JobSpec) -> set[str]:
    """Return the storage classes by which something of the job is billed."""
    chosen = spec.copy.storage_class if spec.operation is Operation.COPY else None
    return {*figures.by_class, *([] if chosen is None else [chosen])}
