"""What a bucket is set to do to its objects by itself, as values: each one's call, document and absence. Pure.

In: the document of a GetBucket... call. Out: values, or :class:`~s3batch.s3.xml_tree.XmlError` for another document:
stores that do not know a call answer with a listing (Ceph RGW 16.2, MiniStack 1.5.33 and moto 5.2.5, seen), and a
listing is no empty setting. Lifecycle rules have a module of their own. Facts: S3 API reference, read 2026-11.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from s3batch.s3.lifecycle import LifecycleRule, parse_lifecycle, rule_scope
from s3batch.s3.xml_answers import parse_versioning
from s3batch.s3.xml_tree import Element, XmlError, parse_tree

T_co = TypeVar("T_co", covariant=True)

_DESTINATIONS = (
    ("TopicConfiguration", "Topic"),
    ("QueueConfiguration", "Queue"),
    ("CloudFunctionConfiguration", "CloudFunction"),
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Setting(Generic[T_co]):
    """One setting of a bucket: how it is asked for and read."""

    operation: str
    subresource: str
    noun: str
    """For messages: ``replication rules``."""
    parse: Callable[[bytes], T_co]
    unset: T_co
    """What a bucket without it has."""
    unset_code: str = ""
    """The refusal that tells that it is not set; empty where S3 sends an empty document instead."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Notification:
    """Events of some keys that are sent somewhere."""

    destination: str
    """The ARN of a topic, queue or function; ``EventBridge``."""
    events: tuple[str, ...]
    prefix: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReplicationRule:
    """One rule by which new objects are copied to another bucket."""

    name: str
    is_enabled: bool
    destination: str
    prefix: str = ""
    replicates_markers: bool = False
    """Delete markers go there as well."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DefaultEncryption:
    """How new objects are encrypted unless a request says otherwise."""

    algorithm: str = ""
    """``AES256``, ``aws:kms`` or ``aws:kms:dsse``; empty where the bucket says nothing."""
    key_id: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class DefaultRetention:
    """For how long new versions are locked."""

    mode: str
    """``GOVERNANCE`` or ``COMPLIANCE``."""
    period: str
    """In words: ``30 days``."""


def parse_notifications(body: bytes) -> tuple[Notification, ...]:
    """Return what the bucket tells others."""
    root = _root(body, "NotificationConfiguration", "GetBucketNotificationResponse")  # the latter is moto's
    found = [
        Notification(
            destination=each.value(name),
            events=tuple(child.text for child in each.find_all("Event")),
            prefix=_notification_prefix(each),
        )
        for kind, name in _DESTINATIONS
        for each in root.find_all(kind)
    ]
    if root.find("EventBridgeConfiguration") is not None:
        found.append(Notification(destination="EventBridge", events=("s3:*",)))
    return tuple(found)


def parse_replication(body: bytes) -> tuple[ReplicationRule, ...]:
    """Return the rules; Ceph RGW 16.2 sends a document without any where none are set (seen)."""
    root = _root(body, "ReplicationConfiguration")
    return tuple(_replication_rule(each, number) for number, each in enumerate(root.find_all("Rule"), start=1))


def parse_encryption(body: bytes) -> DefaultEncryption:
    """Return the default encryption: that of the document's one rule."""
    rule = _root(body, "ServerSideEncryptionConfiguration").find("Rule") or Element("Rule")
    default = rule.find("ApplyServerSideEncryptionByDefault") or Element("")
    return DefaultEncryption(algorithm=default.value("SSEAlgorithm").strip(), key_id=default.value("KMSMasterKeyID"))


def parse_object_lock(body: bytes) -> DefaultRetention | None:
    """Return the default retention; ``None`` where locks are possible and none is set by default."""
    rule = _root(body, "ObjectLockConfiguration").find("Rule")
    default = None if rule is None else rule.find("DefaultRetention")
    if default is None:
        return None
    # moto sends both, one of them 0
    period = next((f"{default.number(name)} {name.lower()}" for name in ("Years", "Days") if default.number(name)), "")
    return DefaultRetention(mode=default.value("Mode"), period=period) if period else None


def parse_payer(body: bytes) -> str:
    """Return who pays for requests: ``BucketOwner`` or ``Requester``."""
    return _root(body, "RequestPaymentConfiguration").value("Payer").strip()


NO_ENCRYPTION = DefaultEncryption()

LIFECYCLE: Setting[tuple[LifecycleRule, ...]] = Setting(
    operation="GetBucketLifecycleConfiguration",
    subresource="lifecycle",
    noun="lifecycle rules",
    parse=parse_lifecycle,
    unset=(),
    unset_code="NoSuchLifecycleConfiguration",
)
NOTIFICATIONS: Setting[tuple[Notification, ...]] = Setting(
    operation="GetBucketNotificationConfiguration",
    subresource="notification",
    noun="notifications",
    parse=parse_notifications,
    unset=(),
)
REPLICATION: Setting[tuple[ReplicationRule, ...]] = Setting(
    operation="GetBucketReplication",
    subresource="replication",
    noun="replication rules",
    parse=parse_replication,
    unset=(),
    unset_code="ReplicationConfigurationNotFoundError",
)
ENCRYPTION: Setting[DefaultEncryption] = Setting(
    operation="GetBucketEncryption",
    subresource="encryption",
    noun="default encryption",
    parse=parse_encryption,
    unset=NO_ENCRYPTION,
    unset_code="ServerSideEncryptionConfigurationNotFoundError",
)
OBJECT_LOCK: Setting[DefaultRetention | None] = Setting(
    operation="GetObjectLockConfiguration",
    subresource="object-lock",
    noun="default retention",
    parse=parse_object_lock,
    unset=None,
    unset_code="ObjectLockConfigurationNotFoundError",
)
PAYER: Setting[str] = Setting(
    operation="GetBucketRequestPayment",
    subresource="requestPayment",
    noun="who pays for requests",
    parse=parse_payer,
    unset="BucketOwner",
)
VERSIONING: Setting[str] = Setting(
    operation="GetBucketVersioning", subresource="versioning", noun="versioning", parse=parse_versioning, unset=""
)


def _notification_prefix(element: Element) -> str:
    filter_ = element.find("Filter") or Element("Filter")
    rules = (filter_.find("S3Key") or Element("S3Key")).find_all("FilterRule")
    return next((rule.value("Value") for rule in rules if rule.value("Name").lower() == "prefix"), "")


def _replication_rule(element: Element, number: int) -> ReplicationRule:
    destination = element.find("Destination") or Element("Destination")
    markers = element.find("DeleteMarkerReplication") or Element("")
    return ReplicationRule(
        name=element.value("ID") or f"number {number}",
        is_enabled=element.value("Status").strip() == "Enabled",
        destination=destination.value("Bucket"),
        prefix=rule_scope(element).value("Prefix"),
        replicates_markers=markers.value("Status").strip() == "Enabled",
    )


def _root(body: bytes, *tags: str) -> Element:
    root = parse_tree(body)
    if root.tag not in tags:
        raise XmlError(f"<{root.tag}> is no <{tags[0]}>")
    return root
