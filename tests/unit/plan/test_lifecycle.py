"""What a target bucket's rules will do to copies is refused or told before anything is copied."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3batch.model.errors import RefusedError
from s3batch.plan.findings import MAX_TOLD, Weight, exit_code_of, require_permitted, warnings_of
from s3batch.plan.lifecycle import lifecycle_findings, unread_lifecycle
from s3batch.s3.lifecycle import LifecycleRule, parse_lifecycle
from s3batch.s3.xml_tree import XmlError

EXPIRING = LifecycleRule(name="clean", is_enabled=True, prefix="tmp/", expires="after 30 days")


def warnings(rule: LifecycleRule, prefix: str, *, ignore_expiry: bool = False) -> tuple[str, ...]:
    """Return what a plan says of one rule, unless it is refused."""
    findings = lifecycle_findings([rule], bucket="b", prefix=prefix, ignore_expiry=ignore_expiry)
    require_permitted(findings)
    return warnings_of(findings)


@pytest.mark.parametrize("prefix", ["tmp/", "tmp/a/", "", "t"])
def test_a_rule_that_deletes_copies_is_refused_with_its_name_and_time(prefix: str) -> None:
    """Whichever of the two prefixes is the longer one."""
    with pytest.raises(RefusedError) as caught:
        warnings(EXPIRING, prefix)
    assert caught.value.code == "TargetExpires"
    assert "rule clean, for prefix 'tmp/', after 30 days" in str(caught.value)
    assert "--ignore-lifecycle" in caught.value.way_out


def test_a_rule_that_is_known_to_be_harmless_or_meant_does_not_hinder() -> None:
    """Disabled, elsewhere, or ignored: then it is told."""
    assert warnings(EXPIRING, "spdf/") == ()
    assert warnings(LifecycleRule(name="off", is_enabled=False, expires="after 1 days"), "spdf/") == ()
    (told,) = warnings(EXPIRING, "tmp/", ignore_expiry=True)
    assert told == "The target's lifecycle deletes copies: rule clean, for prefix 'tmp/', after 30 days."


def test_transitions_and_aborts_are_told() -> None:
    """They lose nothing at once; a later read costs, and a copy of days may be ended."""
    rule = LifecycleRule(
        name="cold", is_enabled=True, transitions=("GLACIER after 1 days",), aborts_uploads_after_days=1
    )
    assert warnings(rule, "x/") == (
        "The target's lifecycle moves copies to GLACIER after 1 days (rule cold).",
        "The target's lifecycle aborts uploads after 1 days (rule cold).",
    )
    assert "AccessDenied" in unread_lifecycle("b", "AccessDenied").text


def test_a_thousand_rules_are_counted_and_none_hides_a_refusal() -> None:
    """What is told is bounded; that the target deletes copies is told also if other rules come first."""
    rules = [LifecycleRule(name=f"{n}", is_enabled=True, expires="after 1 days") for n in range(1000)]
    cold = LifecycleRule(name="cold", is_enabled=True, transitions=("GLACIER after 1 days",))
    findings = lifecycle_findings([cold, *rules], bucket="b", prefix="x/", ignore_expiry=False)
    assert len(findings) == MAX_TOLD + 2
    assert exit_code_of(findings) == 4
    assert "995 more of this kind" in next(each.text for each in findings if "more" in each.text)
    assert {each.weight for each in findings if each.code == "TargetExpires"} == {Weight.REFUSAL}


@given(rule_prefix=st.text("ab/", max_size=4), prefix=st.text("ab/", max_size=4), rest=st.text("ab/", max_size=4))
def test_no_rule_that_covers_a_copy_is_overlooked(rule_prefix: str, prefix: str, rest: str) -> None:
    """If some key below the target begins with the rule's prefix, the rule is refused."""
    rule = LifecycleRule(name="r", is_enabled=True, prefix=rule_prefix, expires="after 1 days", is_narrowed=True)
    if (prefix + rest).startswith(rule_prefix):
        with pytest.raises(RefusedError, match="of some tags or sizes"):
            warnings(rule, prefix)


DOCUMENT = b"""<?xml version="1.0"?><LifecycleConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/">
<Rule><ID>a</ID><Filter><Prefix>tmp/</Prefix></Filter><Status>Enabled</Status><Expiration><Days>30</Days></Expiration></Rule>
<Rule><Prefix>old/</Prefix><Status>Disabled</Status><Expiration><Date>2030-01-01T00:00:00.000Z</Date></Expiration></Rule>
<Rule><ID>c</ID><Filter><And><Prefix>x/</Prefix><Tag><Key>k</Key><Value>v</Value></Tag></And></Filter><Status>Enabled</Status>
<Transition><Days>1</Days><StorageClass>GLACIER</StorageClass></Transition>
<Transition><Days>90</Days><StorageClass>DEEP_ARCHIVE</StorageClass></Transition></Rule>
<Rule><ID>d</ID><Filter/><Status>Enabled</Status><Expiration><ExpiredObjectDeleteMarker>true</ExpiredObjectDeleteMarker></Expiration>
<NoncurrentVersionExpiration><NoncurrentDays>1</NoncurrentDays></NoncurrentVersionExpiration>
<AbortIncompleteMultipartUpload><DaysAfterInitiation>7</DaysAfterInitiation></AbortIncompleteMultipartUpload></Rule>
</LifecycleConfiguration>"""


def test_rules_are_read_in_all_their_forms() -> None:
    """Old and new filters, days and dates; what is not about current objects deletes no copy."""
    assert parse_lifecycle(DOCUMENT) == (
        LifecycleRule(name="a", is_enabled=True, prefix="tmp/", expires="after 30 days"),
        LifecycleRule(name="number 2", is_enabled=False, prefix="old/", expires="on 2030-01-01"),
        LifecycleRule(
            name="c",
            is_enabled=True,
            prefix="x/",
            is_narrowed=True,
            transitions=("GLACIER after 1 days", "DEEP_ARCHIVE after 90 days"),
        ),
        LifecycleRule(name="d", is_enabled=True, aborts_uploads_after_days=7),
    )


def test_another_document_is_no_empty_configuration() -> None:
    """A store that does not know the call may answer with a listing."""
    with pytest.raises(XmlError, match="ListBucketResult"):
        parse_lifecycle(b"<ListBucketResult></ListBucketResult>")
