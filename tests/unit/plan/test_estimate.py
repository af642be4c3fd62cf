"""The arithmetic of an estimate: sums are their parts, more costs more, nothing costs nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3batch.model.attributes import CopyAttributes, Encryption, Keep
from s3batch.model.estimate import Charge, Estimate, money_text, usd_of_kind
from s3batch.model.job import (
    Connection,
    CopyOptions,
    JobSpec,
    KeyMapping,
    Level,
    ManifestSource,
    Operation,
    Plan,
    VerifyOptions,
)
from s3batch.plan.estimate import GB, BucketFacts, Step, estimate_job, later_steps_note
from s3batch.plan.prices import read_prices
from s3batch.plan.requests import count_requests
from tests.unit.plan.figures_of import THRESHOLD, Entry, figures_of

PRICES = read_prices()
MINIMUM_DAYS = {name: each.minimum_days for name, each in PRICES.classes.items() if each.minimum_days}
AWS = BucketFacts(is_aws=True, source_region="us-east-1", target_region="us-east-1")
ELSEWHERE = BucketFacts(is_aws=False)
COPY = JobSpec(
    operation=Operation.COPY,
    source=ManifestSource(list_bucket="s"),
    mapping=KeyMapping(target_bucket="t", strip_prefix="", add_prefix="x/"),
)
VERIFY, DELETE = replace(COPY, operation=Operation.VERIFY), replace(COPY, operation=Operation.DELETE)
BYTES = replace(VERIFY, verify=VerifyOptions(level=Level.BYTES))

entries = st.lists(
    st.builds(
        Entry,
        size=st.integers(0, 5 * 10**12),
        etag=st.sampled_from(["e", "e-1", "e-7", "odd-"]),
        storage_class=st.sampled_from([*PRICES.classes, "SNOW", None]),
        age_days=st.none() | st.floats(-1, 400),
        problem=st.none(),
    ),
    max_size=20,
)
specs = st.builds(
    lambda spec, chosen: replace(spec, copy=CopyOptions(storage_class=chosen)),
    st.sampled_from([COPY, VERIFY, DELETE, BYTES]),
    st.sampled_from([None, *PRICES.classes]),
)
places = st.builds(
    BucketFacts,
    is_aws=st.booleans(),
    source_region=st.sampled_from(["", "us-east-1", "eu-west-1"]),
    target_region=st.sampled_from(["", "us-east-1", "us-east-2"]),
    keeps_versions=st.booleans(),
    encrypts_by_kms=st.booleans(),
)


def estimate(spec: JobSpec, *chunks: list[Entry], facts: BucketFacts = AWS) -> Estimate:
    """Return the estimate of a job about these chunks."""
    figures = figures_of(*chunks, minimum_days=MINIMUM_DAYS)
    counts = count_requests(figures, spec, is_aws=facts.is_aws)
    return estimate_job(figures, spec, counts, facts, prices=PRICES)


def charge(found: Estimate, kind: str) -> float:
    """Return the money of one kind of charge."""
    return usd_of_kind(found.charges).get(kind, 0.0)


@given(spec=specs, chunk=entries, facts=places)
def test_the_cost_is_the_sum_of_its_charges(spec: JobSpec, chunk: list[Entry], facts: BucketFacts) -> None:
    """Each of them is there to be checked, none is negative, and no store but AWS has any."""
    found = estimate(spec, chunk, facts=facts)
    assert all(each.usd >= 0 and each.quantity >= 0 for each in found.charges)
    if facts.is_aws:
        assert found.usd == pytest.approx(sum(each.usd for each in found.charges), abs=1e-6)
        assert sum(usd_of_kind(found.charges).values()) == pytest.approx(found.usd, abs=1e-6)
    else:
        assert (found.charges, found.usd, found.usd_a_month, found.seconds_at_s3_rate) == ((), None, None, None)


@given(spec=specs, chunk=entries, more=entries, facts=places)
def test_more_objects_never_cost_less(spec: JobSpec, chunk: list[Entry], more: list[Entry], facts: BucketFacts) -> None:
    """In money, bytes, time and requests."""
    fewer, all_of_them = estimate(spec, chunk, facts=facts), estimate(spec, chunk + more, facts=facts)
    for name in ("usd", "usd_a_month", "bytes_added", "bytes_read", "bytes_not_freed", "seconds_at_s3_rate"):
        assert (getattr(fewer, name) or 0) <= (getattr(all_of_them, name) or 0) + 1e-5, name


@given(spec=specs, facts=places)
def test_no_objects_cost_nothing(spec: JobSpec, facts: BucketFacts) -> None:
    """And take no time."""
    found = estimate(spec, facts=facts)
    assert not found.usd
    assert not found.usd_a_month
    assert not found.seconds_at_s3_rate
    assert (found.bytes_added, found.bytes_read, found.bytes_not_freed) == (0, 0, 0)


@given(spec=specs, chunk=entries, facts=places)
def test_an_estimate_is_kept_with_its_plan(spec: JobSpec, chunk: list[Entry], facts: BucketFacts) -> None:
    """A plan of an older version has none; a member of a later one is left out."""
    plan = Plan(entries=1, bytes=1, chunks=1, estimate=estimate(spec, chunk, facts=facts))
    assert Plan.from_json(plan.to_json()) == plan
    assert Plan.from_json('{"entries": 1, "bytes": 1, "chunks": 1}').estimate is None
    later = plan.to_json().replace('"estimate":{', '"estimate":{"member":1,')
    assert Plan.from_json(later) == plan


def test_a_billion_copies_into_standard_cost_five_thousand_dollars() -> None:
    """The example of AWS's own pricing: $0.005 per 1,000 COPY requests, and the look at each chunk's targets."""
    figures = figures_of([Entry()] * 10_000)
    figures.chunks, figures.pages = 100_000, 1_000_000
    figures.by_class["STANDARD"].objects = 10**9
    found = estimate_job(figures, COPY, count_requests(figures, COPY, is_aws=True), AWS, prices=PRICES)
    assert [(each.what, each.quantity, each.usd) for each in found.charges] == [
        ("List", 100_000, 0.5),
        ("CopyObject into STANDARD", 10**9, 5_000.0),
    ]
    assert found.usd == 5_000.5
    assert found.seconds_at_s3_rate == pytest.approx(10**9 / 3_500)


def test_a_delete_is_free_where_nothing_is_too_young() -> None:
    """Only its readings cost."""
    found = estimate(DELETE, [Entry(size=GB, age_days=400, storage_class="GLACIER_IR")])
    assert [(each.kind, each.what) for each in found.charges] == [("requests", "List")]


@pytest.mark.parametrize(
    ("entry", "gb_months"),
    [
        (Entry(size=GB, storage_class="STANDARD_IA", age_days=15), 0.5),
        (Entry(size=1, storage_class="STANDARD_IA", age_days=0), 128 * 1024 / GB),
        (Entry(size=GB, storage_class="GLACIER", age_days=0), 3 * (GB + 40 * 1024) / GB),
        (Entry(size=GB, storage_class="DEEP_ARCHIVE", age_days=120), 2 * (GB + 40 * 1024) / GB),
        (Entry(size=GB, storage_class="GLACIER_IR", age_days=-5), 3.0),  # a clock that differs
        (Entry(size=GB, storage_class="STANDARD_IA", age_days=30), 0.0),
        (Entry(size=GB, storage_class="STANDARD", age_days=0), 0.0),
        (Entry(size=GB, storage_class="INTELLIGENT_TIERING", age_days=0), 0.0),
    ],
)
def test_deleting_what_is_younger_than_its_class_asks_for_is_charged(entry: Entry, gb_months: float) -> None:
    """The rest of the minimum duration, of what the class bills the object as."""
    found = estimate(DELETE, [entry])
    price = PRICES.of_class(str(entry.storage_class)).storage_per_gb_month
    assert charge(found, "early deletion") == pytest.approx(gb_months * price, abs=2e-6)


def test_a_bucket_that_keeps_versions_charges_no_early_deletion_and_frees_nothing() -> None:
    """A delete there puts a marker, and the bytes stay."""
    young = [Entry(size=GB, storage_class="STANDARD_IA", age_days=1)]
    kept = estimate(DELETE, young, facts=replace(AWS, keeps_versions=True))
    freed = estimate(DELETE, young)
    assert (charge(kept, "early deletion"), kept.bytes_not_freed) == (0.0, GB)
    assert charge(freed, "early deletion") > 0 == freed.bytes_not_freed


def test_what_has_no_age_is_said_to_be_missing_from_the_fees() -> None:
    """Not taken for old, and not for young."""
    found = estimate(DELETE, [Entry(size=GB, storage_class="STANDARD_IA", age_days=None)])
    assert charge(found, "early deletion") == 0
    assert any("does not tell the age of 1 object:" in note for note in found.notes)


@pytest.mark.parametrize(
    ("spec", "kind", "usd"),
    [
        (COPY, "retrieval", 0.01),
        (BYTES, "retrieval", 0.02),
        (replace(BYTES, copy=CopyOptions(storage_class="GLACIER_IR")), "retrieval", 0.04),
        (VERIFY, "retrieval", 0.0),
        (DELETE, "retrieval", 0.0),
    ],
)
def test_reading_classes_for_rare_access_is_charged_by_the_gigabyte(spec: JobSpec, kind: str, usd: float) -> None:
    """As the source of a copy once; for a comparison of bytes on both sides."""
    assert charge(estimate(spec, [Entry(size=GB, storage_class="STANDARD_IA")]), kind) == pytest.approx(usd)


def test_copies_between_regions_are_charged_by_the_gigabyte() -> None:
    """Those of a verify are not: nothing moves there."""
    facts = replace(AWS, target_region="us-west-2")
    assert charge(estimate(COPY, [Entry(size=10 * GB)], facts=facts), "transfer") == pytest.approx(0.2)
    assert charge(estimate(VERIFY, [Entry(size=10 * GB)], facts=facts), "transfer") == 0


@pytest.mark.parametrize(
    ("by_default", "attributes", "expected"),
    [
        (True, CopyAttributes(), 0.03),
        (False, CopyAttributes(), 0.0),
        (False, CopyAttributes(encryption=Encryption.KMS), 0.03),
        (False, CopyAttributes(encryption=Encryption.DSSE, bucket_key=True), 0.0),
        (True, CopyAttributes(encryption=Encryption.AES256), 0.0),
        (True, CopyAttributes(keep=frozenset({Keep.ENCRYPTION})), 0.0),
    ],
)
def test_each_copy_that_kms_encrypts_takes_a_data_key(
    by_default: bool,  # noqa: FBT001 - a parameter of the test
    attributes: CopyAttributes,
    expected: float,
) -> None:
    """Unless a bucket key saves them."""
    spec = replace(COPY, copy=CopyOptions(attributes=attributes))
    found = estimate(spec, [Entry()] * 10_000, facts=replace(AWS, encrypts_by_kms=by_default))
    assert charge(found, "KMS") == pytest.approx(expected)


def test_the_parts_of_an_upload_into_an_archive_are_billed_as_standard() -> None:
    """Only its completion has the archive's price."""
    spec = replace(COPY, copy=CopyOptions(storage_class="DEEP_ARCHIVE"))
    found = {each.what: each.usd for each in estimate(spec, [Entry(size=THRESHOLD, etag="e-1000")]).charges}
    assert found["UploadPartCopy into DEEP_ARCHIVE"] == pytest.approx(0.005)
    assert found["CompleteMultipartUpload into DEEP_ARCHIVE"] == pytest.approx(0.05 / 1000)


def test_small_copies_are_billed_as_large_as_their_class_says() -> None:
    """128 KiB each in classes for rare access, 40 KiB more in archives; and the plan says so."""
    small = [Entry(size=1024)] * 1_000
    rare = estimate(replace(COPY, copy=CopyOptions(storage_class="STANDARD_IA")), small)
    archive = estimate(replace(COPY, copy=CopyOptions(storage_class="GLACIER")), small)
    standard = estimate(COPY, small)
    assert rare.usd_a_month == pytest.approx(1_000 * 128 * 1024 / GB * 0.0125, abs=1e-6)
    assert archive.usd_a_month == pytest.approx(1_000 * 41 * 1024 / GB * 0.0036, abs=1e-6)
    assert standard.usd_a_month == pytest.approx(1_000 * 1024 / GB * 0.023, abs=1e-6)
    assert any("under 128 KiB" in note and "131,072,000" in note for note in rare.notes)
    assert any("at least 30 days" in note for note in rare.notes)
    assert standard.notes == ()


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda: estimate(COPY, [Entry()], facts=replace(AWS, target_region="eu-west-1")), "those of eu-west-1 differ"),
        (lambda: estimate(COPY, [Entry()], facts=BucketFacts(is_aws=True)), "region is not known"),
        (lambda: estimate(COPY, [Entry(storage_class="SNOW")]), "SNOW is not in the price table"),
        (lambda: estimate(COPY, [Entry(size=GB, storage_class="GLACIER")]), "restore of the archived objects"),
        (lambda: estimate(BYTES, [Entry()]), "Every byte is read by this machine"),
    ],
)
def test_what_makes_a_cost_doubtful_is_said(make: Callable[[], Estimate], expected: str) -> None:
    """In a sentence of the plan."""
    assert any(expected in note for note in make().notes)


def test_other_stores_get_bytes_and_no_money() -> None:
    """Nobody knows what they charge, and S3's rates are not theirs."""
    found = estimate(COPY, [Entry(size=GB, storage_class="STANDARD_IA")], facts=ELSEWHERE)
    assert (found.bytes_added, found.usd, found.charges, found.notes) == (GB, None, (), ())


def test_a_bound_on_requests_is_a_bound_on_time() -> None:
    """The user's own --max-rate, at any store."""
    bound = replace(COPY, connection=Connection(max_rate=10.0))
    assert estimate(bound, [Entry()] * 99, facts=ELSEWHERE).seconds_at_max_rate == pytest.approx(10.0)
    assert estimate(COPY, [Entry()], facts=ELSEWHERE).seconds_at_max_rate is None


def test_the_plan_of_a_move_tells_what_its_later_steps_add() -> None:
    """Fees for early deletion come due two steps later, and are told before the first."""
    young = [Entry(size=1_000 * GB, storage_class="GLACIER_IR", age_days=0)]
    steps = [Step(operation=spec.operation, requests=7, estimate=estimate(spec, young)) for spec in (VERIFY, DELETE)]
    note = later_steps_note(steps)
    assert "verify about 7 requests, delete about 7 requests" in note
    assert "early deletion $12.00" in note
    marked = estimate(DELETE, young, facts=replace(ELSEWHERE, keeps_versions=True))
    note = later_steps_note([Step(operation=Operation.DELETE, requests=1, estimate=marked)])
    assert note.endswith(
        "delete about 1 request; the delete frees none of 1,073,741,824,000 bytes, which stay as old versions."
    )


@pytest.mark.parametrize(
    ("usd", "text"),
    [(0, "nothing"), (0.000005, "under $0.01"), (0.37, "$0.37"), (999.994, "$999.99"), (5_000.5, "$5,000")],
)
def test_money_is_told_no_finer_than_it_is_known(usd: float, text: str) -> None:
    """No thousandths of a cent."""
    assert money_text(usd) == text


def test_charges_of_one_kind_are_summed() -> None:
    """In the order of their first."""
    charges = [
        Charge(kind=kind, what="", quantity=1, unit="requests", usd=usd) for kind, usd in (("b", 1), ("a", 2), ("b", 4))
    ]
    assert list(usd_of_kind(charges).items()) == [("b", 5.0), ("a", 2.0)]
