"""What the client does with answers that are lost, late, wrong or send it elsewhere: a scripted server, real bytes."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from email.utils import formatdate
from pathlib import Path
from typing import TypeVar

import pytest

from s3batch.config import Connection
from s3batch.model.errors import RefusedError
from s3batch.s3.client import DeleteKey, PartResult, S3Client, S3Reader, parse_copy_answer
from s3batch.s3.errors import (
    EMPTY_ANSWER,
    INVALID_ANSWER,
    PermissionExpiredError,
    S3Error,
    S3RefusedError,
    S3UnavailableError,
    TransportError,
)
from s3batch.s3.retry import MAX_ATTEMPTS, RetryClass
from tests.unit.s3.raw_server import Behaviour, RawServer, close_at_once, hang, ok, reset, sends

T = TypeVar("T")
ETAG = "9b2cf535f27731c974343645a3985328"
ALL = 1_000_000
"""More answers than any call takes attempts."""


def answer(status: int, body: bytes = b"", *headers: str, etag: bool = False) -> Behaviour:
    """Answer once with these, and keep the connection."""
    lines = [f"HTTP/1.1 {status} X", f"Content-Length: {len(body)}", *headers]
    if etag:
        lines.append(f'ETag: "{ETAG}"')
    return sends("\r\n".join([*lines, "", ""]).encode() + body)


def error(status: int, code: str, *headers: str, inner: str = "") -> Behaviour:
    """Answer with an S3 error."""
    return answer(status, f"<Error><Code>{code}</Code>{inner}</Error>".encode(), *headers)


def in_turn(*behaviours: Behaviour) -> Behaviour:
    """Do one after the other; the last one for ever."""
    waiting = iter(behaviours)
    last = [behaviours[-1]]

    def behave(server: RawServer, connection: object, request: object) -> bool:
        return next(waiting, last[0])(server, connection, request)  # type: ignore[arg-type]

    return behave


CUT_SHORT = sends(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort", keep=False)
COPIED = answer(
    200,
    f"<CopyObjectResult><LastModified>2026-11-22T22:16:09.644Z</LastModified><ETag>{ETAG}</ETag></CopyObjectResult>".encode(),
)
HEAD = answer(200, b"", "Last-Modified: Sun, 22 Nov 2026 22:16:11 GMT", etag=True)
PUT = answer(200, b"", etag=True)


@pytest.fixture(autouse=True)
def keys_in_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Credentials from a file that a test may rewrite."""
    path = tmp_path / "credentials"
    path.write_text("[default]\naws_access_key_id = AK1\naws_secret_access_key = s\n")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(path))
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    return path


@contextlib.contextmanager
def scripted(*behaviours: Behaviour) -> Iterator[RawServer]:
    """Run a server that does these in turn, whatever is asked."""
    with RawServer({"*": in_turn(*behaviours)}) as server:
        yield server


@contextlib.asynccontextmanager
async def client_of(server: RawServer, *, clock: Callable[[], float] = time.time) -> AsyncIterator[S3Client]:
    """Open a client for it that does not wait between attempts."""
    connection = Connection(endpoint_url=server.url, region="us-east-1", read_timeout_s=1.0)
    async with await S3Client.open(connection, clock=clock) as client:
        client._sender.random_unit = lambda: 0.0
        yield client


def ask(server: RawServer, work: Callable[[S3Client], Awaitable[T]], *, clock: Callable[[], float] = time.time) -> T:
    """Return what one call on a fresh client gives."""

    async def run() -> T:
        async with client_of(server, clock=clock) as client:
            return await work(client)

    return asyncio.run(run())


def refused(server: RawServer, work: Callable[[S3Client], Awaitable[object]]) -> S3Error:
    """Return the error that a call ends with."""
    with pytest.raises(S3Error) as caught:
        ask(server, work)
    return caught.value


def head(client: S3Client) -> Awaitable[object]:
    """A call that may always be repeated."""
    return client.head_object("b", "k")


def copy(client: S3Client) -> Awaitable[object]:
    """A copy without a condition on the target."""
    return client.copy_object("b", "k", "b", "t", source_if_match=ETAG)


@pytest.mark.parametrize(
    "failure",
    [
        error(503, "SlowDown"),
        error(500, "InternalError"),
        error(409, "OperationAborted"),
        error(400, "RequestTimeout"),
        answer(502, b"<html>Bad Gateway</html>"),
        close_at_once,
        reset,
        CUT_SHORT,
        error(200, "InternalError"),
        error(200, "SlowDown"),
        answer(200, b"<html>Welcome</html>"),
    ],
)
def test_a_copy_is_tried_again_after_failures_that_pass(failure: Behaviour) -> None:
    """Answers and silence; a 200 with an error inside is a failure, and so is a 200 that makes no sense."""
    with scripted(failure, failure, COPIED) as server:
        assert ask(server, copy)
        assert len(server.requests) >= 3


@pytest.mark.parametrize(
    ("failure", "code"),
    [
        (error(403, "AccessDenied"), "AccessDenied"),
        (error(404, "NoSuchKey"), "NoSuchKey"),
        (error(412, "PreconditionFailed"), "PreconditionFailed"),
        (error(403, "InvalidObjectState"), "InvalidObjectState"),
        (error(200, "AccessDenied"), "AccessDenied"),
        (error(403, "SignatureDoesNotMatch"), "SignatureDoesNotMatch"),
    ],
)
def test_a_final_answer_is_not_asked_for_twice(failure: Behaviour, code: str) -> None:
    """One request, one refusal."""
    with scripted(failure, COPIED) as server:
        caught = refused(server, copy)
        assert isinstance(caught, S3RefusedError)
        assert (caught.code, caught.is_ambiguous, len(server.requests)) == (code, False, 1)


def test_attempts_end() -> None:
    """Throttling gets many attempts, others few, none endless."""
    with scripted(error(503, "SlowDown")) as server:
        assert isinstance(refused(server, head), S3UnavailableError)
        assert len(server.requests) == MAX_ATTEMPTS[RetryClass.THROTTLE]
    with scripted(error(500, "InternalError")) as server:
        assert refused(server, copy).is_ambiguous
        assert len(server.requests) == MAX_ATTEMPTS[RetryClass.SERVER]


def test_throttling_lowers_the_throttle_s_limit() -> None:
    """Also when the SlowDown comes inside a 200."""

    async def work(client: S3Client) -> int:
        await client.copy_object("b", "k", "b", "t")
        return client.throttle.throttled_total

    with scripted(error(503, "SlowDown"), error(200, "SlowDown"), COPIED) as server:
        assert ask(server, work) == 2


def complete(client: S3Client) -> Awaitable[object]:
    """The call that must never be repeated blindly."""
    return client.complete_multipart_upload("b", "k", "u", [PartResult(part_number=1, etag="e")])


def delete(client: S3Client) -> Awaitable[object]:
    """In a versioned bucket each repetition adds a delete marker."""
    return client.delete_object("b", "k")


def delete_many(client: S3Client) -> Awaitable[object]:
    """The same for many keys."""
    return client.delete_objects("b", [DeleteKey(key="k")])


@pytest.mark.parametrize("call", [complete, delete, delete_many])
@pytest.mark.parametrize("lost", [close_at_once, reset, CUT_SHORT])
def test_what_must_not_happen_twice_is_not_sent_again_after_silence(
    call: Callable[[S3Client], Awaitable[object]], lost: Behaviour
) -> None:
    """It surfaces with sent not False; the caller reads before deciding. libcurl does not replay it either."""
    with scripted(lost, answer(204)) as server:
        with pytest.raises(TransportError) as caught:
            ask(server, call)
        assert caught.value.is_ambiguous
        assert len(server.requests) == 1


@pytest.mark.parametrize("call", [complete, delete, delete_many])
def test_what_must_not_happen_twice_is_not_sent_again_after_a_500(
    call: Callable[[S3Client], Awaitable[object]],
) -> None:
    """A 500 does not tell whether it happened."""
    with scripted(error(500, "InternalError"), answer(204)) as server:
        caught = refused(server, call)
        assert (caught.is_ambiguous, len(server.requests)) == (True, 1)


@pytest.mark.parametrize("call", [complete, delete, delete_many])
def test_a_conflict_with_another_write_is_the_caller_s_to_decide(
    call: Callable[[S3Client], Awaitable[object]],
) -> None:
    """After a 409 an upload must be made again whole, and a delete looked at again."""
    with scripted(error(409, "ConditionalRequestConflict"), answer(204)) as server:
        caught = refused(server, call)
        assert (caught.code, caught.is_ambiguous, len(server.requests)) == ("ConditionalRequestConflict", False, 1)


@pytest.mark.parametrize("call", [delete, complete])
def test_what_the_store_surely_did_not_do_is_sent_again(call: Callable[[S3Client], Awaitable[object]]) -> None:
    """SlowDown means that nothing was done."""
    done = answer(200, b"<CompleteMultipartUploadResult><ETag>e-1</ETag></CompleteMultipartUploadResult>")
    with scripted(error(503, "SlowDown"), done) as server:
        assert ask(server, call)


def test_a_delete_of_a_version_may_be_repeated() -> None:
    """The second finds nothing."""
    with scripted(close_at_once, close_at_once, answer(204)) as server:
        ask(server, lambda client: client.delete_object("b", "k", version_id="v"))


def test_what_could_not_be_sent_is_sent_again_whatever_it_is() -> None:
    """Nobody listens: nothing was sent, so nothing is ambiguous."""
    with scripted(answer(204)) as server:
        server.stop_listening()
        with pytest.raises(TransportError) as caught:
            ask(server, delete)
        assert (caught.value.kind, caught.value.sent) == ("connect", False)


@pytest.mark.parametrize("lost", [close_at_once, error(500, "InternalError")])
def test_a_refusal_after_a_lost_conditional_write_says_that_it_may_be_our_own(lost: Behaviour) -> None:
    """The first attempt may have made the object that the second one stumbles over (safety.md rule 6)."""
    refusal = error(412, "PreconditionFailed")
    with scripted(lost, refusal) as server:
        caught = refused(server, lambda client: client.put_object("b", "k", b"x", if_none_match=True))
        assert (caught.code, caught.is_ambiguous) == ("PreconditionFailed", True)
    with scripted(refusal) as server:
        caught = refused(server, lambda client: client.put_object("b", "k", b"x", if_none_match=True))
        assert (caught.code, caught.is_ambiguous) == ("PreconditionFailed", False)


def test_conditional_writes_have_connections_of_their_own() -> None:
    """Or libcurl might send them twice in silence, and the 412 would look like somebody else's object."""

    async def work(client: S3Client) -> None:
        for _ in range(3):
            await client.put_object("b", "k", b"x", if_none_match=True)

    with scripted(PUT) as server:
        ask(server, work)
        assert len({request.connection for request in server.requests}) == 3


def test_a_store_s_clock_is_believed_and_the_request_signed_again() -> None:
    """RequestTimeTooSkewed: the offset comes from the Date header and stays."""
    an_hour_ahead = time.time() + 3600
    skewed = error(403, "RequestTimeTooSkewed", f"Date: {formatdate(an_hour_ahead, usegmt=True)}")

    async def work(client: S3Client) -> float:
        await client.head_object("b", "k")
        await client.head_object("b", "k")
        return client.now_s()

    with scripted(skewed, HEAD) as server:
        assert abs(ask(server, work) - an_hour_ahead) < 60
        dates = [line for request in server.requests for line in request.header_lines if line.startswith("x-amz-date")]
        assert len(server.requests) == 3
        assert dates[0] < dates[1] <= dates[2]


def test_a_head_refused_while_the_clocks_differ_is_tried_once_more() -> None:
    """HEAD has no body, so only the Date tells why it was refused."""
    refusal = answer(403, b"", f"Date: {formatdate(time.time() - 7200, usegmt=True)}")
    with scripted(refusal, HEAD) as server:
        assert ask(server, head)
    with scripted(refusal) as server:
        assert refused(server, head).code == "AccessDenied"
        assert len(server.requests) == 2
    with scripted(answer(403, b"", f"Date: {formatdate(time.time(), usegmt=True)}")) as server:
        refused(server, head)
        assert len(server.requests) == 1


@pytest.mark.parametrize(
    "elsewhere",
    [
        error(400, "AuthorizationHeaderMalformed", inner="<Region>eu-west-3</Region>"),
        error(301, "PermanentRedirect", "x-amz-bucket-region: eu-west-3"),
        error(307, "TemporaryRedirect", "x-amz-bucket-region: eu-west-3", "Location: http://127.0.0.1:1/b"),
    ],
)
def test_a_bucket_s_region_is_learned_and_remembered(elsewhere: Behaviour) -> None:
    """Signed again for the region that the store names; redirects are never followed as they are."""

    async def work(client: S3Client) -> None:
        await client.list_objects("b", "")
        await client.list_objects("b", "")

    page = answer(200, b"<ListBucketResult><KeyCount>0</KeyCount></ListBucketResult>")
    with scripted(elsewhere, page) as server:
        ask(server, work)
        scopes = [line for request in server.requests for line in request.header_lines if "Credential=" in line]
        assert ["eu-west-3/s3" in scope for scope in scopes] == [False, True, True]


def test_a_store_that_sends_us_around_is_given_up() -> None:
    """Two corrections, then the answer is the error."""
    regions = [error(301, "PermanentRedirect", f"x-amz-bucket-region: r-{n}") for n in range(5)]
    with scripted(*regions) as server:
        assert refused(server, lambda client: client.list_objects("b", "")).code == "PermanentRedirect"
        assert len(server.requests) == 3


def test_ended_credentials_are_read_again_and_the_request_signed_with_the_new_ones(
    keys_in_the_environment: Path,
) -> None:
    """ExpiredToken: the file may have been renewed meanwhile. Without new ones the error says what to do."""

    async def work(client: S3Client) -> None:
        renewed = "[default]\naws_access_key_id = AK2\naws_secret_access_key = s\naws_session_token = t\n"
        await asyncio.to_thread(keys_in_the_environment.write_text, renewed)
        await client.list_objects("b", "")

    page = answer(200, b"<ListBucketResult><KeyCount>0</KeyCount></ListBucketResult>")
    with scripted(error(400, "ExpiredToken"), page) as server:
        ask(server, work)
        assert any("Credential=AK2/" in line for line in server.requests[1].header_lines)
    with scripted(error(400, "ExpiredToken")) as server:
        caught = refused(server, lambda client: client.list_objects("b", ""))
        assert "aws sso login" in caught.way_out
        assert len(server.requests) == 1


def test_an_empty_answer_to_a_copy_is_settled_by_the_target() -> None:
    """Some stores answer a copy with an empty 200; only a target written since then counts."""
    now = f"Date: {formatdate(usegmt=True)}"
    written_now = answer(200, b"", f"Last-Modified: {formatdate(usegmt=True)}", etag=True)
    with scripted(answer(200, b"", now), written_now) as server:
        assert ask(server, lambda client: client.copy_object("b", "k", "b", "t")).etag == ETAG
        assert [request.method for request in server.requests] == ["PUT", "HEAD"]
    old = answer(200, b"", f"Last-Modified: {formatdate(time.time() - 60, usegmt=True)}", etag=True)
    with scripted(answer(200, b"", now), old) as server:
        assert refused(server, copy).code == EMPTY_ANSWER


def test_a_condition_that_the_store_does_not_know_is_replaced_by_reading_the_target() -> None:
    """501: the target is read before this copy and all later ones; a target that is there is not overwritten."""
    unknown = error(501, "NotImplemented")
    absent = answer(404)

    async def twice(client: S3Client) -> bool | None:
        await client.copy_object("b", "k", "b", "t", if_none_match=True)
        await client.copy_object("b", "k", "b", "t", if_none_match=True)
        return client.conditional_copy_supported

    with scripted(unknown, absent, COPIED, absent, COPIED) as server:
        assert ask(server, twice) is False
        assert [request.method for request in server.requests] == ["PUT", "HEAD", "PUT", "HEAD", "PUT"]
    with scripted(unknown, HEAD, COPIED) as server:
        caught = refused(server, lambda client: client.copy_object("b", "k", "b", "t", if_none_match=True))
        assert caught.code == "PreconditionFailed"
        assert [request.method for request in server.requests] == ["PUT", "HEAD"]
    with scripted(unknown, HEAD, COPIED) as server:
        assert ask(server, lambda client: client.copy_object("b", "k", "b", "t", if_match=ETAG)).etag == ETAG


def test_etags_in_a_delete_are_given_up_only_when_that_was_allowed() -> None:
    """A condition is never dropped behind the caller's back."""
    deleted = answer(200, b"<DeleteResult><Deleted><Key>k</Key></Deleted></DeleteResult>")
    keys = [DeleteKey(key="k", etag=ETAG)]
    with scripted(error(400, "MalformedXML"), deleted) as server:
        assert refused(server, lambda client: client.delete_objects("b", keys)).code == "MalformedXML"
        assert len(server.requests) == 1

    async def allowed(client: S3Client) -> bool | None:
        await client.delete_objects("b", keys, allow_unconditional=True)
        await client.delete_objects("b", keys, allow_unconditional=True)
        return client.conditional_delete_supported

    with scripted(error(400, "MalformedXML"), deleted) as server:
        assert ask(server, allowed) is False
        assert [b"<ETag>" in request.body for request in server.requests] == [True, False, False]


EMPTY_KEY_CALLS: list[Callable[[S3Client], Awaitable[object]]] = [
    lambda client: client.head_object("b", ""),
    lambda client: client.get_object("b", ""),
    lambda client: anext(client.stream_object("b", "")),
    lambda client: client.get_object_tagging("b", ""),
    lambda client: client.get_object_attributes("b", ""),
    lambda client: client.list_parts("b", "", "u"),
    lambda client: client.put_object("b", "", b""),
    lambda client: client.copy_object("b", "", "b", "t"),
    lambda client: client.copy_object("b", "k", "b", ""),
    lambda client: client.delete_object("b", ""),
    lambda client: client.delete_objects("b", [DeleteKey(key="k"), DeleteKey(key="")]),
    lambda client: client.create_multipart_upload("b", ""),
    lambda client: client.upload_part("b", "", "u", 1, b""),
    lambda client: client.upload_part_copy("b", "", "b", "t", "u", 1),
    lambda client: client.upload_part_copy("b", "k", "b", "", "u", 1),
    lambda client: client.complete_multipart_upload("b", "", "u", []),
    lambda client: client.abort_multipart_upload("b", "", "u"),
    lambda client: client.put_object_tagging("b", "", []),
]


@pytest.mark.parametrize("call", EMPTY_KEY_CALLS)
def test_an_empty_key_never_leaves_this_process(call: Callable[[S3Client], Awaitable[object]]) -> None:
    """With path addressing `DELETE /bucket/` deletes the bucket (safety.md rule 3)."""
    with scripted(answer(200)) as server:
        with pytest.raises(RefusedError) as caught:
            ask(server, call)
        assert caught.value.code == "EmptyKey"
        assert server.requests == []


def test_a_reader_cannot_write_by_any_way() -> None:
    """Its type has no writing call, and its sender sends none."""
    writing = {"put_object", "copy_object", "delete_object", "delete_objects", "delete_batch", "copy_plan"}
    assert not writing & set(dir(S3Reader))
    assert not {name for name in dir(S3Reader) if "upload" in name} - {"list_multipart_uploads"}

    async def work(server: RawServer) -> None:
        connection = Connection(endpoint_url=server.url, region="us-east-1")
        async with await S3Reader.open(connection) as reader:
            smuggled = S3Client(reader._sender, read_timeout_s=1.0)
            with pytest.raises(RefusedError, match="only reads"):
                await smuggled.delete_object("b", "k")
            with pytest.raises(RefusedError, match="only reads"):
                smuggled.copy_plan("b", "b")

    with scripted(answer(204)) as server:
        asyncio.run(work(server))
        assert server.requests == []


def test_too_many_keys_for_one_delete_are_refused_here() -> None:
    """Some stores take more, and then delete some of them."""
    keys = [DeleteKey(key=f"k{n}") for n in range(1001)]
    with scripted(answer(200)) as server:
        for wrong in (keys, []):
            with pytest.raises(RefusedError) as caught:
                ask(server, lambda client, wrong=wrong: client.delete_objects("b", wrong))  # type: ignore[misc]
            assert caught.value.code == "TooManyKeys"
        assert server.requests == []


def test_an_object_that_is_too_large_is_not_held_in_memory() -> None:
    """Refused at the first answer, without further attempts."""
    with scripted(sends(ok(b"x" * 2000, b'ETag: "e"\r\n'))) as server:
        with pytest.raises(RefusedError) as caught:
            ask(server, lambda client: client.get_object("b", "k", max_bytes=1000))
        assert (caught.value.code, len(server.requests)) == ("ObjectTooLarge", 1)


def test_a_broken_download_goes_on_where_it_broke_with_the_same_object() -> None:
    """The rest is asked for by range, on the condition of the first answer's ETag."""
    whole = bytes(range(200))
    tail = f'HTTP/1.1 200 OK\r\nETag: "{ETAG}"\r\nContent-Length: 200\r\n\r\n'.encode()
    rest = (
        f'HTTP/1.1 206 P\r\nETag: "{ETAG}"\r\nContent-Range: bytes 50-199/200\r\nContent-Length: 150\r\n\r\n'.encode()
    )

    async def work(client: S3Client) -> bytes:
        return b"".join([chunk async for chunk in client.stream_object("b", "k")])

    with scripted(sends(tail + whole[:50], keep=False), sends(rest + whole[50:])) as server:
        assert ask(server, work) == whole
        lines = "\n".join(server.requests[1].header_lines).lower()
        assert "range: bytes=50-" in lines
        assert f'if-match: "{ETAG}"' in lines
    with scripted(sends(tail + whole[:50], keep=False), error(412, "PreconditionFailed")) as server:
        assert refused(server, work).code == "PreconditionFailed"


def test_a_download_of_a_missing_object_is_refused_and_of_a_busy_one_tried_again() -> None:
    """Errors of streams are the same as of other calls."""

    async def work(client: S3Client) -> bytes:
        return b"".join([chunk async for chunk in client.stream_object("b", "k")])

    with scripted(error(404, "NoSuchKey")) as server:
        assert refused(server, work).code == "NoSuchKey"
    with scripted(error(503, "SlowDown"), close_at_once, sends(ok(b"good", b'ETag: "e"\r\n'))) as server:
        assert ask(server, work) == b"good"


def test_a_store_without_attributes_is_asked_once() -> None:
    """It answers with the object itself; that is found out by its first bytes and remembered."""

    async def work(client: S3Client) -> list[str]:
        codes = []
        for _ in range(2):
            with pytest.raises(S3RefusedError) as caught:
                await client.get_object_attributes("b", "k")
            codes.append(caught.value.code)
        return codes

    for body in (b"the object", b"x" * (2 * 1024 * 1024)):
        with scripted(sends(ok(body))) as server:
            assert ask(server, work) == ["NotImplemented"] * 2
            assert len(server.requests) == 1


def test_a_time_out_is_an_error_of_its_kind() -> None:
    """The store took the request and says nothing."""
    with scripted(hang) as server:
        with pytest.raises(TransportError) as caught:
            ask(server, delete)
        assert (caught.value.kind, caught.value.is_ambiguous) == ("timeout", True)


def test_an_answer_that_makes_no_sense_is_told_as_such() -> None:
    """A captive portal answers 200 to everything."""
    with scripted(answer(200, b"<html>Please sign in</html>")) as server:
        caught = refused(server, lambda client: client.list_objects("b", ""))
        assert (caught.code, isinstance(caught, S3UnavailableError)) == (INVALID_ANSWER, True)
        assert "S3 store" in caught.way_out


def test_a_plan_s_copies_are_signed_sent_and_answered() -> None:
    """The hot path: callback with status and body, the pinned ETag as a condition, a version where asked."""

    async def work(client: S3Client) -> list[str | S3Error]:
        plan = client.copy_plan("src", "dst", headers={"x-amz-storage-class": "GLACIER"}, if_none_match=True)
        loop = asyncio.get_running_loop()
        futures = [loop.create_future() for _ in range(2)]

        def on_done(context: int, status: int, body: bytes, _lines: list[bytes], failure: object) -> None:
            assert failure is None
            futures[context].set_result(parse_copy_answer(status, body))

        plan.start("a b", "t+1", ETAG, on_done, 0)
        plan.start("a?b", "t/../2", ETAG, on_done, 1, "v/1")
        return list(await asyncio.gather(*futures))

    with scripted(COPIED) as server:
        assert ask(server, work) == [ETAG, ETAG]
        assert sorted(server.targets()) == ["/dst/t%2B1", "/dst/t/../2"]
        lines = "\n".join("\n".join(request.header_lines) for request in server.requests)
        assert "x-amz-copy-source: src/a%20b\n" in lines
        assert "x-amz-copy-source: src/a%3Fb?versionId=v%2F1\n" in lines
        assert lines.count(f'x-amz-copy-source-if-match: "{ETAG}"') == 2
        assert lines.count("if-none-match: *") == 2
        assert lines.count("x-amz-storage-class: GLACIER") == 2


def test_a_plan_follows_new_credentials_and_another_clock() -> None:
    """Jobs run for days."""

    async def work(client: S3Client) -> None:
        plan = client.copy_plan("src", "dst")
        loop = asyncio.get_running_loop()
        for _ in range(2):
            future = loop.create_future()
            plan.start("k", "t", ETAG, lambda waiting, *_: waiting.set_result(None), future)
            await future
            source = client._sender.credentials
            source.current = type(source.current)(access_key="AK9", secret_key="s")
            client._sender.learned.clock_offset_s = 86_400.0 * 400

    with scripted(COPIED) as server:
        ask(server, work)
        first, second = ("\n".join(request.header_lines) for request in server.requests)
        assert "Credential=AK1/" in first
        assert "Credential=AK9/" in second
        assert first.split("x-amz-date: ")[1][:4] < second.split("x-amz-date: ")[1][:4]


def test_a_plan_refuses_what_is_not_pinned() -> None:
    """No key, no ETag, no request (safety.md rules 1 and 3)."""

    async def work(client: S3Client) -> list[str]:
        plan = client.copy_plan("src", "dst")
        codes = []
        for source, target, etag in (("", "t", ETAG), ("k", "", ETAG), ("k", "t", "")):
            with pytest.raises(RefusedError) as caught:
                plan.start(source, target, etag, lambda *_: None, None)
            codes.append(caught.value.code)
        return codes

    with scripted(COPIED) as server:
        assert ask(server, work) == ["EmptyKey", "EmptyKey", "NotPinned"]
        assert server.requests == []


WRITES: tuple[Callable[[S3Client], Awaitable[object]], ...] = (
    copy,
    lambda client: client.copy_object("b", "k", "b", "t", if_none_match=True),
    lambda client: client.put_object("b", "k", b"x"),
    lambda client: client.create_multipart_upload("b", "k"),
    lambda client: client.upload_part_copy("b", "k", "b", "t", "u", 1),
    lambda client: client.complete_multipart_upload("b", "k", "u", [PartResult(part_number=1, etag=ETAG)]),
    lambda client: client.put_object_tagging("b", "k", [("a", "b")]),
    lambda client: client.delete_object("b", "k", if_match=ETAG),
    lambda client: client.delete_batch("b", ["k"], etags=[ETAG]),
)


@pytest.mark.parametrize("write", WRITES)
def test_a_write_whose_time_is_over_is_not_sent(write: Callable[[S3Client], Awaitable[object]]) -> None:
    """Whatever it waited for before: the permission is asked for last (safety.md rule 21)."""

    async def work(client: S3Client) -> None:
        with pytest.raises(PermissionExpiredError):
            await write(client.guarded_by(lambda: False))

    with scripted(COPIED) as server:
        ask(server, work)
        assert server.requests == []


@pytest.mark.parametrize("failure", [error(503, "SlowDown"), error(500, "InternalError"), close_at_once])
def test_a_write_is_not_repeated_when_its_time_is_over_meanwhile(failure: Behaviour) -> None:
    """A back-off may last longer than a permission; a later attempt at the same chunk may be at work by then."""

    async def work(client: S3Client) -> None:
        permissions = iter([True])
        with pytest.raises(PermissionExpiredError):
            await copy(client.guarded_by(lambda: next(permissions, False)))
        assert client.throttle.in_flight == 0

    with scripted(failure, COPIED) as server:
        ask(server, work)
        assert len(server.requests) == 1


def test_reading_and_aborting_need_no_permission() -> None:
    """Neither changes an object; an upload that is not aborted is billed."""

    async def work(client: S3Client) -> None:
        guarded = client.guarded_by(lambda: False)
        await guarded.head_object("b", "k")
        await guarded.abort_multipart_upload("b", "k", "u")

    with scripted(HEAD, answer(204)) as server:
        ask(server, work)
        assert [request.method for request in server.requests] == ["HEAD", "DELETE"]


def test_what_one_guarded_client_learns_all_know() -> None:
    """The guard is an attempt's, the store is everybody's."""

    async def work(client: S3Client) -> bool | None:
        await client.guarded_by(lambda: True).copy_object("b", "k", "b", "t", if_none_match=True)
        return client.conditional_copy_supported

    absent = answer(404)
    with scripted(error(501, "NotImplemented"), absent, COPIED) as server:
        assert ask(server, work) is False


# ------------------------------------------------------------------------------------------------------ requester pays


def test_who_pays_is_said_and_signed_in_every_request() -> None:
    """A bucket of somebody else's refuses what does not say so; plain copies on the hot path say it too."""

    async def run(server: RawServer) -> None:
        connection = Connection(endpoint_url=server.url, region="us-east-1", requester_pays=True)
        async with await S3Client.open(connection) as client:
            await client.head_object("b", "k")
            await client.copy_object("b", "k", "b", "t", source_if_match=ETAG)
            future = asyncio.get_running_loop().create_future()
            client.copy_plan("b", "b").start("k", "t", ETAG, lambda waiting, *_: waiting.set_result(None), future)
            await future

    with scripted(HEAD, COPIED, COPIED) as server:
        asyncio.run(run(server))
    for request in server.requests:
        assert "x-amz-request-payer: requester" in request.header_lines
        (authorization,) = (line for line in request.header_lines if line.startswith("authorization"))
        assert ";x-amz-request-payer" in authorization
