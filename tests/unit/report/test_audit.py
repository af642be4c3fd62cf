"""The audit file: what the ledger recorded, a line each, only ever appended to."""

import json
from pathlib import Path

from s3batch.ledger.records import Event
from s3batch.report.audit import append_events, event_document


def _event(number: int, **detail: object) -> Event:
    return Event(id=number, job_id="job", at_ms=1_764_000_000_123, kind="confirmed", actor="me@here", detail=detail)


def _lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines(keepends=True)


def test_events_are_appended_once_and_what_was_written_stays(tmp_path: Path) -> None:
    """Telling the same again adds nothing; what is new comes after what is there, byte for byte."""
    path = tmp_path / "report" / "audit.jsonl"
    append_events(path, [_event(3, objects=5), _event(7)])
    before = path.read_bytes()
    append_events(path, [_event(3, objects=5), _event(7)])
    assert path.read_bytes() == before
    append_events(path, [_event(7), _event(9, how="typed")])
    assert path.read_bytes().startswith(before)
    assert [json.loads(line)["id"] for line in _lines(path)] == [3, 7, 9]
    assert _lines(path)[0] == (
        b'{"id":3,"job_id":"job","at":"2025-11-24T16:00:00.123Z","kind":"confirmed","actor":"me@here",'
        b'"detail":{"objects":5}}\n'
    )


def test_a_line_that_a_crash_cut_is_written_again(tmp_path: Path) -> None:
    """Whole lines are kept, the torn one is made whole."""
    path = tmp_path / "audit.jsonl"
    events = [_event(1), _event(2, why="x" * 50), _event(3)]
    append_events(path, events)
    whole = path.read_bytes()
    for cut in (1, 30, len(_lines(path)[2]), len(_lines(path)[2]) + 1):
        path.write_bytes(whole[:-cut])
        append_events(path, events)
        assert path.read_bytes() == whole


def test_no_name_can_break_a_line_or_steer_a_terminal(tmp_path: Path) -> None:
    """A description with newlines and escapes stays one line of ASCII."""
    path = tmp_path / "audit.jsonl"
    event = _event(1, reason="a\nb\u2028\x1b[31m\u00e9")
    append_events(path, [event])
    (line,) = path.read_bytes().split(b"\n")[:-1]
    assert line.isascii()
    assert b"\x1b" not in line
    assert json.loads(line) == event_document(event)
