"""``s3batch check``: look at a source and a target before a job; nothing is written, but for canaries where asked for.

In: two places. Out: a table with one line a finding, or one JSON document. Exit codes: 0; 3 with a warning; 4 with
something that a job would refuse or fail at; 5 the store.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Annotated

import typer

from s3batch.cli.connection import effective_connection
from s3batch.cli.flat import flat
from s3batch.cli.options import FromTo, Probing, Store
from s3batch.cli.request import source_and_mapping
from s3batch.cli.session import print_document, print_lines
from s3batch.execute.preflight import check_places
from s3batch.execute.probes import Wanted, probe_store
from s3batch.model.attributes import AS_SOURCES
from s3batch.model.job import Connection
from s3batch.model.objects import S3Prefix
from s3batch.plan.canaries import probe_place_by_bucket
from s3batch.plan.findings import Finding, Weight, exit_code_of
from s3batch.plan.probes import loss_findings, probe_findings
from s3batch.report.text import visible
from s3batch.s3.client import S3Client, S3Reader

_RESULTS = {
    0: "Nothing was found that is in the way.",
    3: "A job would run; think about the warnings before.",
    4: "A job would be refused, or fail.",
}
_WEIGHT_WIDTH = max(map(len, Weight))

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@app.command(
    epilog="Exit codes: 0 nothing is in the way; 2 usage; 3 there are warnings; 4 a job would be refused or fail;"
    " 5 store unavailable."
)
@flat
def check(
    *,
    source: Annotated[str, typer.Argument(metavar="SOURCE", help="s3://BUCKET/PREFIX/", show_default=False)],
    target: Annotated[str, typer.Argument(metavar="TARGET", help="s3://BUCKET/PREFIX/", show_default=False)],
    raw_prefix: Annotated[bool, typer.Option("--raw-prefix", help="Prefixes need not end in '/'.")] = False,
    ignore_lifecycle: Annotated[
        bool, typer.Option("--ignore-lifecycle", help="Warn only where a lifecycle rule of the target deletes copies.")
    ] = False,
    probing: Probing,
    store: Store,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")] = False,
) -> None:
    """Look at SOURCE and TARGET before a copy or move: what may be read, and what the buckets do by themselves.

    Everything is tried by a real request or said to be unknown. Nothing is written, but for canaries below
    --probe-prefix, which are removed.
    """
    listed, mapping = source_and_mapping(FromTo(source=source, target=target, raw_prefix=raw_prefix), {})
    places = (
        S3Prefix(bucket=str(listed.list_bucket), prefix=listed.list_prefix),
        S3Prefix(bucket=mapping.target_bucket, prefix=mapping.add_prefix),
    )
    named = probe_place_by_bucket(probing.probe_prefix or (), [each.bucket for each in places])
    connection = effective_connection(store, os.environ)
    findings = asyncio.run(
        _check(
            connection,
            *places,
            named,
            ignore_lifecycle=ignore_lifecycle,
            ignore_losses=probing.ignore_losses,
        )
    )
    code = exit_code_of(findings)
    if as_json:
        print_document(_document(*places, findings))
    else:
        print_lines([*_lines(findings), "", _RESULTS[code]])
    raise typer.Exit(code)


async def _check(
    connection: Connection,
    source: S3Prefix,
    target: S3Prefix,
    named: Mapping[str, S3Prefix],
    *,
    ignore_lifecycle: bool,
    ignore_losses: bool,
) -> tuple[Finding, ...]:
    async with await S3Reader.open(connection) as reader:
        findings = await check_places(
            reader,
            source,
            target,
            ignore_lifecycle=ignore_lifecycle,
            requester_pays=connection.requester_pays,
            writes_are_probed=bool(named),
        )
    if not named:
        return findings
    return (*findings, *await _probe(connection, source, target, named, ignore_losses=ignore_losses))


async def _probe(
    connection: Connection, source: S3Prefix, target: S3Prefix, named: Mapping[str, S3Prefix], *, ignore_losses: bool
) -> list[Finding]:
    wanted = Wanted(deletes_from=(source.bucket,), copies_from=(source.bucket,), copies_to=target.bucket)
    async with await S3Client.open(connection) as client:
        probed = await probe_store(client, named, wanted, owner=secrets.token_hex(16))
    return [
        finding
        for each in probed
        for finding in (*probe_findings(each), *loss_findings(each, AS_SOURCES, ignore_losses=ignore_losses))
    ]


def _document(source: S3Prefix, target: S3Prefix, findings: Sequence[Finding]) -> dict[str, object]:
    return {"source": str(source), "target": str(target), "findings": [asdict(each) for each in findings]}


def _lines(findings: Sequence[Finding]) -> list[str]:
    return [
        f"{each.weight:<{_WEIGHT_WIDTH}}  {each.code}: {visible(f'{each.text} {each.way_out}'.rstrip())}"
        for each in findings
    ]
