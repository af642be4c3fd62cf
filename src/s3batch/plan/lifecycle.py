"""What the target bucket's lifecycle will do to the copies (safety.md rule 24). Pure.

In: the bucket's lifecycle rules and where the copies go. Out: findings; a rule that deletes copies is a refusal: a copy
that expires is no copy, and its original may be gone by then.
"""

from __future__ import annotations

from collections.abc import Sequence

from s3batch.plan.findings import Finding, Weight, bounded
from s3batch.s3.lifecycle import LifecycleRule

SHORT_UPLOAD_DAYS = 2
"""Rules that abort unfinished uploads so soon may end a copy in parts of a very large object."""


def lifecycle_findings(
    rules: Sequence[LifecycleRule], *, bucket: str, prefix: str, ignore_expiry: bool
) -> tuple[Finding, ...]:
    """Return what is to be known of the rules that are for some key below ``prefix``.

    A rule that deletes copies is a refusal (``TargetExpires``) unless ``ignore_expiry`` says that this is meant.
    """
    concerned = [rule for rule in rules if rule.is_enabled and may_share_keys(rule.prefix, prefix)]
    expiring = [
        _expiring(rule, bucket, prefix, ignore_expiry=ignore_expiry) for rule in concerned if rule.expires is not None
    ]
    moving = [
        Finding(
            weight=Weight.WARNING,
            code="TargetTransitions",
            text=f"The target's lifecycle moves copies to {each} (rule {rule.name}).",
        )
        for rule in concerned
        for each in rule.transitions
    ]
    aborting = [
        Finding(
            weight=Weight.WARNING,
            code="TargetAbortsUploads",
            text=f"The target's lifecycle aborts uploads after {rule.aborts_uploads_after_days} days"
            f" (rule {rule.name}).",
        )
        for rule in concerned
        if rule.aborts_uploads_after_days is not None and rule.aborts_uploads_after_days < SHORT_UPLOAD_DAYS
    ]
    return (*bounded(expiring), *bounded(moving), *bounded(aborting))


def unread_lifecycle(bucket: str, code: str) -> Finding:
    """Return what to say where the rules could not be read: they are not known to be harmless."""
    return Finding(
        weight=Weight.WARNING,
        code="LifecycleNotRead",
        text=f"The lifecycle rules of {bucket} could not be read ({code}); make sure that none deletes the copies.",
    )


def may_share_keys(one: str, other: str) -> bool:
    """Tell whether some key may begin with both prefixes."""
    return one.startswith(other) or other.startswith(one)


def _expiring(rule: LifecycleRule, bucket: str, prefix: str, *, ignore_expiry: bool) -> Finding:
    scope = f"prefix {rule.prefix!r}" if rule.prefix else "the whole bucket"
    narrowed = ", of some tags or sizes" if rule.is_narrowed else ""
    told = f"rule {rule.name}, for {scope}{narrowed}, {rule.expires}"
    if ignore_expiry:
        return Finding(
            weight=Weight.WARNING, code="TargetExpires", text=f"The target's lifecycle deletes copies: {told}."
        )
    return Finding(
        weight=Weight.REFUSAL,
        code="TargetExpires",
        text=f"A lifecycle rule of {bucket} deletes objects below s3://{bucket}/{prefix}: {told}.",
        way_out="Change the rule or copy elsewhere; --ignore-lifecycle copies all the same.",
    )
