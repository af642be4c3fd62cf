"""Manifests made from and kept in a real bucket: by the generator, by location, and from the command line."""

from __future__ import annotations

import asyncio
import hashlib
import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from s3batch.cli.manifest import app
from s3batch.manifest import location
from s3batch.manifest.filters import Filter
from s3batch.manifest.generator import generate_entries
from s3batch.manifest.location import file_sha256, open_manifest, pin_manifest, store_manifest
from s3batch.manifest.normalised import NormalisedManifest
from s3batch.model.errors import RefusedError, S3BatchError, UsageError
from s3batch.s3.client import S3Client, S3Reader
from tests.keys import HOSTILE_KEYS, can_be_in_xml
from tests.servers.server import Server
from tests.unit.manifest.rows import Row, rows_of

KEYS = sorted(
    f"sdo/{key}" for key in HOSTILE_KEYS if can_be_in_xml(key) and len(key.encode()) < 1000 and ".." not in key
)


@pytest.fixture(scope="module")
def archive(ministack: Server) -> str:
    """Return a bucket with hostile keys below `sdo/`, and something else beside it."""
    bucket = "manifest-archive"
    client = ministack.boto3_client()
    client.create_bucket(Bucket=bucket)
    for number, key in enumerate(KEYS):
        client.put_object(Bucket=bucket, Key=key, Body=b"x" * number)
    client.put_object(Bucket=bucket, Key="sdo2/other", Body=b"")
    return bucket


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


def etag(number: int) -> str:
    """Return the ETag of the object of this number."""
    return hashlib.md5(b"x" * number, usedforsecurity=False).hexdigest()


@pytest.mark.parametrize("name", ["m.csv", "m.csv.gz", "m.json", "m.jsonl.gz", "m.parquet"])
def test_a_created_manifest_names_exactly_the_prefix(run: Any, archive: str, tmp_path: Path, name: str) -> None:  # noqa: ANN401
    """Every hostile key once, with size and ETag where the form has room, and nothing of `sdo2/`."""
    output = str(tmp_path / name)
    result = run("create", f"s3://{archive}/sdo/", "-o", output, "--columns", "full", "--json")
    document = json.loads(result.stdout)
    assert (document["entries"], document["is_complete"], document["output"]) == (len(KEYS), True, output)
    assert document["pin"] == file_sha256(Path(output))

    async def read() -> list[Row]:
        async with open_manifest(None, output) as manifest:
            return [row for batch in manifest.batches() for row in rows_of(batch)]

    rows = asyncio.run(read())
    assert [(row.bucket, row.key, row.size, row.etag) for row in rows] == [
        (archive, key, number, etag(number)) for number, key in enumerate(KEYS)
    ]
    assert {row.storage_class for row in rows} == {"STANDARD"}
    assert all(row.last_modified for row in rows)


def test_a_manifest_in_a_bucket_is_shown_and_pinned(run: Any, archive: str, ministack: Server) -> None:  # noqa: ANN401
    """Created in the bucket, shown from there; the pin is the object's ETag."""
    url = f"s3://{archive}/manifests/sdo.parquet"
    created = json.loads(run("create", f"s3://{archive}/sdo/", "-o", url, "--force", "--json").stdout)
    head = ministack.boto3_client().head_object(Bucket=archive, Key="manifests/sdo.parquet")
    assert created["pin"] == head["ETag"].strip('"')
    shown = json.loads(run("show", url, "--json").stdout)
    assert (shown["entries"], shown["bytes"]) == (len(KEYS), sum(range(len(KEYS))))
    assert shown["largest"][0] == {"uri": f"s3://{archive}/{KEYS[-1]}", "size": len(KEYS) - 1}
    assert shown["by_storage_class"]["STANDARD"]["entries"] == len(KEYS)
    assert shown["shared_folder"] == f"{archive}/sdo/"
    text = run("show", url).stdout
    assert f"{len(KEYS)} objects" in text
    assert "█" in text


def test_without_output_the_manifest_is_standard_output(run: Any, archive: str) -> None:  # noqa: ANN401
    """It can be piped; what is said goes to standard error."""
    result = run("create", f"s3://{archive}/sdo/", "--limit", "2", "--format", "jsonl")
    assert [json.loads(line)["key"] for line in result.stdout.splitlines()] == KEYS[:2]
    assert "The limit was reached" in result.stderr
    sampled = [run("create", f"s3://{archive}/sdo/", "--sample", "5", "--seed", "3") for _ in range(2)]
    assert sampled[0].stdout == sampled[1].stdout
    assert len(sampled[0].stdout.splitlines()) == 5
    assert "--seed 3 repeats it" in sampled[0].stderr


def test_filters_reach_the_listing(run: Any, archive: str) -> None:  # noqa: ANN401
    """Globs are about what follows the prefix, sizes take units, times may be dates."""
    options = ["--include", "a?b", "--exclude", "a+b", "--max-size", "1K", "--modified-after", "2020-01-01"]
    assert run("create", f"s3://{archive}/sdo/", *options).stdout == f"{archive},sdo/a%20b\n{archive},sdo/a%2Cb\n"
    assert run("create", f"s3://{archive}/sdo/", "--storage-class", "GLACIER").stdout == ""
    assert run("create", f"s3://{archive}/sdo/", "--modified-before", "2020-01-01T00:00:00Z").stdout == ""


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["create", "s3://manifest-archive/sdo"], "InexactPrefix"),
        (["create", "s3://manifest-archive/sdo/", "--json"], "NoOutput"),
        (["create", "s3://manifest-archive/sdo/", "--format", "parquet"], "NoOutput"),
        (["create", "s3://manifest-archive/sdo/", "-o", "m.parquet.gz"], "InvalidOutput"),
        (["create", "s3://manifest-archive/sdo/", "-o", "s3://manifest-archive/folder/"], "NotAnObject"),
        (["create", "s3://manifest-archive/sdo/", "-o", "s3://manifest-archive/sdo2/other"], "AlreadyThere"),
        (["create", "s3://manifest-archive/sdo/", "-o", "/dev/null"], "AlreadyThere"),
        (["create", "s3://manifest-archive/sdo/", "--min-size", "big"], "InvalidSize"),
        (["create", "s3://manifest-archive/sdo/", "--modified-after", "soon"], "InvalidTime"),
        (["create", "s3://manifest-archive/sdo/", "--columns", "some"], "InvalidColumns"),
        (["create", "s3://no-such-bucket-anywhere/sdo/"], "NoSuchBucket"),
        (["show", "s3://manifest-archive/nothing.csv"], "NoSuchManifest"),
        (["show", "/nowhere/m.csv"], "NoSuchManifest"),
        (["show", "s3://manifest-archive/sdo/"], "NotAnObject"),
    ],
)
def test_mistakes_are_refused_with_a_way_out(run: Any, archive: str, arguments: list[str], code: str) -> None:  # noqa: ANN401
    """Each is one of our errors, never a traceback; nothing is written."""
    assert archive == "manifest-archive"
    with pytest.raises(S3BatchError) as caught:
        run(*arguments)
    assert caught.value.code == code
    assert caught.value.way_out


def test_a_raw_prefix_takes_what_begins_so(run: Any, archive: str) -> None:  # noqa: ANN401
    """`sdo` then also means `sdo2/`, as asked."""
    lines = run("create", f"s3://{archive}/sdo", "--raw-prefix").stdout.splitlines()
    assert len(lines) == len(KEYS) + 1


def test_a_manifest_that_changed_since_it_was_pinned_is_refused(
    ministack: Server, archive: str, tmp_path: Path
) -> None:
    """In a bucket by ETag, locally by SHA-256; the same content passes."""
    url, local = f"s3://{archive}/manifests/pinned.csv", tmp_path / "m.csv"
    local.write_text(f"{archive},a\n")

    async def keys(client: S3Reader, where: str, pin: str) -> list[str]:
        async with open_manifest(client, where, pin=pin, scratch=tmp_path) as manifest:
            return [row.key for batch in manifest.batches() for row in rows_of(batch)]

    async def go() -> None:
        async with await S3Client.open(ministack.connection()) as client:
            stored = await store_manifest(client, local, url)
            pins = {where: await pin_manifest(client, where) for where in (url, str(local))}
            assert pins[url] == stored
            assert await keys(client, url, f'"{stored}"') == ["a"]
            assert [await keys(client, where, pin) for where, pin in pins.items()] == [["a"], ["a"]]
            local.write_text(f"{archive},b\n")
            await store_manifest(client, local, url)
            for where, pin in pins.items():
                with pytest.raises(RefusedError) as caught:
                    await keys(client, where, pin)
                assert caught.value.code == "ManifestChanged"

    asyncio.run(go())
    assert [path.name for path in tmp_path.iterdir()] == ["m.csv"]


def test_a_large_manifest_is_written_in_parts(
    ministack: Server, archive: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Above the bound of one PUT the object is made of parts, and reads back the same."""
    monkeypatch.setattr(location, "MAX_PUT_BYTES", 6 * 1024**2)
    monkeypatch.setattr(location, "PART_BYTES", 5 * 1024**2)
    path = tmp_path / "m.csv"
    path.write_bytes(b"".join(b"%s,key-%028d\n" % (archive.encode(), number) for number in range(240_000)))
    url = f"s3://{archive}/manifests/large.csv"

    async def go() -> tuple[str, int]:
        async with await S3Client.open(ministack.connection()) as client:
            pin = await store_manifest(client, path, url)
            async with open_manifest(client, url, pin=pin, scratch=tmp_path) as manifest:
                return pin, sum(batch.num_rows for batch in manifest.batches())

    pin, entries = asyncio.run(go())
    assert pin.endswith("-3")
    assert entries == 240_000


def test_the_generator_can_be_used_without_a_file(ministack: Server, archive: str) -> None:
    """A job's preparing takes entries straight from the listing."""

    async def go() -> list[str]:
        async with await S3Reader.open(ministack.connection()) as reader:
            found = generate_entries(reader, archive, "sdo/", Filter(regex="^null$"))
            return [row.key async for batch in found for row in rows_of(batch)]

    assert asyncio.run(go()) == ["sdo/null"]


def test_a_parquet_manifest_is_made_of_chunks(run: Any, archive: str, tmp_path: Path) -> None:  # noqa: ANN401
    """What `create` writes as Parquet is a normalised manifest as it is."""
    run("create", f"s3://{archive}/sdo/", "-o", str(tmp_path / "m.parquet"))
    with NormalisedManifest.open(tmp_path / "m.parquet") as manifest:
        assert (len(manifest.chunks), manifest.entries) == (1, len(KEYS))
        manifest.check_content()


def test_columns_of_a_manifest_can_be_named_when_it_is_shown(run: Any, tmp_path: Path) -> None:  # noqa: ANN401
    """The options of reading are those of the readers."""
    path = tmp_path / "m.csv"
    path.write_text("x,bucket,a+b\n")
    shown = json.loads(run("show", str(path), "--columns", "Ignore,Bucket,Key", "--plus-is-space", "--json").stdout)
    assert shown["entries"] == 1
    with pytest.raises(UsageError):
        run("show", str(path), "--columns", "Ignore,Bucket")
