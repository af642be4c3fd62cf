"""What a plan says about the store itself: what cannot be relied on there, and what the user has vouched for.

In: a specification and whether the store is AWS. Out: sentences for people. Nothing is probed (safety.md rule 15), so
a store that is not AWS is taken for one that keeps no promise beyond the plain S3 calls.
"""

from __future__ import annotations

from s3batch.model.job import JobSpec, Operation

_NO_CONDITIONS = (
    "Conditional deletes were not probed on this store. Where it ignores them, an object that is overwritten in the"
    " seconds between its reading and its delete is lost: let nobody write to the source until the job has ended."
)

_NO_CONDITIONS_ON_COPIES = (
    "Conditions on the target of a copy were not probed on this store. Where it ignores them, an object that someone"
    " else writes there in the moment between its reading and its copy is overwritten."
)


def store_warnings(spec: JobSpec, *, is_aws: bool) -> list[str]:
    """Return what a user should know about this store before the job runs."""
    if is_aws or spec.operation is Operation.VERIFY:
        return []
    if spec.operation is Operation.COPY:
        return [_NO_CONDITIONS_ON_COPIES]
    found = [_NO_CONDITIONS]
    if spec.delete.trust_listings:
        found.append("--trust-listings: what this store lists is taken for what is there; a late listing is not found.")
    return found
