"""What copies decide without asking the store: headers of an upload, whose work it is, what is left for later."""

from collections.abc import Mapping
from dataclasses import replace

import pytest

from s3batch.execute.chunk import attempt_error
from s3batch.model.errors import InconsistentError, RefusedError, UnavailableError
from s3batch.operations.copy_headers import SourceAttributes
from s3batch.operations.outage import MAX_ROWS_LEFT, Outage, may_be_the_object, may_pass
from s3batch.operations.own_copies import EarlierCompletion, find_completion, is_faithful
from s3batch.operations.upload_headers import upload_headers
from s3batch.s3.answers import ObjectHead
from s3batch.s3.errors import PermissionExpiredError, S3RefusedError, S3UnavailableError, TransportError
from s3batch.s3.raw_response import header_dict

HEAD = ObjectHead(size=5, etag="a" * 32, last_modified_ms=0, metadata={"m": "1"}, headers={"content-type": "text/x"})
KMS = {
    "x-amz-server-side-encryption": "aws:kms",
    "x-amz-server-side-encryption-aws-kms-key-id": "arn:aws:kms:key",
    "x-amz-server-side-encryption-bucket-key-enabled": "true",
}


def read(head: ObjectHead, *tags: tuple[str, str]) -> SourceAttributes:
    """Return what was read of a source."""
    return SourceAttributes(head=head, tags=tags)


# ------------------------------------------------------------------------------------------------ headers of an upload


def test_an_upload_keeps_the_key_that_its_source_is_encrypted_with() -> None:
    """S3 keeps nothing by itself; the bucket's default key is another one. AES256 is everybody's default."""
    assert upload_headers(read(replace(HEAD, headers=KMS)), None) == KMS | {"x-amz-meta-m": "1"}
    own = {"x-amz-server-side-encryption": "AES256"}
    assert upload_headers(read(replace(HEAD, headers=own)), None) == {"x-amz-meta-m": "1"}


@pytest.mark.parametrize(
    ("checksums", "kind", "expected"),
    [
        ({"SHA256": "x"}, "FULL_OBJECT", ("CRC64NVME", "FULL_OBJECT")),
        ({"SHA1": "x", "CRC32": "y"}, "FULL_OBJECT", ("CRC32", "FULL_OBJECT")),
        ({"CRC32C": "x"}, "FULL_OBJECT", ("CRC32C", "FULL_OBJECT")),
        ({"SHA256": "x-2"}, "COMPOSITE", ("SHA256", "COMPOSITE")),
        ({"SHA256": "x"}, None, ("SHA256", None)),
        ({}, None, (None, None)),
    ],
)
def test_an_upload_gets_a_checksum_that_uploads_can_have(
    checksums: Mapping[str, str], kind: str | None, expected: tuple[str | None, str | None]
) -> None:
    """There is no SHA of a whole object that came in parts; asking for one is refused."""
    headers = upload_headers(read(replace(HEAD, checksums=checksums, checksum_type=kind)), None)
    assert (headers.get("x-amz-checksum-algorithm"), headers.get("x-amz-checksum-type")) == expected


def test_an_object_whose_metadata_cannot_be_read_whole_is_refused() -> None:
    """Neither what HEAD leaves out nor bytes that would be sent otherwise than they came may be lost in silence."""
    with pytest.raises(RefusedError, match="2 entries"):
        upload_headers(read(replace(HEAD, missing_metadata=2)), None)
    came = header_dict([b"x-amz-meta-m: caf\xe9\r\n"])
    with pytest.raises(RefusedError, match="not UTF-8"):
        upload_headers(read(replace(HEAD, metadata={"m": came["x-amz-meta-m"]})), None)
    kept = header_dict(["x-amz-meta-m: café\r\n".encode()])
    assert upload_headers(read(replace(HEAD, metadata={"m": kept["x-amz-meta-m"]})), None)["x-amz-meta-m"] == "café"


def test_tags_that_do_not_fit_into_the_header_are_not_cut() -> None:
    """They are put afterwards, whole."""
    assert upload_headers(read(HEAD, ("a", "+ ")), None)["x-amz-tagging"] == "a=%2B+"
    assert "x-amz-tagging" not in upload_headers(read(HEAD, *[(f"k{n}", "v" * 250) for n in range(10)]), None)


# -------------------------------------------------------------------------------------------------------- own copies


@pytest.mark.parametrize(
    "changed",
    [{"etag": "b" * 32}, {"size": 6}, {"metadata": {}}, {"headers": {"content-type": "text/y"}}],
)
def test_what_differs_in_anything_is_no_copy(changed: Mapping[str, object]) -> None:
    """Size, content, metadata, headers: each of them counts."""
    assert is_faithful(HEAD, HEAD, storage_class=None)
    assert not is_faithful(HEAD, replace(HEAD, **changed), storage_class=None)  # type: ignore[arg-type]
    assert not is_faithful(HEAD, HEAD, storage_class="GLACIER")


def test_where_copying_changes_etags_checksums_and_all_the_rest_decide() -> None:
    """KMS, and a multipart source that was copied in one request; never the target of an upload."""
    other = "b" * 32
    encrypted = replace(HEAD, etag=other, headers={**HEAD.headers, **KMS})
    assert is_faithful(HEAD, encrypted, storage_class=None)
    in_parts = replace(HEAD, etag="c" * 32 + "-2")
    assert is_faithful(in_parts, replace(HEAD, etag=other), storage_class=None)
    assert not is_faithful(in_parts, replace(HEAD, etag=other + "-1"), storage_class=None)
    one = replace(in_parts, checksums={"CRC64NVME": "x"}, checksum_type="FULL_OBJECT")
    two = replace(one, etag=other, checksums={"CRC64NVME": "y"})
    assert not is_faithful(one, two, storage_class=None)


@pytest.mark.parametrize(
    ("etag", "is_gone", "seen", "is_same_size", "expected"),
    [
        ("e-2", True, "e-2", True, True),
        ("e-2", False, "e-2", True, True),
        ("e-2", True, "kms", True, True),
        ("e-2", False, "kms", True, False),
        ("", False, "", True, False),
        ("e-2", True, "e-2", False, False),
    ],
)
def test_an_upload_made_what_has_its_etag_or_what_is_there_when_it_is_gone(
    *, etag: str, is_gone: bool, seen: str, is_same_size: bool, expected: bool
) -> None:
    """An upload that was still open, or was given up, made nothing that has another ETag."""
    completion = EarlierCompletion(etag=etag, tags_due=False, is_gone=is_gone)
    found = find_completion([completion], etag=seen, is_same_size=is_same_size)
    assert (found is completion) == expected


# ----------------------------------------------------------------------------------------------------------- outages


@pytest.mark.parametrize(
    ("error", "passes", "is_about_it"),
    [
        (S3UnavailableError("m", code="SlowDown", status=503), True, False),
        (S3UnavailableError("m", code="InternalError", status=500), True, True),
        (S3UnavailableError("m", code="ExpiredToken", status=400), True, False),
        (UnavailableError("m", code="CredentialsExpired"), True, False),
        (TransportError("m", kind="closed"), True, True),
        (TransportError("m", kind="connect"), True, False),
        (TransportError("m", kind="tls"), True, False),
        (TransportError("m", curl_code=63), False, True),
        (S3RefusedError("m", code="AccessDenied", status=403), False, False),
        (RefusedError("m", code="NotPinned"), False, False),
    ],
)
def test_what_says_nothing_about_the_object_is_left_for_later(
    error: UnavailableError, *, passes: bool, is_about_it: bool
) -> None:
    """Throttling, outages and credentials pass; an answer about the object does not."""
    assert may_pass(error) == passes
    assert may_be_the_object(error) == is_about_it


def test_an_outage_ends_the_attempt_as_unavailable_and_a_stop_does_not() -> None:
    """What came too late to be sent is as good as never started."""
    outage = Outage()
    outage.leave(PermissionExpiredError("late"))
    outage.raise_if_any()
    for _ in range(MAX_ROWS_LEFT):
        assert not outage.is_lasting
        outage.leave(S3UnavailableError("m", code="SlowDown", status=503))
    assert outage.is_lasting
    with pytest.raises(UnavailableError) as caught:
        outage.raise_if_any()
    assert caught.value.code == "SlowDown"
    outage.end(OSError("disk"))
    with pytest.raises(OSError, match="disk"):
        outage.raise_if_any()


def test_of_several_errors_the_runner_is_told_the_gravest() -> None:
    """Groups are opened; a bug comes by name, with its traceback."""
    unavailable, refused = UnavailableError("u", code="U"), RefusedError("r", code="R")
    group = ExceptionGroup("g", [unavailable, ExceptionGroup("h", [refused])])
    assert attempt_error(group).code == "R"
    assert attempt_error(ExceptionGroup("g", [group, InconsistentError("i", code="I")])).family == "inconsistent"
    told = attempt_error(ExceptionGroup("g", [group, OSError(28, "no space")]))
    assert (told.family, told.code) == ("internal", "OSError")
    assert "no space" in told.message
