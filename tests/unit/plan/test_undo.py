"""What the plan of an undo counts and says, and what it refuses."""

import pyarrow as pa
import pytest

from s3batch.ledger.outcome_columns import OutcomeColumns, outcome_table
from s3batch.model.errors import RefusedError
from s3batch.model.job import KeyMapping
from s3batch.plan.undo import UndoFigures


def _outcomes() -> pa.Table:
    columns = OutcomeColumns(6)
    columns.succeed(0, version_id="m0")
    columns.succeed(1, version_id="m1", code="AlreadyGone")
    columns.succeed(2, code="AlreadyGone")
    columns.keep(3, "SourceChanged", version_id="no marker of ours")
    columns.fail(4, "AccessDenied")
    return outcome_table(columns)


def test_each_row_of_the_record_is_counted_once() -> None:
    """Markers, deleted without one, kept, and the rest; a chunk without a record is all rest."""
    figures = UndoFigures()
    figures.add(_outcomes(), 6)
    figures.add(_outcomes().slice(0, 0), 10)
    told = (figures.entries, figures.markers, figures.unmarked, figures.kept, figures.unsettled)
    assert told == (16, 2, 1, 1, 12)
    assert figures.requests() == {"ListObjectVersions": 2, "DeleteObjects": 1, "List": 1}
    assert [note.split()[0] for note in figures.notes()] == ["2", "1", "1", "12"]
    figures.require_markers("job", bucket="b", mapping=None)


@pytest.mark.parametrize(
    ("unmarked", "mapping", "code", "said"),
    [
        (0, None, "NothingToUndo", "s3batch jobs show job"),
        (1, None, "NoMarkers", "only a backup"),
        (
            1,
            KeyMapping(target_bucket="t", strip_prefix="cdaweb/", add_prefix="spdf/"),
            "NoMarkers",
            "`s3batch copy s3://t/spdf/ s3://b/cdaweb/ --if-target-exists skip-if-same`",
        ),
    ],
)
def test_without_a_marker_the_refusal_says_what_to_do(
    unmarked: int, mapping: KeyMapping | None, code: str, said: str
) -> None:
    """Nothing deleted, no copy, or a copy to take back."""
    with pytest.raises(RefusedError) as refused:
        UndoFigures(unmarked=unmarked).require_markers("job", bucket="b", mapping=mapping)
    assert refused.value.code == code
    assert said in str(refused.value)
