"""A copy has what its source has, or is reported: kinds of objects, by attributes, by servers, from one table.

Each case puts an attribute on a source, copies it with the options that keep it, and reads both sides with boto3. The
rule is one: a row that succeeded has the attribute at its target; where a server cannot have one, its row fails with a
code. The tables name each gap of a server, so that one that learns shows up.
"""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from s3batch.model.attributes import CopyAttributes, Encryption, Keep, LockMode, MetadataDirective
from s3batch.model.errors import UnavailableError
from s3batch.model.job import IfTargetExists
from s3batch.s3.client import S3Client
from tests.contract.chunks import pin, run, run_until_error
from tests.contract.test_copy import SOURCE, TARGET, StartProxy, impatient, operation, with_journal
from tests.contract.test_copy_in_parts import FIRST, LAST, MANY_TAGS, put_in_parts
from tests.servers.faults import Fault, FaultPlan
from tests.servers.gaps import gap
from tests.servers.server import Server

KINDS = {"small": "k", "marker": "folder/", "multipart": "large"}
EVERYBODY = "http://acs.amazonaws.com/groups/global/AllUsers"
UNTIL = (datetime.now(UTC) + timedelta(days=2)).replace(microsecond=0)
CONTENT = {
    "ContentType": "text/x-fits",
    "CacheControl": "max-age=7",
    "ContentDisposition": 'attachment; filename="a b.fits"',
    "ContentEncoding": "gzip",
    "ContentLanguage": "de, en",
    "Expires": datetime(2031, 1, 2, 3, 4, 5, tzinfo=UTC),
}


def head(*names: str) -> Callable[[Any, str, str], object]:
    """Return what reads these members of HEAD."""

    def read(client: Any, bucket: str, key: str) -> object:  # noqa: ANN401 - boto3 is untyped
        answer = client.head_object(Bucket=bucket, Key=key)
        return {name: answer.get(name) for name in names}

    return read


def read_tags(client: Any, bucket: str, key: str) -> object:  # noqa: ANN401
    """Return the tags."""
    tags = client.get_object_tagging(Bucket=bucket, Key=key)["TagSet"]
    return sorted((tag["Key"], tag["Value"]) for tag in tags)


def read_grants(client: Any, bucket: str, key: str) -> object:  # noqa: ANN401
    """Return who may do what."""
    grants = client.get_object_acl(Bucket=bucket, Key=key)["Grants"]
    return sorted((each["Permission"], each["Grantee"].get("ID") or each["Grantee"]["URI"]) for each in grants)


def read_lock(client: Any, bucket: str, key: str) -> object:  # noqa: ANN401
    """Return retention and legal hold."""
    answer = client.head_object(Bucket=bucket, Key=key)
    until = answer["ObjectLockRetainUntilDate"]
    return answer["ObjectLockMode"], int(until.timestamp()), answer["ObjectLockLegalHoldStatus"]


def put_lock(client: Any, bucket: str, key: str) -> None:  # noqa: ANN401
    """Lock an object."""
    retention = {"Mode": "GOVERNANCE", "RetainUntilDate": UNTIL}
    client.put_object_retention(Bucket=bucket, Key=key, Retention=retention)
    client.put_object_legal_hold(Bucket=bucket, Key=key, LegalHold={"Status": "ON"})


def put_tags(client: Any, bucket: str, key: str) -> None:  # noqa: ANN401
    """Give an object more tags than a header can carry."""
    tag_set = [{"Key": name, "Value": value} for name, value in MANY_TAGS.items()]
    client.put_object_tagging(Bucket=bucket, Key=key, Tagging={"TagSet": tag_set})


def put_grant(client: Any, bucket: str, key: str) -> None:  # noqa: ANN401
    """Let everybody read an object."""
    client.put_object_acl(Bucket=bucket, Key=key, ACL="public-read")


def make_bucket(client: Any, bucket: str, *, is_locked: bool) -> None:  # noqa: ANN401
    """Make a bucket that takes ACLs, and locks if asked."""
    settings = {"ObjectLockEnabledForBucket": True} if is_locked else {}
    client.create_bucket(Bucket=bucket, ObjectOwnership="ObjectWriter", **settings)
    client.delete_public_access_block(Bucket=bucket)


@dataclass(frozen=True, kw_only=True)
class Attribute:
    """One attribute: how a source gets it, what keeps it, how it is read."""

    name: str
    read: Callable[[Any, str, str], object]
    settings: Mapping[str, Any] = field(default_factory=dict)
    """Of PutObject and CreateMultipartUpload."""
    put: Callable[[Any, str, str], None] | None = None
    keep: frozenset[Keep] = frozenset()


ATTRIBUTES = (
    Attribute(name="metadata", read=head("Metadata"), settings={"Metadata": {"mission": "soho", "x-y": "a  b"}}),
    Attribute(name="content headers", read=head(*CONTENT), settings=CONTENT),
    Attribute(name="tags", read=read_tags, put=put_tags, keep=frozenset({Keep.TAGS})),
    Attribute(name="grants", read=read_grants, put=put_grant, keep=frozenset({Keep.ACL})),
    Attribute(name="storage class", read=head("StorageClass"), settings={"StorageClass": "STANDARD_IA"}),
    Attribute(
        name="encryption by S3",
        read=head("ServerSideEncryption"),
        settings={"ServerSideEncryption": "AES256"},
        keep=frozenset({Keep.ENCRYPTION}),
    ),
    Attribute(
        name="encryption by KMS",
        read=head("ServerSideEncryption", "SSEKMSKeyId"),
        settings={"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "testkey-1"},
        keep=frozenset({Keep.ENCRYPTION}),
    ),
    Attribute(name="lock", read=read_lock, put=put_lock, keep=frozenset({Keep.LOCK})),
    Attribute(
        name="redirect",
        read=head("WebsiteRedirectLocation"),
        settings={"WebsiteRedirectLocation": "/other"},
        keep=frozenset({Keep.REDIRECT}),
    ),
)

CANNOT_HOLD: Mapping[tuple[str, str], str] = {
    ("ceph_rgw", "encryption by S3"): "this Ceph has no keys and wants TLS for encryption",
    ("ceph_rgw", "encryption by KMS"): "this Ceph has no keys and wants TLS for encryption",
}
"""What a source cannot even be given, or shown, on a server."""


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("attribute", ATTRIBUTES, ids=lambda each: each.name)
def test_a_copy_has_what_its_source_has_or_is_reported(  # noqa: PLR0917 - pytest hands them in by name
    request: pytest.FixtureRequest, s3_server: Server, bucket_name: str, tmp_path: Path, attribute: Attribute, kind: str
) -> None:
    """Nothing is lost in silence, whatever the store does with the headers of a copy."""
    if reason := CANNOT_HOLD.get((s3_server.name, attribute.name)):
        request.applymarker(pytest.mark.xfail(reason=reason, strict=True))
    client = s3_server.boto3_client()
    make_bucket(client, bucket_name, is_locked=attribute.name == "lock")
    key = SOURCE + KINDS[kind]
    if kind == "multipart":
        put_in_parts(s3_server, bucket_name, key, [FIRST, LAST], **attribute.settings)
    else:
        body = b"" if kind == "marker" else b"bytes"
        client.put_object(Bucket=bucket_name, Key=key, Body=body, **attribute.settings)
    if attribute.put is not None:
        attribute.put(client, bucket_name, key)
    expected = attribute.read(client, bucket_name, key)
    assert not isinstance(expected, dict) or None not in expected.values()
    storage_class = attribute.settings.get("StorageClass", "STANDARD")
    work = pin(s3_server, bucket_name, SOURCE, storage_classes=[storage_class])
    copying = operation(bucket_name, attributes=CopyAttributes(keep=attribute.keep))
    (outcome,) = run(s3_server, copying, work, prepare=with_journal(tmp_path, epoch=1))
    assert (outcome["status"], outcome["code"]) == ("succeeded", None), outcome
    assert attribute.read(client, bucket_name, TARGET + KINDS[kind]) == expected


ANEW: Mapping[str, tuple[CopyAttributes, Callable[[Any, str, str], object], object]] = {
    "metadata replaced": (
        CopyAttributes(metadata_directive=MetadataDirective.REPLACE, metadata={"new": "1"}),
        head("Metadata", "CacheControl"),
        {"Metadata": {"new": "1"}, "CacheControl": None},
    ),
    "metadata merged": (
        CopyAttributes(
            metadata_directive=MetadataDirective.MERGE, metadata={"new": "1"}, content={"content-type": "image/fits"}
        ),
        head("Metadata", "CacheControl", "ContentType"),
        {"Metadata": {"mission": "soho", "new": "1"}, "CacheControl": "max-age=7", "ContentType": "image/fits"},
    ),
    "tags": (CopyAttributes(tags={"a b": "+=/@ :", "c": ""}), read_tags, [("a b", "+=/@ :"), ("c", "")]),
    "many tags": (CopyAttributes(tags=MANY_TAGS), read_tags, sorted(MANY_TAGS.items())),
    "no tags": (CopyAttributes(tags={}), read_tags, []),
    "encryption": (
        CopyAttributes(encryption=Encryption.KMS, kms_key_id="testkey-1"),
        head("ServerSideEncryption", "SSEKMSKeyId"),
        {"ServerSideEncryption": "aws:kms", "SSEKMSKeyId": "testkey-1"},
    ),
    "redirect": (CopyAttributes(redirect="/new"), head("WebsiteRedirectLocation"), {"WebsiteRedirectLocation": "/new"}),
    "lock": (
        CopyAttributes(
            lock_mode=LockMode.GOVERNANCE, retain_until=UNTIL.strftime("%Y-%m-%dT%H:%M:%SZ"), legal_hold=True
        ),
        read_lock,
        ("GOVERNANCE", int(UNTIL.timestamp()), "ON"),
    ),
}
ANEW_CANNOT = {
    ("ministack", "redirect", "small"): "AttributesLost",
    ("ceph_rgw", "redirect", "small"): "AttributesLost",
    ("ceph_rgw", "redirect", "multipart"): "AttributesLost",
    ("ceph_rgw", "encryption", "small"): "AttributesLost",
    ("ceph_rgw", "encryption", "multipart"): "AttributesLost",
}
"""The store refuses the copy or loses it, which is reported with this code."""


@pytest.mark.parametrize("kind", ["small", "multipart"])
@pytest.mark.parametrize("name", ANEW)
def test_a_copy_has_what_the_job_gives_it(
    s3_server: Server, bucket_name: str, tmp_path: Path, name: str, kind: str
) -> None:
    """In place of what the source has, and nothing else of it changes; a store that cannot is told of."""
    attributes, read, expected = ANEW[name]
    client = s3_server.boto3_client()
    make_bucket(client, bucket_name, is_locked=name == "lock")
    key = SOURCE + KINDS[kind]
    settings = {"Metadata": {"mission": "soho"}, "CacheControl": "max-age=7"}
    if kind == "multipart":
        put_in_parts(s3_server, bucket_name, key, [FIRST, LAST], **settings)
    else:
        client.put_object(Bucket=bucket_name, Key=key, Body=b"bytes", **settings)
    client.put_object_tagging(Bucket=bucket_name, Key=key, Tagging={"TagSet": [{"Key": "old", "Value": "1"}]})
    work = pin(s3_server, bucket_name, SOURCE)
    (outcome,) = run(
        s3_server, operation(bucket_name, attributes=attributes), work, prepare=with_journal(tmp_path, epoch=1)
    )
    target = TARGET + KINDS[kind]
    if (code := ANEW_CANNOT.get((s3_server.name, name, kind))) is not None:
        assert (outcome["status"], outcome["code"]) == ("failed", code), outcome
        return
    assert outcome["status"] == "succeeded", outcome
    assert read(client, bucket_name, target) == expected
    if not name.startswith("metadata"):
        assert client.head_object(Bucket=bucket_name, Key=target)["Metadata"] == {"mission": "soho"}
    if "tags" not in name and gap(s3_server.name, "tagging-directive") is None:
        assert read_tags(client, bucket_name, target) == [("old", "1")]


def test_grants_can_be_given(s3_server: Server, bucket_name: str) -> None:
    """By a canned list, or one by one."""
    client = s3_server.boto3_client()
    make_bucket(client, bucket_name, is_locked=False)
    client.put_object(Bucket=bucket_name, Key=SOURCE + "k", Body=b"bytes")
    for attributes in (CopyAttributes(acl="public-read"), CopyAttributes(grants={"read": (f"uri={EVERYBODY}",)})):
        (outcome,) = run(s3_server, operation(bucket_name, attributes=attributes), pin(s3_server, bucket_name, SOURCE))
        assert outcome["status"] == "succeeded", outcome
        assert ("READ", EVERYBODY) in read_grants(client, bucket_name, TARGET + "k")  # type: ignore[operator]
        client.delete_object(Bucket=bucket_name, Key=TARGET + "k")


def test_an_attempt_that_ended_between_copy_and_attributes_is_finished_by_the_next(
    ministack: Server, bucket_name: str, fault_proxy: StartProxy
) -> None:
    """The copy is there with equal bytes; without its attributes it does not count as done."""
    client = ministack.boto3_client()
    make_bucket(client, bucket_name, is_locked=False)
    client.put_object(Bucket=bucket_name, Key=SOURCE + "k", Body=b"bytes")
    put_tags(client, bucket_name, SOURCE + "k")
    work = pin(ministack, bucket_name, SOURCE)
    copying = operation(bucket_name, attributes=CopyAttributes(tags={"new": "1"}))
    plan = FaultPlan(probabilities={Fault.RESET_BEFORE: 1.0}, matching="^PUT .*tagging")
    proxy = fault_proxy(ministack, plan)
    outcomes, error = run_until_error(proxy.server, copying, work, prepare=impatient)
    assert (outcomes, isinstance(error, UnavailableError)) == ([], True)
    client.put_object_tagging(Bucket=bucket_name, Key=TARGET + "k", Tagging={"TagSet": []})  # as a lossy store has it
    (outcome,) = run(ministack, copying, replace(work, is_first_attempt=False))
    assert (outcome["status"], outcome["code"]) == ("succeeded", "AlreadyCopied")
    assert read_tags(client, bucket_name, TARGET + "k") == [("new", "1")]


@pytest.mark.parametrize("kind", ["small", "multipart"])
def test_an_equal_object_without_the_attributes_is_not_the_same(
    ministack: Server, bucket_name: str, tmp_path: Path, kind: str
) -> None:
    """A retry skips what is the same; a copy that failed for its attributes is not, or they would be lost."""
    client = ministack.boto3_client()
    make_bucket(client, bucket_name, is_locked=False)
    for key in (SOURCE + "k", TARGET + "k"):
        if kind == "multipart":
            put_in_parts(ministack, bucket_name, key, [FIRST, LAST])
        else:
            client.put_object(Bucket=bucket_name, Key=key, Body=b"bytes")
    put_tags(client, bucket_name, SOURCE + "k")
    attributes = CopyAttributes() if kind == "multipart" else CopyAttributes(keep=frozenset({Keep.TAGS}))
    copying = operation(bucket_name, attributes=attributes, if_target_exists=IfTargetExists.SKIP_IF_SAME)
    (outcome,) = run(ministack, copying, pin(ministack, bucket_name, SOURCE), prepare=with_journal(tmp_path, epoch=1))
    assert (outcome["status"], outcome["code"]) == ("failed", "TargetExists")
    assert "without the attributes" in outcome["message"]
    put_tags(client, bucket_name, TARGET + "k")
    (outcome,) = run(ministack, copying, pin(ministack, bucket_name, SOURCE), prepare=with_journal(tmp_path, epoch=2))
    assert (outcome["status"], outcome["code"]) == ("succeeded", "AlreadySame")


def test_metadata_that_is_not_ascii_is_kept(
    request: pytest.FixtureRequest, s3_server: Server, bucket_name: str
) -> None:
    """Copied by the store itself, and merged by us."""
    if s3_server.name == "moto":
        request.applymarker(pytest.mark.xfail(reason="moto reads headers as Latin-1", strict=True))
    client = s3_server.boto3_client()
    make_bucket(client, bucket_name, is_locked=False)

    async def put() -> None:
        async with await S3Client.open(s3_server.connection()) as store:
            await store.put_object(bucket_name, SOURCE + "k", b"x", headers={"x-amz-meta-name": "Sonne \u2600 \u00e9"})

    asyncio.run(put())
    for directive in (MetadataDirective.COPY, MetadataDirective.MERGE):
        attributes = CopyAttributes(metadata_directive=directive, metadata={"a": "b"} if directive == "merge" else {})
        (outcome,) = run(s3_server, operation(bucket_name, attributes=attributes), pin(s3_server, bucket_name, SOURCE))
        assert outcome["status"] == "succeeded", outcome
        both = [
            client.head_object(Bucket=bucket_name, Key=key)["Metadata"]["name"] for key in (SOURCE + "k", TARGET + "k")
        ]
        assert both[0] == both[1]
        client.delete_object(Bucket=bucket_name, Key=TARGET + "k")
