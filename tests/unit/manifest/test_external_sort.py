"""Sorting on disk gives what sorting in memory gives, however small the pieces."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s3batch.manifest.external_sort import ExternalSort
from s3batch.manifest.normalise import Normaliser, normalise
from s3batch.manifest.normalised import NormalisedManifest
from tests.keys import keys
from tests.unit.manifest.rows import Row, batches, rows_of

TIMES = [None, "2026-01-01T00:00:00.000Z", "1969-12-31T23:59:59.999Z", "2026-06-01T00:00:00.000Z"]
ROWS = st.lists(
    st.builds(
        Row,
        bucket=st.sampled_from(["alpha", "beta"]),
        key=st.sampled_from("abcdefgh") | keys(),
        version_id=st.none() | st.sampled_from(["v1", "v2"]),
        size=st.none() | st.integers(0, 9),
        etag=st.none() | st.text(max_size=3),
        last_modified=st.sampled_from(TIMES),
        storage_class=st.none() | st.sampled_from(["STANDARD", "GLACIER"]),
    ),
    max_size=60,
)


def age(row: Row) -> tuple[bytes, bytes, int]:
    """Return what entries are sorted by: unknown times come first."""
    times = {None: 0, TIMES[2]: 1, TIMES[1]: 2, TIMES[3]: 3}
    return row.bucket.encode(), row.key.encode(), times[row.last_modified]


@settings(deadline=None)
@given(
    rows=ROWS,
    pieces=st.tuples(st.integers(1, 4000), st.integers(1, 5)),
    batch=st.integers(1, 10),
    sorted_rows=st.integers(0, 20),
)
def test_sorting_on_disk_is_a_stable_sort(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[Row],
    pieces: tuple[int, int],
    batch: int,
    sorted_rows: int,
) -> None:
    """Any rows, runs of one entry or of all, ranges of one or of all, with a sorted run before them or without."""
    folder = tmp_path_factory.mktemp("sort")
    known = [Row(bucket="alpha", key=f"{number:02d}") for number in range(sorted_rows)]
    normalise(batches(known, 7), folder / "run.parquet", chunk_entries=3)
    sort = ExternalSort(folder, run_bytes=pieces[0], block_entries=pieces[1])
    with NormalisedManifest.open(folder / "run.parquet") as run:
        sort.add_sorted(run)
        for part in batches(rows, batch):
            sort.write(part)
        found = [row for part in sort.sorted_batches() for row in rows_of(part)]
        sort.close()
    assert found == sorted([*known, *rows], key=age)
    assert [path.name for path in folder.iterdir()] == ["run.parquet"]


@settings(deadline=None, max_examples=40)
@given(order=st.permutations(range(40)), run_bytes=st.integers(1, 3000), batch=st.integers(1, 9))
def test_a_normalised_manifest_does_not_depend_on_how_it_was_sorted(
    tmp_path_factory: pytest.TempPathFactory, order: list[int], run_bytes: int, batch: int
) -> None:
    """The content's SHA-256 is that of the entries in order, whatever order and pieces they came in."""
    folder = tmp_path_factory.mktemp("sort")
    rows = [Row(bucket="bucket", key=f"k{number // 2:02d}", size=number // 2) for number in range(40)]
    digests = []
    for name, given_rows in (("a", rows), ("b", [rows[number] for number in order])):
        with Normaliser(folder / name, chunk_entries=7, sort_run_bytes=run_bytes) as normaliser:
            for part in batches(given_rows, batch):
                normaliser.write(part)
            done = normaliser.finish()
        assert (done.entries, done.duplicates) == (20, 20)
        with NormalisedManifest.open(folder / name) as manifest:
            digests.append(manifest.sha256)
    assert digests[0] == digests[1]


def test_a_run_that_cannot_be_removed_twice_is_no_error(tmp_path: Path) -> None:
    """Closing twice is harmless: an error's clean-up follows the ordinary one."""
    sort = ExternalSort(tmp_path)
    sort.close()
    sort.close()
    assert list(tmp_path.iterdir()) == []
