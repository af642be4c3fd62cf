"""A plan counts the requests of its job by kind; tests/safety/test_estimate.py counts those of real ones."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3batch.model.attributes import Attribute, CopyAttributes, Keep, LockMode
from s3batch.model.job import (
    CopyOptions,
    DeleteOptions,
    Extra,
    JobSpec,
    KeyMapping,
    Level,
    ManifestSource,
    Operation,
    VerifyOptions,
)
from s3batch.plan.figures import MAX_CLASSES, OTHER_CLASSES
from s3batch.plan.parts import MIB, part_count, part_ranges
from s3batch.plan.requests import Kind, count_by_kind, count_requests, requests_of_kinds
from s3batch.plan.undo import UndoFigures
from tests.unit.plan.figures_of import THRESHOLD, Entry, figures_of

COPY = JobSpec(
    operation=Operation.COPY,
    source=ManifestSource(list_bucket="s"),
    mapping=KeyMapping(target_bucket="t", strip_prefix="", add_prefix="x/"),
)
VERIFY = replace(COPY, operation=Operation.VERIFY)
DELETE = replace(COPY, operation=Operation.DELETE)
SMALL = Entry()


def requests(spec: JobSpec, *chunks: list[Entry], is_aws: bool = True) -> dict[str, int]:
    """Return the requests of a job about these chunks."""
    return count_by_kind(count_requests(figures_of(*chunks), spec, is_aws=is_aws))


def test_a_copy_of_small_objects_takes_one_request_each_and_one_look_at_its_targets() -> None:
    """On AWS one LIST a chunk finds that nothing is there; elsewhere each page is looked at right before its copies."""
    chunks = [[SMALL] * 2_500, [SMALL] * 500]
    assert requests(COPY, *chunks) == {"List": 2, "CopyObject": 3_000}
    assert requests(COPY, *chunks, is_aws=False) == {"List": 4, "CopyObject": 3_000}


def test_a_copy_in_parts_is_counted_by_the_layout_of_its_source() -> None:
    """As many parts as its ETag tells; of an object of one part as many as the usual size gives."""
    entries = [
        Entry(size=40 * MIB, etag="e-5"),
        Entry(size=MIB, etag="e-1"),
        Entry(size=THRESHOLD, etag="e"),
        Entry(size=MIB, etag="not-parts"),
        SMALL,
    ]
    on_aws = {
        "List": 1,
        "CopyObject": 2,
        "Head": 1 + 3,
        "GetTagging": 3,
        "CreateMultipartUpload": 3,
        "UploadPartCopy": 5 + 1 + 16,
        "CompleteMultipartUpload": 3,
    }
    assert requests(COPY, entries) == on_aws
    assert requests(COPY, entries, is_aws=False) == {**on_aws, "Head": on_aws["Head"] + 3}


@given(size=st.integers(0, 50 * 10**12), wanted=st.integers(1, 5 * 2**30))
def test_parts_are_counted_as_they_are_cut(size: int, wanted: int) -> None:
    """To within the rounding of the largest objects' parts to whole MiB."""
    cut = (
        len(part_ranges(size, part_size_wanted=wanted)) if size < 10**12 else part_count(size, part_size_wanted=wanted)
    )
    counted = part_count(size, part_size_wanted=wanted)
    assert cut <= counted <= max(cut * 1.25, cut + 1)


def test_what_was_not_found_takes_no_request() -> None:
    """Its task fails without one."""
    assert requests(COPY, [SMALL, Entry(problem="NoSuchKey")]) == {"List": 1, "CopyObject": 1}


def test_a_permanent_delete_asks_for_each_version_by_its_id() -> None:
    """Listings tell of current objects only; the target's are as good as before."""
    permanent = replace(DELETE, delete=DeleteOptions(permanent=True))
    unverified = replace(DELETE, delete=DeleteOptions(permanent=True, unverified=True))
    assert requests(permanent, [SMALL] * 1_500) == {"DeleteObjects": 2, "List": 2, "Head": 1_500}
    assert requests(unverified, [SMALL] * 1_500) == {"DeleteObjects": 2, "Head": 1_500}
    distrusted = requests(permanent, [SMALL] * 1_500, is_aws=False)
    assert distrusted["Head"] == 3_000


def test_a_delete_counts_the_heads_that_distrust_costs() -> None:
    """Two HEADs an object, one where no copy was asked for; a page of 1,000 keys where listings are trusted."""
    chunk = [SMALL] * 2_001
    unverified = replace(DELETE, delete=DeleteOptions(unverified=True))
    trusting = replace(DELETE, delete=DeleteOptions(trust_listings=True))
    # 64, 128, 256, 512, 1,000 and 41 keys
    assert requests(DELETE, chunk, is_aws=False) == {"DeleteObjects": 6, "Head": 2 * 2_001}
    assert requests(unverified, chunk, is_aws=False) == {"DeleteObjects": 6, "Head": 2_001}
    assert requests(DELETE, chunk) == {"DeleteObjects": 3, "List": 6}
    assert requests(unverified, chunk) == {"DeleteObjects": 3, "List": 3}
    assert requests(trusting, chunk, is_aws=False) == {"DeleteObjects": 3, "List": 6}


def test_the_last_step_of_a_move_lists_its_source_once_more() -> None:
    """And finds nothing there."""
    moving = replace(DELETE, list_source_at_end=True)
    assert requests(moving, [SMALL])["List"] == requests(DELETE, [SMALL])["List"] + 1


@pytest.mark.parametrize(
    ("attributes", "on_aws", "elsewhere"),
    [
        (CopyAttributes(), {}, {}),
        (
            CopyAttributes(tags={"a": "b"}, acl="private"),
            {},
            {Kind.HEAD: 2_000, Kind.GET_ACL: 1_000, Kind.PUT_TAGGING: 1_000},
        ),
        (CopyAttributes(keep=frozenset({Keep.LOCK})), {Kind.HEAD: 1_000}, {Kind.HEAD: 3_000}),
        (
            CopyAttributes(lock_mode=LockMode.GOVERNANCE, retain_until="2030-01-01T00:00:00Z", legal_hold=True),
            {},
            {Kind.HEAD: 2_000, Kind.PUT_RETENTION: 1_000, Kind.PUT_LEGAL_HOLD: 1_000},
        ),
        (
            CopyAttributes(keep=frozenset(Keep)),
            {Kind.HEAD: 1_000, Kind.GET_ACL: 1_000, Kind.GET_TAGGING: 1_000},
            {Kind.HEAD: 3_000, Kind.GET_ACL: 2_000, Kind.GET_TAGGING: 1_000, Kind.PUT_TAGGING: 1_000},
        ),
    ],
    ids=["plain", "anew", "keep lock", "lock anew", "keep all"],
)
def test_a_copy_counts_what_attributes_cost(
    attributes: CopyAttributes, on_aws: dict[str, int], elsewhere: dict[str, int]
) -> None:
    """On AWS what is the same for all copies is free, a read of each source is not; elsewhere copies are looked at."""
    spec = replace(COPY, copy=CopyOptions(attributes=attributes))
    for is_aws, expected in ((True, on_aws), (False, elsewhere)):
        found = requests(spec, [SMALL] * 1_000, is_aws=is_aws)
        assert found == {"List": 1, "CopyObject": 1_000, **{str(kind): count for kind, count in expected.items()}}


@pytest.mark.parametrize(
    ("level", "attributes", "expected"),
    [
        (Level.ETAG, (), {}),
        (Level.CHECKSUM, (), {"Head": 2_000}),
        (Level.ETAG, (Attribute.METADATA,), {"Head": 2_000}),
        (Level.ETAG, (Attribute.METADATA, Attribute.TAGS), {"Head": 3_000, "GetTagging": 2_000}),
        (Level.BYTES, (Attribute.METADATA, Attribute.TAGS), {"Head": 4_000, "Get": 2_000, "GetTagging": 2_000}),
    ],
)
def test_a_verify_counts_what_its_level_and_attributes_cost(
    level: Level, attributes: tuple[Attribute, ...], expected: dict[str, int]
) -> None:
    """HEADs and tag readings by the object; a plain comparison of ETags takes none."""
    spec = replace(VERIFY, verify=VerifyOptions(level=level, attributes=attributes))
    assert requests(spec, [SMALL] * 1_000) == {"List": 1, **expected}


def test_a_verify_asks_both_sides_about_objects_whose_copies_have_other_etags() -> None:
    """An object of one part that is copied in parts; and the target is listed once more for what nothing explains."""
    entries = [Entry(size=THRESHOLD), SMALL]
    assert requests(VERIFY, entries) == {"List": 1, "Head": 2}
    extra = replace(VERIFY, verify=VerifyOptions(extra=Extra.REPORT))
    assert requests(extra, entries) == {"List": 2, "Head": 2}


def test_requests_are_billed_by_the_class_they_are_about() -> None:
    """A copy by its target's class, a reading of the source by the source's, a listing by none."""
    spec = replace(COPY, copy=CopyOptions(storage_class="GLACIER_IR"))
    entries = [Entry(size=40 * MIB, etag="e-5", storage_class="STANDARD_IA"), Entry(storage_class=None)]
    billed = {
        (str(each.kind), each.storage_class): each.count
        for each in count_requests(figures_of(entries), spec, is_aws=True)
    }
    assert billed == {
        ("List", "STANDARD"): 1,
        ("CopyObject", "GLACIER_IR"): 1,
        ("Head", "STANDARD_IA"): 2,
        ("GetTagging", "STANDARD_IA"): 1,
        ("CreateMultipartUpload", "GLACIER_IR"): 1,
        ("UploadPartCopy", "GLACIER_IR"): 5,
        ("CompleteMultipartUpload", "GLACIER_IR"): 1,
    }


def test_an_undo_is_counted_by_its_record() -> None:
    """Its entries say nothing about the markers; what is known are its requests by kind."""
    undo = replace(COPY, operation=Operation.UNDO)
    assert requests(undo, [SMALL]) == {}
    (found,) = requests_of_kinds({"ListObjectVersions": 3})
    assert (found.kind, found.count) == (Kind.LIST_VERSIONS, 3)


def test_what_an_undo_counts_has_a_price() -> None:
    """Each of its kinds is one that the estimate knows."""
    counted = UndoFigures(entries=3, markers=2, unsettled=1).requests()
    assert count_by_kind(requests_of_kinds(counted)) == counted
    assert len(counted) == 3


def test_a_manifest_that_claims_many_storage_classes_does_not_grow_the_plan() -> None:
    """They are counted together, and all of them are counted."""
    figures = figures_of([Entry(storage_class=f"CLASS_{number}") for number in range(100)])
    assert len(figures.by_class) == MAX_CLASSES + 1
    assert figures.objects == 100
    assert figures.by_class[OTHER_CLASSES].objects == 100 - MAX_CLASSES
