"""What ``s3batch iam-policy`` writes for a test server, and the command line of a user who has it."""

from __future__ import annotations

import time
from pathlib import Path

from s3batch.config import Home
from s3batch.control.background import is_served
from tests.e2e.command import WAIT_S, CommandLine
from tests.servers.server import Server
from tests.servers.users import Policy


def written_policy(server: Server, home: Path, *arguments: str) -> Policy:
    """Return what the command writes; it needs no credentials, and the store is not asked."""
    ended = CommandLine(home=home, environment=server.environment()).run("iam-policy", *arguments, "--json")
    assert (ended.code, ended.err) == (0, "")
    policy: Policy = ended.document
    return policy


def commands_of(user: Server, home: Path) -> CommandLine:
    """The command line of a user; a runner that another one's command had started has left."""
    deadline_s = time.monotonic() + WAIT_S
    while is_served(Home(root=home)):
        assert time.monotonic() < deadline_s
        time.sleep(0.1)
    return CommandLine(home=home, environment=user.environment())
