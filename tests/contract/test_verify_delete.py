"""Verify and delete on real servers: what changed between the steps is found, and exactly that is kept."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any

import pytest

from s3batch.model.errors import UnavailableError
from s3batch.model.job import KeyMapping, Level
from s3batch.operations import both_sides
from s3batch.operations.delete import UNCONDITIONAL, DeleteOperation
from s3batch.operations.stop import boot_time_s
from s3batch.operations.task import ChunkWork, TaskContext
from s3batch.operations.verify import VerifyOperation
from s3batch.s3.answers import DeleteBatch
from s3batch.s3.client import S3Client
from s3batch.s3.errors import S3RefusedError, S3UnavailableError
from tests.contract.chunks import codes, copied, evidence_of, list_all, pin, put_all, run, run_until_error, statuses
from tests.keys import HOSTILE_KEYS, MAX_KEY_BYTES
from tests.servers.fault_proxy import FaultProxy
from tests.servers.faults import Fault, FaultPlan
from tests.servers.gaps import gap, key_gap
from tests.servers.server import Server

StartProxy = Callable[[Server, FaultPlan], FaultProxy]
SOURCE, TARGET = "source/", "target/a+b/"


def _make_copies(server: Server, bucket: str, names: list[str]) -> ChunkWork:
    """Make a bucket with sources and faithful copies, and pin the sources."""
    server.boto3_client().create_bucket(Bucket=bucket)
    bodies = {name: name.encode() for name in names}
    put_all(server, bucket, {SOURCE + name: body for name, body in bodies.items()})
    put_all(server, bucket, {TARGET + name: body for name, body in bodies.items()})
    return pin(server, bucket, SOURCE)


def _prove(server: Server, work: ChunkWork, level: Level = Level.ETAG) -> ChunkWork:
    """Verify, and return the chunk as a delete job gets it."""
    outcomes = run(server, VerifyOperation(mapping=copied(TARGET, work.bucket), level=level), work)
    return replace(work, evidence=evidence_of(outcomes, len(work.keys)))


def _delete(server: Server, work: ChunkWork, **settings: Any) -> list[dict[str, Any]]:  # noqa: ANN401 - its fields
    """Delete with listings that are trusted, as on AWS, unless the test says otherwise."""
    operation = DeleteOperation(mapping=copied(TARGET, work.bucket), **{"trust_listings": True, **settings})
    return run(server, operation, work)


NAMES = [f"{number:03}.txt" for number in range(12)]


# ------------------------------------------------------------------------------------------------------------- verify


def test_verify_tells_proven_missing_and_different_apart(s3_server: Server, bucket_name: str) -> None:
    """Each damaged copy has its own code, each intact one is proven with its ETag and size."""
    work = _make_copies(s3_server, bucket_name, NAMES)
    client = s3_server.boto3_client()
    client.delete_object(Bucket=bucket_name, Key=TARGET + NAMES[2])
    client.put_object(Bucket=bucket_name, Key=TARGET + NAMES[5], Body=b"other size")
    client.delete_object(Bucket=bucket_name, Key=SOURCE + NAMES[7])  # verify compares with the manifest, not with this
    outcomes = run(s3_server, VerifyOperation(mapping=copied(TARGET, bucket_name)), work)
    assert codes(work, outcomes) == {SOURCE + NAMES[2]: "TargetMissing", SOURCE + NAMES[5]: "TargetDifferent"}
    proven = [each for each in outcomes if each["status"] == "succeeded"]
    assert {(each["level"], each["etag"], each["size"]) for each in proven} == {
        ("etag", work.etags[each["row"]], work.sizes[each["row"]]) for each in proven
    }
    assert all(each["checked_at"] is not None for each in proven)


def test_a_source_that_changed_after_its_copy_is_not_matched_against_itself(
    s3_server: Server, bucket_name: str
) -> None:
    """Both sides now hold the new bytes, and the manifest's object is proven nowhere (safety.md rule 1)."""
    work = _make_copies(s3_server, bucket_name, ["same", "changed"])
    put_all(s3_server, bucket_name, {SOURCE + "changed": b"CHANGED", TARGET + "changed": b"CHANGED"})
    for level in (Level.ETAG, Level.CHECKSUM, Level.BYTES):
        outcomes = run(s3_server, VerifyOperation(mapping=copied(TARGET, bucket_name), level=level), work)
        assert codes(work, outcomes)[SOURCE + "changed"] == "SourceChanged"


def _put_in_parts(server: Server, bucket: str, key: str, body: bytes) -> None:
    """Make an object whose ETag is that of an upload in parts."""
    client = server.boto3_client()
    upload_id = client.create_multipart_upload(Bucket=bucket, Key=key)["UploadId"]
    part = client.upload_part(Bucket=bucket, Key=key, UploadId=upload_id, PartNumber=1, Body=body)
    client.complete_multipart_upload(
        Bucket=bucket,
        Key=key,
        UploadId=upload_id,
        MultipartUpload={"Parts": [{"PartNumber": 1, "ETag": part["ETag"]}]},
    )


def test_etags_that_differ_by_their_upload_are_settled_by_bytes(s3_server: Server, bucket_name: str) -> None:
    """Level bytes proves a copy whose ETag is of another kind, and finds one flipped byte."""
    work = _make_copies(s3_server, bucket_name, ["parts", "flipped", "empty", "plain"])
    _put_in_parts(s3_server, bucket_name, TARGET + "parts", b"parts")
    put_all(s3_server, bucket_name, {TARGET + "flipped": b"flippeD"})
    outcomes = run(s3_server, VerifyOperation(mapping=copied(TARGET, bucket_name), level=Level.BYTES), work)
    assert codes(work, outcomes) == {SOURCE + "flipped": "TargetDifferent"}
    assert {each["level"] for each in outcomes if each["status"] == "succeeded"} == {"bytes"}


def test_etags_that_differ_without_checksums_stay_undecided(ceph_rgw: Server, bucket_name: str) -> None:
    """Undecided is never proven: neither at level etag nor by a checksum that no side has."""
    work = _make_copies(ceph_rgw, bucket_name, ["parts"])
    _put_in_parts(ceph_rgw, bucket_name, TARGET + "parts", b"parts")
    for level in (Level.ETAG, Level.CHECKSUM):
        outcomes = run(ceph_rgw, VerifyOperation(mapping=copied(TARGET, bucket_name), level=level), work)
        assert codes(work, outcomes) == {SOURCE + "parts": "Undecided"}


def test_checksums_of_the_whole_object_decide(ministack: Server, bucket_name: str) -> None:
    """Level checksum proves by equal values and finds different bytes of one size."""
    client = ministack.boto3_client()
    client.create_bucket(Bucket=bucket_name)
    for key, body in (("same", b"abc"), ("other", b"abc")):
        client.put_object(Bucket=bucket_name, Key=SOURCE + key, Body=body, ChecksumAlgorithm="SHA256")
        target = b"abd" if key == "other" else body
        client.put_object(Bucket=bucket_name, Key=TARGET + key, Body=target, ChecksumAlgorithm="SHA256")
    work = pin(ministack, bucket_name, SOURCE)
    outcomes = run(ministack, VerifyOperation(mapping=copied(TARGET, bucket_name), level=Level.CHECKSUM), work)
    assert codes(work, outcomes) == {SOURCE + "other": "TargetDifferent"}
    assert [each["level"] for each in outcomes if each["status"] == "succeeded"] == ["checksum"]


def test_level_response_accepts_the_copys_answer_while_it_is_current(s3_server: Server, bucket_name: str) -> None:
    """An answered ETag proves only at this level, and only until the target is written again."""
    work = _make_copies(s3_server, bucket_name, ["answered", "rewritten"])
    for name in ("answered", "rewritten"):
        _put_in_parts(s3_server, bucket_name, TARGET + name, name.encode())
    there = list_all(s3_server, bucket_name, TARGET)
    answers = [
        {"row": row, "status": "succeeded", "code": None, "etag": there[TARGET + name][0], "size": None, "level": None}
        for row, name in enumerate(("answered", "rewritten"))
    ]
    work = replace(work, evidence=evidence_of(answers, 2))
    put_all(s3_server, bucket_name, {TARGET + "rewritten": b"REWRITTEN"})
    operation = VerifyOperation(mapping=copied(TARGET, bucket_name), level=Level.RESPONSE)
    outcomes = run(s3_server, operation, work)
    assert codes(work, outcomes) == {SOURCE + "rewritten": "TargetDifferent"}
    assert outcomes[0]["level"] == "response"


def test_what_a_listing_hides_is_confirmed_by_head(
    ministack: Server, bucket_name: str, fault_proxy: StartProxy
) -> None:
    """A store that lists late costs HEADs, and no intact copy is called missing (safety.md rule 12)."""
    work = _make_copies(ministack, bucket_name, NAMES)
    plan = FaultPlan(probabilities={Fault.SHORT_LISTING: 1.0})
    proxy = fault_proxy(ministack, plan)
    outcomes = run(proxy.server, VerifyOperation(mapping=copied(TARGET, bucket_name)), work)
    assert statuses(outcomes) == ["succeeded"] * len(NAMES)
    assert proxy.counts().asked["HeadObject"] > 0


def test_verify_of_many_lists_and_asks_little_else(ministack: Server, bucket_name: str) -> None:
    """A chunk of 3,000 intact copies is proven row by row."""
    names = [f"{number:05}" for number in range(3_000)]
    work = _make_copies(ministack, bucket_name, names)
    outcomes = run(ministack, VerifyOperation(mapping=copied(TARGET, bucket_name)), work)
    assert len(outcomes) == 3_000
    assert codes(work, outcomes) == {}
    deleted = _delete(ministack, replace(work, evidence=evidence_of(outcomes, len(work.keys))))
    assert len(deleted) == 3_000
    assert codes(work, deleted) == {}
    assert list_all(ministack, bucket_name, SOURCE) == {}
    assert len(list_all(ministack, bucket_name, TARGET)) == 3_000


# ------------------------------------------------------------------------------------------------------------- delete


def test_what_changed_after_verify_is_kept_and_nothing_else(s3_server: Server, bucket_name: str) -> None:
    """Source overwritten, target overwritten, target deleted, source gone: each has its code; the rest is deleted."""
    work = _prove(s3_server, _make_copies(s3_server, bucket_name, NAMES))
    client = s3_server.boto3_client()
    put_all(s3_server, bucket_name, {SOURCE + NAMES[1]: b"NEW.txt", TARGET + NAMES[3]: b"NEW.txt"})
    client.delete_object(Bucket=bucket_name, Key=TARGET + NAMES[5])
    client.delete_object(Bucket=bucket_name, Key=SOURCE + NAMES[7])
    outcomes = _delete(s3_server, work)
    assert codes(work, outcomes) == {
        SOURCE + NAMES[1]: "SourceChanged",
        SOURCE + NAMES[3]: "TargetChanged",
        SOURCE + NAMES[5]: "TargetMissing",
        SOURCE + NAMES[7]: "AlreadyGone",
    }
    kept = {work.keys[each["row"]] for each in outcomes if each["status"] == "kept"}
    assert kept == {SOURCE + NAMES[1], SOURCE + NAMES[3], SOURCE + NAMES[5]}
    assert set(list_all(s3_server, bucket_name, SOURCE)) == kept
    assert len(list_all(s3_server, bucket_name, TARGET)) == len(NAMES) - 1


def test_where_both_sides_are_gone_nothing_is_called_a_success(s3_server: Server, bucket_name: str) -> None:
    """A source that is absent is well only while its proven copy is there; else the row says what is lost."""
    work = _prove(s3_server, _make_copies(s3_server, bucket_name, NAMES[:3]))
    client = s3_server.boto3_client()
    for key in (SOURCE + NAMES[0], TARGET + NAMES[0], SOURCE + NAMES[1]):
        client.delete_object(Bucket=bucket_name, Key=key)
    put_all(s3_server, bucket_name, {TARGET + NAMES[1]: b"NEW.txt"})
    outcomes = _delete(s3_server, work)
    assert codes(work, outcomes) == {SOURCE + NAMES[0]: "TargetMissing", SOURCE + NAMES[1]: "TargetChanged"}
    assert all("The source is gone as well." in each["message"] for each in outcomes[:2])
    assert statuses(outcomes) == ["kept", "kept", "succeeded"]


def test_nothing_is_deleted_without_proof(s3_server: Server, bucket_name: str) -> None:
    """Rows that verify did not prove, and a job without evidence, keep everything."""
    work = _make_copies(s3_server, bucket_name, NAMES[:4])
    assert set(codes(work, _delete(s3_server, work)).values()) == {"NotProven"}
    s3_server.boto3_client().delete_object(Bucket=bucket_name, Key=TARGET + NAMES[0])
    proven = _prove(s3_server, work)
    put_all(s3_server, bucket_name, {TARGET + NAMES[0]: NAMES[0].encode()})  # back again, but never proven
    outcomes = _delete(s3_server, proven)
    assert codes(work, outcomes) == {SOURCE + NAMES[0]: "NotProven"}
    assert set(list_all(s3_server, bucket_name, SOURCE)) == {SOURCE + NAMES[0]}


def test_an_unverified_delete_is_bound_to_the_pinned_objects(s3_server: Server, bucket_name: str) -> None:
    """Without proof the manifest's identity still guards each delete (safety.md rule 1)."""
    work = _make_copies(s3_server, bucket_name, NAMES[:4])
    put_all(s3_server, bucket_name, {SOURCE + NAMES[2]: b"NEW.txt"})
    outcomes = run(s3_server, DeleteOperation(mapping=None, unverified=True), work)
    assert codes(work, outcomes) == {SOURCE + NAMES[2]: "SourceChanged"}
    assert set(list_all(s3_server, bucket_name, SOURCE)) == {SOURCE + NAMES[2]}


def test_hostile_keys_are_deleted_and_no_other_object(s3_server: Server, bucket_name: str) -> None:
    """Keys that break tools, also those that XML cannot carry, name their own object on both sides."""
    names = [
        key
        for key in HOSTILE_KEYS
        if key_gap(s3_server.name, key) is None and len((TARGET + key).encode()) <= MAX_KEY_BYTES
    ]
    bystanders = {f"{SOURCE}{number}": b"x" for number in range(3)}
    work = _prove(s3_server, _make_copies(s3_server, bucket_name, names))
    put_all(s3_server, work.bucket, bystanders)
    outcomes = _delete(s3_server, work)
    assert codes(work, outcomes) == {}
    assert set(list_all(s3_server, work.bucket, SOURCE)) == set(bystanders)
    assert len(list_all(s3_server, work.bucket, TARGET)) == len(names)


def _before_deletes(context: TaskContext, act: Callable[[], Awaitable[None]]) -> None:
    """Do something between the reading and each DeleteObjects request."""
    guarded_by = context.source.guarded_by

    def guarded(may_write: Callable[[], bool]) -> S3Client:
        client = guarded_by(may_write)
        send = client.delete_batch

        async def late(*arguments: Any, **settings: Any) -> DeleteBatch:  # noqa: ANN401 - passed on as it is
            await act()
            return await send(*arguments, **settings)

        client.delete_batch = late  # type: ignore[method-assign]
        return client

    context.source.guarded_by = guarded  # type: ignore[method-assign]


def _versions(server: Server, bucket: str, prefix: str) -> dict[str, list[str]]:
    """Return the ids of delete markers by key."""
    answer = server.boto3_client().list_object_versions(Bucket=bucket, Prefix=prefix)
    found: dict[str, list[str]] = {}
    for marker in answer.get("DeleteMarkers", ()):
        found.setdefault(marker["Key"], []).append(marker["VersionId"])
    return found


def _make_versioned(server: Server, bucket: str, names: list[str]) -> ChunkWork:
    client = server.boto3_client()
    client.create_bucket(Bucket=bucket)
    client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    put_all(server, bucket, {prefix + name: name.encode() for name in names for prefix in (SOURCE, TARGET)})
    return pin(server, bucket, SOURCE)


def test_a_versioned_bucket_gets_one_marker_each_and_its_id_is_recorded(s3_server: Server, bucket_name: str) -> None:
    """Undoing the delete is deleting exactly the recorded markers (safety.md rule 16)."""
    work = _prove(s3_server, _make_versioned(s3_server, bucket_name, NAMES[:4]))
    outcomes = _delete(s3_server, work, versioning="Enabled")
    markers = _versions(s3_server, bucket_name, SOURCE)
    assert {work.keys[each["row"]]: [each["version_id"]] for each in outcomes} == markers
    again = _delete(s3_server, replace(work, is_first_attempt=False), versioning="Enabled")
    assert set(codes(work, again).values()) == {"AlreadyGone"}
    assert {work.keys[each["row"]]: [each["version_id"]] for each in again} == markers
    assert _versions(s3_server, bucket_name, SOURCE) == markers


@pytest.mark.parametrize(
    "fault", [Fault.LOSE_ANSWER, Fault.DELIVER_TWICE, Fault.RESET_AFTER, Fault.RESET_BEFORE, Fault.TRUNCATED_BODY]
)
@pytest.mark.parametrize("is_versioned", [False, True])
def test_lost_answers_end_in_one_delete_each(
    ministack: Server,
    bucket_name: str,
    fault_proxy: StartProxy,
    fault: Fault,
    is_versioned: bool,  # noqa: FBT001 - pytest hands it in by name
) -> None:
    """Whatever happens to the answers, each object ends deleted, with one marker whose id is recorded."""
    make = _make_versioned if is_versioned else _make_copies
    work = _prove(ministack, make(ministack, bucket_name, NAMES))
    proxy = fault_proxy(ministack, FaultPlan(probabilities={fault: 1.0}, matching=r"^POST .*delete", maximum=2))
    outcomes = _delete(proxy.server, work, versioning="Enabled" if is_versioned else "")
    assert sum(proxy.counts().injected.values()) > 0
    assert statuses(outcomes) == ["succeeded"] * len(NAMES)
    assert list_all(ministack, bucket_name, SOURCE) == {}
    assert len(list_all(ministack, bucket_name, TARGET)) == len(NAMES)
    if is_versioned:
        recorded = {work.keys[each["row"]]: [each["version_id"]] for each in outcomes}
        assert recorded == _versions(ministack, bucket_name, SOURCE)


def test_a_key_that_may_not_be_deleted_fails_alone(ministack: Server, bucket_name: str) -> None:
    """One refused key does not stop the others (safety.md rule 18)."""
    work = _prove(ministack, _make_copies(ministack, bucket_name, NAMES[:4]))
    denied = f"arn:aws:s3:::{bucket_name}/{SOURCE}{NAMES[1]}"
    policy = (
        '{"Version":"2012-10-17","Statement":[{"Effect":"Deny","Principal":"*","Action":"s3:DeleteObject",'
        f'"Resource":"{denied}"}}]}}'
    )
    ministack.boto3_client().put_bucket_policy(Bucket=bucket_name, Policy=policy)
    outcomes = _delete(ministack, work)
    assert codes(work, outcomes) == {SOURCE + NAMES[1]: "AccessDenied"}
    assert statuses(outcomes).count("failed") == 1
    assert set(list_all(ministack, bucket_name, SOURCE)) == {SOURCE + NAMES[1]}


def test_the_stores_condition_keeps_what_changed_after_the_reading(ministack: Server, bucket_name: str) -> None:
    """An object that is written between the reading and the request survives where the store honours conditions."""
    assert gap("ministack", "delete-objects-etag") is None
    work = _prove(ministack, _make_copies(ministack, bucket_name, NAMES[:3]))

    async def overwrite_before_sending(context: TaskContext) -> None:
        async def overwrite() -> None:
            await asyncio.to_thread(put_all, ministack, bucket_name, {SOURCE + NAMES[1]: b"NEW.txt"})

        _before_deletes(context, overwrite)

    operation = DeleteOperation(mapping=copied(TARGET, bucket_name))
    outcomes = run(ministack, operation, work, prepare=overwrite_before_sending)
    assert codes(work, outcomes) == {SOURCE + NAMES[1]: "SourceChanged"}
    assert set(list_all(ministack, bucket_name, SOURCE)) == {SOURCE + NAMES[1]}


def test_proofs_that_became_too_old_permit_nothing(ministack: Server, bucket_name: str) -> None:
    """Time passes while a delete runs: each chunk's evidence has its own age (safety.md rule 14)."""
    work = _prove(ministack, _make_copies(ministack, bucket_name, NAMES[:3]))
    assert work.evidence is not None
    assert work.evidence.recorded_at_ms is not None
    for recorded_at_ms in (work.evidence.recorded_at_ms - 60_001, None):
        old = replace(work, evidence=replace(work.evidence, recorded_at_ms=recorded_at_ms))
        outcomes = _delete(ministack, old, max_evidence_age_ms=60_000)
        assert set(codes(old, outcomes).values()) == {"EvidenceTooOld"}
        assert statuses(outcomes) == ["kept"] * 3
    assert len(list_all(ministack, bucket_name, SOURCE)) == 3
    assert codes(work, _delete(ministack, work, max_evidence_age_ms=600_000)) == {}


def test_readings_that_became_too_old_permit_nothing(
    ministack: Server, bucket_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After more than a minute since the reading nothing is deleted, however often it is tried (safety.md rule 14)."""
    work = _prove(ministack, _make_copies(ministack, bucket_name, NAMES[:3]))
    minutes = itertools.count()
    monkeypatch.setattr(both_sides, "boot_time_s", lambda: 61.0 * next(minutes))
    outcomes = _delete(ministack, work)
    assert set(codes(work, outcomes).values()) == {"EvidenceExpired"}
    assert statuses(outcomes) == ["kept"] * 3
    assert len(list_all(ministack, bucket_name, SOURCE)) == 3


def test_a_store_that_fails_leaves_the_rows_for_later(
    ministack: Server, bucket_name: str, fault_proxy: StartProxy
) -> None:
    """Where the target cannot be read now, its source stays, no row has failed, and the attempt is unavailable."""
    work = _prove(ministack, _make_copies(ministack, bucket_name, NAMES[:3]))
    plan = FaultPlan(probabilities={Fault.RESET_BEFORE: 1.0}, matching=r"^GET .*target")
    ministack.boto3_client().create_bucket(Bucket=f"{bucket_name}-target")
    mapping = replace(copied(TARGET, f"{bucket_name}-target"))
    deleting = DeleteOperation(mapping=mapping, trust_listings=True)
    outcomes, error = run_until_error(fault_proxy(ministack, plan).server, deleting, work)
    assert outcomes == []
    assert isinstance(error, UnavailableError)
    assert len(list_all(ministack, bucket_name, SOURCE)) == 3


def test_a_listing_that_lags_costs_heads_and_calls_nothing_gone(
    ministack: Server, bucket_name: str, fault_proxy: StartProxy
) -> None:
    """Objects that listings of both sides hide are confirmed by HEAD and deleted as the others (safety.md rule 12)."""
    work = _prove(ministack, _make_copies(ministack, bucket_name, NAMES))
    proxy = fault_proxy(ministack, FaultPlan(probabilities={Fault.SHORT_LISTING: 1.0}))
    outcomes = _delete(proxy.server, work)
    assert codes(work, outcomes) == {}
    assert proxy.counts().asked["HeadObject"] == len(NAMES)  # half of the rows, on both sides
    assert list_all(ministack, bucket_name, SOURCE) == {}


@pytest.mark.parametrize("unverified", [False, True])
def test_what_could_not_be_read_is_not_called_gone(
    ministack: Server,
    bucket_name: str,
    fault_proxy: StartProxy,
    unverified: bool,  # noqa: FBT001 - pytest hands it in by name
) -> None:
    """A listing that hides objects and HEADs that fail leave their fate unknown: no success, no delete.

    A slow reading is done again for fewer rows, of which a listing shows other ones; the last row is in none of them.
    """
    work = _prove(ministack, _make_copies(ministack, bucket_name, NAMES[:4]))
    faults = {Fault.SHORT_LISTING: 1.0, Fault.RESET_BEFORE: 1.0}
    proxy = fault_proxy(ministack, FaultPlan(probabilities=faults, matching=r"^(GET .*list-type|HEAD)"))
    deleting = DeleteOperation(mapping=copied(TARGET, bucket_name), unverified=unverified, trust_listings=True)
    outcomes, error = run_until_error(proxy.server, deleting, work)
    assert isinstance(error, UnavailableError)
    assert error.code == "TransportError"
    assert {each["status"] for each in outcomes} == {"succeeded"}
    recorded = {each["row"] for each in outcomes}
    assert {0} <= recorded <= {0, 1, 2}
    left = {SOURCE + name for row, name in enumerate(NAMES[:4]) if row not in recorded}
    assert set(list_all(ministack, bucket_name, SOURCE)) == left


def test_a_stopped_chunk_sends_no_delete(ministack: Server, bucket_name: str) -> None:
    """The signal is looked at right before the write, not only at the start (safety.md rule 21)."""
    work = _prove(ministack, _make_copies(ministack, bucket_name, NAMES[:3]))

    async def stop_after_reading(context: TaskContext) -> None:
        listing = context.target.list_objects

        async def stop(*arguments: Any, **settings: Any) -> Any:  # noqa: ANN401 - passed on as it is
            page = await listing(*arguments, **settings)
            context.stop.request()
            return page

        context.target.list_objects = stop  # type: ignore[method-assign]

    deleting = DeleteOperation(mapping=copied(TARGET, bucket_name), trust_listings=True)
    outcomes = run(ministack, deleting, work, prepare=stop_after_reading)
    assert outcomes == []
    assert len(list_all(ministack, bucket_name, SOURCE)) == 3


def test_a_target_of_the_own_evidence_is_never_deleted(ministack: Server, bucket_name: str) -> None:
    """A chain a/ -> a/a/ over equal bytes would else delete the copies themselves (safety.md rule 4)."""
    ministack.boto3_client().create_bucket(Bucket=bucket_name)
    put_all(ministack, bucket_name, {"a/x": b"1", "a/a/x": b"1", "a/a/a/x": b"1"})
    work = pin(ministack, bucket_name, "a/", sizes=[1, 1, 1])
    mapping = KeyMapping(target_bucket=bucket_name, strip_prefix="a/", add_prefix="a/a/")
    work = replace(work, keys=work.keys[:3], rows=[1, 2])  # a/a/x -> a/a/a/x, a/x -> a/a/x
    outcomes = run(ministack, VerifyOperation(mapping=mapping), work)
    assert statuses(outcomes) == ["succeeded", "succeeded"]
    deleting = replace(work, evidence=evidence_of(outcomes, 3))
    deleted = run(ministack, DeleteOperation(mapping=mapping), deleting)
    assert codes(work, deleted) == {"a/a/x": "NotProven"}
    assert set(list_all(ministack, bucket_name)) == {"a/a/x", "a/a/a/x"}


def test_listings_of_another_store_than_aws_are_not_trusted_unless_the_user_says_so(
    ministack: Server, bucket_name: str, fault_proxy: StartProxy
) -> None:
    """By default every object is asked for by HEAD on both sides, and no listing is used (safety.md rule 12)."""
    work = _prove(ministack, _make_copies(ministack, bucket_name, NAMES))
    proxy = fault_proxy(ministack, FaultPlan())
    outcomes = run(proxy.server, DeleteOperation(mapping=copied(TARGET, bucket_name)), work)
    assert codes(work, outcomes) == {}
    counts = proxy.counts()
    assert counts.asked["HeadObject"] == 2 * len(NAMES)
    assert "ListObjectsV2" not in counts.asked


def test_a_listing_that_still_shows_a_removed_copy_deletes_nothing(s3_server: Server, bucket_name: str) -> None:
    """On a store whose listings may lag, a target counts as there only if HEAD says so (safety.md rule 12)."""
    work = _prove(s3_server, _make_copies(s3_server, bucket_name, NAMES[:3]))

    async def list_late(context: TaskContext) -> None:
        before = await context.target.list_objects(bucket_name, TARGET)

        async def late(*_: Any, **__: Any) -> Any:  # noqa: ANN401 - asked for anything
            return before

        context.target.list_objects = late  # type: ignore[method-assign]
        await asyncio.to_thread(s3_server.boto3_client().delete_object, Bucket=bucket_name, Key=TARGET + NAMES[1])

    outcomes = run(s3_server, DeleteOperation(mapping=copied(TARGET, bucket_name)), work, prepare=list_late)
    assert codes(work, outcomes) == {SOURCE + NAMES[1]: "TargetMissing"}
    assert set(list_all(s3_server, bucket_name, SOURCE)) == {SOURCE + NAMES[1]}


# ------------------------------------------------------------------------------------------------ outages and surprises


def test_an_outage_in_verify_fails_no_row(ministack: Server, bucket_name: str, fault_proxy: StartProxy) -> None:
    """What is proven is recorded, what could not be asked for waits; a listing that fails condemns nobody."""
    work = _make_copies(ministack, bucket_name, NAMES[:4])
    put_all(ministack, bucket_name, {TARGET + NAMES[1]: b"other size", TARGET + NAMES[2]: b"002.txT"})
    operation = VerifyOperation(mapping=copied(TARGET, bucket_name))
    for matching, recorded in ((rf"^HEAD .*{NAMES[1]}", [0, 2, 3]), (r"^GET .*list-type", [])):
        proxy = fault_proxy(ministack, FaultPlan(probabilities={Fault.RESET_BEFORE: 1.0}, matching=matching))
        outcomes, error = run_until_error(proxy.server, operation, work)
        assert [each["row"] for each in outcomes] == recorded
        assert isinstance(error, UnavailableError)
        assert error.code == "TransportError"


def test_a_listing_that_is_refused_is_replaced_by_heads(ministack: Server, bucket_name: str) -> None:
    """Who may not list may still verify and delete: the refusal says nothing about any object."""
    work = _make_copies(ministack, bucket_name, NAMES[:4])

    async def refuse_listings(context: TaskContext) -> None:
        async def refuse(*_: Any, **__: Any) -> Any:  # noqa: ANN401 - asked for anything
            raise S3RefusedError("no", code="AccessDenied", status=403)

        context.source.list_objects = refuse  # type: ignore[method-assign]
        context.target.list_objects = refuse  # type: ignore[method-assign]

    proven = run(ministack, VerifyOperation(mapping=copied(TARGET, bucket_name)), work, prepare=refuse_listings)
    assert codes(work, proven) == {}
    deleting = DeleteOperation(mapping=copied(TARGET, bucket_name), trust_listings=True)
    work = replace(work, evidence=evidence_of(proven, 4))
    assert codes(work, run(ministack, deleting, work, prepare=refuse_listings)) == {}
    assert list_all(ministack, bucket_name, SOURCE) == {}


def test_a_bucket_that_is_gone_ends_the_attempt_by_its_name(ministack: Server, bucket_name: str) -> None:
    """A HEAD would say that each object is absent; nothing is recorded about any of them."""
    work = _prove(ministack, _make_copies(ministack, bucket_name, NAMES[:3]))
    mapping = copied(TARGET, f"{bucket_name}-never-made")
    for operation in (VerifyOperation(mapping=mapping), DeleteOperation(mapping=mapping, trust_listings=True)):
        outcomes, error = run_until_error(ministack, operation, work)
        assert outcomes == []
        assert isinstance(error, S3RefusedError)
        assert error.code == "NoSuchBucket"
    assert len(list_all(ministack, bucket_name, SOURCE)) == 3


def test_deletes_that_happened_are_recorded_whatever_goes_wrong(ministack: Server, bucket_name: str) -> None:
    """One batch meets a bug; what the others deleted is on record, and the bug is told as it is."""
    names = [f"{number:04}" for number in range(2_500)]
    work = _prove(ministack, _make_copies(ministack, bucket_name, names))
    batches = itertools.count()

    async def break_the_second(context: TaskContext) -> None:
        async def fail() -> None:
            if next(batches) == 1:
                raise ZeroDivisionError("a bug")

        _before_deletes(context, fail)

    deleting = DeleteOperation(mapping=copied(TARGET, bucket_name), trust_listings=True)
    outcomes, error = run_until_error(ministack, deleting, work, prepare=break_the_second)
    assert isinstance(error, ZeroDivisionError)
    assert statuses(outcomes) == ["succeeded"] * len(outcomes)
    left = set(list_all(ministack, bucket_name, SOURCE))
    assert len(left) in {500, 1_000}
    assert {work.keys[each["row"]] for each in outcomes} == set(work.keys) - left


def test_a_stop_that_comes_while_a_delete_waits_for_its_turn_stops_it(ministack: Server, bucket_name: str) -> None:
    """In the throttle's queue and between two attempts too the permission is asked for (safety.md rule 21)."""
    work = _prove(ministack, _make_copies(ministack, bucket_name, NAMES[:3]))

    async def stop_late(context: TaskContext) -> None:
        async def stop() -> None:
            context.stop.request()
            await asyncio.sleep(0)

        _before_deletes(context, stop)

    assert run(ministack, DeleteOperation(mapping=copied(TARGET, bucket_name)), work, prepare=stop_late) == []
    assert len(list_all(ministack, bucket_name, SOURCE)) == 3


def test_a_reading_that_became_old_in_the_queue_is_taken_again(
    ministack: Server, bucket_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The age is looked at when the request's turn has come, and what changed meanwhile is kept (rule 14)."""
    work = _prove(ministack, _make_copies(ministack, bucket_name, NAMES[:3]))
    late_s = [0.0]
    monkeypatch.setattr(both_sides, "boot_time_s", lambda: boot_time_s() + late_s[0])

    async def wait_long(context: TaskContext) -> None:
        async def wait() -> None:
            if not late_s[0]:
                late_s[0] = 61.0
                await asyncio.to_thread(
                    ministack.boto3_client().delete_object, Bucket=bucket_name, Key=TARGET + NAMES[0]
                )

        _before_deletes(context, wait)

    outcomes = run(ministack, DeleteOperation(mapping=copied(TARGET, bucket_name)), work, prepare=wait_long)
    assert codes(work, outcomes) == {SOURCE + NAMES[0]: "TargetMissing"}


def test_a_store_that_refuses_conditions_is_read_again_before_it_gets_none(ministack: Server, bucket_name: str) -> None:
    """What is written while the store's refusals come in is kept, and the others say that no condition guarded them."""
    work = _prove(ministack, _make_copies(ministack, bucket_name, NAMES))

    async def refuse_conditions(context: TaskContext) -> None:
        guarded_by = context.source.guarded_by

        def guarded(may_write: Callable[[], bool]) -> S3Client:
            client = guarded_by(may_write)
            send = client.delete_object

            async def refuse(*_: Any, **__: Any) -> Any:  # noqa: ANN401 - asked for anything
                raise S3RefusedError("no batches", code="NotImplemented", status=501)

            async def refuse_condition(
                bucket: str, key: str, *, version_id: str | None = None, if_match: str | None = None
            ) -> Any:  # noqa: ANN401 - what the client returns
                assert version_id is None
                if if_match is None:
                    return await send(bucket, key)
                await asyncio.to_thread(put_all, ministack, bucket_name, {SOURCE + NAMES[3]: b"NEW.txt"})
                raise S3RefusedError("no conditions", code="NotImplemented", status=501)

            client.delete_batch = refuse  # type: ignore[method-assign]
            client.delete_object = refuse_condition  # type: ignore[method-assign]
            return client

        context.source.guarded_by = guarded  # type: ignore[method-assign]

    outcomes = run(ministack, DeleteOperation(mapping=copied(TARGET, bucket_name)), work, prepare=refuse_conditions)
    assert codes(work, outcomes) == {SOURCE + NAMES[3]: "SourceChanged"}
    assert set(list_all(ministack, bucket_name, SOURCE)) == {SOURCE + NAMES[3]}
    assert {each["message"] for each in outcomes if each["status"] == "succeeded"} == {UNCONDITIONAL}


def test_a_slow_store_is_read_in_batches_that_stay_fresh(
    ministack: Server, bucket_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where conditions may be ignored, no batch is deleted on a reading that is older than seconds."""
    names = [f"{number:03}" for number in range(150)]
    work = _prove(ministack, _make_copies(ministack, bucket_name, names))
    clock_s, sizes = [0.0], list[int]()
    monkeypatch.setattr(both_sides, "boot_time_s", lambda: clock_s[0])

    async def make_slow(context: TaskContext) -> None:
        for client in (context.source, context.target):
            client.head_object = _slowed(client.head_object, clock_s)  # type: ignore[method-assign,assignment]
        guarded_by = context.source.guarded_by

        def guarded(may_write: Callable[[], bool]) -> S3Client:
            client = guarded_by(may_write)
            send = client.delete_batch

            async def watched(bucket: str, keys: list[str], **settings: Any) -> DeleteBatch:  # noqa: ANN401
                sizes.append(len(keys))
                return await send(bucket, keys, **settings)

            client.delete_batch = watched  # type: ignore[method-assign,assignment]
            return client

        context.source.guarded_by = guarded  # type: ignore[method-assign]

    outcomes = run(ministack, DeleteOperation(mapping=copied(TARGET, bucket_name)), work, prepare=make_slow)
    assert codes(work, outcomes) == {}
    assert sum(sizes) >= len(names)
    assert max(sizes) <= 25  # two HEADs of 0.1 s for each key, within 5 s


def _slowed(head_object: Callable[..., Awaitable[Any]], clock_s: list[float]) -> Callable[..., Awaitable[Any]]:
    async def slow(*arguments: Any, **settings: Any) -> Any:  # noqa: ANN401 - passed on as it is
        clock_s[0] += 0.1
        return await head_object(*arguments, **settings)

    return slow


def test_equal_bytes_that_were_written_again_are_another_version(ministack: Server, bucket_name: str) -> None:
    """Where HEADs told the version at the proof and now, a target that was replaced keeps its source (rule 14)."""
    work = _prove(ministack, _make_versioned(ministack, bucket_name, NAMES[:3]), Level.BYTES)
    put_all(ministack, bucket_name, {TARGET + NAMES[1]: NAMES[1].encode()})
    outcomes = _delete(ministack, work, versioning="Enabled", trust_listings=False)
    assert codes(work, outcomes) == {SOURCE + NAMES[1]: "TargetChanged"}
    by_listing = _delete(ministack, replace(work, rows=[1]), versioning="Enabled")  # what no listing can tell
    assert codes(work, by_listing) == {}


def test_an_object_at_which_the_store_always_fails_does_not_hold_up_the_others(
    ministack: Server, bucket_name: str, fault_proxy: StartProxy
) -> None:
    """The first attempt leaves it for later; a later one, while the store answers otherwise, records its failure."""
    work = _prove(ministack, _make_copies(ministack, bucket_name, NAMES[:3]))
    put_all(ministack, bucket_name, {TARGET + NAMES[1]: b"other size"})
    plan = FaultPlan(probabilities={Fault.RESET_AFTER: 1.0}, matching=rf"^HEAD .*{NAMES[1]}")
    server = fault_proxy(ministack, plan).server
    mapping = copied(TARGET, bucket_name)
    for operation in (VerifyOperation(mapping=mapping), DeleteOperation(mapping=mapping, trust_listings=True)):
        first, error = run_until_error(server, operation, work)
        assert [each["row"] for each in first] == [0, 2]
        assert isinstance(error, UnavailableError)
        later = run(server, operation, replace(work, rows=[1], is_first_attempt=False))
        assert codes(work, later) == {SOURCE + NAMES[1]: "TransportError"}
    assert set(list_all(ministack, bucket_name, SOURCE)) == {SOURCE + NAMES[1]}


def test_credentials_that_ended_fail_no_row(ministack: Server, bucket_name: str) -> None:
    """A HEAD's bare 400 says nothing; a listing names the ended session, and the rows wait for new credentials."""
    work = _prove(ministack, _make_copies(ministack, bucket_name, NAMES[:3]))

    async def end_session(context: TaskContext) -> None:
        async def bad_request(*_: Any, **__: Any) -> Any:  # noqa: ANN401 - asked for anything
            raise S3RefusedError("no body", code="BadRequest", status=400)

        async def expired(*_: Any, **__: Any) -> Any:  # noqa: ANN401 - asked for anything
            raise S3UnavailableError("the session ended", code="ExpiredToken", status=400)

        for client in (context.source, context.target):
            client.head_object = bad_request  # type: ignore[method-assign]
            client.list_objects = expired  # type: ignore[method-assign]

    mapping = copied(TARGET, bucket_name)
    for operation in (VerifyOperation(mapping=mapping), DeleteOperation(mapping=mapping)):
        outcomes, error = run_until_error(ministack, operation, work, prepare=end_session)
        assert outcomes == []
        assert isinstance(error, UnavailableError)
    assert len(list_all(ministack, bucket_name, SOURCE)) == 3
