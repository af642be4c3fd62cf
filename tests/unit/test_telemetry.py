"""The runner's log is JSON, one object a line."""

import io
import json

from s3batch.telemetry import BoundLog, make_log


def test_a_line_has_the_event_its_facts_and_those_that_are_bound() -> None:
    """What a script needs to find a job's trouble, whatever the values are."""
    stream = io.StringIO()
    log = BoundLog(make_log(stream), {"job": "j-1", "epoch": 2})
    log.warning("the job waits: 100 %", extra={"code": "SlowDown", "where": object, "epoch": 3})
    log.info("no facts\nof its own")
    first, second = map(json.loads, stream.getvalue().splitlines())
    assert (first["event"], first["level"]) == ("the job waits: 100 %", "warning")
    assert (first["job"], first["epoch"], first["code"]) == ("j-1", 3, "SlowDown")
    assert first["where"] == "<class 'object'>"
    assert set(second) == {"timestamp", "level", "event", "pid", "job", "epoch"}
    assert second["event"] == "no facts\nof its own"


def test_an_exception_is_told_with_its_traceback_in_one_line() -> None:
    """A bug in a background runner is seen nowhere else."""
    stream = io.StringIO()
    try:
        int("broken")
    except ValueError:
        make_log(stream).exception("the job met a bug")
    (line,) = stream.getvalue().splitlines()
    assert "ValueError: invalid literal" in json.loads(line)["exception"]
