"""The written policies are the least: without any one action a step fails, or something that it promises is lost.

Each scenario is run by a user with the whole policy, then by users who lack one action each; what they see must differ.
Where MiniStack does not ask for an action, or only trouble would need it, that is named here, and found out when it
changes.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from s3batch.model.attributes import Attribute, CopyAttributes, Keep
from s3batch.model.objects import S3Object, S3Prefix
from s3batch.plan.permissions import PERMISSIONS, Permission, Place, PolicyRequest, Scope, Step, needed_permissions
from tests.archive import PART_BYTES
from tests.e2e.command import CommandLine, Ended
from tests.e2e.policies import make_user, without, written_policy
from tests.servers.server import Server

IN_PARTS = ("--multipart-threshold", str(PART_BYTES))
UNSEEN_IN_TROUBLE_ONLY = "needed only when a request fails or its answer is lost"
NOT_CHECKED = "MiniStack 1.5.33 does not ask for it"
SOURCE, TARGET = S3Prefix(bucket="bucket", prefix="in/"), S3Prefix(bucket="bucket", prefix="out/")


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run of a scenario: by whom, where."""

    server: Server
    """As its administrator."""
    bucket: str
    home: Path

    @property
    def source(self) -> str:
        """The address of the originals."""
        return f"s3://{self.bucket}/in/"

    @property
    def target(self) -> str:
        """The address of the copies."""
        return f"s3://{self.bucket}/out/"

    @property
    def manifest(self) -> str:
        """The address of a manifest of them."""
        return f"s3://{self.bucket}/lists/manifest.csv"

    @property
    def report(self) -> str:
        """The address of reports."""
        return f"s3://{self.bucket}/reports"

    @property
    def client(self) -> Any:  # noqa: ANN401 - boto3 makes its classes at run time
        """An administrator's client."""
        return self.server.boto3_client()

    def as_user(self, policy: Mapping[str, Any]) -> CommandLine:
        """The command line of a user with this policy."""
        return CommandLine(home=self.home, environment=make_user(self.server, [dict(policy)]).environment())


def _seen_of_job(ended: Ended) -> object:
    """Return what a user sees of a job or a move, without times and names."""
    if not ended.out:
        return ended.code
    document = ended.document
    jobs = document.get("jobs", [document])
    return ended.code, [
        (
            each.get("status"),
            each.get("counts"),
            (each.get("failure") or {}).get("code"),
            (each.get("plan") or {}).get("warnings"),
        )
        for each in jobs
    ]


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """A step with what its policy is asked for, and what a user sees of it."""

    request: PolicyRequest
    policy: Callable[[Run], tuple[str, ...]]
    """The arguments of ``iam-policy``."""
    prepare: Callable[[Run], None]
    see: Callable[[Run, CommandLine], object]
    unseen: Mapping[tuple[Place, str], str] = field(default_factory=dict)

    def rows(self) -> list[Permission]:
        """The rows of the table, one for each action of each place."""
        return list({(each.place, each.action): each for each in needed_permissions(self.request)}.values())


def _put_originals(run: Run, prefix: str = "in/") -> None:
    """One small object with tags and a hostile name, and one in two parts with tags and composite checksums."""
    client = run.client
    client.put_object(Bucket=run.bucket, Key=f"{prefix}a+b%20c", Body=b"x", Tagging="a=b")
    _put_in_parts(run, f"{prefix}large", b"a")


def _put_in_parts(run: Run, key: str, last: bytes) -> None:
    client = run.client
    place = {"Bucket": run.bucket, "Key": key}
    upload = {
        **place,
        "UploadId": client.create_multipart_upload(
            **place, Tagging="c=d", ChecksumAlgorithm="SHA256", ChecksumType="COMPOSITE"
        )["UploadId"],
    }
    parts = []
    for number, body in enumerate((b"a" * PART_BYTES, last), start=1):
        answer = client.upload_part(**upload, PartNumber=number, Body=body, ChecksumAlgorithm="SHA256")
        parts.append({"PartNumber": number, "ETag": answer["ETag"], "ChecksumSHA256": answer["ChecksumSHA256"]})
    client.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})


def _prepare_move(run: Run) -> None:
    _put_originals(run)
    rows = "".join(f"{run.bucket},in/{key}\n" for key in ("a%2Bb%2520c", "large"))
    run.client.put_object(Bucket=run.bucket, Key="lists/manifest.csv", Body=rows.encode())


def _prepare_versions(run: Run) -> None:
    run.client.put_bucket_versioning(Bucket=run.bucket, VersioningConfiguration={"Status": "Enabled"})
    _put_originals(run)
    for key in ("in/a+b%20c", "in/large"):
        place = {"Bucket": run.bucket, "Key": key}
        run.client.put_object_acl(**place, ACL="public-read")
        run.client.put_object_legal_hold(**place, LegalHold={"Status": "ON"})


def _prepare_two_sides(run: Run) -> None:
    """Two objects of equal parts whose bytes differ: only part sizes tell that their checksums may be compared."""
    _put_in_parts(run, "in/large", b"a")
    _put_in_parts(run, "out/large", b"b")


def _see_move(run: Run, commands: CommandLine) -> object:
    options = ("--manifest", run.manifest, "--to", run.target, "--strip-prefix", "in/", "--report", run.report)
    return _seen_of_job(commands.run("move", *options, *IN_PARTS, "--with-tags", "--yes", "--json"))


def _see_check(run: Run, commands: CommandLine) -> object:
    ended = commands.run("check", run.source, run.target, "--json")
    return ended.code, [each["code"] for each in ended.document["findings"]], ended.document["findings"]


SCENARIOS = {
    "check": Scenario(
        request=PolicyRequest(step=Step.CHECK, source=SOURCE, target=TARGET),
        policy=lambda run: ("check", run.source, run.target),
        prepare=_put_originals,
        see=_see_check,
        unseen={
            (Place.SOURCE, "s3:GetBucketRequestPayment"): "what cannot be read is taken for the usual: the owner pays"
        },
    ),
    "move": Scenario(
        request=PolicyRequest(
            step=Step.MOVE,
            source=SOURCE,
            target=TARGET,
            manifest=S3Object(bucket="bucket", key="lists/manifest.csv"),
            report=S3Prefix(bucket="bucket", prefix="reports"),
            compared=frozenset({Attribute.TAGS}),
            is_aws=False,
        ),
        policy=lambda run: (
            "move",
            run.source,
            run.target,
            "--manifest",
            run.manifest,
            "--report",
            run.report,
            "--with-tags",
        ),
        prepare=_prepare_move,
        see=_see_move,
        unseen={
            (Place.SOURCE, "s3:ListBucketVersions"): UNSEEN_IN_TROUBLE_ONLY,
            (Place.SOURCE, "s3:GetBucketRequestPayment"): "what cannot be read is taken for the usual: the owner pays",
            (Place.TARGET, "s3:AbortMultipartUpload"): UNSEEN_IN_TROUBLE_ONLY,
            (Place.TARGET, "s3:GetObjectAttributes"): "these copies have their sources' ETags; see verify",
            (Place.REPORT, "s3:AbortMultipartUpload"): UNSEEN_IN_TROUBLE_ONLY,
            (Place.REPORT, "s3:GetObject"): UNSEEN_IN_TROUBLE_ONLY,
        },
    ),
    "verify": Scenario(
        request=PolicyRequest(step=Step.VERIFY, source=SOURCE, target=TARGET),
        policy=lambda run: ("verify", run.source, run.target),
        prepare=_prepare_two_sides,
        see=lambda run, commands: _seen_of_job(commands.run("verify", run.source, run.target, "--json")),
        unseen={(Place.TARGET, "s3:ListBucket"): "HEADs answer where a listing is refused, which is dearer"},
    ),
    "keep": Scenario(
        request=PolicyRequest(
            step=Step.COPY,
            source=SOURCE,
            target=TARGET,
            attributes=CopyAttributes(keep=frozenset(Keep)),
            is_target_versioned=True,
            is_aws=False,
        ),
        policy=lambda run: ("copy", run.source, run.target, "--keep", "all", "--target-versioned"),
        prepare=_prepare_versions,
        see=lambda run, commands: _seen_of_job(
            commands.run("copy", run.source, run.target, "--keep", "all", *IN_PARTS, "--json")
        ),
        unseen={},
    ),
}

ROWS = [
    pytest.param(name, each.place, each.action, id=f"{name}-{each.place}-{each.action.partition(':')[2]}")
    for name, scenario in SCENARIOS.items()
    for each in scenario.rows()
]


@pytest.fixture(scope="module")
def start(ministack: Server, tmp_path_factory: pytest.TempPathFactory) -> Callable[[Scenario], Run]:
    """A function that prepares a run of a scenario in a bucket of its own."""

    def started(scenario: Scenario) -> Run:
        run = Run(server=ministack, bucket=f"least-{uuid.uuid4().hex[:20]}", home=tmp_path_factory.mktemp("home"))
        run.client.create_bucket(Bucket=run.bucket, ObjectLockEnabledForBucket=scenario is SCENARIOS["keep"])
        scenario.prepare(run)
        return run

    return started


@pytest.fixture(scope="module")
def seen_with_all(start: Callable[[Scenario], Run]) -> Callable[[Scenario], object]:
    """A function that tells what a user with the whole policy sees of a scenario; each is run once."""
    seen: dict[int, object] = {}

    def with_all(scenario: Scenario) -> object:
        if id(scenario) not in seen:
            run = start(scenario)
            policy = written_policy(run.server, run.home, *scenario.policy(run))
            seen[id(scenario)] = _anonymous(scenario.see(run, run.as_user(policy)), run)
        return seen[id(scenario)]

    return with_all


def _anonymous(seen: object, run: Run) -> str:
    return repr(seen).replace(run.bucket, "BUCKET")


@pytest.mark.parametrize(("name", "place", "action"), ROWS)
def test_without_any_one_action_something_is_lost(
    start: Callable[[Scenario], Run],
    seen_with_all: Callable[[Scenario], object],
    name: str,
    place: Place,
    action: str,
) -> None:
    """What the user sees differs, unless it is known that this server, or this scenario, does not show it."""
    scenario = SCENARIOS[name]
    run = start(scenario)
    policy = written_policy(run.server, run.home, *scenario.policy(run))
    seen = _anonymous(scenario.see(run, run.as_user(without(policy, place.capitalize(), action))), run)
    reason = scenario.unseen.get((place, action))
    assert (seen == seen_with_all(scenario)) == (reason is not None), f"{reason}: {seen}"
