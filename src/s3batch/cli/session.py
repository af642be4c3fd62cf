"""What every verb about jobs does around its own part: open the ledger, print the result.

Standard output gets the summary or the one JSON document; questions, plans and progress go to standard error.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from s3batch.cli.deferred import upgrade as upgrade_ledger
from s3batch.cli.options import Following
from s3batch.cli.render import plan_lines, summary_lines
from s3batch.config import Home
from s3batch.control.actor import Actor, this_actor
from s3batch.control.views import job_document
from s3batch.ledger.records import Event, Job
from s3batch.ledger.store import LedgerStore, Upgrade, open_ledger
from s3batch.report.audit import event_document


@dataclass(frozen=True, kw_only=True, slots=True)
class Session:
    """An open ledger and how the command follows what it starts."""

    home: Home
    store: LedgerStore
    following: Following
    actor: Actor
    """Who wishes, in the ledger's events."""

    @property
    def may_ask(self) -> bool:
        """Tell whether there is somebody to ask."""
        return not self.following.as_json and sys.stdin.isatty() and sys.stderr.isatty()


@contextmanager
def open_session(following: Following, *, upgrade: Upgrade | None = upgrade_ledger) -> Iterator[Session]:
    """Open the ledger of ``S3BATCH_HOME``; one of an earlier version is upgraded first, or nobody could steer its jobs.

    Raises:
        UnavailableError, RefusedError, InconsistentError: it cannot be used; see ``open_ledger``.
    """
    home = Home.from_environment(os.environ)
    store = open_ledger(home.ledger, upgrade=upgrade)
    try:
        actor = this_actor(os.environ, surface="command line")
        yield Session(home=home, store=store, following=following, actor=actor)
    finally:
        store.close()


def now_ms() -> int:
    """Return the time as the ledger records it."""
    return time.time_ns() // 1_000_000


def read_jobs(store: LedgerStore, jobs: Sequence[Job]) -> list[Job]:
    """Return the jobs as they are now."""
    return [store.get_job(job.id) for job in jobs]


def print_result(jobs: Sequence[Job], *, as_json: bool, with_plan: bool = False) -> None:
    """Print the summary, or the JSON document."""
    if as_json:
        print_document(document_of(jobs))
        return
    if with_plan and jobs[0].plan is not None:
        print_lines([*plan_lines(jobs[0]), ""])
    print_lines(summary_lines(jobs))


def document_of(jobs: Sequence[Job], *, events_of: Callable[[str], list[Event]] | None = None) -> dict[str, Any]:
    """Return a job as a JSON object, or several with the move that they belong to; with their events if asked."""
    documents = [job_document(job) for job in jobs]
    if events_of is not None:
        for document in documents:
            document["events"] = [event_document(event) for event in events_of(document["job_id"])]
    return documents[0] if len(jobs) == 1 else {"move_id": jobs[0].move_id, "jobs": documents}


def print_document(document: object) -> None:
    """Print the one JSON document."""
    print_lines([json.dumps(document, ensure_ascii=False)])


def print_lines(lines: Sequence[str]) -> None:
    """Print to standard output; what its encoding cannot hold is escaped."""
    text = "".join(f"{line}\n" for line in lines)
    encoding = sys.stdout.encoding or "utf-8"
    sys.stdout.write(text.encode(encoding, errors="backslashreplace").decode(encoding))
    sys.stdout.flush()
