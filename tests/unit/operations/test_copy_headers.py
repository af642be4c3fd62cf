"""What a copy's request says of attributes, and what is missing at its target, decided without a store."""

from dataclasses import replace

import pytest

from s3batch.model.attributes import AS_SOURCES, CopyAttributes, Encryption, Keep, LockMode, MetadataDirective
from s3batch.model.errors import RefusedError
from s3batch.operations.copy_headers import SourceAttributes, copy_headers, lost_attributes
from s3batch.s3.answers import Grant, ObjectAcl, ObjectHead

LOCK = {
    "x-amz-object-lock-mode": "GOVERNANCE",
    "x-amz-object-lock-retain-until-date": "2030-01-01T00:00:00.000Z",
    "x-amz-object-lock-legal-hold": "ON",
}
SHOWN = {
    "content-type": "text/x",
    "x-amz-server-side-encryption": "aws:kms",
    "x-amz-server-side-encryption-aws-kms-key-id": "key",
    "x-amz-website-redirect-location": "/r",
    **LOCK,
}
HEAD = ObjectHead(size=5, etag="e", last_modified_ms=0, metadata={"m": "1"}, headers=SHOWN)
SOURCE = SourceAttributes(head=HEAD, read_at_s=1_700_000_000)


def keeping(*names: Keep) -> CopyAttributes:
    """Return what keeps these."""
    return CopyAttributes(keep=frozenset(names))


def test_a_plain_copy_says_nothing_but_its_class() -> None:
    """Everything said costs bytes of each request, and STANDARD is what S3 does."""
    assert copy_headers(AS_SOURCES, SourceAttributes(), storage_class="STANDARD") == {}
    assert copy_headers(AS_SOURCES, SOURCE, storage_class=None) == {}
    assert copy_headers(AS_SOURCES, SOURCE, storage_class="GLACIER") == {"x-amz-storage-class": "GLACIER"}


@pytest.mark.parametrize(
    ("keep", "prefix"),
    [
        (Keep.ENCRYPTION, "x-amz-server-side-encryption"),
        (Keep.LOCK, "x-amz-object-lock"),
        (Keep.REDIRECT, "x-amz-website"),
    ],
)
def test_what_is_kept_is_what_head_shows_and_no_more(keep: Keep, prefix: str) -> None:
    """One word keeps one attribute."""
    expected = {name: value for name, value in SHOWN.items() if name.startswith(prefix)}
    assert copy_headers(keeping(keep), SOURCE, storage_class=None) == expected


def test_a_retention_that_is_over_is_left_out_and_a_hold_is_not() -> None:
    """S3 refuses to set one in the past; it protects nothing any more."""
    late = replace(SOURCE, read_at_s=1_900_000_000)
    assert copy_headers(keeping(Keep.LOCK), late, storage_class=None) == {"x-amz-object-lock-legal-hold": "ON"}


def test_grants_are_told_one_by_one() -> None:
    """The owner's own grant alone says nothing."""
    owner = Grant(permission="FULL_CONTROL", grantee=("id", "o"))
    reader = Grant(permission="READ", grantee=("uri", "u"))
    acl = ObjectAcl(owner_id="o", grants=(owner, reader))
    assert copy_headers(keeping(Keep.ACL), SourceAttributes(acl=acl), storage_class=None) == {
        "x-amz-grant-full-control": 'id="o"',
        "x-amz-grant-read": 'uri="u"',
    }
    alone = SourceAttributes(acl=replace(acl, grants=(owner,)))
    assert copy_headers(keeping(Keep.ACL), alone, storage_class=None) == {}
    given = CopyAttributes(grants={"read": ("id=a", "uri=b")})
    assert copy_headers(given, SourceAttributes(), storage_class=None) == {"x-amz-grant-read": 'id="a", uri="b"'}


def test_metadata_is_replaced_or_merged() -> None:
    """A merge names all that the source has, because REPLACE drops what is not named."""
    new = CopyAttributes(metadata_directive=MetadataDirective.REPLACE, metadata={"n": "2"})
    replaced = {"x-amz-metadata-directive": "REPLACE", "x-amz-meta-n": "2"}
    assert copy_headers(new, SourceAttributes(), storage_class=None) == replaced
    merged = copy_headers(replace(new, metadata_directive=MetadataDirective.MERGE), SOURCE, storage_class=None)
    assert merged == replaced | {"x-amz-meta-m": "1", "content-type": "text/x"}


def test_metadata_that_head_does_not_show_cannot_be_merged() -> None:
    """It would be lost without a word."""
    merge = CopyAttributes(metadata_directive=MetadataDirective.MERGE, metadata={"n": "2"})
    with pytest.raises(RefusedError, match="Changing metadata would lose metadata: 1 entries") as caught:
        copy_headers(merge, SourceAttributes(head=replace(HEAD, missing_metadata=1)), storage_class=None)
    assert caught.value.code == "MetadataNotShown"


def test_tags_replace_the_source_s_and_too_many_are_left_to_another_call() -> None:
    """A header has 2,048 bytes."""
    directive = {"x-amz-tagging-directive": "REPLACE"}
    tagged = CopyAttributes(tags={"a b": "+"})
    assert copy_headers(tagged, SourceAttributes(), storage_class=None) == directive | {"x-amz-tagging": "a+b=%2B"}
    for tags in ({}, {f"k{number}": "v" * 250 for number in range(10)}):
        assert copy_headers(CopyAttributes(tags=tags), SourceAttributes(), storage_class=None) == directive


ASKED = CopyAttributes(
    metadata_directive=MetadataDirective.REPLACE,
    metadata={"n": "2"},
    content={"content-type": "text/y"},
    encryption=Encryption.AES256,
    redirect="/x",
    lock_mode=LockMode.GOVERNANCE,
    retain_until="2030-01-01T00:00:00Z",
    legal_hold=True,
    acl="public-read",
)
EVERYBODY = Grant(permission="READ", grantee=("uri", "http://acs.amazonaws.com/groups/global/AllUsers"))
TARGET = ObjectHead(
    size=5,
    etag="e",
    last_modified_ms=0,
    metadata={"n": "2"},
    headers={
        "content-type": "text/y",
        "x-amz-server-side-encryption": "AES256",
        "x-amz-website-redirect-location": "/x",
        **LOCK,
    },
)


def lost(target: ObjectHead, *grants: Grant) -> tuple[str, ...]:
    """Return what is missing of all that was asked."""
    headers = copy_headers(ASKED, SourceAttributes(), storage_class=None)
    return lost_attributes(ASKED, headers, target, ObjectAcl(owner_id="o", grants=grants))


def test_nothing_is_lost_where_everything_is_shown() -> None:
    """However the store writes the same moment."""
    assert lost(TARGET, EVERYBODY) == ()


@pytest.mark.parametrize("name", [name for name in TARGET.headers if "retain-until" not in name])
def test_each_attribute_that_is_not_shown_is_named(name: str) -> None:
    """By the header that asked for it."""
    without = {each: value for each, value in TARGET.headers.items() if each != name}
    assert lost(replace(TARGET, headers=without), EVERYBODY) == (name,)


def test_other_metadata_another_end_and_missing_grants_are_losses() -> None:
    """Also what is there beyond what was asked: REPLACE was not obeyed then."""
    assert lost(replace(TARGET, metadata={"n": "2", "old": "1"}), EVERYBODY) == ("x-amz-meta-old",)
    later = {**TARGET.headers, "x-amz-object-lock-retain-until-date": "2031-01-01T00:00:00Z"}
    assert lost(replace(TARGET, headers=later), EVERYBODY) == ("x-amz-object-lock-mode",)
    assert lost(TARGET) == ("x-amz-acl",)
    given = CopyAttributes(grants={"read": ("id=a",), "full-control": ("id=b",)})
    headers = copy_headers(given, SourceAttributes(), storage_class=None)
    acl = ObjectAcl(owner_id="o", grants=(Grant(permission="READ", grantee=("id", "a")),))
    assert lost_attributes(given, headers, TARGET, acl) == ("x-amz-grant-full-control",)
