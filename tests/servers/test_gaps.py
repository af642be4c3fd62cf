"""Each behaviour that gaps.py speaks of, checked on each real server: a gap that closes, or opens, fails here."""

import base64
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from botocore.exceptions import ClientError

from tests.servers.fixtures import REAL_SERVERS
from tests.servers.gaps import GAPS, expect_gap
from tests.servers.server import Server

BODY = b"123456789"
CRC64NVME = base64.b64encode(bytes.fromhex("ae8b14860a799888")).decode()
"""The check value of CRC-64/NVME (of the body above), from the catalogue of parametrised CRC algorithms."""
PART = b"p" * 5 * 1024 * 1024


@dataclass(frozen=True, kw_only=True)
class Place:
    """A client, and a bucket with an object `source`."""

    client: Any
    bucket: str

    def put(self, key: str, **arguments: Any) -> Any:  # noqa: ANN401 (boto3's)
        """Put an object."""
        return self.client.put_object(Bucket=self.bucket, Key=key, Body=BODY, **arguments)

    def head(self, key: str, **arguments: Any) -> Any:  # noqa: ANN401 (boto3's)
        """Ask for an object's head."""
        return self.client.head_object(Bucket=self.bucket, Key=key, **arguments)

    def copy(self, key: str = "target", **arguments: Any) -> Any:  # noqa: ANN401 (boto3's)
        """Copy `source`, or what the arguments name."""
        source = {"Bucket": self.bucket, "Key": "source"}
        return self.client.copy_object(**{"Bucket": self.bucket, "Key": key, "CopySource": source, **arguments})

    def upload(self, key: str, *parts: bytes, **arguments: Any) -> Any:  # noqa: ANN401 (boto3's)
        """Upload an object in parts."""
        names = {"Bucket": self.bucket, "Key": key}
        upload = self.client.create_multipart_upload(**names, **arguments)["UploadId"]
        done = []
        for number, part in enumerate(parts, 1):
            answer = self.client.upload_part(**names, UploadId=upload, PartNumber=number, Body=part)
            done.append({"PartNumber": number, "ETag": answer["ETag"]})
        return self.client.complete_multipart_upload(**names, UploadId=upload, MultipartUpload={"Parts": done})

    def locked(self) -> dict[str, Any]:
        """Make a bucket with Object Lock; return a retention for an object in it."""
        self.client.create_bucket(Bucket=f"{self.bucket}-lock", ObjectLockEnabledForBucket=True)
        until = datetime.now(UTC) + timedelta(days=1)
        return {"ObjectLockMode": "GOVERNANCE", "ObjectLockRetainUntilDate": until, "Bucket": f"{self.bucket}-lock"}


def copy_source_if_match(place: Place) -> None:
    """A copy of a changed source is refused."""
    with pytest.raises(ClientError, match="PreconditionFailed"):
        place.copy(CopySourceIfMatch='"other"')


def copy_if_none_match(place: Place) -> None:
    """A copy over something is refused when nothing was to be there."""
    place.put("target")
    with pytest.raises(ClientError, match="PreconditionFailed"):
        place.copy(IfNoneMatch="*")


def copy_onto_itself_refused(place: Place) -> None:
    """A copy that changes nothing is refused."""
    with pytest.raises(ClientError, match="InvalidRequest"):
        place.copy("source")


def tagging_directive(place: Place) -> None:
    """A copy's tags may be given anew."""
    place.copy(TaggingDirective="REPLACE", Tagging="colour=blue")
    tags = place.client.get_object_tagging(Bucket=place.bucket, Key="target")["TagSet"]
    assert tags == [{"Key": "colour", "Value": "blue"}]


def tags_of_changed_metadata(place: Place) -> None:
    """A copy with other metadata keeps its tags."""
    place.put("source", Tagging="colour=blue")
    place.copy(MetadataDirective="REPLACE", Metadata={"colour": "red"})
    tags = place.client.get_object_tagging(Bucket=place.bucket, Key="target")["TagSet"]
    assert tags == [{"Key": "colour", "Value": "blue"}]


def copy_source_version_header(place: Place) -> None:
    """A copy tells which version was copied."""
    enabled = {"Status": "Enabled"}
    place.client.put_bucket_versioning(Bucket=place.bucket, VersioningConfiguration=enabled)
    version = place.put("source")["VersionId"]
    assert place.copy()["CopySourceVersionId"] == version


def lock_headers_on_copy(place: Place) -> None:
    """A copy may be given a retention."""
    retention = place.locked()
    place.copy(**retention)
    head = place.client.head_object(Bucket=retention["Bucket"], Key="target")
    assert head["ObjectLockMode"] == "GOVERNANCE"


def checksum_algorithm_on_copy(place: Place) -> None:
    """A copy may be given a checksum of another algorithm."""
    place.copy(ChecksumAlgorithm="SHA256")
    assert "ChecksumSHA256" in place.head("target", ChecksumMode="ENABLED")


def delete_if_match(place: Place) -> None:
    """A delete of a changed object is refused, and it stays."""
    with pytest.raises(ClientError, match="PreconditionFailed"):
        place.client.delete_object(Bucket=place.bucket, Key="source", IfMatch='"other"')
    place.head("source")


def delete_objects_etag(place: Place) -> None:
    """The same, one of many."""
    wanted = {"Objects": [{"Key": "source", "ETag": '"other"'}]}
    answer = place.client.delete_objects(Bucket=place.bucket, Delete=wanted)
    assert [error["Code"] for error in answer.get("Errors", [])] == ["PreconditionFailed"]
    place.head("source")


def delete_limit_refused(place: Place) -> None:
    """A DeleteObjects of more than 1,000 keys is refused."""
    wanted = {"Objects": [{"Key": str(number)} for number in range(1001)]}
    with pytest.raises(ClientError, match=r"MalformedXML|\(400\)"):
        place.client.delete_objects(Bucket=place.bucket, Delete=wanted)


def key_too_long_refused(place: Place) -> None:
    """A key of 1,025 bytes is refused."""
    with pytest.raises(ClientError, match=r"KeyTooLong|InvalidObjectName"):
        place.put("k" * 1025)


def newline_in_key(place: Place) -> None:
    """A key may have a line feed."""
    place.put("line\nfeed")
    place.head("line\nfeed")


def listing_url_encoding(place: Place) -> None:
    """A listing encodes its keys when asked to."""
    place.put("a b+\x01")
    page = place.client.list_objects_v2(Bucket=place.bucket, Prefix="a", EncodingType="url")
    assert [found["Key"] for found in page["Contents"]] in (["a+b%2B%01"], ["a%20b%2B%01"])


def small_part_refused(place: Place) -> None:
    """All parts but the last have 5 MiB."""
    with pytest.raises(ClientError, match="EntityTooSmall"):
        place.upload("parts", b"small", b"last")


def head_part_number(place: Place) -> None:
    """A HEAD of one part tells its size and the number of parts: the part layout can be learned."""
    place.upload("parts", PART, b"last")
    head = place.head("parts", PartNumber=2)
    assert (head["ContentLength"], head["PartsCount"]) == (4, 2)


def crc64nvme(place: Place) -> None:
    """A CRC64NVME is kept and told, and a wrong one is refused."""
    place.put("checked", ChecksumCRC64NVME=CRC64NVME)
    assert place.head("checked", ChecksumMode="ENABLED")["ChecksumCRC64NVME"] == CRC64NVME
    with pytest.raises(ClientError, match="BadDigest"):
        place.put("wrong", ChecksumCRC64NVME=base64.b64encode(b"12345678").decode())


def multipart_full_object_crc64nvme(place: Place) -> None:
    """An object uploaded in parts has a checksum of its whole."""
    place.upload("parts", PART, b"last")
    head = place.head("parts", ChecksumMode="ENABLED")
    assert ("ChecksumCRC64NVME" in head, head["ChecksumType"]) == (True, "FULL_OBJECT")


def object_attributes(place: Place) -> None:
    """Attributes can be asked for without reading."""
    wanted = ["ETag", "ObjectSize"]
    answer = place.client.get_object_attributes(Bucket=place.bucket, Key="source", ObjectAttributes=wanted)
    assert (answer["ObjectSize"], "ETag" in answer) == (len(BODY), True)


def object_lock_retention(place: Place) -> None:
    """A version under retention is not deleted."""
    retention = place.locked()
    version = place.client.put_object(Key="kept", Body=BODY, ChecksumAlgorithm="CRC32", **retention)["VersionId"]
    with pytest.raises(ClientError, match="AccessDenied"):
        place.client.delete_object(Bucket=retention["Bucket"], Key="kept", VersionId=version)


def restore(place: Place) -> None:
    """An archived object can be asked back."""
    place.put("cold", StorageClass="GLACIER")
    wanted = {"Days": 1, "GlacierJobParameters": {"Tier": "Standard"}}
    place.client.restore_object(Bucket=place.bucket, Key="cold", RestoreRequest=wanted)
    assert "ongoing-request" in place.head("cold")["Restore"]


def put_if_none_match(place: Place) -> None:
    """A PUT over something is refused when nothing was to be there."""
    with pytest.raises(ClientError, match="PreconditionFailed"):
        place.put("source", IfNoneMatch="*")


def copy_multipart_etag(place: Place) -> None:
    """A copy of an object uploaded in parts is one part, and its ETag an MD5."""
    place.upload("source", PART, b"last")
    assert "-" in place.head("source")["ETag"]
    assert "-" not in place.copy()["CopyObjectResult"]["ETag"]


def versions_newest_first(place: Place) -> None:
    """Versions and delete markers of a key come in one order, the newest first."""
    _enable_versioning(place)
    place.put("versioned")
    place.client.delete_object(Bucket=place.bucket, Key="versioned")
    bodies: list[bytes] = []  # boto3 sorts versions and markers apart, so the order shows on the wire alone
    place.client.meta.events.register(
        "before-parse.s3.ListObjectVersions", lambda response_dict, **_: bodies.append(response_dict["body"])
    )
    place.client.list_object_versions(Bucket=place.bucket, Prefix="versioned")
    assert bodies[0].index(b"<DeleteMarker>") < bodies[0].index(b"<Version>")


def versions_after_a_key(place: Place) -> None:
    """A key-marker under which nothing is begins at the newest version of the next key."""
    _enable_versioning(place)
    newest = [place.put("versions/1")["VersionId"] for _ in range(2)][-1]
    listed = place.client.list_object_versions(Bucket=place.bucket, Prefix="versions/", KeyMarker="versions/0")
    assert listed["Versions"][0]["VersionId"] == newest


def second_delete_marker(place: Place) -> None:
    """Each delete without version id adds a marker, also over a marker."""
    _enable_versioning(place)
    place.put("versioned")
    for _ in range(2):
        place.client.delete_object(Bucket=place.bucket, Key="versioned")
    assert len(place.client.list_object_versions(Bucket=place.bucket)["DeleteMarkers"]) == 2


def versions_of_control_keys(place: Place) -> None:
    """With encoding-type=url the versions of any key can be listed by its prefix."""
    _enable_versioning(place)
    place.put("control\x01character")
    listed = place.client.list_object_versions(Bucket=place.bucket, Prefix="control\x01character")
    assert [each["Key"] for each in listed["Versions"]] == ["control\x01character"]


def versions_of_carriage_returns(place: Place) -> None:
    """A carriage return in a key survives a listing of versions."""
    _enable_versioning(place)
    place.put("carriage\rreturn")
    listed = place.client.list_object_versions(Bucket=place.bucket, Prefix="carriage")
    assert [each["Key"] for each in listed["Versions"]] == ["carriage\rreturn"]


def _enable_versioning(place: Place) -> None:
    place.client.put_bucket_versioning(Bucket=place.bucket, VersioningConfiguration={"Status": "Enabled"})


CHECKS: tuple[Callable[[Place], None], ...] = (
    copy_source_if_match,
    copy_if_none_match,
    copy_onto_itself_refused,
    copy_multipart_etag,
    tagging_directive,
    tags_of_changed_metadata,
    copy_source_version_header,
    lock_headers_on_copy,
    checksum_algorithm_on_copy,
    delete_if_match,
    delete_objects_etag,
    delete_limit_refused,
    key_too_long_refused,
    newline_in_key,
    listing_url_encoding,
    small_part_refused,
    head_part_number,
    crc64nvme,
    multipart_full_object_crc64nvme,
    object_attributes,
    object_lock_retention,
    put_if_none_match,
    restore,
    versions_newest_first,
    versions_after_a_key,
    second_delete_marker,
    versions_of_control_keys,
    versions_of_carriage_returns,
)


def behaviour_of(check: Callable[[Place], None]) -> str:
    """Return a check's name in the table."""
    return check.__name__.replace("_", "-")


@pytest.mark.parametrize("check", CHECKS, ids=behaviour_of)
def test_servers_behave_as_aws_but_for_their_gaps(
    s3_server: Server, bucket_name: str, check: Callable[[Place], None], request: pytest.FixtureRequest
) -> None:
    """Strict: where the table has a gap the check fails, and elsewhere it holds."""
    expect_gap(request, s3_server.name, behaviour_of(check))
    # without checksums that boto3 would add by itself, so that the server's own show
    client = s3_server.boto3_client(request_checksum_calculation="when_required")
    place = Place(client=client, bucket=bucket_name)
    place.client.create_bucket(Bucket=bucket_name)
    place.put("source")
    check(place)


def test_every_gap_is_checked() -> None:
    """The table says nothing that is not looked at here."""
    assert {name for name, _ in GAPS} <= set(REAL_SERVERS)
    assert {behaviour for _, behaviour in GAPS} <= set(map(behaviour_of, CHECKS))
