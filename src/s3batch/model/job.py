"""What a job is asked to do, as one value that is recorded in the ledger before anything else happens.

A specification holds names, options and the connection's settings, never a secret. Its JSON form is stored with the
job and is read by runners of the same or a later version: members may be added with a default, never renamed.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from enum import StrEnum
from typing import Any, Self

from s3batch.model.attributes import AS_SOURCES, Attribute, CopyAttributes
from s3batch.model.errors import InconsistentError
from s3batch.model.estimate import Estimate

DEFAULT_CHUNK_ENTRIES = 10_000
"""Entries per chunk at most: about ten LIST pages, a few seconds of work."""

DEFAULT_CHUNK_BYTES = 64 * 1024**3
"""Bytes per chunk at most, so that a chunk of large objects ends within minutes."""

DEFAULT_MULTIPART_THRESHOLD = 1024**3
"""Objects of this size and above are copied in parallel parts (1 GiB); 5 GiB is S3's upper bound for one request."""

DEFAULT_FAILURE_FRACTION = 0.5
"""AWS's threshold: over 50 % of the tasks failed ... (User Guide, "Tracking job status", read 2026-11)."""

DEFAULT_FAILURE_MINIMUM = 1_000
"""... once at least this many tasks have run."""


DEFAULT_MAX_EVIDENCE_AGE_S = 7 * 86_400
"""How old a proof may be when its source is deleted: a weekend's thought, and no forgotten job of last month. Ours,
2026-11; both sides are read again just before in any case."""


class Operation(StrEnum):
    """What a task does to its entry."""

    COPY = "copy"
    VERIFY = "verify"
    DELETE = "delete"
    UNDO = "undo"
    """Remove the delete markers that a delete job made."""


class IfTargetExists(StrEnum):
    """What a copy does where the target key is taken (safety.md rule 6)."""

    FAIL = "fail"
    SKIP_IF_SAME = "skip-if-same"
    SKIP = "skip"
    OVERWRITE = "overwrite"


class Level(StrEnum):
    """How strongly a copy is proven, strongest last (safety.md rule 11)."""

    RESPONSE = "response"
    ETAG = "etag"
    CHECKSUM = "checksum"
    BYTES = "bytes"


class Extra(StrEnum):
    """What a verify does about objects at the target that no entry explains, where it was told to look for them."""

    REPORT = "report"
    """List them."""
    FAIL = "fail"
    """List them, and count any as a difference (exit code 3)."""


class ReportScope(StrEnum):
    """Which tasks a completion report has rows for."""

    ALL_TASKS = "AllTasks"
    FAILED_TASKS_ONLY = "FailedTasksOnly"


@dataclass(frozen=True, kw_only=True, slots=True)
class KeyMapping:
    """Where a key goes: ``strip_prefix`` is taken off its front and ``add_prefix`` is put there instead."""

    target_bucket: str
    strip_prefix: str = ""
    add_prefix: str = ""

    def target_key(self, key: str) -> str:
        """Return the mapped key. The caller has checked that ``key`` begins with ``strip_prefix``."""
        return self.add_prefix + key[len(self.strip_prefix) :]


@dataclass(frozen=True, kw_only=True, slots=True)
class ManifestSource:
    """Where the entries come from: exactly one of a listing, a manifest file, or another job's pinned manifest."""

    list_bucket: str | None = None
    list_prefix: str = ""
    filter: Mapping[str, Any] = field(default_factory=dict)
    """Arguments of the manifest filter, by name; empty keeps everything."""
    url: str | None = None
    """A manifest file: an ``s3://`` address or a local path, made absolute."""
    format: str | None = None
    pin: str | None = None
    """The file's ETag (in a bucket) or SHA-256 (local) when the job was created; another one fails the job."""
    job_id: str | None = None
    """Take that job's normalised manifest; for verify and delete its segments too."""
    codes: tuple[str, ...] = ()
    """With ``is_retry``: only rows that ended with these codes; empty means every failed or kept row."""
    is_retry: bool = False
    """Take the failed and kept rows of ``job_id`` only, to try them again."""
    is_entries_only: bool = False
    """Take the manifest of ``job_id`` only; what it found about the entries is not built on."""

    @property
    def evidence_job_id(self) -> str | None:
        """Return the job whose outcomes this one builds on: a copy for verify, a verify for delete."""
        return None if self.is_retry or self.is_entries_only else self.job_id


@dataclass(frozen=True, kw_only=True, slots=True)
class CopyOptions:
    """How objects are copied."""

    if_target_exists: IfTargetExists = IfTargetExists.FAIL
    multipart_threshold: int = DEFAULT_MULTIPART_THRESHOLD
    part_size: int | None = None
    """Bytes per part wanted; ``None`` keeps the source's part layout where it is known, else 64 MiB or more."""
    storage_class: str | None = None
    """``None`` keeps each object's own class."""
    attributes: CopyAttributes = AS_SOURCES
    ignore_lifecycle: bool = False
    """Copy although a lifecycle rule of the target bucket deletes copies (safety.md rule 24)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class VerifyOptions:
    """How copies are proven."""

    level: Level = Level.ETAG
    attributes: tuple[Attribute, ...] = ()
    """What is compared beside the bytes."""
    extra: Extra | None = None
    """``None`` does not look at what the target has beyond the entries."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DeleteOptions:
    """What a delete may do."""

    unverified: bool = False
    """No copy was proven; only the identity pinned by the manifest guards each delete."""
    max_objects: int | None = None
    """Refuse the job if it would delete more objects than this."""
    max_bytes: int | None = None
    """Refuse the job if its objects have more bytes than this together."""
    required: tuple[Attribute, ...] = ()
    """What verify must have compared beside the bytes; else the source is kept (safety.md rule 13)."""
    permanent: bool = False
    """Delete for good the versions that the manifest names, instead of putting delete markers (rule 16)."""
    max_evidence_age_s: int = DEFAULT_MAX_EVIDENCE_AGE_S
    """How old a proof may be when its source is deleted."""
    backup_job_id: str | None = None
    """The verify job of a backup; a source of which it proved no copy is kept."""
    trust_listings: bool = False
    """The user's word that this store's listings are strongly consistent, as AWS's are; else objects are asked for by
    HEAD before their delete (safety.md rule 12)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ProbeOptions:
    """Where canaries may be written to find out how the store works (safety.md rules 8 and 15)."""

    prefixes: tuple[str, ...] = ()
    """``s3://`` addresses, one in a bucket; nothing is probed elsewhere."""
    ignore_losses: bool = False
    """Copy although copies there lose metadata or tags."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReportOptions:
    """Where the completion report goes and what is in it."""

    url: str | None = None
    """``s3://bucket/prefix`` or a folder; ``None`` is the job's own folder."""
    scope: ReportScope = ReportScope.ALL_TASKS


@dataclass(frozen=True, kw_only=True, slots=True)
class Connection:
    """How to reach a store. Names and settings only: secrets stay in the credential chain."""

    endpoint_url: str | None = None
    """``None`` lets environment and configuration files say; the empty text is AWS, whatever they say."""
    region: str | None = None
    profile: str | None = None
    addressing: str = "auto"
    """``auto``, ``path`` or ``virtual``."""
    ca_bundle: str | None = None
    verify_tls: bool = True
    concurrency: int = 256
    """Requests in flight per process at most."""
    max_rate: float | None = None
    """Requests a second at most, over all processes of a job."""
    connect_timeout_s: float = 10.0
    read_timeout_s: float = 60.0
    requester_pays: bool = False
    """Requests are paid by who sends them, not by the bucket's owner."""


@dataclass(frozen=True, kw_only=True, slots=True)
class JobSpec:
    """Everything that was asked of one job."""

    operation: Operation
    source: ManifestSource
    mapping: KeyMapping | None = None
    copy: CopyOptions = CopyOptions()
    verify: VerifyOptions = VerifyOptions()
    delete: DeleteOptions = DeleteOptions()
    probe: ProbeOptions = ProbeOptions()
    report: ReportOptions = ReportOptions()
    connection: Connection = Connection()
    chunk_entries: int = DEFAULT_CHUNK_ENTRIES
    chunk_bytes: int = DEFAULT_CHUNK_BYTES
    failure_fraction: float = DEFAULT_FAILURE_FRACTION
    failure_minimum: int = DEFAULT_FAILURE_MINIMUM
    hold_s: int | None = None
    """Once it is planned, wait so long before the first task: the verify job that renews the evidence after a hold."""
    list_source_at_end: bool = False
    """The last step of a move: list the source and say what remains and why (safety.md rule 23)."""

    def to_json(self) -> str:
        """Return the form that the ledger keeps."""
        members = asdict(self)
        members["copy"]["attributes"] = self.copy.attributes.to_members()
        return json.dumps(members, separators=(",", ":"), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Return the specification that :meth:`to_json` wrote.

        Raises:
            InconsistentError: the text has members that this version does not know.
        """
        raw = json.loads(text)
        try:
            mapping = raw.pop("mapping", None)
            source = raw.pop("source")
            source["codes"] = tuple(source.get("codes", ()))
            copy = raw.pop("copy", {})
            copy["if_target_exists"] = IfTargetExists(copy.get("if_target_exists", IfTargetExists.FAIL))
            copy["attributes"] = CopyAttributes.from_members(copy.get("attributes", {}))
            verify, delete = raw.pop("verify", {}), raw.pop("delete", {})
            delete["required"] = tuple(map(Attribute, delete.get("required", ())))
            report = raw.pop("report", {})
            probe = raw.pop("probe", {})
            probe["prefixes"] = tuple(probe.get("prefixes", ()))
            return cls(
                operation=Operation(raw.pop("operation")),
                source=ManifestSource(**source),
                mapping=None if mapping is None else KeyMapping(**mapping),
                copy=CopyOptions(**copy),
                verify=VerifyOptions(
                    level=Level(verify.get("level", Level.ETAG)),
                    attributes=tuple(map(Attribute, verify.get("attributes", ()))),
                    extra=None if verify.get("extra") is None else Extra(verify["extra"]),
                ),
                delete=DeleteOptions(**delete),
                probe=ProbeOptions(**probe),
                report=ReportOptions(
                    url=report.get("url"), scope=ReportScope(report.get("scope", ReportScope.ALL_TASKS))
                ),
                connection=Connection(**raw.pop("connection", {})),
                **raw,
            )
        except (KeyError, TypeError, ValueError) as error:
            raise InconsistentError(
                f"The ledger holds a job specification that this version cannot read: {error}.",
                code="UnknownSpecification",
                way_out="Use the version of s3batch that created the job, or a later one.",
            ) from error


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What a job is going to do, computed before anything is touched and shown to the user."""

    entries: int
    bytes: int
    chunks: int
    missing: int = 0
    """Entries whose object was not found; their tasks fail as NoSuchKey without a request."""
    missing_examples: tuple[str, ...] = ()
    archived: int = 0
    multipart: int = 0
    """Entries that are copied in parts."""
    duplicates: int = 0
    """Rows of the manifest that named an entry again; dropped."""
    decidable_by_etag: int = 0
    """Entries whose ETag is that of a single part, so that equal ETags can be expected of a plain copy."""
    requests: Mapping[str, int] = field(default_factory=dict)
    """Estimated requests by kind."""
    largest_bytes: int = 0
    markers: int = 0
    """Of an undo: delete markers on record, which it would remove."""
    examples: tuple[tuple[str, str], ...] = ()
    """A few source and target addresses as the mapping makes them."""
    warnings: tuple[str, ...] = ()
    manifest_sha256: str = ""
    estimate: Estimate | None = None
    """What the job is expected to cost and take; ``None`` in the plan of an older version."""

    def to_json(self) -> str:
        """Return the form that the ledger keeps."""
        return json.dumps(asdict(self), separators=(",", ":"), ensure_ascii=False)

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Return the plan that :meth:`to_json` wrote; members of later versions are left out."""
        raw = json.loads(text)
        known = {name: raw[name] for name in (each.name for each in fields(cls)) if name in raw}
        for name in ("missing_examples", "warnings"):
            known[name] = tuple(known.get(name, ()))
        known["examples"] = tuple((source, target) for source, target in known.get("examples", ()))
        if known.get("estimate") is not None:
            known["estimate"] = Estimate.from_members(known["estimate"])
        return cls(**known)
