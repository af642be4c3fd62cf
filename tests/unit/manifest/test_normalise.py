"""Sorting, dropping duplicates and cutting into chunks: properties over random manifests with hostile keys."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s3batch.manifest.entries import ENTRY_SCHEMA, RawColumns, batch_of_columns
from s3batch.manifest.normalise import Normalised, Normaliser, normalise
from s3batch.manifest.normalised import NormalisedManifest, NormalisedWriter, chunk_length
from s3batch.model.errors import InconsistentError, RefusedError
from tests.keys import keys
from tests.unit.manifest.rows import Row, batches, rows_of

ROWS = st.lists(
    st.builds(
        Row,
        bucket=st.sampled_from(["alpha", "beta"]),
        key=keys() | st.sampled_from(["a", "b", "a/", "a b", "a+b", "a%20b"]),
        size=st.integers(0, 300),
    ),
    max_size=60,
)


def write_in_order(rows: list[Row], size: int, path: Path) -> None:
    """Hand rows to the writer as they are."""
    with NormalisedWriter(path) as writer:
        for batch in batches(rows, size):
            writer.write(batch)


def sizes_by_name(rows: list[Row]) -> list[Row]:
    """Give all rows of one object one size, so that duplicates agree."""
    return [row.replace(size=len(row.key.encode()) + len(row.bucket)) for row in rows]


@settings(max_examples=60, deadline=None)
@given(rows=ROWS, chunk_entries=st.integers(1, 7), chunk_bytes=st.integers(1, 500), batch=st.integers(1, 9))
def test_a_normalised_manifest_holds_each_object_once_and_in_order(
    tmp_path_factory: pytest.TempPathFactory, rows: list[Row], chunk_entries: int, chunk_bytes: int, batch: int
) -> None:
    """Whatever order, duplicates, batch and chunk sizes: the result is the sorted set; chunks keep the rules."""
    rows = sizes_by_name(rows)
    path = tmp_path_factory.mktemp("manifest") / "m.parquet"
    done = normalise(batches(rows, batch), path, chunk_entries=chunk_entries, chunk_bytes=chunk_bytes)
    expected = sorted(set(rows), key=lambda row: (row.bucket, row.key.encode()))
    with NormalisedManifest.open(path) as manifest:
        assert [row for chunk in manifest.read_chunks() for row in rows_of(chunk)] == expected
        assert manifest.entries == done.entries == len(expected)
        assert manifest.bytes == done.bytes == sum(row.size or 0 for row in expected)
        assert done.duplicates == len(rows) - len(expected)
        manifest.check_content()
        for number, info in enumerate(manifest.chunks):
            chunk = rows_of(manifest.read_chunk(number))
            assert {row.bucket for row in chunk} == {info.bucket}
            assert (chunk[0].key, chunk[-1].key) == (info.first_key, info.last_key)
            assert len(chunk) == info.entries <= chunk_entries
            assert sum(row.size or 0 for row in chunk) == info.bytes
            assert info.bytes <= chunk_bytes or info.entries == 1
            assert info.first_row == sum(before.entries for before in manifest.chunks[:number])
    assert [file.name for file in path.parent.iterdir()] == ["m.parquet"]


@settings(max_examples=40, deadline=None)
@given(
    names=st.lists(
        st.tuples(st.sampled_from("abc"), st.sampled_from(["v1", "v2", "v3", "null"]), st.integers(0, 3)), max_size=30
    ),
    chunk_entries=st.integers(1, 4),
)
def test_versions_of_a_key_stay_together_in_order_of_age(
    tmp_path_factory: pytest.TempPathFactory, names: list[tuple[str, str, int]], chunk_entries: int
) -> None:
    """No chunk splits a key; within a key the older version comes first, and of equally old ones the earlier row."""
    path = tmp_path_factory.mktemp("manifest") / "m.parquet"
    age = {(key, version): second for key, version, second in names}
    rows = [
        Row(bucket="bucket", key=key, version_id=version, last_modified=f"2026-01-01T00:00:0{age[key, version]}.000Z")
        for key, version, _ in names
    ]
    normalise(batches(rows, 5), path, chunk_entries=chunk_entries)
    unique = list(dict.fromkeys(rows))
    expected = sorted(unique, key=lambda row: (row.key, row.last_modified))
    with NormalisedManifest.open(path) as manifest:
        chunks = [rows_of(chunk) for chunk in manifest.read_chunks()]
    assert [row for chunk in chunks for row in chunk] == expected
    keys_by_chunk = [{row.key for row in chunk} for chunk in chunks]
    assert sum(map(len, keys_by_chunk)) == len({row.key for row in rows})


def test_entries_that_come_in_order_are_not_sorted_again(tmp_path: Path) -> None:
    """A listing's order is used as it is, and said so; one entry out of order is noticed."""
    rows = [Row(bucket="bucket", key=f"k{number:03d}") for number in range(100)]
    assert normalise(batches(rows, 10), tmp_path / "a.parquet").was_in_order
    swapped = [*rows[:50], rows[51], rows[50], *rows[52:]]
    assert not normalise(batches(swapped, 10), tmp_path / "b.parquet").was_in_order
    with NormalisedManifest.open(tmp_path / "a.parquet") as one, NormalisedManifest.open(tmp_path / "b.parquet") as two:
        assert one.sha256 == two.sha256


def test_a_duplicate_is_found_across_batches_and_shown(tmp_path: Path) -> None:
    """Two rows for one object count once, wherever the batches are cut; the duplicate is named."""
    rows = [Row(bucket="bucket", key="a"), Row(bucket="bucket", key="a"), Row(bucket="bucket", key="b")]
    for size in (1, 2, 3):
        done = normalise(batches(rows, size), tmp_path / "m.parquet")
        assert (done.entries, done.duplicates, str(done.duplicate_samples[0])) == (2, 1, "s3://bucket/a")


def test_rows_that_pin_one_object_to_two_etags_are_refused(tmp_path: Path) -> None:
    """Neither row can be preferred, so the manifest is refused and nothing is left behind."""
    rows = [Row(bucket="bucket", key="a", etag="x"), Row(bucket="bucket", key="a", etag="y")]
    with pytest.raises(RefusedError, match=r"names 's3://bucket/a' twice.*ETag x.*ETag y") as caught:
        normalise(batches(rows, 2), tmp_path / "m.parquet")
    assert caught.value.code == "ConflictingDuplicates"
    assert list(tmp_path.iterdir()) == []


def test_an_abandoned_normaliser_leaves_nothing_behind(tmp_path: Path) -> None:
    """Neither output nor spool survives an error, in order or not."""
    with Normaliser(tmp_path / "m.parquet") as normaliser:
        for batch in batches([Row(bucket="bucket", key=key) for key in "cba"], 1):
            normaliser.write(batch)
    assert list(tmp_path.iterdir()) == []


def test_the_writer_refuses_entries_out_of_order(tmp_path: Path) -> None:
    """The writer trusts nobody about the order."""
    rows = [Row(bucket="bucket", key="b"), Row(bucket="bucket", key="a")]
    for size in (1, 2):
        with pytest.raises(InconsistentError) as caught:
            write_in_order(rows, size, tmp_path / "m.parquet")
        assert caught.value.code == "NotSorted"
    assert list(tmp_path.iterdir()) == []


def test_more_versions_than_a_chunk_may_hold_stay_in_one_chunk(tmp_path: Path) -> None:
    """The rule that versions stay together is stronger than the bound on entries."""
    rows = [Row(bucket="bucket", key="k", version_id=f"v{number}") for number in range(25)]
    tail = [Row(bucket="bucket", key="z", version_id="v")]
    normalise(batches([*rows, *tail], 4), tmp_path / "m.parquet", chunk_entries=10)
    with NormalisedManifest.open(tmp_path / "m.parquet") as manifest:
        assert [chunk.entries for chunk in manifest.chunks] == [25, 1]


@given(
    groups=st.lists(st.lists(st.integers(0, 20), min_size=1, max_size=4), min_size=1, max_size=8),
    chunk_bytes=st.integers(1, 60),
)
def test_a_chunk_takes_as_many_whole_keys_as_its_bytes_allow(groups: list[list[int]], chunk_bytes: int) -> None:
    """The cut lies between keys, the bytes fit unless one key alone is too big, and one key more would not fit."""
    names = [f"{number:02d}" for number, group in enumerate(groups) for _ in group]
    sizes = [size for group in groups for size in group]
    length = chunk_length(names, sizes, chunk_bytes=chunk_bytes)
    assert length == len(names) or names[length] != names[length - 1]
    assert sum(sizes[:length]) <= chunk_bytes or len(set(names[:length])) == 1
    if length < len(names):
        whole = length + names.count(names[length])
        assert sum(sizes[:whole]) > chunk_bytes


def test_a_damaged_manifest_is_noticed(tmp_path: Path) -> None:
    """A flipped byte, a cut file and a foreign Parquet file are three different answers, none of them data."""
    path = tmp_path / "m.parquet"
    normalise(batches([Row(bucket="bucket", key=f"k{number:04d}") for number in range(2000)], 500), path)
    whole = path.read_bytes()
    path.write_bytes(whole[:400] + bytes([whole[400] ^ 1]) + whole[401:])
    with pytest.raises(InconsistentError, match="cannot be trusted"), NormalisedManifest.open(path) as manifest:
        manifest.check_content()
    path.write_bytes(whole[:-100])
    with pytest.raises(InconsistentError, match="cannot be trusted"):
        NormalisedManifest.open(path)
    pq.write_table(pa.table({"key": ["a"]}), path)
    with pytest.raises(RefusedError) as caught:
        NormalisedManifest.open(path)
    assert caught.value.code == "NotNormalised"


def test_an_empty_manifest_has_no_chunks(tmp_path: Path) -> None:
    """Nothing in, nothing out, and the file says so."""
    assert normalise([], tmp_path / "m.parquet").entries == 0
    with NormalisedManifest.open(tmp_path / "m.parquet") as manifest:
        assert (manifest.chunks, manifest.entries, manifest.bytes) == ((), 0, 0)


def test_columns_can_be_read_alone(tmp_path: Path) -> None:
    """A chunk's keys can be read without the rest, and words come back as words."""
    normalise(batches([Row(bucket="bucket", key="k", size=3)], 1), tmp_path / "m.parquet")
    with NormalisedManifest.open(tmp_path / "m.parquet") as manifest:
        assert manifest.read_chunk(0, ["key", "size"]).to_pydict() == {"key": ["k"], "size": [3]}
        assert manifest.read_chunk(0).schema.equals(ENTRY_SCHEMA)


@pytest.mark.parametrize(
    ("columns", "code", "message"),
    [
        ({"buckets": ["bucket", "bucket"], "keys": ["a", ""]}, "EmptyKey", "Row 8 of the manifest: the key is empty"),
        ({"buckets": ["bucket"], "keys": ["é" * 513]}, "InvalidKey", "has 1,026 bytes, and S3 allows 1,024"),
        ({"buckets": ["bucket"], "keys": ["a\ud800"]}, "InvalidKey", "half of a surrogate pair"),
        ({"buckets": ["bucket", "s3://x"], "keys": ["a", "b"]}, "InvalidBucketName", "Row 8 .* is not a bucket name"),
        ({"buckets": ["bucket"], "keys": ["a"], "sizes": [-1]}, "InvalidSize", "a size is -1"),
        ({"buckets": ["bucket"], "keys": ["a"], "last_modified": ["yesterday"]}, "InvalidTime", "not an ISO 8601 time"),
        ({"buckets": ["bucket"], "keys": ["a"], "last_modified": ["2026-01-01T00:00:00"]}, "InvalidTime", "a zone"),
    ],
)
def test_rows_that_no_store_could_have_are_refused(columns: dict[str, Any], code: str, message: str) -> None:
    """Each refusal names the row, the value, the bound and what to do."""
    with pytest.raises(RefusedError, match=message) as caught:
        batch_of_columns(RawColumns(row_numbers=[7, 8], **columns))
    assert caught.value.code == code
    assert caught.value.way_out


def test_times_keep_milliseconds_and_lose_what_is_smaller() -> None:
    """Reports of AWS carry nanoseconds; stores carry milliseconds."""
    values = ["2025-07-20T21:18:22.395320681Z", None, "1969-12-31T23:59:59.999+00:00"]
    batch = batch_of_columns(
        RawColumns(row_numbers=[1, 2, 3], buckets=["bucket"] * 3, keys=["a", "b", "c"], last_modified=values)
    )
    assert batch.column("last_modified").cast(pa.int64()).to_pylist() == [1753046302395, None, -1]


_MEMORY_PROGRAM = """
import random, resource, sys
from pathlib import Path
from s3batch.manifest.entries import RawColumns, batch_of_columns
from s3batch.manifest.normalise import normalise
def batches():
    numbers = list(range(0, 1_000_000, 5000))
    random.Random(7).shuffle(numbers)
    for start in numbers:
        keys = [f"cdaweb/data/mission/{(n * 7919) % 1_000_003:09d}_{n:032x}.cdf" for n in range(start, start + 5000)]
        etags = [f"{n * 2654435761 % 2**128:032x}" for n in range(start, start + 5000)]
        columns = {"buckets": ["bucket"] * 5000, "sizes": [1] * 5000, "etags": etags}
        yield batch_of_columns(RawColumns(row_numbers=range(5000), keys=keys, **columns))
done = normalise(batches(), Path(sys.argv[1]))
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
if Path("/proc/self/status").exists():  # on Linux ru_maxrss begins with the size of the process that forked this one
    status = Path("/proc/self/status").read_text()
    peak = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmHWM")) // 1024
print(done.entries, peak)
"""


def test_a_million_entries_are_sorted_in_bounded_memory(tmp_path: Path) -> None:
    """Sorting spills to disk: the whole process stays under 300 MB."""
    result = subprocess.run(
        [sys.executable, "-c", _MEMORY_PROGRAM, str(tmp_path / "m.parquet")],
        check=True,
        capture_output=True,
        text=True,
        env={"PYTHONPATH": str(Path(__file__).parents[3] / "src")},
        timeout=120,
    )
    entries, megabytes = map(int, result.stdout.split())
    assert entries == 1_000_000
    assert megabytes < 300


def test_the_description_is_json_in_the_files_metadata(tmp_path: Path) -> None:
    """Other programs can read the chunks' ranges without our code."""
    done: Normalised = normalise(batches([Row(bucket="bucket", key="k", size=3)], 1), tmp_path / "m.parquet")
    metadata = pq.read_metadata(tmp_path / "m.parquet").metadata or {}
    document = json.loads(metadata[b"s3batch"])
    assert document.pop("sha256")
    chunk = {"entries": 1, "bytes": 3, "bucket": "bucket", "first_key": "k", "last_key": "k"}
    assert document == {"version": 1, "entries": done.entries, "bytes": 3, "chunks": [chunk]}
