"""The options that verbs share, in groups; each with its variable and its place in the settings file.

In: what was typed. Out: frozen values, every number checked against its bounds. Nothing is looked up here.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any

import typer

from s3batch.config import SETTINGS, Connection, Kind, Value, default_workers, parse_size
from s3batch.model.attributes import CHECKSUM_ALGORITHMS, Attribute, Encryption, Keep, LockMode, MetadataDirective
from s3batch.model.errors import UsageError
from s3batch.model.job import (
    DEFAULT_CHUNK_ENTRIES,
    DEFAULT_FAILURE_FRACTION,
    DEFAULT_FAILURE_MINIMUM,
    DEFAULT_MULTIPART_THRESHOLD,
    IfTargetExists,
    Level,
    ReportScope,
    VerifyOptions,
)

DEFAULT_PRIORITY = 10
"""AWS's usual value; higher numbers run first."""

_CONTENT = "With --metadata-directive replace or merge."
_CONNECTION = Connection()
_METAVARS = {Kind.COUNT: "N", Kind.SIZE: "SIZE", Kind.NUMBER: "NUMBER", Kind.ADDRESS: "URL", Kind.TEXT: "TEXT"}


def setting_option(name: str) -> Any:  # noqa: ANN401 - Typer's own function says the same
    """Return the option of a setting: its variable, its bounds, its help."""
    setting = SETTINGS[name]
    metavar = "|".join(setting.choices) or _METAVARS[setting.kind]
    return typer.Option(
        f"--{name}",
        envvar=setting.variable,
        help=setting.what,
        metavar=metavar,
        parser=_parser(setting.parse),
        show_default=setting.default is not None,
    )


def _parser(parse: Callable[[str], Value | None]) -> Callable[[str], Value | None]:
    """Return a parser whose refusals are the command line's own."""

    def parsed(value: str) -> Value | None:
        try:
            return parse(value)
        except UsageError as error:
            raise typer.BadParameter(str(error)) from error

    return parsed


def _size(text: str) -> int:
    size = parse_size(str(text))
    if size is None:
        raise UsageError(f"{text!r} is not {Kind.SIZE}.", code="InvalidSize")
    return size


size_parser = _parser(_size)
"""Reads a size with a unit."""


def _moment_ms(text: str | int) -> int:
    if isinstance(text, int):
        return text
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(
            f"{text!r} is not a time.", code="InvalidTime", way_out="Write 2026-11-22 or 2026-11-22T21:00:00Z."
        ) from None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return round(moment.timestamp() * 1000)


@dataclass(frozen=True, kw_only=True, slots=True)
class FromTo:
    """From where to where."""

    source: Annotated[str | None, typer.Argument(metavar="SOURCE", help="s3://BUCKET/PREFIX/", show_default=False)] = (
        None
    )
    target: Annotated[
        str | None,
        typer.Argument(
            metavar="TARGET", help="s3://BUCKET/PREFIX/; what follows SOURCE in a key is kept.", show_default=False
        ),
    ] = None
    manifest: Annotated[
        str | None, typer.Option(metavar="URL", help="Take the objects that this manifest names: s3://... or a file.")
    ] = None
    to: Annotated[str | None, typer.Option(metavar="TARGET", help="With --manifest: where they go.")] = None
    manifest_format: Annotated[
        str | None, typer.Option(metavar="csv|json|parquet", help="By default as the manifest's content says.")
    ] = None
    strip_prefix: Annotated[
        str | None,
        typer.Option(metavar="PREFIX", help="Take this off the front of each key; by default SOURCE's prefix."),
    ] = None
    raw_prefix: Annotated[
        bool, typer.Option("--raw-prefix", help="Prefixes need not end in '/': every key that begins so is meant.")
    ] = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Selection:
    """Which of the objects; names and meanings are those of ``s3batch manifest create``."""

    include: Annotated[list[str] | None, typer.Option(metavar="GLOB", help="Only keys that match (repeatable).")] = None
    exclude: Annotated[list[str] | None, typer.Option(metavar="GLOB", help="No keys that match (repeatable).")] = None
    regex: Annotated[str | None, typer.Option(metavar="REGEX", help="Only keys in which this is found.")] = None
    min_size: Annotated[
        int | None, typer.Option(metavar="SIZE", parser=size_parser, help="Only objects at least so large.")
    ] = None
    max_size: Annotated[
        int | None, typer.Option(metavar="SIZE", parser=size_parser, help="Only objects at most so large.")
    ] = None
    modified_after: Annotated[
        int | None, typer.Option(metavar="TIME", parser=_parser(_moment_ms), help="Only objects not older than this.")
    ] = None
    modified_before: Annotated[
        int | None, typer.Option(metavar="TIME", parser=_parser(_moment_ms), help="Only objects older than this.")
    ] = None
    storage_class_in: Annotated[
        list[str] | None, typer.Option(metavar="CLASS", help="Only objects of this class (repeatable).")
    ] = None
    limit: Annotated[int | None, typer.Option(metavar="N", min=1, help="Only the first N in the order of keys.")] = None
    sample: Annotated[int | None, typer.Option(metavar="N", min=1, help="Only N, chosen at random.")] = None
    seed: Annotated[
        int | None, typer.Option(metavar="N", help="Of the random choice, to repeat it.", show_default=False)
    ] = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Copying:
    """How objects are copied."""

    if_target_exists: Annotated[IfTargetExists, typer.Option(help="What to do where the target key is taken.")] = (
        IfTargetExists.FAIL
    )
    storage_class: Annotated[
        str | None, typer.Option(metavar="CLASS", help="Of the copies; by default each object's own.")
    ] = None
    ignore_lifecycle: Annotated[
        bool, typer.Option("--ignore-lifecycle", help="Copy also where a lifecycle rule of the target deletes copies.")
    ] = False
    multipart_threshold: Annotated[int, setting_option("multipart-threshold")] = DEFAULT_MULTIPART_THRESHOLD
    part_size: Annotated[int | None, setting_option("part-size")] = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Attributes:
    """What copies have beyond their bytes; metadata, content headers, tags and class are the source's by default."""

    keep: Annotated[
        list[str] | None,
        typer.Option(
            metavar="|".join([*Keep, "all"]),
            help="Keep also this of each source, which costs a read of each (repeatable). S3 gives a copy the target"
            " bucket's default instead.",
        ),
    ] = None
    metadata_directive: Annotated[
        MetadataDirective,
        typer.Option(help="Metadata and content headers: the source's, only those given here, or both."),
    ] = MetadataDirective.COPY
    metadata: Annotated[list[str] | None, typer.Option(metavar="NAME=VALUE", help="User metadata (repeatable).")] = None
    content_type: Annotated[str | None, typer.Option(metavar="TYPE", help=_CONTENT)] = None
    cache_control: Annotated[str | None, typer.Option(metavar="TEXT", help=_CONTENT)] = None
    content_disposition: Annotated[str | None, typer.Option(metavar="TEXT", help=_CONTENT)] = None
    content_encoding: Annotated[str | None, typer.Option(metavar="TEXT", help=_CONTENT)] = None
    content_language: Annotated[str | None, typer.Option(metavar="TEXT", help=_CONTENT)] = None
    expires: Annotated[str | None, typer.Option(metavar="HTTP-DATE", help=_CONTENT)] = None
    tag: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="Tags in place of the source's (repeatable).")
    ] = None
    no_tags: Annotated[bool, typer.Option("--no-tags", help="Copies have no tags.")] = False
    acl: Annotated[str | None, typer.Option(metavar="CANNED-ACL", help="For example bucket-owner-full-control.")] = None
    grant: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PERMISSION=GRANTEE",
            help="read, read-acp, write-acp or full-control = id=..., uri=... (repeatable).",
        ),
    ] = None
    sse: Annotated[str | None, typer.Option(metavar="|".join(Encryption), help="Encryption at rest.")] = None
    sse_kms_key_id: Annotated[str | None, typer.Option(metavar="KEY", help="With --sse aws:kms.")] = None
    bucket_key: Annotated[
        bool | None, typer.Option("--bucket-key/--no-bucket-key", help="S3 Bucket Keys, with --sse aws:kms.")
    ] = None
    checksum_algorithm: Annotated[
        str | None, typer.Option(metavar="|".join(CHECKSUM_ALGORITHMS), help="By default the source's.")
    ] = None
    website_redirect: Annotated[str | None, typer.Option(metavar="LOCATION", help="Of the copies, all the same.")] = (
        None
    )
    object_lock_mode: Annotated[str | None, typer.Option(metavar="|".join(LockMode), help="With a time.")] = None
    object_lock_retain_until: Annotated[
        str | None, typer.Option(metavar="TIME", help="ISO 8601, for example 2030-01-01T00:00:00Z.")
    ] = None
    object_lock_legal_hold: Annotated[str | None, typer.Option(metavar="on|off", help="Legal hold of the copies.")] = (
        None
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class Proving:
    """How copies are proven."""

    level: Annotated[
        Level,
        typer.Option(
            help="What proves a copy: equal ETags; full-object checksums where ETags cannot decide; every byte read;"
            " or only the copy's own answer (weakest)."
        ),
    ] = Level.ETAG
    with_metadata: Annotated[
        bool,
        typer.Option(
            "--with-metadata",
            help="Compare user metadata, content headers, Expires and website redirect, too: two HEADs an object.",
        ),
    ] = False
    with_tags: Annotated[
        bool,
        typer.Option(
            "--with-tags", help="Compare tags, too: GetObjectTagging on both sides and up to three HEADs an object."
        ),
    ] = False
    with_storage_class: Annotated[
        bool,
        typer.Option(
            "--with-storage-class",
            help="Compare storage classes, too: the one that the copy was told, else the source's. Two HEADs each.",
        ),
    ] = False

    def options(self) -> VerifyOptions:
        """Return what a specification says of it."""
        asked = {
            Attribute.METADATA: self.with_metadata,
            Attribute.STORAGE_CLASS: self.with_storage_class,
            Attribute.TAGS: self.with_tags,
        }
        return VerifyOptions(level=self.level, attributes=tuple(name for name, is_asked in asked.items() if is_asked))


PermanentOption = Annotated[
    bool,
    typer.Option(
        "--permanent",
        help="Delete for good the versions that the manifest names (`manifest create --versions`); no delete markers.",
    ),
]
TrustListingsOption = Annotated[
    bool,
    typer.Option(
        "--trust-listings",
        help="My word that this store's listings are strongly consistent, as AWS's are: no HEADs before each delete.",
    ),
]


ProbePrefixOption = Annotated[
    list[str] | None,
    typer.Option(
        "--probe-prefix",
        metavar="s3://BUCKET/PREFIX/",
        help="Write small objects (canaries) below this prefix, to find out what the store honours and loses, and"
        " remove them (once for each bucket). Without it nothing is written to find out.",
    ),
]


@dataclass(frozen=True, kw_only=True, slots=True)
class Probing:
    """Whether the store is probed by writing, and what follows."""

    probe_prefix: ProbePrefixOption = None
    ignore_losses: Annotated[
        bool, typer.Option("--ignore-losses", help="Copy also where a probe found that copies lose metadata or tags.")
    ] = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Store:
    """How to reach the store."""

    endpoint_url: Annotated[str | None, setting_option("endpoint-url")] = None
    region: Annotated[str | None, setting_option("region")] = None
    profile: Annotated[str | None, setting_option("profile")] = None
    addressing: Annotated[str, setting_option("addressing")] = "auto"
    ca_bundle: Annotated[str | None, setting_option("ca-bundle")] = None
    concurrency: Annotated[int, setting_option("concurrency")] = _CONNECTION.concurrency
    max_rate: Annotated[float | None, setting_option("max-rate")] = None
    connect_timeout: Annotated[float, setting_option("connect-timeout")] = _CONNECTION.connect_timeout_s
    read_timeout: Annotated[float, setting_option("read-timeout")] = _CONNECTION.read_timeout_s
    requester_pays: Annotated[
        bool, typer.Option("--requester-pays", help="I pay for the requests, not the buckets' owner.")
    ] = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Reporting:
    """What is reported, and when a job gives up."""

    report: Annotated[str | None, setting_option("report")] = None
    report_scope: Annotated[str, setting_option("report-scope")] = str(ReportScope.ALL_TASKS)
    chunk_entries: Annotated[int, setting_option("chunk-entries")] = DEFAULT_CHUNK_ENTRIES
    failure_threshold: Annotated[float, setting_option("failure-threshold")] = DEFAULT_FAILURE_FRACTION
    failure_minimum: Annotated[int, setting_option("failure-minimum")] = DEFAULT_FAILURE_MINIMUM


@dataclass(frozen=True, kw_only=True, slots=True)
class Following:
    """Whether and how the command follows the job."""

    workers: Annotated[int, setting_option("workers")] = default_workers()
    detach: Annotated[bool, typer.Option("--detach", help="Print the id and leave; a runner goes on.")] = False
    as_json: Annotated[bool, typer.Option("--json", help="One JSON document on standard output.")] = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Creating:
    """What else is recorded with a new job."""

    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Stop at the plan; nothing is written to the store. Can be confirmed.")
    ] = False
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before proven originals are deleted.")] = False
    priority: Annotated[int, typer.Option(metavar="N", min=0, max=2**31 - 1, help="Higher ones run first.")] = (
        DEFAULT_PRIORITY
    )
    description: Annotated[str, typer.Option(metavar="TEXT", help="For people.", show_default=False)] = ""
