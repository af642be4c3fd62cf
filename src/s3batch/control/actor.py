"""Who acts, for the record: the user and host, and which credentials are in use as far as that needs no request.

In: the process's environment and what the operating system says. Out: a value that events are written with. Of an
access key only the last four characters are kept, as the AWS CLI shows them; no secret is looked at.
"""

from __future__ import annotations

import os
import pwd
import socket
from collections.abc import Mapping
from dataclasses import dataclass, field

_SHOWN_KEY_CHARACTERS = 4


@dataclass(frozen=True, kw_only=True, slots=True)
class Actor:
    """Somebody who asks for a job or confirms one."""

    name: str = "control"
    """``user@host``, as the ledger's events have it."""
    facts: Mapping[str, object] = field(default_factory=dict)
    """What else is known of them."""


NOBODY = Actor()
"""Where nobody says who they are."""


def actor_of(environment: Mapping[str, str], *, user: str, host: str, surface: str) -> Actor:
    """Return the actor; ``surface`` is what they use: the command line, say."""
    key = environment.get("AWS_ACCESS_KEY_ID", "")
    known = {
        "user": user,
        "host": host,
        "surface": surface,
        "sudo_user": environment.get("SUDO_USER"),
        "aws_profile": environment.get("AWS_PROFILE"),
        "aws_role": environment.get("AWS_ROLE_ARN"),
        "access_key_end": key[-_SHOWN_KEY_CHARACTERS:] if len(key) > 2 * _SHOWN_KEY_CHARACTERS else None,
    }
    return Actor(name=f"{user}@{host}", facts={name: value for name, value in known.items() if value})


def this_actor(environment: Mapping[str, str], *, surface: str) -> Actor:
    """Return who runs this process: the user that the operating system knows, whatever variables say."""
    user_id = os.getuid()
    try:
        user = pwd.getpwuid(user_id).pw_name
    except KeyError:  # a container's user without a line in passwd
        user = f"uid-{user_id}"
    return actor_of(environment, user=user, host=socket.gethostname(), surface=surface)
