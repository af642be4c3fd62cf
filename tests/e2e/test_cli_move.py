"""``s3batch move`` as a user runs it: copy, verify, ask, delete; and what remains is told."""

from __future__ import annotations

from collections.abc import Callable

from tests.archive import Original
from tests.e2e.command import CommandLine
from tests.servers.server import Server

Fill = Callable[..., dict[str, Original]]
Listed = Callable[[str], dict[str, str]]


def test_a_confirmed_move_moves_everything(
    command_line: CommandLine, fill: Fill, etag_by_key: Listed, bucket_name: str
) -> None:
    """``s3batch move s3://B/cdaweb/ s3://B/spdf/ --yes --json``: cdaweb/x is spdf/x, and the source is empty."""
    originals = fill("cdaweb/", 80, multipart=True)
    ended = command_line.run("move", f"s3://{bucket_name}/cdaweb/", f"s3://{bucket_name}/spdf/", "--yes", "--json")
    assert ended.code == 0, ended.err
    jobs = ended.document["jobs"]
    assert [job["operation"] for job in jobs] == ["copy", "verify", "delete"]
    assert {job["move_id"] for job in jobs} == {ended.document["move_id"]}
    assert {job["counts"]["succeeded"] for job in jobs} == {len(originals)}
    assert jobs[2]["remaining"]["entries"] == 0
    assert etag_by_key("cdaweb/") == {}
    assert etag_by_key("spdf/") == {key.removeprefix("cdaweb/"): each.etag for key, each in originals.items()}
    shown = command_line.run("jobs", "show", ended.document["move_id"]).out
    assert "is empty: it was listed after the deletes" in shown


def test_a_move_waits_for_the_confirmation_and_keeps_what_changed_meanwhile(
    command_line: CommandLine, fill: Fill, etag_by_key: Listed, bucket_name: str, ministack: Server
) -> None:
    """``s3batch move ...``, then ``s3batch jobs confirm MOVE``: exit 0 when all is proven, 3 when sources are kept."""
    originals = fill("sdo/", 80)
    ended = command_line.run("move", f"s3://{bucket_name}/sdo/", f"s3://{bucket_name}/sdac/sdo/")
    move_id = command_line.jobs()[0].move_id
    assert move_id is not None
    assert ended.code == 0
    assert f"Move {move_id}: delete is Suspended" in ended.out
    assert f"{len(originals)} proven of {len(originals)} objects" in ended.out
    assert "old->new" in ended.out
    assert f"s3batch jobs confirm {move_id}" in ended.out
    assert len(etag_by_key("sdo/")) == len(originals)
    changed, gone, renewed = (key.removeprefix("sdo/") for key in sorted(originals)[5:8])
    client = ministack.boto3_client()
    client.put_object(Bucket=bucket_name, Key=f"sdac/sdo/{changed}", Body=b"changed")
    client.delete_object(Bucket=bucket_name, Key=f"sdac/sdo/{gone}")
    client.put_object(Bucket=bucket_name, Key=f"sdo/{renewed}", Body=b"written again")
    client.put_object(Bucket=bucket_name, Key="sdo/new", Body=b"ingested meanwhile")
    confirmed = command_line.run("jobs", "confirm", move_id)
    assert confirmed.code == 3, confirmed.err
    assert f"{len(originals) - 3} deleted, 3 kept of {len(originals)} objects" in confirmed.out
    for code in ("SourceChanged", "TargetChanged", "TargetMissing"):
        assert f"1 x       {code} (delete)" in confirmed.out
    assert "still has 4 objects: 3 of this move" in confirmed.out
    assert f"s3://{bucket_name}/sdo/new" in confirmed.out
    assert set(etag_by_key("sdo/")) == {changed, gone, renewed, "new"}
    again = command_line.run("jobs", "retry", move_id, "--code", "TargetMissing", "--yes", "--json")
    assert again.code == 0, again.err
    assert [job["counts"]["total"] for job in again.document["jobs"]] == [1, 1, 1]
    assert set(etag_by_key("sdo/")) == {changed, renewed, "new"}


def test_in_a_terminal_the_delete_is_asked_for(
    command_line: CommandLine, fill: Fill, etag_by_key: Listed, bucket_name: str
) -> None:
    """``s3batch move ...`` with a terminal: the proof is shown, the number of objects deletes, else it waits."""
    originals = fill("sdo/", 80)
    question = "Type the number of objects to delete those whose copies are proven"
    declined = command_line.run_in_terminal(
        "move", f"s3://{bucket_name}/sdo/", f"s3://{bucket_name}/a/", answers={question: "y"}
    )
    assert declined.code == 0, declined.err
    assert f"{len(originals)} proven" in declined.err
    assert len(etag_by_key("sdo/")) == len(originals)
    move_id = command_line.jobs()[0].move_id
    assert move_id is not None
    assert f"s3batch jobs confirm {move_id}" in declined.out
    refused = command_line.run_in_terminal("jobs", "confirm", move_id, answers={question: str(len(originals) + 1)})
    assert (refused.code, "their number was not given right" in refused.err) == (4, True)
    accepted = command_line.run_in_terminal("jobs", "confirm", move_id, answers={question: str(len(originals))})
    assert accepted.code == 0, accepted.err
    assert etag_by_key("sdo/") == {}
    again = command_line.run_in_terminal(
        "move", f"s3://{bucket_name}/a/", f"s3://{bucket_name}/sdo/", answers={question: f"{len(originals):,}"}
    )
    assert again.code == 0, again.err
    assert "is empty: it was listed after the deletes" in again.out
    assert set(etag_by_key("sdo/")) == {key.removeprefix("sdo/") for key in originals}


def test_a_move_of_a_manifest_with_a_stripped_prefix(
    command_line: CommandLine, fill: Fill, etag_by_key: Listed, bucket_name: str
) -> None:
    """``s3batch manifest create``, then ``s3batch move --manifest URL --to TARGET --strip-prefix cdaweb/ --yes``."""
    originals = fill("cdaweb/", 80)
    url = f"s3://{bucket_name}/lists/cdaweb.json"
    created = command_line.run("manifest", "create", f"s3://{bucket_name}/cdaweb/", "-o", url)
    assert created.code == 0, created.err
    ended = command_line.run(
        "move", "--manifest", url, "--to", f"s3://{bucket_name}/spdf/", "--strip-prefix", "cdaweb/", "--yes", "--json"
    )
    assert ended.code == 0, ended.err
    assert etag_by_key("cdaweb/") == {}
    assert set(etag_by_key("spdf/")) == {key.removeprefix("cdaweb/") for key in originals}


def test_a_target_inside_the_source_that_would_overwrite_a_source_is_refused(
    command_line: CommandLine, etag_by_key: Listed, bucket_name: str, ministack: Server
) -> None:
    """``s3batch move s3://B/a/b/ s3://B/a/`` with a/b/b/x in it ends with 4 before the first write."""
    client = ministack.boto3_client()
    client.create_bucket(Bucket=bucket_name)
    for key in ("a/b/x", "a/b/b/x"):
        client.put_object(Bucket=bucket_name, Key=key, Body=key.encode())
    before = etag_by_key("")
    ended = command_line.run("move", f"s3://{bucket_name}/a/b/", f"s3://{bucket_name}/a/", "--yes")
    assert ended.code == 4, ended.out
    assert "Copies would overwrite objects that are sources themselves" in ended.out
    assert etag_by_key("") == before
