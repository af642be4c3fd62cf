"""Access control lists are read, written and told by headers without losing a grant."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3batch.s3.acl import acl_body, grant_headers, parse_acl
from s3batch.s3.answers import Grant, ObjectAcl
from s3batch.s3.xml_tree import XmlError, xml_can_carry

_NAMES = st.text(min_size=1, max_size=12).filter(xml_can_carry)
_GRANTS = st.builds(
    Grant,
    permission=st.sampled_from(["FULL_CONTROL", "READ", "READ_ACP", "WRITE_ACP"]),
    grantee=st.tuples(st.sampled_from(["id", "uri", "emailAddress"]), _NAMES),
)
_ACLS = st.builds(ObjectAcl, owner_id=_NAMES, grants=st.lists(_GRANTS, max_size=5).map(tuple))


@given(_ACLS)
def test_what_is_put_is_what_was_read(acl: ObjectAcl) -> None:
    """Whatever the grantees are called."""
    assert parse_acl(acl_body(acl)) == acl


@given(_ACLS)
def test_headers_name_every_grant_or_none_where_only_the_owner_has_any(acl: ObjectAcl) -> None:
    """S3 gives the owner of a new object full control by itself."""
    headers = grant_headers(acl)
    named = {
        (name.removeprefix("x-amz-grant-").upper().replace("-", "_"), f'{grant.grantee[0]}="{grant.grantee[1]}"')
        for name, value in headers.items()
        for grant in acl.grants
        if f'{grant.grantee[0]}="{grant.grantee[1]}"' in value
    }
    asked = {(grant.permission, f'{grant.grantee[0]}="{grant.grantee[1]}"') for grant in acl.grants}
    others = {grant.grantee for grant in acl.grants} - {("id", acl.owner_id)}
    assert asked <= named if others else headers == {}


def test_what_cannot_be_understood_is_no_empty_list() -> None:
    """A grantee of an unknown kind would be lost; another document is no list at all."""
    with pytest.raises(XmlError, match="neither ID nor URI"):
        parse_acl(
            b"<AccessControlPolicy><AccessControlList><Grant><Grantee><Moon>1</Moon></Grantee>"
            b"<Permission>READ</Permission></Grant></AccessControlList></AccessControlPolicy>"
        )
    with pytest.raises(XmlError, match="AccessControlPolicy"):
        parse_acl(b"<Error><Code>x</Code></Error>")
