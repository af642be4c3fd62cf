"""Signing and encoding, byte for byte against botocore's own signer for S3."""

from __future__ import annotations

import hmac
import random
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from unittest.mock import patch
from urllib.parse import quote

import botocore.auth
import botocore.awsrequest
import botocore.credentials
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s3batch.model.errors import InconsistentError, RefusedError
from s3batch.s3.encoding import encode_key, encode_query
from s3batch.s3.signing import EMPTY_SHA256, CopySigner, Credentials, Hmac, Signer, timestamp

HOST = "bucket.s3.example.com"
NOW_S = 1_790_000_000.75
PLAIN = Credentials(access_key="AKIDEXAMPLE", secret_key="wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
SESSION = Credentials(access_key="ASIAEXAMPLE", secret_key="s" * 40, token="FwoGZXIvYXdzE//+=tok%en")

HOSTILE_KEYS = [
    "a b",
    "a+b",
    "a%20b",
    "%",
    "%25",
    "100%s%%d",
    "q?x=1&y=2",
    "#frag",
    "new\nline\r\n",
    "tab\there",
    "emoji 🚀/ünï",
    "//lead",
    "/lead",
    "trail/",
    "a/../c",
    "./a/./b",
    "a//b///c",
    "=" * 10,
    "'\"<>&;:,@!$()*[]{}|\\^`~",
    "\x01\x7f\x00",
    "k" * 1024,
    "é" * 512,
    "\U0010ffff\uffff",
]

keys = st.one_of(
    st.sampled_from(HOSTILE_KEYS),
    st.text(alphabet="ab/%+ =.~-_", min_size=1),
    st.text(min_size=1, alphabet=st.characters(exclude_categories=["Cs"])),
)
header_names = st.from_regex(r"x-amz-meta-[a-z0-9._-]{1,20}", fullmatch=True) | st.sampled_from(
    ["Content-Type", "Cache-Control", "If-None-Match", "x-amz-copy-source-if-modified-since", "x-amz-acl", "User-Agent"]
)
header_values = st.text(alphabet=st.characters(min_codepoint=0x20, max_codepoint=0x17F, exclude_characters="\x7f"))


@contextmanager
def _clock(now_s: float) -> Iterator[None]:
    """Give botocore the time; it asks for the current one by itself."""
    with patch.object(botocore.auth, "get_current_datetime", lambda: datetime.fromtimestamp(int(now_s), UTC)):
        yield


def _by_botocore(
    method: str, path: str, query: str, headers: Mapping[str, str], *, payload: str, credentials: Credentials
) -> dict[str, str]:
    """Return the headers that botocore would send, names in lower case."""
    url = f"https://{HOST}{path}" + (f"?{query}" if query else "")
    request = botocore.awsrequest.AWSRequest(method=method, url=url, headers=dict(headers))
    signer = botocore.auth.S3SigV4Auth(
        botocore.credentials.Credentials(credentials.access_key, credentials.secret_key, credentials.token),
        "s3",
        "eu-central-1",
    )
    signer.payload = lambda _request: payload
    with _clock(NOW_S):
        signer.add_auth(request)
    return {name.lower(): value for name, value in request.headers.items()}


def _as_dict(lines: list[bytes]) -> dict[str, str]:
    """Return header lines as libcurl would send them, as a dictionary; no name may come twice."""
    pairs = []
    for line in lines:
        assert b"\n" not in line
        name, colon, value = line.decode().partition(":")
        pairs.append((name, value.removeprefix(" ")) if colon else (name.removesuffix(";"), ""))
    assert len(dict(pairs)) == len(pairs)
    return dict(pairs)


def _check_generic(
    method: str, key: str, query: str, headers: Mapping[str, str], *, payload: str, credentials: Credentials
) -> None:
    path = "/" + quote(key.encode(), safe="/-._~")
    lines = Signer("eu-central-1").sign(
        method, HOST, path, query, headers, payload_sha256=payload, credentials=credentials, now_s=NOW_S
    )
    assert _as_dict(lines) == {"host": HOST} | _by_botocore(
        method, path, query, headers, payload=payload, credentials=credentials
    )


@settings(max_examples=300, deadline=None)
@given(
    key=keys,
    headers=st.dictionaries(header_names, header_values, max_size=6),
    parameters=st.lists(st.tuples(st.text(min_size=1, max_size=8), st.text(max_size=8)), max_size=4),
    payload=st.sampled_from([EMPTY_SHA256, "ab" * 32]),
    credentials=st.sampled_from([PLAIN, SESSION]),
)
def test_any_request_is_signed_as_botocore_signs_it(
    key: str,
    headers: dict[str, str],
    parameters: list[tuple[str, str]],
    payload: str,
    credentials: Credentials,
) -> None:
    """The same headers go out, with the same values and the same signature."""
    _check_generic("GET", key, encode_query(parameters), headers, payload=payload, credentials=credentials)


def test_thousands_of_seeded_random_requests_are_signed_as_botocore_signs_them() -> None:
    """The same 3,000 requests every time: all methods, unsorted queries, names without values, token and none."""
    generator = random.Random(20261122)
    alphabet = "abcXYZ019-._~ /%+?#&=:;,'\"<>\n\té€🚀"
    for _ in range(3000):
        key = generator.choice(HOSTILE_KEYS) + "".join(generator.choices(alphabet, k=generator.randrange(40)))
        pairs = [
            quote(generator.choice(alphabet) * 2, safe="-._~") + generator.choice(["", "=", "=1", "=%2F", "=b%20c"])
            for _ in range(generator.randrange(5))
        ]
        headers = {
            generator.choice(["X-Amz-Meta-", "x-amz-"]) + generator.choice("abcdef"): " ".join(
                generator.choices(["v", "", "w=1", "é", "%s"], k=generator.randrange(4))
            )
            for _ in range(generator.randrange(4))
        }
        _check_generic(
            generator.choice(["GET", "PUT", "POST", "DELETE", "HEAD"]),
            key,
            "&".join(pairs),
            headers,
            payload=generator.choice([EMPTY_SHA256, "0f" * 32]),
            credentials=generator.choice([PLAIN, SESSION]),
        )


@settings(max_examples=300, deadline=None)
@given(
    source=keys, target=keys, etag=st.from_regex(r"[0-9a-f]{32}(-[0-9]{1,5})?", fullmatch=True), session=st.booleans()
)
def test_the_copy_plan_signs_as_botocore_does(source: str, target: str, etag: str, session: bool) -> None:  # noqa: FBT001
    """A spliced request equals one that was built and signed as a whole."""
    credentials = SESSION if session else PLAIN
    fixed = {"x-amz-metadata-directive": "COPY", "If-None-Match": "*", "x-amz-meta-odd": "100%  %s", "x-amz-acl": ""}
    signer = CopySigner(credentials, "eu-central-1", HOST, fixed)
    path = "/" + encode_key(target)
    copy_source = "source-bucket/" + encode_key(source)
    varying = {"x-amz-copy-source": copy_source, "x-amz-copy-source-if-match": f'"{etag}"'}
    for _ in range(2):  # the second one uses the prepared plan
        lines = signer.headers(path, copy_source, etag, NOW_S)
        expected = _by_botocore("PUT", path, "", fixed | varying, payload=EMPTY_SHA256, credentials=credentials)
        assert _as_dict(lines) == {"host": HOST} | expected


def test_the_copy_plan_follows_the_second_the_clock_offset_and_new_credentials() -> None:
    """A plan is never used in another second or with credentials that were replaced."""
    signer = CopySigner(PLAIN, "r", HOST, {})

    def sent(now_s: float) -> dict[str, str]:
        return _as_dict(signer.headers("/k", "b/k", "e" * 32, now_s))

    assert sent(NOW_S)["x-amz-date"] == timestamp(NOW_S)
    assert sent(NOW_S + 86_400)["x-amz-date"] == timestamp(NOW_S + 86_400)
    assert timestamp(NOW_S + 86_400)[:8] in sent(NOW_S + 86_400)["authorization"]
    signer.use(PLAIN, clock_offset_s=-900.0)
    assert sent(NOW_S)["x-amz-date"] == timestamp(NOW_S - 900)
    signer.use(SESSION)
    after = sent(NOW_S)
    assert after["x-amz-date"] == timestamp(NOW_S - 900)
    assert after["x-amz-security-token"] == SESSION.token
    assert f"Credential={SESSION.access_key}/" in after["authorization"]


def test_the_signer_follows_its_clock_offset_and_new_credentials() -> None:
    """The derived key that is kept belongs to one day and one pair of keys."""
    signer = Signer("eu-central-1", clock_offset_s=3600.0)
    for credentials in (PLAIN, SESSION, PLAIN):
        for offset in (0.0, 86_400.0):
            kept = signer.sign(
                "GET", HOST, "/", "", {}, payload_sha256=EMPTY_SHA256, credentials=credentials, now_s=NOW_S + offset
            )
            new = Signer("eu-central-1").sign(
                "GET",
                HOST,
                "/",
                "",
                {},
                payload_sha256=EMPTY_SHA256,
                credentials=credentials,
                now_s=NOW_S + offset + 3600,
            )
            assert kept == new


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("x-amz-meta-a", "line\nbreak"),
        ("x-amz-meta-a", "x\r\nAuthorization: y"),
        ("x-amz-meta-a", "nul\0"),
        ("x-amz-meta-a:b", "v"),
        ("x-amz-meta-a\nb", "v"),
        ("", "v"),
    ],
)
def test_a_header_that_could_end_its_line_is_refused(name: str, value: str) -> None:
    """Metadata from a store or a user cannot smuggle a header into a request."""
    with pytest.raises(RefusedError, match="cannot be sent") as refusal:
        Signer("r").sign("PUT", HOST, "/k", "", {name: value}, payload_sha256="0", credentials=PLAIN, now_s=NOW_S)
    assert refusal.value.code == "InvalidHeader"
    with pytest.raises(RefusedError, match="cannot be sent"):
        CopySigner(PLAIN, "r", HOST, {name: value})


@pytest.mark.parametrize("etag", ['x"\r\nx-evil: 1', "é", "\0"])
def test_an_etag_that_no_header_can_carry_is_refused(etag: str) -> None:
    """An ETag comes from a manifest, that is from anywhere."""
    with pytest.raises(RefusedError, match="is not an ETag") as refusal:
        CopySigner(PLAIN, "r", HOST, {}).headers("/k", "b/k", etag, NOW_S)
    assert refusal.value.code == "InvalidETag"


def test_varying_headers_out_of_order_are_a_bug() -> None:
    """The canonical request needs them sorted, and the values are spliced in by place."""
    with pytest.raises(InconsistentError):
        CopySigner(PLAIN, "r", HOST, {}, ("x-b", "x-a"))


def test_any_set_of_varying_headers_is_signed_as_botocore_signs_it() -> None:
    """An overwrite pins the target by If-Match too; other fixed headers may sort between the varying ones."""
    fixed = {"x-amz-acl": "private", "x-amz-copy-source-if-a": "b"}
    names = ("if-match", "x-amz-copy-source", "x-amz-copy-source-if-match")
    values = ('"t"', "b/k", '"s"')
    lines = CopySigner(PLAIN, "eu-central-1", HOST, fixed, names).lines("/k", values, NOW_S)
    expected = _by_botocore(
        "PUT", "/k", "", fixed | dict(zip(names, values, strict=True)), payload=EMPTY_SHA256, credentials=PLAIN
    )
    assert _as_dict(lines) == {"host": HOST} | expected


def test_secrets_do_not_show() -> None:
    """Credentials may end up in a message or a log by accident; the secret parts may not."""
    shown = repr(SESSION)
    assert SESSION.access_key in shown
    assert SESSION.secret_key not in shown
    assert str(SESSION.token) not in shown


@given(key=st.binary(max_size=200), message=st.binary(max_size=100), prefix=st.binary(max_size=100))
def test_own_hmac_is_hmac(key: bytes, message: bytes, prefix: bytes) -> None:
    """Keys longer than a block are hashed first, as RFC 2104 says."""
    own = Hmac(key, prefix)
    expected = hmac.new(key, prefix + message, "sha256")
    assert own.digest(message) == expected.digest()
    assert own.hexdigest(message) == expected.hexdigest()


@settings(max_examples=500)
@given(key=keys)
def test_keys_are_encoded_as_urllib_encodes_them(key: str) -> None:
    """The quick encoder gives the same text as the slow one, for every key."""
    assert encode_key(key) == quote(key.encode(), safe="/-._~")


def test_each_single_character_is_encoded_as_urllib_encodes_it() -> None:
    """All ASCII characters alone, doubled, and beside a percent sign."""
    for code in range(256):
        for key in (chr(code), chr(code) * 2, f"%{chr(code)}%", f"a{chr(code)}/b"):
            assert encode_key(key) == quote(key.encode(), safe="/-._~")


def test_a_query_is_sorted_by_its_encoded_names() -> None:
    """Not by the decoded ones: ``~`` stays and sorts behind the letters, an encoded character starts with ``%``."""
    assert encode_query([("b", "2"), ("a", "x y"), ("é", ""), ("a", "/")]) == "%C3%A9=&a=%2F&a=x%20y&b=2"
