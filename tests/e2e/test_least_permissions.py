"""The written policies are the least: without any one action a step fails, or something that it promises is lost.

Each scenario is run by a user with the whole policy, then by users who lack one action each; what they see must differ.
Where MiniStack does not ask for an action, or only trouble would need it, that is named here, and found out when it
changes.
"""

from __future__ import annotations

import json
import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from s3batch.model.attributes import Attribute, CopyAttributes, Keep
from s3batch.model.objects import S3Object, S3Prefix
from s3batch.plan.canaries import Probe
from s3batch.plan.permissions import PERMISSIONS, Permission, needed_permissions
from s3batch.plan.policy_request import Place, PolicyRequest, Scope, Step
from tests.archive import PART_BYTES
from tests.e2e.command import CommandLine, Ended
from tests.e2e.policies import written_policy
from tests.servers.server import Server
from tests.servers.users import Policy, make_user, without

IN_PARTS = ("--multipart-threshold", str(PART_BYTES))
SOURCE, TARGET = S3Prefix(bucket="the-source", prefix="in/"), S3Prefix(bucket="the-target", prefix="out/")
MANIFEST = S3Object(bucket="the-others", key="lists/manifest.csv")
REPORT = S3Prefix(bucket="the-others", prefix="reports")
"""Names in a policy, which each run replaces by those of its own buckets."""

IN_TROUBLE_ONLY = "needed only where a request fails or its answer is lost"
SHOWS_LOCKS = "MiniStack 1.5.33 tells in HEAD what is locked to who may not read locks"
PAYS_THE_OWNER = "what cannot be read is taken for the usual: the owner pays"

NOT_TRIED = {"kms:Decrypt": "the MiniStack of the tests has no KMS", "kms:GenerateDataKey": "the same"}
"""Actions of the table that no scenario takes away."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """One run of a scenario, with three buckets of its own."""

    server: Server
    """As its administrator."""
    name: str
    home: Path

    def of_its_own(self, text: str) -> str:
        """Return a text in which the buckets are this run's."""
        return text.replace("the-", f"{self.name}-")

    def anonymous(self, seen: object) -> str:
        """Return what was seen without this run's names."""
        return repr(seen).replace(f"{self.name}-", "the-")

    @property
    def source_bucket(self) -> str:
        """The originals' bucket."""
        return self.of_its_own(SOURCE.bucket)

    @property
    def client(self) -> Any:  # noqa: ANN401 - boto3 makes its classes at run time
        """An administrator's client."""
        return self.server.boto3_client()

    def as_user(self, policy: Policy) -> CommandLine:
        """The command line of a user with this policy."""
        own: Policy = json.loads(self.of_its_own(json.dumps(policy)))
        return CommandLine(home=self.home, environment=make_user(self.server, [own]).environment())

    def words(self, *words: object) -> list[str]:
        """Return the words of a command about this run's buckets."""
        return [self.of_its_own(str(word)) for word in words]


@dataclass(frozen=True, kw_only=True, eq=False)
class Scenario:
    """A step with what its policy is asked for, and what a user sees of it."""

    request: PolicyRequest
    words: tuple[object, ...]
    """The arguments of ``iam-policy`` for the same."""
    prepare: Callable[[Run], None]
    see: Callable[[Run, CommandLine], object]
    unseen: Mapping[tuple[Place, str], str] = field(default_factory=dict)
    """What nobody sees the lack of here, and why."""
    elsewhere: Callable[[Permission], bool] = lambda _: False
    """Which rows another scenario tries."""

    def rows(self) -> list[Permission]:
        """The rows of the table, one for each action of each place."""
        rows = {(each.place, each.action): each for each in needed_permissions(self.request)}
        return [each for each in rows.values() if not self.elsewhere(each)]


_VARYING = re.compile(r" \(version [^)]*\)|\d{4}-\d\d-\d\d \d\d:\d\d:\d\dZ")
"""Version ids and times in a plan's warnings: others in each run."""


def _seen_of_job(ended: Ended) -> object:
    """Return what a user sees of a job or a move, without times and names."""
    if not ended.out:
        return ended.code
    jobs = ended.document.get("jobs", [ended.document])
    return ended.code, [
        (
            each.get("status"),
            each.get("counts"),
            (each.get("failure") or {}).get("code"),
            [_VARYING.sub("", warning) for warning in (each.get("plan") or {}).get("warnings", ())],
            [sample["message"] for code in each.get("codes", []) for sample in code["samples"]],
        )
        for each in jobs
    ]


def _put_originals(run: Run) -> None:
    """One small object with tags and a hostile name, one without tags, and one in two parts with tags."""
    run.client.put_object(Bucket=run.source_bucket, Key="in/plain", Body=b"")
    run.client.put_object(Bucket=run.source_bucket, Key="in/a+b%20c", Body=b"x", Tagging="a=b")
    _put_in_parts(run, run.source_bucket, "in/large", b"a")


def _put_in_parts(run: Run, bucket: str, key: str, last: bytes) -> None:
    """Put an object of two parts with composite checksums."""
    client, place = run.client, {"Bucket": bucket, "Key": key}
    begun = client.create_multipart_upload(**place, Tagging="c=d", ChecksumAlgorithm="SHA256", ChecksumType="COMPOSITE")
    upload, parts = {**place, "UploadId": begun["UploadId"]}, []
    for number, body in enumerate((b"a" * PART_BYTES, last), start=1):
        answer = client.upload_part(**upload, PartNumber=number, Body=body, ChecksumAlgorithm="SHA256")
        parts.append({"PartNumber": number, "ETag": answer["ETag"], "ChecksumSHA256": answer["ChecksumSHA256"]})
    client.complete_multipart_upload(**upload, MultipartUpload={"Parts": parts})
    client.put_object_tagging(
        **place, Tagging={"TagSet": [{"Key": "c", "Value": "d"}]}
    )  # MiniStack forgets an upload's


def _prepare_move(run: Run) -> None:
    _put_originals(run)
    rows = "".join(f"{run.source_bucket},in/{key}\n" for key in ("a%2Bb%2520c", "large"))
    run.client.put_object(Bucket=run.of_its_own(MANIFEST.bucket), Key=MANIFEST.key, Body=rows.encode())


def _prepare_attributes(run: Run) -> None:
    """Originals with grants, retention and legal hold; the target keeps versions and locks, too."""
    _put_originals(run)
    until = datetime(2030, 1, 1, tzinfo=UTC)
    for key in ("in/a+b%20c", "in/plain", "in/large"):
        place = {"Bucket": run.source_bucket, "Key": key}
        run.client.put_object_acl(**place, ACL="public-read")
        run.client.put_object_legal_hold(**place, LegalHold={"Status": "ON"})
        run.client.put_object_retention(**place, Retention={"Mode": "GOVERNANCE", "RetainUntilDate": until})


def _prepare_versions(run: Run) -> None:
    """A manifest of versions that are not current any more."""
    run.client.put_bucket_versioning(Bucket=run.source_bucket, VersioningConfiguration={"Status": "Enabled"})
    _put_originals(run)
    rows = ""
    for key, name in (("in/a+b%20c", "in/a%2Bb%2520c"), ("in/large", "in/large")):
        version_id = run.client.head_object(Bucket=run.source_bucket, Key=key)["VersionId"]
        rows += f"{run.source_bucket},{name},{version_id}\n"
        run.client.put_object(Bucket=run.source_bucket, Key=key, Body=b"newer")
    run.client.put_object(Bucket=run.of_its_own(MANIFEST.bucket), Key=MANIFEST.key, Body=rows.encode())


def _prepare_two_ages(run: Run) -> None:
    """Two versions of each object but one."""
    run.client.put_bucket_versioning(Bucket=run.source_bucket, VersioningConfiguration={"Status": "Enabled"})
    for key in ("in/a+b%20c", "in/large"):
        run.client.put_object(Bucket=run.source_bucket, Key=key, Body=b"older")
    _put_originals(run)


def _prepare_permanent(run: Run) -> None:
    """A manifest of current versions; each has an older one below it."""
    target = run.of_its_own(TARGET.bucket)
    run.client.put_bucket_versioning(Bucket=target, VersioningConfiguration={"Status": "Enabled"})
    _prepare_two_ages(run)
    rows = ""
    for key, name in (("in/a+b%20c", "in/a%2Bb%2520c"), ("in/large", "in/large")):
        version_id = run.client.head_object(Bucket=run.source_bucket, Key=key)["VersionId"]
        rows += f"{run.source_bucket},{name},{version_id}\n"
    run.client.put_object(Bucket=run.of_its_own(MANIFEST.bucket), Key=MANIFEST.key, Body=rows.encode())


def _prepare_suspended(run: Run) -> None:
    """Versioning is suspended on both sides."""
    for bucket in (run.source_bucket, run.of_its_own(TARGET.bucket)):
        for status in ("Enabled", "Suspended"):
            run.client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": status})
    _put_originals(run)


def _prepare_probe(run: Run) -> None:
    """What a prober that was killed long ago has left behind."""
    left = Probe(owner="0" * 32, made_ms=0)
    run.client.put_object(Bucket=run.source_bucket, Key=left.key(SOURCE.prefix, "copy"), Body=left.body)


def _prepare_versioned_probe(run: Run) -> None:
    run.client.put_bucket_versioning(Bucket=run.source_bucket, VersioningConfiguration={"Status": "Enabled"})
    _prepare_probe(run)


def _prepare_two_sides(run: Run) -> None:
    """Two objects of equal parts whose bytes differ: only part sizes tell that their checksums may be compared."""
    _put_in_parts(run, run.source_bucket, "in/large", b"a")
    _put_in_parts(run, run.of_its_own(TARGET.bucket), "out/large", b"b")


def _prepare_copies(run: Run) -> None:
    """Two equal objects with equal tags; the target keeps versions."""
    bucket = run.of_its_own(TARGET.bucket)
    run.client.put_bucket_versioning(Bucket=bucket, VersioningConfiguration={"Status": "Enabled"})
    for place in ({"Bucket": run.source_bucket, "Key": "in/x"}, {"Bucket": bucket, "Key": "out/x"}):
        run.client.put_object(**place, Body=b"x", Tagging="a=b")


def _see_check(run: Run, commands: CommandLine) -> object:
    ended = commands.run("check", *run.words(SOURCE, TARGET), "--json")
    return ended.code, ended.document["findings"]


def _see_move(run: Run, commands: CommandLine) -> object:
    options = run.words("--manifest", MANIFEST, "--to", TARGET, "--strip-prefix", "in/", "--report", REPORT)
    return _seen_of_job(commands.run("move", *options, *IN_PARTS, "--with-tags", "--yes", "--json"))


def _see_verify(run: Run, commands: CommandLine) -> object:
    return _seen_of_job(commands.run("verify", *run.words(SOURCE, TARGET), "--json"))


def _see_copy(run: Run, commands: CommandLine) -> object:
    return _seen_of_job(commands.run("copy", *run.words(SOURCE, TARGET), "--keep", "all", *IN_PARTS, "--json"))


def _see_bare_copy(run: Run, commands: CommandLine) -> object:
    return _seen_of_job(commands.run("copy", *run.words(SOURCE, TARGET), "--no-tags", *IN_PARTS, "--json"))


def _see_copy_of_versions(run: Run, commands: CommandLine) -> object:
    options = run.words("--manifest", MANIFEST, "--to", TARGET, "--strip-prefix", "in/")
    seen = _seen_of_job(commands.run("copy", *options, *IN_PARTS, "--keep", "acl", "--json"))
    copies = run.client.list_objects_v2(Bucket=run.of_its_own(TARGET.bucket)).get("Contents", [])
    return seen, [each["ETag"] for each in copies]


def _see_tags(run: Run, commands: CommandLine) -> object:
    return _seen_of_job(commands.run("verify", *run.words(SOURCE, TARGET), "--with-tags", "--json"))


def _see_permanent_move(run: Run, commands: CommandLine) -> object:
    options = run.words("--manifest", MANIFEST, "--to", TARGET, "--strip-prefix", "in/")
    return _seen_of_job(commands.run("move", *options, *IN_PARTS, "--with-tags", "--permanent", "--yes", "--json"))


def _see_permanent_plan(run: Run, commands: CommandLine) -> object:
    options = run.words("--manifest", MANIFEST, "--to", TARGET, "--strip-prefix", "in/")
    return _seen_of_job(commands.run("move", *options, "--permanent", "--dry-run", "--json"))


def _see_plain_move(run: Run, commands: CommandLine) -> object:
    return _seen_of_job(commands.run("move", *run.words(SOURCE, TARGET), "--yes", "--json"))


def _see_plain_plan(run: Run, commands: CommandLine) -> object:
    return _seen_of_job(commands.run("move", *run.words(SOURCE, TARGET), "--dry-run", "--json"))


def _see_manifest_of_versions(run: Run, commands: CommandLine) -> object:
    return commands.run("manifest", "create", *run.words(SOURCE, "-o", MANIFEST), "--versions", "all").code


def _see_probe(run: Run, commands: CommandLine) -> object:
    elsewhere = run.words("s3://the-source/from/", "s3://the-source/to/", "--probe-prefix", SOURCE)
    ended = commands.run("check", *elsewhere, "--json")
    left = run.client.list_object_versions(Bucket=run.source_bucket)
    return ended.code, ended.document["findings"], "Versions" in left or "DeleteMarkers" in left


def _see_manifest(run: Run, commands: CommandLine) -> object:
    return commands.run("manifest", "create", *run.words(SOURCE, "-o", MANIFEST)).code


CHECK = Scenario(
    request=PolicyRequest(step=Step.CHECK, source=SOURCE, target=TARGET),
    words=("check", SOURCE, TARGET),
    prepare=_put_originals,
    see=_see_check,
    unseen={(Place.SOURCE, "s3:GetBucketRequestPayment"): PAYS_THE_OWNER},
)
MOVE = Scenario(
    request=PolicyRequest(
        step=Step.MOVE,
        source=SOURCE,
        target=TARGET,
        manifest=MANIFEST,
        report=REPORT,
        compared=frozenset({Attribute.TAGS}),
        is_aws=False,
    ),
    words=("move", SOURCE, TARGET, "--manifest", MANIFEST, "--report", REPORT, "--with-tags"),
    prepare=_prepare_move,
    see=_see_move,
    unseen={
        (Place.SOURCE, "s3:ListBucketVersions"): IN_TROUBLE_ONLY,
        (Place.TARGET, "s3:AbortMultipartUpload"): f"{IN_TROUBLE_ONLY}; tests/contract/test_copy_in_parts.py tries it",
        (Place.TARGET, "s3:GetObjectAttributes"): "these copies have their sources' ETags; verify tries it",
        (Place.REPORT, "s3:AbortMultipartUpload"): IN_TROUBLE_ONLY,
        (Place.REPORT, "s3:GetObject"): IN_TROUBLE_ONLY,
    },
    elsewhere=lambda each: each.scope is Scope.BUCKET and each.action != "s3:GetBucketVersioning",
)
VERIFY = Scenario(
    request=PolicyRequest(step=Step.VERIFY, source=SOURCE, target=TARGET),
    words=("verify", SOURCE, TARGET),
    prepare=_prepare_two_sides,
    see=_see_verify,
    unseen={(Place.TARGET, "s3:ListBucket"): "HEADs answer where a listing is refused, which is dearer"},
)
COPY = Scenario(
    request=PolicyRequest(
        step=Step.COPY,
        source=SOURCE,
        target=TARGET,
        attributes=CopyAttributes(keep=frozenset(Keep)),
        is_target_versioned=True,
        is_aws=False,
    ),
    words=("copy", SOURCE, TARGET, "--keep", "all", "--target-versioned"),
    prepare=_prepare_attributes,
    see=_see_copy,
    unseen={
        (Place.TARGET, "s3:GetObjectRetention"): SHOWS_LOCKS,
        (Place.TARGET, "s3:GetObjectLegalHold"): SHOWS_LOCKS,
        (Place.TARGET, "s3:PutObjectVersionAcl"): "MiniStack keeps the grants of a small copy's headers",
        (Place.TARGET, "s3:DeleteObjectTagging"): "only of large objects without tags; the scenario bare tries it",
    },
    elsewhere=lambda each: any(
        (each.place, each.action) == (other.place, other.action) for other in (*CHECK.rows(), *MOVE.rows())
    ),
)
BARE = Scenario(
    request=PolicyRequest(
        step=Step.COPY,
        source=SOURCE,
        target=TARGET,
        attributes=CopyAttributes(tags={}),
        is_target_versioned=True,
        is_aws=False,
    ),
    words=("copy", SOURCE, TARGET, "--no-tags", "--target-versioned"),
    prepare=_put_originals,
    see=_see_bare_copy,
    elsewhere=lambda each: "Tagging" not in each.action,
)
OLD = Scenario(
    request=PolicyRequest(
        step=Step.COPY,
        source=SOURCE,
        target=TARGET,
        manifest=MANIFEST,
        attributes=CopyAttributes(keep=frozenset({Keep.ACL})),
        names_versions=True,
        is_target_versioned=True,
        is_aws=False,
    ),
    words=("copy", SOURCE, TARGET, "--manifest", MANIFEST, "--keep", "acl", "--versions", "--target-versioned"),
    prepare=_prepare_versions,
    see=_see_copy_of_versions,
    elsewhere=lambda each: each.place is not Place.SOURCE or not each.action.startswith("s3:GetObjectVersion"),
)
TAGS = Scenario(
    request=PolicyRequest(
        step=Step.VERIFY,
        source=SOURCE,
        target=TARGET,
        compared=frozenset({Attribute.TAGS}),
        is_target_versioned=True,
    ),
    words=("verify", SOURCE, TARGET, "--with-tags", "--target-versioned"),
    prepare=_prepare_copies,
    see=_see_tags,
    elsewhere=lambda each: "Tagging" not in each.action,
)
MAKING = Scenario(
    request=PolicyRequest(step=Step.MANIFEST, source=SOURCE, manifest=MANIFEST),
    words=("manifest", SOURCE, "--manifest", MANIFEST),
    prepare=_put_originals,
    see=_see_manifest,
    unseen={
        (Place.MANIFEST, "s3:AbortMultipartUpload"): IN_TROUBLE_ONLY,
        (Place.MANIFEST, "s3:ListBucket"): "MiniStack 1.5.33 tells who may not list a bucket that a key is absent",
    },
)
PERMANENT = Scenario(
    request=PolicyRequest(
        step=Step.MOVE,
        source=SOURCE,
        target=TARGET,
        manifest=MANIFEST,
        compared=frozenset({Attribute.TAGS}),
        is_permanent=True,
        is_target_versioned=True,
        is_aws=False,
    ),
    words=("move", SOURCE, TARGET, "--manifest", MANIFEST, "--permanent", "--with-tags", "--target-versioned"),
    prepare=_prepare_permanent,
    see=_see_permanent_move,
    elsewhere=lambda each: (
        "Version" not in each.action
        or each.scope is Scope.BUCKET
        or (each.place is Place.TARGET and each.action != "s3:GetObjectVersionTagging")
    ),
)
PERMANENT_PLAN = Scenario(
    request=PolicyRequest(step=Step.PLAN, source=SOURCE, target=TARGET, manifest=MANIFEST, is_permanent=True),
    words=("plan", SOURCE, TARGET, "--manifest", MANIFEST, "--permanent"),
    prepare=_prepare_permanent,
    see=_see_permanent_plan,
    elsewhere=lambda each: "Version" not in each.action or each.scope is Scope.BUCKET,
)
SUSPENDED = Scenario(
    request=PolicyRequest(
        step=Step.MOVE,
        source=SOURCE,
        target=TARGET,
        is_target_versioned=True,
        is_source_suspended=True,
        is_target_suspended=True,
        is_aws=False,
    ),
    words=("move", SOURCE, TARGET, "--source-suspended", "--target-suspended"),
    prepare=_prepare_suspended,
    see=_see_plain_move,
    elsewhere=lambda each: each.action != "s3:ListBucketVersions",
)
SUSPENDED_PLAN = Scenario(
    request=PolicyRequest(
        step=Step.PLAN, source=SOURCE, target=TARGET, is_source_suspended=True, is_target_suspended=True
    ),
    words=("plan", SOURCE, TARGET, "--source-suspended", "--target-suspended"),
    prepare=_prepare_suspended,
    see=_see_plain_plan,
    elsewhere=lambda each: each.action != "s3:ListBucketVersions",
)
MAKING_OF_VERSIONS = Scenario(
    request=PolicyRequest(step=Step.MANIFEST, source=SOURCE, manifest=MANIFEST, names_versions=True),
    words=("manifest", SOURCE, "--manifest", MANIFEST, "--versions"),
    prepare=_prepare_two_ages,
    see=_see_manifest_of_versions,
    elsewhere=lambda each: each.place is not Place.SOURCE,
)
PROBE = Scenario(
    request=PolicyRequest(step=Step.PROBE, source=SOURCE),
    words=("probe", SOURCE),
    prepare=_prepare_probe,
    see=_see_probe,
)
VERSIONED_PROBE = Scenario(
    request=PolicyRequest(step=Step.PROBE, source=SOURCE, is_target_versioned=True),
    words=("probe", SOURCE, "--target-versioned"),
    prepare=_prepare_versioned_probe,
    see=_see_probe,
)
SCENARIOS = {
    "check": CHECK,
    "move": MOVE,
    "verify": VERIFY,
    "copy": COPY,
    "bare": BARE,
    "old": OLD,
    "tags": TAGS,
    "manifest": MAKING,
    "permanent": PERMANENT,
    "permanent-plan": PERMANENT_PLAN,
    "suspended": SUSPENDED,
    "suspended-plan": SUSPENDED_PLAN,
    "manifest-of-versions": MAKING_OF_VERSIONS,
    "probe": PROBE,
    "versioned-probe": VERSIONED_PROBE,
}

ROWS = [
    pytest.param(name, each.place, each.action, id=f"{name}-{each.place}-{each.action.partition(':')[2]}")
    for name, scenario in SCENARIOS.items()
    for each in scenario.rows()
]


class Trials:
    """Runs scenarios, each in buckets and with a home of its own; what a whole policy lets see is found out once."""

    def __init__(self, server: Server, new_folder: Callable[[], Path]) -> None:
        """Take the server as its administrator."""
        self._server = server
        self._new_folder = new_folder
        self._policies: dict[int, Policy] = {}
        self._seen: dict[int, str] = {}

    def policy(self, scenario: Scenario) -> Policy:
        """Return the policy that the command writes for a scenario."""
        if id(scenario) not in self._policies:
            words = [str(word) for word in scenario.words]
            self._policies[id(scenario)] = written_policy(self._server, self._new_folder(), *words)
        return self._policies[id(scenario)]

    def seen_with(self, policy: Policy, scenario: Scenario) -> str:
        """Return what a user with this policy sees."""
        run = Run(server=self._server, name=f"l{uuid.uuid4().hex[:20]}", home=self._new_folder())
        for bucket in (SOURCE.bucket, TARGET.bucket, MANIFEST.bucket):
            has_locks = scenario in {COPY, BARE, OLD}
            settings = {"ObjectLockEnabledForBucket": True, "ObjectOwnership": "ObjectWriter"} if has_locks else {}
            run.client.create_bucket(Bucket=run.of_its_own(bucket), **settings)
            if has_locks:
                run.client.delete_public_access_block(Bucket=run.of_its_own(bucket))
        scenario.prepare(run)
        return run.anonymous(scenario.see(run, run.as_user(policy)))

    def seen_with_all(self, scenario: Scenario) -> str:
        """Return what a user with the whole policy sees."""
        if id(scenario) not in self._seen:
            self._seen[id(scenario)] = self.seen_with(self.policy(scenario), scenario)
        return self._seen[id(scenario)]


@pytest.fixture(scope="module")
def trials(ministack: Server, tmp_path_factory: pytest.TempPathFactory) -> Trials:
    """What the tests of this module share."""
    return Trials(ministack, lambda: tmp_path_factory.mktemp("home"))


@pytest.mark.parametrize("name", SCENARIOS)
def test_a_user_with_the_whole_policy_sees_the_same_each_time(trials: Trials, name: str) -> None:
    """Else a difference would not come from the action that was taken away."""
    scenario = SCENARIOS[name]
    assert trials.seen_with(trials.policy(scenario), scenario) == trials.seen_with_all(scenario)


@pytest.mark.parametrize(("name", "place", "action"), ROWS)
def test_without_any_one_action_something_is_lost(trials: Trials, name: str, place: Place, action: str) -> None:
    """What the user sees differs, unless it is named why this server, or this scenario, does not show it."""
    scenario = SCENARIOS[name]
    seen = trials.seen_with(without(trials.policy(scenario), place.capitalize(), action), scenario)
    reason = scenario.unseen.get((place, action))
    assert (seen == trials.seen_with_all(scenario)) == (reason is not None), f"{reason}: {seen}"


def test_each_action_is_taken_away_or_named_as_not_tried() -> None:
    """A new row of the table needs a scenario, or a reason."""
    tried = {(row.place, row.action) for scenario in SCENARIOS.values() for row in scenario.rows()}
    table = {(each.place, each.action) for each in PERMISSIONS if each.action not in NOT_TRIED}
    assert table - tried == set()
