"""Probes become findings: what was not probed is said, and a copy that loses something is refused unless meant."""

from dataclasses import replace

import pytest

from s3batch.model.attributes import AS_SOURCES, CopyAttributes, Keep, MetadataDirective
from s3batch.model.job import JobSpec, KeyMapping, ManifestSource, Operation, ProbeOptions
from s3batch.plan.findings import Finding, Weight
from s3batch.plan.probes import (
    OF_COPIES,
    OF_DELETES,
    Behaviour,
    Conduct,
    Probed,
    conduct_of,
    loss_findings,
    lost_names,
    probe_findings,
    trust_findings,
    why_not_probed,
)
from s3batch.plan.warnings import store_warnings, with_probed
from s3batch.s3.answers import ObjectHead
from s3batch.s3.bucket_reading import BucketReading, Unread
from s3batch.s3.bucket_settings import DefaultRetention

DELETES = Probed(bucket="b", asked=OF_DELETES, conducts=dict.fromkeys(OF_DELETES, Conduct.HONOURED))
COPIES = Probed(
    bucket="t", asked=OF_COPIES, conducts=dict.fromkeys(OF_COPIES, Conduct.HONOURED), lost=(), lost_with_metadata=()
)
REPLACES = CopyAttributes(metadata_directive=MetadataDirective.REPLACE)
DELETE = JobSpec(operation=Operation.DELETE, source=ManifestSource(job_id="v"), mapping=KeyMapping(target_bucket="t"))
COPY = replace(DELETE, operation=Operation.COPY)


def weight_by_code(findings: tuple[Finding, ...]) -> dict[str, Weight]:
    """Return weights by code."""
    return {each.code: each.weight for each in findings}


@pytest.mark.parametrize(
    ("wrong", "was_done", "right", "conduct"),
    [
        ("PreconditionFailed", False, "", Conduct.HONOURED),
        ("", True, "", Conduct.IGNORED),
        ("", False, "", Conduct.IGNORED),  # accepted is accepted, whenever it is done
        ("PreconditionFailed", True, "", Conduct.IGNORED),  # whatever it says
        ("PreconditionFailed", False, "PreconditionFailed", Conduct.REFUSED),
        ("PreconditionFailed", False, "StillThere", Conduct.REFUSED),
        ("NotImplemented", False, "NotImplemented", Conduct.REFUSED),
        ("MalformedXML", False, "MalformedXML", Conduct.REFUSED),
        ("AccessDenied", False, "AccessDenied", Conduct.NOT_PROBED),
        ("PreconditionFailed", False, "AccessDenied", Conduct.NOT_PROBED),
    ],
)
def test_a_condition_is_honoured_only_where_it_refuses_the_wrong_and_takes_the_right(
    wrong: str, *, was_done: bool, right: str, conduct: Conduct
) -> None:
    """In doubt it is not."""
    assert conduct_of(wrong, was_done=was_done, right=right) is conduct


def test_losses_are_named() -> None:
    """Only what the original shows and the copy does not; tags only where both were read."""
    wanted = ObjectHead(
        size=1, etag="e", last_modified_ms=0, metadata={"a": "1"}, headers={"content-type": "x", "expires": "y"}
    )
    assert lost_names(wanted, wanted, wanted_tags=[("a", "b")], seen_tags=[("a", "b")]) == ()
    seen = replace(wanted, metadata={}, headers={"content-type": "x", "x-amz-expiration": "z"})
    assert lost_names(wanted, seen, wanted_tags=[("a", "b")], seen_tags=[]) == ("user metadata", "expires", "tags")
    assert lost_names(wanted, wanted, wanted_tags=[("a", "b")], seen_tags=None) == ()


@pytest.mark.parametrize(
    ("reading", "told"),
    [
        (BucketReading(bucket="b"), ""),
        (BucketReading(bucket="b", versioning="Suspended"), ""),
        (BucketReading(bucket="b", retention=Unread(code="NotImplemented")), ""),
        (BucketReading(bucket="b", retention=Unread(code="AccessDenied")), "locks new objects may not be read"),
        (BucketReading(bucket="b", versioning=Unread(code="AccessDenied")), "keeps versions may not be read"),
        (BucketReading(bucket="b", retention=DefaultRetention(mode="GOVERNANCE", period="3 days")), "for 3 days"),
    ],
)
def test_no_canary_is_written_that_might_stay(reading: BucketReading, told: str) -> None:
    """Locked, or nobody knows."""
    reason = why_not_probed(reading)
    assert (told in reason) is True
    assert bool(reason) is bool(told)


def test_conducts_are_told_with_what_follows() -> None:
    """Honoured is fine; ignored and unknown are to be thought about; a note where jobs do without."""
    assert weight_by_code(probe_findings(DELETES)) == {
        "CanariesWritten": Weight.OK,
        "DeleteConditionHonoured": Weight.OK,
        "BatchDeleteConditionHonoured": Weight.OK,
        "ListingAtOnceHonoured": Weight.OK,
    }
    ignored = replace(COPIES, conducts=dict.fromkeys(OF_COPIES, Conduct.IGNORED))
    assert weight_by_code(probe_findings(ignored)) == {
        "CanariesCopied": Weight.OK,
        "CopySourceConditionIgnored": Weight.WARNING,
        "CopyTargetConditionIgnored": Weight.WARNING,
        "TaggingDirectiveIgnored": Weight.NOTE,
    }
    nothing = Probed(bucket="b", asked=OF_DELETES, reason="PutObject is not allowed", left=("s3://b/x (AccessDenied)",))
    findings = probe_findings(nothing)
    assert weight_by_code(findings) == {"DeletesNotProbed": Weight.WARNING, "CanaryLeft": Weight.WARNING}
    assert findings[0].text == (
        "In b, not probed: the ETag condition of DeleteObject; the ETag condition of each key of DeleteObjects; the"
        " promise that a listing shows a write and a delete at once (seen on canaries alone). PutObject is not allowed."
    )
    assert (findings[-1].code, "s3://b/x (AccessDenied)" in findings[-1].text) == ("CanaryLeft", True)


@pytest.mark.parametrize(
    ("lost", "lost_with_metadata", "attributes", "codes"),
    [
        ((), (), AS_SOURCES, {"CopiesKeepAttributes": Weight.OK}),
        (("tags",), (), AS_SOURCES, {"StoreLosesAttributes": Weight.REFUSAL}),
        (("tags",), ("tags",), CopyAttributes(keep=frozenset({Keep.TAGS})), {"CopiesKeepAttributes": Weight.OK}),
        (("tags",), ("tags",), CopyAttributes(tags={"a": "b"}), {"CopiesKeepAttributes": Weight.OK}),
        (("user metadata",), (), CopyAttributes(tags={}), {"StoreLosesAttributes": Weight.REFUSAL}),
        ((), ("tags",), REPLACES, {"StoreLosesAttributes": Weight.REFUSAL}),
        (
            (),
            ("tags",),
            AS_SOURCES,
            {"CopiesKeepAttributes": Weight.OK, "TagsLostWithMetadata": Weight.NOTE},
        ),
        (None, None, AS_SOURCES, {}),
        ((), None, AS_SOURCES, {"CopiesKeepAttributes": Weight.OK}),
        ((), None, REPLACES, {}),
    ],
)
def test_a_copy_that_loses_what_the_job_wants_is_refused(
    lost: tuple[str, ...] | None,
    lost_with_metadata: tuple[str, ...] | None,
    attributes: CopyAttributes,
    codes: dict[str, Weight],
) -> None:
    """What the job puts explicitly is not lost; what another kind of copy loses is another matter (rule 8)."""
    probed = replace(COPIES, lost=lost, lost_with_metadata=lost_with_metadata)
    findings = loss_findings(probed, attributes, ignore_losses=False)
    assert weight_by_code(findings) == codes
    meant = weight_by_code(loss_findings(probed, attributes, ignore_losses=True))
    assert Weight.REFUSAL not in meant.values()
    assert set(meant) == set(codes)


def test_the_refusal_names_what_is_lost_and_the_ways_out() -> None:
    """Tags can be kept, metadata cannot."""
    probed = replace(COPIES, lost=("tags",))
    (tags,) = loss_findings(probed, AS_SOURCES, ignore_losses=False)
    assert tags.text == "Copies in t lose tags: a canary was copied there and had it no more."
    assert tags.way_out == "Add --keep tags, or copy all the same with --ignore-losses."
    (more,) = loss_findings(replace(probed, lost=("expires", "tags")), AS_SOURCES, ignore_losses=False)
    assert more.way_out == "Copy all the same with --ignore-losses."


def test_a_plan_says_what_was_probed_instead_of_that_it_was_not() -> None:
    """And goes on saying so where the probe did not tell."""
    warnings = store_warnings(DELETE, is_aws=False)
    told = with_probed(["first", *warnings], [DELETES], probe_findings(DELETES))
    assert told[0] == "first"
    assert told[2] == "In b, probed: the ETag condition of DeleteObject is honoured."
    assert not any("not probed" in each for each in told)
    refused = replace(COPIES, conducts=dict.fromkeys(OF_COPIES, Conduct.REFUSED))
    assert "CopyTargetConditionRefused" in weight_by_code(probe_findings(refused))
    half = replace(DELETES, conducts={Behaviour.DELETE_IF_MATCH: Conduct.HONOURED})
    assert warnings[0] in with_probed(warnings, [half], probe_findings(half))
    assert warnings[0] in with_probed(warnings, [DELETES, half], probe_findings(half))
    copying = store_warnings(COPY, is_aws=False)
    keeps = loss_findings(COPIES, AS_SOURCES, ignore_losses=False)
    assert not any("not probed" in each for each in with_probed(copying, [COPIES], keeps))
    unread = loss_findings(replace(COPIES, unread=("tags (AccessDenied)",)), AS_SOURCES, ignore_losses=False)
    assert copying[2] in with_probed(copying, [COPIES], unread)
    assert copying[2] in with_probed(copying, [COPIES], ())


def test_where_canaries_may_be_written_is_recorded_with_the_job() -> None:
    """A specification of an older ledger names no place."""
    named = replace(COPY, probe=ProbeOptions(prefixes=("s3://b/tmp/",), ignore_losses=True))
    assert JobSpec.from_json(named.to_json()) == named
    older = COPY.to_json().replace('"probe":{"prefixes":[],"ignore_losses":false},', "")
    assert '"probe"' not in older
    assert JobSpec.from_json(older).probe == ProbeOptions()


def test_listings_that_were_late_are_not_trusted_on_the_users_word() -> None:
    """What was seen weighs more (rule 12); where nothing was seen, the word counts."""
    late = replace(DELETES, conducts={Behaviour.LISTS_AT_ONCE: Conduct.IGNORED})
    (refusal,) = trust_findings(late, trusts_listings=True)
    assert (refusal.weight, refusal.code) == (Weight.REFUSAL, "ListingsLate")
    assert refusal.way_out == "Leave --trust-listings out."
    assert trust_findings(late, trusts_listings=False) == ()
    assert trust_findings(DELETES, trusts_listings=True) == ()
    assert trust_findings(replace(DELETES, conducts={}), trusts_listings=True) == ()
