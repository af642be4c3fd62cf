"""Is what stands at a target this job's own copy? What an attempt needs to know after a crash or a lost answer.

In go what HEAD tells about source and target, and what the journal of earlier attempts tells about uploads. A copy's
ETag is the source's own in the usual case; where copying changes it (KMS, a multipart source copied in one piece) the
checksums, the size and everything else that HEAD shows must do. That the target was written after the job began is the
caller's to check (safety.md rule 9). Pure: no request is made here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from s3batch.model.attributes import AS_SOURCES, CONTENT_HEADERS, CopyAttributes
from s3batch.operations.copy_headers import wanted_metadata
from s3batch.s3.answers import ObjectHead
from s3batch.verify.checksums import Verdict, compare_checksums

_ENCRYPTION = "x-amz-server-side-encryption"
_KMS = "aws:kms"


@dataclass(frozen=True, kw_only=True, slots=True)
class EarlierCompletion:
    """A multipart upload of an earlier attempt whose completion was about to be sent."""

    etag: str
    """What the object has if the upload made it; empty where that could not be known."""
    tags_due: bool
    """Its tags were still to be put."""
    is_gone: bool
    """The upload was there no more and nobody of this job had given it up, so it was completed."""


def find_completion(
    completions: Sequence[EarlierCompletion], *, etag: str | None, is_same_size: bool
) -> EarlierCompletion | None:
    """Return the upload that made what is at its key now, if one of these did."""
    for completion in reversed(completions):
        if is_same_size and (completion.is_gone or (completion.etag and completion.etag == etag)):
            return completion
    return None


def is_faithful(
    source: ObjectHead,
    target: ObjectHead,
    *,
    storage_class: str | None,
    attributes: CopyAttributes = AS_SOURCES,
) -> bool:
    """Return whether the target is what a copy of the source would be, as far as HEAD tells.

    ``storage_class`` is the one that was asked for; ``None`` compares none, because stores differ in what they tell.
    The redirect is compared by whoever asked for it: one request does not keep it, parts do.
    """
    metadata, content = wanted_metadata(attributes, source)
    return (
        source.size == target.size
        and _has_equal_content(source, target)
        and metadata == dict(target.metadata)
        and content == _content(target.headers)
        and storage_class in {None, target.storage_class}
    )


def _has_equal_content(source: ObjectHead, target: ObjectHead) -> bool:
    if source.etag == target.etag:
        return True
    # only one request makes an ETag of a single part out of another one; uploads are known by the journal
    is_changed_by_copying = "-" not in target.etag and ("-" in source.etag or _is_kms(source) or _is_kms(target))
    return is_changed_by_copying and compare_checksums(source, target) is not Verdict.DIFFERENT


def _is_kms(head: ObjectHead) -> bool:
    return head.headers.get(_ENCRYPTION, "").startswith(_KMS)


def _content(headers: Mapping[str, str]) -> dict[str, str]:
    return {name: headers[name] for name in CONTENT_HEADERS if name in headers}
