"""A small reader for XML from a store, safe against hostile documents, and the text rules of both directions.

In: the bytes of an answer. Out: a tree of names without namespaces, or :class:`XmlError`.
Document types, and with them every kind of entity expansion and outside reference, are refused; depth and size are
bounded. Used for rare answers; listing pages have a faster way (``xml``).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from xml.parsers import expat

MAX_DEPTH = 32
"""Deeper than any S3 answer (ListObjectVersions: 4)."""

MAX_XML_BYTES = 32 * 1024 * 1024
"""1,000 versions with keys of 1,024 bytes, each byte percent-encoded, need under 10 MiB."""

_NOT_CARRIED = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
"""What no XML 1.0 document can hold, in any spelling ("Extensible Markup Language 1.0", section 2.2)."""

_TO_ESCAPE = re.compile("[&<>\r\"'\t\n\x85\u2028]")
_PLAIN = bytes(byte for byte in range(0x20, 0x7F) if chr(byte) not in "&<>\"'")
_ESCAPES = {
    "&": "&amp;",
    "<": "&lt;",
    ">": "&gt;",
    '"': "&quot;",
    "'": "&apos;",
    # line ends are normalised by parsers unless they are written as references (section 2.11)
    "\r": "&#13;",
    "\n": "&#10;",
    "\t": "&#9;",
    "\x85": "&#133;",
    "\u2028": "&#8232;",
}
_REFERENCE = re.compile("&(?:#([0-9]{1,7})|#[xX]([0-9a-fA-F]{1,6})|([a-z]{2,4}));")
_NAMED = {"amp": "&", "lt": "<", "gt": ">", "quot": '"', "apos": "'"}
_MAX_CODE_POINT = 0x10FFFF


class XmlError(ValueError):
    """The text is not the XML that was expected."""


class Element:
    """One element: its name without a namespace prefix, its text, the elements in it."""

    __slots__ = ("children", "tag", "text")

    def __init__(self, tag: str) -> None:
        """Start empty; the reader fills it."""
        self.tag = tag
        self.text = ""
        self.children: list[Element] = []

    def find(self, tag: str) -> Element | None:
        """Return the first child of this name."""
        return next(self.find_all(tag), None)

    def find_all(self, tag: str) -> Iterator[Element]:
        """Iterate over the children of this name."""
        return (child for child in self.children if child.tag == tag)

    def value(self, tag: str, default: str = "") -> str:
        """Return the text of the first child of this name."""
        child = self.find(tag)
        return default if child is None else child.text

    def optional(self, tag: str) -> str | None:
        """Return the text of the first child of this name; ``None`` where it is absent or empty."""
        return self.value(tag) or None

    def number(self, tag: str, default: int = 0) -> int:
        """Return the whole number in the first child of this name.

        Raises:
            XmlError: there is text that is no number.
        """
        text = self.value(tag).strip()
        if not text:
            return default
        if not (text.isascii() and text.isdigit()):
            raise XmlError(f"<{tag}> is no number: {text[:40]!r}")
        return int(text)

    def flag(self, tag: str) -> bool:
        """Return whether the first child of this name says true."""
        return self.value(tag).strip().lower() == "true"


class _Reader:
    """Builds the tree from expat's calls."""

    def __init__(self) -> None:
        self.root = Element("")
        self._open: list[Element] = [self.root]
        self._text: list[str] = []

    def start(self, name: str, _attributes: object) -> None:
        if len(self._open) > MAX_DEPTH:
            raise XmlError(f"more than {MAX_DEPTH} elements inside each other")
        element = Element(name.rpartition(":")[2])
        self._open[-1].children.append(element)
        self._open.append(element)
        self._text.clear()

    def end(self, _name: str) -> None:
        element = self._open.pop()
        if not element.children:
            element.text = "".join(self._text)
        self._text.clear()

    def characters(self, text: str) -> None:
        self._text.append(text)

    def refuse_doctype(self, *_arguments: object) -> None:
        raise XmlError("a document type is not part of any S3 answer")


def parse_tree(body: bytes) -> Element:
    """Return the root element. White space before the declaration is S3's way to keep a connection open.

    Raises:
        XmlError: not well-formed, a document type, too deep, too long, or not UTF-8.
    """
    if len(body) > MAX_XML_BYTES:
        raise XmlError(f"{len(body)} bytes are more than the {MAX_XML_BYTES} of any S3 answer")
    reader = _Reader()
    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = reader.start
    parser.EndElementHandler = reader.end
    parser.CharacterDataHandler = reader.characters
    parser.StartDoctypeDeclHandler = reader.refuse_doctype
    parser.EntityDeclHandler = reader.refuse_doctype
    try:
        parser.Parse(body.lstrip(), True)
    except (expat.ExpatError, UnicodeError) as error:
        raise XmlError(f"not well-formed: {error}") from error
    return reader.root.children[0]


def escape(text: str) -> str:
    """Return text as it stands inside an element so that every parser gives it back unchanged."""
    return _TO_ESCAPE.sub(lambda match: _ESCAPES[match[0]], text)


def needs_escape(text: str) -> bool:
    """Return whether :func:`escape` would change anything."""
    return _has_odd_characters(text) and _TO_ESCAPE.search(text) is not None


def unescape(text: str) -> str:
    """Return the text that was meant; references that XML does not define stay as they are."""
    return _REFERENCE.sub(_referenced, text)


def _referenced(match: re.Match[str]) -> str:
    decimal, hexadecimal, name = match.groups()
    if name is not None:
        return _NAMED.get(name, match[0])
    code_point = int(decimal) if decimal is not None else int(hexadecimal, 16)
    return chr(code_point) if code_point <= _MAX_CODE_POINT else match[0]


def xml_can_carry(text: str) -> bool:
    """Return whether a key can stand in an XML body at all.

    Control characters other than tab, LF and CR cannot: such a key needs a request of its own, with the key in the URL.
    """
    return not _has_odd_characters(text) or _NOT_CARRIED.search(text) is None


def _has_odd_characters(text: str) -> bool:
    """Return whether a text needs a closer look: 20 times quicker than an expression's search on one that does not."""
    return not text.isascii() or bool(text.encode().translate(None, _PLAIN))


def unquote_etag(text: str) -> str:
    """Return an ETag without quotes; stores send them plain, as ``&quot;``, or not at all."""
    return text.strip().strip('"')
