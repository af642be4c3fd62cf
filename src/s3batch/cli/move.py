"""``s3batch move``: copy, verify, ask, then delete the originals whose copies are proven."""

from __future__ import annotations

from dataclasses import replace

import typer

from s3batch.cli.copy import copy_request
from s3batch.cli.deferred import upgrade
from s3batch.cli.delete import BackupOption, HoldOption, MaxEvidenceAgeOption, backup_of
from s3batch.cli.flat import flat
from s3batch.cli.options import (
    Attributes,
    Copying,
    Creating,
    Following,
    FromTo,
    PermanentOption,
    Probing,
    Proving,
    Reporting,
    Selection,
    Store,
    TrustListingsOption,
)
from s3batch.cli.request import copy_options, probe_options
from s3batch.cli.see_through import see_through
from s3batch.cli.session import now_ms, open_session
from s3batch.control.moves import create_move
from s3batch.model.errors import RefusedError
from s3batch.model.job import DEFAULT_MAX_EVIDENCE_AGE_S, DeleteOptions

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command(
    epilog="Exit codes: 0 all moved, or all proven and waiting for the confirmation; 1 some failed; 2 usage;"
    " 3 differences found or sources kept; 4 refused, nothing started; 5 store or ledger unavailable;"
    " 130 interrupted, the job is paused."
)
@flat
def move(
    *,
    where: FromTo,
    selection: Selection,
    copying: Copying,
    attributes: Attributes,
    proving: Proving,
    probing: Probing,
    hold: HoldOption = None,
    max_evidence_age: MaxEvidenceAgeOption = DEFAULT_MAX_EVIDENCE_AGE_S,
    permanent: PermanentOption = False,
    backup: BackupOption = None,
    trust_listings: TrustListingsOption = False,
    store: Store,
    reporting: Reporting,
    creating: Creating,
    following: Following,
) -> None:
    """Move SOURCE to TARGET, or the objects that --manifest names to --to.

    Three linked jobs: copy; verify; and, once confirmed (--yes does not ask), the delete of every original whose copy
    is proven and which, like its copy, is still the same. All others are kept and reported.
    """
    if selection.sample is not None:
        raise RefusedError(
            "A move of a sample would delete some objects of a prefix and leave the others.",
            code="SampleDelete",
            way_out="Try a sample with `s3batch copy --sample N` and `s3batch verify`, then move everything with"
            " --if-target-exists skip-if-same.",
        )
    probe = probe_options(probing, is_dry_run=creating.dry_run)
    spec = replace(copy_request(where, selection, copy_options(copying, attributes), store, reporting), probe=probe)
    with open_session(following, upgrade=upgrade) as session:
        jobs = create_move(
            session.store,
            spec,
            verify=proving.options(),
            delete=DeleteOptions(
                permanent=permanent, trust_listings=trust_listings, max_evidence_age_s=max_evidence_age
            ),
            hold_s=hold,
            backup=backup_of(backup, source=spec.source, mapping=spec.mapping),
            is_confirmed=creating.yes,
            is_dry_run=creating.dry_run,
            now_ms=now_ms(),
            priority=creating.priority,
            description=creating.description,
            actor=session.actor,
        )
        see_through(session, jobs, is_new=True, dry_run=creating.dry_run)
