"""Preflight: what two buckets will do by themselves to copies and originals, and what these credentials may do.

In: what was read of the buckets, what was tried, whether the job says its own encryption. Out: findings. Pure; nothing
is guessed: what was not read or not tried is said to be so (safety.md rules 15 and 24).
Facts: S3 User Guide, read 2026-11 (default encryption and ETags: "Checking object integrity"; suspended versioning:
"Adding objects to versioning-suspended buckets").
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum

from s3batch.plan.findings import Finding, Weight, bounded
from s3batch.plan.lifecycle import lifecycle_findings, may_share_keys, unread_lifecycle
from s3batch.s3 import bucket_settings as settings
from s3batch.s3.bucket_reading import BucketReading, Unread
from s3batch.s3.bucket_settings import DefaultEncryption, Setting

_CREATED = "s3:ObjectCreated"
_REMOVED = "s3:ObjectRemoved"
_ANY = "s3:*"


class Ability(StrEnum):
    """What was tried, by a real request."""

    LIST_SOURCE = "list-source"
    READ_SOURCE = "read-source"
    READ_TAGS = "read-tags"
    LIST_TARGET = "list-target"


@dataclass(frozen=True, kw_only=True, slots=True)
class Tried:
    """One ability and how it went."""

    ability: Ability
    place: str
    """The address that was asked for."""
    refused: str = ""
    """The code of the refusal; empty where it went well."""
    is_empty: bool = False
    """It was a listing, and nothing was there."""


def copy_findings(
    target: BucketReading, prefix: str, *, ignore_lifecycle: bool, has_encryption: bool = False
) -> tuple[Finding, ...]:
    """Return what the target bucket does to copies below ``prefix``.

    With ``has_encryption`` the copies have an encryption of their own, so that the bucket's default does not matter.
    """
    return (
        *_lifecycle(target, prefix, ignore_lifecycle=ignore_lifecycle),
        *_notifications(target, prefix, _CREATED, code="TargetNotifies", what="Each copy"),
        *_replication(target, prefix),
        *([] if has_encryption else _encryption(target)),
        *_retention(target),
        *_target_versioning(target),
        *_unread(target),
    )


def source_findings(source: BucketReading, prefix: str, *, requester_pays: bool) -> tuple[Finding, ...]:
    """Return what the source bucket does to originals below ``prefix``, and to who reads and deletes them."""
    return (
        *_source_versioning(source),
        *_notifications(source, prefix, _REMOVED, code="SourceNotifies", what="Each delete of an original"),
        *_marker_replication(source, prefix),
        *_payer(source, requester_pays=requester_pays),
        *_source_unread(source),
    )


def pair_findings(source: BucketReading, target: BucketReading) -> tuple[Finding, ...]:
    """Return in what the two buckets differ so that it matters."""
    if source.region == target.region or isinstance(source.region, Unread) or isinstance(target.region, Unread):
        return ()
    return (
        Finding(
            weight=Weight.WARNING,
            code="RegionsDiffer",
            text=f"{source.bucket} is in {source.region}, {target.bucket} in {target.region}: copies cross regions,"
            " which is slower and may be charged by the byte.",
        ),
    )


def ability_findings(tried: Sequence[Tried], *, writes_are_probed: bool = False) -> tuple[Finding, ...]:
    """Return what these credentials can do, as tried; and that writes were not, unless they are (``probes``)."""
    found = tuple(_ability(each) for each in tried)
    if writes_are_probed:
        return found
    unprobed = Finding(
        weight=Weight.NOTE,
        code="WritesNotProbed",
        text="Writing to the target and deleting from the source were not probed: nothing is written here.",
        way_out="--probe-prefix names a prefix below which canaries may be written.",
    )
    return (*found, unprobed)


def _ability(tried: Tried) -> Finding:
    match tried.ability:
        case Ability.LIST_SOURCE:
            return _source_listing(tried)
        case Ability.READ_SOURCE:
            return _source_reading(tried)
        case Ability.READ_TAGS:
            return _tags_reading(tried)
        case Ability.LIST_TARGET:
            return _target_listing(tried)


def _source_listing(tried: Tried) -> Finding:
    if tried.refused:
        return Finding(
            weight=Weight.REFUSAL,
            code="SourceNotListed",
            text=f"{tried.place} cannot be listed ({tried.refused}).",
            way_out="Allow s3:ListBucket on the source, or copy what a manifest names (--manifest).",
        )
    if tried.is_empty:
        return Finding(
            weight=Weight.WARNING,
            code="SourceEmpty",
            text=f"{tried.place} holds no object, so that reading one was not tried.",
            way_out="Check the prefix.",
        )
    return Finding(weight=Weight.OK, code="SourceListed", text=f"{tried.place} can be listed.")


def _source_reading(tried: Tried) -> Finding:
    if tried.refused == "InvalidObjectState":
        return Finding(
            weight=Weight.WARNING,
            code="SourceArchived",
            text=f"{tried.place} is archived: it cannot be read before a restore.",
        )
    if tried.refused:
        return Finding(
            weight=Weight.REFUSAL,
            code="SourceNotRead",
            text=f"{tried.place} cannot be read ({tried.refused}).",
            way_out="Allow s3:GetObject on the source, and kms:Decrypt on its key if it has one.",
        )
    return Finding(weight=Weight.OK, code="SourceRead", text=f"{tried.place} can be read.")


def _tags_reading(tried: Tried) -> Finding:
    if tried.refused:
        return Finding(
            weight=Weight.WARNING,
            code="TagsNotRead",
            text=f"The tags of {tried.place} cannot be read ({tried.refused}): copies of objects with tags may fail.",
            way_out="Allow s3:GetObjectTagging on the source.",
        )
    return Finding(weight=Weight.OK, code="TagsRead", text=f"The tags of {tried.place} can be read.")


def _target_listing(tried: Tried) -> Finding:
    if tried.refused:
        return Finding(
            weight=Weight.WARNING,
            code="TargetNotListed",
            text=f"{tried.place} cannot be listed ({tried.refused}): each target is asked for by itself.",
            way_out="Allow s3:ListBucket on the target.",
        )
    if tried.is_empty:
        return Finding(
            weight=Weight.OK, code="TargetListed", text=f"{tried.place} can be listed, and nothing is there yet."
        )
    return Finding(
        weight=Weight.NOTE,
        code="TargetTaken",
        text=f"{tried.place} can be listed, and objects are there; where a target key is taken, --if-target-exists"
        " decides.",
    )


def _lifecycle(target: BucketReading, prefix: str, *, ignore_lifecycle: bool) -> tuple[Finding, ...]:
    if isinstance(target.lifecycle, Unread):
        return (unread_lifecycle(target.bucket, target.lifecycle.code),)
    return lifecycle_findings(target.lifecycle, bucket=target.bucket, prefix=prefix, ignore_expiry=ignore_lifecycle)


def _notifications(reading: BucketReading, prefix: str, event: str, *, code: str, what: str) -> tuple[Finding, ...]:
    if isinstance(reading.notifications, Unread):
        return ()
    return bounded(
        [
            Finding(
                weight=Weight.WARNING,
                code=code,
                text=f"{what} sends an event to {each.destination} (notification of {reading.bucket}).",
                way_out="Make sure that its receiver can take as many.",
            )
            for each in reading.notifications
            if may_share_keys(each.prefix, prefix) and _is_among(event, each.events)
        ]
    )


def _is_among(event: str, events: Iterable[str]) -> bool:
    return any(each == _ANY or each.startswith(event) for each in events)


def _replication(target: BucketReading, prefix: str) -> tuple[Finding, ...]:
    if isinstance(target.replication, Unread):
        return ()
    return bounded(
        [
            Finding(
                weight=Weight.WARNING,
                code="TargetReplicates",
                text=f"Each copy is replicated to {rule.destination} (rule {rule.name} of {target.bucket}):"
                " its bytes and requests cost there as well.",
            )
            for rule in target.replication
            if rule.is_enabled and may_share_keys(rule.prefix, prefix)
        ]
    )


def _marker_replication(source: BucketReading, prefix: str) -> tuple[Finding, ...]:
    if isinstance(source.replication, Unread):
        return ()
    return bounded(
        [
            Finding(
                weight=Weight.WARNING,
                code="SourceReplicatesDeletes",
                text=f"Delete markers of originals are replicated to {rule.destination} (rule {rule.name} of"
                f" {source.bucket}): what a move deletes is hidden there, too.",
            )
            for rule in source.replication
            if rule.is_enabled and rule.replicates_markers and may_share_keys(rule.prefix, prefix)
        ]
    )


def _encryption(target: BucketReading) -> list[Finding]:
    default = target.encryption
    if not isinstance(default, DefaultEncryption) or not default.algorithm.startswith("aws:kms"):
        return []
    return [
        Finding(
            weight=Weight.WARNING,
            code="TargetEncrypts",
            text=f"{target.bucket} encrypts by {default.algorithm} by default, which gives copies ETags of their own:"
            " verify needs checksums on both sides, or --level bytes.",
        )
    ]


def _retention(target: BucketReading) -> list[Finding]:
    if target.retention is None or isinstance(target.retention, Unread):
        return []
    return [
        Finding(
            weight=Weight.WARNING,
            code="TargetLocks",
            text=f"{target.bucket} locks each new object for {target.retention.period} ({target.retention.mode}):"
            " a copy cannot be deleted for good before.",
        )
    ]


def _target_versioning(target: BucketReading) -> list[Finding]:
    if target.versioning != "Suspended":
        return []
    return [
        Finding(
            weight=Weight.WARNING,
            code="TargetVersioningSuspended",
            text=f"Versioning of {target.bucket} is suspended: a copy over a null version destroys it. The versions of"
            " each target are listed first, and one with a null version below others is not written.",
            way_out="Enable versioning to save these requests.",
        )
    ]


def _source_versioning(source: BucketReading) -> list[Finding]:
    if source.versioning == "Suspended":
        return [
            Finding(
                weight=Weight.WARNING,
                code="VersioningSuspended",
                text=f"Versioning of {source.bucket} is suspended: null versions are deleted for good. The versions of"
                " each key are listed first, and a key with a null version that is another object is kept.",
                way_out="Enable versioning on the bucket to leave delete markers instead.",
            )
        ]
    if source.versioning == "Enabled":
        return [
            Finding(
                weight=Weight.NOTE,
                code="SourceVersioned",
                text=f"{source.bucket} keeps versions: deletes put markers, can be undone, and free no bytes.",
            )
        ]
    if isinstance(source.versioning, Unread):
        return [
            Finding(
                weight=Weight.WARNING,
                code="VersioningNotRead",
                text=f"Versioning of {source.bucket} could not be read ({source.versioning.code}): a delete or a move"
                " is refused.",
                way_out="Allow s3:GetBucketVersioning.",
            )
        ]
    return [
        Finding(
            weight=Weight.NOTE,
            code="SourceNotVersioned",
            text=f"{source.bucket} keeps no versions: what is deleted there is gone.",
        )
    ]


def _payer(source: BucketReading, *, requester_pays: bool) -> list[Finding]:
    if source.payer != "Requester" or requester_pays:
        return []
    return [
        Finding(
            weight=Weight.WARNING,
            code="RequesterPays",
            text=f"Who sends requests to {source.bucket} pays for them; without saying so only its owner is served.",
            way_out="Say so by --requester-pays.",
        )
    ]


def _source_unread(source: BucketReading) -> list[Finding]:
    denied = _denied(((settings.NOTIFICATIONS, source.notifications), (settings.REPLICATION, source.replication)))
    if not denied:
        return []
    return [
        Finding(
            weight=Weight.WARNING,
            code="SourceSettingsNotRead",
            text=f"Not readable of {source.bucket}: {', '.join(denied)}.",
            way_out="Ask its owner what it does when objects are deleted.",
        )
    ]


def _denied(read: Iterable[tuple[Setting[object], object]]) -> list[str]:
    """Return what these credentials may not ask for, with the refusal's code."""
    return [
        f"{setting.noun} ({found.code})"
        for setting, found in read
        if isinstance(found, Unread) and not found.is_unknown_to_store
    ]


def _unread(target: BucketReading) -> tuple[Finding, ...]:
    """Say in one sentence each what could not be asked, and what the store has no notion of."""
    read = (
        (settings.NOTIFICATIONS, target.notifications),
        (settings.REPLICATION, target.replication),
        (settings.ENCRYPTION, target.encryption),
        (settings.OBJECT_LOCK, target.retention),
        (settings.VERSIONING, target.versioning),
    )
    unknown = [setting.noun for setting, found in read if isinstance(found, Unread) and found.is_unknown_to_store]
    denied = _denied(read)
    findings = []
    if denied:
        findings.append(
            Finding(
                weight=Weight.WARNING,
                code="SettingsNotRead",
                text=f"Not readable of {target.bucket}: {', '.join(denied)}.",
                way_out="Ask its owner what it does to new objects.",
            )
        )
    if unknown:
        findings.append(
            Finding(
                weight=Weight.NOTE,
                code="SettingsUnknown",
                text=f"This store does not know: {', '.join(unknown)}.",
            )
        )
    return tuple(findings)
