"""A bucket of the test's own on each server; the tests of a module share a home, and so its runner."""

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e.command import CommandLine
from tests.safety.bucket import Bucket
from tests.servers.server import Server


@pytest.fixture(scope="module")
def homes(tmp_path_factory: pytest.TempPathFactory) -> Callable[[Server], Path]:
    """A function that gives the module's home for a server: a runner keeps the credentials that it was started with."""
    folder = tmp_path_factory.mktemp("homes")
    return lambda server: folder / server.profile


@pytest.fixture
def bucket_on(homes: Callable[[Server], Path], bucket_name: str) -> Callable[[Server], Bucket]:
    """A function that makes the test's bucket on a server."""

    def make(server: Server) -> Bucket:
        if server.name != "stub":
            server.boto3_client().create_bucket(Bucket=bucket_name)
        command_line = CommandLine(home=homes(server), environment=server.environment())
        return Bucket(server=server, name=bucket_name, command_line=command_line)

    return make


@pytest.fixture
def bucket(bucket_on: Callable[[Server], Bucket], ministack: Server) -> Bucket:
    """The test's bucket on MiniStack."""
    return bucket_on(ministack)


@pytest.fixture
def real_bucket(bucket_on: Callable[[Server], Bucket], s3_server: Server) -> Bucket:
    """The test's bucket on each real server in turn."""
    return bucket_on(s3_server)
