"""The figures of a manifest, against a plain count; and the bars that show them."""

from __future__ import annotations

import io
from collections import defaultdict

from hypothesis import example, given, settings
from hypothesis import strategies as st
from rich.console import Console

from s3batch.manifest.statistics import DIRECTLY, UNKNOWN_CLASS, manifest_statistics
from s3batch.report.charts import BarRow, bar, bar_table
from s3batch.report.text import size_text, visible
from tests.keys import keys
from tests.unit.manifest.rows import Row, batches

ROWS = st.lists(
    st.builds(
        Row,
        bucket=st.sampled_from(["bucket", "budget"]) | st.just("bucket"),
        key=st.sampled_from(["a/b/c/1", "a/b/c/2", "a/b/d/1", "a/x", "a/b/", "b/c/d", "top"]) | keys(),
        size=st.none() | st.integers(0, 10**6),
        last_modified=st.none() | st.sampled_from(["2026-01-01T00:00:00.000Z", "2025-06-01T00:00:00.000Z"]),
        storage_class=st.none() | st.sampled_from(["STANDARD", "GLACIER"]),
    ),
    min_size=1,
    max_size=25,
)


def shared_folder(paths: list[str]) -> str:
    """Return the deepest folder of all paths, the slow way."""
    folders = [{path[: at + 1] for at, character in enumerate(path) if character == "/"} for path in paths]
    return max(set.intersection(*folders), key=len, default="")


@settings(deadline=None)
@given(rows=ROWS, batch=st.integers(1, 10))
@example(rows=[Row(bucket="bucket", key=key) for key in ("a/b/c/1", "a/b/c/2", "a/b/d/1", "a/x/1", "b/1")], batch=1)
def test_figures_are_those_of_a_plain_count(rows: list[Row], batch: int) -> None:
    """Totals, largest, oldest, newest, classes and folders, however the batches are cut."""
    found = manifest_statistics(batches(rows, batch))
    assert (found.total.entries, found.total.bytes) == (len(rows), sum(row.size or 0 for row in rows))
    assert found.entries_without_size == sum(row.size is None for row in rows)
    assert found.entries_without_etag == len(rows)
    sizes = sorted((row.size for row in rows if row.size is not None), reverse=True)
    assert [entry.figure for entry in found.largest] == sizes[:5]
    times = [row.last_modified for row in rows if row.last_modified]
    assert (found.oldest is None) == (not times)
    if found.oldest is not None and found.newest is not None:
        assert found.oldest.figure == (1748736000000 if "2025-06-01T00:00:00.000Z" in times else 1767225600000)
        assert found.newest.figure == (1767225600000 if "2026-01-01T00:00:00.000Z" in times else 1748736000000)
    classes: defaultdict[str, int] = defaultdict(int)
    folders: defaultdict[str, int] = defaultdict(int)
    paths = [f"{row.bucket}/{row.key}" for row in rows]
    shared = shared_folder(paths)
    for row, path in zip(rows, paths, strict=True):
        classes[row.storage_class or UNKNOWN_CLASS] += 1
        folder, slash, _ = path[len(shared) :].partition("/")
        folders[folder + slash if slash else DIRECTLY] += 1
    assert {name: tally.entries for name, tally in found.by_storage_class.items()} == classes
    assert found.shared_folder == shared
    assert {name: tally.entries for name, tally in found.by_folder.items()} == folders


def test_bars_show_any_share_and_never_more_than_all() -> None:
    """The smallest share is an eighth of a cell; all is all cells."""
    assert [bar(share, cells=4) for share in (0, 0.0001, 0.5, 1, 7)] == ["", "▏", "██", "████", "████"]
    assert bar(0.53125, cells=4) == "██▏"


def test_sizes_read_well() -> None:
    """Bytes stay exact; larger units have one decimal."""
    assert [size_text(size) for size in (0, 1023, 1536, 5 * 1024**4)] == ["0 B", "1,023 B", "1.5 KiB", "5.0 TiB"]


def test_a_table_of_bars_shows_names_as_they_are() -> None:
    """A name is no markup, and its control characters do not reach the terminal."""
    console = Console(file=io.StringIO(), width=120, force_terminal=False)
    rows = [BarRow(name="[red]a\x1b[2J/", entries=3, bytes=75), BarRow(name="b/", entries=1, bytes=25)]
    console.print(bar_table("By folder", rows))
    text = console.file.getvalue()  # type: ignore[attr-defined]  # it is a StringIO
    assert "[red]a\\x1b[2J/" in text
    assert f"{bar(0.75)}         75.0%" in text
    assert visible("é b") == "é b"
