"""Probing real servers with canaries: each is found to behave as gaps.py says, and nothing stays behind.

Nothing of a user's is touched: what is below the prefix, and beside it, is there afterwards as it was.
"""

import asyncio
import json
from collections.abc import Callable, Coroutine
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from s3batch.execute.canaries import Canaries
from s3batch.execute.probes import Place, Wanted, probe_deletes, probe_store
from s3batch.model.attributes import AS_SOURCES
from s3batch.model.errors import RefusedError, UnavailableError
from s3batch.model.objects import S3Prefix
from s3batch.plan.canaries import Probe
from s3batch.plan.findings import Weight
from s3batch.plan.probes import Behaviour, Conduct, Probed, loss_findings
from s3batch.s3.bucket_reading import read_bucket
from s3batch.s3.client import S3Client
from tests.servers.fault_proxy import FaultProxy
from tests.servers.faults import Fault, FaultPlan
from tests.servers.gaps import gap
from tests.servers.server import Server
from tests.servers.stub.launcher import StubControl

OWNER = "0123456789abcdef" * 2
OTHER = "fedcba9876543210" * 2
NOW_MS = int(datetime(2026, 11, 27, 12, tzinfo=UTC).timestamp() * 1000)
PROBE = Probe(owner=OWNER, made_ms=NOW_MS)
CONDITIONS = (
    Behaviour.DELETE_IF_MATCH,
    Behaviour.DELETE_OBJECTS_ETAG,
    Behaviour.COPY_SOURCE_IF_MATCH,
    Behaviour.COPY_IF_NONE_MATCH,
    Behaviour.TAGGING_DIRECTIVE,
)
HOSTILE = "tmp/ü +%20/"
StartProxy = Callable[[Server, FaultPlan], FaultProxy]


@pytest.fixture(params=["", "Enabled", "Suspended"], ids=["unversioned", "versioned", "suspended"])
def versioning(request: pytest.FixtureRequest) -> str:
    """The versioning of the bucket."""
    return str(request.param)


def make_bucket(server: Server, bucket: str, versioning: str = "") -> Any:  # noqa: ANN401 (boto3's)
    """Make a bucket with a user's objects below and beside the prefix."""
    client = server.boto3_client()
    client.create_bucket(Bucket=bucket)
    for status in ["Enabled", versioning] if versioning else []:
        client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": status})
    for key in (f"{HOSTILE}users.fits", "tmp/s3batch-canary-of-mine", f"{HOSTILE}s3batch-canary-mine"):
        client.put_object(Bucket=bucket, Key=key, Body=b"a user's")
    return client


def everything(client: Any, bucket: str) -> list[tuple[str, str]]:  # noqa: ANN401 (boto3's)
    """Return key and version id of all versions and markers."""
    answer = client.list_object_versions(Bucket=bucket)
    return sorted(
        (each["Key"], each["VersionId"]) for kind in ("Versions", "DeleteMarkers") for each in answer.get(kind, [])
    )


def with_client(server: Server, use: Callable[[S3Client], Coroutine[Any, Any, Any]]) -> Any:  # noqa: ANN401
    """Return what ``use`` returns of a client."""

    async def run() -> Any:  # noqa: ANN401
        async with await S3Client.open(server.connection()) as client:
            return await use(client)

    return asyncio.run(run())


def probe(server: Server, bucket: str, *, target: str = "", owner: str = OWNER) -> tuple[Probed, ...]:
    """Probe both kinds below the prefix, in one bucket or two."""
    places = {name: S3Prefix(bucket=name, prefix=HOSTILE) for name in (bucket, target) if name}
    wanted = Wanted(deletes_from=(bucket,), copies_from=(bucket,), copies_to=target or bucket)
    found: tuple[Probed, ...] = with_client(server, lambda client: probe_store(client, places, wanted, owner=owner))
    return found


def test_what_a_probe_finds_is_what_is_known_of_each_server(
    s3_server: Server, bucket_name: str, versioning: str
) -> None:
    """Conditions of deletes and copies; and all canaries are gone with their versions (safety.md rule 15)."""
    client = make_bucket(s3_server, bucket_name, versioning)
    before = everything(client, bucket_name)
    deletes, copies = probe(s3_server, bucket_name)
    assert (deletes.reason, copies.reason, deletes.left, copies.left) == ("", "", (), ())
    found = {**deletes.conducts, **copies.conducts}
    known = {each: Conduct.IGNORED if gap(s3_server.name, each) else Conduct.HONOURED for each in CONDITIONS}
    assert {each: found[each] for each in CONDITIONS} == known
    assert found[Behaviour.LISTS_AT_ONCE] is Conduct.HONOURED
    assert everything(client, bucket_name) == before


def test_what_copies_lose_is_found(s3_server: Server, bucket_name: str) -> None:
    """Ceph RGW drops the tags of a copy whose metadata is replaced (safety.md rule 8); between buckets, too."""
    client = make_bucket(s3_server, bucket_name)
    client.create_bucket(Bucket=f"{bucket_name}-t")
    before = everything(client, bucket_name)
    _, copies = probe(s3_server, bucket_name, target=f"{bucket_name}-t")
    assert (copies.bucket, copies.unread, copies.lost) == (f"{bucket_name}-t", (), ())
    known = ("tags",) if gap(s3_server.name, "tags-of-changed-metadata") else ()
    assert copies.lost_with_metadata == known
    assert everything(client, bucket_name) == before
    assert everything(client, f"{bucket_name}-t") == []


def put_left_over(client: Any, bucket: str, left: Probe, what: str, body: bytes) -> str:  # noqa: ANN401 (boto3's)
    """Put what a killed prober would have left; return its key."""
    key = left.key(HOSTILE, what)
    client.put_object(Bucket=bucket, Key=key, Body=body)
    return key


def test_what_a_killed_probe_left_is_removed_by_the_next_one(
    s3_server: Server, bucket_name: str, versioning: str
) -> None:
    """Of the same job at once, of others when it is old; hidden versions too. Other bytes stay and are told."""
    client = make_bucket(s3_server, bucket_name, versioning)
    before = everything(client, bucket_name)
    now_ms = int(datetime.now(UTC).timestamp() * 1000)
    mine, old, young = (
        Probe(owner=OWNER, made_ms=now_ms - 9_000),
        Probe(owner=OTHER, made_ms=now_ms - 4_000_000),
        Probe(owner=OTHER, made_ms=now_ms - 9_000),
    )
    for left in (mine, old):
        key = put_left_over(client, bucket_name, left, "delete", left.body)
        client.delete_object(Bucket=bucket_name, Key=key)  # as a probe does before it is killed
        put_left_over(client, bucket_name, left, "copy", left.body)
    stay = {
        put_left_over(client, bucket_name, young, "copy", young.body),
        put_left_over(client, bucket_name, old, "users", b"a user's"),
        put_left_over(client, bucket_name, old, "others", old.body.replace(b"It", b"it")),
    }
    deletes, copies = probe(s3_server, bucket_name)
    told = [each for each in deletes.left if "not shown to be a canary" in each]
    assert len(told) == len(deletes.left) == 2
    assert copies.left == ()  # told once
    now = {key for key, _ in everything(client, bucket_name)}
    assert now == {key for key, _ in before} | stay
    assert set(before) <= set(everything(client, bucket_name))


def test_no_canary_is_written_where_something_is_or_was(s3_server: Server, bucket_name: str, versioning: str) -> None:
    """Also where all that there is is a delete marker over an older version."""
    client = make_bucket(s3_server, bucket_name, versioning)
    place = S3Prefix(bucket=bucket_name, prefix=HOSTILE)
    fresh = Probe(owner=OWNER, made_ms=NOW_MS + 3_600_000_000)
    client.put_object(Bucket=bucket_name, Key=fresh.key(HOSTILE, "batch-wrong"), Body=b"a user's")
    if versioning == "Enabled":  # else the marker would take the place of the object
        client.delete_object(Bucket=bucket_name, Key=fresh.key(HOSTILE, "batch-wrong"))
    before = everything(client, bucket_name)

    async def use(s3: S3Client) -> None:
        where = Place(prefix=place, reading=await read_bucket(s3, bucket_name))
        with pytest.raises(RefusedError) as refused:
            await probe_deletes(s3, where, replace(fresh, owner=OWNER))
        assert (refused.value.code, refused.value.exit_code) == ("CanaryKeyTaken", 4)

    with_client(s3_server, use)
    # the left-over's bytes are a user's, so it is told and kept; and the first canary was removed
    assert everything(client, bucket_name) == before


def test_a_bucket_that_locks_new_objects_gets_no_canary(ministack: Server, bucket_name: str) -> None:
    """It could not be removed; nor where nobody may ask (safety.md rule 15)."""
    client = ministack.boto3_client()
    client.create_bucket(Bucket=bucket_name, ObjectLockEnabledForBucket=True)
    rule = {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 3}}
    lock = {"ObjectLockEnabled": "Enabled", "Rule": rule}
    client.put_object_lock_configuration(Bucket=bucket_name, ObjectLockConfiguration=lock)
    for found in probe(ministack, bucket_name):
        assert "locks each new object for 3 days" in found.reason
        assert {found.conduct(each) for each in found.asked} == {Conduct.NOT_PROBED}
    assert everything(client, bucket_name) == []


@pytest.mark.parametrize(
    ("action", "is_left", "told"),
    [
        ("s3:PutObject", False, "AccessDenied"),
        ("s3:GetBucketVersioning", False, "versions may not be read"),
        ("s3:ListBucket", False, "AccessDenied"),
        ("s3:DeleteObject", True, ""),
    ],
)
def test_what_is_not_allowed_is_not_probed_and_said(
    action: str, *, is_left: bool, told: str, ministack: Server, bucket_name: str
) -> None:
    """A canary that may be written and not deleted stays, and its address is told."""
    client = make_bucket(ministack, bucket_name)
    before = everything(client, bucket_name)
    arn = f"arn:aws:s3:::{bucket_name}"
    deny = {"Effect": "Deny", "Principal": "*", "Action": action, "Resource": [arn, f"{arn}/*"]}
    client.put_bucket_policy(Bucket=bucket_name, Policy=json.dumps({"Version": "2012-10-17", "Statement": [deny]}))
    deletes, copies = probe(ministack, bucket_name)
    client.delete_bucket_policy(Bucket=bucket_name)
    assert told in deletes.reason
    assert bool(deletes.left) is is_left
    assert not set(deletes.left) & set(copies.left)  # told once, though removed in vain twice
    assert all("(AccessDenied)" in each and f"s3://{bucket_name}/{HOSTILE}" in each for each in deletes.left)
    assert deletes.conduct(Behaviour.DELETE_IF_MATCH) is Conduct.NOT_PROBED
    assert (everything(client, bucket_name) != before) is is_left


def test_tags_that_may_not_be_read_are_not_called_kept(ministack: Server, bucket_name: str) -> None:
    """Everything else of a copy is still compared."""
    client = make_bucket(ministack, bucket_name)
    deny = {
        "Effect": "Deny",
        "Principal": "*",
        "Action": "s3:PutObjectTagging",
        "Resource": f"arn:aws:s3:::{bucket_name}/*",
    }
    client.put_bucket_policy(Bucket=bucket_name, Policy=json.dumps({"Version": "2012-10-17", "Statement": [deny]}))
    _, copies = probe(ministack, bucket_name)
    assert (copies.unread, copies.lost) == (("tags (AccessDenied)",), ())
    found = {each.code: each.weight for each in loss_findings(copies, AS_SOURCES, ignore_losses=False)}
    assert found == {"LossesNotProbed": Weight.WARNING}


@pytest.mark.parametrize("server_name", ["ministack", "ceph_rgw"])
@pytest.mark.parametrize("fault", [Fault.LOSE_ANSWER, Fault.DELIVER_TWICE, Fault.RESET_AFTER, Fault.STORM])
def test_a_bad_network_leaves_no_canary_and_no_wrong_answer(
    server_name: str, fault: Fault, bucket_name: str, fault_proxy: StartProxy, request: pytest.FixtureRequest
) -> None:
    """A probe either tells what is so, or fails as unavailable; lost answers are what a store must not be judged by."""
    server: Server = request.getfixturevalue(server_name)
    client = make_bucket(server, bucket_name, "Enabled")
    before = everything(client, bucket_name)
    proxy = fault_proxy(server, FaultPlan(probabilities={fault: 0.1}, seed=7, storm_s=0.1))
    for _ in range(3):
        try:
            found = probe(proxy.server, bucket_name)
        except UnavailableError as error:
            assert "Canaries could not be removed" not in str(error)  # noqa: PT017
            continue
        for each in found:
            for behaviour, conduct in each.conducts.items():
                known = Conduct.IGNORED if gap(server_name, behaviour) else Conduct.HONOURED
                assert conduct is known, behaviour
            assert each.left == ()
    assert everything(client, bucket_name) == before


def test_canaries_are_removed_when_the_program_is_stopped(ministack: Server, bucket_name: str) -> None:
    """Ctrl-C cancels what is under way, wherever that is."""
    client = make_bucket(ministack, bucket_name)
    before = everything(client, bucket_name)
    place = S3Prefix(bucket=bucket_name, prefix=HOSTILE)

    async def use(s3: S3Client) -> None:
        async def hold() -> None:
            async with Canaries(s3, place, PROBE, has_versions=False) as canaries:
                await canaries.put("delete")
                written.set()
                await asyncio.sleep(60)

        written = asyncio.Event()
        holding = asyncio.create_task(hold())
        await written.wait()
        assert everything(client, bucket_name) != before
        holding.cancel()
        with pytest.raises(asyncio.CancelledError):
            await holding

    with_client(ministack, use)
    assert everything(client, bucket_name) == before


def test_a_probe_costs_a_bounded_number_of_requests(
    ministack: Server, bucket_name: str, fault_proxy: StartProxy
) -> None:
    """Whatever the bucket holds; the most where it keeps versions, each of which is removed (docs/limits.md)."""
    make_bucket(ministack, bucket_name, "Enabled")
    proxy = fault_proxy(ministack, FaultPlan())
    probe(proxy.server, bucket_name)
    assert sum(proxy.counts().methods.values()) <= 100


@pytest.mark.parametrize("conditions", ["honoured", "ignored"])
def test_a_store_that_honours_every_condition_is_told_from_one_that_ignores_all(
    conditions: str, stub: Server, bucket_name: str
) -> None:
    """No test server but the stub honours all of them, as AWS documents."""
    control = StubControl(stub)
    control.reset()
    control.configure_bucket(bucket_name, conditions=conditions)
    deletes, copies = probe(stub, bucket_name)
    assert (deletes.left, copies.left) == ((), ())
    found = {**deletes.conducts, **copies.conducts}
    assert {each: str(found[each]) for each in CONDITIONS[:4]} == dict.fromkeys(CONDITIONS[:4], conditions)


def test_a_store_that_answers_501_to_a_condition_refuses_it(ministack: Server, bucket_name: str) -> None:
    """The client looks at the target by itself then, which is no merit of the store."""
    make_bucket(ministack, bucket_name)
    places = {bucket_name: S3Prefix(bucket=bucket_name, prefix=HOSTILE)}

    async def use(s3: S3Client) -> tuple[Probed, ...]:
        s3._sender.learned.conditional_copy_supported = False  # as after such an answer
        return await probe_store(s3, places, Wanted(copies_to=bucket_name), owner=OWNER)

    (copies,) = with_client(ministack, use)
    assert copies.conduct(Behaviour.COPY_IF_NONE_MATCH) is Conduct.REFUSED


def test_a_listing_that_is_late_is_told(ministack: Server, bucket_name: str, fault_proxy: StartProxy) -> None:
    """And everything else is probed as well."""
    client = make_bucket(ministack, bucket_name)
    before = everything(client, bucket_name)
    proxy = fault_proxy(ministack, FaultPlan(probabilities={Fault.STALE_LISTING: 1.0}, stale_s=600.0))
    deletes, _ = probe(proxy.server, bucket_name)
    assert deletes.conduct(Behaviour.LISTS_AT_ONCE) is Conduct.IGNORED
    assert deletes.conduct(Behaviour.DELETE_IF_MATCH) is Conduct.HONOURED
    assert everything(client, bucket_name) == before
