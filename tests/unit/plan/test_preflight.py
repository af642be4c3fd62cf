"""Preflight turns what was read and tried into findings; what was not read is said, never taken for harmless."""

from collections.abc import Sequence
from dataclasses import replace

import pytest

from s3batch.model.errors import RefusedError
from s3batch.plan.findings import Finding, Weight, exit_code_of, require_permitted, warnings_of
from s3batch.plan.preflight import (
    Ability,
    Tried,
    ability_findings,
    copy_findings,
    pair_findings,
    source_findings,
)
from s3batch.s3.bucket_reading import BucketReading, Unread
from s3batch.s3.bucket_settings import DefaultEncryption, DefaultRetention, Notification, ReplicationRule
from s3batch.s3.lifecycle import LifecycleRule

PLAIN = BucketReading(bucket="b", region="us-east-1")
SENDS = Notification(destination="arn:q", events=("s3:ObjectCreated:*", "s3:ObjectRemoved:*"), prefix="tmp/")
REPLICATES = ReplicationRule(name="r", is_enabled=True, destination="x", prefix="tmp/", replicates_markers=True)


def codes(findings: Sequence[Finding], weight: Weight = Weight.WARNING) -> list[str]:
    """Return the codes of a weight."""
    return [each.code for each in findings if each.weight is weight]


def of_copy(reading: BucketReading, prefix: str = "tmp/x/") -> tuple[Finding, ...]:
    """Return what is found about a target."""
    return copy_findings(reading, prefix, ignore_lifecycle=False)


def test_a_plain_bucket_does_nothing_to_copies() -> None:
    """Then there is nothing to tell."""
    assert of_copy(PLAIN) == ()
    assert exit_code_of(()) == 0


@pytest.mark.parametrize(
    ("reading", "code", "told"),
    [
        (replace(PLAIN, notifications=(SENDS,)), "TargetNotifies", "arn:q"),
        (replace(PLAIN, replication=(REPLICATES,)), "TargetReplicates", "rule r of b"),
        (replace(PLAIN, encryption=DefaultEncryption(algorithm="aws:kms")), "TargetEncrypts", "aws:kms"),
        (replace(PLAIN, retention=DefaultRetention(mode="COMPLIANCE", period="3 days")), "TargetLocks", "3 days"),
        (replace(PLAIN, versioning="Suspended"), "TargetVersioningSuspended", "null version"),
        (replace(PLAIN, lifecycle=Unread(code="AccessDenied")), "LifecycleNotRead", "AccessDenied"),
        (replace(PLAIN, replication=Unread(code="AccessDenied")), "SettingsNotRead", "replication rules"),
    ],
)
def test_what_the_target_does_to_copies_is_a_warning(reading: BucketReading, code: str, told: str) -> None:
    """With the name of what does it."""
    findings = of_copy(reading)
    assert codes(findings) == [code]
    assert told in warnings_of(findings)[0]
    assert exit_code_of(findings) == 3
    require_permitted(findings)


def test_rules_for_other_keys_other_events_or_switched_off_are_not_told() -> None:
    """A warning that is not about these copies would hide one that is."""
    reading = replace(PLAIN, notifications=(SENDS,), replication=(REPLICATES,))
    assert of_copy(reading, "spdf/") == ()
    removed = replace(SENDS, events=("s3:ObjectRemoved:Delete",))
    assert of_copy(replace(PLAIN, notifications=(removed,))) == ()
    assert of_copy(replace(PLAIN, replication=(replace(REPLICATES, is_enabled=False),))) == ()


def test_encryption_of_the_buckets_default_matters_only_where_copies_have_none_of_their_own() -> None:
    """AES256, S3's own default, changes no ETag."""
    kms = replace(PLAIN, encryption=DefaultEncryption(algorithm="aws:kms:dsse"))
    assert codes(of_copy(kms)) == ["TargetEncrypts"]
    assert copy_findings(kms, "x/", ignore_lifecycle=False, has_encryption=True) == ()
    assert of_copy(replace(PLAIN, encryption=DefaultEncryption(algorithm="AES256"))) == ()


def test_what_the_store_does_not_know_is_a_note() -> None:
    """It has no such setting, so nothing happens; lifecycle rules are named even then, because they delete."""
    reading = replace(PLAIN, encryption=Unread(code="NotImplemented"), retention=Unread(code="AccessDenied"))
    findings = of_copy(reading)
    assert codes(findings, Weight.NOTE) == ["SettingsUnknown"]
    assert codes(findings) == ["SettingsNotRead"]
    assert "default encryption" in next(each.text for each in findings if each.weight is Weight.NOTE)


def test_a_target_that_deletes_copies_is_refused() -> None:
    """With the code and the way out of the refusal."""
    rule = LifecycleRule(name="clean", is_enabled=True, prefix="tmp/", expires="after 30 days")
    findings = of_copy(replace(PLAIN, lifecycle=(rule,)))
    assert exit_code_of(findings) == 4
    with pytest.raises(RefusedError, match="rule clean") as caught:
        require_permitted(findings)
    assert caught.value.code == "TargetExpires"


@pytest.mark.parametrize(
    ("reading", "expected"),
    [
        (PLAIN, (Weight.NOTE, "SourceNotVersioned")),
        (replace(PLAIN, versioning="Enabled"), (Weight.NOTE, "SourceVersioned")),
        (replace(PLAIN, versioning="Suspended"), (Weight.WARNING, "VersioningSuspended")),
        (replace(PLAIN, versioning=Unread(code="AccessDenied")), (Weight.WARNING, "VersioningNotRead")),
    ],
)
def test_what_a_delete_at_the_source_leaves_is_told(reading: BucketReading, expected: tuple[Weight, str]) -> None:
    """Whether it can be undone, and whether it is done at all."""
    (finding,) = source_findings(reading, "a/", requester_pays=False)
    assert (finding.weight, finding.code) == expected


def test_what_the_source_sends_elsewhere_when_originals_go_is_told() -> None:
    """Events, delete markers, and who pays."""
    reading = replace(PLAIN, notifications=(SENDS,), replication=(REPLICATES,), payer="Requester")
    assert codes(source_findings(reading, "tmp/", requester_pays=False)) == [
        "SourceNotifies",
        "SourceReplicatesDeletes",
        "RequesterPays",
    ]
    assert codes(source_findings(reading, "a/", requester_pays=True)) == []
    denied = replace(PLAIN, notifications=Unread(code="AccessDenied"))
    assert codes(source_findings(denied, "a/", requester_pays=False)) == ["SourceSettingsNotRead"]


def test_regions_that_differ_are_told_and_unknown_ones_are_not_guessed() -> None:
    """Nothing is said where one is not known."""
    elsewhere = replace(PLAIN, bucket="c", region="eu-west-1")
    assert codes(pair_findings(PLAIN, elsewhere)) == ["RegionsDiffer"]
    assert pair_findings(PLAIN, PLAIN) == ()
    assert pair_findings(PLAIN, replace(elsewhere, region=Unread(code="AccessDenied"))) == ()


@pytest.mark.parametrize(
    ("ability", "refused", "expected"),
    [
        (Ability.LIST_SOURCE, "AccessDenied", (Weight.REFUSAL, "SourceNotListed")),
        (Ability.READ_SOURCE, "AccessDenied", (Weight.REFUSAL, "SourceNotRead")),
        (Ability.READ_SOURCE, "InvalidObjectState", (Weight.WARNING, "SourceArchived")),
        (Ability.READ_TAGS, "AccessDenied", (Weight.WARNING, "TagsNotRead")),
        (Ability.LIST_TARGET, "AccessDenied", (Weight.WARNING, "TargetNotListed")),
        (Ability.LIST_SOURCE, "", (Weight.OK, "SourceListed")),
        (Ability.READ_SOURCE, "", (Weight.OK, "SourceRead")),
        (Ability.READ_TAGS, "", (Weight.OK, "TagsRead")),
        (Ability.LIST_TARGET, "", (Weight.NOTE, "TargetTaken")),
    ],
)
def test_each_ability_is_told_as_it_was_tried(ability: Ability, refused: str, expected: tuple[Weight, str]) -> None:
    """A refusal with its code and a way out; and that writes were not tried."""
    finding, writes = ability_findings([Tried(ability=ability, place="s3://b/a/k", refused=refused)])
    assert (finding.weight, finding.code) == expected
    assert "s3://b/a/k" in finding.text
    assert refused in finding.text or refused == "InvalidObjectState"
    assert (writes.weight, writes.code) == (Weight.NOTE, "WritesNotProbed")


def test_an_empty_source_is_a_warning_and_an_empty_target_is_fine() -> None:
    """A wrong prefix is the usual reason for the first."""
    source = Tried(ability=Ability.LIST_SOURCE, place="s3://b/a/", is_empty=True)
    target = replace(source, ability=Ability.LIST_TARGET)
    assert [each.code for each in ability_findings([source, target])] == [
        "SourceEmpty",
        "TargetListed",
        "WritesNotProbed",
    ]
