"""IAM documents of the permissions that a request needs: of who works, and of a bucket whose owner is somebody else.

In: a request, the partition, the principals of a bucket's policy. Out: a document, ready for ``json.dumps``, whose
order is always the same; and sentences that explain it. Pure; the knowledge is in ``permissions``.

Resources are as narrow as the prefixes. Characters that a policy gives a meaning (``*``, ``?``, ``$``) are written as
``${*}``, ``${?}``, ``${$}`` ("IAM policy elements: Variables and tags", read 2026-11).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

from s3batch.model.errors import RefusedError, UsageError
from s3batch.model.objects import S3Object, S3Prefix
from s3batch.plan.permissions import Permission, needed_permissions
from s3batch.plan.policy_request import Place, PolicyRequest, Scope, Step

PARTITIONS: Final = ("aws", "aws-cn", "aws-us-gov")

MAX_POLICY_CHARACTERS: Final = 6_144
"""Of a managed policy, white space not counted ("IAM and AWS STS quotas", read 2026-11)."""

_ALIAS: Final = "-s3alias"
"""The end of an access point's alias ("Using a bucket-style alias for your access point", read 2026-11)."""

_VERSION: Final = "2012-10-17"
_MEANING: Final = str.maketrans({each: f"${{{each}}}" for each in "*?$"})
_PRINCIPAL: Final = re.compile(r"\d{12}|arn:aws(?:-cn|-us-gov)?:(?:iam|sts)::\d{12}:[\w+=,.@/:-]+", re.ASCII)
_KEY: Final = re.compile(r"arn:aws(?:-cn|-us-gov)?:kms:[a-z0-9-]+:\d{12}:key/[\w-]+", re.ASCII)
_INVENTORY: Final = re.compile(
    r"(?P<configuration>.*?/?)(?P<run>\d{4}-\d\d-\d\dT\d\d-\d\dZ)/manifest\.json", re.ASCII | re.DOTALL
)
"""As S3 delivers it ("Locating your inventory list", read 2026-11)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Statement:
    """The actions that are allowed at one place, in one scope, and the reasons."""

    place: Place
    scope: Scope
    permissions: tuple[Permission, ...]
    resources: tuple[str, ...]
    condition: dict[str, dict[str, list[str]]]

    @property
    def name(self) -> str:
        """Return its ``Sid``: letters and digits."""
        return f"{self.place.capitalize()}{self.scope}"

    @property
    def actions(self) -> list[str]:
        """Return each action once, in alphabetical order."""
        return sorted({each.action for each in self.permissions})

    def document(self, principals: Sequence[str] = ()) -> dict[str, Any]:
        """Return the statement; one of a bucket's policy names principals."""
        who = {"Principal": {"AWS": list(principals)}} if principals else {}
        what = {"Action": self.actions, "Resource": list(self.resources)}
        condition = {"Condition": self.condition} if self.condition else {}
        return {"Sid": self.name, "Effect": "Allow", **who, **what, **condition}


def partition_of(region: str | None) -> str:
    """Return the partition of a region's name."""
    name = region or ""
    return "aws-cn" if name.startswith("cn-") else "aws-us-gov" if name.startswith("us-gov-") else "aws"


def statements_of(request: PolicyRequest, *, partition: str) -> tuple[Statement, ...]:
    """Return the statements that a request needs, by place and scope.

    Raises:
        RefusedError: code ``AccessPoint``: a place is not named by its bucket.
    """
    _refuse_access_points(request)
    needed = needed_permissions(request)
    return tuple(
        _statement(request, place, scope, chosen, partition)
        for place in Place
        for scope in Scope
        if (chosen := tuple(each for each in needed if (each.place, each.scope) == (place, scope)))
    )


def identity_policy(request: PolicyRequest, *, partition: str) -> dict[str, Any]:
    """Return the policy of the user or role that does the step."""
    return _document(each.document() for each in statements_of(request, partition=partition))


def bucket_policy(request: PolicyRequest, *, partition: str, bucket: str, principals: Sequence[str]) -> dict[str, Any]:
    """Return what a bucket's own policy must allow, where principals of another account do the step.

    Both are needed then: this, and the policy of their own. Keys have policies of their own, too.

    Raises:
        UsageError: code ``InvalidPrincipal``; ``NotOfThisJob``: the step does not touch the bucket.
    """
    for each in principals:
        if _PRINCIPAL.fullmatch(each) is None:
            raise UsageError(
                f"{each!r} is no principal.",
                code="InvalidPrincipal",
                way_out="Write the ARN of a role or user, arn:aws:iam::111122223333:role/NAME, or 12 digits.",
            )
    found = statements_of_bucket(request, partition=partition, bucket=bucket)
    if not found:
        raise UsageError(
            f"The step {request.step} does not touch the bucket {bucket!r}.",
            code="NotOfThisJob",
            way_out=f"Name one of {', '.join(_buckets(request))}.",
        )
    return _document(each.document(principals) for each in found)


def statements_of_bucket(request: PolicyRequest, *, partition: str, bucket: str) -> tuple[Statement, ...]:
    """Return the statements about one bucket."""
    bucket_by_place = {place: where.bucket for place, where in _where(request).items()}
    return tuple(
        each
        for each in statements_of(request, partition=partition)
        if each.scope is not Scope.KEY and bucket_by_place[each.place] == bucket
    )


def require_kms_key(text: str) -> str:
    """Return the ARN of a KMS key.

    Raises:
        UsageError: code ``InvalidKey``.
    """
    if _KEY.fullmatch(text) is None:
        raise UsageError(
            f"{text!r} is not the ARN of a KMS key.",
            code="InvalidKey",
            way_out="Write arn:aws:kms:REGION:111122223333:key/ID; aliases do not work in policies.",
        )
    return text


def policy_size(document: str) -> int:
    """Return the characters that count for the limits: all but white space."""
    return len("".join(document.split()))


def explanations(statements: Sequence[Statement]) -> tuple[str, ...]:
    """Return why each action of each statement is there, one line each."""
    lines = []
    for statement in statements:
        lines.append(f"{statement.name}: {', '.join(statement.resources)}")
        for action in statement.actions:
            reasons = [each.why for each in statement.permissions if each.action == action]
            lines.append(f"  {action}: {'; '.join(dict.fromkeys(reasons))}.")
    return tuple(lines)


def notes(request: PolicyRequest, *, is_of_bucket: bool) -> tuple[str, ...]:
    """Return what else a user should know about the policy."""
    found = []
    if not request.lists_whole_bucket and _is_narrowed(request):
        found.append(
            "Listings are allowed below the prefixes only. AWS tells that a single key is absent (404) only to who may"
            " list the bucket; else it may say AccessDenied (403), and such rows fail with that code."
            " --list-whole-bucket leaves the restriction out."
        )
    if request.kms_key_by_place:
        found.append("A KMS key of another account must allow this in its own policy, too.")
    if is_of_bucket and request.step in {Step.COPY, Step.MOVE}:
        found.append(
            "Copies in the target bucket belong to its owner where Object Ownership is BucketOwnerEnforced (the default"
            " since April 2023). Elsewhere they belong to the account that copies: use --acl bucket-owner-full-control"
            " with BucketOwnerPreferred."
        )
    if is_of_bucket:
        found.append("The principals need the policy of their own as well: the same command without --for-principal.")
    if request.step in {Step.DELETE, Step.MOVE}:
        found.append(
            "This policy deletes versions: nothing brings them back."
            if request.is_permanent
            else "Versions cannot be deleted with this policy. With versioning on, whatever it deletes can be had back."
        )
    return tuple(found)


def _document(statements: Iterator[dict[str, Any]]) -> dict[str, Any]:
    return {"Version": _VERSION, "Statement": list(statements)}


def _statement(
    request: PolicyRequest, place: Place, scope: Scope, permissions: tuple[Permission, ...], partition: str
) -> Statement:
    where = _where(request)[place]
    bucket_arn = f"arn:{partition}:s3:::{where.bucket}"
    condition: dict[str, dict[str, list[str]]] = {}
    match scope:
        case Scope.LIST:
            resources: tuple[str, ...] = (bucket_arn,)
            folder = _folder_of(where)
            if folder and not request.lists_whole_bucket:
                condition = {"StringLike": {"s3:prefix": [f"{_literal(folder)}*"]}}
        case Scope.BUCKET:
            resources = (bucket_arn,)
        case Scope.OBJECTS:
            resources = tuple(f"{bucket_arn}/{each}" for each in _patterns(where))
        case Scope.KEY:
            resources = (request.kms_key_by_place[place],)
            suffix = "amazonaws.com.cn" if partition == "aws-cn" else "amazonaws.com"
            condition = {"StringLike": {"kms:ViaService": [f"s3.*.{suffix}"]}}
    return Statement(place=place, scope=scope, permissions=permissions, resources=resources, condition=condition)


def _where(request: PolicyRequest) -> dict[Place, S3Prefix | S3Object]:
    found = {
        Place.SOURCE: request.source,
        Place.TARGET: request.target,
        Place.MANIFEST: request.manifest,
        Place.REPORT: _folder(request.report),
    }
    return {place: where for place, where in found.items() if where is not None}


def _folder(report: S3Prefix | None) -> S3Prefix | None:
    """Return the prefix of a report's objects, which lie in folders of their jobs below it."""
    if report is None or not report.prefix:
        return report
    return S3Prefix(bucket=report.bucket, prefix=f"{report.prefix.rstrip('/')}/")


def _refuse_access_points(request: PolicyRequest) -> None:
    """Refuse what policies name in another way: an ARN of other parts; an alias, which they do not take at all."""
    for place, where in _where(request).items():
        if where.bucket.startswith("arn:") or where.bucket.endswith(_ALIAS):
            raise RefusedError(
                f"The {place} is an access point, {where.bucket!r}: its policies are not written here.",
                code="AccessPoint",
                way_out="Name the bucket behind it.",
            )


def _buckets(request: PolicyRequest) -> list[str]:
    return list(dict.fromkeys(where.bucket for where in _where(request).values()))


def _patterns(where: S3Prefix | S3Object) -> tuple[str, ...]:
    """Return what matches the keys of a place: those below a prefix, or one object."""
    if isinstance(where, S3Prefix):
        return (f"{_literal(where.prefix)}*",)
    if (inventory := _INVENTORY.fullmatch(where.key)) is None:
        return (_literal(where.key),)
    folder, run = _literal(inventory["configuration"]), inventory["run"]
    return (f"{folder}{run}/manifest.json", f"{folder}{run}/manifest.checksum", f"{folder}data/*")


def _folder_of(where: S3Prefix | S3Object) -> str:
    """Return the folder of a prefix: listings of parts of a job ask for whole folders (``s3/lookup.py``)."""
    prefix = where.prefix if isinstance(where, S3Prefix) else where.key
    return prefix[: prefix.rfind("/") + 1]


def _is_narrowed(request: PolicyRequest) -> bool:
    """Tell whether listings of objects, on which answers about absent keys depend, are restricted to a prefix."""
    return any(
        _folder_of(_where(request)[each.place])
        for each in needed_permissions(request)
        if each.scope is Scope.LIST and each.action == "s3:ListBucket"
    )


def _literal(text: str) -> str:
    return text.translate(_MEANING)
