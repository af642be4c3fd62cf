"""``s3batch check SOURCE TARGET`` on each real server: what it finds, how it exits, and that it writes nothing."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.command import CommandLine, Ended
from tests.servers.fault_proxy import run_fault_proxy
from tests.servers.faults import FaultPlan
from tests.servers.server import Server

HOSTILE = "a/ü +%20\u2028.fits"


@pytest.fixture
def bucket(s3_server: Server, bucket_name: str) -> str:
    """A bucket on each server with a source of two objects."""
    client = s3_server.boto3_client()
    client.create_bucket(Bucket=bucket_name)
    for key in (HOSTILE, "a/empty"):
        client.put_object(Bucket=bucket_name, Key=key, Body=b"" if key == "a/empty" else b"sun")
    return bucket_name


def check(server: Server, home: Path, *words: str) -> Ended:
    """Run the command with this server's keys."""
    return CommandLine(home=home, environment=server.environment()).run("check", *words)


def weights(ended: Ended) -> dict[str, str]:
    """Return the weight of each finding by its code."""
    return {each["code"]: each["weight"] for each in ended.document["findings"]}


def _changed(server: Server, bucket: str, call: str, **settings: Any) -> None:  # noqa: ANN401 (boto3's arguments)
    getattr(server.boto3_client(), call)(Bucket=bucket, **settings)


def test_a_source_and_a_free_target_are_told_to_be_fine(s3_server: Server, bucket: str, tmp_path: Path) -> None:
    """Reading is tried on one real object with bytes; what is not tried is said."""
    ended = check(s3_server, tmp_path, f"s3://{bucket}/a/", f"s3://{bucket}/b/", "--json")
    assert ended.code == 0, ended.out + ended.err
    found = weights(ended)
    assert {code: found[code] for code in ("SourceListed", "SourceRead", "TagsRead", "TargetListed")} == {
        "SourceListed": "ok",
        "SourceRead": "ok",
        "TagsRead": "ok",
        "TargetListed": "ok",
    }
    assert found["WritesNotProbed"] == "note"
    assert ended.document["source"] == f"s3://{bucket}/a/"
    assert any(HOSTILE in each["text"] for each in ended.document["findings"])
    # Ceph RGW 16.2 answers the question for default encryption with a listing
    assert ("SettingsUnknown" in found) is (s3_server.name == "ceph_rgw")


def test_the_table_has_one_line_a_finding(s3_server: Server, bucket: str, tmp_path: Path) -> None:
    """Control characters of a key do not reach the terminal; the last line sums up."""
    ended = check(s3_server, tmp_path, f"s3://{bucket}/a/", f"s3://{bucket}/b/")
    lines = ended.out.splitlines()
    assert lines[0] == f"ok       SourceListed: s3://{bucket}/a/ can be listed."
    assert lines[-1] == "Nothing was found that is in the way."
    assert "\u2028" not in ended.out


def test_a_target_that_deletes_copies_ends_with_4_and_with_3_where_it_is_meant(
    s3_server: Server, bucket: str, tmp_path: Path
) -> None:
    """The same rule that a copy is refused for (safety.md rule 24)."""
    rule = {"ID": "clean", "Status": "Enabled", "Filter": {"Prefix": "old/"}, "Expiration": {"Days": 30}}
    _changed(s3_server, bucket, "put_bucket_lifecycle_configuration", LifecycleConfiguration={"Rules": [rule]})
    places = (f"s3://{bucket}/a/", f"s3://{bucket}/old/")
    refused = check(s3_server, tmp_path, *places, "--json")
    assert (refused.code, weights(refused)["TargetExpires"]) == (4, "refusal")
    meant = check(s3_server, tmp_path, *places, "--ignore-lifecycle", "--json")
    assert (meant.code, weights(meant)["TargetExpires"]) == (3, "warning")


def test_suspended_versions_are_told(s3_server: Server, bucket: str, tmp_path: Path) -> None:
    """Both what it means for the target and for a delete at the source."""
    client = s3_server.boto3_client()
    for status in ("Enabled", "Suspended"):
        client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": status})
    ended = check(s3_server, tmp_path, f"s3://{bucket}/a/", f"s3://{bucket}/b/", "--json")
    assert ended.code == 3
    found = weights(ended)
    assert (found["VersioningSuspended"], found["TargetVersioningSuspended"]) == ("warning", "warning")


def test_an_empty_source_and_a_bucket_that_is_not_there(s3_server: Server, bucket: str, tmp_path: Path) -> None:
    """The first is a warning; the second is an error with its code."""
    empty = check(s3_server, tmp_path, f"s3://{bucket}/nothing/", f"s3://{bucket}/b/", "--json")
    assert (empty.code, weights(empty)["SourceEmpty"]) == (3, "warning")
    missing = check(s3_server, tmp_path, f"s3://{bucket}/a/", f"s3://{bucket}-not/b/", "--json")
    assert (missing.code, missing.document["error"]["code"]) == (4, "NoSuchBucket")


def test_locks_replication_and_kms_of_a_target_are_found(ministack: Server, bucket_name: str, tmp_path: Path) -> None:
    """And each is in the plan of a copy as well, with the same words."""
    client, target = ministack.boto3_client(), f"{bucket_name}-t"
    client.create_bucket(Bucket=bucket_name)
    client.create_bucket(Bucket=target, ObjectLockEnabledForBucket=True)
    client.put_bucket_versioning(Bucket=bucket_name, VersioningConfiguration={"Status": "Enabled"})
    client.put_object(Bucket=bucket_name, Key="a/k", Body=b"sun")
    retention = {"DefaultRetention": {"Mode": "GOVERNANCE", "Days": 3}}
    lock = {"ObjectLockEnabled": "Enabled", "Rule": retention}
    _changed(ministack, target, "put_object_lock_configuration", ObjectLockConfiguration=lock)
    kms = {"Rules": [{"ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "aws:kms"}}]}
    _changed(ministack, target, "put_bucket_encryption", ServerSideEncryptionConfiguration=kms)
    rule = {"ID": "r", "Status": "Enabled", "Priority": 1, "Filter": {"Prefix": "b/"}}
    rule |= {
        "DeleteMarkerReplication": {"Status": "Disabled"},
        "Destination": {"Bucket": f"arn:aws:s3:::{bucket_name}"},
    }
    replication = {"Role": "arn:aws:iam::123456789012:role/r", "Rules": [rule]}
    _changed(ministack, target, "put_bucket_replication", ReplicationConfiguration=replication)

    places = (f"s3://{bucket_name}/a/", f"s3://{target}/b/")
    ended = check(ministack, tmp_path, *places, "--json")
    assert ended.code == 3
    warned = {code for code, weight in weights(ended).items() if weight == "warning"}
    assert warned == {"TargetReplicates", "TargetEncrypts", "TargetLocks"}
    commands = CommandLine(home=tmp_path, environment=ministack.environment())
    plan = commands.run("copy", *places, "--dry-run", "--json").document["plan"]
    told = {each["text"] for each in ended.document["findings"] if each["weight"] == "warning"}
    assert {text for text in told if any(text in warning for warning in plan["warnings"])} == told


def test_notifications_of_a_target_are_found(moto: Server, bucket_name: str, tmp_path: Path) -> None:
    """Events for new objects below the target; not those of other prefixes."""
    client = moto.boto3_client()
    client.create_bucket(Bucket=bucket_name)
    client.put_object(Bucket=bucket_name, Key="a/k", Body=b"sun")
    moto.boto3_client(service="sqs").create_queue(QueueName=bucket_name)
    arn = f"arn:aws:sqs:us-east-1:123456789012:{bucket_name}"
    only = {"Key": {"FilterRules": [{"Name": "prefix", "Value": "b/"}]}}
    queue = {"QueueArn": arn, "Events": ["s3:ObjectCreated:*"], "Filter": only}
    _changed(
        moto,
        bucket_name,
        "put_bucket_notification_configuration",
        NotificationConfiguration={"QueueConfigurations": [queue]},
    )
    found = check(moto, tmp_path, f"s3://{bucket_name}/a/", f"s3://{bucket_name}/b/", "--json")
    assert (found.code, weights(found)["TargetNotifies"]) == (3, "warning")
    assert any(arn in each["text"] for each in found.document["findings"])
    assert check(moto, tmp_path, f"s3://{bucket_name}/a/", f"s3://{bucket_name}/c/", "--json").code == 0


def test_the_plan_of_a_move_tells_what_its_deletes_set_off(ministack: Server, bucket_name: str, tmp_path: Path) -> None:
    """Delete markers that are replicated elsewhere hide the object there, too; of a copy that is no matter."""
    client = ministack.boto3_client()
    for name in (bucket_name, f"{bucket_name}-r"):
        client.create_bucket(Bucket=name)
        client.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    client.put_object(Bucket=bucket_name, Key="a/k", Body=b"sun")
    rule = {"ID": "r", "Status": "Enabled", "Priority": 1, "Filter": {"Prefix": "a/"}}
    rule |= {"DeleteMarkerReplication": {"Status": "Enabled"}}
    rule |= {"Destination": {"Bucket": f"arn:aws:s3:::{bucket_name}-r"}}
    replication = {"Role": "arn:aws:iam::123456789012:role/r", "Rules": [rule]}
    _changed(ministack, bucket_name, "put_bucket_replication", ReplicationConfiguration=replication)
    commands = CommandLine(home=tmp_path, environment=ministack.environment())
    places = (f"s3://{bucket_name}/a/", f"s3://{bucket_name}/b/", "--dry-run", "--json")
    move = commands.run("move", *places).document["jobs"][0]["plan"]["warnings"]
    copy = commands.run("copy", *places).document["plan"]["warnings"]
    assert any("Delete markers of originals are replicated" in each for each in move)
    assert not any("Delete markers" in each for each in copy)


def test_who_pays_is_told(ceph_rgw: Server, bucket_name: str, tmp_path: Path) -> None:
    """Unless the request says that its sender does."""
    client = ceph_rgw.boto3_client()
    client.create_bucket(Bucket=bucket_name)
    client.put_object(Bucket=bucket_name, Key="a/k", Body=b"sun")
    client.put_bucket_request_payment(Bucket=bucket_name, RequestPaymentConfiguration={"Payer": "Requester"})
    places = (f"s3://{bucket_name}/a/", f"s3://{bucket_name}/b/", "--json")
    assert weights(check(ceph_rgw, tmp_path, *places))["RequesterPays"] == "warning"
    assert "RequesterPays" not in weights(check(ceph_rgw, tmp_path, *places, "--requester-pays"))


def test_what_may_not_be_asked_is_said_and_nothing_is_guessed(
    ministack: Server, bucket_name: str, tmp_path: Path
) -> None:
    """Each refused question of its own: tags, the object, settings."""
    client = ministack.boto3_client()
    client.create_bucket(Bucket=bucket_name)
    client.put_object(Bucket=bucket_name, Key="a/k", Body=b"sun")
    actions = ["s3:GetObject", "s3:GetObjectTagging", "s3:GetLifecycleConfiguration", "s3:GetReplicationConfiguration"]
    arn = f"arn:aws:s3:::{bucket_name}"
    deny = {"Effect": "Deny", "Principal": "*", "Action": actions, "Resource": [arn, f"{arn}/*"]}
    policy = json.dumps({"Version": "2012-10-17", "Statement": [deny]})
    client.put_bucket_policy(Bucket=bucket_name, Policy=policy)
    ended = check(ministack, tmp_path, f"s3://{bucket_name}/a/", f"s3://{bucket_name}/b/", "--json")
    assert ended.code == 4
    found = weights(ended)
    expected = {
        "SourceListed": "ok",
        "SourceNotRead": "refusal",
        "TagsNotRead": "warning",
        "LifecycleNotRead": "warning",
        "SettingsNotRead": "warning",
    }
    assert {code: found.get(code) for code in expected} == expected


def test_a_check_makes_no_write_request(s3_server: Server, bucket: str, tmp_path: Path) -> None:
    """Counted by HTTP method before the server."""
    with run_fault_proxy(tmp_path, s3_server, FaultPlan()) as proxy:
        ended = check(proxy.server, tmp_path, f"s3://{bucket}/a/", f"s3://{bucket}/b/")
        methods = proxy.counts().methods
    assert ended.code == 0, ended.err
    assert set(methods) <= {"GET", "HEAD"}
    assert sum(methods.values()) <= 16
    keys = [each["Key"] for each in s3_server.boto3_client().list_objects_v2(Bucket=bucket)["Contents"]]
    assert len(keys) == 2
