"""What version ids in a manifest mean for a job: what is refused, and what becomes current again. Pure.

In: the keys and version ids of a chunk's entries; of a key that is listed, its versions. Out: a refusal, or a sentence
for the plan. A manifest with version ids is deleted only for good, and only where that was asked for (safety.md
rule 16); deleting the current version of a key makes the next older one current, whatever it holds.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

from s3batch.model.errors import RefusedError
from s3batch.model.job import JobSpec
from s3batch.s3.answers import ObjectVersion

_EXAMPLES = 3


def check_versions(keys: Sequence[str], version_ids: Sequence[str | None], spec: JobSpec, *, will_delete: bool) -> None:
    """Refuse what version ids ask for and is not safe, and a permanent delete of what is named without version.

    Raises:
        RefusedError: ``PermanentDelete``, ``VersionIdMissing``, ``SeveralVersions``.
    """
    if will_delete:
        _check_permanence(keys, version_ids, is_permanent=spec.delete.permanent)
    if spec.mapping is None or not any(version_ids):
        return
    twice = next((key for key, following in pairwise(keys) if key == following), None)
    if twice is not None:
        raise RefusedError(
            f"The manifest names several versions of {twice!r}; they would all be copied to one key.",
            code="SeveralVersions",
            way_out="Keep one version of each key in the manifest.",
        )


def _check_permanence(keys: Sequence[str], version_ids: Sequence[str | None], *, is_permanent: bool) -> None:
    if not is_permanent and any(version_ids):
        raise RefusedError(
            "The manifest names versions, and deleting a version is permanent.",
            code="PermanentDelete",
            way_out="Write --permanent if that is meant; leave the version ids out to put delete markers instead.",
        )
    if is_permanent and not all(version_ids):
        bare = next(key for key, version_id in zip(keys, version_ids, strict=True) if not version_id)
        raise RefusedError(
            f"--permanent deletes exact versions, and the manifest names none of {bare!r}.",
            code="VersionIdMissing",
            way_out="Make the manifest with `s3batch manifest create --versions current` (or noncurrent, or all).",
        )


@dataclass(kw_only=True, slots=True)
class ExposedVersions:
    """Older versions that become current when the named ones are deleted, as they are found."""

    keys: int = 0
    bytes: int = 0
    examples: list[str] = field(default_factory=list)

    def add(self, versions: Sequence[ObjectVersion], named: Collection[str]) -> None:
        """Take all versions and markers of one key, the newest first, and the ids that are to be deleted."""
        if not versions or versions[0].version_id not in named:
            return  # what is current stays so
        left = next((version for version in versions if version.version_id not in named), None)
        if left is None or left.is_delete_marker:
            return
        self.keys += 1
        self.bytes += left.size
        if len(self.examples) < _EXAMPLES:
            self.examples.append(f"{left.key} (version {left.version_id}, of {left.last_modified})")

    def warning(self) -> tuple[str, ...]:
        """Return the sentence for the plan, if there is anything to say."""
        if not self.keys:
            return ()
        text = (
            f"Keys with an older version that becomes current again: {self.keys:,} ({self.bytes:,} bytes), such as"
            f" {'; '.join(self.examples)}. Name these versions in the manifest, too, if they are to go."
        )
        return (text,)
