"""The audit file of a job: who asked for what, who confirmed which plan, and each status, one JSON object a line.

In: the ledger's events. Out: a file in the job's report folder that is only ever appended to. The ledger is the truth
and the file its copy for people and archives: lines that a crash kept from being written, or cut in the middle, are
written by the next call. One process at a time writes it, the runner that holds the job.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO

from s3batch.ledger.records import Event

AUDIT_FILE = "audit.jsonl"


def append_events(path: Path, events: Sequence[Event]) -> None:
    """Append those of ``events`` that the file does not have yet, durably.

    Raises:
        OSError: the file cannot be written.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as file:
        last_id = _end_at_last_line(file)
        new = [event for event in events if event.id > last_id]
        file.write(b"".join(_line(event) for event in new))
        file.flush()
        os.fsync(file.fileno())
    folder = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)


def event_document(event: Event) -> dict[str, Any]:
    """Return an event as a JSON object; members may be added, never renamed."""
    moment = datetime.fromtimestamp(event.at_ms / 1000, UTC)
    return {
        "id": event.id,
        "job_id": event.job_id,
        "at": moment.isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        "kind": event.kind,
        "actor": event.actor,
        "detail": dict(event.detail),
    }


def _line(event: Event) -> bytes:
    """Return one line; ASCII, so that no character of a name can end it or steer a terminal."""
    return json.dumps(event_document(event), separators=(",", ":")).encode("ascii") + b"\n"


def _end_at_last_line(file: BinaryIO) -> int:
    """Cut off the beginning of a line that a crash left at the end, and return the id of the last whole one."""
    file.seek(0)
    content = file.read()
    whole = content[: content.rfind(b"\n") + 1]
    if len(whole) < len(content):
        file.truncate(len(whole))
    lines = whole.splitlines()
    return int(json.loads(lines[-1])["id"]) if lines else 0
