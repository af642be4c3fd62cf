"""Where in a prefix's key space a key lies, and which text lies where: what splitting a listing needs to know.

In: a sample of the keys seen. Out: a measure of texts that keeps their order (arithmetic coding with an alphabet for
each position), and for a place in that measure a short text that lies there. Good alphabets make good places: digits
need no probes between them, hexadecimal digits need none at ``g``. Bad ones only cost time: whoever splits at a text of
ours checks by comparing texts that it lies where it should.

No request is made here, nothing is random, and no text has surrogates or characters that XML cannot carry.
"""

from __future__ import annotations

import string
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass

from s3batch.model.objects import MAX_KEY_BYTES

BITS = 512
"""Width of the measure. A character takes 3 to 7 bits, so about 100 characters behind a common beginning count."""
WHOLE = 1 << BITS

MAX_LEARNED = 256
"""Shares learned for one position; what else is there lies between them."""

_RICH = 8
"""A position with this many different shares tells what others may hold that showed few of them so far."""

_SEEN, _LIKELY, _OTHER = 4096, 1024, 16
"""Weights of what was seen at a position, of its relatives, and of everything else.

The last is small because it bends the measure, and not zero because there must be places behind all that was seen.
"""
_DIGITS = string.digits
_LETTERS = (string.ascii_uppercase, string.ascii_lowercase)
_ELSE = "-0A_a~"
_BLOCKS = (
    range(0xA0, 0x300),
    range(0x300, 0x3000),
    range(0x3000, 0xAC00),
    range(0xAC00, 0xD800),
    range(0xE000, 0xFDD0),
    range(0xFDF0, 0xFFFE),
    range(0x10000, 0x10FFFE),
)
"""Code points beyond ASCII in parts, no surrogates; where a cell of a part was seen, all of its cells are likely."""

_CELL = 256
"""Beyond ASCII, so many neighbouring code points have one share between them, in equal parts."""


@dataclass(frozen=True, slots=True)
class _Scale:
    """The shares of one position in order; before the first lies the end of the text."""

    firsts: list[int]
    """The first code point of each share."""
    spans: list[int]
    """How many code points have equal parts of it."""
    starts: list[int]
    weights: list[int]
    total: int

    def part_of(self, code_point: int) -> tuple[int, int, int, bool]:
        """Return where a code point's part begins and how wide it is, as numerators over the denominator that follows.

        False: it has no part; the place is where the share before it ends.
        """
        index = bisect_right(self.firsts, code_point) - 1
        if index < 0:
            return 0, 0, 1, False
        span, start, weight = self.spans[index], self.starts[index], self.weights[index]
        within = code_point - self.firsts[index]
        if within >= span:
            return start + weight, 0, self.total, False
        return start * span + weight * within, weight, self.total * span, True


class KeySpace:
    """The key space under one prefix, as learned so far. Places are whole numbers from 0 to ``WHOLE``.

    ``depth`` is the number of characters behind the prefix that all texts of one question have in common; it is left
    out of the measure, so that neighbours deep in a tree still have places of their own.
    """

    def __init__(self, prefix: str) -> None:
        self._prefix = prefix
        self._skip = len(prefix)
        self._seen: list[set[int]] = []
        """For each position behind the prefix, the first code points of the shares that were seen."""
        self._scales: dict[int, _Scale] = {}

    def learn(self, keys: Iterable[str]) -> None:
        """Take the characters of some keys under the prefix into the alphabets."""
        seen, has_news = self._seen, False
        for key in keys:
            tail = key[self._skip :]
            if len(tail) > len(seen):
                seen.extend(set() for _ in range(len(tail) - len(seen)))
            for known, code_point in zip(seen, map(ord, tail), strict=False):
                if code_point in known or len(known) >= MAX_LEARNED:
                    continue
                share = code_point if code_point < _BLOCKS[0].start else _cell_of(code_point)
                if share not in known:
                    known.add(share)
                    has_news = True
        if has_news:
            self._scales.clear()

    def common_depth(self, low: str | None, high: str | None) -> int:
        """Return how many characters behind the prefix two texts share; none where one of them is the space's edge."""
        if low is None or high is None:
            return 0
        depth, most = self._skip, min(len(low), len(high))
        while depth < most and low[depth] == high[depth]:
            depth += 1
        return max(depth - self._skip, 0)

    def place(self, text: str, depth: int) -> int:
        """Return where ``text`` lies among the texts that share its first ``depth`` characters behind the prefix."""
        low, width = 0, WHOLE
        for position, code_point in enumerate(map(ord, text[self._skip + depth :]), depth):
            start, part, denominator, is_known = self._scale(position).part_of(code_point)
            low += width * start // denominator
            width = width * part // denominator
            if not is_known or not width:
                break
        return low

    def text_at(self, place: int, base: str, depth: int, tolerance: int) -> str | None:
        """Return a short text near ``place``, at most ``tolerance`` before it; its beginning is taken from ``base``.

        A place among unlikely characters is moved up to the next likely one, if there is one.
        ``None``: the text would be longer than a key can be.
        """
        text = base[: self._skip + depth]
        low, width, position = 0, WHOLE, depth
        while place - low > tolerance and width:
            scale = self._scale(position)
            offset = (place - low) * scale.total // width
            index = bisect_right(scale.starts, offset) - 1
            while 0 <= index < len(scale.weights) and scale.weights[index] == _OTHER and position > depth:
                index += 1
            if index == len(scale.weights):  # behind all likely ones is where the character before has its neighbour
                behind = low + width + (width >> 20) + 1  # a little more, because shares are rounded down
                return self.text_at(behind, base, depth, tolerance) if place < behind else None
            if index < 0:
                break
            span, first = scale.spans[index], scale.firsts[index]
            within = (place - low) * scale.total * span // width - scale.starts[index] * span
            code_point = first + min(max(within // scale.weights[index], 0), span - 1)
            if not is_plain(code_point):
                break
            text += chr(code_point)
            start, part, denominator, _ = scale.part_of(code_point)
            low += width * start // denominator
            width = width * part // denominator
            position += 1
        return text if len(text.encode()) <= MAX_KEY_BYTES else None

    def text_behind(self, text: str, depth: int) -> str | None:
        """Return a text behind all that share ``depth`` characters with ``text``, and before most others behind those.

        ``None``: there is no plain character to write it with.
        """
        cut = self._skip + depth
        if not depth or not is_plain(ord(text[cut - 1]) + 1):
            return None
        return text[: cut - 1] + chr(ord(text[cut - 1]) + 1)

    def _scale(self, position: int) -> _Scale:
        scale = self._scales.get(position)
        if scale is None:
            seen = self._seen[position] if position < len(self._seen) else set[int]()
            scale = self._scales[position] = _make_scale(seen, self._seen)
        return scale


def _make_scale(seen: set[int], all_seen: list[set[int]]) -> _Scale:
    weight_by_first = dict.fromkeys(map(ord, _ELSE), _OTHER)
    span_by_first: dict[int, int] = {}
    for letters in _LETTERS:
        if not seen or any(chr(share) in letters for share in seen):
            weight_by_first.update(dict.fromkeys(map(ord, letters), _LIKELY))
    if not seen or any(chr(share) in _DIGITS for share in seen):
        weight_by_first.update(dict.fromkeys(map(ord, _DIGITS), _SEEN))
    relatives: set[int] = set()
    for rich in all_seen:
        if len(rich) >= _RICH and seen and seen <= rich:
            relatives |= rich
    for block in _BLOCKS:
        if any(share in block for share in seen):
            cells = range(block.start, block.stop, _CELL)
            weight_by_first.update(dict.fromkeys(cells, _LIKELY))
            span_by_first.update((cell, min(_CELL, block.stop - cell)) for cell in cells)
        else:
            weight_by_first[block.start] = _OTHER
            span_by_first[block.start] = len(block)
    weight_by_first.update(dict.fromkeys(relatives, _SEEN))
    weight_by_first.update(dict.fromkeys(seen, _SEEN))
    firsts = sorted(weight_by_first)
    weights = [weight_by_first[first] for first in firsts]
    starts, total = [], 1  # the first unit is the text that ends here
    for weight in weights:
        starts.append(total)
        total += weight
    return _Scale(firsts, [span_by_first.get(first, 1) for first in firsts], starts, weights, total)


def _cell_of(code_point: int) -> int:
    """Return the first code point of the cell that holds one beyond ASCII; what is in no part stands for itself."""
    for block in _BLOCKS:
        if code_point in block:
            return code_point - (code_point - block.start) % _CELL
    return code_point


def is_plain(code_point: int) -> bool:
    """Tell whether a store can be trusted to take and echo a character in ``start-after``: no control, in XML."""
    return 0x20 <= code_point < 0x7F or any(code_point in block for block in _BLOCKS)  # noqa: PLR2004 - ASCII
