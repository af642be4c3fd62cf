"""What the target bucket will do to the copies by itself (safety.md rule 24). Pure.

In: the bucket's lifecycle rules and where the copies go. Out: sentences for the plan, or a refusal: a copy that expires
is no copy, and its original may be gone by then.
"""

from __future__ import annotations

from collections.abc import Sequence

from s3batch.model.errors import RefusedError
from s3batch.s3.lifecycle import LifecycleRule

SHORT_UPLOAD_DAYS = 2
"""Rules that abort unfinished uploads so soon may end a copy in parts of a very large object."""


def lifecycle_warnings(
    rules: Sequence[LifecycleRule], *, bucket: str, prefix: str, ignore_expiry: bool
) -> tuple[str, ...]:
    """Return what a user should know of the rules that are for some key below ``prefix``.

    Raises:
        RefusedError: code ``TargetExpires``: a rule deletes copies, and nobody has said that this is meant.
    """
    concerned = [rule for rule in rules if rule.is_enabled and _overlap(rule.prefix, prefix)]
    expiring = [rule for rule in concerned if rule.expires is not None]
    if expiring and not ignore_expiry:
        raise RefusedError(
            f"A lifecycle rule of {bucket} deletes objects below s3://{bucket}/{prefix}: {_told(expiring[0])}.",
            code="TargetExpires",
            way_out="Change the rule or copy elsewhere; --ignore-lifecycle copies all the same.",
        )
    found = [f"The target's lifecycle deletes copies: {_told(rule)}." for rule in expiring]
    for rule in concerned:
        found += [f"The target's lifecycle moves copies to {each} (rule {rule.name})." for each in rule.transitions]
        days = rule.aborts_uploads_after_days
        if days is not None and days < SHORT_UPLOAD_DAYS:
            found.append(f"The target's lifecycle aborts uploads after {days} days (rule {rule.name}).")
    return tuple(found)


def unread_warning(bucket: str, code: str) -> str:
    """Return what to say where the rules could not be read: they are not known to be harmless."""
    return f"The lifecycle rules of {bucket} could not be read ({code}); make sure that none deletes the copies."


def _overlap(one: str, other: str) -> bool:
    """Tell whether some key may begin with both."""
    return one.startswith(other) or other.startswith(one)


def _told(rule: LifecycleRule) -> str:
    scope = f"prefix {rule.prefix!r}" if rule.prefix else "the whole bucket"
    narrowed = ", of some tags or sizes" if rule.is_narrowed else ""
    return f"rule {rule.name}, for {scope}{narrowed}, {rule.expires}"
