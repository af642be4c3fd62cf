"""``s3batch iam-policy``: write the least IAM policy for a step of a job; no store is asked, nothing is recorded.

In: the step, its places, and the options of it that need more permissions. Out: the policy on standard output, always
the same bytes for the same words; on standard error, unless ``--json`` is given, why each action is there.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from typing import Annotated

import typer

from s3batch.cli.attributes import copy_attributes
from s3batch.cli.deferred import effective_connection
from s3batch.cli.flat import flat
from s3batch.cli.options import Attributes, Proving, Store, setting_option
from s3batch.cli.session import print_lines
from s3batch.model.attributes import CopyAttributes
from s3batch.model.errors import UsageError
from s3batch.model.job import IfTargetExists
from s3batch.model.objects import S3Object, S3Prefix, parse_s3_uri, require_exact_prefix
from s3batch.plan.permissions import Place, PolicyRequest, Step
from s3batch.plan.policy_document import (
    MAX_POLICY_CHARACTERS,
    PARTITIONS,
    bucket_policy,
    explanations,
    identity_policy,
    notes,
    partition_of,
    policy_size,
    require_kms_key,
    statements_of,
    statements_of_bucket,
)
from s3batch.report.text import visible
from s3batch.s3.addressing import DEFAULT_REGION, AddressBook

_S3 = "s3://"
_WITHOUT_TARGET = frozenset({Step.MANIFEST, Step.UNDO})

app = typer.Typer(rich_markup_mode=None, add_completion=False)

StepArgument = Annotated[Step, typer.Argument(metavar="|".join(Step), show_default=False)]
SourceArgument = Annotated[str, typer.Argument(metavar="SOURCE", help="s3://BUCKET/PREFIX/", show_default=False)]
TargetArgument = Annotated[
    str | None, typer.Argument(metavar="TARGET", help="s3://BUCKET/PREFIX/; none for manifest and undo.")
]
RawPrefixOption = Annotated[bool, typer.Option("--raw-prefix", help="Prefixes need not end in '/'.")]
ManifestOption = Annotated[
    str | None, typer.Option("--manifest", metavar="URL", help="A manifest in a bucket; the step manifest writes it.")
]
ReportOption = Annotated[str | None, setting_option("report")]
IfTargetExistsOption = Annotated[
    IfTargetExists, typer.Option("--if-target-exists", help="What a copy does where the target key is taken.")
]
UnverifiedOption = Annotated[bool, typer.Option("--unverified", help="A delete without a proof: no TARGET is read.")]
VersionsOption = Annotated[bool, typer.Option("--versions", help="The manifest names versions.")]
TargetVersionedOption = Annotated[bool, typer.Option("--target-versioned", help="The target bucket keeps versions.")]
WholeBucketOption = Annotated[
    bool,
    typer.Option("--list-whole-bucket", help="Allow listings of whole buckets, so that absent keys are told as such."),
]
KmsKeyOption = Annotated[
    list[str] | None,
    typer.Option("--kms-key", metavar="PLACE=ARN", help=f"The KMS key of {', '.join(Place)} (repeatable)."),
]
PartitionOption = Annotated[
    str | None, typer.Option("--partition", metavar="|".join(PARTITIONS), help="By default that of the region.")
]
PrincipalOption = Annotated[
    list[str] | None,
    typer.Option(
        "--for-principal",
        metavar="ARN",
        help="Write the policy of a bucket instead, for these principals of another account (repeatable).",
    ),
]
BucketOption = Annotated[
    str | None,
    typer.Option("--bucket", metavar="NAME", help="With --for-principal: whose policy; by default SOURCE's bucket."),
]


@app.command(epilog="Exit codes: 0 written; 2 usage; 4 refused.")
@flat
def iam_policy(
    step: StepArgument,
    source: SourceArgument,
    target: TargetArgument = None,
    *,
    raw_prefix: RawPrefixOption = False,
    manifest: ManifestOption = None,
    report: ReportOption = None,
    if_target_exists: IfTargetExistsOption = IfTargetExists.FAIL,
    unverified: UnverifiedOption = False,
    versions: VersionsOption = False,
    target_versioned: TargetVersionedOption = False,
    list_whole_bucket: WholeBucketOption = False,
    kms_key: KmsKeyOption = None,
    partition: PartitionOption = None,
    for_principal: PrincipalOption = None,
    bucket: BucketOption = None,
    attributes: Attributes,
    proving: Proving,
    endpoint_url: Annotated[str | None, setting_option("endpoint-url")] = None,
    region: Annotated[str | None, setting_option("region")] = None,
    profile: Annotated[str | None, setting_option("profile")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Only the document, no explanation.")] = False,
) -> None:
    """Write the least IAM policy with which a user or role can do a step.

    The steps are those of the command line; plan is any dry run. Give the options that the job will have: --keep,
    --tag, --level, --with-tags and the like need permissions of their own.
    """
    if partition is not None and partition not in PARTITIONS:
        raise UsageError(f"--partition {partition!r} is unknown.", way_out=f"Give one of {', '.join(PARTITIONS)}.")
    if bucket is not None and not for_principal:
        raise UsageError(
            "--bucket is about a bucket's policy, and no principal is named.",
            way_out="Add --for-principal ARN, or leave it out.",
        )
    connection = effective_connection(Store(endpoint_url=endpoint_url, region=region, profile=profile), os.environ)
    wanted, options = copy_attributes(attributes), proving.options()
    request = PolicyRequest(
        step=step,
        source=_place(source, raw=raw_prefix),
        target=_target(step, target, raw=raw_prefix, is_unverified=unverified),
        manifest=_manifest(manifest),
        report=parse_s3_uri(report) if report is not None and report.startswith(_S3) else None,
        attributes=wanted,
        compared=frozenset(options.attributes),
        level=options.level,
        skips_same=if_target_exists is IfTargetExists.SKIP_IF_SAME,
        names_versions=versions,
        is_target_versioned=target_versioned,
        is_aws=AddressBook(
            endpoint_url=connection.endpoint_url or None, region=connection.region or DEFAULT_REGION
        ).is_aws,
        lists_whole_bucket=list_whole_bucket,
        kms_key_by_place=_kms_keys(kms_key or (), wanted),
    )
    _print_policy(
        request,
        partition=partition or partition_of(connection.region),
        bucket=bucket or request.source.bucket,
        principals=for_principal or (),
        as_json=as_json,
    )


def _print_policy(
    request: PolicyRequest, *, partition: str, bucket: str, principals: Sequence[str], as_json: bool
) -> None:
    """Print the document, and on standard error what it is about."""
    if principals:
        document = bucket_policy(request, partition=partition, bucket=bucket, principals=principals)
        statements = statements_of_bucket(request, partition=partition, bucket=bucket)
    else:
        document = identity_policy(request, partition=partition)
        statements = statements_of(request, partition=partition)
    text = json.dumps(document, indent=2)  # in ASCII: IAM takes nothing above U+00FF (PutUserPolicy, read 2026-11)
    if not as_json:
        lines = [*explanations(statements), *notes(request, is_of_bucket=bool(principals))]
        if (size := policy_size(text)) > MAX_POLICY_CHARACTERS:
            lines.append(
                f"The policy has {size:,} characters; a managed policy of IAM takes {MAX_POLICY_CHARACTERS:,}."
                " Use shorter prefixes."
            )
        sys.stderr.write("".join(f"{visible(line)}\n" for line in lines))
        sys.stderr.flush()
    print_lines([text])


def _place(text: str, *, raw: bool) -> S3Prefix:
    return require_exact_prefix(parse_s3_uri(text), raw=raw)


def _target(step: Step, text: str | None, *, raw: bool, is_unverified: bool) -> S3Prefix | None:
    """Return the target; ``None`` where the step has none.

    Raises:
        UsageError: there is one too many, or too few.
    """
    if is_unverified and step is not Step.DELETE:
        raise UsageError(f"--unverified is about the step delete, not {step}.", way_out="Leave it out.")
    if step in _WITHOUT_TARGET or is_unverified:
        if text is not None:
            raise UsageError(f"{text} is one address too many: this step has no target.", way_out="Name SOURCE alone.")
        return None
    if text is None:
        raise UsageError(
            f"The step {step} needs a target: it is read, too.",
            way_out="Write SOURCE TARGET" + (", or --unverified." if step is Step.DELETE else "."),
        )
    return _place(text, raw=raw)


def _manifest(url: str | None) -> S3Object | None:
    """Return the manifest; one in a local file needs no permission.

    Raises:
        UsageError: the address names no object.
    """
    if url is None or not url.startswith(_S3):
        return None
    place = parse_s3_uri(url)
    if not place.prefix or place.prefix.endswith("/"):
        raise UsageError(f"{url} names no object.", way_out="Write --manifest s3://BUCKET/KEY.")
    return S3Object(bucket=place.bucket, key=place.prefix)


def _kms_keys(texts: Sequence[str], attributes: CopyAttributes) -> Mapping[Place, str]:
    """Return the keys by place; that of --sse-kms-key-id is the target's unless another one is named.

    Raises:
        UsageError: code ``InvalidKey``.
    """
    keys: dict[Place, str] = {}
    if attributes.kms_key_id is not None:
        keys[Place.TARGET] = require_kms_key(attributes.kms_key_id)
    for text in texts:
        place, sign, arn = text.partition("=")
        if not sign or place not in list(Place):
            raise UsageError(
                f"--kms-key {text!r} names no place.",
                code="InvalidKey",
                way_out=f"Write PLACE=ARN, where PLACE is one of {', '.join(Place)}.",
            )
        keys[Place(place)] = require_kms_key(arn)
    return keys
