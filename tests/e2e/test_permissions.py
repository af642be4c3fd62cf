"""The permissions page: each step works for a user who has exactly what the page says, and nothing more."""

from __future__ import annotations

import json
import re
import time
from dataclasses import replace
from pathlib import Path

import pytest

from s3batch.config import Home
from s3batch.control.background import is_served
from tests.archive import fill_archive
from tests.e2e.command import WAIT_S, CommandLine
from tests.servers.server import Server

PAGE = Path(__file__).parents[2] / "docs/how-to/permissions.md"
POLICIES: dict[str, str] = dict(
    re.findall(r"<!-- policy: (\w+) -->\n```json\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)
)


def _user(server: Server, bucket: str, *policies: str) -> Server:
    """Make a user who has these policies of the page, for this bucket, and nothing else."""
    iam, name = server.boto3_client(service="iam"), f"{bucket}-{policies[-1]}"
    iam.create_user(UserName=name)
    for policy in policies:
        document = json.dumps(json.loads(POLICIES[policy].replace("BUCKET", bucket)))
        iam.put_user_policy(UserName=name, PolicyName=policy, PolicyDocument=document)
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return replace(server, access_key=key["AccessKeyId"], secret_key=key["SecretAccessKey"])


def _fill(server: Server, bucket: str) -> set[str]:
    """Put objects and return their keys.

    None has a line feed or is only slashes behind the prefix: a policy's ``*`` does not match these at MiniStack.
    """
    client = server.boto3_client()
    keys = set(fill_archive(client, bucket, "sdo/", objects=80))
    unmatched = {key for key in keys if "\n" in key or key.rstrip("/") == "sdo"}
    for key in unmatched:
        client.delete_object(Bucket=bucket, Key=key)
    return keys - unmatched


def _as(user: Server, home: Path) -> CommandLine:
    """The command line of a user; a runner that another one's command had started has left."""
    deadline_s = time.monotonic() + WAIT_S
    while is_served(Home(root=home)):
        assert time.monotonic() < deadline_s
        time.sleep(0.1)
    return CommandLine(home=home, environment=user.environment())


@pytest.mark.timeout(400)
def test_each_step_works_with_the_permissions_that_the_page_gives(
    ministack: Server, bucket_name: str, tmp_path: Path
) -> None:
    """Manifest, copy, verify and delete by a user each; the one who verifies may not delete."""
    originals = _fill(ministack, bucket_name)
    looker = _user(ministack, bucket_name, "look")
    copier = _user(ministack, bucket_name, "look", "copy")
    verifier = _user(ministack, bucket_name, "look", "verify")
    deleter = _user(ministack, bucket_name, "look", "verify", "delete")
    home, manifest = tmp_path / "home", f"s3://{bucket_name}/manifests/sdo.csv"
    to = ("copy", "--manifest", manifest, "--to", f"s3://{bucket_name}/sdac/", "--json")

    made = _as(looker, home).run("manifest", "create", f"s3://{bucket_name}/sdo/", "-o", manifest)
    assert made.code == 0, made.err
    copied = _as(copier, home).run(*to)
    assert copied.code == 0, copied.out
    assert copied.document["counts"]["succeeded"] == len(originals)

    commands = _as(verifier, home)
    verified = commands.run("verify", "--job", copied.document["job_id"], "--json")
    assert verified.code == 0, verified.err
    refused = commands.run("delete", "--job", verified.document["job_id"], "--yes", "--json")
    assert refused.document["counts"]["by_code"] == {"AccessDenied": len(originals)}

    deleted = _as(deleter, home).run("delete", "--job", verified.document["job_id"], "--yes", "--json")
    assert deleted.code == 0, deleted.err
    assert deleted.document["counts"]["succeeded"] == len(originals)


def test_a_plan_needs_no_permission_to_write(ministack: Server, bucket_name: str, tmp_path: Path) -> None:
    """``--dry-run`` by a user who may only look."""
    _fill(ministack, bucket_name)
    looker = _user(ministack, bucket_name, "look")
    planned = _as(looker, tmp_path / "home").run(
        "move", f"s3://{bucket_name}/sdo/", f"s3://{bucket_name}/sdac/sdo/", "--dry-run", "--json"
    )
    assert planned.code == 0, planned.err
    assert planned.document["jobs"][0]["status"] == "Suspended"
