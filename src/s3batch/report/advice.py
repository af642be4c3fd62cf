"""What to do about failures: one sentence for each code that users meet.

In: a code of an outcome. Out: a sentence. S3's codes are from "Error responses" (S3 API reference, read 2026-11); ours
are defined in ``model/outcome.py``.
"""

from __future__ import annotations

from s3batch.model.outcome import Code

ADVICE: dict[str, str] = {
    Code.ALREADY_COPIED: "Nothing to do: an earlier attempt of this job had written the target.",
    Code.ALREADY_SAME: "Nothing to do: the target had the same size and ETag already.",
    Code.SKIPPED: "The target was there and was left alone; verify the job to learn whether it is the same.",
    Code.ALREADY_GONE: "Nothing to do: the source had been deleted before.",
    Code.ATTRIBUTES_LOST: "Leave out what the store loses, or use another, and copy with --if-target-exists overwrite.",
    Code.TARGET_EXISTS: "Look at the target; then run again with --if-target-exists skip-if-same, skip or overwrite.",
    Code.SOURCE_CHANGED: "The source was written after the manifest was made; make a new manifest and copy it again.",
    Code.NO_SUCH_KEY: "The object is not there; if it should be, check bucket and prefix and make a new manifest.",
    Code.TARGET_MISSING: "The copy is not at the target; copy these rows again and verify once more.",
    Code.TARGET_DIFFERENT: "Something else is at the target; look, then copy with --if-target-exists overwrite.",
    Code.METADATA_DIFFERS: "The bytes are equal, the metadata is not; copy with --if-target-exists overwrite.",
    Code.TAGS_DIFFER: "The bytes are equal, the tags are not; copy with --if-target-exists overwrite --keep tags.",
    Code.TARGET_CHANGED: "The target changed after it was verified, so the source was kept; verify again.",
    Code.UNDECIDED: "The message says what could not be told; for bytes verify with --level checksum or bytes.",
    Code.NOT_PROVEN: "No verify job proved a whole copy, so the source stays; retry its copy, verify, then delete.",
    Code.EVIDENCE_EXPIRED: "The store was too slow to look again in time, so the source was kept; retry the delete.",
    Code.EVIDENCE_TOO_OLD: "The proof was older than --max-evidence-age, so the source stays; retry: it verifies anew.",
    Code.NOT_BACKED_UP: "The backup has no proven copy, so the source stays; its jobs say why. Then retry.",
    Code.NULL_VERSION_AT_RISK: "Versioning is suspended and a delete would destroy another version; settle it by hand.",
    Code.ALREADY_UNDONE: "Nothing to do: the marker was gone and the object is current.",
    Code.NOT_DELETED: "Nothing to do: the delete job had not deleted this object.",
    Code.NO_MARKER: "The delete job made no marker that is on record; copy the object back from its copy or a backup.",
    Code.NOT_LATEST: "Somebody wrote or deleted the key after the delete job; look at its versions and settle it.",
    Code.UNKNOWN_OUTCOME: "The store's answer was lost; retry, which looks first at what was done.",
    Code.ARCHIVED: "The object is archived; restore it and retry.",
    "AccessDenied": "A permission is missing on the source or the target; grant it, then retry.",
    "AllAccessDisabled": "The account or bucket is disabled; only the provider can help.",
    "ConditionalRequestConflict": "Another writer was at work on the same key; retry when it has ended.",
    "EntityTooLarge": "The object is too large for one request; lower --multipart-threshold and retry.",
    "ExpiredToken": "The credentials ran out; renew them and retry.",
    "InternalError": "The store failed; retry later.",
    "InvalidAccessKeyId": "The credentials are not known to this store; check --profile and --endpoint-url.",
    "InvalidRequest": "The store does not take this request; its message says why. Retrying will not help.",
    "KeyTooLongError": "The target key is over 1,024 bytes; choose a shorter target prefix.",
    "KMS.DisabledException": "The KMS key is disabled; enable it and retry.",
    "MethodNotAllowed": "The current version is a delete marker; name the version that is meant in the manifest.",
    "NoSuchBucket": "The bucket is not there; check its name and the endpoint.",
    "NoSuchUpload": "The multipart upload was aborted by somebody else; check lifecycle rules, then retry.",
    Code.NO_SUCH_VERSION: "The version is gone: make a new manifest; after an undo, copy it back from its copy.",
    "NotImplemented": "This store cannot do what was asked; its message says what.",
    "OperationAborted": "Another operation on the bucket was in progress; retry later.",
    "PreconditionFailed": "Source or target changed since the manifest was made; make a new manifest and run it.",
    "RequestTimeTooSkewed": "This machine's clock is wrong; set it and retry.",
    "RequestTimeout": "The connection stalled; retry, with a lower --concurrency if it happens again.",
    "ServiceUnavailable": "The store was overloaded for too long; retry later, with a lower --max-rate.",
    "SignatureDoesNotMatch": "The secret key is wrong, or a proxy rewrites requests; check both.",
    "SlowDown": "The store asked for fewer requests for too long; retry with a lower --max-rate.",
}
"""One sentence for each code."""

OTHERWISE = "See the message of its rows in the completion report; when the cause is gone, retry."


def advice(code: str) -> str:
    """Return what to do about a code, also about one that nobody has described."""
    return ADVICE.get(code, OTHERWISE)
