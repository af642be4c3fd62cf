"""The documents of a bucket's settings, as AWS and other stores write them."""

import pytest

from s3batch.s3.bucket_settings import (
    ENCRYPTION,
    LIFECYCLE,
    NOTIFICATIONS,
    OBJECT_LOCK,
    PAYER,
    REPLICATION,
    VERSIONING,
    DefaultEncryption,
    DefaultRetention,
    Notification,
    ReplicationRule,
    Setting,
)
from s3batch.s3.xml_tree import XmlError

ALL: tuple[Setting[object], ...] = (LIFECYCLE, NOTIFICATIONS, REPLICATION, ENCRYPTION, OBJECT_LOCK, PAYER, VERSIONING)


@pytest.mark.parametrize("setting", ALL, ids=lambda each: each.subresource)
def test_a_listing_is_no_setting(setting: Setting[object]) -> None:
    """What stores answer that do not know the call (Ceph RGW 16.2, seen) must not mean that nothing is set."""
    with pytest.raises(XmlError, match="ListBucketResult"):
        setting.parse(b"<ListBucketResult><Name>b</Name></ListBucketResult>")


def test_notifications_are_read_with_their_destinations_events_and_prefixes() -> None:
    """All four kinds of destination, and moto's name of the document."""
    body = (
        b'<NotificationConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        b"<QueueConfiguration><Id>1</Id><Queue>arn:q</Queue><Event>s3:ObjectCreated:*</Event>"
        b"<Event>s3:ObjectRemoved:*</Event><Filter><S3Key><FilterRule><Name>suffix</Name><Value>.fits</Value></FilterRule>"
        b"<FilterRule><Name>Prefix</Name><Value>tmp/</Value></FilterRule></S3Key></Filter></QueueConfiguration>"
        b"<TopicConfiguration><Topic>arn:t</Topic><Event>s3:ObjectCreated:Copy</Event></TopicConfiguration>"
        b"<CloudFunctionConfiguration><CloudFunction>arn:f</CloudFunction><Event>s3:*</Event></CloudFunctionConfiguration>"
        b"<EventBridgeConfiguration/></NotificationConfiguration>"
    )
    assert NOTIFICATIONS.parse(body) == (
        Notification(destination="arn:t", events=("s3:ObjectCreated:Copy",)),
        Notification(destination="arn:q", events=("s3:ObjectCreated:*", "s3:ObjectRemoved:*"), prefix="tmp/"),
        Notification(destination="arn:f", events=("s3:*",)),
        Notification(destination="EventBridge", events=("s3:*",)),
    )
    assert NOTIFICATIONS.parse(b"<GetBucketNotificationResponse/>") == ()


def test_replication_rules_are_read_in_all_their_forms() -> None:
    """The prefix in a filter, in And, or in the rule itself; Ceph's document without a rule."""
    body = (
        b"<ReplicationConfiguration><Role>r</Role>"
        b"<Rule><ID>a</ID><Status>Enabled</Status><Filter><Prefix>tmp/</Prefix></Filter>"
        b"<DeleteMarkerReplication><Status>Enabled</Status></DeleteMarkerReplication>"
        b"<Destination><Bucket>arn:aws:s3:::x</Bucket></Destination></Rule>"
        b"<Rule><Status>Disabled</Status><Prefix>old/</Prefix><Destination><Bucket>y</Bucket></Destination></Rule>"
        b"<Rule><ID>c</ID><Status>Enabled</Status><Filter><And><Prefix>z/</Prefix><Tag/></And></Filter></Rule>"
        b"</ReplicationConfiguration>"
    )
    assert REPLICATION.parse(body) == (
        ReplicationRule(
            name="a", is_enabled=True, destination="arn:aws:s3:::x", prefix="tmp/", replicates_markers=True
        ),
        ReplicationRule(name="number 2", is_enabled=False, destination="y", prefix="old/"),
        ReplicationRule(name="c", is_enabled=True, destination="", prefix="z/"),
    )
    assert REPLICATION.parse(b"<ReplicationConfiguration><Role></Role></ReplicationConfiguration>") == ()


def test_encryption_retention_payer_and_versioning_are_read() -> None:
    """Also where the document says nothing, and moto's years of 0."""
    kms = (
        b"<ServerSideEncryptionConfiguration><Rule><ApplyServerSideEncryptionByDefault><SSEAlgorithm>aws:kms"
        b"</SSEAlgorithm><KMSMasterKeyID>k</KMSMasterKeyID></ApplyServerSideEncryptionByDefault></Rule>"
        b"</ServerSideEncryptionConfiguration>"
    )
    assert ENCRYPTION.parse(kms) == DefaultEncryption(algorithm="aws:kms", key_id="k")
    assert ENCRYPTION.parse(b"<ServerSideEncryptionConfiguration/>") == ENCRYPTION.unset
    lock = b"<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled>%s</ObjectLockConfiguration>"
    days = b"<Rule><DefaultRetention><Mode>GOVERNANCE</Mode><Days>3</Days><Years>0</Years></DefaultRetention></Rule>"
    assert OBJECT_LOCK.parse(lock % days) == DefaultRetention(mode="GOVERNANCE", period="3 days")
    assert OBJECT_LOCK.parse(lock % b"") is None
    assert PAYER.parse(b"<RequestPaymentConfiguration><Payer>Requester</Payer></RequestPaymentConfiguration>") == (
        "Requester"
    )
    assert VERSIONING.parse(b"<VersioningConfiguration/>") == ""
