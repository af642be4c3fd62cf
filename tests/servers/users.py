"""IAM users on a test server: an administrator and one without any permission.

MiniStack checks the signatures of users' keys only, never the root's (1.5.33: a request with the root's key and a wrong
secret is accepted), so tests always speak as a user.
"""

import json
from dataclasses import replace

from tests.servers.server import Server

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
