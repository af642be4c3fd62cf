"""What a plan says about the store itself: what cannot be relied on there, and what the user has vouched for.

In: a specification and whether the store is AWS; what was probed, where a prefix for canaries was named. Out: sentences
for people. Without a probe (safety.md rule 15) a store that is not AWS is taken for one that keeps no promise beyond
the plain S3 calls.
"""

from __future__ import annotations

from collections.abc import Sequence

from s3batch.model.attributes import CopyAttributes, Encryption, Keep
from s3batch.model.job import JobSpec, Operation
from s3batch.plan.findings import Finding
from s3batch.plan.probes import Behaviour, Probed, are_losses_known, is_decided

_NO_CONDITIONS = (
    "Conditional deletes were not probed on this store. Where it ignores them, an object that is overwritten in the"
    " seconds between its reading and its delete is lost: let nobody write to the source until the job has ended."
)

_NO_CONDITIONS_ON_COPIES = (
    "Conditions on the target of a copy were not probed on this store. Where it ignores them, an object that someone"
    " else writes there in the moment between its reading and its copy is overwritten."
)

_UNPROBED_TAGS = "Whether copies on this store keep their tags was not probed; --keep tags reads and puts them."


def store_warnings(spec: JobSpec, *, is_aws: bool) -> list[str]:
    """Return what a user should know about this store before the job runs."""
    if spec.operation is Operation.COPY:
        attributes = spec.copy.attributes
        unprobed = [] if is_aws else [_NO_CONDITIONS_ON_COPIES, *_unprobed_tags(attributes)]
        return [*_unkept(attributes), *_unequal_etags(attributes), *unprobed]
    if is_aws or spec.operation is not Operation.DELETE:
        return []
    found = [_NO_CONDITIONS]
    if spec.delete.trust_listings:
        found.append("--trust-listings: what this store lists is taken for what is there; a late listing is not found.")
    return found


def with_probed(warnings: Sequence[str], probed: Sequence[Probed], findings: Sequence[Finding]) -> tuple[str, ...]:
    """Return a plan's warnings with what was probed in place of what had to be said without."""
    known = []
    if is_decided(probed, (Behaviour.DELETE_IF_MATCH, Behaviour.DELETE_OBJECTS_ETAG)):
        known.append(_NO_CONDITIONS)
    if is_decided(probed, (Behaviour.COPY_IF_NONE_MATCH,)):
        known.append(_NO_CONDITIONS_ON_COPIES)
    if are_losses_known(findings):
        known.append(_UNPROBED_TAGS)
    told = tuple(f"{each.text} {each.way_out}".rstrip() for each in findings)
    return (*(each for each in warnings if each not in known), *told)


def _unprobed_tags(attributes: CopyAttributes) -> list[str]:
    """Say that a store may lose tags, as Ceph RGW 16.2 does where metadata is replaced; put explicitly they stay."""
    are_put = Keep.TAGS in attributes.keep or attributes.tags is not None
    return [] if are_put else [_UNPROBED_TAGS]


def _unequal_etags(attributes: CopyAttributes) -> list[str]:
    """Say that ETags will not prove these copies (safety.md rule 11)."""
    if attributes.encryption not in {Encryption.KMS, Encryption.DSSE}:
        return []
    return [
        "Encryption by KMS gives copies ETags of their own: verify needs checksums on both sides, or --level bytes."
    ]


def _unkept(attributes: CopyAttributes) -> list[str]:
    """Say what a copy does not have of its source by S3's own rules, so that nothing is lost in silence."""
    is_given = {
        "grants (ACL)": Keep.ACL in attributes.keep or attributes.acl or attributes.grants,
        "encryption other than the target bucket's": Keep.ENCRYPTION in attributes.keep or attributes.encryption,
        "object lock": Keep.LOCK in attributes.keep or attributes.lock_mode or attributes.legal_hold is not None,
        "website redirect": Keep.REDIRECT in attributes.keep or attributes.redirect,
    }
    unkept = [name for name, is_there in is_given.items() if not is_there]
    return [f"Not kept by these copies: {', '.join(unkept)}. --keep keeps them."] if unkept else []
