"""``s3batch iam-policy``: write the least IAM policy for a step of a job; no store is asked, nothing is recorded.

In: the step, its places, and the options of it that need more permissions; or a recorded job. Out: the policy on
standard output, always the same bytes for the same words; on standard error, unless ``--json`` is given, why each
action is there.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated

import typer

from s3batch.cli.attributes import copy_attributes
from s3batch.cli.deferred import effective_connection, upgrade
from s3batch.cli.flat import flat
from s3batch.cli.job_permissions import is_aws, request_of_job
from s3batch.cli.options import Attributes, Following, PermanentOption, Proving, Store, setting_option
from s3batch.cli.session import open_session, print_lines
from s3batch.model.attributes import CopyAttributes
from s3batch.model.errors import UsageError
from s3batch.model.job import IfTargetExists, VerifyOptions
from s3batch.model.objects import S3Object, S3Prefix, parse_s3_uri, require_exact_prefix
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
from s3batch.plan.policy_request import Place, PolicyRequest, Step
from s3batch.report.text import visible

_S3 = "s3://"
_WITHOUT_TARGET = frozenset({Step.MANIFEST, Step.UNDO, Step.PROBE})
_MAY_BE_PERMANENT = frozenset({Step.PLAN, Step.DELETE, Step.MOVE})

app = typer.Typer(rich_markup_mode=None, add_completion=False)


@dataclass(frozen=True, kw_only=True, slots=True)
class Wanted:
    """The step and its places; nothing of it goes with ``--job``."""

    step: Annotated[Step | None, typer.Argument(metavar="|".join(Step), show_default=False)] = None
    source: Annotated[str | None, typer.Argument(metavar="SOURCE", help="s3://BUCKET/PREFIX/", show_default=False)] = (
        None
    )
    target: Annotated[
        str | None, typer.Argument(metavar="TARGET", help="s3://BUCKET/PREFIX/; none for manifest, undo, probe.")
    ] = None
    raw_prefix: Annotated[bool, typer.Option("--raw-prefix", help="Prefixes need not end in '/'.")] = False
    manifest: Annotated[
        str | None, typer.Option(metavar="URL", help="A manifest in a bucket; the step manifest writes it.")
    ] = None
    unverified: Annotated[bool, typer.Option("--unverified", help="A delete without a proof: no TARGET is read.")] = (
        False
    )
    permanent: PermanentOption = False
    if_target_exists: Annotated[
        IfTargetExists, typer.Option(help="What a copy does where the target key is taken.")
    ] = IfTargetExists.FAIL


@dataclass(frozen=True, kw_only=True, slots=True)
class Circumstances:
    """What is known of the buckets, and nothing that is asked for tells."""

    versions: Annotated[
        bool, typer.Option("--versions", help="The manifest names versions, as it always does with --permanent.")
    ] = False
    target_versioned: Annotated[
        bool,
        typer.Option("--target-versioned", help="The target bucket, or of probe SOURCE's, has or had versioning."),
    ] = False
    source_suspended: Annotated[
        bool, typer.Option("--source-suspended", help="Versioning of the source bucket is suspended.")
    ] = False
    target_suspended: Annotated[
        bool, typer.Option("--target-suspended", help="Versioning of the target bucket is suspended.")
    ] = False
    list_whole_bucket: Annotated[
        bool,
        typer.Option(
            "--list-whole-bucket", help="Allow listings of whole buckets, so that absent keys are told as such."
        ),
    ] = False
    kms_key: Annotated[
        list[str] | None,
        typer.Option(metavar="PLACE=ARN", help=f"The KMS key of {', '.join(Place)} (repeatable)."),
    ] = None


@dataclass(frozen=True, kw_only=True, slots=True)
class Form:
    """Which document is written."""

    partition: Annotated[
        str | None, typer.Option(metavar="|".join(PARTITIONS), help="By default that of the region.")
    ] = None
    for_principal: Annotated[
        list[str] | None,
        typer.Option(
            metavar="ARN",
            help="Write the policy of a bucket instead, for these principals of another account (repeatable).",
        ),
    ] = None
    bucket: Annotated[
        str | None, typer.Option(metavar="NAME", help="With --for-principal: whose policy; by default SOURCE's bucket.")
    ] = None
    as_json: Annotated[bool, typer.Option("--json", help="Only the document, no explanation.")] = False


@app.command(epilog="Exit codes: 0 written; 2 usage; 4 refused; 5 ledger unavailable.")
@flat
def iam_policy(
    *,
    wanted: Wanted,
    job: Annotated[
        str | None, typer.Option("--job", metavar="ID", help="For what this job, or move, has been asked to do.")
    ] = None,
    circumstances: Circumstances,
    form: Form,
    attributes: Attributes,
    proving: Proving,
    report: Annotated[str | None, setting_option("report")] = None,
    endpoint_url: Annotated[str | None, setting_option("endpoint-url")] = None,
    region: Annotated[str | None, setting_option("region")] = None,
    profile: Annotated[str | None, setting_option("profile")] = None,
) -> None:
    """Write the least IAM policy with which a user or role can do a step.

    The steps are those of the command line; plan is any dry run. Give the options that the job will have: --keep,
    --tag, --level, --with-tags and the like need permissions of their own.
    """
    _check_form(form)
    if job is None:
        connection = effective_connection(Store(endpoint_url=endpoint_url, region=region, profile=profile), os.environ)
        request = _request(wanted, copy_attributes(attributes), proving.options(), report, is_aws=is_aws(connection))
    elif (wanted, attributes, proving) == (Wanted(), Attributes(), Proving()):
        with open_session(Following(as_json=form.as_json), upgrade=upgrade) as session:
            request, connection = request_of_job(session.store, job)
    else:
        raise UsageError(
            "--job stands alone: step, places and options are those of the job.",
            way_out="Write --job ID, or STEP SOURCE TARGET with options.",
        )
    _print_policy(_in_circumstances(request, circumstances), form, region=connection.region)


def _check_form(form: Form) -> None:
    """Refuse words that go with no policy."""
    if form.partition is not None and form.partition not in PARTITIONS:
        raise UsageError(f"--partition {form.partition!r} is unknown.", way_out=f"Give one of {', '.join(PARTITIONS)}.")
    if form.bucket is not None and not form.for_principal:
        raise UsageError(
            "--bucket is about a bucket's policy, and no principal is named.",
            way_out="Add --for-principal ARN, or leave it out.",
        )


def _request(
    wanted: Wanted, attributes: CopyAttributes, verify: VerifyOptions, report: str | None, *, is_aws: bool
) -> PolicyRequest:
    """Return what the words ask for.

    Raises:
        UsageError: too few or too many addresses, or one that is none.
        RefusedError: an inexact prefix (``InexactPrefix``).
    """
    if wanted.step is None or wanted.source is None:
        raise UsageError(
            "Step or source is missing.",
            way_out=f"Write STEP SOURCE TARGET, where STEP is one of {', '.join(Step)}, or --job ID.",
        )
    if wanted.permanent and wanted.step not in _MAY_BE_PERMANENT:
        raise UsageError(
            f"--permanent is about the steps {', '.join(step for step in Step if step in _MAY_BE_PERMANENT)},"
            f" not {wanted.step}.",
            way_out="Leave it out; --versions says that the manifest names versions.",
        )
    return PolicyRequest(
        step=wanted.step,
        source=_place(wanted.source, raw=wanted.raw_prefix),
        target=_target(wanted.step, wanted),
        manifest=_manifest(wanted.manifest),
        report=parse_s3_uri(report) if report is not None and report.startswith(_S3) else None,
        attributes=attributes,
        compared=frozenset(verify.attributes),
        level=verify.level,
        skips_same=wanted.if_target_exists is IfTargetExists.SKIP_IF_SAME,
        is_permanent=wanted.permanent,
        is_aws=is_aws,
    )


def _in_circumstances(request: PolicyRequest, circumstances: Circumstances) -> PolicyRequest:
    return replace(
        request,
        names_versions=circumstances.versions,
        # copies there have the version id null, and are read by it
        is_target_versioned=circumstances.target_versioned or circumstances.target_suspended,
        is_source_suspended=circumstances.source_suspended,
        is_target_suspended=circumstances.target_suspended,
        lists_whole_bucket=circumstances.list_whole_bucket,
        kms_key_by_place=_kms_keys(circumstances.kms_key or (), request.attributes),
    )


def _print_policy(request: PolicyRequest, form: Form, *, region: str | None) -> None:
    """Print the document, and on standard error what it is about."""
    partition = form.partition or partition_of(region)
    if form.for_principal:
        bucket = form.bucket or request.source.bucket
        document = bucket_policy(request, partition=partition, bucket=bucket, principals=form.for_principal)
        statements = statements_of_bucket(request, partition=partition, bucket=bucket)
    else:
        document = identity_policy(request, partition=partition)
        statements = statements_of(request, partition=partition)
    text = json.dumps(document, indent=2)  # in ASCII: IAM takes nothing above U+00FF (PutUserPolicy, read 2026-11)
    if not form.as_json:
        lines = [*explanations(statements), *notes(request, is_of_bucket=bool(form.for_principal))]
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


def _target(step: Step, wanted: Wanted) -> S3Prefix | None:
    """Return the target; ``None`` where the step has none.

    Raises:
        UsageError: there is one too many, or too few.
    """
    text, is_unverified = wanted.target, wanted.unverified
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
    return _place(text, raw=wanted.raw_prefix)


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
