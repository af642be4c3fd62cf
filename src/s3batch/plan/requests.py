"""The requests that a job will make, by kind and by the storage class by which each is billed. Pure.

In: the figures of a plan, what is asked, whether the store is AWS. Out: counts for a job that meets nothing unusual:
its targets are free (or, of a verify, equal), listings need no confirmation, nothing is repeated. Retries,
confirmations and what preparing has done already are not in them; a test counts a real job's requests before a server
against these.

Where a store other than AWS is read more, it is because its conditions and listings are not relied on
(``operations/copy.py``, ``operations/delete.py``). Which requests are billed by which class: S3 pricing page and User
Guide, "Multipart upload and pricing" (read 2026-11).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum

from s3batch.model.attributes import AS_SOURCES, Attribute, CopyAttributes, Keep
from s3batch.model.job import JobSpec, Level, Operation
from s3batch.plan.class_figures import ClassFigures
from s3batch.plan.figures import PlanFigures
from s3batch.plan.prices import STANDARD


class Kind(StrEnum):
    """Requests as the plan names them."""

    COPY = "CopyObject"
    PART = "UploadPartCopy"
    CREATE = "CreateMultipartUpload"
    COMPLETE = "CompleteMultipartUpload"
    LIST = "List"
    LIST_VERSIONS = "ListObjectVersions"
    HEAD = "Head"
    GET = "Get"
    GET_TAGGING = "GetTagging"
    GET_ACL = "GetAcl"
    PUT_TAGGING = "PutTagging"
    PUT_RETENTION = "PutRetention"
    PUT_LEGAL_HOLD = "PutLegalHold"
    DELETE = "DeleteObjects"


UPLOADING = frozenset({Kind.CREATE, Kind.PART})
"""Requests of an upload that are billed as STANDARD's where it ends in an archive."""


@dataclass(frozen=True, kw_only=True, slots=True)
class RequestCount:
    """So many requests of one kind."""

    kind: Kind
    storage_class: str
    """By whose price they are billed; of what no object's class decides, STANDARD."""
    count: int


def count_requests(figures: PlanFigures, spec: JobSpec, *, is_aws: bool) -> tuple[RequestCount, ...]:
    """Return the requests of a job; none of an undo, whose number follows from what the delete recorded."""
    match spec.operation:
        case Operation.COPY:
            found = _copy_requests(figures, spec, is_aws=is_aws)
        case Operation.VERIFY:
            found = _verify_requests(figures, spec)
        case Operation.DELETE:
            found = _delete_requests(figures, spec, is_aws=is_aws)
        case Operation.UNDO:
            return ()
    return _summed([*found, _of_bucket(Kind.LIST, int(spec.list_source_at_end))])


def count_by_kind(counts: Iterable[RequestCount]) -> dict[str, int]:
    """Return the requests by kind alone, as the plan shows them."""
    found: Counter[str] = Counter()
    for each in counts:
        found[str(each.kind)] += each.count
    return dict(found)


def requests_of_kinds(count_by_kind: Mapping[str, int]) -> tuple[RequestCount, ...]:
    """Return requests about which only the kind is known, as those of an undo."""
    return tuple(_of_bucket(Kind(kind), count) for kind, count in count_by_kind.items())


def _copy_requests(figures: PlanFigures, spec: JobSpec, *, is_aws: bool) -> Iterator[RequestCount]:
    # AWS's conditions guard the target, so one look at each chunk's range will do, and it finds nothing there
    yield _of_bucket(Kind.LIST, figures.chunks if is_aws else figures.pages)
    for name, each in figures.by_class.items():
        target = spec.copy.storage_class or name
        by_request = each.objects - each.in_parts
        yield RequestCount(kind=Kind.COPY, storage_class=target, count=by_request)
        for kind, count in _reads_of_attributes(spec.copy.attributes).items():
            yield RequestCount(kind=kind, storage_class=name, count=count * each.objects)
        yield from _upload_requests(each, name, target, spec.copy.attributes)
        if not is_aws:
            yield from _distrust_of_copies(each, target, spec.copy.attributes)


def _reads_of_attributes(attributes: CopyAttributes) -> dict[Kind, int]:
    """Return what is read of each source to keep more of it than S3 does."""
    return {
        Kind.HEAD: int(attributes.reads_sources),
        Kind.GET_ACL: int(Keep.ACL in attributes.keep),
        Kind.GET_TAGGING: int(Keep.TAGS in attributes.keep and attributes.tags is None),
    }


def _upload_requests(
    each: ClassFigures, source: str, target: str, attributes: CopyAttributes
) -> Iterator[RequestCount]:
    """Yield what copies in parts take: an upload, and readings of all that S3 does not bring along."""
    yield RequestCount(kind=Kind.HEAD, storage_class=source, count=each.layouts + each.in_parts)
    yield RequestCount(
        kind=Kind.GET_TAGGING, storage_class=source, count=each.in_parts if attributes.tags is None else 0
    )
    yield RequestCount(
        kind=Kind.GET_ACL, storage_class=source, count=each.in_parts if Keep.ACL in attributes.keep else 0
    )
    yield RequestCount(kind=Kind.CREATE, storage_class=target, count=each.in_parts)
    yield RequestCount(kind=Kind.PART, storage_class=target, count=each.parts)
    yield RequestCount(kind=Kind.COMPLETE, storage_class=target, count=each.in_parts)


def _distrust_of_copies(each: ClassFigures, target: str, attributes: CopyAttributes) -> Iterator[RequestCount]:
    """Yield what is read and put beside copies where the store is not known to do what their headers say."""
    is_plain = attributes == AS_SOURCES
    singly = each.in_parts if is_plain else each.objects  # each of these has its target read right before
    yield RequestCount(kind=Kind.HEAD, storage_class=target, count=singly)
    if is_plain:
        return
    has_tags = Keep.TAGS in attributes.keep or attributes.tags is not None
    has_grants = Keep.ACL in attributes.keep or bool(attributes.acl or attributes.grants)
    puts = {
        Kind.PUT_TAGGING: has_tags,
        Kind.PUT_RETENTION: attributes.lock_mode is not None,
        Kind.PUT_LEGAL_HOLD: bool(attributes.legal_hold),
        Kind.GET_ACL: has_grants,
        Kind.HEAD: True,
    }
    for kind, is_sent in puts.items():
        yield RequestCount(kind=kind, storage_class=target, count=each.objects if is_sent else 0)
    if attributes.tags is not None:  # an upload's own tags are put before the others are looked at
        yield RequestCount(kind=Kind.PUT_TAGGING, storage_class=target, count=each.in_parts)


def _verify_requests(figures: PlanFigures, spec: JobSpec) -> Iterator[RequestCount]:
    options = spec.verify
    yield _of_bucket(Kind.LIST, figures.pages * (1 if options.extra is None else 2))
    by_content = options.level in {Level.CHECKSUM, Level.BYTES}
    has_tags = Attribute.TAGS in options.attributes
    for name, each in figures.by_class.items():
        target = spec.copy.storage_class or name
        # of each object its target's, its source's, and again where what came between counts
        decided = each.objects if by_content else each.resplit
        compared = each.objects if options.attributes else 0
        targets = max(decided, compared) + (compared if has_tags else 0)
        yield RequestCount(kind=Kind.HEAD, storage_class=target, count=targets)
        yield RequestCount(kind=Kind.HEAD, storage_class=name, count=decided + compared)
        for storage_class in (name, target):
            reads = each.objects if options.level is Level.BYTES else 0
            yield RequestCount(kind=Kind.GET, storage_class=storage_class, count=reads)
            yield RequestCount(
                kind=Kind.GET_TAGGING, storage_class=storage_class, count=each.objects if has_tags else 0
            )


def _delete_requests(figures: PlanFigures, spec: JobSpec, *, is_aws: bool) -> Iterator[RequestCount]:
    sides = 1 if spec.delete.unverified else 2
    if spec.delete.permanent and (is_aws or spec.delete.trust_listings):  # each version is asked for by its id
        yield _of_bucket(Kind.DELETE, figures.pages)
        yield _of_bucket(Kind.LIST, (sides - 1) * figures.pages)
        for name, each in figures.by_class.items():
            yield RequestCount(kind=Kind.HEAD, storage_class=name, count=each.objects)
        return
    if is_aws or spec.delete.trust_listings:
        yield _of_bucket(Kind.DELETE, figures.pages)
        yield _of_bucket(Kind.LIST, sides * figures.pages)
        return
    yield _of_bucket(Kind.DELETE, figures.headed_batches)
    for name, each in figures.by_class.items():
        yield RequestCount(kind=Kind.HEAD, storage_class=name, count=sides * each.objects)


def _of_bucket(kind: Kind, count: int) -> RequestCount:
    return RequestCount(kind=kind, storage_class=STANDARD, count=count)


def _summed(counts: Iterable[RequestCount]) -> tuple[RequestCount, ...]:
    """Return one count for each kind and class, in the order of their first, without those of nothing."""
    found: Counter[tuple[Kind, str]] = Counter()
    for each in counts:
        found[each.kind, each.storage_class] += each.count
    return tuple(
        RequestCount(kind=kind, storage_class=storage_class, count=count)
        for (kind, storage_class), count in found.items()
        if count
    )
