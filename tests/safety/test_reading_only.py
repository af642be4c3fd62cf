"""What only looks writes nothing: counted before the server, by HTTP method, over whole commands."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.command import CommandLine
from tests.safety.bucket import Bucket, numbered
from tests.servers.fault_proxy import FaultProxy, run_fault_proxy
from tests.servers.faults import FaultPlan
from tests.servers.server import Server

READING = {"GET", "HEAD"}


@pytest.fixture
def seen(ministack: Server, tmp_path: Path) -> Iterator[FaultProxy]:
    """A proxy without faults, which counts."""
    with run_fault_proxy(tmp_path, ministack, FaultPlan()) as proxy:
        yield proxy


@pytest.fixture
def bucket(ministack: Server, seen: FaultProxy, bucket_name: str, tmp_path: Path) -> Bucket:
    """A bucket with sources and a proven copy of them; commands go through the counting proxy."""
    ministack.boto3_client().create_bucket(Bucket=bucket_name)
    command_line = CommandLine(home=tmp_path / "home", environment=seen.server.environment())
    bucket = Bucket(server=ministack, name=bucket_name, command_line=command_line)
    bucket.put(*numbered("a/", range(30)))
    return bucket


@pytest.mark.parametrize(
    "words",
    [
        ("copy", "A", "B", "--dry-run"),
        ("copy", "A", "B", "--dry-run", "--keep", "all"),
        ("move", "A", "B", "--dry-run"),
        ("copy", "A", "B", "--dry-run", "--sample", "3"),
        ("verify", "A", "B"),
        ("verify", "A", "B", "--level", "bytes"),
        ("manifest", "create", "A", "-o", "LOCAL"),
        ("jobs", "list"),
    ],
    ids=" ".join,
)
def test_a_command_that_only_looks_makes_no_write_request(
    words: tuple[str, ...], bucket: Bucket, seen: FaultProxy, tmp_path: Path
) -> None:
    """Neither by the command nor by the runner and the worker that it starts."""
    places = {"A": bucket.url("a/"), "B": bucket.url("b/"), "LOCAL": str(tmp_path / "list.csv")}
    ended = bucket.command_line.run(*(places.get(word, word) for word in words))
    assert ended.code in {0, 3}, ended.err
    methods = seen.counts().methods
    assert set(methods) <= READING
    assert bool(methods) is (words[0] != "jobs")
    assert bucket.keys() == sorted(numbered("a/", range(30)))


def test_the_plan_of_a_delete_makes_no_write_request(bucket: Bucket, seen: FaultProxy) -> None:
    """Also where it is confirmed later; a look at reports and jobs neither."""
    bucket.run("copy", bucket.url("a/"), bucket.url("b/"))
    verify = bucket.run("verify", bucket.url("a/"), bucket.url("b/"), "--json").document
    before = dict(seen.counts().methods)
    delete = bucket.run("delete", "--job", verify["job_id"], "--dry-run", "--json").document
    for command in ("show", "report"):
        bucket.run("jobs", command, delete["job_id"] if command == "show" else verify["job_id"])
    after = seen.counts().methods
    assert {method for method in after if after[method] > before.get(method, 0)} <= READING
    assert before["PUT"]  # the copies were counted, so the counter counts
