"""Chunks made from what is in a bucket, and operations run on them: what the runner does, without a ledger.

In: a server and buckets. Out: an operation's work, its context, and its outcomes.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

from s3batch.ledger.outcome_columns import OutcomeColumns, outcome_table
from s3batch.model.job import KeyMapping
from s3batch.operations.stop import StopSignal
from s3batch.operations.task import ChunkOperation, ChunkWork, TaskContext
from s3batch.s3.client import S3Client
from s3batch.verify.evidence import Evidence, read_evidence
from tests.servers.server import Server


class NoJournal:
    """Neither verify nor delete begins a multipart upload."""

    def begin(self, bucket: str, key: str, upload_id: str) -> None:
        """Never called."""
        raise AssertionError(bucket, key, upload_id)

    def complete(self, upload_id: str, *, etag: str, tags_due: bool) -> None:
        """Never called."""
        raise AssertionError(upload_id, etag, tags_due)

    def give_up(self, upload_id: str) -> None:
        """Never called."""
        raise AssertionError(upload_id)

    def end(self, upload_id: str) -> None:
        """Never called."""
        raise AssertionError(upload_id)


def put_all(server: Server, bucket: str, body_by_key: Mapping[str, bytes]) -> None:
    """Put objects, several at a time."""
    client = server.boto3_client(max_pool_connections=8)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda item: client.put_object(Bucket=bucket, Key=item[0], Body=item[1]), body_by_key.items()))


def list_all(server: Server, bucket: str, prefix: str = "") -> dict[str, tuple[str, int]]:
    """Return ETag and size by key, in order of key."""
    pages = server.boto3_client().get_paginator("list_objects_v2").paginate(Bucket=bucket, Prefix=prefix)
    found = {
        entry["Key"]: (entry["ETag"].strip('"'), entry["Size"]) for page in pages for entry in page.get("Contents", ())
    }
    return dict(sorted(found.items()))


def pin(server: Server, bucket: str, prefix: str = "", **settings: Any) -> ChunkWork:  # noqa: ANN401 - ChunkWork's fields
    """Return everything under a prefix as one chunk, pinned as it is now."""
    found = list_all(server, bucket, prefix)
    work = ChunkWork(
        bucket=bucket,
        keys=list(found),
        sizes=[size for _, size in found.values()],
        etags=[etag for etag, _ in found.values()],
        storage_classes=["STANDARD"] * len(found),
        version_ids=None,
        rows=range(len(found)),
        after=None,
        is_first_attempt=True,
    )
    return replace(work, **settings)


def run(
    server: Server,
    operation: ChunkOperation,
    work: ChunkWork,
    *,
    prepare: Callable[[TaskContext], Awaitable[None]] | None = None,
) -> list[dict[str, Any]]:
    """Run an operation on a chunk to its end and return its outcomes in order of row.

    ``prepare`` may change the context, or things in the store, after the clients are open.
    """
    outcomes, error = run_until_error(server, operation, work, prepare=prepare)
    if error is not None:
        raise error
    return outcomes


def run_until_error(
    server: Server,
    operation: ChunkOperation,
    work: ChunkWork,
    *,
    prepare: Callable[[TaskContext], Awaitable[None]] | None = None,
) -> tuple[list[dict[str, Any]], Exception | None]:
    """Run an operation on a chunk and return what it recorded, and what it ended with if not well."""

    async def running() -> tuple[OutcomeColumns, Exception | None]:
        stop = StopSignal()
        stop.extend(600)
        async with (
            await S3Client.open(server.connection()) as source,
            await S3Client.open(server.connection()) as target,
        ):
            context = TaskContext(
                source=source,
                target=target,
                outcomes=OutcomeColumns(len(work.keys)),
                stop=stop,
                journal=NoJournal(),
                job_started_at_ms=0,
            )
            if prepare is not None:
                await prepare(context)
            try:
                await operation.run(work, context)
            except Exception as error:  # noqa: BLE001 - handed to the test
                return context.outcomes, error
            return context.outcomes, None

    columns, error = asyncio.run(running())
    return outcome_table(columns).to_pylist(), error


def evidence_of(outcomes: list[dict[str, Any]], n_rows: int) -> Evidence:
    """Return outcomes as the evidence of the next job."""
    columns = OutcomeColumns(n_rows)
    columns.covered = next((each["covered"] for each in outcomes if each.get("covered")), None)
    for each in outcomes:
        if each["status"] == "succeeded":
            facts = {name: each.get(name) for name in ("etag", "size", "code", "level", "version_id")}
            columns.succeed(each["row"], **facts)
        else:
            columns.fail(each["row"], each["code"])
    return read_evidence(outcome_table(columns), n_rows, recorded_at_ms=time.time_ns() // 1_000_000)


def codes(work: ChunkWork, outcomes: list[dict[str, Any]]) -> dict[str, str]:
    """Return, by key, the code of each row that is no plain success."""
    return {work.keys[each["row"]]: each["code"] for each in outcomes if each["status"] != "succeeded" or each["code"]}


def statuses(outcomes: Iterable[dict[str, Any]]) -> list[str]:
    """Return the statuses in order of row."""
    return [each["status"] for each in outcomes]


def copied(prefix: str, bucket: str) -> KeyMapping:
    """Return the mapping of ``source/`` to another prefix."""
    return KeyMapping(target_bucket=bucket, strip_prefix="source/", add_prefix=prefix)
