"""A user who has exactly the policy that is written for a step can do it, and nothing else (by MiniStack's IAM)."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.archive import PART_BYTES, fill_archive
from tests.e2e.policies import commands_of, written_policy
from tests.servers.server import Server
from tests.servers.users import make_user, without

IN_PARTS = ("--multipart-threshold", str(PART_BYTES))


def _fill(server: Server, bucket: str) -> set[str]:
    """Put objects and return their keys: hostile ones, one in parts with tags, and one small one with tags.

    None has a line feed or is only slashes behind the prefix: a policy's ``*`` does not match these at MiniStack.
    """
    client = server.boto3_client()
    keys = set(fill_archive(client, bucket, "sdo/", objects=80))
    unmatched = {key for key in keys if "\n" in key or key.rstrip("/") == "sdo"}
    for key in unmatched:
        client.delete_object(Bucket=bucket, Key=key)
    client.put_object(Bucket=bucket, Key="sdo/tagged", Body=b"x", Tagging="mission=sdo")
    return keys - unmatched | {"sdo/tagged"}


def _is_denied(call: Any, **arguments: Any) -> bool:  # noqa: ANN401 - boto3 makes its classes at run time
    try:
        call(**arguments)
    except ClientError as error:
        return bool(error.response["Error"]["Code"] == "AccessDenied")
    return False


@pytest.mark.timeout(400)
def test_each_step_works_with_the_policy_that_is_written_for_it(
    ministack: Server, bucket_name: str, tmp_path: Path
) -> None:
    """Manifest, copy, verify and delete by a user each, with reports in a bucket; who verifies cannot delete."""
    originals = _fill(ministack, bucket_name)
    home, manifest = tmp_path / "home", f"s3://{bucket_name}/manifests/sdo.csv"
    source, target = f"s3://{bucket_name}/sdo/", f"s3://{bucket_name}/sdac/"
    report = ("--report", f"s3://{bucket_name}/reports")

    def user_for(*arguments: str) -> Server:
        return make_user(ministack, [written_policy(ministack, home, *arguments)])

    lister = user_for("manifest", source, "--manifest", manifest)
    made = commands_of(lister, home).run("manifest", "create", source, "-o", manifest)
    assert made.code == 0, made.err

    copier = user_for("copy", source, target, "--manifest", manifest, *report)
    to = ("--manifest", manifest, "--to", target, "--strip-prefix", "sdo/")
    copied = commands_of(copier, home).run("copy", *to, *IN_PARTS, *report, "--json")
    assert copied.code == 0, copied.out
    assert copied.document["counts"]["succeeded"] == len(originals)
    assert copied.document["report"].startswith(f"s3://{bucket_name}/reports/")

    commands = commands_of(user_for("verify", source, target), home)
    verified = commands.run("verify", "--job", copied.document["job_id"], "--json")
    assert verified.code == 0, verified.err
    refused = commands.run("delete", "--job", verified.document["job_id"], "--yes", "--json")
    assert refused.document["counts"]["succeeded"] == 0

    deleter = user_for("delete", source, target)
    deleted = commands_of(deleter, home).run("delete", "--job", verified.document["job_id"], "--yes", "--json")
    assert deleted.code == 0, deleted.err
    assert deleted.document["counts"]["succeeded"] == len(originals)


@pytest.mark.timeout(400)
def test_a_move_works_with_the_one_policy_that_is_written_for_it(
    ministack: Server, bucket_name: str, tmp_path: Path
) -> None:
    """Between two prefixes that are compared with their tags and metadata."""
    originals = _fill(ministack, bucket_name)
    source, target = f"s3://{bucket_name}/sdo/", f"s3://{bucket_name}/sdac/sdo/"
    options = ("--report", f"s3://{bucket_name}/reports/", "--with-tags", "--with-metadata")
    mover = make_user(ministack, [written_policy(ministack, tmp_path, "move", source, target, *options)])
    moved = commands_of(mover, tmp_path / "home").run("move", source, target, *options, *IN_PARTS, "--yes", "--json")
    assert moved.code == 0, moved.out
    assert [job["counts"]["succeeded"] for job in moved.document["jobs"]] == [len(originals)] * 3
    assert not [each for job in moved.document["jobs"] for each in job["plan"]["warnings"] if "readable" in each]


@pytest.mark.parametrize(
    "options", [("--level", "etag"), ("--level", "checksum"), ("--level", "bytes", "--with-tags", "--with-metadata")]
)
def test_who_verifies_can_neither_write_nor_delete(
    ministack: Server, bucket_name: str, tmp_path: Path, options: tuple[str, ...]
) -> None:
    """At each level; every call that changes something is refused, on both sides."""
    client = ministack.boto3_client()
    client.create_bucket(Bucket=bucket_name)
    for key in ("sdo/x", "sdac/x", "sdo/a b", "sdac/a b"):
        client.put_object(Bucket=bucket_name, Key=key, Body=b"x", Tagging="a=b", ChecksumAlgorithm="SHA256")
    places = (f"s3://{bucket_name}/sdo/", f"s3://{bucket_name}/sdac/")
    verifier = make_user(ministack, [written_policy(ministack, tmp_path, "verify", *places, *options)])
    verified = commands_of(verifier, tmp_path / "home").run("verify", *places, *options, "--json")
    assert (verified.code, verified.document["counts"]["succeeded"]) == (0, 2), verified.out
    theirs = verifier.boto3_client()
    for key in ("sdo/x", "sdac/x"):
        place: dict[str, Any] = {"Bucket": bucket_name, "Key": key}
        assert _is_denied(theirs.put_object, **place, Body=b"")
        assert _is_denied(theirs.copy_object, **place, CopySource=f"{bucket_name}/sdac/x")
        assert _is_denied(theirs.create_multipart_upload, **place)
        assert _is_denied(theirs.put_object_tagging, **place, Tagging={"TagSet": []})
        assert _is_denied(theirs.put_object_acl, **place, ACL="private")
        assert _is_denied(theirs.delete_object, **place)
        assert _is_denied(theirs.delete_objects, Bucket=bucket_name, Delete={"Objects": [{"Key": key}]})
    assert _is_denied(theirs.list_objects_v2, Bucket=bucket_name), "listings are allowed below the prefixes only"


def test_a_plan_needs_no_permission_to_write(ministack: Server, bucket_name: str, tmp_path: Path) -> None:
    """``--dry-run`` of a move, and ``check``, by users who may only look; neither says that something was not read."""
    _fill(ministack, bucket_name)
    places = (f"s3://{bucket_name}/sdo/", f"s3://{bucket_name}/sdac/sdo/")
    planner = make_user(ministack, [written_policy(ministack, tmp_path, "plan", *places)])
    planned = commands_of(planner, tmp_path / "home").run("move", *places, "--dry-run", "--json")
    assert planned.code == 0, planned.err
    assert planned.document["jobs"][0]["status"] == "Suspended"
    assert not any("readable" in each for each in planned.document["jobs"][0]["plan"]["warnings"])
    checker = make_user(ministack, [written_policy(ministack, tmp_path, "check", *places)])
    checked = commands_of(checker, tmp_path / "home").run("check", *places, "--json")
    assert checked.code == 0, checked.out
    assert not any("Not" in each["code"] and each["weight"] == "warning" for each in checked.document["findings"])


@pytest.mark.timeout(400)
def test_who_undoes_can_remove_markers_and_read_nothing_else(
    ministack: Server, bucket_name: str, tmp_path: Path
) -> None:
    """In a bucket with versioning: a mover's deletes are undone by who has the policy for that, and all of it."""
    client = ministack.boto3_client()
    client.create_bucket(Bucket=bucket_name)
    client.put_bucket_versioning(Bucket=bucket_name, VersioningConfiguration={"Status": "Enabled"})
    for key in ("sdo/x", "sdo/a+b%20c"):
        client.put_object(Bucket=bucket_name, Key=key, Body=b"x", Tagging="a=b")
    source, target = f"s3://{bucket_name}/sdo/", f"s3://{bucket_name}/sdac/"
    options = ("--with-tags", "--keep", "tags")
    home = tmp_path / "home"
    mover = make_user(
        ministack, [written_policy(ministack, tmp_path, "move", source, target, "--target-versioned", *options)]
    )
    moved = commands_of(mover, home).run("move", source, target, *options, "--yes", "--json")
    assert moved.code == 0, moved.out
    policy = written_policy(ministack, tmp_path, "undo", source)
    for action in ("s3:ListBucket", "s3:ListBucketVersions", "s3:DeleteObjectVersion"):
        lacking = make_user(ministack, [without(policy, "Source", action)])
        failed = commands_of(lacking, home).run("jobs", "undo", moved.document["move_id"], "--yes", "--json")
        assert failed.code != 0, action
    restorer = make_user(ministack, [policy])
    undone = commands_of(restorer, home).run("jobs", "undo", moved.document["move_id"], "--yes", "--json")
    assert (undone.code, undone.document["counts"]["succeeded"]) == (0, 2), undone.out
    theirs = restorer.boto3_client()
    assert _is_denied(theirs.get_object, Bucket=bucket_name, Key="sdo/x")
    assert _is_denied(theirs.delete_object, Bucket=bucket_name, Key="sdo/x")


def test_a_user_of_another_account_copies_with_what_the_buckets_allow(
    ministack: Server, bucket_name: str, tmp_path: Path
) -> None:
    """The policies of both buckets together allow all of a copy, but where the other one is taken away."""
    source_bucket, target_bucket = f"{bucket_name}-s", f"{bucket_name}-t"
    client = ministack.boto3_client()
    for bucket in (source_bucket, target_bucket):
        client.create_bucket(Bucket=bucket)
    client.put_object(Bucket=source_bucket, Key="sdo/x", Body=b"x", Tagging="a=b")
    places = (f"s3://{source_bucket}/sdo/", f"s3://{target_bucket}/sdo/")
    stranger = make_user(ministack, [])
    arn = stranger.boto3_client(service="sts").get_caller_identity()["Arn"]
    for bucket in (source_bucket, target_bucket):
        policy = written_policy(ministack, tmp_path, "copy", *places, "--for-principal", arn, "--bucket", bucket)
        refused = commands_of(stranger, tmp_path / bucket).run("copy", *places, "--json")
        assert (refused.code, client.list_objects_v2(Bucket=target_bucket)["KeyCount"]) != (0, 1)
        client.put_bucket_policy(Bucket=bucket, Policy=json.dumps(policy))
    copied = commands_of(stranger, tmp_path / "home").run("copy", *places, "--json")
    assert (copied.code, copied.document["counts"]["succeeded"]) == (0, 1), copied.out


@pytest.mark.timeout(400)
def test_a_permanent_move_works_with_policies_that_name_versions_only(
    ministack: Server, bucket_name: str, tmp_path: Path
) -> None:
    """Its manifest and its move by a user each; who moves cannot touch what is current, and its job says the same."""
    client = ministack.boto3_client()
    client.create_bucket(Bucket=bucket_name)
    client.put_bucket_versioning(Bucket=bucket_name, VersioningConfiguration={"Status": "Enabled"})
    for body in (b"older", b"newer"):
        for key in ("sdo/x", "sdo/a+b%20c"):
            client.put_object(Bucket=bucket_name, Key=key, Body=body, Tagging="a=b")
    home, manifest = tmp_path / "home", f"s3://{bucket_name}/manifests/sdo.csv"
    source, target = f"s3://{bucket_name}/sdo/", f"s3://{bucket_name}/sdac/"
    lister = make_user(
        ministack, [written_policy(ministack, home, "manifest", source, "--manifest", manifest, "--versions")]
    )
    made = commands_of(lister, home).run("manifest", "create", source, "--versions", "current", "-o", manifest)
    assert made.code == 0, made.err
    words = ("move", source, target, "--manifest", manifest, "--permanent", "--with-tags")
    policy = written_policy(ministack, home, *words, "--target-versioned")
    mover = make_user(ministack, [policy])
    to = ("--manifest", manifest, "--to", target, "--strip-prefix", "sdo/")
    moved = commands_of(mover, home).run("move", *to, "--permanent", "--with-tags", "--yes", "--json")
    assert moved.code == 0, moved.out
    assert [job["counts"]["succeeded"] for job in moved.document["jobs"]] == [2] * 3
    left = client.list_object_versions(Bucket=bucket_name, Prefix="sdo/")
    assert ([each["Size"] for each in left["Versions"]], "DeleteMarkers" in left) == ([5, 5], False)
    theirs, place = mover.boto3_client(), {"Bucket": bucket_name, "Key": "sdo/x"}
    assert client.get_object(**place)["Body"].read() == b"older"
    assert _is_denied(theirs.get_object, **place)
    assert _is_denied(theirs.delete_object, **place)
    of_job = written_policy(ministack, home, "--job", moved.document["move_id"], "--target-versioned")
    assert of_job == policy


@pytest.mark.parametrize("status", ["Enabled", "Suspended"])
@pytest.mark.parametrize("step", ["copy", "move"])
def test_a_step_works_where_versioning_of_both_sides_is_suspended(
    step: str, status: str, ministack: Server, bucket_name: str, tmp_path: Path
) -> None:
    """And where it is not, with what is needed then."""
    client = ministack.boto3_client()
    client.create_bucket(Bucket=bucket_name)
    for each in dict.fromkeys(("Enabled", status)):
        client.put_bucket_versioning(Bucket=bucket_name, VersioningConfiguration={"Status": each})
    client.put_object(Bucket=bucket_name, Key="sdo/x", Body=b"x", Tagging="a=b")
    places = (f"s3://{bucket_name}/sdo/", f"s3://{bucket_name}/sdac/")
    options = ("--keep", "tags")
    known = "--target-suspended" if status == "Suspended" else "--target-versioned"
    user = make_user(ministack, [written_policy(ministack, tmp_path, step, *places, *options, known)])
    confirmed = ("--yes",) if step == "move" else ()
    ended = commands_of(user, tmp_path / "home").run(step, *places, *options, *confirmed, "--json")
    assert ended.code == 0, ended.out
    assert client.get_object(Bucket=bucket_name, Key="sdac/x")["Body"].read() == b"x"


@pytest.mark.parametrize("versioning", ["", "Enabled"])
def test_a_probe_works_with_the_policy_that_is_written_for_it(
    versioning: str, ministack: Server, bucket_name: str, tmp_path: Path
) -> None:
    """Everything is probed, and every canary is removed with its versions."""
    client = ministack.boto3_client()
    client.create_bucket(Bucket=bucket_name)
    if versioning:
        client.put_bucket_versioning(Bucket=bucket_name, VersioningConfiguration={"Status": versioning})
    options = ("--target-versioned",) if versioning else ()
    policy = written_policy(ministack, tmp_path, "probe", f"s3://{bucket_name}/probes/", *options)
    prober = make_user(ministack, [policy])
    ended = commands_of(prober, tmp_path / "home").run(
        "check",
        f"s3://{bucket_name}/sdo/",
        f"s3://{bucket_name}/sdac/",
        "--probe-prefix",
        f"s3://{bucket_name}/probes/",
        "--json",
    )
    codes = {each["code"] for each in ended.document["findings"]}
    assert {"CanariesWritten", "CanariesCopied", "CopiesKeepAttributes"} <= codes
    assert not {code for code in codes if code.endswith("NotProbed")}
    assert "Versions" not in client.list_object_versions(Bucket=bucket_name)


def test_who_confirms_needs_what_the_policy_of_the_planned_job_says(
    ministack: Server, bucket_name: str, tmp_path: Path
) -> None:
    """A steward plans a move of what a manifest names; somebody with the policy of that move lets it run."""
    client, home = ministack.boto3_client(), tmp_path / "home"
    client.create_bucket(Bucket=bucket_name)
    for key in ("sdo/a/x", "sdo/a/y z", "sdo/b"):
        client.put_object(Bucket=bucket_name, Key=key, Body=b"x")
    client.put_object(Bucket=bucket_name, Key="lists/some.csv", Body=f"{bucket_name},sdo/a/x\n".encode())
    to = ("--manifest", f"s3://{bucket_name}/lists/some.csv", "--to", f"s3://{bucket_name}/sdac/")
    steward = commands_of(ministack, home)
    planned = steward.run("move", *to, "--strip-prefix", "sdo/", "--dry-run", "--json")
    assert planned.code == 0, planned.err
    policy = steward.run("iam-policy", "--job", planned.document["move_id"], "--json").document
    mover = commands_of(make_user(ministack, [policy]), home)
    for _ in range(2):  # the plan, and then the delete of what is proven
        moved = mover.run("jobs", "confirm", planned.document["move_id"], "--json")
    assert moved.code == 0, moved.out
    assert [job["counts"]["succeeded"] for job in moved.document["jobs"]] == [1, 1, 1]


def _of_ministack(prefix: str, key: str, reason: str) -> Any:  # noqa: ANN401 - pytest's
    """Return a case in which MiniStack 1.5.33 allows less than AWS's documentation says."""
    return pytest.param(prefix, key, marks=pytest.mark.xfail(reason=reason, strict=True))


@pytest.mark.parametrize(
    ("prefix", "key"),
    [
        ("sdo/", "a/../b%2F+ c"),
        ("日本語/", "ключ"),
        ('quo"te\\/', "x"),
        _of_ministack("sdo/", "line\nfeed", "MiniStack's wildcards of policies do not match a line feed"),
        _of_ministack("sdo/", "//", "MiniStack asks a policy about keys without the slashes at their ends"),
        _of_ministack("a*b/", "x", "MiniStack's policies have no variables, so none for a literal wildcard"),
        _of_ministack("what?/", "x", "the same"),
        _of_ministack("${x}/", "x", "the same"),
    ],
)
def test_odd_names_are_allowed_below_the_prefix_and_not_beside_it(
    ministack: Server, bucket_name: str, tmp_path: Path, prefix: str, key: str
) -> None:
    """A prefix is taken literally, whatever a policy would make of its characters."""
    client = ministack.boto3_client()
    client.create_bucket(Bucket=bucket_name)
    beside = f"{prefix.translate(str.maketrans('*?$', '!!!'))[:-1]}!/"
    for name in (prefix + key, beside + "x"):
        client.put_object(Bucket=bucket_name, Key=name, Body=b"x")
    places = (f"s3://{bucket_name}/{prefix}", f"s3://{bucket_name}/copies/")
    theirs = make_user(ministack, [written_policy(ministack, tmp_path, "verify", *places)]).boto3_client()
    assert _is_denied(theirs.get_object, Bucket=bucket_name, Key=beside + "x")
    assert _is_denied(theirs.list_objects_v2, Bucket=bucket_name, Prefix=beside)
    assert theirs.get_object(Bucket=bucket_name, Key=prefix + key)["Body"].read() == b"x"
    assert theirs.list_objects_v2(Bucket=bucket_name, Prefix=prefix)["KeyCount"] == 1
