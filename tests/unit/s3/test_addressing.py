"""Where requests go: endpoints, styles, regions; compared with botocore where botocore decides."""

import os
from functools import cache
from types import SimpleNamespace
from typing import Any
from urllib.parse import urlsplit

import pytest
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from botocore.session import Session
from hypothesis import given
from hypothesis import strategies as st

from s3batch.model.errors import RefusedError, S3BatchError, UsageError
from s3batch.s3.addressing import AddressBook, aws_endpoint_rules, fits_host, parse_endpoint, require_bucket

SESSION = Session()
RAW = SimpleNamespace(stream=lambda **_: iter(()))
REGIONS = ["us-east-1", "us-west-2", "eu-central-1", "cn-north-1", "us-gov-west-1", "ap-south-2"]
BUCKETS = ["plain-bucket", "with.dots", "Under_Score", "192.168.1.1", "a" * 63, "abc"]


@cache
def botocore_client(region: str, style: str | None, *, fips: bool = False, dualstack: bool = False) -> Any:  # noqa: ANN401 - made at run time
    """Return botocore's client, which sends nothing: each request comes back as the URL it would go to."""
    config = Config(
        s3={"us_east_1_regional_endpoint": "regional"} | ({} if style is None else {"addressing_style": style}),
        use_fips_endpoint=fips,
        use_dualstack_endpoint=dualstack,
    )
    client = SESSION.create_client(
        "s3", region_name=region, aws_access_key_id="a", aws_secret_access_key="s", config=config
    )
    client.meta.events.register("before-send.s3", lambda request, **_: AWSResponse(request.url, 200, {}, RAW))
    client.meta.events.register(
        "after-call.s3", lambda http_response, parsed, **_: parsed.update(url=http_response.url)
    )
    return client


def botocore_address(client: Any, bucket: str) -> str:  # noqa: ANN401 - made at run time
    """Return the URL that botocore would send a HEAD of the key ``k`` to."""
    url: str = client.head_object(Bucket=bucket, Key="k")["url"]
    return url


def url_of(book: AddressBook, bucket: str) -> str:
    """Return the URL that we would send it to."""
    address = book.address(bucket)
    return f"{address.origin}{address.key_prefix}k"


@pytest.mark.parametrize("region", REGIONS)
@pytest.mark.parametrize("style", ["auto", "path", "virtual"])
def test_aws_is_addressed_as_botocore_does(region: str, style: str) -> None:
    """All partitions, names that fit a host and names that do not."""
    book = AddressBook(endpoint_url=None, region=region, addressing=style)
    for bucket in BUCKETS:
        assert url_of(book, bucket) == botocore_address(botocore_client(region, style), bucket)
        assert book.address(bucket).region == region
    assert book.is_aws


@pytest.mark.parametrize(("use_fips", "use_dualstack"), [(True, False), (False, True), (True, True)])
def test_fips_and_dual_stack_are_botocore_s(*, use_fips: bool, use_dualstack: bool) -> None:
    """The same host names."""
    rules = aws_endpoint_rules(use_fips=use_fips, use_dualstack=use_dualstack)
    book = AddressBook(endpoint_url=None, region="us-west-2", aws_endpoints=rules)
    client = botocore_client("us-west-2", None, fips=use_fips, dualstack=use_dualstack)
    assert url_of(book, "plain-bucket") == botocore_address(client, "plain-bucket")


@pytest.mark.parametrize(
    ("endpoint", "style", "bucket", "url", "host"),
    [
        ("http://127.0.0.1:9000", "auto", "b-1", "http://127.0.0.1:9000/b-1/k", "127.0.0.1:9000"),
        ("http://127.0.0.1:9000/", "auto", "b-1", "http://127.0.0.1:9000/b-1/k", "127.0.0.1:9000"),
        ("https://s3.example.org", "auto", "b-1", "https://s3.example.org/b-1/k", "s3.example.org"),
        ("https://S3.Example.org:443", "auto", "b-1", "https://s3.example.org/b-1/k", "s3.example.org"),
        ("http://s3.example.org:80", "auto", "b-1", "http://s3.example.org/b-1/k", "s3.example.org"),
        ("http://s3.example.org:443", "auto", "b-1", "http://s3.example.org:443/b-1/k", "s3.example.org:443"),
        ("https://s3.example.org", "virtual", "b-1", "https://b-1.s3.example.org/k", "b-1.s3.example.org"),
        ("https://h.org:8443", "virtual", "b-1", "https://b-1.h.org:8443/k", "b-1.h.org:8443"),
        ("https://s3.example.org", "virtual", "with.dots", "https://s3.example.org/with.dots/k", "s3.example.org"),
        ("http://h.org", "virtual", "with.dots", "http://with.dots.h.org/k", "with.dots.h.org"),
        ("http://127.0.0.1:9000", "virtual", "b-1", "http://127.0.0.1:9000/b-1/k", "127.0.0.1:9000"),
        ("https://gw.example.org/s3/v1/", "auto", "b-1", "https://gw.example.org/s3/v1/b-1/k", "gw.example.org"),
        ("http://[::1]:9000", "auto", "b-1", "http://[::1]:9000/b-1/k", "[::1]:9000"),
        ("http://[::1]", "virtual", "b-1", "http://[::1]/b-1/k", "[::1]"),
        ("https://s3.example.org", "auto", "tenant:b", "https://s3.example.org/tenant%3Ab/k", "s3.example.org"),
        ("https://s3.us-west-2.amazonaws.com", "auto", "b-1", "https://b-1.s3.us-west-2.amazonaws.com/k",
         "b-1.s3.us-west-2.amazonaws.com"),
    ],
)  # fmt: skip
def test_own_endpoints_are_addressed_by_path_unless_told_otherwise(
    endpoint: str, style: str, bucket: str, url: str, host: str
) -> None:
    """Ports, IPv6, paths; the host is what libcurl puts into Host."""
    book = AddressBook(endpoint_url=endpoint, region="us-east-1", addressing=style)
    assert url_of(book, bucket) == url
    assert book.address(bucket).host == host


def test_requests_about_a_bucket_have_no_slash_behind_it() -> None:
    """So they never look like a request about an object with an empty key."""
    assert AddressBook(endpoint_url="http://h:1/x", region="r").address("b").bucket_path == "/x/b"
    assert AddressBook(endpoint_url="http://h", region="r", addressing="virtual").address("b").bucket_path == "/"


@pytest.mark.parametrize(
    "url",
    ["", "s3.example.org", "ftp://h", "http://", "http://u:p@h", "http://h?x=1", "http://h#f", "http://h:99999", "http://[::g]"],
)  # fmt: skip
def test_what_is_no_endpoint_is_refused_with_the_form_to_write(url: str) -> None:
    """Before the first request, and without a traceback."""
    with pytest.raises(UsageError, match="https://HOST"):
        parse_endpoint(url)


@pytest.mark.parametrize("bucket", ["", "/", "a/b", "..", ".", "a b", "a?b", "a#b", "a%2Fb", "a\nb", "é", "-a"])
def test_a_name_that_would_make_another_path_is_no_bucket(bucket: str) -> None:
    """An empty bucket would turn a key's first part into one."""
    with pytest.raises(RefusedError):
        require_bucket(bucket)
    with pytest.raises(RefusedError):
        AddressBook(endpoint_url="http://h", region="r").address(bucket)


@given(st.text(max_size=70))
def test_any_text_as_bucket_is_either_refused_or_one_path_segment(bucket: str) -> None:
    """Path style: the bucket is all of the first segment."""
    book = AddressBook(endpoint_url="http://h", region="r")
    try:
        address = book.address(bucket)
    except S3BatchError:
        return
    assert address.key_prefix.count("/") == 2 or bucket.startswith("arn:")
    assert urlsplit(address.origin + address.key_prefix).path == address.key_prefix


def test_the_region_that_a_store_names_is_remembered_for_that_bucket() -> None:
    """A second time is no news, so a store cannot send us around for ever."""
    book = AddressBook(endpoint_url=None, region="us-east-1")
    assert book.correct_region("b-1", "eu-west-1")
    assert url_of(book, "b-1") == "https://b-1.s3.eu-west-1.amazonaws.com/k"
    assert book.address("b-1").region == "eu-west-1"
    assert not book.correct_region("b-1", "eu-west-1")
    assert book.address("b-2").region == "us-east-1"


def test_a_region_only_signs_where_the_endpoint_is_the_user_s_own() -> None:
    """The address stays."""
    book = AddressBook(endpoint_url="http://h:1", region="us-east-1")
    assert book.correct_region("b", "mars-1")
    assert (book.address("b").origin, book.address("b").region) == ("http://h:1", "mars-1")


@pytest.mark.parametrize("bucket", ["b--use1-az4--x-s3", "arn:aws:s3::123456789012:accesspoint/mfzwi23gnjvgw.mrap"])
def test_buckets_that_need_another_way_of_signing_are_refused(bucket: str) -> None:
    """Directory buckets and multi-region access points."""
    with pytest.raises(RefusedError, match="general purpose bucket") as caught:
        AddressBook(endpoint_url=None, region="us-east-1").address(bucket)
    assert caught.value.code == "BucketNotSupported"


def test_an_access_point_is_addressed_in_its_own_region() -> None:
    """By its ARN."""
    address = AddressBook(endpoint_url=None, region="us-east-1").address(
        "arn:aws:s3:us-west-2:123456789012:accesspoint/point"
    )
    assert address.host == "point-123456789012.s3-accesspoint.us-west-2.amazonaws.com"
    assert (address.region, address.key_prefix) == ("us-west-2", "/")


@pytest.mark.parametrize(
    ("bucket", "is_tls", "fits"),
    [("a-b", True, True), ("a.b", True, False), ("a.b", False, True), ("A", False, False), ("a" * 64, False, False)],
)
def test_only_dns_names_become_part_of_a_host(bucket: str, *, is_tls: bool, fits: bool) -> None:
    """A wildcard certificate covers one label."""
    assert fits_host(bucket, is_tls=is_tls) is fits


def test_an_unknown_style_is_refused() -> None:
    """With the ones there are."""
    with pytest.raises(UsageError, match="auto, path, virtual"):
        AddressBook(endpoint_url=None, region="us-east-1", addressing="dns")


def test_the_environment_is_not_read_here() -> None:
    """Settings come in as arguments."""
    assert "AWS_ENDPOINT_URL" not in os.environ
