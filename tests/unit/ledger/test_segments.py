"""Segments: what goes in comes out, exactly once, or the reader stops."""

import hashlib
import multiprocessing
import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from unittest.mock import patch

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s3batch.ledger.outcome_columns import outcome_table
from s3batch.ledger.segments import (
    SCHEMA,
    SUCCEEDED,
    OutcomeColumns,
    SegmentInfo,
    read_outcomes,
    read_segment,
    segment_name,
    write_segment,
)
from s3batch.model.errors import InconsistentError, UnavailableError

TEXT = st.text(max_size=20)
ETAG = st.none() | st.text(alphabet="0123456789abcdef-", min_size=1, max_size=34)


@dataclass(frozen=True, kw_only=True)
class Drawn:
    """One outcome as the property test draws it."""

    status: str
    code: str | None
    message: str | None
    http_status: int | None
    etag: str | None
    size: int | None
    level: str | None
    checked_at_ms: int | None


DRAWN = st.builds(
    Drawn,
    status=st.sampled_from(["succeeded", "failed", "kept"]),
    code=st.sampled_from(["NoSuchKey", "SourceChanged", "AlreadyGone"]),
    message=st.none() | TEXT,
    http_status=st.none() | st.integers(100, 599),
    etag=ETAG,
    size=st.none() | st.integers(0, 50 * 1024**4),
    level=st.none() | st.sampled_from(["response", "etag"]),
    checked_at_ms=st.none() | st.integers(0, 4_000_000_000_000),
)


def record(columns: OutcomeColumns, row: int, drawn: Drawn) -> None:
    """Record a drawn outcome by the method for its status."""
    facts: dict[str, Any] = {"etag": drawn.etag, "size": drawn.size, "checked_at_ms": drawn.checked_at_ms}
    if drawn.status == "succeeded":
        columns.succeed(row, code=drawn.code, message=drawn.message, level=drawn.level, **facts)
    elif drawn.status == "failed":
        columns.fail(row, drawn.code or "", drawn.http_status, drawn.message, level=drawn.level, **facts)
    else:
        columns.keep(row, drawn.code or "", drawn.message, http_status=drawn.http_status, **facts)


def all_succeeded(n_rows: int) -> OutcomeColumns:
    """Return the common case, written as a hot loop writes it."""
    columns = OutcomeColumns(n_rows, level="response", checked_at_ms=1_700_000_000_000)
    for row in range(n_rows):
        columns.status[row] = SUCCEEDED
    columns.etags = [hashlib.md5(b"%d" % row, usedforsecurity=False).hexdigest() for row in range(n_rows)]
    columns.sizes = pa.array(range(n_rows), pa.int64())
    return columns


def partial(n_rows: int, rows: Mapping[int, str]) -> OutcomeColumns:
    """Return an attempt that ended early: these rows succeeded with these ETags."""
    columns = OutcomeColumns(n_rows)
    for row, etag in rows.items():
        columns.succeed(row, etag=etag)
    return columns


def test_the_common_case_is_written_and_read_back_whole(tmp_path: Path) -> None:
    """All columns of an all-succeeded chunk come back, constants included, and the counts add up."""
    info = write_segment(tmp_path / segment_name(12, 3), all_succeeded(1000))
    table = read_segment(info.path, sha256=info.sha256)

    assert info.path.name == "chunk-0000012-epoch-0003.parquet"
    assert (info.rows, info.succeeded, info.failed, info.kept, info.by_code) == (1000, 1000, 0, 0, {})
    assert info.bytes_done == sum(range(1000))
    assert table.schema.equals(SCHEMA)
    assert table.column("row").to_pylist() == list(range(1000))
    assert set(table.column("status").to_pylist()) == {"succeeded"}
    assert set(table.column("level").to_pylist()) == {"response"}
    assert table.column("checked_at").cast(pa.int64()).to_pylist() == [1_700_000_000_000] * 1000
    assert table.column("code").null_count == table.column("version_id").null_count == 1000


@given(outcomes=st.lists(st.none() | DRAWN, max_size=30), default_level=st.none() | st.just("etag"))
@settings(max_examples=60, deadline=None)
def test_every_recorded_outcome_comes_back_and_nothing_else(
    tmp_path_factory: pytest.TempPathFactory, outcomes: list[Drawn | None], default_level: str | None
) -> None:
    """Rows without an outcome are absent, all others come back with every value, and the counts are right."""
    columns = OutcomeColumns(len(outcomes), level=default_level)
    for row, drawn in enumerate(outcomes):
        if drawn is not None:
            record(columns, row, drawn)
    info = write_segment(tmp_path_factory.mktemp("segment") / segment_name(0, 1), columns)
    rows = read_outcomes([info], len(outcomes)).to_pylist()

    expected = {row: drawn for row, drawn in enumerate(outcomes) if drawn is not None}
    assert [each["row"] for each in rows] == list(expected)
    for each in rows:
        drawn = expected[each["row"]]
        assert (each["status"], each["code"], each["message"]) == (drawn.status, drawn.code, drawn.message or None)
        assert (each["etag"], each["size"]) == (drawn.etag, drawn.size)
        assert each["http_status"] == (None if drawn.status == "succeeded" else drawn.http_status)
        assert each["level"] == ((None if drawn.status == "kept" else drawn.level) or default_level)
        checked_at = each["checked_at"]
        assert (checked_at and round(checked_at.timestamp() * 1000)) == drawn.checked_at_ms
    assert info.rows == info.succeeded + info.failed + info.kept == len(expected)
    assert sum(info.by_code.values()) == sum(1 for drawn in expected.values() if drawn.code)
    assert info.bytes_done == sum(drawn.size or 0 for drawn in expected.values() if drawn.status == "succeeded")


def test_a_second_outcome_within_an_attempt_replaces_the_first() -> None:
    """A failure that a retry turned into a success leaves no code behind."""
    columns = OutcomeColumns(2)
    columns.fail(0, "SlowDown", 503, "Please reduce your request rate.")
    columns.succeed(0, etag="e")
    ended = outcome_table(columns).to_pylist()[0]
    assert (ended["status"], ended["code"], ended["message"], ended["etag"]) == ("succeeded", None, None, "e")


def test_segments_of_several_attempts_are_merged_in_order_of_row(tmp_path: Path) -> None:
    """What a paused attempt recorded counts, the next attempt adds the rest."""
    first = write_segment(tmp_path / segment_name(4, 1), partial(6, {1: "b", 5: "f"}))
    second = write_segment(tmp_path / segment_name(4, 2), partial(6, {0: "a", 3: "d"}))
    merged = read_outcomes([first, second], 6, columns=["etag", "status"])

    assert merged.column_names == ["row", "etag", "status"]
    assert merged.column("row").to_pylist() == [0, 1, 3, 5]
    assert merged.column("etag").to_pylist() == ["a", "b", "d", "f"]


def test_two_outcomes_for_one_row_are_inconsistent(tmp_path: Path) -> None:
    """An entry ends exactly once over all accepted segments (safety.md rule 19)."""
    first = write_segment(tmp_path / segment_name(0, 1), partial(3, {1: "x"}))
    second = write_segment(tmp_path / segment_name(0, 2), partial(3, {0: "x", 1: "x"}))
    with pytest.raises(InconsistentError, match="1 entries of a chunk have two outcomes") as refused:
        read_outcomes([first, second], 3)
    assert refused.value.code == "TwoOutcomes"


def test_a_row_outside_the_chunk_is_inconsistent(tmp_path: Path) -> None:
    """Segments of another manifest's chunk are noticed."""
    info = write_segment(tmp_path / segment_name(0, 1), partial(10, {9: "x"}))
    with pytest.raises(InconsistentError, match="chunk of 9 entries"):
        read_outcomes([info], 9)


def test_a_damaged_segment_is_inconsistent(tmp_path: Path) -> None:
    """One flipped bit anywhere is found by the SHA-256 that the ledger holds."""
    info = write_segment(tmp_path / segment_name(0, 1), all_succeeded(50))
    content = bytearray(info.path.read_bytes())
    content[len(content) // 2] ^= 1
    info.path.write_bytes(content)
    with pytest.raises(InconsistentError, match="SHA-256") as refused:
        read_outcomes([info], 50)
    assert refused.value.code == "SegmentDamaged"
    assert "backup" in refused.value.way_out


@pytest.mark.parametrize("content", [None, b"", b"PAR1 is not all that it takes PAR1"])
def test_a_missing_or_foreign_file_is_inconsistent(tmp_path: Path, content: bytes | None) -> None:
    """Without a recorded hash, too, nothing but a segment is read as one."""
    path = tmp_path / segment_name(0, 1)
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(InconsistentError):
        read_segment(path)


def test_a_parquet_file_of_something_else_is_no_segment(tmp_path: Path) -> None:
    """The format's version is in the file; another one is not guessed at."""
    path = tmp_path / segment_name(0, 1)
    pq.write_table(pa.table({"row": [0]}), path)
    with pytest.raises(InconsistentError, match="not written by this version"):
        read_segment(path)


def _as_version_1(info: SegmentInfo) -> SegmentInfo:
    """Rewrite a segment as the version before wrote it: without the last column."""
    table = pq.read_table(info.path).drop_columns(["covered"])
    pq.write_table(table.replace_schema_metadata({b"s3batch.segment": b"1"}), info.path)
    return replace(info, sha256=hashlib.sha256(info.path.read_bytes()).hexdigest())


def test_a_segment_of_the_version_before_is_read_and_covers_nothing_beyond(tmp_path: Path) -> None:
    """A job that was begun before an upgrade goes on: its segments are merged with those of this version."""
    old = _as_version_1(write_segment(tmp_path / segment_name(4, 1), partial(6, {1: "b", 5: "f"})))
    columns = partial(6, {0: "a"})
    columns.covered = "bytes+tags"
    new = write_segment(tmp_path / segment_name(4, 2), columns)
    assert read_segment(old.path).schema.equals(SCHEMA, check_metadata=True)
    for segments in ([old, new], [new, old]):
        merged = read_outcomes(segments, 6, columns=["covered", "etag"])
        assert merged.column_names == ["row", "covered", "etag"]
        assert merged.column("etag").to_pylist() == ["a", "b", "f"]
        assert merged.column("covered").to_pylist() == ["bytes+tags", None, None]
    assert read_outcomes([old], 6).column("covered").to_pylist() == [None, None]


def test_only_what_succeeded_is_covered(tmp_path: Path) -> None:
    """What verify could not decide carries no word of a proof, also in an attempt that ended early."""
    columns = OutcomeColumns(4)
    columns.covered = "bytes+metadata"
    columns.succeed(0, etag="a")
    columns.fail(1, "Undecided")
    columns.succeed(3, etag="d")
    info = write_segment(tmp_path / segment_name(0, 1), columns)
    rows = {each["row"]: each["covered"] for each in read_segment(info.path).to_pylist()}
    assert rows == {0: "bytes+metadata", 1: None, 3: "bytes+metadata"}


def test_an_existing_segment_is_never_replaced(tmp_path: Path) -> None:
    """A name belongs to one epoch; a second writer stops instead of destroying an accepted file."""
    info = write_segment(tmp_path / segment_name(0, 1), all_succeeded(5))
    with pytest.raises(InconsistentError, match="given twice"):
        write_segment(info.path, partial(5, {0: "other"}))
    assert read_segment(info.path, sha256=info.sha256).num_rows == 5


def test_a_disk_that_refuses_is_unavailable_and_says_what_to_do(tmp_path: Path) -> None:
    """A full or missing disk ends in an error of the family that may be tried again."""
    (tmp_path / "segments").write_text("a file where the folder should be")
    with pytest.raises(UnavailableError, match="resume the job") as refused:
        write_segment(tmp_path / "segments" / segment_name(0, 1), all_succeeded(5))
    assert refused.value.code == "SegmentNotWritten"


def test_columns_of_another_length_are_refused() -> None:
    """A column one row short would shift every ETag against its key."""
    columns = all_succeeded(5)
    columns.etags = ["e"] * 4
    with pytest.raises(InconsistentError, match="etags has 4 values for a chunk of 5"):
        outcome_table(columns)


def _write_and_die_before_the_rename(path: Path) -> None:
    """Stand for a worker that is killed with the bytes on disk but not yet under their name."""
    with patch.object(os, "fsync", lambda _descriptor: os._exit(9)):
        write_segment(path, all_succeeded(20))


def test_a_crash_before_the_rename_leaves_no_segment(tmp_path: Path) -> None:
    """What a killed worker leaves has another name, and the next epoch is not disturbed by it."""
    path = tmp_path / segment_name(7, 1)
    process = multiprocessing.get_context("spawn").Process(target=_write_and_die_before_the_rename, args=(path,))
    process.start()
    process.join(timeout=60)
    assert process.exitcode == 9
    assert not path.exists()
    assert [each.name for each in tmp_path.iterdir()] == [path.name + ".partial"]

    info = write_segment(tmp_path / segment_name(7, 2), all_succeeded(20))
    assert read_outcomes([info], 20).num_rows == 20


def test_a_crash_between_segment_and_ledger_leaves_an_orphan_that_nobody_reads(tmp_path: Path) -> None:
    """Readers take the segments that the ledger names; a complete file without a ledger row changes nothing."""
    orphan = write_segment(tmp_path / segment_name(7, 1), partial(4, {0: "orphan", 1: "orphan"}))
    accepted: list[SegmentInfo] = [write_segment(tmp_path / segment_name(7, 2), partial(4, {0: "a", 1: "b", 2: "c"}))]
    assert orphan.path.exists()
    assert read_outcomes(accepted, 4).column("etag").to_pylist() == ["a", "b", "c"]


def test_a_chunk_without_segments_has_no_outcomes() -> None:
    """A cancelled job has chunks that never ran."""
    assert read_outcomes([], 10, columns=["status"]).num_rows == 0


def test_a_message_that_utf8_cannot_carry_is_kept_readable() -> None:
    """A lone surrogate in a store's message must not cost the outcome."""
    columns = OutcomeColumns(1)
    columns.fail(0, "Strange", 400, "bad \ud800 text")
    assert outcome_table(columns).column("message").to_pylist() == ["bad ? text"]
