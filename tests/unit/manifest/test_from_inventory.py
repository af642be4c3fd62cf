"""Manifests made from S3 Inventories that lie in a real bucket, from the command line, and refreshed by a listing."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import time
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from s3batch.cli.manifest import app
from s3batch.manifest.inventory import InventoryFormat
from s3batch.manifest.location import open_manifest
from s3batch.manifest.normalise import normalise
from s3batch.manifest.refresh import Changes, changes_since
from s3batch.model.errors import S3BatchError
from s3batch.s3.client import S3Reader
from tests.keys import HOSTILE_KEYS, can_be_in_xml, keys
from tests.servers.server import Server
from tests.unit.manifest.inventories import CREATED_MS, Delivered, Record, deliver
from tests.unit.manifest.rows import Row, batches, rows_of

KEYS = sorted(
    f"sdo/{key}" for key in HOSTILE_KEYS if can_be_in_xml(key) and len(key.encode()) < 1000 and ".." not in key
)
ALL = ["Bucket", "Key", "VersionId", "IsLatest", "IsDeleteMarker", "Size", "LastModifiedDate", "ETag", "StorageClass"]
NEW, CHANGED, GONE = "sdo/zz new", "sdo/zz changed", "sdo/zz gone"


@pytest.fixture(scope="module")
def archive(ministack: Server) -> str:
    """Return a bucket with hostile keys below `sdo/`, and something else beside it."""
    bucket = "inventory-archive"
    client = ministack.boto3_client()
    client.create_bucket(Bucket=bucket)
    for number, key in enumerate(KEYS):
        client.put_object(Bucket=bucket, Key=key, Body=b"x" * number)
    for key in (NEW, CHANGED, "sdo2/other"):
        client.put_object(Bucket=bucket, Key=key, Body=b"as it is now")
    return bucket


@pytest.fixture(scope="module")
def inventories(ministack: Server, archive: str, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Delivered]:
    """Return an inventory of each form, delivered into the bucket `inventory-reports` under the form's name."""
    client = ministack.boto3_client()
    client.create_bucket(Bucket="inventory-reports")
    delivered_by_form = {}
    for form in InventoryFormat:
        root = tmp_path_factory.mktemp("delivered")
        delivered = deliver(root, form, _parts(archive), ALL, bucket=archive)
        for path in sorted(root.rglob("*")):
            if path.is_file():
                client.put_object(
                    Bucket="inventory-reports", Key=f"{form}/{delivered.key(path)}", Body=path.read_bytes()
                )
        # the data files' keys begin with the form, too: what is delivered names full keys
        files = json.loads(delivered.description.read_text())["files"]
        delivered.describe(files=[each | {"key": f"{form}/{each['key']}"} for each in files])
        for path in (delivered.description, delivered.description.with_name("manifest.checksum")):
            client.put_object(Bucket="inventory-reports", Key=f"{form}/{delivered.key(path)}", Body=path.read_bytes())
        delivered_by_form[form.value] = delivered
    return delivered_by_form


def _parts(bucket: str) -> list[list[Record]]:
    """Return rows of all versions in three files that no order holds together: current ones, older ones, markers."""
    current = [_record(bucket, key, b"x" * number) for number, key in enumerate(KEYS)]
    current += [_record(bucket, key, b"as it was") for key in (CHANGED, GONE, "sdo2/other")]
    older = [_record(bucket, key, b"older", IsLatest=False, VersionId="v0") for key in KEYS[:3]]
    marker = [_record(bucket, "sdo/deleted", b"", IsDeleteMarker=True, Size=None, ETag=None)]
    return [current[1::2], [*older, *marker], current[::2]]


def _record(bucket: str, key: str, body: bytes, **changes: object) -> Record:
    return {
        "Bucket": bucket,
        "Key": key,
        "VersionId": "v1",
        "IsLatest": True,
        "IsDeleteMarker": False,
        "Size": len(body),
        "LastModifiedDate": "2026-11-22T21:00:00.000Z",
        "ETag": hashlib.md5(body, usedforsecurity=False).hexdigest(),
        "StorageClass": "STANDARD",
        **changes,
    }


def url_of(inventories: dict[str, Delivered], form: str) -> str:
    """Return where an inventory's description lies."""
    delivered = inventories[form]
    return f"s3://inventory-reports/{form}/{delivered.key(delivered.description)}"


@pytest.fixture
def run(ministack: Server) -> Any:  # noqa: ANN401 - a function
    """Return a function that runs `s3batch manifest ...` against the server."""

    def invoke(*arguments: str) -> Any:  # noqa: ANN401 - click's own result
        where = ["--endpoint-url", ministack.endpoint_url, "--profile", ministack.profile, "--region", "us-east-1"]
        result = CliRunner().invoke(app, [*arguments, *where])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return invoke


def entries(path: Path) -> list[Row]:
    """Return the entries of a local manifest."""

    async def go() -> list[Row]:
        async with open_manifest(None, str(path)) as manifest:
            return [row for batch in manifest.batches() for row in rows_of(batch)]

    return asyncio.run(go())


@pytest.mark.parametrize("form", [form.value for form in InventoryFormat])
def test_a_manifest_is_made_from_an_inventory_in_a_bucket(
    run: Any,  # noqa: ANN401
    inventories: dict[str, Delivered],
    archive: str,
    tmp_path: Path,
    form: str,
) -> None:
    """Sorted, only the prefix, only current objects; what was left out and how old it is, is told."""
    output = tmp_path / "m.jsonl"
    made = run("create", f"s3://{archive}/sdo/", "--from-inventory", url_of(inventories, form), "-o", str(output))
    expected = sorted([*KEYS, CHANGED, GONE])
    assert [row.key for row in entries(output)] == expected
    assert {row.version_id for row in entries(output)} == {None}
    size_by_key = {row.key: row.size for row in entries(output)}
    assert [size_by_key[key] for key in KEYS] == list(range(len(KEYS)))
    assert f"{len(expected):,} objects" in made.stderr
    assert "Left out: 3 rows of other versions, 1 of current delete markers." in made.stderr
    assert f"The inventory of s3://{archive} was made 2026-11-26 00:00Z (" in made.stderr


def test_without_a_prefix_all_of_the_inventory_is_taken(
    run: Any,  # noqa: ANN401
    inventories: dict[str, Delivered],
    archive: str,
    tmp_path: Path,
) -> None:
    """Filters see whole keys then; the document tells the same as the text."""
    output = tmp_path / "m.csv"
    arguments = ["--from-inventory", url_of(inventories, "ORC"), "-o", str(output), "--json", "--max-size", "9"]
    document = json.loads(run("create", *arguments, "--include", "sdo2/*", "--include", "*gone").stdout)
    assert output.read_text() == f"{archive},sdo/zz%20gone\n{archive},sdo2/other\n"
    found = document["inventory"]
    assert 0 <= time.time() - CREATED_MS / 1000 - found.pop("age_s") < 60
    assert found == {
        "source_bucket": archive,
        "created": "2026-11-26T00:00:00.000Z",
        "rows": len(KEYS) + 3,
        "other_versions": 3,
        "delete_markers": 1,
        "changes": None,
    }
    assert (document["entries"], document["listed"], document["is_complete"]) == (2, 0, False)


def test_a_limit_means_the_order_of_keys(run: Any, inventories: dict[str, Delivered], archive: str) -> None:  # noqa: ANN401
    """The files are in no order, and the first N are the first all the same; a sample is repeatable."""
    source = ["create", f"s3://{archive}/sdo/", "--from-inventory", url_of(inventories, "CSV"), "--format", "jsonl"]
    limited = run(*source, "--limit", "3").stdout.splitlines()
    assert [json.loads(line)["key"] for line in limited] == KEYS[:3]
    sampled = [run(*source, "--sample", "4", "--seed", "1").stdout for _ in range(2)]
    assert sampled[0] == sampled[1]
    assert len(sampled[0].splitlines()) == 4


def test_refreshed_a_manifest_holds_what_is_there(
    run: Any,  # noqa: ANN401
    inventories: dict[str, Delivered],
    archive: str,
    tmp_path: Path,
) -> None:
    """New, changed and gone objects are right in the manifest, and counted."""
    output = tmp_path / "m.jsonl"
    source = ["create", f"s3://{archive}/sdo/", "--from-inventory", url_of(inventories, "Parquet"), "--refresh"]
    document = json.loads(run(*source, "-o", str(output), "--json").stdout)
    assert document["inventory"]["changes"] == {
        "new": 1, "changed": 1, "gone": 1, "same": len(KEYS), "unknown": 0
    }  # fmt: skip
    assert document["is_complete"] is True
    by_key = {row.key: row for row in entries(output)}
    assert sorted(by_key) == sorted([*KEYS, NEW, CHANGED])
    assert by_key[CHANGED].etag == hashlib.md5(b"as it is now", usedforsecurity=False).hexdigest()
    assert by_key[CHANGED].size == len(b"as it is now")
    said = run(*source, "-o", str(output), "--force").stderr
    assert f"1 new, 1 changed, 1 gone, {len(KEYS):,} the same." in said


@pytest.mark.parametrize("choice", [["--limit", "2"], ["--sample", "2", "--seed", "1"]])
def test_a_limit_or_sample_does_not_narrow_the_comparison(
    run: Any,  # noqa: ANN401
    inventories: dict[str, Delivered],
    archive: str,
    tmp_path: Path,
    choice: list[str],
) -> None:
    """The whole prefix is compared, and the choice is made among what is there."""
    output = tmp_path / "m.jsonl"
    source = ["create", f"s3://{archive}/sdo/", "--from-inventory", url_of(inventories, "CSV"), "--refresh"]
    document = json.loads(run(*source, *choice, "-o", str(output), "--json").stdout)
    assert document["inventory"]["changes"] == {
        "new": 1, "changed": 1, "gone": 1, "same": len(KEYS), "unknown": 0
    }  # fmt: skip
    assert (document["entries"], document["is_complete"]) == (2, True)
    assert {row.key for row in entries(output)} < {*KEYS, NEW, CHANGED}


def test_an_inventory_is_shown_as_a_manifest(run: Any, inventories: dict[str, Delivered], archive: str) -> None:  # noqa: ANN401
    """`show` takes the description, in a bucket or in a folder."""
    document = json.loads(run("show", url_of(inventories, "ORC"), "--json").stdout)
    assert (document["format"], document["entries"]) == ("ORC inventory", len(KEYS) + 3)
    assert document["messages"][0].startswith(f"The inventory of s3://{archive} was made 2026-11-26")
    assert document["messages"][1] == "3 rows of other versions and 1 of current delete markers were left out."
    assert "(CSV inventory)" in run("show", str(inventories["CSV"].description)).stdout


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["create"], "NoSource"),
        (["create", "s3://inventory-archive/sdo/", "--refresh"], "NoInventory"),
        (["create", "--from-inventory", "INVENTORY", "--refresh"], "NoPrefix"),
        (["create", "s3://other-bucket/sdo/", "--from-inventory", "INVENTORY"], "OtherBucket"),
        (["create", "s3://inventory-archive/sdo", "--from-inventory", "INVENTORY"], "InexactPrefix"),
        (["create", "--from-inventory", "s3://inventory-reports/nothing.json"], "NoSuchManifest"),
        (["create", "--from-inventory", "s3://inventory-archive/sdo2/other"], "NotAnInventory"),
        (["show", "INVENTORY", "--format", "jsonl"], "InvalidJson"),
    ],
)
def test_mistakes_are_refused_with_a_way_out(
    run: Any,  # noqa: ANN401
    inventories: dict[str, Delivered],
    arguments: list[str],
    code: str,
) -> None:
    """Each is one of our errors, never a traceback; nothing is written."""
    url = url_of(inventories, "CSV")
    with pytest.raises(S3BatchError) as caught:
        run(*(url if argument == "INVENTORY" else argument for argument in arguments))
    assert caught.value.code == code
    assert caught.value.way_out


@pytest.mark.parametrize(("fault", "code"), [("gone", "InventoryFileMissing"), ("damaged", "InventoryDamaged")])
def test_a_fault_in_the_bucket_leaves_nothing_at_the_output(
    run: Any,  # noqa: ANN401
    ministack: Server,
    tmp_path: Path,
    fault: str,
    code: str,
) -> None:
    """Neither a half-read manifest nor a temporary file; the data file is named."""
    client = ministack.boto3_client()
    bucket = f"inventory-{fault}"
    client.create_bucket(Bucket=bucket)
    parts: list[list[Record]] = [[{"Bucket": "source-bucket", "Key": key}] for key in "ab"]
    delivered = deliver(tmp_path / "root", InventoryFormat.CSV, parts, ["Bucket", "Key"], bucket="source-bucket")
    for path in (*delivered.data, delivered.description, delivered.description.with_name("manifest.checksum")):
        client.put_object(Bucket=bucket, Key=delivered.key(path), Body=path.read_bytes())
    last = delivered.key(delivered.data[-1])
    if fault == "gone":
        client.delete_object(Bucket=bucket, Key=last)
    else:
        client.put_object(Bucket=bucket, Key=last, Body=delivered.data[0].read_bytes())
    output = tmp_path / "out" / "m.csv"
    output.parent.mkdir()
    with pytest.raises(S3BatchError, match="part-1") as caught:
        run("create", "--from-inventory", f"s3://{bucket}/{delivered.key(delivered.description)}", "-o", str(output))
    assert caught.value.code == code
    assert list(output.parent.iterdir()) == []


def test_what_was_brought_to_be_read_is_removed(
    ministack: Server, inventories: dict[str, Delivered], tmp_path: Path
) -> None:
    """The copies of the files live as long as the reader."""

    async def go() -> int:
        async with (
            await S3Reader.open(ministack.connection()) as reader,
            open_manifest(reader, url_of(inventories, "CSV"), scratch=tmp_path) as manifest,
        ):
            assert os.listdir(tmp_path)  # noqa: PTH208 - a look, not a walk
            return sum(batch.num_rows for batch in manifest.batches())

    assert asyncio.run(go()) == len(KEYS) + 3
    assert list(tmp_path.iterdir()) == []


STATES = st.tuples(
    st.none() | st.integers(0, 2), st.none() | st.sampled_from(["e1", "e2"]), st.none() | st.sampled_from([1, 2])
)


def rows_with(identity_by_key: dict[str, tuple[int | None, str | None, int | None]]) -> list[Row]:
    """Return entries with these sizes, ETags and times."""
    return [
        Row(
            bucket="bucket",
            key=key,
            size=size,
            etag=etag,
            last_modified=f"2026-11-22T21:00:0{second}Z" if second else None,
        )
        for key, (size, etag, second) in identity_by_key.items()
    ]


@settings(max_examples=60, deadline=None)
@given(
    before=st.dictionaries(keys(), STATES, max_size=12),
    now=st.dictionaries(keys(), st.tuples(st.integers(0, 2), st.sampled_from(["e1", "e2"]), st.just(1)), max_size=12),
    shared=st.lists(keys(), max_size=6, unique=True),
    state=STATES,
)
def test_changes_are_those_that_sets_of_keys_tell(
    tmp_path_factory: pytest.TempPathFactory,
    before: dict[str, tuple[int | None, str | None, int | None]],
    now: dict[str, tuple[int, str, int]],
    shared: list[str],
    state: tuple[int | None, str | None, int | None],
) -> None:
    """The merge of two sorted files counts as a comparison in memory does, for any keys and across chunks."""
    before |= dict.fromkeys(shared, state)
    now |= dict.fromkeys(shared, (1, "e1", 1))
    folder = tmp_path_factory.mktemp("refresh")
    normalise(batches(rows_with(before), 3), folder / "before", chunk_entries=2)
    normalise(batches(rows_with(dict(now)), 3), folder / "now", chunk_entries=3)
    found = changes_since(folder / "before", folder / "now")
    both = before.keys() & now.keys()
    changed = {key for key in both if _differs(before[key], now[key])}
    unknown = {key for key in both - changed if before[key][1:] == (None, None)}
    assert found == Changes(
        new=len(now.keys() - before.keys()),
        gone=len(before.keys() - now.keys()),
        changed=len(changed),
        unknown=len(unknown),
        same=len(both) - len(changed) - len(unknown),
    )


def _differs(told: tuple[int | None, str | None, int | None], listed: tuple[int, str, int]) -> bool:
    size, etag, second = told
    if size not in {None, listed[0]}:
        return True
    return etag != listed[1] if etag is not None else second not in {None, listed[2]}
