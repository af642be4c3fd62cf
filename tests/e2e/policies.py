"""Users of a test server who have exactly the policy that ``s3batch iam-policy`` writes, or one action less."""

from __future__ import annotations

import json
import time
import uuid
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from s3batch.config import Home
from s3batch.control.background import is_served
from tests.e2e.command import WAIT_S, CommandLine
from tests.servers.server import Server

Policy = dict[str, Any]


def written_policy(server: Server, home: Path, *arguments: str) -> Policy:
    """Return what the command writes; it needs no credentials, and the store is not asked."""
    ended = CommandLine(home=home, environment=server.environment()).run("iam-policy", *arguments, "--json")
    assert (ended.code, ended.err) == (0, "")
    policy: Policy = ended.document
    return policy


def without(policy: Policy, place: str, action: str) -> Policy:
    """Return the policy without one action at one place."""
    statements = []
    for statement in policy["Statement"]:
        actions = [each for each in statement["Action"] if not statement["Sid"].startswith(place) or each != action]
        if actions:
            statements.append({**statement, "Action": actions})
    assert statements != policy["Statement"], f"the policy has no {action} at the {place}"
    return {**policy, "Statement": statements}


def make_user(server: Server, policies: Sequence[Policy]) -> Server:
    """Make a user who has these policies and nothing else, and return the server with that user's keys."""
    iam, name = server.boto3_client(service="iam"), f"user-{uuid.uuid4().hex[:12]}"
    iam.create_user(UserName=name)
    for number, policy in enumerate(policies):
        iam.put_user_policy(UserName=name, PolicyName=f"policy-{number}", PolicyDocument=json.dumps(policy))
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return replace(server, access_key=key["AccessKeyId"], secret_key=key["SecretAccessKey"])


def commands_of(user: Server, home: Path) -> CommandLine:
    """The command line of a user; a runner that another one's command had started has left."""
    deadline_s = time.monotonic() + WAIT_S
    while is_served(Home(root=home)):
        assert time.monotonic() < deadline_s
        time.sleep(0.1)
    return CommandLine(home=home, environment=user.environment())
