"""A bucket's lifecycle rules: the document of GetBucketLifecycleConfiguration as values. Pure.

Facts: "Lifecycle configuration elements" (S3 User Guide) and the API reference, read 2026-11. Elements that are not
about whole current objects (noncurrent versions, unfinished uploads) are told apart, not dropped.
"""

from __future__ import annotations

from dataclasses import dataclass

from s3batch.s3.xml_tree import Element, XmlError, parse_tree

_ROOT = "LifecycleConfiguration"
_NARROWING = ("Tag", "ObjectSizeGreaterThan", "ObjectSizeLessThan")


@dataclass(frozen=True, kw_only=True, slots=True)
class LifecycleRule:
    """One rule."""

    name: str
    is_enabled: bool
    prefix: str = ""
    is_narrowed: bool = False
    """It is for objects of some tags or sizes only."""
    expires: str | None = None
    """When current objects are deleted, in words: ``after 30 days``, ``on 2030-01-01``."""
    transitions: tuple[str, ...] = ()
    """To which storage classes current objects go, and when."""
    aborts_uploads_after_days: int | None = None


def parse_lifecycle(body: bytes) -> tuple[LifecycleRule, ...]:
    """Return the rules.

    Raises:
        XmlError: another document.
    """
    root = parse_tree(body)
    if root.tag != _ROOT:
        raise XmlError(f"<{root.tag}> is no <{_ROOT}>")
    return tuple(_rule(each, number) for number, each in enumerate(root.find_all("Rule"), start=1))


def rule_scope(element: Element) -> Element:
    """Return the element of a rule that says which objects it is for; in older ones the rule itself."""
    scope = element.find("Filter") or element
    return scope.find("And") or scope


def _rule(element: Element, number: int) -> LifecycleRule:
    scope = rule_scope(element)
    expiration = element.find("Expiration")
    abort = element.find("AbortIncompleteMultipartUpload")
    transitions = [(_moment(each), each.value("StorageClass")) for each in element.find_all("Transition")]
    return LifecycleRule(
        name=element.value("ID") or f"number {number}",
        is_enabled=element.value("Status").strip() == "Enabled",
        prefix=scope.value("Prefix"),
        is_narrowed=any(scope.find(name) is not None for name in _NARROWING),
        expires=None if expiration is None else _moment(expiration),
        transitions=tuple(f"{storage_class} {moment}" for moment, storage_class in transitions if moment is not None),
        aborts_uploads_after_days=None if abort is None else abort.number("DaysAfterInitiation"),
    )


def _moment(element: Element) -> str | None:
    """Return when, in words; None where it is not about objects (``ExpiredObjectDeleteMarker``)."""
    if days := element.value("Days").strip():
        return f"after {days} days"
    if date := element.value("Date").strip():
        return f"on {date[:10]}"
    return None
