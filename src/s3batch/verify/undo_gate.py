"""The gate of an undo: the only decision that a delete marker may be removed, which is a delete by version id.

In go the marker's id as the delete job recorded it, the identity of the object that it hid, and the newest versions of
its key as they were listed just now. Out comes ``None`` (permitted) or a refusal with its code. Nothing is read here
and no clock is asked, so every case can be tried in a table (tests/unit/verify/test_undo_gate.py), and mutants of this
file are tried against that table too.

What is permitted is the version id of a delete marker that is its key's latest version, right above the very object
that was deleted. So no data can go: a marker holds none, and what becomes current is what was current before.
"""

from __future__ import annotations

from collections.abc import Sequence

from s3batch.model.outcome import Code
from s3batch.s3.answers import ObjectVersion
from s3batch.verify.gate import Identity, Refusal, is_fresh

NULL_VERSION = "null"
"""The version id of what was written without versioning: it can be an object's as well as a marker's."""


def permit_undo(  # noqa: PLR0911 - one return for each line of the decision table
    *, key: str, marker_id: str, pinned: Identity, versions: Sequence[ObjectVersion], age_ms: int
) -> Refusal | None:
    """Return ``None`` if exactly this marker may be removed now, else why not.

    ``versions`` are what was listed under the key, newest first, at least two of them where there are so many; those of
    other keys that only begin like it are left out of account. ``pinned`` is the object that the marker hid.
    """
    if not marker_id or marker_id == NULL_VERSION:
        return Refusal(Code.NO_MARKER, "No marker with a version id of its own is on record.")
    if not is_fresh(age_ms):
        return Refusal(Code.EVIDENCE_EXPIRED, "The versions could not be listed in time before the removal.")
    own = [version for version in versions if version.key == key]
    if not own:
        return Refusal(Code.NO_SUCH_VERSION, "No version of the object is listed.")
    newest, below = own[0], own[1:]
    if not newest.is_latest:
        return Refusal(Code.NOT_LATEST, "The store does not list the latest version of the key first.")
    if not newest.is_delete_marker:
        if _is_object(newest, pinned) and all(version.version_id != marker_id for version in below):
            return Refusal(Code.ALREADY_UNDONE, "")
        return Refusal(Code.NOT_LATEST, f"Version {newest.version_id} was written to the key since.")
    if newest.version_id != marker_id:
        return Refusal(Code.NOT_LATEST, f"The key was deleted again since, by the marker {newest.version_id}.")
    if not below or not _is_object(below[0], pinned):
        return Refusal(Code.NO_SUCH_VERSION, "The version below the marker is not the object that was deleted.")
    return None


def _is_object(version: ObjectVersion, pinned: Identity) -> bool:
    """Tell whether a version is the object that was deleted; one without an ETag is never taken for it."""
    return not version.is_delete_marker and version.etag != "" and Identity(version.etag, version.size) == pinned
