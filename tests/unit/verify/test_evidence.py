"""Evidence is what accepted segments say about each row, and only a plain success is a proof."""

from pathlib import Path

import pyarrow as pa

from s3batch.ledger.outcome_columns import OutcomeColumns, outcome_table
from s3batch.ledger.segments import read_outcomes, write_segment
from s3batch.verify.evidence import EVIDENCE_COLUMNS, Evidence, read_evidence


def _evidence(columns: OutcomeColumns) -> Evidence:
    return read_evidence(outcome_table(columns), columns.n_rows)


def test_a_proven_row_has_level_etag_and_size_of_its_target() -> None:
    """What verify recorded comes back in the row's place."""
    columns = OutcomeColumns(2, level="etag", checked_at_ms=1_700_000_000_123)
    columns.succeed(0, etag="a", size=1)
    columns.succeed(1, etag="b-2", size=2, level="checksum", checked_at_ms=5, version_id="v", source_version_id="s")
    assert _evidence(columns) == Evidence(
        proven=[True, True],
        target_etags=["a", "b-2"],
        target_sizes=[1, 2],
        target_version_ids=[None, "v"],
        answered=[True, True],
    )


def test_rows_without_a_plain_success_prove_nothing() -> None:
    """Failed, kept, specially succeeded and unfinished rows, and rows without level, ETag or size are no proof."""
    columns = OutcomeColumns(8)
    columns.fail(0, "Undecided", etag="a", size=1, level="etag")
    columns.keep(1, "NotProven", etag="a", size=1)
    columns.succeed(2, etag="a", size=1, level="etag", code="AlreadySame")
    columns.succeed(3, etag="a", size=1)
    columns.succeed(4, size=1, level="etag")
    columns.succeed(5, etag="a", level="etag")
    columns.succeed(7, etag="a", size=1, level="bytes")
    evidence = _evidence(columns)
    assert evidence.proven == [False] * 7 + [True]
    assert evidence.answered == [False, False, False, True, False, True, False, True]
    assert evidence.n_rows == 8


def test_rows_of_several_segments_are_put_in_their_places(tmp_path: Path) -> None:
    """A chunk that was paused has its evidence in two segments."""
    first, second = OutcomeColumns(4, level="etag"), OutcomeColumns(4, level="etag")
    first.succeed(3, etag="d", size=3)
    second.succeed(1, etag="b", size=1)
    segments = [
        write_segment(tmp_path / name, columns) for name, columns in (("1.parquet", first), ("2.parquet", second))
    ]
    evidence = read_evidence(read_outcomes(segments, 4, columns=EVIDENCE_COLUMNS), 4)
    assert evidence.target_etags == [None, "b", None, "d"]
    assert evidence.proven == [False, True, False, True]


def test_a_chunk_without_any_outcome_has_no_proof() -> None:
    """Nothing on record is nothing proven."""
    empty = outcome_table(OutcomeColumns(3))
    assert isinstance(empty, pa.Table)
    assert read_evidence(empty, 3).proven == [False, False, False]


def test_what_a_proof_covers_is_told_for_its_rows_only() -> None:
    """Undecided rows are covered by nothing; where no row has a word there is no column at all."""
    columns = OutcomeColumns(3, level="etag")
    columns.covered = "bytes+tags"
    columns.succeed(0, etag="a", size=1)
    columns.fail(1, "Undecided", etag="b", size=1)
    evidence = _evidence(columns)
    assert evidence.covered == ["bytes+tags", None, None]
    columns.succeed(1, etag="b", size=1)
    columns.succeed(2, etag="c", size=1)
    assert _evidence(columns).covered == ["bytes+tags"] * 3
    columns.covered = None
    assert _evidence(columns).covered is None
