"""`iam-policy`: the same bytes for the same words, explanations apart from the document, mistakes told."""

from __future__ import annotations

import json

import pytest

from tests.unit.cli.command import CommandLine

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
        (("copy", "s3://archive/sdo", TARGET), REFUSED, "--raw-prefix"),
        (("copy", SOURCE, TARGET, "--manifest", "s3://archive/"), USAGE, "names no object"),
        (("copy", SOURCE, TARGET, "--partition", "aws-iso"), USAGE, "Give one of aws, aws-cn, aws-us-gov."),
        (("copy", SOURCE, TARGET, "--bucket", "archive"), USAGE, "Add --for-principal ARN"),
        (("copy", SOURCE, TARGET, "--for-principal", "*"), USAGE, "'*' is no principal"),
        (("copy", SOURCE, TARGET, "--for-principal", ROLE, "--bucket", "other"), USAGE, "does not touch the bucket"),
        (("copy", SOURCE, TARGET, "--kms-key", KEY), USAGE, "PLACE is one of source, target, manifest, report"),
        (("copy", SOURCE, TARGET, "--kms-key", "source=alias/x"), USAGE, "is not the ARN of a KMS key"),
        (("fly", SOURCE, TARGET), USAGE, "'fly'"),
    ],
)
def test_mistakes_are_told_with_the_way_out(
    command_line: CommandLine, words: tuple[str, ...], code: int, told: str
) -> None:
    """Nothing is written then."""
    ended = command_line.run("iam-policy", *words)
    assert (ended.code, ended.out) == (code, "")
    assert told in ended.err
