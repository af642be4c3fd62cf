"""Documents are as narrow as the prefixes, whatever characters these have, and are always the same bytes."""

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s3batch.model.errors import RefusedError, UsageError
from s3batch.model.objects import S3Object, S3Prefix
from s3batch.plan.policy_document import (
    bucket_policy,
    explanations,
    identity_policy,
    notes,
    partition_of,
    policy_size,
    require_kms_key,
    statements_of,
)
from s3batch.plan.policy_request import Place, PolicyRequest, Step
from tests.keys import HOSTILE_KEYS

KEY = "arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"
ROLE = "arn:aws:iam::444455556666:role/steward"


def request_of(step: Step = Step.VERIFY, prefix: str = "sdo/", **members: object) -> PolicyRequest:
    """Return a request between two buckets."""
    return PolicyRequest(
        step=step,
        source=S3Prefix(bucket="archive", prefix=prefix),
        target=S3Prefix(bucket="staging", prefix="sdac/"),
        **members,  # type: ignore[arg-type]
    )


def matches(pattern: str, text: str) -> bool:
    """Tell whether IAM would: ``*``, ``?`` and the variables that stand for these and for ``$`` have a meaning."""
    parts = re.split(r"(\$\{[*?$]\}|[*?])", pattern)
    meaning = {"*": ".*", "?": "."}
    expression = "".join(
        meaning.get(part) or re.escape(part[2] if part.startswith("${") and part.endswith("}") else part)
        for part in parts
    )
    return re.fullmatch(expression, text, re.DOTALL) is not None


@settings(deadline=None)  # a busy machine is no fault
@given(
    prefix=st.one_of(st.sampled_from(HOSTILE_KEYS), st.text(alphabet="ab*?$${}/", max_size=12)), key=st.text(max_size=5)
)
def test_a_policy_matches_the_prefix_and_nothing_beside_it(prefix: str, key: str) -> None:
    """A ``*`` in a prefix is no wildcard: the only one is the last character."""
    prefix = f"{prefix}/"
    for statement in identity_policy(request_of(prefix=prefix), partition="aws")["Statement"]:
        if statement["Sid"] == "SourceObjects":
            (resource,) = statement["Resource"]
            assert matches(resource, f"arn:aws:s3:::archive/{prefix}{key}")
            assert not matches(resource, f"arn:aws:s3:::archive/{prefix[:-1]}!{key}")
            assert not matches(resource, f"arn:aws:s3:::archive/x{prefix}{key}")
        if statement["Sid"] == "SourceList":
            (pattern,) = statement["Condition"]["StringLike"]["s3:prefix"]
            assert matches(pattern, f"{prefix}{key}")
            assert not matches(pattern, prefix[:-1])


def test_listings_of_an_inexact_prefix_are_allowed_in_its_folder() -> None:
    """``s3/lookup.py`` asks for whole folders; of a prefix without a folder that is the bucket."""

    def condition(prefix: str, **members: bool) -> object:
        (found,) = [
            each
            for each in identity_policy(request_of(Step.VERIFY, prefix, **members), partition="aws")["Statement"]
            if each["Sid"] == "SourceList"
        ]
        return found.get("Condition")

    assert condition("a/sd") == {"StringLike": {"s3:prefix": ["a/*"]}}
    assert condition("sd") is None
    assert condition("") is None
    assert condition("a/", lists_whole_bucket=True) is None


@pytest.mark.parametrize(
    ("region", "partition"),
    [(None, "aws"), ("eu-west-1", "aws"), ("cn-north-1", "aws-cn"), ("us-gov-west-1", "aws-us-gov")],
)
def test_arns_are_those_of_the_region_s_partition(region: str | None, partition: str) -> None:
    """Every ARN of the document, and the service that a key is used by."""
    assert partition_of(region) == partition
    document = json.dumps(identity_policy(request_of(), partition=partition))
    assert set(re.findall(r"arn:([a-z-]+):", document)) == {partition}


def test_keys_are_used_through_s3_only() -> None:
    """A policy for copies is none for whatever else the key encrypts; China's services have another name."""
    request = request_of(kms_key_by_place={Place.SOURCE: KEY})
    (statement,) = [each for each in identity_policy(request, partition="aws")["Statement"] if "Key" in each["Sid"]]
    assert statement == {
        "Sid": "SourceKey",
        "Effect": "Allow",
        "Action": ["kms:Decrypt"],
        "Resource": [KEY],
        "Condition": {"StringLike": {"kms:ViaService": ["s3.*.amazonaws.com"]}},
    }
    assert "s3.*.amazonaws.com.cn" in json.dumps(identity_policy(request, partition="aws-cn"))


def test_a_manifest_is_one_object_and_an_inventory_its_files() -> None:
    """S3 delivers an inventory's data beside the folder of each run."""

    def resources(key: str) -> list[str]:
        request = request_of(manifest=S3Object(bucket="lists", key=key))
        (found,) = [
            each["Resource"]
            for each in identity_policy(request, partition="aws")["Statement"]
            if each["Sid"] == "ManifestObjects"
        ]
        return [each.removeprefix("arn:aws:s3:::lists/") for each in found]

    assert resources("a/manifest.json") == ["a/manifest.json"]
    assert resources("what?.csv") == ["what${?}.csv"]
    run = "inventory/archive/all/2026-11-01T01-00Z"
    assert resources(f"{run}/manifest.json") == [
        f"{run}/manifest.json",
        f"{run}/manifest.checksum",
        "inventory/archive/all/data/*",
    ]


def test_a_bucket_s_policy_is_about_this_bucket_and_names_the_principals() -> None:
    """Each statement of the identity's policy is in that of one of the buckets; keys have policies of their own."""
    request = request_of(Step.COPY, kms_key_by_place={Place.SOURCE: KEY})
    whole = [each for each in identity_policy(request, partition="aws")["Statement"] if each["Sid"] != "SourceKey"]
    parts = []
    for bucket in ("archive", "staging"):
        document = bucket_policy(request, partition="aws", bucket=bucket, principals=[ROLE, "777788889999"])
        assert all(f"arn:aws:s3:::{bucket}" in each["Resource"][0] for each in document["Statement"])
        assert all(each.pop("Principal") == {"AWS": [ROLE, "777788889999"]} for each in document["Statement"])
        parts += document["Statement"]
    assert parts == whole


@pytest.mark.parametrize("text", ["*", "", "steward", "arn:aws:iam::44445555666:role/x", f"{ROLE}\n", "arn:aws:s3:::b"])
def test_what_is_no_principal_is_refused(text: str) -> None:
    """Everybody above all."""
    with pytest.raises(UsageError, match="is no principal") as caught:
        bucket_policy(request_of(), partition="aws", bucket="archive", principals=[text])
    assert caught.value.code == "InvalidPrincipal"
    assert "role/NAME" in caught.value.way_out


def test_a_bucket_that_the_step_does_not_touch_is_refused() -> None:
    """With those that it touches."""
    with pytest.raises(UsageError) as caught:
        bucket_policy(request_of(), partition="aws", bucket="other", principals=[ROLE])
    assert caught.value.code == "NotOfThisJob"
    assert "archive, staging" in caught.value.way_out


@pytest.mark.parametrize("bucket", ["arn:aws:s3:us-east-1:111122223333:accesspoint", "mine-x1y2z3-s3alias"])
def test_an_access_point_is_refused(bucket: str) -> None:
    """A policy of its name would allow nothing."""
    request = PolicyRequest(step=Step.UNDO, source=S3Prefix(bucket=bucket, prefix="sdo/"))
    with pytest.raises(RefusedError) as caught:
        identity_policy(request, partition="aws")
    assert caught.value.code == "AccessPoint"
    assert caught.value.way_out == "Name the bucket behind it."


@pytest.mark.parametrize("text", ["alias/x", "arn:aws:kms:us-east-1:111122223333:alias/x", "", f"{KEY} "])
def test_what_is_no_key_is_refused(text: str) -> None:
    """An alias would silently allow nothing."""
    with pytest.raises(UsageError) as caught:
        require_kms_key(text)
    assert caught.value.code == "InvalidKey"
    assert require_kms_key(KEY) == KEY


@pytest.mark.parametrize("step", list(Step))
def test_every_action_is_explained(step: Step) -> None:
    """Each of them, under the name of its statement."""
    statements = statements_of(request_of(step), partition="aws")
    text = "\n".join(explanations(statements))
    for statement in statements:
        assert f"{statement.name}: " in text
        for action in statement.actions:
            assert re.search(rf"^  {action}: .+\.$", text, re.MULTILINE)


def test_notes_say_what_the_policy_does_not_show() -> None:
    """Absent keys, owners of copies, the other half of two accounts, versions."""
    text = "\n".join(notes(request_of(Step.MOVE), is_of_bucket=True))
    for word in ("--list-whole-bucket", "BucketOwnerEnforced", "without --for-principal", "can be had back"):
        assert word in text
    assert notes(request_of(Step.VERIFY, lists_whole_bucket=True), is_of_bucket=False) == ()


def test_white_space_does_not_count() -> None:
    """As IAM counts."""
    assert policy_size('{ "a":\n 1 }') == len('{"a":1}')
