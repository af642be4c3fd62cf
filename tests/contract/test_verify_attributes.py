"""Verification that covers attributes, on real servers: equal bytes with other attributes are not proven.

What a server cannot hold or tell is named in each test; what nobody can tell is Undecided and never proven.
"""

import json
from dataclasses import replace
from typing import Any

import pytest

from s3batch.model.attributes import Attribute, CopyAttributes, MetadataDirective
from s3batch.model.errors import UnavailableError
from s3batch.model.job import CopyOptions, Level
from s3batch.operations.delete import DeleteOperation
from s3batch.operations.task import ChunkWork, TaskContext
from s3batch.operations.verify import VerifyOperation
from s3batch.s3.answers import ObjectHead
from s3batch.s3.errors import S3UnavailableError
from tests.contract.chunks import codes, copied, evidence_of, list_all, pin, run, run_until_error
from tests.servers.server import Server

SOURCE, TARGET = "source/", "target/"
METADATA, TAGS = frozenset({Attribute.METADATA}), frozenset({Attribute.TAGS})
EVERYTHING = frozenset(Attribute)
FULL: dict[str, Any] = {
    "Metadata": {"mission": "soho", "level": "2"},
    "ContentType": "application/fits",
    "CacheControl": "no-store",
    "ContentDisposition": "attachment",
    "ContentLanguage": "en",
    "Expires": "Wed, 21 Oct 2026 07:28:00 GMT",
    "Tagging": "project=sdo&owner=a%20b",
}


def _put_both(server: Server, bucket: str, changed: dict[str, dict[str, Any]]) -> ChunkWork:
    """Put a source and an equal target for each name, but for what is changed at the target, and pin the sources."""
    client = server.boto3_client()
    client.create_bucket(Bucket=bucket)
    for name, changes in changed.items():
        client.put_object(Bucket=bucket, Key=SOURCE + name, Body=b"equal", **FULL)
        attributes = {key: value for key, value in {**FULL, **changes}.items() if value is not None}
        client.put_object(Bucket=bucket, Key=TARGET + name, Body=b"equal", **attributes)
    return pin(server, bucket, SOURCE)


def _verify(server: Server, work: ChunkWork, asked: frozenset[Attribute], **settings: Any) -> list[dict[str, Any]]:  # noqa: ANN401 - its fields
    operation = VerifyOperation(mapping=copied(TARGET, work.bucket), attributes=asked, **settings)
    return run(server, operation, work)


METADATA_CHANGES: dict[str, dict[str, Any]] = {
    "metadata-changed": {"Metadata": {"mission": "sdo", "level": "2"}},
    "metadata-lost": {"Metadata": {}},
    "metadata-more": {"Metadata": {**FULL["Metadata"], "other": "x"}},
    "content-type": {"ContentType": "text/plain"},
    "cache-control": {"CacheControl": None},
    "content-disposition": {"ContentDisposition": "inline"},
    "content-language": {"ContentLanguage": None},
    "expires": {"Expires": "Wed, 21 Oct 2026 07:28:01 GMT"},
}
TAG_CHANGES: dict[str, dict[str, Any]] = {
    "tag-changed": {"Tagging": "project=sdo&owner=a%2Bb"},
    "tags-lost": {"Tagging": None},
    "tag-more": {"Tagging": FULL["Tagging"] + "&z=1"},
}


@pytest.mark.parametrize("level", [Level.ETAG, Level.CHECKSUM, Level.BYTES])
def test_other_attributes_are_differences_and_equal_ones_are_covered(
    s3_server: Server, bucket_name: str, level: Level
) -> None:
    """At every level: metadata and content headers, then tags; bytes that are proven do not hide them."""
    work = _put_both(s3_server, bucket_name, {"same": {}, **METADATA_CHANGES, **TAG_CHANGES})
    outcomes = _verify(s3_server, work, METADATA | TAGS, level=level)
    found = codes(work, outcomes)
    if level is Level.CHECKSUM and "Undecided" in found.values():
        assert s3_server.name == "ceph_rgw"  # has no checksums, so nothing is known of the bytes
        assert set(found.values()) == {"Undecided"}
        return
    expected = {SOURCE + name: "MetadataDiffers" for name in METADATA_CHANGES}
    assert found == expected | {SOURCE + name: "TagsDiffer" for name in TAG_CHANGES}
    proven = [(each["covered"], each["level"]) for each in outcomes if each["status"] == "succeeded"]
    assert proven == [("bytes+metadata+tags", str(level))]
    assert {each["covered"] for each in outcomes if each["status"] == "failed"} == {None}
    told = " ".join(each["message"] or "" for each in outcomes)
    assert "mission' (another value)" in told
    assert "'owner' (another value)" in told
    assert "sdo" not in told  # names, never values


def test_what_was_not_asked_for_is_neither_compared_nor_covered(s3_server: Server, bucket_name: str) -> None:
    """Bytes alone prove bytes alone (safety.md rule 13)."""
    work = _put_both(s3_server, bucket_name, {"metadata": {"Metadata": {}}, "tags": {"Tagging": None}})
    assert {each["covered"] for each in _verify(s3_server, work, frozenset())} == {"bytes"}
    assert codes(work, _verify(s3_server, work, METADATA)) == {SOURCE + "metadata": "MetadataDiffers"}
    assert codes(work, _verify(s3_server, work, TAGS)) == {SOURCE + "tags": "TagsDiffer"}


def test_a_storage_class_is_compared_with_the_one_that_is_wanted(ministack: Server, bucket_name: str) -> None:
    """The source's own, or the one that the copy was told."""
    work = _put_both(ministack, bucket_name, {"other": {"StorageClass": "STANDARD_IA"}, "same": {}})
    asked = frozenset({Attribute.STORAGE_CLASS})
    assert codes(work, _verify(ministack, work, asked)) == {SOURCE + "other": "MetadataDiffers"}
    told = CopyOptions(storage_class="STANDARD_IA")
    assert codes(work, _verify(ministack, work, asked, copy=told)) == {SOURCE + "same": "MetadataDiffers"}


def test_a_redirect_that_was_lost_is_a_difference(ministack: Server, bucket_name: str) -> None:
    """AWS's CopyObject loses it unless it is named again."""
    work = _put_both(ministack, bucket_name, {"a": {}})
    client = ministack.boto3_client()
    client.put_object(Bucket=bucket_name, Key=SOURCE + "a", Body=b"equal", **FULL, WebsiteRedirectLocation="/x")
    outcomes = _verify(ministack, work, METADATA)
    assert codes(work, outcomes) == {SOURCE + "a": "MetadataDiffers"}
    assert "x-amz-website-redirect-location' (missing)" in outcomes[0]["message"]


def test_what_a_copy_set_anew_is_wanted_as_it_was_set(s3_server: Server, bucket_name: str) -> None:
    """A copy job's own options say what its copies should have."""
    changed = {"Metadata": {"mission": "soho", "level": "3"}, "Tagging": "new=tag"}
    work = _put_both(s3_server, bucket_name, {"as-told": changed, "as-source": {}})
    attributes = CopyAttributes(
        metadata_directive=MetadataDirective.MERGE, metadata={"level": "3"}, tags={"new": "tag"}
    )
    outcomes = _verify(s3_server, work, METADATA | TAGS, copy=CopyOptions(attributes=attributes))
    assert codes(work, outcomes) == {SOURCE + "as-source": "MetadataDiffers"}


def test_missing_and_changed_objects_keep_their_own_codes(s3_server: Server, bucket_name: str) -> None:
    """Attributes are looked at only where the bytes are proven."""
    work = _put_both(s3_server, bucket_name, {"missing": {}, "other": {"Metadata": {}}, "rewritten": {}})
    client = s3_server.boto3_client()
    client.delete_object(Bucket=bucket_name, Key=TARGET + "missing")
    client.put_object(Bucket=bucket_name, Key=TARGET + "other", Body=b"of another size")
    client.put_object(Bucket=bucket_name, Key=SOURCE + "rewritten", Body=b"EQUAL", **FULL)
    assert codes(work, _verify(s3_server, work, METADATA | TAGS)) == {
        SOURCE + "missing": "TargetMissing",
        SOURCE + "other": "TargetDifferent",
        SOURCE + "rewritten": "SourceChanged",
    }


@pytest.mark.parametrize("side", [SOURCE, TARGET])
def test_tags_that_may_not_be_read_are_undecided_and_never_proven(
    ministack: Server, bucket_name: str, side: str
) -> None:
    """The bytes are equal, and so are the tags; but nobody may say so."""
    work = _put_both(ministack, bucket_name, {"a": {}, "b": {}})
    statement = {"Effect": "Deny", "Principal": "*", "Action": "s3:GetObjectTagging"}
    policy = {"Version": "2012-10-17", "Statement": [{**statement, "Resource": f"arn:aws:s3:::{bucket_name}/{side}*"}]}
    ministack.boto3_client().put_bucket_policy(Bucket=bucket_name, Policy=json.dumps(policy))
    outcomes = _verify(ministack, work, TAGS)
    assert codes(work, outcomes) == {SOURCE + "a": "Undecided", SOURCE + "b": "Undecided"}
    assert all("the tags could not be compared" in each["message"] for each in outcomes)
    assert evidence_of(outcomes, 2).proven == [False, False]
    assert codes(work, _verify(ministack, work, METADATA)) == {}


@pytest.mark.parametrize("body", [b"EQUAL", b"equal"])
def test_a_target_that_is_written_again_while_it_is_compared_is_not_proven(
    s3_server: Server, bucket_name: str, body: bytes
) -> None:
    """Its tags were read of one object and its headers of another; versions tell it also where the bytes are equal."""
    work = _put_both(s3_server, bucket_name, {"a": {}})
    client = s3_server.boto3_client()
    client.put_bucket_versioning(Bucket=bucket_name, VersioningConfiguration={"Status": "Enabled"})
    client.put_object(Bucket=bucket_name, Key=TARGET + "a", Body=b"equal", **FULL)

    async def write_after_the_tags_are_read(context: TaskContext) -> None:
        real = context.target.get_object_tagging

        async def get_object_tagging(bucket: str, key: str, **settings: Any) -> tuple[tuple[str, str], ...]:  # noqa: ANN401 - its options
            found = await real(bucket, key, **settings)
            client.put_object(Bucket=bucket_name, Key=TARGET + "a", Body=body, **FULL)
            return found

        context.target.get_object_tagging = get_object_tagging  # type: ignore[method-assign]

    operation = VerifyOperation(mapping=copied(TARGET, bucket_name), attributes=TAGS)
    outcomes = run(s3_server, operation, work, prepare=write_after_the_tags_are_read)
    assert codes(work, outcomes) == {SOURCE + "a": "TargetDifferent"}


def test_metadata_that_a_store_cannot_show_is_undecided(ministack: Server, bucket_name: str) -> None:
    """What HEAD leaves out may differ; that is not called equal."""
    work = _put_both(ministack, bucket_name, {"a": {}})

    async def hide(context: TaskContext) -> None:
        real = context.source.head_object

        async def head_object(*place: str, **settings: Any) -> ObjectHead:  # noqa: ANN401 - its options
            return replace(await real(*place, **settings), missing_metadata=1)

        context.source.head_object = head_object  # type: ignore[method-assign]

    operation = VerifyOperation(mapping=copied(TARGET, bucket_name), attributes=METADATA)
    outcomes = run(ministack, operation, work, prepare=hide)
    assert codes(work, outcomes) == {SOURCE + "a": "Undecided"}
    assert "cannot show" in outcomes[0]["message"]


def test_an_outage_leaves_rows_without_an_outcome(ministack: Server, bucket_name: str) -> None:
    """A store that does not serve is no difference and no proof: the rows are done by a later attempt."""
    work = _put_both(ministack, bucket_name, {"a": {}})

    async def end_service(context: TaskContext) -> None:
        async def get_object_tagging(*_place: str, **_settings: Any) -> tuple[tuple[str, str], ...]:  # noqa: ANN401 - its options
            raise S3UnavailableError("Slow down.", code="SlowDown", status=503)

        context.target.get_object_tagging = get_object_tagging  # type: ignore[method-assign]

    operation = VerifyOperation(mapping=copied(TARGET, bucket_name), attributes=TAGS)
    outcomes, error = run_until_error(ministack, operation, work, prepare=end_service)
    assert outcomes == []
    assert isinstance(error, UnavailableError)


def test_a_delete_takes_only_proofs_that_cover_what_it_requires(s3_server: Server, bucket_name: str) -> None:
    """The gate keeps a source whose bytes are proven and whose tags nobody compared."""
    work = _put_both(s3_server, bucket_name, {"a": {}, "b": {}})
    mapping = copied(TARGET, bucket_name)
    for asked, kept in ((frozenset[Attribute](), 2), (METADATA, 2), (METADATA | TAGS, 0)):
        proven = replace(work, evidence=evidence_of(_verify(s3_server, work, asked), 2))
        operation = DeleteOperation(mapping=mapping, required=TAGS)
        outcomes = run(s3_server, operation, proven)
        assert list(codes(work, outcomes).values()) == ["NotProven"] * kept
        assert all("Verify did not compare tags" in each["message"] for each in outcomes if each["status"] == "kept")
        assert len(list_all(s3_server, bucket_name, SOURCE)) == kept
