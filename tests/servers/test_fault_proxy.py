"""The proxy injects what its plan says, tells so, and is otherwise not to be noticed."""

import time
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError, ConnectionClosedError, IncompleteReadError
from hypothesis import given
from hypothesis import strategies as st

from tests.keys import HOSTILE_KEYS
from tests.servers.fault_proxy import FaultProxy
from tests.servers.faults import Fault, FaultPlan, FaultSource, RequestLine, drop_from_listing
from tests.servers.gaps import key_gap
from tests.servers.server import Server

StartProxy = Callable[[Server, FaultPlan], FaultProxy]
ALWAYS = 1.0


def always(fault: Fault, matching: str, **settings: Any) -> FaultPlan:  # noqa: ANN401 (the plan's own fields)
    """Return a plan of one fault for each request that matches."""
    return FaultPlan(probabilities={fault: ALWAYS}, matching=matching, **settings)


class Case:
    """A proxy before a server with a bucket of one object, `source`."""

    def __init__(self, proxy: FaultProxy, server: Server, bucket: str) -> None:
        self.proxy, self.bucket = proxy, bucket
        self.through, self.direct = proxy.server.boto3_client(), server.boto3_client()
        self.direct.create_bucket(Bucket=bucket)
        self.direct.put_object(Bucket=bucket, Key="source", Body=b"0123456789")

    def copy(self, key: str = "target") -> Any:  # noqa: ANN401 (boto3's answer)
        """Copy the object through the proxy."""
        return self.through.copy_object(
            Bucket=self.bucket, Key=key, CopySource={"Bucket": self.bucket, "Key": "source"}
        )

    def list_keys(self) -> list[str]:
        """What is in the bucket, asked of the server."""
        return [found["Key"] for found in self.direct.list_objects_v2(Bucket=self.bucket)["Contents"]]


@pytest.fixture
def start(fault_proxy: StartProxy, ministack: Server, bucket_name: str) -> Callable[[FaultPlan], Case]:
    """Start a proxy with a plan before MiniStack, which checks signatures."""
    return lambda plan: Case(fault_proxy(ministack, plan), ministack, bucket_name)


def test_without_faults_nothing_is_changed(s3_server: Server, fault_proxy: StartProxy, bucket_name: str) -> None:
    """Hostile keys, bodies and signatures pass unchanged, before each real server."""
    case = Case(fault_proxy(s3_server, FaultPlan()), s3_server, bucket_name)
    keys = [key for key in HOSTILE_KEYS if key_gap(s3_server.name, key) is None]
    for key in keys:
        case.through.put_object(Bucket=bucket_name, Key=key, Body=key.encode())
    assert case.list_keys() == sorted([*keys, "source"])
    for key in keys:
        assert case.through.get_object(Bucket=bucket_name, Key=key)["Body"].read() == key.encode()
        case.through.head_object(Bucket=bucket_name, Key=key)
    counts = case.proxy.counts()
    assert counts.asked == counts.delivered == dict.fromkeys(("PutObject", "GetObject", "HeadObject"), len(keys))
    assert (counts.injected, counts.repeated_writes) == ({}, 0)


@pytest.mark.parametrize(
    ("fault", "is_done"),
    [(Fault.LOSE_ANSWER, True), (Fault.RESET_AFTER, True), (Fault.RESET_BEFORE, False)],
)
def test_answers_are_lost_before_or_after(start: Callable[[FaultPlan], Case], fault: Fault, *, is_done: bool) -> None:
    """The client sees a broken connection; only the server knows what came of it."""
    case = start(always(fault, "^PUT"))
    with pytest.raises(BotoCoreError):
        case.copy()
    assert ("target" in case.list_keys()) is is_done
    assert case.proxy.counts().injected == {fault: 1}


def test_a_lost_answer_is_no_empty_one(start: Callable[[FaultPlan], Case]) -> None:
    """The connection ends without a byte."""
    case = start(always(Fault.LOSE_ANSWER, "^PUT"))
    with pytest.raises(ConnectionClosedError):
        case.copy()


def test_a_request_is_delivered_twice(start: Callable[[FaultPlan], Case]) -> None:
    """The server has both; the counts tell it."""
    case = start(always(Fault.DELIVER_TWICE, "^PUT"))
    assert "ETag" in case.copy()["CopyObjectResult"]
    counts = case.proxy.counts()
    assert (counts.asked["CopyObject"], counts.delivered["CopyObject"], counts.repeated_writes) == (1, 2, 1)


def test_an_answer_comes_late(start: Callable[[FaultPlan], Case]) -> None:
    """The answer comes after the delay, and the server has done it at once."""
    case = start(always(Fault.DELAY_ANSWER, "^PUT", delay_s=0.3))
    began = time.monotonic()
    case.copy()
    assert time.monotonic() - began >= 0.3


@pytest.mark.parametrize(("fault", "is_done"), [(Fault.ERROR_BODY, False), (Fault.ERROR_BODY_AFTER, True)])
def test_an_error_comes_with_status_200(start: Callable[[FaultPlan], Case], fault: Fault, *, is_done: bool) -> None:
    """Both codes that S3 may send so are sent, in turn."""
    case = start(always(fault, "^PUT"))
    codes = set()
    for key in ("first", "second"):
        with pytest.raises(ClientError) as refused:
            case.copy(key)
        codes.add(refused.value.response["Error"]["Code"])
    assert codes == {"InternalError", "SlowDown"}
    assert (set(case.list_keys()) == {"first", "second", "source"}) is is_done


def test_bodies_are_cut(start: Callable[[FaultPlan], Case]) -> None:
    """A body ends before its announced length."""
    case = start(always(Fault.TRUNCATED_BODY, "^GET"))
    with pytest.raises((IncompleteReadError, BotoCoreError)):
        case.through.get_object(Bucket=case.bucket, Key="source")["Body"].read()
    assert case.proxy.counts().injected == {Fault.TRUNCATED_BODY: 1}


@pytest.mark.parametrize(("fault", "told"), [(Fault.SHORT_LISTING, 2), (Fault.TORN_LISTING, 4)])
def test_listings_lose_keys(start: Callable[[FaultPlan], Case], fault: Fault, told: int) -> None:
    """The last half is missing; KeyCount agrees with that, or does not."""
    case = start(always(fault, "list-type"))
    for key in ("a b", "a+b", "~"):
        case.direct.put_object(Bucket=case.bucket, Key=key, Body=b"")
    page = case.through.list_objects_v2(Bucket=case.bucket)
    assert ([found["Key"] for found in page["Contents"]], page["KeyCount"]) == (["a b", "a+b"], told)


def test_listings_do_not_show_what_is_new(start: Callable[[FaultPlan], Case]) -> None:
    """Keys written through the proxy a moment ago are not listed; others are, and HEAD sees all."""
    case = start(always(Fault.STALE_LISTING, "list-type", stale_s=60.0))
    for key in ("a b+&%", "line\nfeed"):
        case.through.put_object(Bucket=case.bucket, Key=key, Body=b"")
        case.through.head_object(Bucket=case.bucket, Key=key)
    page = case.through.list_objects_v2(Bucket=case.bucket)
    assert ([found["Key"] for found in page["Contents"]], page["KeyCount"]) == (["source"], 1)


def test_a_storm_refuses_everything_for_a_while(start: Callable[[FaultPlan], Case]) -> None:
    """One request raises it, and others get 503 too until it is over."""
    case = start(always(Fault.STORM, "^PUT", storm_s=60.0))
    with pytest.raises(ClientError, match="SlowDown") as refused:
        case.copy()
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 503
    with pytest.raises(ClientError, match="SlowDown"):
        case.through.get_object(Bucket=case.bucket, Key="source")
    assert case.proxy.counts().injected == {Fault.STORM: 2}
    assert case.proxy.counts().delivered == {}


def test_a_plan_may_change_and_may_end(start: Callable[[FaultPlan], Case]) -> None:
    """A test may switch faults on for a stage, and bound their number."""
    case = start(FaultPlan())
    case.copy()
    case.proxy.change_plan(always(Fault.RESET_BEFORE, "^PUT", maximum=1))
    with pytest.raises(BotoCoreError):
        case.copy()
    case.copy()


def test_faults_come_as_often_as_planned_and_the_same_again() -> None:
    """Probabilities are kept, kind by kind; a seed repeats its faults."""
    plan = FaultPlan(probabilities={Fault.LOSE_ANSWER: 0.02, Fault.SHORT_LISTING: 0.5, Fault.STORM: 0.02}, seed=7)
    request = RequestLine(method="PUT", target="/b/k", is_copy=True)
    source, again = FaultSource(plan), FaultSource(plan)
    chosen = [source.choose(request) for _ in range(10_000)]
    assert chosen == [again.choose(request) for _ in range(10_000)]
    assert 100 < chosen.count(Fault.LOSE_ANSWER) < 300
    assert 100 < chosen.count(Fault.STORM) < 300
    assert Fault.SHORT_LISTING not in chosen


@pytest.mark.parametrize(
    ("method", "target", "is_copy", "kind"),
    [
        ("PUT", "/b/k", True, "CopyObject"),
        ("PUT", "/b/k%3FuploadId=1", False, "PutObject"),
        ("PUT", "/b/k?partNumber=1&uploadId=u", True, "UploadPartCopy"),
        ("PUT", "/b/k?tagging", False, "Other"),
        ("POST", "/b?delete", False, "DeleteObjects"),
        ("POST", "/b/k?uploadId=u", False, "CompleteMultipartUpload"),
        ("GET", "/b?list-type=2&prefix=a%26delete", False, "ListObjectsV2"),
        ("GET", "/b/k?versionId=1", False, "GetObject"),
        ("HEAD", "/b/", False, "HeadBucket"),
        ("DELETE", "/b//", False, "DeleteObject"),
    ],
)
def test_requests_are_known_by_their_calls(method: str, target: str, kind: str, *, is_copy: bool) -> None:
    """The kind of a request is S3's name of the call."""
    assert RequestLine(method=method, target=target, is_copy=is_copy).kind == kind


@given(st.builds(FaultPlan, seed=st.integers(), probabilities=st.dictionaries(st.sampled_from(Fault), st.floats(0, 1))))
def test_a_plan_travels_as_json(plan: FaultPlan) -> None:
    """What the proxy's process reads is what the test wrote."""
    assert FaultPlan.from_json(plan.to_json()) == plan


def test_a_listing_from_which_nothing_is_dropped_stays_as_it_is() -> None:
    """Also one without keys."""
    for body in (b"<ListBucketResult><KeyCount>0</KeyCount></ListBucketResult>", b""):
        assert drop_from_listing(body, is_dropped=lambda *_: True, adjust_count=True) == body
