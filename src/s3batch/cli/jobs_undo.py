"""``s3batch jobs undo``: remove the delete markers that a delete job made."""

from __future__ import annotations

from typing import Annotated

import typer

from s3batch.cli.flat import flat
from s3batch.cli.options import DEFAULT_PRIORITY, Following
from s3batch.cli.see_through import see_through
from s3batch.cli.session import now_ms, open_session
from s3batch.control.undo import undo as undo_delete

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command(
    epilog="Exit codes: 0 all undone, or planned and waiting for the confirmation; 1 some failed; 2 usage;"
    " 3 some could not be undone and were kept as they are; 4 refused, nothing started; 5 store or ledger unavailable;"
    " 130 interrupted, the job is paused."
)
@flat
def undo(
    job_id: Annotated[str, typer.Argument(metavar="ID", help="Of a delete job, or of a move whose delete is meant.")],
    *,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Stop at the plan.")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for the number of markers.")] = False,
    priority: Annotated[int, typer.Option(metavar="N", min=0, max=2**31 - 1, help="Higher ones run first.")] = (
        DEFAULT_PRIORITY
    ),
    following: Following,
) -> None:
    """Remove the delete markers that a delete job made, so that its objects are current again.

    Only markers that the job recorded, by their version ids, and only where nobody has written or deleted since.
    """
    with open_session(following) as session:
        job = undo_delete(
            session.store,
            session.store.find_jobs(job_id),
            confirmation_required=dry_run or not yes,
            now_ms=now_ms(),
            priority=priority,
            actor=session.actor,
        )
        see_through(session, [job], is_new=True, dry_run=dry_run)
