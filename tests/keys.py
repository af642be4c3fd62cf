"""Keys that have broken S3 tools, and hypothesis strategies for more of their kind.

A key is 1 to 1,024 bytes of UTF-8; every one of these is legal on AWS (User Guide "Naming Amazon S3 objects",
read 2026-11).
"""

from hypothesis import strategies as st

MAX_KEY_BYTES = 1024

LONGEST_KEY = "long/" + "x" * (MAX_KEY_BYTES - len("long/"))
LONGEST_WIDE_KEY = "🚀" * (MAX_KEY_BYTES // len("🚀".encode()))

SIDE_BY_SIDE = ("a b", "a+b", "a%20b", "a%2Bb", "a%2520b")
"""Five objects, not fewer: a tool that decodes or encodes once too often mixes them up."""

HOSTILE_KEYS = (
    *SIDE_BY_SIDE,
    " ",
    " leading blank",
    "trailing blank ",
    "two  blanks",
    "per%cent",
    "100%",
    "%",
    "%00",
    "a%2Fb",
    "what?",
    "what?versionId=null",
    "?versionId=x",
    "a?partNumber=1&uploadId=2",
    "number#sign",
    "line\nfeed",
    "ends with line feed\n",
    "tab\there",
    "carriage\rreturn",
    "both\r\nends",
    "control\x01character",
    "delete\x7fcharacter",
    "emoji 🚀.txt",
    "non-BMP 𝒳𐍈",
    "private \U0010fffd last",
    "composed é",
    "combining e\u0301",
    "Ünïcödé/日本語/файл",
    "right to left \u202e mark",
    "non\u00a0breaking\u2028line separator",
    "a//b",
    "//",
    "/",
    "/leading/slash",
    "//two/leading/slashes",
    "trailing/slash/",
    "a/../b",
    "a/./b",
    "../up",
    "a/..",
    "..",
    ".",
    "./here",
    "dots.../x.",
    "amp&ersand",
    "&amp;",
    "&#10;",
    "less<than>greater",
    "]]>",
    "<Key>x</Key>",
    "single'quote",
    'double"quote',
    '"quoted"',
    "back\\slash",
    "a,b",
    "a;b=c",
    "semi;colon:colon",
    "@at$dollar!(parens)*star",
    "~tilde^caret`tick|bar{}[]",
    "=equals",
    "-dash",
    "\ufeffbyte order mark",
    "null",
    LONGEST_KEY,
    LONGEST_WIDE_KEY,
)

_AWKWARD_PIECES = st.sampled_from(
    (
        " ",
        "+",
        "%",
        "%20",
        "%2B",
        "?",
        "#",
        "&",
        "&amp;",
        "<",
        ">",
        "'",
        '"',
        "\n",
        "\r",
        "\t",
        "\x01",
        "\x7f",
        "\\",
        "/",
        "//",
        "/../",
        "/./",
        ".",
        "..",
        ",",
        ";",
        "=",
        "🚀",
        "é",
        "e\u0301",
        "𐍈",
        "\u2028",
        "?versionId=",
        "\ufeff",
    )
)
# Surrogates have no UTF-8; NUL is legal on AWS, but HTTP libraries and servers refuse it.
_ANY_CHARACTER = st.characters(codec="utf-8", exclude_characters="\0")


def _fits(key: str) -> bool:
    return 1 <= len(key.encode()) <= MAX_KEY_BYTES


def keys(*, max_pieces: int = 24) -> st.SearchStrategy[str]:
    """Return a strategy for legal keys, rich in what breaks tools."""
    ordinary = st.text(alphabet="abcXYZ019-_.~/", min_size=1, max_size=8)
    piece = st.one_of(ordinary, _AWKWARD_PIECES, _ANY_CHARACTER)
    built = st.lists(piece, min_size=1, max_size=max_pieces).map("".join).filter(_fits)
    return st.one_of(st.sampled_from(HOSTILE_KEYS), built)


def xml_keys() -> st.SearchStrategy[str]:
    """Return a strategy for legal keys that XML 1.0 can carry (no control characters but tab, LF and CR)."""
    return keys().filter(can_be_in_xml)


def can_be_in_xml(key: str) -> bool:
    """Tell whether each character of a key is a Char of XML 1.0 (section 2.2)."""
    return not any((c < " " and c not in "\t\n\r") or c in "\ufffe\uffff" for c in key)
