"""`iam-policy`: the same bytes for the same words, explanations apart from the document, mistakes told."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest

from s3batch.config import Home
from s3batch.control.moves import create_move
from s3batch.ledger.store import open_ledger
from s3batch.model.attributes import Attribute, CopyAttributes, Keep
from s3batch.model.job import (
    Connection,
    CopyOptions,
    DeleteOptions,
    IfTargetExists,
    Level,
    ManifestSource,
    ReportOptions,
    VerifyOptions,
)
from tests.unit.cli.command import CommandLine
from tests.unit.ledger.ledgers import new_job, specification

USAGE, REFUSED = 2, 4
SOURCE, TARGET = "s3://archive/sdo/", "s3://staging/sdac/sdo/"
ROLE = "arn:aws:iam::444455556666:role/steward"
KEY = "arn:aws:kms:us-east-1:111122223333:key/1234abcd-12ab-34cd-56ef-1234567890ab"

VERIFY_POLICY = """\
{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Sid": "SourceList",
      "Effect": "Allow",
      "Action": [
        "s3:ListBucket"
      ],
      "Resource": [
        "arn:aws:s3:::archive"
      ],
      "Condition": {
        "StringLike": {
          "s3:prefix": [
            "sdo/*"
          ]
        }
      }
    },
    {
      "Sid": "SourceObjects",
      "Effect": "Allow",
      "Action": [
        "s3:GetObject",
        "s3:GetObjectAttributes"
      ],
      "Resource": [
        "arn:aws:s3:::archive/sdo/*"
      ]
    },
    {
      "Sid": "TargetList",
      "Effect": "Allow",
      "Action": [
        "s3:ListBucket"
      ],
      "Resource": [
        "arn:aws:s3:::staging"
      ],
      "Condition": {
        "StringLike": {
          "s3:prefix": [
            "sdac/sdo/*"
          ]
        }
      }
    },
    {
      "Sid": "TargetObjects",
      "Effect": "Allow",
      "Action": [
        "s3:GetObject",
        "s3:GetObjectAttributes"
      ],
      "Resource": [
        "arn:aws:s3:::staging/sdac/sdo/*"
      ]
    },
    {
      "Sid": "ReportObjects",
      "Effect": "Allow",
      "Action": [
        "s3:AbortMultipartUpload",
        "s3:GetObject",
        "s3:PutObject"
      ],
      "Resource": [
        "arn:aws:s3:::archive/reports/*"
      ]
    }
  ]
}
"""

BUCKET_POLICY = """\
{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Sid": "SourceList",
      "Effect": "Allow",
      "Principal": {
        "AWS": [
          "arn:aws:iam::444455556666:role/steward"
        ]
      },
      "Action": [
        "s3:ListBucket"
      ],
      "Resource": [
        "arn:aws:s3:::archive"
      ],
      "Condition": {
        "StringLike": {
          "s3:prefix": [
            "sdo/*"
          ]
        }
      }
    },
    {
      "Sid": "SourceObjects",
      "Effect": "Allow",
      "Principal": {
        "AWS": [
          "arn:aws:iam::444455556666:role/steward"
        ]
      },
      "Action": [
        "s3:GetObject",
        "s3:GetObjectAttributes",
        "s3:GetObjectTagging"
      ],
      "Resource": [
        "arn:aws:s3:::archive/sdo/*"
      ]
    }
  ]
}
"""


def test_a_policy_is_the_same_bytes_with_and_without_its_explanation(command_line: CommandLine) -> None:
    """Standard output has the document, standard error why each action is there; with --json nothing."""
    words = ("iam-policy", "verify", SOURCE, TARGET, "--report", "s3://archive/reports")
    plain, document = command_line.run(*words), command_line.run(*words, "--json")
    assert (plain.code, plain.out) == (document.code, document.out) == (0, VERIFY_POLICY)
    assert document.err == ""
    assert "SourceObjects: arn:aws:s3:::archive/sdo/*\n  s3:GetObject: compares originals" in plain.err
    assert "--list-whole-bucket leaves the restriction out" in plain.err


def test_a_policy_of_the_source_s_bucket_names_principals(command_line: CommandLine) -> None:
    """The source's bucket unless another one is named; what the principals need beside it is told."""
    words = ("iam-policy", "copy", SOURCE, TARGET, "--for-principal", ROLE)
    written = command_line.run(*words)
    assert (written.code, written.out) == (0, BUCKET_POLICY)
    assert "the same command without --for-principal" in written.err
    target = command_line.run(*words, "--bucket", "staging", "--json").document
    assert [each["Sid"] for each in target["Statement"]] == ["TargetList", "TargetBucket", "TargetObjects"]


def test_a_region_an_option_or_a_key_make_the_difference(
    command_line: CommandLine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The partition is that of the region unless one is said; --sse-kms-key-id is the target's key."""
    words = ("iam-policy", "copy", SOURCE, TARGET, "--json")
    monkeypatch.setenv("AWS_REGION", "cn-north-1")
    assert "arn:aws-cn:s3:::archive" in command_line.run(*words).out
    assert "arn:aws-us-gov:s3:::archive" in command_line.run(*words, "--partition", "aws-us-gov").out
    kms = command_line.run(*words, "--sse", "aws:kms", "--sse-kms-key-id", KEY, "--kms-key", f"source={KEY}").document
    assert [each["Sid"] for each in kms["Statement"] if "Key" in each["Sid"]] == ["SourceKey", "TargetKey"]


def test_another_store_s_copies_are_looked_at(command_line: CommandLine) -> None:
    """On stores other than AWS nothing asked for is taken on trust, and looking needs a permission."""
    words = ("iam-policy", "copy", SOURCE, TARGET, "--keep", "acl", "--json")
    target = [each for each in command_line.run(*words).document["Statement"] if each["Sid"] == "TargetObjects"]
    assert "s3:GetObjectAcl" not in target[0]["Action"]
    elsewhere = command_line.run(*words, "--endpoint-url", "http://127.0.0.1:1").document["Statement"]
    assert "s3:GetObjectAcl" in next(each for each in elsewhere if each["Sid"] == "TargetObjects")["Action"]


PROBE_POLICY = """\
{
  "Version": "2012-10-17",
  "Statement": [
    {
      "Sid": "SourceList",
      "Effect": "Allow",
      "Action": [
        "s3:ListBucketVersions"
      ],
      "Resource": [
        "arn:aws:s3:::archive"
      ],
      "Condition": {
        "StringLike": {
          "s3:prefix": [
            "probes/*"
          ]
        }
      }
    },
    {
      "Sid": "SourceBucket",
      "Effect": "Allow",
      "Action": [
        "s3:GetBucketObjectLockConfiguration",
        "s3:GetBucketVersioning",
        "s3:ListBucket"
      ],
      "Resource": [
        "arn:aws:s3:::archive"
      ]
    },
    {
      "Sid": "SourceObjects",
      "Effect": "Allow",
      "Action": [
        "s3:DeleteObject",
        "s3:DeleteObjectVersion",
        "s3:GetObject",
        "s3:GetObjectTagging",
        "s3:GetObjectVersion",
        "s3:PutObject",
        "s3:PutObjectTagging"
      ],
      "Resource": [
        "arn:aws:s3:::archive/probes/*"
      ]
    }
  ]
}
"""


def test_a_probe_s_policy_is_about_its_prefix(command_line: CommandLine) -> None:
    """But for the listing: AWS tells that a canary's key is free only to who may list the whole bucket."""
    written = command_line.run("iam-policy", "probe", "s3://archive/probes/", "--target-versioned")
    assert (written.code, written.out) == (0, PROBE_POLICY)
    assert "--list-whole-bucket" not in written.err


def test_a_permanent_delete_s_policy_says_what_it_does(command_line: CommandLine) -> None:
    """It may delete versions and nothing current; it is told that nothing brings them back."""
    written = command_line.run("iam-policy", "delete", SOURCE, TARGET, "--permanent")
    objects = next(each for each in written.document["Statement"] if each["Sid"] == "SourceObjects")
    assert objects["Action"] == ["s3:DeleteObjectVersion", "s3:GetObjectVersion"]
    assert "nothing brings them back" in written.err
    assert "can be had back" not in written.err


def test_a_target_with_suspended_versioning_keeps_versions(command_line: CommandLine) -> None:
    """Its copies have a version id, null, and its versions are listed before."""
    words = ("iam-policy", "copy", SOURCE, TARGET, "--json")
    plain, suspended = command_line.run(*words, "--target-versioned"), command_line.run(*words, "--target-suspended")
    before, after = (
        {each["Sid"]: each["Action"] for each in ended.document["Statement"]} for ended in (plain, suspended)
    )
    assert after.pop("TargetList") == ["s3:ListBucket", "s3:ListBucketVersions"]
    assert before.pop("TargetList") == ["s3:ListBucket"]
    assert after == before


def test_a_policy_is_ascii(command_line: CommandLine) -> None:
    """IAM takes no character above U+00FF; a policy variable stands for what would be a wildcard."""
    written = command_line.run("iam-policy", "undo", "s3://archive/日*本/", "--json")
    assert written.out.isascii()
    assert "arn:aws:s3:::archive/日${*}本/*" in json.dumps(written.document, ensure_ascii=False)


def test_a_policy_that_is_too_long_is_told(command_line: CommandLine) -> None:
    """A managed policy has a limit."""
    long = "x" * 900
    written = command_line.run("iam-policy", "move", f"s3://archive/{long}/", f"s3://staging/{long}{long}/")
    assert written.code == 0
    assert "a managed policy of IAM takes 6,144" in written.err


@pytest.mark.parametrize(
    ("words", "code", "told"),
    [
        (("copy", SOURCE), USAGE, "The step copy needs a target"),
        (("delete", SOURCE), USAGE, "Write SOURCE TARGET, or --unverified."),
        (("delete", SOURCE, TARGET, "--unverified"), USAGE, "one address too many"),
        (("copy", SOURCE, TARGET, "--unverified"), USAGE, "--unverified is about the step delete"),
        (("undo", SOURCE, TARGET), USAGE, "Name SOURCE alone."),
        (("probe", SOURCE, TARGET), USAGE, "Name SOURCE alone."),
        (("copy", SOURCE, TARGET, "--permanent"), USAGE, "--permanent is about the steps plan, delete, move, not copy"),
        (("copy", "s3://archive/sdo", TARGET), REFUSED, "--raw-prefix"),
        (("copy", SOURCE, TARGET, "--manifest", "s3://archive/"), USAGE, "names no object"),
        (("copy", SOURCE, TARGET, "--partition", "aws-iso"), USAGE, "Give one of aws, aws-cn, aws-us-gov."),
        (("copy", SOURCE, TARGET, "--bucket", "archive"), USAGE, "Add --for-principal ARN"),
        (("copy", SOURCE, TARGET, "--for-principal", "*"), USAGE, "'*' is no principal"),
        (("copy", SOURCE, TARGET, "--for-principal", ROLE, "--bucket", "other"), USAGE, "does not touch the bucket"),
        (("copy", SOURCE, TARGET, "--kms-key", KEY), USAGE, "PLACE is one of source, target, manifest, report"),
        (("copy", SOURCE, TARGET, "--kms-key", "source=alias/x"), USAGE, "is not the ARN of a KMS key"),
        (("fly", SOURCE, TARGET), USAGE, "'fly'"),
        ((), USAGE, "Write STEP SOURCE TARGET"),
    ],
)
def test_mistakes_are_told_with_the_way_out(
    command_line: CommandLine, words: tuple[str, ...], code: int, told: str
) -> None:
    """Nothing is written then."""
    ended = command_line.run("iam-policy", *words)
    assert (ended.code, ended.out) == (code, "")
    assert told in ended.err


def test_a_recorded_job_says_what_it_needs(command_line: CommandLine, home: Path) -> None:
    """A job, and a move of three, need what the same words would."""
    spec = replace(
        specification(),
        copy=CopyOptions(
            attributes=CopyAttributes(keep=frozenset({Keep.ACL})), if_target_exists=IfTargetExists.SKIP_IF_SAME
        ),
        verify=VerifyOptions(level=Level.BYTES, attributes=(Attribute.TAGS,)),
        report=ReportOptions(url="s3://reports/here"),
        connection=Connection(endpoint_url="", region="cn-north-1"),
    )
    home.mkdir()
    store = open_ledger(Home(root=home).ledger)
    store.create_jobs([new_job("copy-1", spec=spec)], now_ms=1)
    create_move(store, spec, verify=spec.verify, delete=DeleteOptions(), is_confirmed=False, is_dry_run=True, now_ms=2)
    (move_id,) = {job.move_id for job in store.list_jobs() if job.move_id is not None}
    store.close()
    places = ("s3://archive/sdo/", "s3://archive/sdac/sdo/", "--report", "s3://reports/here", "--partition", "aws-cn")
    same = ("--keep", "acl", "--if-target-exists", "skip-if-same", "--level", "bytes", "--with-tags")
    for step, job_id in (("copy", "copy-1"), ("move", move_id)):
        of_job = command_line.run("iam-policy", "--job", str(job_id), "--json")
        of_words = command_line.run("iam-policy", step, *places, *same, "--json")
        assert (of_job.code, of_job.out) == (0, of_words.out)


def test_a_job_whose_keys_are_not_known_is_refused(command_line: CommandLine, home: Path) -> None:
    """What a manifest names is known when the job is prepared."""
    home.mkdir()
    store = open_ledger(Home(root=home).ledger)
    spec = replace(specification(), source=ManifestSource(url="s3://archive/manifests/x.csv", pin="x"))
    store.create_jobs([new_job("copy-1", spec=spec)], now_ms=1)
    store.close()
    refused = command_line.run("iam-policy", "--job", "copy-1")
    assert (refused.code, refused.out) == (REFUSED, "")
    assert "is not prepared yet" in refused.err
    assert command_line.run("iam-policy", "--job", "none").code == REFUSED


@pytest.mark.parametrize(
    "words", [("copy", SOURCE, TARGET), ("--keep", "acl"), ("--level", "bytes"), ("--unverified",)]
)
def test_a_job_stands_alone(command_line: CommandLine, words: tuple[str, ...]) -> None:
    """Else one of the two would be left out in silence."""
    ended = command_line.run("iam-policy", "--job", "copy-1", *words)
    assert (ended.code, ended.out) == (USAGE, "")
    assert "--job stands alone" in ended.err
