"""``--probe-prefix`` on each real server: what check, copy, move and delete find, say, refuse and write."""

from pathlib import Path
from typing import Any

import pytest

from tests.e2e.command import CommandLine, Ended
from tests.servers.fault_proxy import run_fault_proxy
from tests.servers.faults import Fault, FaultPlan
from tests.servers.gaps import gap
from tests.servers.server import Server

CODE_OF = {
    "delete-if-match": "DeleteCondition",
    "delete-objects-etag": "BatchDeleteCondition",
    "copy-source-if-match": "CopySourceCondition",
    "copy-if-none-match": "CopyTargetCondition",
    "tagging-directive": "TaggingDirective",
}
TAGGING = "colour=red"


@pytest.fixture
def bucket(s3_server: Server, bucket_name: str) -> str:
    """A bucket with a source of two tagged objects."""
    client = s3_server.boto3_client()
    client.create_bucket(Bucket=bucket_name)
    for key in ("a/1", "a/2"):
        client.put_object(Bucket=bucket_name, Key=key, Body=b"sun", Tagging=TAGGING)
    return bucket_name


@pytest.fixture
def commands(s3_server: Server, tmp_path: Path) -> CommandLine:
    """The command line before this server."""
    return CommandLine(home=tmp_path / "home", environment=s3_server.environment())


def keys(server: Server, bucket: str) -> list[str]:
    """Return what is in a bucket."""
    listed = server.boto3_client().list_objects_v2(Bucket=bucket)
    return [each["Key"] for each in listed.get("Contents", [])]


def weights(ended: Ended) -> dict[str, str]:
    """Return the weight of each finding by its code."""
    return {each["code"]: each["weight"] for each in ended.document["findings"]}


def known_codes(server: Server) -> set[str]:
    """Return the codes of the findings that this server is known to earn."""
    return {f"{code}{'Ignored' if gap(server.name, behaviour) else 'Honoured'}" for behaviour, code in CODE_OF.items()}


def test_check_tells_what_each_store_honours(s3_server: Server, bucket: str, commands: CommandLine) -> None:
    """And nothing is there afterwards that was not there before (safety.md rules 6, 7, 8 and 15)."""
    before = keys(s3_server, bucket)
    ended = commands.run(
        "check", f"s3://{bucket}/a/", f"s3://{bucket}/b/", "--probe-prefix", f"s3://{bucket}/probes/", "--json"
    )
    found = weights(ended)
    assert known_codes(s3_server) <= set(found)
    assert (found["CopiesKeepAttributes"], found["ListingAtOnceHonoured"]) == ("ok", "ok")
    assert ("TagsLostWithMetadata" in found) is (s3_server.name == "ceph_rgw")
    assert not {"WritesNotProbed", "CanaryLeft"} & set(found)
    is_warned = any(weight == "warning" for weight in found.values())
    assert ended.code == (3 if is_warned else 0)
    assert is_warned  # each of these servers ignores something
    assert keys(s3_server, bucket) == before


def test_nothing_is_written_in_a_bucket_that_was_not_named(
    s3_server: Server, bucket: str, commands: CommandLine
) -> None:
    """What is not probed there is said."""
    client = s3_server.boto3_client()
    client.create_bucket(Bucket=f"{bucket}-t")
    ended = commands.run(
        "check", f"s3://{bucket}/a/", f"s3://{bucket}-t/b/", "--probe-prefix", f"s3://{bucket}/probes/", "--json"
    )
    found = weights(ended)
    assert (ended.code, found["CopiesNotProbed"]) == (3, "warning")
    assert "CopiesKeepAttributes" not in found
    assert {"DeleteConditionHonoured", "DeleteConditionIgnored"} & set(found)
    (text,) = (each["text"] for each in ended.document["findings"] if each["code"] == "CopiesNotProbed")
    assert text.startswith(f"In {bucket}-t, not probed: ")
    assert text.endswith("No --probe-prefix names a place there.")


def _plans(ended: Ended) -> list[dict[str, Any]]:
    document = ended.document
    return [job["plan"] for job in document.get("jobs", [document])]


def test_the_plans_of_a_move_say_what_was_probed(s3_server: Server, bucket: str, commands: CommandLine) -> None:
    """In place of what could not be said without; the same objects are moved, and no canary is among them."""
    ended = commands.run(
        "move",
        f"s3://{bucket}/a/",
        f"s3://{bucket}/b/",
        "--probe-prefix",
        f"s3://{bucket}/probes/",
        "--yes",
        "--json",
    )
    assert ended.code == 0, ended.out + ended.err
    copy, verify, delete = (plan["warnings"] for plan in _plans(ended))
    word = {each: "ignored" if gap(s3_server.name, each) else "honoured" for each in CODE_OF}
    assert any(f"the source of a copy is {word['copy-source-if-match']}." in each for each in copy)
    assert any(f"the target of a copy is {word['copy-if-none-match']}." in each for each in copy)
    assert any("kept metadata, content headers and tags" in each for each in copy)
    assert any(f"each key of DeleteObjects is {word['delete-objects-etag']}." in each for each in delete)
    assert not any("probed" in each for each in verify)
    assert not any("not probed" in each for each in (*copy, *delete))
    assert keys(s3_server, bucket) == ["b/1", "b/2"]


def test_a_copy_that_would_lose_tags_is_refused_or_keeps_them(
    ceph_rgw: Server, bucket_name: str, tmp_path: Path
) -> None:
    """Ceph drops the tags of copies whose metadata is replaced: found by a canary, before the first copy (rule 8)."""
    client = ceph_rgw.boto3_client()
    client.create_bucket(Bucket=bucket_name)
    client.put_object(Bucket=bucket_name, Key="a/1", Body=b"sun", Tagging=TAGGING)
    commands = CommandLine(home=tmp_path / "home", environment=ceph_rgw.environment())
    places = (f"s3://{bucket_name}/a/", f"s3://{bucket_name}/b/")
    changes = ("--metadata-directive", "replace", "--metadata", "colour=blue")
    words = ("copy", *places, *changes, "--probe-prefix", f"s3://{bucket_name}/probes/", "--json")
    refused = commands.run(*words)
    assert refused.code == 4
    assert refused.document["failure"]["code"] == "StoreLosesAttributes"
    assert "lose tags" in refused.document["failure"]["reason"]
    assert keys(ceph_rgw, bucket_name) == ["a/1"]

    kept = commands.run(*words, "--keep", "tags")
    assert kept.code == 0, kept.out
    tags = client.get_object_tagging(Bucket=bucket_name, Key="b/1")["TagSet"]
    assert tags == [{"Key": "colour", "Value": "red"}]
    meant = commands.run(*words, "--ignore-losses", "--if-target-exists", "overwrite")
    assert meant.code == 0, meant.out
    assert any("lose tags" in each for each in meant.document["plan"]["warnings"])


@pytest.mark.parametrize(
    ("words", "refusal"),
    [
        (("copy", "A", "B", "--dry-run", "--probe-prefix", "P"), (2, "Usage", "a dry run writes nothing")),
        (("move", "A", "B", "--dry-run", "--probe-prefix", "P"), (2, "Usage", "a dry run writes nothing")),
        (("delete", "--job", "x", "--dry-run", "--probe-prefix", "P"), (2, "Usage", "a dry run writes nothing")),
        (
            ("check", "A", "B", "--probe-prefix", "s3://elsewhere/probes/"),
            (4, "ProbePrefixElsewhere", "s3://elsewhere/probes/"),
        ),
        (
            ("copy", "A", "B", "--probe-prefix", "s3://elsewhere/probes/"),
            (4, "ProbePrefixElsewhere", "s3://elsewhere/probes/"),
        ),
        (("copy", "A", "B", "--probe-prefix", "s3://elsewhere/probes"), (4, "InexactPrefix", "final '/'")),
        (("check", "A", "B", "--probe-prefix", "P", "--probe-prefix", "A"), (2, "InvalidProbePrefix", "one bucket")),
    ],
)
def test_a_prefix_that_is_wrong_is_refused_and_nothing_is_written(
    words: tuple[str, ...], refusal: tuple[int, str, str], ministack: Server, bucket_name: str, tmp_path: Path
) -> None:
    """Counted before the server, by HTTP method."""
    exit_code, code, told = refusal
    client = ministack.boto3_client()
    client.create_bucket(Bucket=bucket_name)
    client.put_object(Bucket=bucket_name, Key="a/1", Body=b"sun")
    places = {"A": f"s3://{bucket_name}/a/", "B": f"s3://{bucket_name}/b/", "P": f"s3://{bucket_name}/probes/"}
    with run_fault_proxy(tmp_path, ministack, FaultPlan()) as proxy:
        commands = CommandLine(home=tmp_path / "home", environment=proxy.server.environment())
        ended = commands.run(*(places.get(word, word) for word in words), "--json")
        methods = proxy.counts().methods
    assert ended.code == exit_code, ended.out + ended.err
    error = ended.document.get("error") or ended.document["failure"]
    assert (error["code"], told in error.get("message", error.get("reason"))) == (code, True)
    assert set(methods) <= {"GET", "HEAD"}


def test_a_job_that_is_refused_for_another_reason_writes_no_canary(
    ministack: Server, bucket_name: str, tmp_path: Path
) -> None:
    """Probing comes last of all."""
    client = ministack.boto3_client()
    client.create_bucket(Bucket=bucket_name)
    client.put_object(Bucket=bucket_name, Key="a/b/x", Body=b"sun")
    client.put_object(Bucket=bucket_name, Key="a/b/b/x", Body=b"sun")
    with run_fault_proxy(tmp_path, ministack, FaultPlan()) as proxy:
        commands = CommandLine(home=tmp_path / "home", environment=proxy.server.environment())
        ended = commands.run(
            "move",
            f"s3://{bucket_name}/a/b/",
            f"s3://{bucket_name}/a/",
            "--probe-prefix",
            f"s3://{bucket_name}/probes/",
            "--json",
        )
        methods = proxy.counts().methods
    assert ended.code == 4
    assert set(methods) <= {"GET", "HEAD"}


def test_a_delete_says_whether_its_conditions_are_honoured_before_it_is_confirmed(
    s3_server: Server, bucket: str, commands: CommandLine
) -> None:
    """And what was named for another job is not written to: not by a delete of that job's proof, nor by a retry."""
    places = (f"s3://{bucket}/a/", f"s3://{bucket}/b/")
    prefix = ("--probe-prefix", f"s3://{bucket}/probes/")
    assert commands.run("copy", *places, *prefix, "--json").code == 0
    verify = commands.run("verify", *places, "--json").document["job_id"]
    (unprobed,) = _plans(commands.run("delete", "--job", verify, "--json"))
    assert any("were not probed" in each for each in unprobed["warnings"])
    (probed,) = _plans(commands.run("delete", "--job", verify, *prefix, "--json"))
    word = "ignored" if gap(s3_server.name, "delete-if-match") else "honoured"
    assert any(
        f"In {bucket}, probed: the ETag condition of DeleteObject is {word}." in each for each in probed["warnings"]
    )
    assert not any("were not probed" in each for each in probed["warnings"])
    assert keys(s3_server, bucket) == ["a/1", "a/2", "b/1", "b/2"]


def test_a_store_that_lists_late_is_not_trusted_on_the_users_word(
    ministack: Server, bucket_name: str, tmp_path: Path
) -> None:
    """Refused before anything is deleted; without that word each object is asked for by itself (rule 12)."""
    client = ministack.boto3_client()
    client.create_bucket(Bucket=bucket_name)
    client.put_object(Bucket=bucket_name, Key="a/1", Body=b"sun")
    places = (f"s3://{bucket_name}/a/", f"s3://{bucket_name}/b/")
    late = FaultPlan(probabilities={Fault.STALE_LISTING: 1.0}, stale_s=600.0, matching="prefix=probes")
    with run_fault_proxy(tmp_path, ministack, late) as proxy:
        commands = CommandLine(home=tmp_path / "home", environment=proxy.server.environment())
        words = ("move", *places, "--probe-prefix", f"s3://{bucket_name}/probes/", "--yes", "--json")
        refused = commands.run(*words, "--trust-listings")
        assert refused.document["jobs"][2]["failure"]["code"] == "ListingsLate"
        assert keys(ministack, bucket_name) == ["a/1", "b/1"]
        moved = commands.run(*words, "--if-target-exists", "skip-if-same")
    assert moved.code == 0, moved.out
    assert any("Do not give --trust-listings here." in each for each in _plans(moved)[2]["warnings"])
    assert keys(ministack, bucket_name) == ["b/1"]
