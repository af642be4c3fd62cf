"""Answers and bodies in XML: what stores send, what hostile ones might, what we send."""

import re
import xml.etree.ElementTree as ET
from urllib.parse import quote, quote_plus
from xml.sax.saxutils import escape as sax_escape

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from s3batch.model.errors import RefusedError
from s3batch.s3 import xml as listing_xml
from s3batch.s3.answers import DeleteError, ListPage, PartResult
from s3batch.s3.errors import EMPTY_ANSWER, INVALID_ANSWER, S3Error, S3RefusedError, S3UnavailableError
from s3batch.s3.xml import decode_url, parse_list_page, parse_versions_page
from s3batch.s3.xml_answers import (
    error_inside,
    http_date_ms,
    iso_ms,
    parse_copy_answer,
    parse_delete_batch,
    parse_error,
    parse_object_attributes,
    parse_parts_page,
    parse_result,
    parse_tagging,
    parse_upload_id,
    parse_uploads_page,
    parse_versioning,
)
from s3batch.s3.xml_bodies import complete_body, delete_body, tagging_body
from s3batch.s3.xml_tree import MAX_DEPTH, XmlError, escape, parse_tree, unescape, xml_can_carry
from tests.keys import HOSTILE_KEYS, keys, xml_keys

NAMESPACE = 'xmlns="http://s3.amazonaws.com/doc/2006-03-01/"'
DECLARATION = '<?xml version="1.0" encoding="UTF-8"?>\n'
ETAG = "9b2cf535f27731c974343645a3985328"


def entry(key: str, size: int = 7, *, etag: str = f"&quot;{ETAG}&quot;", extra: str = "") -> str:
    """Return one <Contents> in AWS's order; the key is in its form on the wire."""
    return (
        f"<Contents><Key>{key}</Key><LastModified>2026-11-22T21:40:00.000Z</LastModified><ETag>{etag}</ETag>{extra}"
        f"<Size>{size}</Size><StorageClass>STANDARD</StorageClass></Contents>"
    )


def page(entries: list[str], *, head: str = "", tail: str = "", count: int | None = None) -> bytes:
    """Return a page of ListObjectsV2."""
    key_count = f"<KeyCount>{len(entries) if count is None else count}</KeyCount>"
    return (
        f"{DECLARATION}<ListBucketResult {NAMESPACE}><Name>b</Name>{head}{key_count}<MaxKeys>1000</MaxKeys>"
        f"{''.join(entries)}{tail}</ListBucketResult>"
    ).encode()


URL = "<EncodingType>url</EncodingType>"


def test_a_page_in_aws_form_is_read_in_columns() -> None:
    """Keys, sizes, ETags without quotes, times as sent, classes, and where to go on."""
    checksums = "<ChecksumAlgorithm>CRC64NVME</ChecksumAlgorithm><ChecksumType>FULL_OBJECT</ChecksumType>"
    body = page(
        [entry("a/1", 5, extra=checksums), entry("a/2", 2**45)],
        head="<IsTruncated>true</IsTruncated><NextContinuationToken>t&amp;1==</NextContinuationToken>" + URL,
    )
    assert parse_list_page(body) == ListPage(
        keys=["a/1", "a/2"],
        sizes=[5, 2**45],
        etags=[ETAG, ETAG],
        last_modified=["2026-11-22T21:40:00.000Z"] * 2,
        storage_classes=["STANDARD"] * 2,
        is_truncated=True,
        next_token="t&1==",
    )


def test_the_usual_page_does_not_need_the_slow_reader(monkeypatch: pytest.MonkeyPatch) -> None:
    """AWS's order, with owner or type behind as other stores have them, stays on the fast way."""
    monkeypatch.delattr(listing_xml, "_page_from_tree")
    owner = "<Owner><ID>i</ID><DisplayName>d</DisplayName></Owner>"
    behind = entry("k").replace("</StorageClass>", f"</StorageClass>{owner}<Type>Normal</Type>")
    before = entry("l").replace("<StorageClass>", f"{owner}<StorageClass>")
    assert parse_list_page(page([entry("j"), behind, before])).keys == ["j", "k", "l"]


@pytest.mark.parametrize("etag", [ETAG, f'"{ETAG}"', f"&quot;{ETAG}&quot;", f"&#34;{ETAG}&#34;", f"{ETAG}-12"])
def test_etags_lose_their_quotes_however_they_come(etag: str) -> None:
    """Plain, quoted, quoted by entities; multipart ETags keep their count."""
    assert parse_list_page(page([entry("k", etag=etag)])).etags[0] in {ETAG, f"{ETAG}-12"}


SIDE_BY_SIDE = ["a b", "a%20b", "a%2Bb", "a+b"]


def test_keys_are_decoded_only_where_the_page_says_so() -> None:
    """`a b`, `a+b`, `a%20b` side by side: with EncodingType url `+` is a space, without it nothing is decoded."""
    encoded = [entry(quote_plus(key, safe="/")) for key in SIDE_BY_SIDE]
    assert parse_list_page(page(encoded, head=URL)).keys == SIDE_BY_SIDE
    percent = [entry(quote(key)) for key in SIDE_BY_SIDE]
    assert parse_list_page(page(percent, head=URL)).keys == SIDE_BY_SIDE
    plain = [entry(key) for key in SIDE_BY_SIDE]
    assert parse_list_page(page(plain)).keys == SIDE_BY_SIDE
    assert parse_list_page(page(plain, tail=URL)).keys == ["a b", "a b", "a+b", "a b"]


@given(st.lists(keys(), min_size=1, max_size=20))
def test_any_key_comes_through_a_url_encoded_page(names: list[str]) -> None:
    """Both ways to encode a space, fast way and slow way."""
    for encode in (quote, quote_plus):
        entries = [entry(encode(name, safe="/")) for name in names]
        assert parse_list_page(page(entries, head=URL)).keys == names
        spread = [text.replace("><", ">\n <") for text in entries]
        assert parse_list_page(page(spread, head=URL)).keys == names


@given(st.lists(xml_keys(), min_size=1, max_size=20))
def test_any_key_that_xml_carries_comes_through_a_plain_page(names: list[str]) -> None:
    """A store that ignores encoding-type escapes; line ends are safe only as references."""
    written = [sax_escape(name, {"\r": "&#13;", "\n": "&#10;", "\t": "&#9;"}) for name in names]
    assert parse_list_page(page([entry(name) for name in written])).keys == names
    slow = [entry(name).replace("<Size>", "<Odd/><Size>") for name in written]
    assert parse_list_page(page(slow)).keys == names


def test_another_order_of_elements_is_read_as_well() -> None:
    """SeaweedFS and others order and indent differently, or leave the class out."""
    odd = (
        f"<Contents>\n <Size>3</Size><ETag>{ETAG}</ETag>\n<Key>x&amp;y</Key>"
        "<LastModified>2026-11-22T21:40:00Z</LastModified></Contents>"
    )
    assert parse_list_page(page([odd])) == ListPage(
        keys=["x&y"],
        sizes=[3],
        etags=[ETAG],
        last_modified=["2026-11-22T21:40:00Z"],
        storage_classes=["STANDARD"],
        is_truncated=False,
    )


def test_common_prefixes_are_decoded_and_counted() -> None:
    """AWS counts them in KeyCount; some stores do not."""
    prefixes = "".join(f"<CommonPrefixes><Prefix>{text}</Prefix></CommonPrefixes>" for text in ("a+b/", "c%2Fd/"))
    for count in (1, 3):
        read = parse_list_page(page([entry("k")], head=URL, tail=prefixes, count=count))
        assert (read.keys, read.common_prefixes) == (["k"], ["a b/", "c/d/"])


def test_an_empty_page_is_an_empty_page() -> None:
    """No keys, not truncated."""
    read = parse_list_page(page([], head="<IsTruncated>false</IsTruncated>"))
    assert (read.keys, read.is_truncated, read.next_token) == ([], False, None)


@pytest.mark.parametrize(
    "body",
    [
        page([entry("a"), entry("b")], count=3),
        page([entry("a")], count=0),
        page([entry("a"), entry("b")])[:-40],
        page([entry("a"), entry("b")])[:-1],
        page([entry("a")]).replace(b"</ListBucketResult>", b""),
        page([entry("")]),
        page([entry("a").replace("<Key>a</Key>", "")]),
        page([entry("%FF")], head=URL),
        page([entry("%E2%82")], head=URL),
        page([entry("a")]).replace(b"<Key>a", b"<Key>\xff"),
        page([entry("a").replace("<Size>7", "<Size>7x")]),
        b"<html><body>It works!</body></html>",
        b"<Error><Code>AccessDenied</Code></Error>",
        b"",
        b"not XML",
    ],
)
def test_a_page_that_is_cut_or_contradicts_itself_is_refused(body: bytes) -> None:
    """Never a shorter page: what is not there would be taken for not existing."""
    with pytest.raises(XmlError):
        parse_list_page(body)


@given(data=st.data())
@settings(max_examples=200)
def test_a_page_cut_anywhere_is_refused(data: st.DataObject) -> None:
    """However much is missing at the end."""
    body = page([entry(f"k{n}") for n in range(5)], head="<IsTruncated>true</IsTruncated>")
    with pytest.raises(XmlError):
        parse_list_page(body[: data.draw(st.integers(0, len(body) - 1))])


def test_versions_and_delete_markers_keep_the_store_s_order() -> None:
    """They come mixed, the newest of a key first."""
    body = f"""{DECLARATION}<ListVersionsResult {NAMESPACE}><EncodingType>url</EncodingType>
    <IsTruncated>true</IsTruncated><NextKeyMarker>a+b%2B</NextKeyMarker><NextVersionIdMarker>v1</NextVersionIdMarker>
    <DeleteMarker><Key>a+b</Key><VersionId>m1</VersionId><IsLatest>true</IsLatest>
      <LastModified>2026-11-22T21:40:01.000Z</LastModified></DeleteMarker>
    <Version><Key>a+b</Key><VersionId>null</VersionId><IsLatest>false</IsLatest><ETag>&quot;{ETAG}&quot;</ETag>
      <LastModified>2026-11-22T21:40:00.000Z</LastModified><Size>4</Size><StorageClass>GLACIER</StorageClass></Version>
    </ListVersionsResult>""".encode()
    read = parse_versions_page(body)
    assert [(v.key, v.version_id, v.is_latest, v.is_delete_marker) for v in read.versions] == [
        ("a b", "m1", True, True),
        ("a b", "null", False, False),
    ]
    assert (read.versions[1].etag, read.versions[1].size, read.versions[1].storage_class) == (ETAG, 4, "GLACIER")
    assert (read.is_truncated, read.next_key_marker, read.next_version_id_marker) == (True, "a b+", "v1")


@given(keys())
def test_decoding_undoes_both_ways_of_encoding(key: str) -> None:
    """A prefix or marker by itself is decoded by the same rule."""
    assert decode_url(quote(key, safe="")) == decode_url(quote_plus(key, safe="")) == key


BOMBS = [
    b'<!DOCTYPE a [<!ENTITY x "yyyy"><!ENTITY z "&x;&x;">]><ListBucketResult>&z;</ListBucketResult>',
    b'<!DOCTYPE a SYSTEM "file:///etc/passwd"><ListBucketResult/>',
    b'<!DOCTYPE a [<!ENTITY % p SYSTEM "http://127.0.0.1:9/x"> %p;]><ListBucketResult/>',
    b"<a>" * (MAX_DEPTH + 2),
]


@pytest.mark.parametrize("body", BOMBS)
def test_hostile_documents_are_refused(body: bytes) -> None:
    """No document types, so no entities, no files, no requests; no depth without a bound."""
    with pytest.raises(XmlError):
        parse_tree(body)


@given(st.text(st.characters(codec="utf-8")))
def test_escaped_text_comes_back_from_any_parser(text: str) -> None:
    """What XML can carry at all is carried unchanged, carriage returns too."""
    if xml_can_carry(text):
        assert ET.fromstring(f"<a>{escape(text)}</a>").text in ({text} if text else {None})  # noqa: S314 - our own text
        assert parse_tree(f"<a>{escape(text)}</a>".encode()).text == text
        assert unescape(escape(text)) == text
    else:
        with pytest.raises(XmlError):
            parse_tree(f"<a>{escape(text)}</a>".encode("utf-8", "surrogatepass"))


@pytest.mark.parametrize("text", ["&nbsp;", "&", "&#1114112;", "&;", "&quot", "100% &c"])
def test_what_is_no_reference_stays(text: str) -> None:
    """A store that forgets to escape does not lose text by it."""
    assert unescape(text) == text


def test_the_white_space_that_keeps_connections_open_is_skipped() -> None:
    """S3 sends blanks before the XML while a copy runs."""
    body = b" \n  " + DECLARATION.encode() + b"<Error><Code>SlowDown</Code><Message>m</Message></Error>"
    error = error_inside(body)
    assert error is not None
    assert (error.code, error.message) == ("SlowDown", "m")


def test_an_error_tells_code_message_region_and_request() -> None:
    """The members that somebody acts on."""
    body = (
        b"<Error><Code>AuthorizationHeaderMalformed</Code><Message>wrong</Message><Region>eu-west-1</Region>"
        b"<RequestId>R</RequestId></Error>"
    )
    error = parse_error(400, body, has_key=True)
    assert (error.code, error.message, error.region, error.request_id) == (
        "AuthorizationHeaderMalformed",
        "wrong",
        "eu-west-1",
        "R",
    )


@pytest.mark.parametrize("body", [b"", b"  ", b"<html>Bad Gateway</html>", b"upstream error", b"<Error></Error>"])
def test_an_error_without_s3_s_xml_gets_the_status_s_code(body: bytes) -> None:
    """Proxies and HEAD answer so."""
    assert parse_error(502, body, has_key=True).code == "BadGateway"


def copy_answer(etag: str) -> bytes:
    """Return a CopyObjectResult."""
    modified = "<LastModified>2026-11-22T22:16:09.644Z</LastModified>"
    return f"{DECLARATION}<CopyObjectResult {NAMESPACE}>{modified}<ETag>{etag}</ETag></CopyObjectResult>".encode()


@pytest.mark.parametrize(
    "etag", [ETAG, f'"{ETAG}"', f"&quot;{ETAG}&quot;", f"&#34;{ETAG}&#34;", f" &quot;{ETAG}&quot; "]
)
def test_a_copy_s_answer_gives_its_etag(etag: str) -> None:
    """Quoted or not, also on the hot path."""
    assert parse_copy_answer(200, copy_answer(etag)) == ETAG
    assert parse_result(copy_answer(etag), "CopyObjectResult").etag == ETAG
    assert parse_copy_answer(200, b"  \n" + copy_answer(f"{etag.strip()}")) == ETAG


@pytest.mark.parametrize(
    ("status", "body", "family", "code"),
    [
        (200, b"<Error><Code>InternalError</Code></Error>", S3UnavailableError, "InternalError"),
        (200, b"\n\n<Error><Code>SlowDown</Code></Error>", S3UnavailableError, "SlowDown"),
        (200, b"<Error><Code>AccessDenied</Code></Error>", S3RefusedError, "AccessDenied"),
        (200, b"", S3UnavailableError, EMPTY_ANSWER),
        (200, b"  ", S3UnavailableError, EMPTY_ANSWER),
        (200, copy_answer(""), S3UnavailableError, EMPTY_ANSWER),
        (200, copy_answer(ETAG)[:-60], S3UnavailableError, EMPTY_ANSWER),
        (200, b"<html>hello</html>", S3UnavailableError, INVALID_ANSWER),
        (412, b"<Error><Code>PreconditionFailed</Code></Error>", S3RefusedError, "PreconditionFailed"),
        (404, b"", S3RefusedError, "NoSuchKey"),
        (503, b"busy", S3UnavailableError, "ServiceUnavailable"),
    ],
)
def test_a_copy_without_a_result_is_no_copy(status: int, body: bytes, family: type[S3Error], code: str) -> None:
    """A 200 proves nothing: S3 sends it early."""
    error = parse_copy_answer(status, body)
    assert isinstance(error, family)
    assert error.code == code


def test_a_lost_copy_says_that_it_may_have_been_made() -> None:
    """After a 500 or an empty answer only reading the target tells."""
    for body in (b"<Error><Code>InternalError</Code></Error>", b""):
        error = parse_copy_answer(200, body)
        assert isinstance(error, S3Error)
        assert error.is_ambiguous
    error = parse_copy_answer(503, b"<Error><Code>SlowDown</Code></Error>")
    assert isinstance(error, S3Error)
    assert not error.is_ambiguous


def test_checksums_of_a_result_are_told_by_algorithm() -> None:
    """With their type."""
    body = b"<CopyObjectResult><ETag>e</ETag><ChecksumCRC64NVME>AAA=</ChecksumCRC64NVME>"
    body += b"<ChecksumType>FULL_OBJECT</ChecksumType></CopyObjectResult>"
    answer = parse_result(body, "CopyObjectResult")
    assert (answer.checksums, answer.checksum_type) == ({"CRC64NVME": "AAA="}, "FULL_OBJECT")


def deleted(key: str, inner: str = "") -> str:
    """Return one <Deleted>."""
    return f"<Deleted><Key>{key}</Key>{inner}</Deleted>"


def delete_answer(*entries: str) -> bytes:
    """Return a DeleteResult."""
    return f"{DECLARATION}<DeleteResult {NAMESPACE}>{''.join(entries)}</DeleteResult>".encode()


MARKER = "<DeleteMarker>true</DeleteMarker><DeleteMarkerVersionId>m1</DeleteMarkerVersionId>"


def test_deletes_are_accounted_for_key_by_key() -> None:
    """Deleted, with a marker, refused, and not mentioned: four different things."""
    error = "<Error><Key>c</Key><Code>PreconditionFailed</Code><Message>m</Message></Error>"
    batch = parse_delete_batch(delete_answer(deleted("b", MARKER), error, deleted("a")), ["a", "b", "c", "d"])
    assert batch.marker_ids == [None, "m1", None, None]
    assert batch.errors == {2: DeleteError(key="c", code="PreconditionFailed", message="m")}
    assert batch.unknown == {3}


def test_the_plain_answer_is_read_without_a_tree(monkeypatch: pytest.MonkeyPatch) -> None:
    """All deleted, in order, with markers before or behind the key."""
    monkeypatch.delattr("s3batch.s3.xml_answers.parse_tree")
    body = delete_answer(deleted("a"), f"<Deleted>{MARKER}<Key>b&amp;</Key></Deleted>", deleted("c", MARKER))
    batch = parse_delete_batch(body, ["a", "b&", "c"])
    assert (batch.marker_ids, dict(batch.errors), batch.unknown) == ([None, "m1", "m1"], {}, frozenset())


def test_an_error_is_believed_over_a_success_for_the_same_key() -> None:
    """Nothing that may still be there is called deleted."""
    error = "<Error><Key>a</Key><Code>AccessDenied</Code></Error>"
    batch = parse_delete_batch(delete_answer(deleted("a"), error), ["a"])
    assert batch.errors[0].code == "AccessDenied"


def test_versions_of_one_key_are_told_apart() -> None:
    """By version id; an answer about one version says nothing of another."""
    body = delete_answer(
        deleted("a", "<VersionId>v1</VersionId>"),
        "<Error><Key>a</Key><VersionId>v2</VersionId><Code>AccessDenied</Code></Error>",
    )
    batch = parse_delete_batch(body, ["a", "a", "a"], ["v1", "v2", "v3"])
    assert (set(batch.errors), set(batch.unknown)) == ({1}, {2})
    assert batch.marker_ids == [None, None, None]


@pytest.mark.parametrize("cut", [1, 12, 30, 60])
def test_a_delete_answer_that_is_cut_short_is_refused(cut: int) -> None:
    """The rest of the keys would be unknown for no reason of the store's."""
    with pytest.raises(XmlError):
        parse_delete_batch(delete_answer(deleted("a"), deleted("b"))[:-cut], ["a", "b"])


@given(st.lists(st.tuples(xml_keys(), st.none() | st.text("0123456789abcdef-", min_size=1)), min_size=1, max_size=30))
def test_every_key_and_etag_reaches_the_store_unchanged(entries: list[tuple[str, str | None]]) -> None:
    """The body of DeleteObjects, read by another parser."""
    body = delete_body([key for key, _ in entries], etags=[etag for _, etag in entries])
    root = ET.fromstring(body)  # noqa: S314 - our own text
    namespace = "{http://s3.amazonaws.com/doc/2006-03-01/}"
    assert root.tag == f"{namespace}Delete"
    seen = [(item.findtext(f"{namespace}Key"), item.findtext(f"{namespace}ETag")) for item in root]
    assert seen == [(key, None if etag is None else f'"{etag}"') for key, etag in entries]


def test_a_carriage_return_goes_out_as_a_reference() -> None:
    """A parser would make a line feed of a plain one, and another object would be deleted."""
    assert b"<Key>a&#13;b</Key>" in delete_body(["a\rb"])


def test_version_ids_stand_between_key_and_etag() -> None:
    """Botocore's order."""
    body = delete_body(["k"], version_ids=["v"], etags=["e"])
    assert b'<Object><Key>k</Key><VersionId>v</VersionId><ETag>"e"</ETag></Object>' in body


def test_a_hostile_etag_cannot_break_out() -> None:
    """A manifest may say anything."""
    assert b"</ETag><x>" not in delete_body(["k"], etags=["</ETag><x>"])


@pytest.mark.parametrize("key", ["a\x01b", "\x00", "a\x1f", "\ufffe", "\ud800"])
def test_a_key_that_xml_cannot_carry_is_refused_with_the_way_out(key: str) -> None:
    """It would be sent as another key, or the whole batch would be refused."""
    assert not xml_can_carry(key)
    with pytest.raises(RefusedError, match="by a request of its own") as caught:
        delete_body(["fine", key])
    assert caught.value.code == "KeyNotInXml"


@pytest.mark.parametrize("key", [key for key in HOSTILE_KEYS if not re.search("[\x00-\x08\x0b\x0c\x0e-\x1f]", key)])
def test_other_hostile_keys_can_go_into_xml(key: str) -> None:
    """Only control characters cannot."""
    assert xml_can_carry(key)


def test_parts_are_completed_in_order_with_their_checksums() -> None:
    """However they were collected."""
    body = complete_body(
        [PartResult(part_number=2, etag="b"), PartResult(part_number=1, etag="a", checksums={"SHA256": "x="})]
    )
    root = parse_tree(body)
    assert [part.value("PartNumber") for part in root.find_all("Part")] == ["1", "2"]
    assert [part.value("ETag") for part in root.find_all("Part")] == ['"a"', '"b"']
    assert next(root.find_all("Part")).value("ChecksumSHA256") == "x="


@given(st.lists(st.tuples(xml_keys(), xml_keys()), max_size=10))
def test_tags_come_back_as_they_were(tags: list[tuple[str, str]]) -> None:
    """Body out, body in."""
    assert list(parse_tagging(tagging_body(tags))) == tags


def test_multipart_answers_are_read() -> None:
    """Upload id, uploads, parts."""
    started = f"<InitiateMultipartUploadResult {NAMESPACE}><UploadId>u&amp;1</UploadId></InitiateMultipartUploadResult>"
    assert parse_upload_id(started.encode()) == "u&1"
    with pytest.raises(XmlError):
        parse_upload_id(b"<InitiateMultipartUploadResult/>")
    uploads = parse_uploads_page(
        b"<ListMultipartUploadsResult><IsTruncated>false</IsTruncated><Upload><Key>k</Key><UploadId>u</UploadId>"
        b"<Initiated>2026-11-22T22:16:09Z</Initiated></Upload></ListMultipartUploadsResult>"
    )
    assert [(upload.key, upload.upload_id) for upload in uploads.uploads] == [("k", "u")]
    parts = parse_parts_page(
        b"<ListPartsResult><IsTruncated>true</IsTruncated><NextPartNumberMarker>1</NextPartNumberMarker>"
        b"<Part><PartNumber>1</PartNumber><Size>5</Size><ETag>&quot;e&quot;</ETag></Part></ListPartsResult>"
    )
    assert (parts.parts[0].etag, parts.parts[0].size, parts.next_part_number_marker) == ("e", 5, 1)


def test_attributes_are_read_with_their_parts() -> None:
    """Checksums by algorithm, parts with size."""
    body = f"""<GetObjectAttributesResponse {NAMESPACE}><ETag>{ETAG}-2</ETag>
    <Checksum><ChecksumSHA256>x=-2</ChecksumSHA256><ChecksumType>COMPOSITE</ChecksumType></Checksum>
    <ObjectParts><PartsCount>2</PartsCount><IsTruncated>true</IsTruncated>
    <NextPartNumberMarker>1</NextPartNumberMarker><Part><PartNumber>1</PartNumber><Size>5</Size>
    <ChecksumSHA256>y=</ChecksumSHA256></Part></ObjectParts><StorageClass>GLACIER</StorageClass>
    <ObjectSize>9</ObjectSize></GetObjectAttributesResponse>"""
    read = parse_object_attributes(body.encode(), {"x-amz-version-id": "v"})
    assert (read.etag, read.size, read.storage_class, read.version_id) == (f"{ETAG}-2", 9, "GLACIER", "v")
    assert (read.checksums, read.checksum_type, read.parts_count) == ({"SHA256": "x=-2"}, "COMPOSITE", 2)
    assert [(part.part_number, part.size, part.checksums) for part in read.parts] == [(1, 5, {"SHA256": "y="})]
    assert read.next_part_number_marker == 1


def test_versioning_is_empty_where_it_never_was_switched_on() -> None:
    """An empty configuration."""
    assert parse_versioning(f"<VersioningConfiguration {NAMESPACE}/>".encode()) == ""
    assert parse_versioning(b"<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>") == "Enabled"


def test_times_are_milliseconds_in_utc() -> None:
    """Both forms that S3 uses; what is no time is None."""
    assert http_date_ms("Sun, 22 Nov 2026 22:16:11 GMT") == 1795385771000
    assert iso_ms("2026-11-22T22:16:11.500Z") == 1795385771500
    assert http_date_ms("") is None
    assert iso_ms("yesterday") is None
