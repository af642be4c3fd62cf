"""A worker's chunk: what was done is in the segment whatever happened, and the manifest is the one that was planned."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from s3batch.execute import chunk as chunks
from s3batch.execute.attempt import AttemptOrder, AttemptResult
from s3batch.execute.chunk import ChunkRunner
from s3batch.ledger.segments import read_outcomes
from s3batch.manifest.normalised import NormalisedManifest, NormalisedWriter
from s3batch.model.errors import InconsistentError
from s3batch.model.job import JobSpec, ManifestSource, Operation
from s3batch.operations.stop import StopSignal
from tests.contract.chunks import copied, list_all, put_all
from tests.contract.test_copy_in_parts import FIRST, LAST, put_in_parts
from tests.servers.server import Server
from tests.unit.manifest.rows import Row, batches

SOURCE, TARGET = "source/", "target/"


def make_order(server: Server, bucket: str, folder: Path) -> AttemptOrder:
    """Return the order of a copy of everything under the source folder."""
    path = folder / "manifest.parquet"
    if not path.exists():
        rows = [
            Row(bucket=bucket, key=key, size=size, etag=etag)
            for key, (etag, size) in list_all(server, bucket, SOURCE).items()
        ]
        with NormalisedWriter(path) as writer:
            for batch in batches(rows, len(rows)):
                writer.write(batch)
    return AttemptOrder(
        job_id="job",
        spec=JobSpec(
            operation=Operation.COPY,
            source=ManifestSource(list_bucket=bucket, list_prefix=SOURCE),
            mapping=copied(TARGET, bucket),
            connection=server.connection(),
        ),
        chunk_no=0,
        epoch=1,
        is_first=True,
        manifest=str(path),
        segment=str(folder / "segment.parquet"),
        journal=str(folder / "journal"),
        lock=str(folder / "lock"),
        job_started_at_ms=0,
    )


def run_orders(orders: Sequence[AttemptOrder]) -> list[AttemptResult]:
    """Run attempts one after the other in one worker."""

    async def running() -> list[AttemptResult]:
        runner = ChunkRunner()
        stop = StopSignal()
        stop.extend(600)
        try:
            return [AttemptResult.from_payload(await runner.run(order.to_payload(), stop)) for order in orders]
        finally:
            await runner.close()

    return asyncio.run(running())


def test_what_was_copied_is_recorded_although_the_journal_cannot_be_written(
    ministack: Server, bucket_name: str, tmp_path: Path
) -> None:
    """A full disk at one object is told by name, and the copies beside it count."""
    ministack.boto3_client().create_bucket(Bucket=bucket_name)
    put_all(ministack, bucket_name, {f"{SOURCE}{number:03}": b"x" for number in range(50)})
    put_in_parts(ministack, bucket_name, SOURCE + "large", [FIRST, LAST])
    (tmp_path / "journal").write_text("a file where the folder should be")
    (result,) = run_orders([make_order(ministack, bucket_name, tmp_path)])
    assert result.error is not None
    assert (result.error.family, result.error.code) == ("internal", "FileExistsError")
    assert not result.is_complete
    assert result.segment is not None
    assert result.segment.succeeded == len(list_all(ministack, bucket_name, TARGET)) > 0
    assert read_outcomes([result.segment], 51, columns=["row"]).num_rows == result.segment.rows


def test_a_manifest_that_was_replaced_is_not_worked_on(ministack: Server, bucket_name: str, tmp_path: Path) -> None:
    """The plan was made, and confirmed, for other content."""
    ministack.boto3_client().create_bucket(Bucket=bucket_name)
    put_all(ministack, bucket_name, {SOURCE + "k": b"x"})
    order = make_order(ministack, bucket_name, tmp_path)
    with NormalisedManifest.open(Path(order.manifest)) as manifest:
        planned = manifest.sha256
    with pytest.raises(InconsistentError) as caught:
        run_orders([replace(order, manifest_sha256="0" * 64)])
    assert caught.value.code == "ManifestChanged"
    assert list_all(ministack, bucket_name, TARGET) == {}
    assert run_orders([replace(order, manifest_sha256=planned)])[0].is_complete


def test_a_worker_keeps_few_manifests_open(
    ministack: Server, bucket_name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A worker outlives jobs; the one that is longest unused is closed, and opened again when it is needed."""
    monkeypatch.setattr(chunks, "MAX_OPEN_MANIFESTS", 2)
    closed: list[str] = []
    close = NormalisedManifest.close

    def close_and_tell(manifest: NormalisedManifest) -> None:
        closed.append(manifest.path.parent.name)
        close(manifest)

    monkeypatch.setattr(NormalisedManifest, "close", close_and_tell)
    ministack.boto3_client().create_bucket(Bucket=bucket_name)
    put_all(ministack, bucket_name, {SOURCE + "k": b"x"})
    orders = []
    for name in ("a", "b", "c"):
        (tmp_path / name).mkdir()
        orders.append(make_order(ministack, bucket_name, tmp_path / name))
    again = replace(orders[0], segment=str(tmp_path / "again.parquet"))
    run_orders([orders[0], orders[1], again, orders[2]])
    assert closed == ["b", "a", "c"]
