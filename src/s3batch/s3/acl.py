"""Access control lists of objects: the document that S3 sends and takes, and the headers that say the same.

In and out: :class:`~s3batch.s3.answers.ObjectAcl`. Pure. Facts: GetObjectAcl, PutObjectAcl and CopyObject API
references, read 2026-11.
"""

from __future__ import annotations

from s3batch.s3.answers import Grant, ObjectAcl
from s3batch.s3.xml_tree import Element, XmlError, escape, parse_tree

_NAMESPACE = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
_XSI = 'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance"'
_ELEMENTS = {
    "id": ("CanonicalUser", "ID"),
    "uri": ("Group", "URI"),
    "emailAddress": ("AmazonCustomerByEmail", "EmailAddress"),
}
"""Kind of grantee as headers call it -> its type and element in the document."""


def parse_acl(body: bytes) -> ObjectAcl:
    """Return the grants of an object.

    Raises:
        XmlError: no such document, or a grantee of an unknown kind: it would be lost.
    """
    root = parse_tree(body)
    if root.tag != "AccessControlPolicy":
        raise XmlError(f"<{root.tag}> is no <AccessControlPolicy>")
    owner = root.find("Owner") or Element("Owner")
    listed = root.find("AccessControlList") or Element("AccessControlList")
    grants = tuple(_grant(each) for each in listed.find_all("Grant"))
    return ObjectAcl(owner_id=owner.value("ID"), grants=grants)


def acl_body(acl: ObjectAcl) -> bytes:
    """Return the document of PutObjectAcl."""
    grants = "".join(_grant_text(grant) for grant in acl.grants)
    return (
        f"<AccessControlPolicy {_NAMESPACE}><Owner><ID>{escape(acl.owner_id)}</ID></Owner>"
        f"<AccessControlList>{grants}</AccessControlList></AccessControlPolicy>"
    ).encode()


def grant_headers(acl: ObjectAcl) -> dict[str, str]:
    """Return the headers that give a new object the same grants; none where only its owner may do anything."""
    others = [grant for grant in acl.grants if grant.grantee != ("id", acl.owner_id)]
    if not others:
        return {}
    by_permission: dict[str, list[str]] = {}
    for grant in acl.grants:
        kind, name = grant.grantee
        by_permission.setdefault(grant.permission, []).append(f'{kind}="{name}"')
    return {
        f"x-amz-grant-{permission.lower().replace('_', '-')}": ", ".join(grantees)
        for permission, grantees in sorted(by_permission.items())
    }


def _grant(element: Element) -> Grant:
    grantee = element.find("Grantee") or Element("Grantee")
    for kind, (_, tag) in _ELEMENTS.items():
        if name := grantee.value(tag):
            return Grant(permission=element.value("Permission"), grantee=(kind, name))
    raise XmlError("a grant's grantee has neither ID nor URI nor e-mail address")


def _grant_text(grant: Grant) -> str:
    kind, name = grant.grantee
    type_, tag = _ELEMENTS[kind]
    return (
        f'<Grant><Grantee {_XSI} xsi:type="{type_}"><{tag}>{escape(name)}</{tag}></Grantee>'
        f"<Permission>{escape(grant.permission)}</Permission></Grant>"
    )
