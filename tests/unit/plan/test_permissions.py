"""The table of permissions is complete: every call that the code makes is in it, and nothing that is never made."""

import re
from collections.abc import Iterator
from pathlib import Path

import pytest

import s3batch
from s3batch.model.attributes import Attribute, CopyAttributes, Keep
from s3batch.model.job import Level
from s3batch.model.objects import S3Object, S3Prefix
from s3batch.plan.permissions import PERMISSIONS, needed_permissions
from s3batch.plan.policy_request import Place, PolicyRequest, Scope, Step

PACKAGE = Path(s3batch.__file__).parent
OPERATION = re.compile(
    r'(?:_call|_write|_put)\(\s*"([A-Z]\w+)"|operation(?:: str)? ?= ?"([A-Z]\w+)"|^_OPERATION = "([A-Z]\w+)"',
    re.MULTILINE,
)
NEVER_SENT = {"ListMultipartUploads": "list_multipart_uploads", "ListParts": "list_parts"}
"""Operations that ``s3/`` has a method for and that nobody calls: an upload's parts are known from the journal."""

SOURCE, TARGET = S3Prefix(bucket="archive", prefix="sdo/"), S3Prefix(bucket="staging", prefix="sdac/sdo/")
FULL = PolicyRequest(
    step=Step.MOVE,
    source=SOURCE,
    target=TARGET,
    manifest=S3Object(bucket="archive", key="manifests/sdo.csv"),
    report=S3Prefix(bucket="reports", prefix="s3batch"),
)


def _operations() -> Iterator[str]:
    for path in sorted((PACKAGE / "s3").glob("*.py")):
        for found in OPERATION.finditer(path.read_text(encoding="utf-8")):
            yield next(filter(None, found.groups()))


def actions(request: PolicyRequest, place: Place) -> set[str]:
    """Return the actions that a request needs at one place."""
    return {each.action.partition(":")[2] for each in needed_permissions(request) if each.place is place}


def test_every_call_that_is_sent_is_in_the_table() -> None:
    """A new call cannot be added without saying what it needs, and the table names no call that is not made."""
    sent = set(_operations()) - NEVER_SENT.keys()
    assert {"CopyObject", "UploadPartCopy", "DeleteObjects", "GetBucketVersioning", "PutObjectAcl"} <= sent
    assert {call for each in PERMISSIONS for call in each.calls} == sent


def test_what_is_called_never_sent_is_never_sent() -> None:
    """Else the permissions for it would be missing from every policy."""
    text = "\n".join(path.read_text(encoding="utf-8") for path in PACKAGE.rglob("*.py"))
    assert [name for name in NEVER_SENT.values() if len(re.findall(rf"\b{name}\(", text)) != 1] == []


@pytest.mark.parametrize("step", [Step.CHECK, Step.PLAN, Step.VERIFY])
def test_who_only_looks_writes_nowhere_but_a_report(step: Step) -> None:
    """No action of these steps changes source, target or manifest."""
    request = PolicyRequest(
        step=step,
        source=SOURCE,
        target=TARGET,
        manifest=FULL.manifest,
        report=FULL.report,
        attributes=CopyAttributes(keep=frozenset(Keep)),
        compared=frozenset(Attribute),
        names_versions=True,
        is_permanent=step is Step.PLAN,
        is_target_versioned=True,
        is_source_suspended=True,
        is_target_suspended=True,
        is_aws=False,
    )
    writes = [
        each.action
        for each in needed_permissions(request)
        if each.place is not Place.REPORT and not each.action.startswith(("s3:Get", "s3:List", "kms:Decrypt"))
    ]
    assert writes == []


@pytest.mark.parametrize("step", [step for step in Step if step not in {Step.UNDO, Step.PROBE}])
def test_no_step_but_undo_can_delete_a_version(step: Step) -> None:
    """With versioning on, whatever is deleted can be had back; a probe deletes versions of its canaries."""
    request = PolicyRequest(step=step, source=SOURCE, target=TARGET, names_versions=True, is_target_versioned=True)
    found = {each.action for each in needed_permissions(request)}
    assert not {
        each for each in found if each.startswith(("s3:DeleteObjectVersion", "s3:Bypass")) and "Tagging" not in each
    }
    assert ("s3:DeleteObject" in found) == (step in {Step.DELETE, Step.MOVE})


def test_a_move_is_a_copy_a_verify_and_a_delete() -> None:
    """One user who moves needs what the three need, and nothing else."""
    for place in Place:
        parts = [
            actions(PolicyRequest(step=step, source=SOURCE, target=TARGET, report=FULL.report), place)
            for step in (Step.COPY, Step.VERIFY, Step.DELETE)
        ]
        whole = PolicyRequest(step=Step.MOVE, source=SOURCE, target=TARGET, report=FULL.report)
        assert actions(whole, place) == set().union(*parts)


@pytest.mark.parametrize(
    ("attributes", "more_on_source", "more_on_target"),
    [
        ({"keep": frozenset({Keep.ACL})}, {"GetObjectAcl"}, {"PutObjectAcl"}),
        (
            {"keep": frozenset({Keep.LOCK})},
            {"GetObjectRetention", "GetObjectLegalHold"},
            {"PutObjectRetention", "PutObjectLegalHold"},
        ),
        ({"keep": frozenset({Keep.ENCRYPTION, Keep.REDIRECT, Keep.TAGS})}, set(), set()),
        ({"acl": "bucket-owner-full-control"}, set(), {"PutObjectAcl"}),
        ({"grants": {"read": ("id=x",)}}, set(), {"PutObjectAcl"}),
        ({"legal_hold": True}, set(), {"PutObjectLegalHold"}),
        ({"legal_hold": False}, set(), set()),
    ],
)
def test_attributes_need_what_they_read_and_put(
    attributes: dict[str, object], more_on_source: set[str], more_on_target: set[str]
) -> None:
    """On AWS, beyond a plain copy."""
    plain = PolicyRequest(step=Step.COPY, source=SOURCE, target=TARGET)
    request = PolicyRequest(
        step=Step.COPY,
        source=SOURCE,
        target=TARGET,
        attributes=CopyAttributes(**attributes),  # type: ignore[arg-type]
    )
    assert actions(request, Place.SOURCE) - actions(plain, Place.SOURCE) == more_on_source
    assert actions(request, Place.TARGET) - actions(plain, Place.TARGET) == more_on_target


def test_copies_with_tags_of_their_own_read_none() -> None:
    """--tag puts tags and reads no source's; --no-tags does neither."""
    tagged = PolicyRequest(step=Step.COPY, source=SOURCE, target=TARGET, attributes=CopyAttributes(tags={"a": "b"}))
    assert "GetObjectTagging" not in actions(tagged, Place.SOURCE)
    assert "PutObjectTagging" in actions(tagged, Place.TARGET)
    bare = PolicyRequest(step=Step.COPY, source=SOURCE, target=TARGET, attributes=CopyAttributes(tags={}))
    assert "PutObjectTagging" not in actions(bare, Place.TARGET)
    assert "DeleteObjectTagging" not in actions(bare, Place.TARGET)


def test_bytes_need_no_checksums_of_parts() -> None:
    """At level bytes nobody asks for part sizes."""
    request = PolicyRequest(step=Step.VERIFY, source=SOURCE, target=TARGET, level=Level.BYTES)
    assert actions(request, Place.SOURCE) == actions(request, Place.TARGET) == {"ListBucket", "GetObject"}


@pytest.mark.parametrize("step", [Step.DELETE, Step.MOVE])
def test_a_permanent_delete_has_the_actions_on_versions_instead(step: Step) -> None:
    """Whoever deletes exact versions can neither read nor delete what is current without naming it."""
    request = PolicyRequest(step=step, source=SOURCE, target=TARGET, is_permanent=True)
    found = actions(request, Place.SOURCE)
    assert {"DeleteObjectVersion", "GetObjectVersion", "ListBucketVersions"} <= found
    assert not {"DeleteObject", "GetObject", "GetObjectAttributes", "GetObjectTagging"} & found
    reasons = [each.why for each in needed_permissions(request) if each.action == "s3:ListBucketVersions"]
    assert reasons == ["with --permanent the plan says which older versions become current"]


def test_a_manifest_of_versions_lists_versions_and_no_objects() -> None:
    """What ``manifest create --versions`` sends."""
    request = PolicyRequest(step=Step.MANIFEST, source=SOURCE, names_versions=True)
    assert actions(request, Place.SOURCE) == {"ListBucketVersions"}
    assert actions(PolicyRequest(step=Step.MANIFEST, source=SOURCE), Place.SOURCE) == {"ListBucket"}


@pytest.mark.parametrize("step", [Step.COPY, Step.MOVE, Step.PLAN])
def test_suspended_versioning_of_the_target_needs_its_versions_listed(step: Step) -> None:
    """A copy there looks for the null version that it would destroy, and its plan asks whether it may."""
    plain, suspended = (
        PolicyRequest(step=step, source=SOURCE, target=TARGET, is_target_suspended=is_suspended)
        for is_suspended in (False, True)
    )
    assert actions(suspended, Place.TARGET) - actions(plain, Place.TARGET) == {"ListBucketVersions"}
    assert actions(suspended, Place.SOURCE) == actions(plain, Place.SOURCE)


def test_suspended_versioning_of_the_source_matters_to_a_plan() -> None:
    """A delete may list versions anyway; a dry run only asks where it must."""
    plan = PolicyRequest(step=Step.PLAN, source=SOURCE, target=TARGET, is_source_suspended=True)
    assert "ListBucketVersions" in actions(plan, Place.SOURCE)
    plain = PolicyRequest(step=Step.PLAN, source=SOURCE, target=TARGET)
    assert "ListBucketVersions" not in actions(plain, Place.SOURCE)
    assert "ListBucketVersions" in actions(PolicyRequest(step=Step.DELETE, source=SOURCE), Place.SOURCE)


def test_a_probe_deletes_versions_only_where_there_are_any() -> None:
    """Its policy is about one prefix, and has more on it where canaries leave versions."""
    plain = PolicyRequest(step=Step.PROBE, source=SOURCE)
    versioned = PolicyRequest(step=Step.PROBE, source=SOURCE, is_target_versioned=True)
    assert actions(plain, Place.SOURCE) == {
        "ListBucket",
        "GetBucketVersioning",
        "GetBucketObjectLockConfiguration",
        "PutObject",
        "GetObject",
        "DeleteObject",
        "PutObjectTagging",
        "GetObjectTagging",
    }
    more = {"ListBucketVersions", "GetObjectVersion", "DeleteObjectVersion"}
    assert actions(versioned, Place.SOURCE) - actions(plain, Place.SOURCE) == more


def test_an_unverified_delete_does_not_touch_a_target() -> None:
    """There is none."""
    assert actions(PolicyRequest(step=Step.DELETE, source=SOURCE), Place.TARGET) == set()


def test_keys_are_named_only_where_they_are_given() -> None:
    """A delete decrypts nothing; a probe copies."""
    keys = {place: f"arn:aws:kms:us-east-1:111122223333:key/{place}" for place in Place}
    assert not [each for each in needed_permissions(FULL) if each.scope is Scope.KEY]
    for step, expected in (
        (Step.COPY, {Place.SOURCE, Place.TARGET}),
        (Step.VERIFY, {Place.SOURCE, Place.TARGET}),
        (Step.DELETE, set()),
        (Step.PROBE, {Place.SOURCE}),
    ):
        request = PolicyRequest(step=step, source=SOURCE, target=TARGET, kms_key_by_place=keys)
        assert {each.place for each in needed_permissions(request) if each.scope is Scope.KEY} == expected
