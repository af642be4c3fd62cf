"""A backup before a delete: a copy of the originals to another prefix, and the verify job that proves it.

In: what is to be deleted and where the backup goes. Out: two specifications over the very same entries. The whole key
is kept below the backup's prefix, so that originals of several prefixes never meet there. What is there already and is
the same counts, once it is proven, so that a second go needs no second place.
"""

from __future__ import annotations

from dataclasses import replace

from s3batch.model.errors import RefusedError
from s3batch.model.job import CopyOptions, IfTargetExists, JobSpec, KeyMapping, ManifestSource, Operation
from s3batch.model.objects import S3Prefix


def backup_mapping(backup: S3Prefix, *, source: ManifestSource, mapping: KeyMapping | None) -> KeyMapping:
    """Return where the backup's copies go; ``source`` is where the originals are, ``mapping`` where their copies are.

    Raises:
        RefusedError: code ``BackupOverlaps``: it would lie among the originals or the copies, or they in it. An object
            that is a copy already would then count as its own backup.
    """
    taken = [] if mapping is None else [S3Prefix(bucket=mapping.target_bucket, prefix=mapping.add_prefix)]
    if source.list_bucket is not None:
        taken.append(S3Prefix(bucket=source.list_bucket, prefix=source.list_prefix))
    for other in taken:
        if _overlap(backup, other):
            raise RefusedError(
                f"The backup {backup} and {other} overlap: a copy would count as its own backup, or be in its way.",
                code="BackupOverlaps",
                way_out="Name a prefix of its own, best in another bucket.",
            )
    return KeyMapping(target_bucket=backup.bucket, add_prefix=backup.prefix)


def backup_specs(spec: JobSpec, mapping: KeyMapping, *, manifest_of: str, copy_id: str) -> tuple[JobSpec, JobSpec]:
    """Return the copy of the entries of ``manifest_of`` to the backup, and the verify of that copy, ``copy_id``.

    Both look as strongly as the verify job of the delete did.
    """
    copy = replace(
        spec,
        operation=Operation.COPY,
        source=ManifestSource(job_id=manifest_of, is_entries_only=True),
        mapping=mapping,
        copy=CopyOptions(
            if_target_exists=IfTargetExists.SKIP_IF_SAME,
            multipart_threshold=spec.copy.multipart_threshold,
            part_size=spec.copy.part_size,
        ),
        hold_s=None,
        list_source_at_end=False,
    )
    verify = replace(
        copy,
        operation=Operation.VERIFY,
        source=ManifestSource(job_id=copy_id),
        verify=replace(spec.verify, extra=None),
    )
    return copy, verify


def _overlap(one: S3Prefix, other: S3Prefix) -> bool:
    is_within = one.prefix.startswith(other.prefix) or other.prefix.startswith(one.prefix)
    return one.bucket == other.bucket and is_within
