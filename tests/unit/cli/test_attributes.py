"""Words of the command line become attributes of copies, or are refused with what to write instead."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3batch.cli.attributes import copy_attributes
from s3batch.cli.options import Attributes
from s3batch.model.attributes import (
    AS_SOURCES,
    CANNED_ACLS,
    CHECKSUM_ALGORITHMS,
    CONTENT_HEADERS,
    CopyAttributes,
    Encryption,
    Keep,
    LockMode,
    MetadataDirective,
)
from s3batch.model.errors import UsageError
from s3batch.model.job import CopyOptions, JobSpec, ManifestSource, Operation


def test_without_options_copies_are_as_s3_makes_them() -> None:
    """Nothing is read for nothing."""
    assert copy_attributes(Attributes()) == AS_SOURCES
    assert not AS_SOURCES.reads_sources


def test_every_option_says_what_it_says() -> None:
    """One of each."""
    told = Attributes(
        keep=["redirect"],
        metadata_directive=MetadataDirective.MERGE,
        metadata=["Mission=soho", "formula=a=b"],
        content_type="text/x-fits",
        tag=["a b=+"],
        grant=["read=uri=http://x/y", "read=id=1", "full-control=id=2"],
        sse="AWS:KMS",
        sse_kms_key_id="key",
        bucket_key=False,
        checksum_algorithm="sha256",
        object_lock_mode="compliance",
        object_lock_retain_until="2030-01-01T02:00:00+02:00",
        object_lock_legal_hold="ON",
    )
    assert copy_attributes(told) == CopyAttributes(
        keep=frozenset({Keep.REDIRECT}),
        metadata_directive=MetadataDirective.MERGE,
        metadata={"mission": "soho", "formula": "a=b"},
        content={"content-type": "text/x-fits"},
        tags={"a b": "+"},
        grants={"read": ("uri=http://x/y", "id=1"), "full-control": ("id=2",)},
        encryption=Encryption.KMS,
        kms_key_id="key",
        bucket_key=False,
        checksum_algorithm="SHA256",
        lock_mode=LockMode.COMPLIANCE,
        retain_until="2030-01-01T00:00:00Z",
        legal_hold=True,
    )


def test_all_is_everything_that_can_be_kept() -> None:
    """And a word that is none is refused."""
    assert copy_attributes(Attributes(keep=["all"])).keep == frozenset(Keep)


@pytest.mark.parametrize(
    ("given_options", "message"),
    [
        ({"keep": ["owner"]}, "--keep 'owner' is unknown. Give one of acl, encryption, lock, redirect, tags, all"),
        ({"metadata": ["a=1"]}, "Add --metadata-directive merge"),
        ({"content_type": "x"}, "Add --metadata-directive merge"),
        ({"metadata": ["a b=1"], "metadata_directive": MetadataDirective.MERGE}, "'a b' is no name of metadata"),
        ({"metadata": ["a=1\n2"], "metadata_directive": MetadataDirective.MERGE}, "The value of a has a line break"),
        ({"website_redirect": "/x\r\ny: z"}, "The value of redirect has a line break"),
        ({"grant": ["read=id=1\n"]}, "The value of --grant read has a line break"),
        ({"metadata": ["a"], "metadata_directive": MetadataDirective.MERGE}, "Write --metadata NAME=VALUE"),
        ({"metadata": ["a=1", "a=2"], "metadata_directive": MetadataDirective.REPLACE}, "names 'a' twice"),
        ({"metadata": [f"a={'x' * 2048}"], "metadata_directive": MetadataDirective.REPLACE}, "S3 takes 2,048"),
        ({"tag": [f"t{number}=1" for number in range(11)]}, "an object has at most 10"),
        ({"tag": [f"{'k' * 129}=1"]}, "Names have 1 to 128 characters"),
        ({"tag": ["a=1"], "no_tags": True}, "--no-tags and --tag exclude each other"),
        ({"tag": ["a=1"], "keep": ["tags"]}, "Leave out --keep tags or --tag"),
        ({"acl": "public"}, "'public' is no canned ACL. Give one of private"),
        ({"acl": "private", "grant": ["read=id=1"]}, "--acl and --grant exclude each other"),
        ({"acl": "private", "keep": ["acl"]}, "--keep acl and --acl exclude each other"),
        ({"grant": ["write=id=1"]}, "--grant 'write' is unknown"),
        ({"grant": ["read=me"]}, "Write read=id=ID"),
        ({"sse": "rot13"}, "--sse 'rot13' is unknown"),
        ({"sse_kms_key_id": "k"}, "Add --sse aws:kms"),
        ({"sse": "AES256", "keep": ["encryption"]}, "Leave out --keep encryption or --sse"),
        ({"checksum_algorithm": "MD4"}, "--checksum-algorithm 'MD4' is unknown"),
        ({"object_lock_mode": "GOVERNANCE"}, "Give both --object-lock-mode and --object-lock-retain-until"),
        ({"object_lock_mode": "GOVERNANCE", "object_lock_retain_until": "soon"}, "'soon' is not a time"),
        ({"object_lock_legal_hold": "yes"}, "Give one of on, off"),
        ({"object_lock_legal_hold": "on", "keep": ["lock"]}, "Leave out --keep lock"),
    ],
)
def test_what_cannot_be_had_is_refused_with_what_to_write(given_options: dict[str, Any], message: str) -> None:
    """Before anything is looked at; each names the word, the bound and the way out."""
    with pytest.raises(UsageError) as caught:
        copy_attributes(Attributes(**given_options))
    assert message in str(caught.value)
    assert caught.value.code == "InvalidAttributes"
    assert caught.value.way_out


_TEXT = st.text(max_size=8)
_ATTRIBUTES = st.builds(
    CopyAttributes,
    keep=st.frozensets(st.sampled_from(Keep)),
    metadata_directive=st.sampled_from(MetadataDirective),
    metadata=st.dictionaries(_TEXT, _TEXT, max_size=3),
    content=st.dictionaries(st.sampled_from(CONTENT_HEADERS), _TEXT),
    tags=st.none() | st.dictionaries(_TEXT, _TEXT, max_size=3),
    acl=st.none() | st.sampled_from(CANNED_ACLS),
    grants=st.dictionaries(_TEXT, st.lists(_TEXT, min_size=1).map(tuple), max_size=2),
    encryption=st.none() | st.sampled_from(Encryption),
    kms_key_id=st.none() | _TEXT,
    bucket_key=st.none() | st.booleans(),
    checksum_algorithm=st.none() | st.sampled_from(CHECKSUM_ALGORITHMS),
    redirect=st.none() | _TEXT,
    lock_mode=st.none() | st.sampled_from(LockMode),
    retain_until=st.none() | _TEXT,
    legal_hold=st.none() | st.booleans(),
)


@given(_ATTRIBUTES)
def test_a_specification_keeps_its_attributes(attributes: CopyAttributes) -> None:
    """What the ledger holds is what the worker gets; what is usual takes no room in it."""
    spec = JobSpec(operation=Operation.COPY, source=ManifestSource(), copy=CopyOptions(attributes=attributes))
    text = spec.to_json()
    assert JobSpec.from_json(text) == spec
    members = json.loads(text)["copy"]["attributes"]
    assert (members == {}) is (attributes == AS_SOURCES)
    del members
    older = json.loads(text)
    del older["copy"]["attributes"]
    assert JobSpec.from_json(json.dumps(older)).copy.attributes == AS_SOURCES
