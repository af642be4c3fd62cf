"""A plan says what its store cannot be relied on for, and what the user has vouched for."""

import json
from dataclasses import replace

from s3batch.model.attributes import Attribute, CopyAttributes, Encryption, Keep
from s3batch.model.job import (
    CopyOptions,
    DeleteOptions,
    JobSpec,
    KeyMapping,
    ManifestSource,
    Operation,
    VerifyOptions,
)
from s3batch.plan.warnings import store_warnings

DELETE = JobSpec(
    operation=Operation.DELETE,
    source=ManifestSource(job_id="verify"),
    mapping=KeyMapping(target_bucket="t", strip_prefix="", add_prefix="x/"),
)
COPY = replace(DELETE, operation=Operation.COPY)
TRUSTING = replace(DELETE, delete=DeleteOptions(trust_listings=True))


def test_listings_are_trusted_only_on_the_users_word() -> None:
    """A specification that says nothing, also one of an older ledger, trusts none (safety.md rule 12)."""
    assert not DeleteOptions().trust_listings
    assert not JobSpec.from_json(DELETE.to_json()).delete.trust_listings
    assert JobSpec.from_json(TRUSTING.to_json()).delete.trust_listings


def test_a_delete_on_another_store_than_aws_says_what_was_not_probed() -> None:
    """Conditions that a store may ignore, and listings that the user vouched for, are in the plan."""
    assert store_warnings(TRUSTING, is_aws=True) == []
    assert store_warnings(replace(DELETE, operation=Operation.VERIFY), is_aws=False) == []
    (conditions,) = store_warnings(DELETE, is_aws=False)
    assert conditions.startswith("Conditional deletes were not probed on this store.")
    assert [each.split(":")[0] for each in store_warnings(TRUSTING, is_aws=False)[1:]] == ["--trust-listings"]


def test_the_plan_of_a_copy_says_that_a_target_may_be_overwritten_in_a_race() -> None:
    """Also where the store ignores conditions on copies, nobody learns of it from a loss (safety.md rule 6)."""
    _, warning, _ = store_warnings(COPY, is_aws=False)
    assert "not probed" in warning
    assert not any("not probed" in each for each in store_warnings(COPY, is_aws=True))


def test_the_plan_says_that_etags_will_not_prove_copies_that_kms_encrypts() -> None:
    """Before they are made, not when verify is undecided about all of them."""
    encrypted = CopyAttributes(encryption=Encryption.KMS)
    warnings = store_warnings(replace(COPY, copy=CopyOptions(attributes=encrypted)), is_aws=True)
    assert any("--level bytes" in each for each in warnings)


def test_what_is_compared_and_required_is_recorded_with_the_job() -> None:
    """And a specification of an older ledger compares and requires nothing beyond the bytes."""
    asked = (Attribute.METADATA, Attribute.TAGS)
    spec = replace(DELETE, verify=VerifyOptions(attributes=asked), delete=DeleteOptions(required=asked))
    assert JobSpec.from_json(spec.to_json()) == spec
    members = json.loads(spec.to_json())
    del members["verify"]["attributes"], members["delete"]["required"]
    older = JobSpec.from_json(json.dumps(members))
    assert (older.verify.attributes, older.delete.required) == ((), ())


def test_the_plan_of_a_copy_names_what_copies_do_not_have_of_their_sources() -> None:
    """By S3's own rules, and by what nobody has tried; what was asked for is not named."""
    (unkept,) = store_warnings(COPY, is_aws=True)
    assert all(each in unkept for each in ("grants (ACL)", "encryption", "object lock", "website redirect", "--keep"))
    assert store_warnings(COPY, is_aws=False)[2].endswith("--keep tags reads and puts them.")
    everything = replace(COPY, copy=CopyOptions(attributes=CopyAttributes(keep=frozenset(Keep))))
    assert store_warnings(everything, is_aws=True) == []
    assert len(store_warnings(everything, is_aws=False)) == 1
    anew = CopyAttributes(acl="private", legal_hold=False, tags={}, redirect="/x")
    assert store_warnings(replace(COPY, copy=CopyOptions(attributes=anew)), is_aws=True) == [
        "Not kept by these copies: encryption other than the target bucket's. --keep keeps them."
    ]
