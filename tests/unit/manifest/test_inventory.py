"""S3 Inventories as manifests: what is delivered is read whole and exactly, or refused."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s3batch.manifest.formats import Findings
from s3batch.manifest.inventory import InventoryFormat
from s3batch.manifest.location import open_manifest
from s3batch.model.errors import RefusedError
from s3batch.plan.staleness import age_text, inventory_warning
from tests.keys import HOSTILE_KEYS, keys
from tests.unit.manifest.inventories import BUCKET, CREATED_MS, Delivered, Record, deliver
from tests.unit.manifest.rows import Row, rows_of

FORMS = list(InventoryFormat)
FACTS = ("Size", "LastModifiedDate", "ETag", "StorageClass", "ReplicationStatus")
MINUTE_MS = 60_000


def records() -> st.SearchStrategy[Record]:
    """Return a strategy for rows of an inventory with all columns."""
    return st.fixed_dictionaries(
        {
            "Bucket": st.just(BUCKET),
            "Key": keys(),
            "VersionId": st.none() | st.just("3HL4kqtJlcpXroDTDmjVBH40Nrjfkd"),
            "IsLatest": st.booleans(),
            "IsDeleteMarker": st.booleans(),
            "Size": st.none() | st.integers(0, 50 * 1024**4),
            "LastModifiedDate": st.none() | st.sampled_from(["2026-11-22T21:00:00.000Z", "1999-12-31T23:59:59.999Z"]),
            "ETag": st.none() | st.sampled_from(["9e107d9d372bb6826bd81d3542a419d6-12"]),
            "StorageClass": st.none() | st.sampled_from(["STANDARD", "GLACIER_IR"]),
            "ReplicationStatus": st.none() | st.just("COMPLETED"),
        }
    )


def read(url: Path) -> tuple[list[Row], Findings]:
    """Return the entries of an inventory, and what was found."""

    async def go() -> tuple[list[Row], Findings]:
        async with open_manifest(None, str(url)) as manifest:
            return [row for batch in manifest.batches() for row in rows_of(batch)], manifest.findings

    return asyncio.run(go())


def row_of(record: Record, columns: list[str]) -> Row:
    """Return what an entry of a record must be when the inventory has these columns."""
    known = {name: record[name] if name in columns else None for name in FACTS}
    return Row(
        bucket=record["Bucket"],
        key=record["Key"],
        size=known["Size"],
        etag=known["ETag"],
        last_modified=known["LastModifiedDate"],
        storage_class=known["StorageClass"],
    )


@settings(max_examples=60, deadline=None)
@given(
    form=st.sampled_from(FORMS),
    parts=st.lists(st.lists(records(), max_size=6), max_size=3),
    facts=st.lists(st.sampled_from(FACTS), unique=True),
    all_versions=st.booleans(),
    order=st.randoms(use_true_random=False),
)
def test_what_is_delivered_is_read(  # noqa: PLR0917 - hypothesis gives them by name
    tmp_path_factory: pytest.TempPathFactory,
    form: InventoryFormat,
    parts: list[list[Record]],
    facts: list[str],
    all_versions: bool,  # noqa: FBT001
    order: object,
) -> None:
    """Any keys, any subset of columns in any order, any number of files; of all versions only the current objects."""
    columns = ["Bucket", "Key", *facts, *(["VersionId", "IsLatest", "IsDeleteMarker"] if all_versions else [])]
    order.shuffle(columns)  # type: ignore[attr-defined]
    delivered = deliver(tmp_path_factory.mktemp("inventory"), form, parts, columns)
    rows, findings = read(delivered.description)
    every = [record for part in parts for record in part]
    current = [each for each in every if not all_versions or (each["IsLatest"] and not each["IsDeleteMarker"])]
    assert rows == [row_of(record, columns) for record in current]
    assert findings.form == f"{form} inventory"
    assert findings.entries == len(current)
    assert findings.entries + findings.other_versions + findings.delete_markers == len(every)
    markers = [each for each in every if all_versions and each["IsLatest"] and each["IsDeleteMarker"]]
    assert findings.delete_markers == len(markers)


@pytest.mark.parametrize("form", FORMS)
def test_hostile_keys_are_read_from_each_form(tmp_path: Path, form: InventoryFormat) -> None:
    """CSV's keys are URL-encoded with a plus for a space; those of ORC and Parquet are never decoded."""
    delivered = deliver(tmp_path, form, [[{"Bucket": BUCKET, "Key": key} for key in HOSTILE_KEYS]], ["Bucket", "Key"])
    assert [row.key for row in read(delivered.description)[0]] == list(HOSTILE_KEYS)


def test_files_may_lie_beside_a_copied_description(tmp_path: Path) -> None:
    """A folder to which everything was copied flat is read like the layout of the bucket."""
    delivered = small(tmp_path / "bucket")
    flat = tmp_path / "flat"
    flat.mkdir()
    for path in (delivered.description, delivered.description.with_name("manifest.checksum"), *delivered.data):
        (flat / path.name).write_bytes(path.read_bytes())
    assert [row.key for row in read(flat / "manifest.json")[0]] == ["a", "b"]


def small(root: Path, form: InventoryFormat = InventoryFormat.CSV) -> Delivered:
    """Return an inventory of two files with one object each."""
    parts: list[list[Record]] = [[{"Bucket": BUCKET, "Key": key, "Size": 1}] for key in "ab"]
    return deliver(root, form, parts, ["Bucket", "Key", "Size"])


def flip(path: Path) -> None:
    """Change one byte in the middle."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)


DAMAGE: list[tuple[str, Callable[[Delivered], object], str, str]] = [
    ("a byte of the description", lambda it: flip(it.description), "InventoryDamaged", "MD5"),
    ("a byte of the last file", lambda it: flip(it.data[-1]), "InventoryDamaged", "MD5"),
    ("the last file cut", lambda it: it.data[-1].write_bytes(it.data[-1].read_bytes()[:-1]), "InventoryDamaged", "byt"),
    ("the last file gone", lambda it: it.data[-1].unlink(), "InventoryFileMissing", "part-1"),
    (
        "the checksum gone",
        lambda it: it.description.with_name("manifest.checksum").unlink(),
        "InventoryFileMissing",
        "manifest.checksum",
    ),
    (
        "the checksum is none",
        lambda it: it.description.with_name("manifest.checksum").write_text("<Error/>"),
        "InvalidInventory",
        "no MD5",
    ),
]


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize(("damage", "code", "said"), [case[1:] for case in DAMAGE], ids=[case[0] for case in DAMAGE])
def test_a_damaged_inventory_gives_no_entry(
    tmp_path: Path, form: InventoryFormat, damage: Callable[[Delivered], object], code: str, said: str
) -> None:
    """All is checked before the first row: a fault of the last file is found before a row of the first is given."""
    delivered = small(tmp_path, form)
    assert len(read(delivered.description)[0]) == 2
    damage(delivered)

    async def opened() -> None:
        async with open_manifest(None, str(delivered.description)):
            pytest.fail("a damaged inventory was opened")

    with pytest.raises(RefusedError, match=said) as caught:
        asyncio.run(opened())
    assert caught.value.code == code
    assert caught.value.way_out


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"sourceBucket": ""}, "sourceBucket is ''"),
        ({"sourceBucket": "other-bucket"}, "names 'archive', its sourceBucket 'other-bucket'"),
        ({"creationTimestamp": "yesterday"}, "creationTimestamp is 'yesterday'"),
        ({"fileFormat": "AVRO"}, "fileFormat is 'AVRO', and must be CSV, ORC, Parquet"),
        ({"fileSchema": "Bucket, Size, Size"}, "names a column twice"),
        ({"fileSchema": "Bucket, Size, ETag"}, "has no column Key"),
        ({"fileSchema": "Bucket, Key, VersionId"}, "VersionId but no IsLatest"),
        ({"fileSchema": "Bucket, Key, IsLatest"}, "IsLatest is '1', and must be true or false"),
        ({"files": None}, "files is None"),
        ({"files": [{"key": "k", "size": -1, "MD5checksum": "0" * 32}]}, "has the size -1"),
        ({"files": [{"key": "k", "size": 1, "MD5checksum": "x"}]}, "has the MD5checksum 'x'"),
        ({"files": [{"key": "folder/", "size": 1}]}, "has the key 'folder/'"),
    ],
)
def test_a_description_that_says_too_little_is_refused(tmp_path: Path, changes: Record, said: str) -> None:
    """Each message names the member and its value."""
    delivered = small(tmp_path)
    delivered.describe(**changes)
    with pytest.raises(RefusedError, match=said) as caught:
        read(delivered.description)
    assert caught.value.code == "InvalidInventory"
    assert caught.value.way_out


@pytest.mark.parametrize("form", [InventoryFormat.ORC, InventoryFormat.PARQUET])
@pytest.mark.parametrize(
    ("columns", "said"),
    [
        (["Bucket", "Size"], "has no column key"),
        (["Bucket", "Key", "VersionId"], "version_id but no is_latest"),
        (["Bucket", "Key", "IsLatest"], "is_latest is neither true nor false"),
    ],
)
def test_columns_that_are_missing_in_a_file_are_named(
    tmp_path: Path, form: InventoryFormat, columns: list[str], said: str
) -> None:
    """ORC and Parquet carry their own schema; a flag without a value decides nothing."""
    delivered = deliver(tmp_path, form, [[{"Bucket": BUCKET, "Key": "k", "VersionId": "v"}]], columns)
    with pytest.raises(RefusedError, match=said) as caught:
        read(delivered.description)
    assert caught.value.code == "InvalidInventory"


@pytest.mark.parametrize("form", FORMS)
def test_a_file_of_another_form_is_refused(tmp_path: Path, form: InventoryFormat) -> None:
    """What has the right MD5 and is no such file all the same ends in an error of ours."""
    delivered = small(tmp_path, InventoryFormat.CSV if form is not InventoryFormat.CSV else InventoryFormat.ORC)
    delivered.describe(fileFormat=form.value, fileSchema="Bucket, Key, Size")
    with pytest.raises(RefusedError) as caught:
        read(delivered.description)
    assert caught.value.code in {"InvalidInventory", "NotUtf8", "InvalidCsv", "WrongColumnCount"}
    assert "data/part-0" in caught.value.message


def test_no_key_leads_out_of_the_folder(tmp_path: Path) -> None:
    """Only the last part of a data file's key names a local file."""
    delivered = small(tmp_path / "bucket")
    secret = tmp_path / "secret"
    secret.write_bytes(delivered.data[0].read_bytes())
    files = json.loads(delivered.description.read_text())["files"]
    for key in ("../../../../../secret", str(secret), "data/.."):
        delivered.describe(files=[files[0] | {"key": key}])
        with pytest.raises(RefusedError) as caught:
            read(delivered.description)
        assert caught.value.code == "InventoryFileMissing"


def test_the_age_is_told_in_words() -> None:
    """With the moment, and also where the clock is behind."""
    assert age_text(CREATED_MS, now_ms=CREATED_MS + 59 * MINUTE_MS) == "2026-11-26 00:00Z (59 min ago)"
    assert age_text(CREATED_MS, now_ms=CREATED_MS + 125 * MINUTE_MS) == "2026-11-26 00:00Z (2 h 5 min ago)"
    assert age_text(CREATED_MS, now_ms=CREATED_MS + 51 * 60 * MINUTE_MS) == "2026-11-26 00:00Z (2 d 3 h ago)"
    assert age_text(CREATED_MS, now_ms=0) == "2026-11-26 00:00Z (in the future by this clock)"
    said = inventory_warning("b", CREATED_MS, now_ms=CREATED_MS)
    assert said.startswith("The inventory of s3://b was made 2026-11-26 00:00Z (0 min ago)")
