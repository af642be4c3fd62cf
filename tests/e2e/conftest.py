"""The command line before MiniStack, and a bucket with a few objects."""

from collections.abc import Callable

import pytest

from tests.archive import Original, fill_archive
from tests.e2e.command import CommandLine
from tests.servers.server import Server


@pytest.fixture(scope="module")
def command_line(ministack: Server, tmp_path_factory: pytest.TempPathFactory) -> CommandLine:
    """The command line with a home that a module's tests share, so that they share its runner."""
    return CommandLine(home=tmp_path_factory.mktemp("home"), environment=ministack.environment())


@pytest.fixture
def fill(ministack: Server, bucket_name: str) -> Callable[..., dict[str, Original]]:
    """A function that puts objects, hostile keys among them, below a prefix of the test's own bucket."""

    def put(prefix: str, objects: int, *, multipart: bool = False) -> dict[str, Original]:
        return fill_archive(ministack.boto3_client(), bucket_name, prefix, objects=objects, multipart=multipart)

    return put


@pytest.fixture
def etag_by_key(ministack: Server, bucket_name: str) -> Callable[[str], dict[str, str]]:
    """A function that lists what is below a prefix now, keys without the prefix."""

    def listed(prefix: str) -> dict[str, str]:
        client = ministack.boto3_client()
        pages = client.get_paginator("list_objects_v2").paginate(Bucket=bucket_name, Prefix=prefix)
        return {
            each["Key"].removeprefix(prefix): each["ETag"].strip('"')
            for page in pages
            for each in page.get("Contents", [])
        }

    return listed
