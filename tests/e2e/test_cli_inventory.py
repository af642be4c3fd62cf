"""An S3 Inventory as the manifest of a job, as a user runs it: real processes, a real server."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from s3batch.manifest.inventory import InventoryFormat
from tests.archive import Original
from tests.e2e.command import CommandLine
from tests.servers.server import Server
from tests.unit.manifest.inventories import Record, deliver

Fill = Callable[..., dict[str, Original]]
Listed = Callable[[str], dict[str, str]]


@pytest.mark.parametrize("form", [form.value for form in InventoryFormat])
def test_an_inventory_names_the_objects(  # noqa: PLR0917 - pytest gives them by name
    command_line: CommandLine,
    fill: Fill,
    etag_by_key: Listed,
    bucket_name: str,
    ministack: Server,
    tmp_path: Path,
    form: str,
) -> None:
    """``s3batch copy --manifest s3://B/inv/.../manifest.json --to s3://B/sdac/ --json``: what it lists, pinned."""
    originals = fill("sdo/", 20)
    client = ministack.boto3_client()
    records: list[Record] = [
        {"Bucket": bucket_name, "Key": key, "Size": original.size, "ETag": original.etag}
        for key, original in originals.items()
    ]
    changed = records[0]["Key"]
    client.put_object(Bucket=bucket_name, Key=changed, Body=b"written since the inventory")
    columns = ["ETag", "Key", "Bucket", "Size"]
    delivered = deliver(tmp_path, InventoryFormat(form), [records[1::2], records[::2]], columns, bucket=bucket_name)
    for path in (*delivered.data, delivered.description, delivered.description.with_name("manifest.checksum")):
        client.put_object(Bucket=bucket_name, Key=delivered.key(path), Body=path.read_bytes())
    url = f"s3://{bucket_name}/{delivered.key(delivered.description)}"
    ended = command_line.run("copy", "--manifest", url, "--to", f"s3://{bucket_name}/sdac/", "--json")
    assert ended.code == 1, ended.err
    document = ended.document
    assert document["plan"]["warnings"][0].startswith(f"The inventory of s3://{bucket_name} was made 2026-11-26 00:00Z")
    assert (document["counts"]["succeeded"], document["counts"]["failed"]) == (len(originals) - 1, 1)
    copied = {key: original.etag for key, original in originals.items() if key != changed}
    assert etag_by_key("sdac/") == copied


def test_a_damaged_inventory_copies_nothing(
    command_line: CommandLine, etag_by_key: Listed, bucket_name: str, ministack: Server, tmp_path: Path
) -> None:
    """``s3batch copy --manifest .../manifest.json``: one data file is another than was listed; the job fails first."""
    client = ministack.boto3_client()
    client.create_bucket(Bucket=bucket_name)
    client.put_object(Bucket=bucket_name, Key="sdo/a", Body=b"a")
    parts: list[list[Record]] = [[{"Bucket": bucket_name, "Key": "sdo/a"}], [{"Bucket": bucket_name, "Key": "sdo/b"}]]
    delivered = deliver(tmp_path, InventoryFormat.CSV, parts, ["Bucket", "Key"], bucket=bucket_name)
    for path in (delivered.data[0], delivered.description, delivered.description.with_name("manifest.checksum")):
        client.put_object(Bucket=bucket_name, Key=delivered.key(path), Body=path.read_bytes())
    client.put_object(Bucket=bucket_name, Key=delivered.key(delivered.data[1]), Body=delivered.data[0].read_bytes())
    url = f"s3://{bucket_name}/{delivered.key(delivered.description)}"
    ended = command_line.run("copy", "--manifest", url, "--to", f"s3://{bucket_name}/sdac/")
    assert ended.code == 4, ended.err
    assert "is not what the inventory says" in ended.err + ended.out
    assert etag_by_key("sdac/") == {}
