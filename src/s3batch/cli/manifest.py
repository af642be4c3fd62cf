"""``s3batch manifest``: make a manifest from a listing or an S3 Inventory, and show what a manifest holds.

In: the command line. Out: a manifest or a summary; messages and progress go to standard error, so that standard output
is the manifest or one JSON document and nothing else. Exit codes: 0; 2 for the command line; 4 refused; 5 the store.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import random
import sys
import time
from collections.abc import Iterable
from contextlib import AsyncExitStack
from datetime import UTC, datetime
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.text import Text

from s3batch.cli.options import setting_option
from s3batch.config import Connection
from s3batch.manifest.create import CreatedManifest, ManifestRequest, create_manifest
from s3batch.manifest.filters import Filter
from s3batch.manifest.formats import (
    Findings,
    KeyEncoding,
    ManifestFormat,
    ReadOptions,
    TaskStatusFilter,
    format_of_name,
    parse_columns,
)
from s3batch.manifest.from_inventory import InventoryRequest, ReadInventory
from s3batch.manifest.location import is_in_bucket, open_manifest
from s3batch.manifest.statistics import ManifestStatistics, Ranked, Tally, manifest_statistics
from s3batch.manifest.version_listing import VersionScope
from s3batch.model.errors import UsageError
from s3batch.model.objects import parse_s3_uri, require_exact_prefix
from s3batch.plan.staleness import age_text, inventory_warning
from s3batch.report.charts import BarRow, bar_table
from s3batch.report.text import size_text, visible
from s3batch.s3.client import S3Client, S3Reader

_SHOWN_FOLDERS: Final = 20
_UNITS: Final = {"": 1, "K": 1024, "M": 1024**2, "G": 1024**3, "T": 1024**4}
_TELL_EVERY: Final = 20_000

app = typer.Typer(help="Make and show manifests: lists of objects.", no_args_is_help=True, rich_markup_mode=None)

EndpointUrl = Annotated[str | None, setting_option("endpoint-url")]
Region = Annotated[str | None, setting_option("region")]
Profile = Annotated[str | None, setting_option("profile")]
AsJson = Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")]


@app.command()
def create(
    source: Annotated[str | None, typer.Argument(metavar="s3://BUCKET/PREFIX/", help="What to list or take.")] = None,
    *,
    output: Annotated[
        str | None, typer.Option("-o", "--output", metavar="URL", help="s3://... or a file; else standard output.")
    ] = None,
    format_: Annotated[
        ManifestFormat | None, typer.Option("--format", help="By default as the output's name says, else CSV.")
    ] = None,
    columns: Annotated[str, typer.Option(help="Of a CSV: aws (Bucket,Key) or full (with size, ETag, ...).")] = "aws",
    include: Annotated[list[str] | None, typer.Option(help="Keep keys that match this glob (repeatable).")] = None,
    exclude: Annotated[list[str] | None, typer.Option(help="Drop keys that match this glob (repeatable).")] = None,
    regex: Annotated[str | None, typer.Option(help="Keep keys in which this regular expression is found.")] = None,
    min_size: Annotated[str | None, typer.Option(metavar="BYTES", help="At least so large; 10M means MiB.")] = None,
    max_size: Annotated[str | None, typer.Option(metavar="BYTES", help="At most so large.")] = None,
    modified_after: Annotated[str | None, typer.Option(metavar="TIME", help="Not older than this.")] = None,
    modified_before: Annotated[str | None, typer.Option(metavar="TIME", help="Older than this.")] = None,
    storage_class: Annotated[list[str] | None, typer.Option(help="Keep this storage class (repeatable).")] = None,
    limit: Annotated[int | None, typer.Option(help="Take the first N in the order of keys.")] = None,
    sample: Annotated[int | None, typer.Option(help="Take N at random.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of the random choice, to repeat it.")] = None,
    raw_prefix: Annotated[bool, typer.Option("--raw-prefix", help="The prefix need not end in '/'.")] = False,
    from_inventory: Annotated[
        str | None, typer.Option(metavar="URL", help="Read this S3 Inventory (its manifest.json) instead of listing.")
    ] = None,
    refresh: Annotated[
        bool, typer.Option("--refresh", help="List as well: tell what is new, changed or gone, and take what is there.")
    ] = False,
    versions: Annotated[
        VersionScope | None,
        typer.Option(
            help="Name versions: the current ones, the noncurrent ones, or all. For copies of exact versions and for"
            " permanent deletes.",
            show_default=False,
        ),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Write over what is at the output.")] = False,
    as_json: AsJson = False,
    endpoint_url: EndpointUrl = None,
    region: Region = None,
    profile: Profile = None,
) -> None:
    """Make a manifest from the listing of a prefix, or from an S3 Inventory."""
    if seed is None and sample is not None:
        seed = random.SystemRandom().randrange(2**31)
    request = _request(
        source=source,
        raw_prefix=raw_prefix,
        inventory=_inventory(source, from_inventory, is_refreshed=refresh, names_versions=versions is not None),
        versions=versions,
        output=output,
        format_=format_,
        columns=columns,
        force=force,
        as_json=as_json,
        kept=Filter(
            include=tuple(include or ()),
            exclude=tuple(exclude or ()),
            regex=regex,
            min_size=_bytes(min_size),
            max_size=_bytes(max_size),
            modified_after_ms=_milliseconds(modified_after),
            modified_before_ms=_milliseconds(modified_before),
            storage_classes=tuple(storage_class or ()),
            limit=limit,
            sample=sample,
            seed=seed or 0,
        ),
    )
    connection = Connection(endpoint_url=endpoint_url, region=region, profile=profile)
    created = asyncio.run(_create(connection, request))
    _summarise(created, request, now_ms=round(time.time() * 1000), as_json=as_json)


@app.command()
def show(
    url: Annotated[str, typer.Argument(metavar="URL", help="s3://... or a file.")],
    *,
    format_: Annotated[ManifestFormat | None, typer.Option("--format", help="By default as the content says.")] = None,
    columns: Annotated[str | None, typer.Option(help="Of a CSV, as AWS's Fields: Bucket,Key,Ignore.")] = None,
    header: Annotated[bool | None, typer.Option("--header/--no-header", help="The first row names columns.")] = None,
    key_encoding: Annotated[KeyEncoding, typer.Option(help="How keys are written in a CSV.")] = KeyEncoding.AUTO,
    plus_is_space: Annotated[bool, typer.Option("--plus-is-space", help="In a CSV, '+' means a space.")] = False,
    task_status: Annotated[
        TaskStatusFilter, typer.Option(help="Of a completion report: which rows.")
    ] = TaskStatusFilter.ALL,
    as_json: AsJson = False,
    endpoint_url: EndpointUrl = None,
    region: Region = None,
    profile: Profile = None,
) -> None:
    """Show what a manifest holds."""
    options = ReadOptions(
        format=format_,
        columns=parse_columns(columns) if columns is not None else None,
        has_header=header,
        key_encoding=key_encoding,
        plus_is_space=plus_is_space,
        task_status=task_status,
    )
    connection = Connection(endpoint_url=endpoint_url, region=region, profile=profile)
    statistics, findings = asyncio.run(_show(connection, url, options))
    if as_json:
        sys.stdout.write(json.dumps(_document(url, statistics, findings), ensure_ascii=False) + "\n")
    else:
        _print_statistics(Console(highlight=False), url, statistics, findings)


def _request(
    *,
    source: str | None,
    raw_prefix: bool,
    inventory: InventoryRequest | None,
    versions: VersionScope | None,
    output: str | None,
    format_: ManifestFormat | None,
    columns: str,
    force: bool,
    as_json: bool,
    kept: Filter,
) -> ManifestRequest:
    if columns not in {"aws", "full"}:
        raise UsageError(f"--columns {columns!r} is unknown.", code="InvalidColumns", way_out="Use aws or full.")
    named, is_gzip = format_of_name(output) if output is not None else (None, False)
    form = format_ or named or ManifestFormat.CSV
    if output is None and (as_json or form is ManifestFormat.PARQUET):
        wanted = "--json" if as_json else "--format parquet"
        raise UsageError(f"{wanted} needs -o.", code="NoOutput", way_out="Say where the manifest is to be written.")
    if form is ManifestFormat.PARQUET and is_gzip:
        raise UsageError(
            f"{output}: Parquet is compressed in itself.", code="InvalidOutput", way_out="Leave .gz out of the name."
        )
    return ManifestRequest(
        source=require_exact_prefix(parse_s3_uri(source), raw=raw_prefix) if source is not None else None,
        inventory=inventory,
        versions=versions,
        kept=kept,
        target=output if output is not None else sys.stdout.buffer,
        format=form,
        is_gzip=is_gzip,
        all_columns=columns == "full",
        may_overwrite=force,
    )


def _inventory(
    source: str | None, url: str | None, *, is_refreshed: bool, names_versions: bool
) -> InventoryRequest | None:
    if url is not None and names_versions:
        raise UsageError(
            "--versions lists a bucket; of an inventory the current objects are taken.",
            code="InventoryVersions",
            way_out="Leave one of --versions and --from-inventory out.",
        )
    if url is not None:
        return InventoryRequest(url=url, is_refreshed=is_refreshed)
    if is_refreshed:
        raise UsageError("--refresh needs --from-inventory.", code="NoInventory", way_out="Name the inventory.")
    if source is None:
        raise UsageError(
            "Nothing says of what to make the manifest.",
            code="NoSource",
            way_out="Name s3://BUCKET/PREFIX/, or --from-inventory URL.",
        )
    return None


async def _create(connection: Connection, request: ManifestRequest) -> CreatedManifest:
    console = Console(stderr=True)
    columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("reading" if request.inventory is not None else "listing")
        told = 0

        def tell(seen: int, kept: int) -> None:
            nonlocal told
            if abs(seen - told) >= _TELL_EVERY:  # a listing after an inventory counts from 0 again
                told = seen
                progress.update(task, description=f"{seen:,} keys seen, {kept:,} kept")

        async with await S3Client.open(connection) as client:
            return await create_manifest(client, request, tell=tell)


def _summarise(created: CreatedManifest, request: ManifestRequest, *, now_ms: int, as_json: bool) -> None:
    proof, kept, inventory = created.proof, request.kept, created.inventory
    if as_json:
        document = {
            "output": request.target,
            "format": request.format,
            "entries": created.entries,
            "bytes": created.bytes,
            "listed": created.listed,
            "delete_markers": created.markers,
            "pin": created.pin,
            "seed": kept.seed if kept.sample is not None else None,
            "requests": proof.requests if proof is not None else None,
            "is_complete": proof is not None,
            "inventory": _inventory_document(inventory, now_ms) if inventory is not None else None,
        }
        sys.stdout.write(json.dumps(document, ensure_ascii=False) + "\n")
    seen = f"{created.listed:,} keys listed" if inventory is None else f"{inventory.rows:,} current rows read"
    lines = [f"{created.entries:,} objects, {size_text(created.bytes)} ({seen})"]
    if isinstance(request.target, str):
        lines[0] += f" written to {request.target}"
    if created.markers:
        lines.append(f"{created.markers:,} delete markers were left out: they hold no object.")
    if kept.sample is not None:
        lines.append(f"A random sample; --seed {kept.seed} repeats it.")
    if inventory is not None:
        lines += _inventory_lines(inventory, created, now_ms)
    elif proof is None:
        lines.append("The limit was reached: the listing was not read to its end.")
    if proof is not None and proof.single_lane_reason is not None:
        lines.append(f"Listed in one lane: {proof.single_lane_reason}.")
    if created.duplicates:
        lines.append(f"{created.duplicates:,} keys were listed twice, and are in the manifest once.")
    sys.stderr.write("".join(f"{visible(line)}\n" for line in lines))


def _inventory_lines(inventory: ReadInventory, created: CreatedManifest, now_ms: int) -> list[str]:
    lines, changes = [], inventory.changes
    if inventory.other_versions or inventory.delete_markers:
        lines.append(
            f"Left out: {inventory.other_versions:,} rows of other versions, {inventory.delete_markers:,} of current "
            "delete markers."
        )
    if changes is None:
        lines.append(inventory_warning(inventory.source_bucket, inventory.created_ms, now_ms=now_ms))
        lines.append("--refresh compares it with a listing, and takes what is there.")
        return lines
    age = age_text(inventory.created_ms, now_ms=now_ms)
    lines.append(
        f"Inventory of s3://{inventory.source_bucket} made {age}, refreshed by a listing of {created.listed:,}"
    )
    lines[-1] += (
        f" keys: {changes.new:,} new, {changes.changed:,} changed, {changes.gone:,} gone, {changes.same:,} the same."
    )
    if changes.unknown:
        lines.append(f"{changes.unknown:,} more are there still; the inventory has no ETag or time to compare.")
    return lines


def _inventory_document(inventory: ReadInventory, now_ms: int) -> dict[str, Any]:
    return {
        "source_bucket": inventory.source_bucket,
        "created": _time_text(inventory.created_ms),
        "age_s": max(0, now_ms - inventory.created_ms) // 1000,
        "rows": inventory.rows,
        "other_versions": inventory.other_versions,
        "delete_markers": inventory.delete_markers,
        "changes": dataclasses.asdict(inventory.changes) if inventory.changes is not None else None,
    }


async def _show(connection: Connection, url: str, options: ReadOptions) -> tuple[ManifestStatistics, Findings]:
    async with AsyncExitStack() as stack:
        # A local file is shown without credentials.
        reader = await stack.enter_async_context(await S3Reader.open(connection)) if is_in_bucket(url) else None
        manifest = await stack.enter_async_context(open_manifest(reader, url, options=options))
        statistics = await asyncio.to_thread(manifest_statistics, manifest.batches())
        return statistics, manifest.findings


def _document(url: str, statistics: ManifestStatistics, findings: Findings) -> dict[str, Any]:
    return {
        "url": url,
        "format": findings.form,
        "entries": statistics.total.entries,
        "bytes": statistics.total.bytes,
        "entries_without_size": statistics.entries_without_size,
        "entries_without_etag": statistics.entries_without_etag,
        "largest": [{"uri": entry.uri, "size": entry.figure} for entry in statistics.largest],
        "oldest": _moment(statistics.oldest),
        "newest": _moment(statistics.newest),
        "by_storage_class": _tallies(statistics.by_storage_class),
        "shared_folder": statistics.shared_folder,
        "by_folder": _tallies(statistics.by_folder),
        "has_version_ids": bool(findings.has_version_ids),
        "messages": _messages(findings),
    }


def _messages(findings: Findings) -> list[str]:
    """Return what was decided and, of an inventory, how old it is."""
    created_ms = findings.inventory_created_ms
    if created_ms is None:
        return list(findings.messages())
    now_ms = round(time.time() * 1000)
    return [inventory_warning(str(findings.inventory_bucket), created_ms, now_ms=now_ms), *findings.messages()]


def _moment(entry: Ranked | None) -> dict[str, str] | None:
    return None if entry is None else {"uri": entry.uri, "last_modified": _time_text(entry.figure)}


def _tallies(tally_by_name: dict[str, Tally]) -> dict[str, dict[str, int]]:
    return {name: dataclasses.asdict(tally) for name, tally in _by_bytes(tally_by_name)}


def _by_bytes(tally_by_name: dict[str, Tally]) -> list[tuple[str, Tally]]:
    return sorted(tally_by_name.items(), key=lambda pair: (-pair[1].bytes, -pair[1].entries, pair[0]))


def _print_statistics(console: Console, url: str, statistics: ManifestStatistics, findings: Findings) -> None:
    total = statistics.total
    console.print(Text(f"{visible(url)}: {total.entries:,} objects, {size_text(total.bytes)} ({findings.form})"))
    for message in _messages(findings):
        console.print(Text(f"Note: {visible(message)}"))
    if statistics.entries_without_size:
        console.print(Text(f"{statistics.entries_without_size:,} entries carry no size; bytes are of the others."))
    for name, entry in (("oldest", statistics.oldest), ("newest", statistics.newest)):
        if entry is not None:
            console.print(Text(f"{name}   {_time_text(entry.figure)}  {visible(entry.uri)}"))
    for entry in statistics.largest:
        console.print(Text(f"largest  {size_text(entry.figure):>12}  {visible(entry.uri)}"))
    if total.entries:
        console.print()
        console.print(bar_table("By storage class", _rows(_by_bytes(statistics.by_storage_class))))
        console.print()
        title = f"By folder below s3://{visible(statistics.shared_folder or '')}"
        console.print(bar_table(title, _rows(_by_bytes(statistics.by_folder))))


def _rows(pairs: Iterable[tuple[str, Tally]]) -> list[BarRow]:
    """Return rows for the biggest, and one for all the rest."""
    rows = [BarRow(name=name, entries=tally.entries, bytes=tally.bytes) for name, tally in pairs]
    rest = rows[_SHOWN_FOLDERS:]
    if not rest:
        return rows
    summed = BarRow(
        name=f"({len(rest):,} more)", entries=sum(row.entries for row in rest), bytes=sum(row.bytes for row in rest)
    )
    return [*rows[:_SHOWN_FOLDERS], summed]


def _bytes(text: str | None) -> int | None:
    if text is None:
        return None
    plain = text.strip().upper().removesuffix("B").removesuffix("I")
    unit = plain[-1:] if plain[-1:].isalpha() else ""
    digits = plain.removesuffix(unit)
    if unit not in _UNITS or not (digits.isascii() and digits.isdecimal()):
        raise UsageError(f"{text!r} is not a size.", code="InvalidSize", way_out="Write bytes, or 10K, 10M, 10G, 10T.")
    return int(digits) * _UNITS[unit]


def _milliseconds(text: str | None) -> int | None:
    if text is None:
        return None
    try:
        moment = datetime.fromisoformat(text)
    except ValueError as error:
        raise UsageError(
            f"{text!r} is not a time.", code="InvalidTime", way_out="Write 2026-11-22 or 2026-11-22T21:00:00Z."
        ) from error
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return round(moment.timestamp() * 1000)


def _time_text(time_ms: int) -> str:
    return datetime.fromtimestamp(time_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
