"""Filters keep exactly what a plain reading of them keeps; samples are fair and repeatable."""

import fnmatch
import re
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s3batch.manifest.filters import Filter, Sampler, entry_test, filtered
from s3batch.model.errors import UsageError
from tests.keys import keys
from tests.unit.manifest.rows import Row, batch_of, batches, rows_of

TIMES = ["2026-01-01T00:00:00.000Z", "2026-06-01T00:00:00.000Z", "2026-12-01T00:00:00.000Z"]
JUNE_MS = 1780272000000
ROWS = st.lists(
    st.builds(
        Row,
        bucket=st.just("bucket"),
        key=keys().map("sdo/".__add__).filter(lambda key: len(key.encode()) <= 1024),
        size=st.none() | st.integers(0, 100),
        last_modified=st.none() | st.sampled_from(TIMES),
        storage_class=st.none() | st.sampled_from(["STANDARD", "GLACIER"]),
    ),
    max_size=20,
)
GLOBS = st.sampled_from(["*", "*.fits", "a*", "?", "*b*", "[ab]*", "null", "*/*"])


def is_kept(row: Row, kept: Filter) -> bool:
    """Say the same in plain words."""
    rest = row.key.removeprefix("sdo/")
    return (
        (not kept.include or any(fnmatch.fnmatchcase(rest, glob) for glob in kept.include))
        and not any(fnmatch.fnmatchcase(rest, glob) for glob in kept.exclude)
        and (kept.regex is None or re.search(kept.regex, rest) is not None)
        and (kept.min_size is None or (row.size is not None and row.size >= kept.min_size))
        and (kept.max_size is None or (row.size is not None and row.size <= kept.max_size))
        and (kept.modified_after_ms is None or (row.last_modified or "") >= TIMES[1])
        and (kept.modified_before_ms is None or row.last_modified == TIMES[0])
        and (not kept.storage_classes or row.storage_class in kept.storage_classes)
    )


@settings(deadline=None)
@given(
    rows=ROWS,
    kept=st.builds(
        Filter,
        include=st.lists(GLOBS, max_size=2),
        exclude=st.lists(GLOBS.filter("*".__ne__), max_size=2),
        regex=st.none() | st.sampled_from(["^a", "b$", "[0-9]", r"\s"]),
        min_size=st.none() | st.integers(0, 50),
        max_size=st.none() | st.integers(50, 100),
        modified_after_ms=st.none() | st.just(JUNE_MS),
        modified_before_ms=st.none() | st.just(JUNE_MS),
        storage_classes=st.just([]) | st.just(["GLACIER"]),
    ),
)
def test_a_filter_keeps_what_it_says(rows: list[Row], kept: Filter) -> None:
    """Each test alone and together, on hostile keys and missing facts."""
    found = rows_of(entry_test(kept, "sdo/")(batch_of(rows)))
    assert found == [row for row in rows if is_kept(row, kept)]


@given(rows=ROWS, limit=st.none() | st.integers(1, 10), include=st.lists(GLOBS, max_size=1))
def test_a_manifest_is_filtered_as_a_listing_is(rows: list[Row], limit: int | None, include: list[str]) -> None:
    """Whole keys are matched, and the limit holds over all batches."""
    kept = Filter(include=include, limit=limit)
    found = [row for batch in filtered([batch_of(rows[:7]), batch_of(rows[7:])], kept) for row in rows_of(batch)]
    wanted = [row for row in rows if not include or fnmatch.fnmatchcase(row.key, include[0])]
    assert found == wanted[:limit]


def test_a_sample_of_a_manifest_has_the_size_asked_for() -> None:
    """A trial on a few objects is the same whether they come from a listing or a manifest."""
    rows = [Row(bucket="bucket", key=f"key-{number:03}") for number in range(200)]
    found = [row.key for batch in filtered([batch_of(rows)], Filter(sample=20, seed=7)) for row in rows_of(batch)]
    assert len(found) == len(set(found)) == 20
    assert found == sorted(found)


def test_without_tests_a_batch_passes_as_it_is() -> None:
    """The fast path costs nothing."""
    batch = batch_of([Row(bucket="bucket", key="a")])
    assert entry_test(Filter(limit=3), "")(batch) is batch


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"regex": "("}, r"the regular expression '\(' is wrong"),
        ({"min_size": -1}, "min_size is -1, and must be 0 or more"),
        ({"limit": 0}, "limit is 0, and must be 1 or more"),
        ({"limit": 1, "sample": 1}, "limit and sample exclude each other"),
        ({"sample": 1_000_001}, "a sample of 1,000,001 is over 1,000,000"),
        ({"min_size": 2, "max_size": 1}, "min_size 2 is over max_size 1"),
    ],
)
def test_a_filter_that_cannot_be_meant_is_refused(arguments: dict[str, Any], message: str) -> None:
    """The message names the value and the bound."""
    with pytest.raises(UsageError, match=message) as caught:
        Filter(**arguments)
    assert caught.value.code == "InvalidFilter"


def test_a_filter_is_made_again_from_its_arguments() -> None:
    """A job's specification holds them as JSON."""
    kept = Filter(include=("*.fits",), min_size=0, sample=5, seed=7)
    assert kept.to_arguments() == {"include": ("*.fits",), "min_size": 0, "sample": 5, "seed": 7}
    assert Filter(**kept.to_arguments()) == kept
    assert Filter().to_arguments() == {}


def sample_of(count: int, size: int, seed: int, batch: int = 7) -> list[str]:
    """Return the keys of a sample of numbered entries."""
    sampler = Sampler(size=size, seed=seed)
    for part in batches([Row(bucket="bucket", key=f"{number:05d}") for number in range(count)], batch):
        sampler.write(part)
    return [row.key for part in sampler.finish() for row in rows_of(part)]


@given(count=st.integers(0, 60), size=st.integers(1, 20), seed=st.integers(0, 99), batch=st.integers(1, 20))
@settings(deadline=None)
def test_a_sample_has_its_size_its_order_and_is_repeatable(count: int, size: int, seed: int, batch: int) -> None:
    """Distinct entries, in the order of keys, and the same ones for the same seed however they come."""
    found = sample_of(count, size, seed, batch)
    assert len(found) == min(count, size)
    assert found == sorted(set(found))
    assert found == sample_of(count, size, seed)


def test_a_sample_is_fair() -> None:
    """Over many seeds each of 20 entries is chosen about as often as the others (5 of 20: 200 times in 800)."""
    drawn = Counter(key for seed in range(800) for key in sample_of(20, 5, seed))
    assert len(drawn) == 20
    assert all(140 < count < 260 for count in drawn.values())
