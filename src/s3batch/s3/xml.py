"""Pages of listings: the bytes of an answer in, columns out.

The fast way is one regular expression over the decoded page, in AWS's order of elements, whose matches are counted
against ``<Contents>`` and ``<KeyCount>``; a page that does not fit (other orders, other elements, white space) is read
by the tree reader. Keys are decoded if and only if the page says ``<EncodingType>url``, and then ``+`` is a space
(safety.md rule 12). A page that contradicts itself or is cut short is an :class:`XmlError`, never a shorter page.

Whether keys ascend, and whether pages follow one another, is the listing's business.
Measured 2026-11, one core of an EPYC, 1,000 keys with checksum elements: 0.9 ms a page, decoding all keys 0.75 ms more.
"""

from __future__ import annotations

import re
from urllib.parse import unquote_to_bytes

from s3batch.s3.answers import ListPage, ObjectVersion, VersionsPage
from s3batch.s3.xml_tree import MAX_XML_BYTES, Element, XmlError, parse_tree, unescape, unquote_etag

_CHECKSUMS = r"(?:<Checksum(?:Algorithm|Type)>[^<]*+</Checksum(?:Algorithm|Type)>)*+"
_USUAL_CONTENTS = re.compile(
    r"<Contents><Key>([^<]+)</Key><LastModified>([^<]*)</LastModified><ETag>&quot;([^<&]*)&quot;</ETag>"
    rf"{_CHECKSUMS}<Size>([0-9]+)</Size><StorageClass>([^<]*)</StorageClass></Contents>"
)
"""As AWS and most others write it: 0.37 ms a page, the next one 0.55 (its optional parts cost, used or not)."""

_CONTENTS = re.compile(
    r"<Contents><Key>([^<]++)</Key><LastModified>([^<]*+)</LastModified>"
    r'<ETag>(?:&quot;|")?([^<&"]*+)(?:&quot;|")?</ETag>'
    rf"{_CHECKSUMS}<Size>([0-9]++)</Size>(?:<Owner>.*?</Owner>)?"
    r"<StorageClass>([^<]*+)</StorageClass>(?:<Owner>.*?</Owner>)?(?:<Type>[^<]*+</Type>)?</Contents>"
)
_KEY_COUNT = re.compile(r"<KeyCount>\s*([0-9]+)\s*</KeyCount>")
_TOKEN = re.compile(r"<NextContinuationToken>([^<]*)</NextContinuationToken>")
_TRUNCATED = re.compile(r"<IsTruncated>\s*([A-Za-z]+)\s*</IsTruncated>")
_URL_ENCODED = re.compile(r"<EncodingType>\s*url\s*</EncodingType>")
_ROOT = "ListBucketResult"
_END = re.compile(rf"</(?:\w+:)?{_ROOT}>\s*\Z")
_BETWEEN = "%FF"
"""Stands between keys while a page is decoded at once: the byte 0xFF is in no UTF-8 text."""


def parse_list_page(body: bytes) -> ListPage:
    """Return one page of ListObjectsV2.

    Raises:
        XmlError: not a listing, cut short, or its counts do not agree.
    """
    text = _text_of(body)
    entries = text.count("<Contents>")
    rows = _USUAL_CONTENTS.findall(text)
    if len(rows) != entries:
        rows = _CONTENTS.findall(text)
    if len(rows) != entries or "<CommonPrefixes>" in text or _END.search(text, len(text) - 64) is None:
        return _page_from_tree(body)  # an entry without a key, too
    if not rows:
        return _page_from_tree(body)  # tells an error or a foreign document
    keys, times, etags, sizes, classes = (list(column) for column in zip(*rows, strict=True))
    if "&" in text:
        keys = [unescape(key) if "&" in key else key for key in keys]
    if _URL_ENCODED.search(text) is not None:
        keys = _decode(keys)
    count = _KEY_COUNT.search(text)
    _require_count(None if count is None else int(count[1]), keys=len(keys), prefixes=0)
    truncated = _TRUNCATED.search(text)
    token = _TOKEN.search(text)
    return ListPage(
        keys=keys,
        sizes=list(map(int, sizes)),
        etags=etags,
        last_modified=times,
        storage_classes=classes,
        is_truncated=truncated is not None and truncated[1].lower() == "true",
        next_token=None if token is None else unescape(token[1]) or None,
    )


def parse_versions_page(body: bytes) -> VersionsPage:
    """Return one page of ListObjectVersions: versions and delete markers in the store's order.

    Raises:
        XmlError: not such a page, or cut short.
    """
    root = _root(body, "ListVersionsResult")
    is_encoded = root.value("EncodingType").strip() == "url"
    entries = [child for child in root.children if child.tag in {"Version", "DeleteMarker"}]
    keys = _keys(entries)
    if is_encoded and keys:
        keys = _decode(keys)
    key_marker = root.optional("NextKeyMarker")
    return VersionsPage(
        versions=[_version(entry, key) for entry, key in zip(entries, keys, strict=True)],
        is_truncated=root.flag("IsTruncated"),
        next_key_marker=decode_url(key_marker) if is_encoded and key_marker is not None else key_marker,
        next_version_id_marker=root.optional("NextVersionIdMarker"),
        common_prefixes=_prefixes(root, is_encoded=is_encoded),
    )


def decode_url(text: str) -> str:
    """Return a name that a listing with ``EncodingType`` url sent.

    Raises:
        XmlError: what was encoded is not UTF-8.
    """
    return _decode([text])[0]


def _decode(keys: list[str]) -> list[str]:
    """Return the keys of a page percent-decoded, all at once: 0.75 us a key, against 1.8 with a call for each."""
    together = _BETWEEN.join(keys)
    # each key has at least the separators around it; a page without further signs is clean
    if together.count("%") == len(keys) - 1 and "+" not in together:
        return keys
    pieces = unquote_to_bytes(together.replace("+", " ")).split(b"\xff")
    if len(pieces) != len(keys):
        raise XmlError("a key on the page is not UTF-8")
    try:
        return [piece.decode() for piece in pieces]
    except UnicodeDecodeError as error:
        raise XmlError(f"a key on the page is not UTF-8: {error.object[:80]!r}") from error


def _text_of(body: bytes) -> str:
    if len(body) > MAX_XML_BYTES:
        raise XmlError(f"{len(body)} bytes are more than the {MAX_XML_BYTES} of any S3 answer")
    try:
        return body.decode()
    except UnicodeDecodeError as error:
        raise XmlError(f"not UTF-8: {error.object[max(0, error.start - 40) : error.start + 40]!r}") from error


def _root(body: bytes, tag: str) -> Element:
    root = parse_tree(body)
    if root.tag != tag:
        raise XmlError(f"<{root.tag}> where <{tag}> was expected")
    return root


def _page_from_tree(body: bytes) -> ListPage:
    """Return a page whatever the order of its elements; about 5 us a key."""
    root = _root(body, _ROOT)
    is_encoded = root.value("EncodingType").strip() == "url"
    entries = list(root.find_all("Contents"))
    keys = _keys(entries)
    prefixes = _prefixes(root, is_encoded=is_encoded)
    count = root.number("KeyCount") if root.find("KeyCount") is not None else None
    _require_count(count, keys=len(keys), prefixes=len(prefixes))
    return ListPage(
        keys=_decode(keys) if is_encoded and keys else keys,
        sizes=[entry.number("Size") for entry in entries],
        etags=[unquote_etag(entry.value("ETag")) for entry in entries],
        last_modified=[entry.value("LastModified") for entry in entries],
        storage_classes=[entry.value("StorageClass") or "STANDARD" for entry in entries],
        is_truncated=root.flag("IsTruncated"),
        next_token=root.optional("NextContinuationToken"),
        common_prefixes=prefixes,
    )


def _require_count(count: int | None, *, keys: int, prefixes: int) -> None:
    """Refuse a page whose ``<KeyCount>`` disagrees; some stores count the common prefixes, as AWS does, some do not."""
    if count is not None and count not in {keys, keys + prefixes}:
        raise XmlError(f"<KeyCount> says {count}, the page has {keys} keys and {prefixes} common prefixes")


def _keys(entries: list[Element]) -> list[str]:
    keys = [entry.value("Key") for entry in entries]
    if not all(keys):
        raise XmlError("an entry has no key")
    return keys


def _prefixes(root: Element, *, is_encoded: bool) -> list[str]:
    prefixes = [entry.value("Prefix") for entry in root.find_all("CommonPrefixes")]
    return _decode(prefixes) if is_encoded and prefixes else prefixes


def _version(entry: Element, key: str) -> ObjectVersion:
    return ObjectVersion(
        key=key,
        version_id=entry.value("VersionId", "null") or "null",
        is_latest=entry.flag("IsLatest"),
        is_delete_marker=entry.tag == "DeleteMarker",
        last_modified=entry.value("LastModified"),
        etag=unquote_etag(entry.value("ETag")),
        size=entry.number("Size"),
        storage_class="" if entry.tag == "DeleteMarker" else entry.value("StorageClass") or "STANDARD",
    )
