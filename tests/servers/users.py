"""IAM users on a test server: an administrator, one without any permission, and users with a policy of their own.

MiniStack checks the signatures of users' keys only, never the root's (1.5.33: a request with the root's key and a wrong
secret is accepted), so tests always speak as a user.
"""

import json
import uuid
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from tests.servers.server import Server

Policy = dict[str, Any]

ALLOW_ALL = {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}


def with_users(root: Server) -> Server:
    """Make both users, acting as the server's root, and return the server with their keys in the root's place."""
    iam = root.boto3_client(service="iam")
    keys = []
    for name in ("administrator", "other"):
        iam.create_user(UserName=name)
        keys.append(iam.create_access_key(UserName=name)["AccessKey"])
    iam.put_user_policy(UserName="administrator", PolicyName="everything", PolicyDocument=json.dumps(ALLOW_ALL))
    administrator, other = keys
    return replace(
        root,
        access_key=administrator["AccessKeyId"],
        secret_key=administrator["SecretAccessKey"],
        other_access_key=other["AccessKeyId"],
        other_secret_key=other["SecretAccessKey"],
    )


def make_user(server: Server, policies: Sequence[Policy]) -> Server:
    """Make a user who has these policies and nothing else, and return the server with that user's keys."""
    iam, name = server.boto3_client(service="iam"), f"user-{uuid.uuid4().hex[:12]}"
    iam.create_user(UserName=name)
    for number, policy in enumerate(policies):
        iam.put_user_policy(UserName=name, PolicyName=f"policy-{number}", PolicyDocument=json.dumps(policy))
    key = iam.create_access_key(UserName=name)["AccessKey"]
    return replace(server, access_key=key["AccessKeyId"], secret_key=key["SecretAccessKey"])


def without(policy: Policy, place: str, action: str) -> Policy:
    """Return the policy without one action at one place."""
    statements = []
    for statement in policy["Statement"]:
        actions = [each for each in statement["Action"] if not statement["Sid"].startswith(place) or each != action]
        if actions:
            statements.append({**statement, "Action": actions})
    assert statements != policy["Statement"], f"the policy has no {action} at the {place}"
    return {**policy, "Statement": statements}
