"""Copies on real servers: what a copy keeps, what it never overwrites, and what becomes of a row when things fail."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from s3batch.execute.journal import JournalFile, uploads_of_earlier_attempts
from s3batch.ledger.segments import NO_OUTCOME
from s3batch.model.errors import UnavailableError
from s3batch.model.job import CopyOptions, IfTargetExists, KeyMapping
from s3batch.operations import small_copies
from s3batch.operations.copy import CopyOperation
from s3batch.operations.outage import MAX_ROWS_LEFT
from s3batch.operations.task import ChunkWork, TaskContext
from tests.contract.chunks import codes, copied, list_all, pin, put_all, run, run_until_error, statuses
from tests.keys import HOSTILE_KEYS, MAX_KEY_BYTES
from tests.servers.fault_proxy import FaultProxy
from tests.servers.faults import Fault, FaultPlan
from tests.servers.gaps import gap, key_gap
from tests.servers.server import Server
from tests.servers.stub.launcher import StubControl

StartProxy = Callable[[Server, FaultPlan], FaultProxy]
SOURCE, TARGET = "source/", "target/a+b/"
MIB = 1024**2
DEAD = FaultPlan(probabilities={Fault.RESET_BEFORE: 1.0}, matching=r"^PUT ")


def operation(bucket: str, **options: Any) -> CopyOperation:  # noqa: ANN401 - CopyOptions' fields
    """Return the copy to the target folder."""
    return CopyOperation(mapping=copied(TARGET, bucket), options=CopyOptions(**options))


def make_sources(server: Server, bucket: str, bodies: Mapping[str, bytes]) -> ChunkWork:
    """Make a bucket with sources, and pin them."""
    server.boto3_client().create_bucket(Bucket=bucket)
    put_all(server, bucket, {SOURCE + name: body for name, body in bodies.items()})
    return pin(server, bucket, SOURCE)


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


def with_journal(folder: Path, *, epoch: int, chunk_no: int = 0) -> Callable[[TaskContext], Any]:
    """Return what gives an attempt a journal, and the earlier attempts' uploads."""

    async def prepare(context: TaskContext) -> None:
        context.journal = JournalFile(folder, chunk_no=chunk_no, epoch=epoch)
        context.earlier_uploads = uploads_of_earlier_attempts(folder, chunk_no=chunk_no, before_epoch=epoch)

    return prepare


def bodies_of(server: Server, bucket: str, prefix: str) -> dict[str, bytes]:
    """Return what is under a prefix, by the rest of the key."""
    client = server.boto3_client()
    return {
        key.removeprefix(prefix): client.get_object(Bucket=bucket, Key=key)["Body"].read()
        for key in list_all(server, bucket, prefix)
    }


NAMES = {f"{number:03}.txt": f"body {number}".encode() for number in range(12)}


# --------------------------------------------------------------------------------------------------------- plain copies


def test_copies_have_the_bytes_and_etags_of_their_sources(s3_server: Server, bucket_name: str) -> None:
    """The whole of it: every row succeeds without a code, and every object is there."""
    work = make_sources(s3_server, bucket_name, NAMES)
    outcomes = run(s3_server, operation(bucket_name), work)
    assert codes(work, outcomes) == {}
    assert [each["etag"] for each in outcomes] == list(work.etags)
    assert bodies_of(s3_server, bucket_name, TARGET) == NAMES


def test_metadata_content_headers_tags_and_class_are_kept(ministack: Server, bucket_name: str) -> None:
    """A copy is the object with all that belongs to it, and stays in its storage class."""
    client = ministack.boto3_client()
    client.create_bucket(Bucket=bucket_name)
    client.put_object(
        Bucket=bucket_name,
        Key=SOURCE + "k",
        Body=b"x",
        ContentType="text/x-fits",
        CacheControl="max-age=7",
        Metadata={"mission": "soho"},
        Tagging="a=1&b=%2B",
        StorageClass="STANDARD_IA",
    )
    work = pin(ministack, bucket_name, SOURCE, storage_classes=["STANDARD_IA"])
    run(ministack, operation(bucket_name), work)
    _require_kept(ministack, bucket_name)
    assert client.head_object(Bucket=bucket_name, Key=TARGET + "k")["StorageClass"] == "STANDARD_IA"


def _require_kept(server: Server, bucket: str) -> None:
    client = server.boto3_client()
    head = client.head_object(Bucket=bucket, Key=TARGET + "k")
    assert (head["ContentType"], head["CacheControl"]) == ("text/x-fits", "max-age=7")
    assert head["Metadata"] == {"mission": "soho"}
    tags = client.get_object_tagging(Bucket=bucket, Key=TARGET + "k")["TagSet"]
    assert {tag["Key"]: tag["Value"] for tag in tags} == {"a": "1", "b": "+"}


@pytest.mark.parametrize("server_name", ["ministack", "ceph_rgw"])
def test_hostile_keys_are_copied_each_to_its_own(
    server_name: str, bucket_name: str, request: pytest.FixtureRequest
) -> None:
    """Keys that break tools, side by side, by one request each and in parts."""
    server: Server = request.getfixturevalue(server_name)
    room = MAX_KEY_BYTES - len(TARGET)
    names = [
        key for key in HOSTILE_KEYS if not key_gap(server_name, key) and len(key.encode()) <= room and key.strip("/")
    ]
    work = make_sources(server, bucket_name, {name: name.encode() for name in names})
    outcomes = run(server, operation(bucket_name), work)
    assert codes(work, outcomes) == {}
    assert bodies_of(server, bucket_name, TARGET) == {name: name.encode() for name in names}


def test_a_key_that_cannot_be_sent_fails_alone(ministack: Server, bucket_name: str) -> None:
    """A row without an identity is recorded, and the chunk ends with all others copied."""
    work = make_sources(ministack, bucket_name, NAMES)
    etags = list(work.etags)
    etags[0] = etags[5] = ""
    work = replace(work, etags=etags)
    outcomes = run(ministack, operation(bucket_name), work)
    assert codes(work, outcomes) == dict.fromkeys([work.keys[0], work.keys[5]], "NotPinned")
    assert len(list_all(ministack, bucket_name, TARGET)) == len(NAMES) - 2


# ----------------------------------------------------------------------------------------------------- taken targets


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        (IfTargetExists.FAIL, {"000.txt": "TargetExists", "001.txt": "TargetExists"}),
        (IfTargetExists.SKIP_IF_SAME, {"000.txt": "AlreadySame", "001.txt": "TargetExists"}),
        (IfTargetExists.SKIP, {"000.txt": "Skipped", "001.txt": "Skipped"}),
        (IfTargetExists.OVERWRITE, {}),
    ],
)
def test_a_taken_target_is_treated_as_was_asked(
    s3_server: Server, bucket_name: str, mode: IfTargetExists, expected: dict[str, str], tmp_path: Path
) -> None:
    """An equal object at the first target, another one at the second, nothing at the others."""
    work = make_sources(s3_server, bucket_name, NAMES)
    put_all(s3_server, bucket_name, {TARGET + "000.txt": NAMES["000.txt"], TARGET + "001.txt": b"another"})
    outcomes = run(
        s3_server,
        operation(bucket_name, if_target_exists=mode),
        work,
        prepare=with_journal(tmp_path, epoch=1),
    )
    assert codes(work, outcomes) == {SOURCE + name: code for name, code in expected.items()}
    there = bodies_of(s3_server, bucket_name, TARGET)
    is_kept = mode is not IfTargetExists.OVERWRITE
    assert there == NAMES | ({"001.txt": b"another"} if is_kept else {})


def test_a_source_that_changed_is_not_copied(ministack: Server, bucket_name: str) -> None:
    """What the manifest pinned is copied or nothing."""
    work = make_sources(ministack, bucket_name, NAMES)
    put_all(ministack, bucket_name, {SOURCE + "003.txt": b"CHANGED"})
    ministack.boto3_client().delete_object(Bucket=bucket_name, Key=SOURCE + "004.txt")
    outcomes = run(ministack, operation(bucket_name), work)
    assert codes(work, outcomes) == {SOURCE + "003.txt": "SourceChanged", SOURCE + "004.txt": "NoSuchKey"}


def test_a_target_that_appears_while_others_are_copied_is_left_alone(
    stub: Server, bucket_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also on a store that ignores conditions: each portion's targets are read right before it (safety.md rule 6)."""
    control = StubControl(stub)
    control.configure_bucket(bucket_name, conditions="ignored")
    control.fill(bucket_name, SOURCE, 3000)
    work = pin(stub, bucket_name, SOURCE)
    late = SOURCE + f"{2999:09}"
    start_next = small_copies.SmallCopies.start_next

    def put_first(self: small_copies.SmallCopies) -> bool:
        monkeypatch.setattr(small_copies.SmallCopies, "start_next", start_next)
        put_all(stub, bucket_name, {TARGET + late.removeprefix(SOURCE): b"a colleague's"})
        return start_next(self)

    monkeypatch.setattr(small_copies.SmallCopies, "start_next", put_first)
    outcomes = run(stub, operation(bucket_name), work)
    assert codes(work, outcomes) == {work.keys[-1]: "TargetExists"}
    assert list_all(stub, bucket_name, TARGET + late.removeprefix(SOURCE)).popitem()[1][1] == len(b"a colleague's")
