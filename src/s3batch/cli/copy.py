"""``s3batch copy``: copy objects, each pinned to what the manifest or listing names."""

from __future__ import annotations

import os
import secrets
from dataclasses import replace

import typer

from s3batch.cli.deferred import effective_connection, pinned, upgrade
from s3batch.cli.flat import flat
from s3batch.cli.options import Attributes, Copying, Creating, Following, FromTo, Probing, Reporting, Selection, Store
from s3batch.cli.request import copy_options, copy_spec, filter_arguments, probe_options, source_and_mapping
from s3batch.cli.see_through import see_through
from s3batch.cli.session import now_ms, open_session
from s3batch.control.jobs import create_job
from s3batch.model.job import CopyOptions, JobSpec

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command(
    epilog="Exit codes: 0 all copied; 1 some failed; 2 usage; 4 refused, nothing started; 5 store or ledger"
    " unavailable; 130 interrupted, the job is paused."
)
@flat
def copy(
    *,
    where: FromTo,
    selection: Selection,
    copying: Copying,
    attributes: Attributes,
    probing: Probing,
    store: Store,
    reporting: Reporting,
    creating: Creating,
    following: Following,
) -> None:
    """Copy SOURCE to TARGET, or the objects that --manifest names to --to.

    What follows the source's prefix in a key is kept: s3://b/cdaweb/ to s3://b/spdf/ makes cdaweb/x into spdf/x.
    An object that was written again since it was listed is reported, never copied in silence.
    """
    probe = probe_options(probing, is_dry_run=creating.dry_run)
    spec = replace(copy_request(where, selection, copy_options(copying, attributes), store, reporting), probe=probe)
    with open_session(following, upgrade=upgrade) as session:
        job = create_job(
            session.store,
            spec,
            now_ms=now_ms(),
            priority=creating.priority,
            description=creating.description,
            confirmation_required=creating.dry_run,
        )
        see_through(session, [job], is_new=True, dry_run=creating.dry_run)


def copy_request(where: FromTo, selection: Selection, copy: CopyOptions, store: Store, reporting: Reporting) -> JobSpec:
    """Return the specification of a copy, everything checked; the only request is for a manifest's ETag."""
    filter_ = filter_arguments(selection, random_seed=secrets.randbelow(2**31))
    source, mapping = source_and_mapping(where, filter_)
    connection = effective_connection(store, os.environ)
    spec = copy_spec(source, mapping, copy, reporting, connection)
    if source.url is None:
        return spec
    return copy_spec(pinned(source, connection), mapping, copy, reporting, connection)
