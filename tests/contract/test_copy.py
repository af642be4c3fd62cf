"""Copies on real servers: what a copy keeps, what it never overwrites, and what becomes of a row when things fail."""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from s3batch.execute.journal import JournalFile, uploads_of_earlier_attempts
from s3batch.model.errors import UnavailableError
from s3batch.model.job import CopyOptions, IfTargetExists
from s3batch.operations import small_copies
from s3batch.operations.copy import CopyOperation
from s3batch.operations.task import ChunkWork, TaskContext
from s3batch.s3.retry import MAX_ATTEMPTS, RetryClass
from tests.contract.chunks import codes, copied, list_all, pin, put_all, run, run_until_error
from tests.keys import HOSTILE_KEYS, MAX_KEY_BYTES
from tests.servers.fault_proxy import FaultProxy
from tests.servers.faults import Fault, FaultPlan
from tests.servers.gaps import key_gap
from tests.servers.server import Server
from tests.servers.stub.launcher import StubControl

StartProxy = Callable[[Server, FaultPlan], FaultProxy]
SOURCE, TARGET = "source/", "target/a+b/"
MIB = 1024**2


def operation(bucket: str, **options: Any) -> CopyOperation:  # noqa: ANN401 - CopyOptions' fields
    """Return the copy to the target folder."""
    return CopyOperation(mapping=copied(TARGET, bucket), options=CopyOptions(**options))


def make_sources(server: Server, bucket: str, bodies: Mapping[str, bytes]) -> ChunkWork:
    """Make a bucket with sources, and pin them."""
    server.boto3_client().create_bucket(Bucket=bucket)
    put_all(server, bucket, {SOURCE + name: body for name, body in bodies.items()})
    return pin(server, bucket, SOURCE)


async def impatient(context: TaskContext) -> None:
    """Let the client try again at once."""
    context.target._sender.random_unit = lambda: 0.0


class BriefJournal(JournalFile):
    """A journal that needs no closing."""

    def _append(self, line: Mapping[str, str | bool], *, is_durable: bool = True) -> None:
        super()._append(line, is_durable=is_durable)
        self.close()
        self._file = None


def with_journal(folder: Path, *, epoch: int, chunk_no: int = 0) -> Callable[[TaskContext], Any]:
    """Return what gives an attempt a journal, and the earlier attempts' uploads."""

    async def prepare(context: TaskContext) -> None:
        context.journal = BriefJournal(folder, chunk_no=chunk_no, epoch=epoch)
        context.earlier_uploads = uploads_of_earlier_attempts(folder, chunk_no=chunk_no, before_epoch=epoch)
        await impatient(context)

    return prepare


def bodies_of(server: Server, bucket: str, prefix: str) -> dict[str, bytes]:
    """Return what is under a prefix, by the rest of the key."""
    client = server.boto3_client()
    return {
        key.removeprefix(prefix): client.get_object(Bucket=bucket, Key=key)["Body"].read()
        for key in list_all(server, bucket, prefix)
    }


NAMES = {f"{number:03}.txt": f"body {number}".encode() for number in range(12)}


# --------------------------------------------------------------------------------------------------------- plain copies


def test_copies_have_the_bytes_and_etags_of_their_sources(s3_server: Server, bucket_name: str) -> None:
    """The whole of it: every row succeeds without a code, and every object is there."""
    work = make_sources(s3_server, bucket_name, NAMES)
    outcomes = run(s3_server, operation(bucket_name), work)
    assert codes(work, outcomes) == {}
    assert [each["etag"] for each in outcomes] == list(work.etags)
    assert bodies_of(s3_server, bucket_name, TARGET) == NAMES


def test_metadata_content_headers_tags_and_class_are_kept(ministack: Server, bucket_name: str) -> None:
    """A copy is the object with all that belongs to it, and stays in its storage class."""
    client = ministack.boto3_client()
    client.create_bucket(Bucket=bucket_name)
    client.put_object(
        Bucket=bucket_name,
        Key=SOURCE + "k",
        Body=b"x",
        ContentType="text/x-fits",
        CacheControl="max-age=7",
        Metadata={"mission": "soho"},
        Tagging="a=1&b=%2B",
        StorageClass="STANDARD_IA",
    )
    work = pin(ministack, bucket_name, SOURCE, storage_classes=["STANDARD_IA"])
    run(ministack, operation(bucket_name), work)
    _require_kept(ministack, bucket_name)
    assert client.head_object(Bucket=bucket_name, Key=TARGET + "k")["StorageClass"] == "STANDARD_IA"


def _require_kept(server: Server, bucket: str) -> None:
    client = server.boto3_client()
    head = client.head_object(Bucket=bucket, Key=TARGET + "k")
    assert (head["ContentType"], head["CacheControl"]) == ("text/x-fits", "max-age=7")
    assert head["Metadata"] == {"mission": "soho"}
    tags = client.get_object_tagging(Bucket=bucket, Key=TARGET + "k")["TagSet"]
    assert {tag["Key"]: tag["Value"] for tag in tags} == {"a": "1", "b": "+"}


@pytest.mark.parametrize("server_name", ["ministack", "ceph_rgw"])
def test_hostile_keys_are_copied_each_to_its_own(
    server_name: str, bucket_name: str, request: pytest.FixtureRequest
) -> None:
    """Keys that break tools, side by side, by one request each and in parts."""
    server: Server = request.getfixturevalue(server_name)
    room = MAX_KEY_BYTES - len(TARGET)
    names = [
        key for key in HOSTILE_KEYS if not key_gap(server_name, key) and len(key.encode()) <= room and key.strip("/")
    ]
    work = make_sources(server, bucket_name, {name: name.encode() for name in names})
    outcomes = run(server, operation(bucket_name), work)
    assert codes(work, outcomes) == {}
    assert bodies_of(server, bucket_name, TARGET) == {name: name.encode() for name in names}


def test_a_key_that_cannot_be_sent_fails_alone(ministack: Server, bucket_name: str) -> None:
    """A row without an identity is recorded, and the chunk ends with all others copied."""
    work = make_sources(ministack, bucket_name, NAMES)
    etags = list(work.etags)
    etags[0] = etags[5] = ""
    work = replace(work, etags=etags)
    outcomes = run(ministack, operation(bucket_name), work)
    assert codes(work, outcomes) == dict.fromkeys([work.keys[0], work.keys[5]], "NotPinned")
    assert len(list_all(ministack, bucket_name, TARGET)) == len(NAMES) - 2


# ----------------------------------------------------------------------------------------------------- taken targets


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        (IfTargetExists.FAIL, {"000.txt": "TargetExists", "001.txt": "TargetExists"}),
        (IfTargetExists.SKIP_IF_SAME, {"000.txt": "AlreadySame", "001.txt": "TargetExists"}),
        (IfTargetExists.SKIP, {"000.txt": "Skipped", "001.txt": "Skipped"}),
        (IfTargetExists.OVERWRITE, {}),
    ],
)
def test_a_taken_target_is_treated_as_was_asked(
    s3_server: Server, bucket_name: str, mode: IfTargetExists, expected: dict[str, str], tmp_path: Path
) -> None:
    """An equal object at the first target, another one at the second, nothing at the others."""
    work = make_sources(s3_server, bucket_name, NAMES)
    put_all(s3_server, bucket_name, {TARGET + "000.txt": NAMES["000.txt"], TARGET + "001.txt": b"another"})
    outcomes = run(
        s3_server,
        operation(bucket_name, if_target_exists=mode),
        work,
        prepare=with_journal(tmp_path, epoch=1),
    )
    assert codes(work, outcomes) == {SOURCE + name: code for name, code in expected.items()}
    there = bodies_of(s3_server, bucket_name, TARGET)
    is_kept = mode is not IfTargetExists.OVERWRITE
    assert there == NAMES | ({"001.txt": b"another"} if is_kept else {})


def test_a_source_that_changed_is_not_copied(ministack: Server, bucket_name: str) -> None:
    """What the manifest pinned is copied or nothing."""
    work = make_sources(ministack, bucket_name, NAMES)
    put_all(ministack, bucket_name, {SOURCE + "003.txt": b"CHANGED"})
    ministack.boto3_client().delete_object(Bucket=bucket_name, Key=SOURCE + "004.txt")
    outcomes = run(ministack, operation(bucket_name), work)
    assert codes(work, outcomes) == {SOURCE + "003.txt": "SourceChanged", SOURCE + "004.txt": "NoSuchKey"}


def test_a_target_that_appears_while_others_are_copied_is_left_alone(
    stub: Server, bucket_name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also on a store that ignores conditions: each portion's targets are read right before it (safety.md rule 6)."""
    control = StubControl(stub)
    control.configure_bucket(bucket_name, conditions="ignored")
    control.fill(bucket_name, SOURCE, 3000)
    work = pin(stub, bucket_name, SOURCE)
    late = SOURCE + f"{2999:09}"
    start_next = small_copies.SmallCopies.start_next

    def put_first(self: small_copies.SmallCopies) -> bool:
        monkeypatch.setattr(small_copies.SmallCopies, "start_next", start_next)
        put_all(stub, bucket_name, {TARGET + late.removeprefix(SOURCE): b"a colleague's"})
        return start_next(self)

    monkeypatch.setattr(small_copies.SmallCopies, "start_next", put_first)
    outcomes = run(stub, operation(bucket_name), work)
    assert codes(work, outcomes) == {work.keys[-1]: "TargetExists"}
    assert list_all(stub, bucket_name, TARGET + late.removeprefix(SOURCE)).popitem()[1][1] == len(b"a colleague's")


# ------------------------------------------------------------------------------------------------------ what goes wrong


def failing(*, matching: str, fault: Fault = Fault.RESET_BEFORE, **settings: Any) -> FaultPlan:  # noqa: ANN401
    """Return a plan in which every such request fails."""
    return FaultPlan(probabilities={fault: 1.0}, matching=matching, **settings)


def test_rows_that_an_outage_hit_are_left_for_later(
    ministack: Server, bucket_name: str, fault_proxy: StartProxy
) -> None:
    """They have no outcome, the others have theirs, and the attempt ends as unavailable; the next one does the rest."""
    work = make_sources(ministack, bucket_name, NAMES)
    proxy = fault_proxy(ministack, failing(matching=r"^PUT .*target.*00[37]"))
    outcomes, error = run_until_error(proxy.server, operation(bucket_name), work, prepare=impatient)
    assert isinstance(error, UnavailableError)
    assert [each["row"] for each in outcomes] == [0, 1, 2, 4, 5, 6, 8, 9, 10, 11]
    assert codes(work, outcomes) == {}
    again = replace(work, rows=[3, 7], is_first_attempt=False)
    assert codes(again, run(ministack, operation(bucket_name), again)) == {}
    assert bodies_of(ministack, bucket_name, TARGET) == NAMES


def test_an_outage_of_the_targets_listing_is_no_failure_of_the_rows(
    ministack: Server, bucket_name: str, fault_proxy: StartProxy
) -> None:
    """Nothing is copied blindly, and nothing is called failed."""
    work = make_sources(ministack, bucket_name, NAMES)
    proxy = fault_proxy(ministack, failing(matching=r"^GET .*list-type"))
    outcomes, error = run_until_error(proxy.server, operation(bucket_name), work, prepare=impatient)
    assert isinstance(error, UnavailableError)
    assert outcomes == []


def test_a_lasting_outage_ends_the_chunk_soon(ministack: Server, bucket_name: str, fault_proxy: StartProxy) -> None:
    """A store that is away is not asked a thousand times for the same answer."""
    names = {f"{number:04}": b"x" for number in range(700)}
    work = make_sources(ministack, bucket_name, names)
    proxy = fault_proxy(ministack, failing(matching=r"^PUT "))
    outcomes, error = run_until_error(proxy.server, operation(bucket_name), work, prepare=impatient)
    assert isinstance(error, UnavailableError)
    assert outcomes == []
    assert proxy.counts().asked["CopyObject"] < len(names) * MAX_ATTEMPTS[RetryClass.TRANSPORT]


def test_one_object_at_which_the_store_fails_again_does_not_hold_up_the_job(
    ministack: Server, bucket_name: str, fault_proxy: StartProxy
) -> None:
    """On a later attempt, while the store answers other questions, such a row fails."""
    work = replace(make_sources(ministack, bucket_name, NAMES), is_first_attempt=False)
    proxy = fault_proxy(ministack, failing(matching=r"^PUT .*target.*003"))
    outcomes = run(proxy.server, operation(bucket_name), work, prepare=impatient)
    assert codes(work, outcomes) == {SOURCE + "003.txt": "TransportError"}


def test_lost_answers_are_settled_by_reading(ministack: Server, bucket_name: str, fault_proxy: StartProxy) -> None:
    """Whatever was lost: each row ends as copied, because it is."""
    names = {f"{number:03}": f"{number}".encode() for number in range(150)}
    work = make_sources(ministack, bucket_name, names)
    faults = {Fault.LOSE_ANSWER: 0.15, Fault.ERROR_BODY_AFTER: 0.15, Fault.DELIVER_TWICE: 0.1, Fault.RESET_AFTER: 0.1}
    proxy = fault_proxy(ministack, FaultPlan(probabilities=faults, matching="^PUT"))
    outcomes, error = run_until_error(proxy.server, operation(bucket_name), work, prepare=impatient)
    assert error is None or isinstance(error, UnavailableError)
    assert set(codes(work, outcomes).values()) <= {"AlreadyCopied"}
    assert {each["status"] for each in outcomes} == {"succeeded"}
    there = bodies_of(ministack, bucket_name, TARGET)
    assert {name: there[name] for name in there} == {name: names[name] for name in there}


class FullDisk(JournalFile):
    """A journal that cannot be written."""

    def begin(self, bucket: str, key: str, upload_id: str) -> None:
        """Fail."""
        raise OSError(28, f"no space for {bucket}/{key} {upload_id}")

    def give_up(self, upload_id: str) -> None:
        """Fail too."""
        raise OSError(28, f"no space for {upload_id}")


def test_what_breaks_at_one_row_does_not_lose_the_outcomes_of_others(
    ministack: Server, bucket_name: str, tmp_path: Path
) -> None:
    """The small copies that were under way beside it are recorded before the attempt ends with the error."""
    names = {f"{number:03}": b"x" for number in range(300)}
    work = make_sources(ministack, bucket_name, names)
    sizes = list(work.sizes)
    sizes[299] = 20 * MIB  # takes the way of large ones

    async def prepare(context: TaskContext) -> None:
        context.journal = FullDisk(tmp_path, chunk_no=0, epoch=1)
        await impatient(context)

    outcomes, error = run_until_error(
        ministack, operation(bucket_name, multipart_threshold=8 * MIB), replace(work, sizes=sizes), prepare=prepare
    )
    assert isinstance(error, OSError)
    there = {key.removeprefix(TARGET) for key in list_all(ministack, bucket_name, TARGET)}
    assert {work.keys[each["row"]].removeprefix(SOURCE) for each in outcomes} == there
    assert list_uploads(ministack, bucket_name) == []


def list_uploads(server: Server, bucket: str) -> list[str]:
    """Return the keys of uploads that are open."""
    answer = server.boto3_client().list_multipart_uploads(Bucket=bucket)
    return [upload["Key"] for upload in answer.get("Uploads", ())]


@pytest.mark.parametrize(("content_type", "expected"), [("text/plain", "TargetExists"), ("binary/x", "AlreadyCopied")])
def test_an_equal_object_counts_as_own_only_with_all_that_belongs_to_it(
    ministack: Server,
    bucket_name: str,
    monkeypatch: pytest.MonkeyPatch,
    content_type: str,
    expected: str,
) -> None:
    """Someone writes the same bytes at the target after it was read: never a plain success."""
    client = ministack.boto3_client()
    client.create_bucket(Bucket=bucket_name)
    client.put_object(Bucket=bucket_name, Key=SOURCE + "k", Body=b"same", ContentType="binary/x")
    work = pin(ministack, bucket_name, SOURCE)

    def refuse(self: small_copies.SmallCopies, row: object, status: int, *answer: Any) -> None:  # noqa: ANN401
        """Answer as a store does that honours conditions; MiniStack ignores this one."""
        client.put_object(Bucket=bucket_name, Key=TARGET + "k", Body=b"same", ContentType=content_type)
        original(self, row, 412, b"<Error><Code>PreconditionFailed</Code></Error>", *answer[1:])
        assert status == 200

    original = small_copies.SmallCopies._on_done
    monkeypatch.setattr(small_copies.SmallCopies, "_on_done", refuse)
    outcomes = run(ministack, operation(bucket_name), work)
    assert codes(work, outcomes) == {SOURCE + "k": expected}


# ------------------------------------------------------------------------------------------------------ another attempt


@pytest.mark.parametrize(("started_in_s", "expected"), [(-60, "AlreadyCopied"), (3600, "TargetExists")])
def test_a_later_attempt_knows_its_jobs_own_copies_by_their_time(
    s3_server: Server, bucket_name: str, started_in_s: int, expected: str
) -> None:
    """Equal objects that were there before the job began are not its work (safety.md rule 9)."""
    work = make_sources(s3_server, bucket_name, NAMES)
    run(s3_server, operation(bucket_name), replace(work, rows=range(5)))

    async def prepare(context: TaskContext) -> None:
        context.job_started_at_ms = context.now_ms() + started_in_s * 1000

    outcomes = run(s3_server, operation(bucket_name), replace(work, is_first_attempt=False), prepare=prepare)
    assert codes(work, outcomes) == dict.fromkeys(work.keys[:5], expected)


def test_an_equal_object_of_a_first_attempt_is_someone_elses(ministack: Server, bucket_name: str) -> None:
    """There was no attempt before that could have written it."""
    work = make_sources(ministack, bucket_name, NAMES)
    run(ministack, operation(bucket_name), replace(work, rows=[0]))
    assert codes(work, run(ministack, operation(bucket_name), work)) == {work.keys[0]: "TargetExists"}
