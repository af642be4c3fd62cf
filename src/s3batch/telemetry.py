"""The runner's log: what went wrong while nobody looked, one JSON object a line.

In: calls of the standard library's ``logging``, with the facts (job, chunk, code) as ``extra``. Out: lines on standard
error. Nothing is logged per object, and no secret: what is logged is errors' codes and texts.

The standard library's logger is used because it is loaded already by what the runner needs; structlog brings Rich and
Pygments with it, 0.15 s of CPU at each start of a runner (measured 2026-11).
"""

from __future__ import annotations

import json
import logging
import os
import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import TextIO

_OWN_FIELDS = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime"}
"""What every record has; the rest is the facts that the caller gave."""


class JsonLines(logging.Formatter):
    """A record as one JSON object: timestamp (UTC), level, event, pid, the facts, and a traceback if there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """Return the line. A fact that JSON does not know is written as its text: a log must not fail."""
        line = {
            "timestamp": datetime.fromtimestamp(record.created, tz=UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "event": record.getMessage(),
            "pid": os.getpid(),
            **{name: value for name, value in vars(record).items() if name not in _OWN_FIELDS},
        }
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=False)


class BoundLog(logging.LoggerAdapter[logging.Logger]):
    """A logger that adds the same facts to every line; those of a call come on top."""

    def process(self, msg: object, kwargs: Mapping[str, object]) -> tuple[object, dict[str, object]]:
        """Merge the facts."""
        extra = kwargs.get("extra")
        facts = {**(self.extra or {}), **(extra if isinstance(extra, Mapping) else {})}
        return msg, {**kwargs, "extra": facts}


def make_log(stream: TextIO | None = None) -> logging.Logger:
    """Return the runner's logger, which writes to ``stream`` (default: standard error)."""
    handler = logging.StreamHandler(stream or sys.stderr)
    handler.setFormatter(JsonLines())
    log = logging.getLogger("s3batch.runner")
    log.handlers[:] = [handler]
    log.propagate = False
    log.setLevel(logging.INFO)
    return log
