"""Spans of time as they are typed."""

import pytest
import typer

from s3batch.cli.durations import MAX_S, duration_parser


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("90s", 90),
        ("30m", 1_800),
        ("24h", 86_400),
        ("7d", 604_800),
        ("2w", 1_209_600),
        (" 1 H ", 3_600),
        ("366d", MAX_S),
        (5, 5),
    ],
)
def test_a_span_has_a_unit(text: str | int, seconds: int) -> None:
    """Seconds to weeks; a default is a number already."""
    assert duration_parser(text) == seconds


@pytest.mark.parametrize("text", ["24", "", "h", "1.5h", "-1h", "0s", "367d", "1y", "99999999999d", "1h30m", "\u0661h"])
def test_all_else_is_refused_with_what_may_be_written(text: str) -> None:
    """A bare number above all: hours are not to be taken for seconds."""
    with pytest.raises(typer.BadParameter, match="from 1s to 366d: write 90s, 30m, 24h, 7d or 2w"):
        duration_parser(text)
