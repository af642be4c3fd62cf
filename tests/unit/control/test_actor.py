"""Who acts, for the record: no secret, and nothing that a variable could pretend about the user."""

import os
import pwd

import pytest

from s3batch.control.actor import actor_of, this_actor


def test_an_actor_is_named_by_user_and_host_and_shows_the_end_of_a_key_only() -> None:
    """As the AWS CLI shows keys; a secret is not even looked at."""
    environment = {
        "AWS_ACCESS_KEY_ID": "AKIAIOSFODNN7EXAMPLE",
        "AWS_SECRET_ACCESS_KEY": "wJalrXUtnFEMI",
        "AWS_SESSION_TOKEN": "token",
        "AWS_PROFILE": "stewards",
        "SUDO_USER": "alice",
    }
    actor = actor_of(environment, user="root", host="archive-1", surface="command line")
    assert actor.name == "root@archive-1"
    assert actor.facts == {
        "user": "root",
        "host": "archive-1",
        "surface": "command line",
        "sudo_user": "alice",
        "aws_profile": "stewards",
        "access_key_end": "MPLE",
    }


def test_a_short_key_is_not_shown_at_all() -> None:
    """Four of eight characters would be half of it."""
    assert "access_key_end" not in actor_of({"AWS_ACCESS_KEY_ID": "minio123"}, user="u", host="h", surface="s").facts


def test_the_user_is_the_one_that_the_operating_system_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    """Variables such as USER can say anything; a user without a name has a number."""
    monkeypatch.setenv("USER", "somebody-else")
    monkeypatch.setenv("LOGNAME", "somebody-else")
    assert this_actor(os.environ, surface="s").facts["user"] == pwd.getpwuid(os.getuid()).pw_name
    monkeypatch.setattr(os, "getuid", lambda: 4_000_000)
    assert this_actor({}, surface="s").facts["user"] == "uid-4000000"
