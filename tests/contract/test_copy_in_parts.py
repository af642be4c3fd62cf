"""Copies in parts on real servers: the copy is the object, and no upload is left or completed late."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from s3batch.execute.journal import JournalFile
from s3batch.model.errors import UnavailableError
from s3batch.model.objects import S3Prefix
from s3batch.operations import copy as copying
from s3batch.operations.task import ChunkWork, PinnedSource, TaskContext
from s3batch.plan.policy_document import identity_policy
from s3batch.plan.policy_request import PolicyRequest, Step
from s3batch.s3.client import S3Client
from s3batch.s3.errors import PermissionExpiredError, S3RefusedError
from tests.contract.chunks import codes, list_all, pin, run, run_until_error
from tests.contract.test_copy import SOURCE, TARGET, StartProxy, failing, list_uploads, operation, with_journal
from tests.servers.server import Server, register_profile
from tests.servers.users import make_user, without

MIB = 1024**2
FIRST, LAST = b"1" * (5 * MIB), b"2" * 1000
KEY = SOURCE + "k"
MANY_TAGS = {f"tag-{number}": "v" * 250 for number in range(10)}


def put_in_parts(server: Server, bucket: str, key: str, parts: list[bytes], **settings: Any) -> None:  # noqa: ANN401
    """Upload an object in these parts."""
    client = server.boto3_client()
    upload_id = client.create_multipart_upload(Bucket=bucket, Key=key, **settings)["UploadId"]
    place = {"Bucket": bucket, "Key": key, "UploadId": upload_id}
    etags = [
        {"PartNumber": number, "ETag": client.upload_part(**place, PartNumber=number, Body=part)["ETag"]}
        for number, part in enumerate(parts, start=1)
    ]
    client.complete_multipart_upload(**place, MultipartUpload={"Parts": etags})


def make_large(server: Server, bucket: str, **settings: Any) -> ChunkWork:  # noqa: ANN401
    """Make a bucket with one source of two parts, and pin it."""
    server.boto3_client().create_bucket(Bucket=bucket)
    put_in_parts(server, bucket, KEY, [FIRST, LAST], **settings)
    return pin(server, bucket, SOURCE)


def tags_of(server: Server, bucket: str, key: str) -> dict[str, str]:
    """Return an object's tags."""
    tags = server.boto3_client().get_object_tagging(Bucket=bucket, Key=key)["TagSet"]
    return {tag["Key"]: tag["Value"] for tag in tags}


def test_a_copy_in_parts_is_the_object_with_all_that_belongs_to_it(
    s3_server: Server, bucket_name: str, tmp_path: Path
) -> None:
    """Bytes, metadata, content type and tags; and no upload stays open."""
    work = make_large(s3_server, bucket_name, ContentType="text/x-fits", Metadata={"mission": "soho"})
    tag_set = [{"Key": "a", "Value": "1"}, {"Key": "b", "Value": "+"}]  # two of these servers lose an upload's own tags
    s3_server.boto3_client().put_object_tagging(Bucket=bucket_name, Key=KEY, Tagging={"TagSet": tag_set})
    outcomes = run(s3_server, operation(bucket_name), work, prepare=with_journal(tmp_path, epoch=1))
    assert codes(work, outcomes) == {}
    answer = s3_server.boto3_client().get_object(Bucket=bucket_name, Key=TARGET + "k")
    assert answer["Body"].read() == FIRST + LAST
    assert (answer["ContentType"], answer["Metadata"]) == ("text/x-fits", {"mission": "soho"})
    assert tags_of(s3_server, bucket_name, TARGET + "k") == {"a": "1", "b": "+"}
    assert list_uploads(s3_server, bucket_name) == []


def test_the_parts_of_the_source_give_its_etag(moto: Server, bucket_name: str, tmp_path: Path) -> None:
    """Then a listing proves the copy (safety.md rule 11)."""
    work = make_large(moto, bucket_name)
    assert work.etags[0].endswith("-2")
    outcomes = run(moto, operation(bucket_name), work, prepare=with_journal(tmp_path, epoch=1))
    assert [each["etag"] for each in outcomes] == list(work.etags)


def test_a_layout_that_the_target_refuses_gives_way(
    ceph_rgw: Server, bucket_name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Parts of under 5 MiB come from stores that are lenient; the copy is made with larger ones."""
    work = make_large(ceph_rgw, bucket_name)

    async def small_parts(_: TaskContext, source: PinnedSource) -> tuple[int, ...]:
        return (1000, source.size - 1000)

    monkeypatch.setattr(copying, "source_layout", small_parts)
    outcomes = run(ceph_rgw, operation(bucket_name), work, prepare=with_journal(tmp_path, epoch=1))
    assert codes(work, outcomes) == {}
    assert list_all(ceph_rgw, bucket_name, TARGET)[TARGET + "k"][1] == len(FIRST + LAST)
    assert list_uploads(ceph_rgw, bucket_name) == []


def test_a_layout_that_cannot_be_asked_for_now_is_waited_for(
    moto: Server, bucket_name: str, fault_proxy: StartProxy, tmp_path: Path
) -> None:
    """A copy with other parts would never be proven by its ETag, so an outage must not decide."""
    work = make_large(moto, bucket_name)
    proxy = fault_proxy(moto, failing(matching=r"^HEAD .*partNumber"))
    outcomes, error = run_until_error(
        proxy.server, operation(bucket_name), work, prepare=with_journal(tmp_path, epoch=1)
    )
    assert isinstance(error, UnavailableError)
    assert outcomes == []


def test_a_target_that_appears_during_the_upload_is_left_alone(
    ministack: Server, bucket_name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Right before the completion the target is read, for stores that ignore conditions (safety.md rule 6)."""
    work = make_large(ministack, bucket_name)
    client = ministack.boto3_client()
    copy_part = S3Client.upload_part_copy

    async def copy_slowly(*arguments: Any, **settings: Any) -> object:  # noqa: ANN401
        client.put_object(Bucket=bucket_name, Key=TARGET + "k", Body=b"a colleague's")
        return await copy_part(*arguments, **settings)

    monkeypatch.setattr(S3Client, "upload_part_copy", copy_slowly)
    outcomes = run(ministack, operation(bucket_name), work, prepare=with_journal(tmp_path, epoch=1))
    assert codes(work, outcomes) == {KEY: "TargetExists"}
    assert list_all(ministack, bucket_name, TARGET)[TARGET + "k"][1] == len(b"a colleague's")
    assert list_uploads(ministack, bucket_name) == []


@pytest.mark.parametrize("may_abort", [True, False])
def test_an_upload_stays_open_where_it_may_not_be_aborted(
    ministack: Server, bucket_name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, may_abort: bool
) -> None:
    """So the policy that is written for a copy allows it: what stays open is billed."""
    work = make_large(ministack, bucket_name)
    source, target = (S3Prefix(bucket=bucket_name, prefix=prefix) for prefix in (SOURCE, TARGET))
    request = PolicyRequest(step=Step.COPY, source=source, target=target, is_aws=False)
    policy = identity_policy(request, partition="aws")
    if not may_abort:
        policy = without(policy, "Target", "s3:AbortMultipartUpload")
    user = replace(make_user(ministack, [policy]), name="ministack-user")
    register_profile(user)

    async def fail(*_: Any, **__: Any) -> object:  # noqa: ANN401
        raise S3RefusedError("no part", code="AccessDenied", status=403)

    monkeypatch.setattr(S3Client, "upload_part_copy", fail)
    outcomes = run(user, operation(bucket_name), work, prepare=with_journal(tmp_path, epoch=1))
    assert codes(work, outcomes) == {KEY: "AccessDenied"}
    assert list_uploads(ministack, bucket_name) == ([] if may_abort else [TARGET + "k"])


def interrupted(name: str, *, is_done_first: bool) -> Callable[..., Any]:
    """Return a method of the client whose time is over before or after it did its work."""
    method = getattr(S3Client, name)

    async def call(*arguments: Any, **settings: Any) -> object:  # noqa: ANN401
        if is_done_first:
            await method(*arguments, **settings)
        raise PermissionExpiredError(name)

    return call


def test_tags_that_were_still_to_be_put_are_put_by_the_next_attempt(
    ministack: Server, bucket_name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More tags than fit into the upload's header come after the completion, and a crash comes in between."""
    work = make_large(ministack, bucket_name)
    tag_set = [{"Key": name, "Value": value} for name, value in MANY_TAGS.items()]
    ministack.boto3_client().put_object_tagging(Bucket=bucket_name, Key=KEY, Tagging={"TagSet": tag_set})
    with monkeypatch.context() as patch:
        patch.setattr(S3Client, "put_object_tagging", interrupted("put_object_tagging", is_done_first=False))
        assert run(ministack, operation(bucket_name), work, prepare=with_journal(tmp_path, epoch=1)) == []
    assert tags_of(ministack, bucket_name, TARGET + "k") == {}
    again = replace(work, is_first_attempt=False)
    outcomes = run(ministack, operation(bucket_name), again, prepare=with_journal(tmp_path, epoch=2))
    assert codes(work, outcomes) == {KEY: "AlreadyCopied"}
    assert tags_of(ministack, bucket_name, TARGET + "k") == MANY_TAGS


@pytest.mark.parametrize("is_done_first", [True, False])
def test_an_upload_that_was_being_completed_is_found_again(
    s3_server: Server, bucket_name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, is_done_first: bool
) -> None:
    """Whether or not the completion was carried out, the next attempt ends with the copy and no open upload."""
    work = make_large(s3_server, bucket_name)
    monkeypatch.setattr(copying, "source_layout", _no_layout)  # so that the ETags differ
    with monkeypatch.context() as patch:
        completing = interrupted("complete_multipart_upload", is_done_first=is_done_first)
        patch.setattr(S3Client, "complete_multipart_upload", completing)
        patch.setattr(S3Client, "abort_multipart_upload", interrupted("abort_multipart_upload", is_done_first=False))
        patch.setattr(JournalFile, "give_up", lambda *_: None)  # as if it was killed there
        options = {"multipart_threshold": 5 * MIB}
        assert run(s3_server, operation(bucket_name, **options), work, prepare=with_journal(tmp_path, epoch=1)) == []
    again = replace(work, is_first_attempt=False)
    outcomes = run(s3_server, operation(bucket_name, **options), again, prepare=with_journal(tmp_path, epoch=2))
    assert codes(work, outcomes) == ({KEY: "AlreadyCopied"} if is_done_first else {})
    assert list_all(s3_server, bucket_name, TARGET)[TARGET + "k"][1] == len(FIRST + LAST)
    assert list_uploads(s3_server, bucket_name) == []


async def _no_layout(_: TaskContext, __: PinnedSource) -> None:
    """Know nothing of the source's parts."""


def test_an_object_at_the_key_of_an_upload_that_was_never_completed_is_someone_elses(
    s3_server: Server, bucket_name: str, tmp_path: Path
) -> None:
    """A key in the journal and an equal size prove nothing."""
    work = make_large(s3_server, bucket_name)
    client = s3_server.boto3_client()
    upload_id = client.create_multipart_upload(Bucket=bucket_name, Key=TARGET + "k")["UploadId"]
    with JournalFile(tmp_path, chunk_no=0, epoch=1) as journal:
        journal.begin(bucket_name, TARGET + "k", upload_id)
    client.put_object(Bucket=bucket_name, Key=TARGET + "k", Body=b"x" * len(FIRST + LAST), ContentType="text/other")
    again = replace(work, is_first_attempt=False)
    outcomes = run(s3_server, operation(bucket_name), again, prepare=with_journal(tmp_path, epoch=2))
    assert codes(work, outcomes) == {KEY: "TargetExists"}
    assert list_uploads(s3_server, bucket_name) == []


def test_a_row_whose_time_is_over_is_left_as_it_is(ministack: Server, bucket_name: str, tmp_path: Path) -> None:
    """A later attempt may be at work already: nothing is written, and it is no failure (safety.md rule 21)."""
    work = make_large(ministack, bucket_name)
    give_journal = with_journal(tmp_path, epoch=1)

    async def prepare(context: TaskContext) -> None:
        await give_journal(context)
        context.target = context.target.guarded_by(lambda: False)

    assert run(ministack, operation(bucket_name), work, prepare=prepare) == []
    assert list_all(ministack, bucket_name, TARGET) == {}
    assert list_uploads(ministack, bucket_name) == []
