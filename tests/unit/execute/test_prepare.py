"""What a runner asks a store before it writes: the time there, and the versioning of each bucket."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import ClassVar

from s3batch.execute.prepare import store_time_ms, versioning_by_source
from s3batch.model.job import Operation
from s3batch.plan.collisions import KeySpan
from tests.servers.server import Server
from tests.unit.ledger.ledgers import specification

LONG_AGO = "Sun, 09 Sep 2001 01:46:40 GMT"
LONG_AGO_MS = 1_000_000_000_000


class _Store(BaseHTTPRequestHandler):
    asked_for: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        self.asked_for.append(self.path)
        self.send_response_only(200)
        self.send_header("Date", LONG_AGO)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def store_of_long_ago() -> Iterator[str]:
    """Give the address of a store whose clock is a quarter of a century behind."""
    with HTTPServer(("127.0.0.1", 0), _Store) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_the_store_s_time_is_what_its_answer_says(ministack: Server) -> None:
    """Not this machine's: what was written after a job began is judged by the store's clock (safety.md rule 9)."""
    with store_of_long_ago() as address:
        connection = replace(ministack.connection(), endpoint_url=address)
        span = KeySpan(bucket="archive", first_key="sdo/2025/a1", last_key="sdo/2025/a2")
        assert asyncio.run(store_time_ms(connection, span)) == LONG_AGO_MS
        assert "prefix=sdo%2F2025%2F" in _Store.asked_for[-1], "a policy may allow no more than that"


def test_a_delete_looks_at_the_versioning_of_every_source_bucket(ministack: Server, bucket_name: str) -> None:
    """A manifest may name several; it is looked at whenever the job becomes active (rule 17)."""
    client = ministack.boto3_client()
    plain, versioned = f"{bucket_name}-p", f"{bucket_name}-v"
    for bucket in (plain, versioned):
        client.create_bucket(Bucket=bucket)
    client.put_bucket_versioning(Bucket=versioned, VersioningConfiguration={"Status": "Enabled"})
    spec = replace(specification(Operation.DELETE), connection=ministack.connection())
    found = asyncio.run(versioning_by_source(spec, (plain, versioned)))
    assert found == {plain: "", versioned: "Enabled"}
    client.put_bucket_versioning(Bucket=versioned, VersioningConfiguration={"Status": "Suspended"})
    assert asyncio.run(versioning_by_source(spec, (plain, versioned))) == {plain: "", versioned: "Suspended"}
