"""Which entries of a listing become entries of a manifest.

In: batches of entries. Out: the batches that remain. No request is made here. Tests are made on whole columns; without
any test a batch passes as it is.

Globs and the regular expression are applied to what follows the listed prefix in a key: ``aia/*`` under ``sdo/`` means
``sdo/aia/...``. In a glob ``*`` and ``?`` also match ``/``, as in the AWS CLI. A key is kept if it matches any
``include`` (or there is none), no ``exclude``, and the regular expression anywhere. Order does not matter.

An entry whose size, time or storage class is not known does not pass a test about it.
"""

from __future__ import annotations

import fnmatch
import random
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final, cast

import pyarrow as pa
import pyarrow.compute as pc

from s3batch.manifest.columns import TEXT, TIME, plain, texts
from s3batch.model.errors import UsageError

MAX_SAMPLE: Final = 1_000_000
"""Entries of a sample, which are held in memory: about 300 MB."""

_KeyTest = Callable[[str], bool]


@dataclass(frozen=True, kw_only=True, slots=True)
class Filter:
    """What is asked of an entry. Plain values, so that a job's specification can hold them.

    Sizes are in bytes and inclusive; ``modified_after_ms`` is inclusive, ``modified_before_ms`` is not. ``limit``
    takes the first entries in order, ``sample`` a random choice of that many, the same for the same ``seed``.
    """

    include: Sequence[str] = ()
    exclude: Sequence[str] = ()
    regex: str | None = None
    min_size: int | None = None
    max_size: int | None = None
    modified_after_ms: int | None = None
    modified_before_ms: int | None = None
    storage_classes: Sequence[str] = ()
    limit: int | None = None
    sample: int | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what cannot be meant.

        Raises:
            UsageError: code ``InvalidFilter``.
        """
        if self.regex is not None:
            _compile(self.regex)
        for name in ("min_size", "max_size"):
            _require(getattr(self, name), 0, name)
        for name in ("limit", "sample"):
            _require(getattr(self, name), 1, name)
        if self.limit is not None and self.sample is not None:
            raise _invalid("limit and sample exclude each other", "Use one of them.")
        if self.sample is not None and self.sample > MAX_SAMPLE:
            raise _invalid(f"a sample of {self.sample:,} is over {MAX_SAMPLE:,}", "Use a smaller sample, or limit.")
        if self.min_size is not None and self.max_size is not None and self.min_size > self.max_size:
            raise _invalid(f"min_size {self.min_size} is over max_size {self.max_size}", "Exchange them.")

    def to_arguments(self) -> dict[str, Any]:
        """Return the arguments that make this filter again, without the defaults; all of them fit into JSON."""
        default = Filter()
        return {name: value for name, value in asdict(self).items() if value != getattr(default, name)}


def entry_test(filter_: Filter, prefix: str) -> Callable[[pa.RecordBatch], pa.RecordBatch]:
    """Return a function that drops the entries which do not pass; limit and sample are not its business."""
    key_test = _key_test(filter_, prefix)
    tests = _column_tests(filter_)
    if key_test is None and not tests:
        return _keep_all

    def keep(batch: pa.RecordBatch) -> pa.RecordBatch:
        for test in tests:
            batch = batch.filter(test(batch))
        if key_test is not None and batch.num_rows:
            keys = cast("list[str]", texts(batch, "key").to_pylist())
            batch = batch.filter(pa.array([key_test(key) for key in keys], pa.bool_()))
        return batch

    return keep


def filtered(batches: Iterable[pa.RecordBatch], filter_: Filter) -> Iterator[pa.RecordBatch]:
    """Yield the entries of a manifest that pass, ``limit`` and ``sample`` included; keys are taken whole."""
    passing = _limited(map(entry_test(filter_, ""), batches), filter_.limit)
    if filter_.sample is None:
        yield from passing
        return
    sampler = Sampler(size=filter_.sample, seed=filter_.seed)
    for batch in passing:
        sampler.write(batch)
    yield from sampler.finish()


def _limited(batches: Iterable[pa.RecordBatch], limit: int | None) -> Iterator[pa.RecordBatch]:
    left = limit
    for batch in batches:
        kept = batch if left is None else batch.slice(0, left)
        if kept.num_rows:
            yield kept
        if left is not None:
            left -= kept.num_rows
            if left == 0:
                return


@dataclass(kw_only=True)
class Sampler:
    """Chooses ``size`` entries of a stream of unknown length, each with the same probability.

    Every entry draws a number, and those with the smallest ones stay. At most twice the sample is in memory.
    """

    size: int
    seed: int
    _random: random.Random = field(init=False)
    _batches: list[pa.RecordBatch] = field(default_factory=list)
    _draws: list[tuple[float, int]] = field(default_factory=list)
    _seen: int = 0
    _highest: float = 1.0

    def __post_init__(self) -> None:
        """Begin the series of draws that belongs to the seed."""
        self._random = random.Random(self.seed)  # noqa: S311 - a repeatable choice, not a secret

    def write(self, batch: pa.RecordBatch) -> None:
        """Let the entries of a batch draw."""
        draw = self._random.random
        draws = [draw() for _ in range(batch.num_rows)]
        rows = [row for row, drawn in enumerate(draws) if drawn < self._highest]
        if rows:
            # A copy: a slice would keep the whole batch in memory.
            self._batches.append(batch.take(pa.array(rows, pa.int32())))
            self._draws += [(draws[row], self._seen + row) for row in rows]
        self._seen += batch.num_rows
        if len(self._draws) >= 2 * self.size:
            self._prune()

    def finish(self) -> list[pa.RecordBatch]:
        """Return the chosen entries in their order."""
        self._prune()
        return self._batches

    def _prune(self) -> None:
        if not self._batches:
            return
        chosen = sorted(range(len(self._draws)), key=self._draws.__getitem__)[: self.size]
        chosen.sort(key=lambda row: self._draws[row][1])
        table = pa.Table.from_batches(self._batches).unify_dictionaries().combine_chunks()
        self._batches = table.take(pa.array(chosen, pa.int64())).combine_chunks().to_batches()
        self._draws = [self._draws[row] for row in chosen]
        if len(self._draws) == self.size:
            self._highest = max(self._draws)[0]


def _keep_all(batch: pa.RecordBatch) -> pa.RecordBatch:
    return batch


def _key_test(filter_: Filter, prefix: str) -> _KeyTest | None:
    start = len(prefix)
    include, exclude = _globs(filter_.include), _globs(filter_.exclude)
    search = _compile(filter_.regex).search if filter_.regex is not None else None
    if include is None and exclude is None and search is None:
        return None

    def is_kept(key: str) -> bool:
        rest = key[start:]
        return (
            (include is None or include(rest) is not None)
            and (exclude is None or exclude(rest) is None)
            and (search is None or search(rest) is not None)
        )

    return is_kept


def _globs(patterns: Sequence[str]) -> Callable[[str], re.Match[str] | None] | None:
    if not patterns:
        return None
    return re.compile("|".join(fnmatch.translate(pattern) for pattern in patterns)).match


def _column_tests(filter_: Filter) -> list[Callable[[pa.RecordBatch], pa.BooleanArray]]:
    tests: list[Callable[[pa.RecordBatch], Any]] = []
    if (least := filter_.min_size) is not None:
        tests.append(lambda batch: pc.greater_equal(batch.column("size"), pa.scalar(least, pa.int64())))
    if (most := filter_.max_size) is not None:
        tests.append(lambda batch: pc.less_equal(batch.column("size"), pa.scalar(most, pa.int64())))
    if (after := filter_.modified_after_ms) is not None:
        tests.append(lambda batch: pc.greater_equal(batch.column("last_modified"), pa.scalar(after, TIME)))
    if (before := filter_.modified_before_ms) is not None:
        tests.append(lambda batch: pc.less(batch.column("last_modified"), pa.scalar(before, TIME)))
    if filter_.storage_classes:
        wanted = pa.array([name.upper() for name in filter_.storage_classes], TEXT)
        tests.append(lambda batch: pc.is_in(plain(batch.column("storage_class")), value_set=wanted))
    return tests


def _compile(pattern: str) -> re.Pattern[str]:
    try:
        return re.compile(pattern)
    except re.error as error:
        raise _invalid(f"the regular expression {pattern!r} is wrong: {error}", "Correct it.") from error


def _require(value: int | None, least: int, name: str) -> None:
    if value is not None and value < least:
        raise _invalid(f"{name} is {value}, and must be {least} or more", "Correct it.")


def _invalid(problem: str, way_out: str) -> UsageError:
    return UsageError(f"The filter cannot be used: {problem}.", code="InvalidFilter", way_out=way_out)
