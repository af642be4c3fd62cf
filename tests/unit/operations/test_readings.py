"""Rows, keys and ranges are picked so that nothing shifts: for any rows, mappings and versions of one key."""

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st

from s3batch.model.errors import InconsistentError
from s3batch.model.job import KeyMapping
from s3batch.operations.delete import DeleteOperation, find_own_targets
from s3batch.operations.interruptible import StoppedError, for_each, until_stopped
from s3batch.operations.readings import key_before, pick, target_keys_of
from s3batch.operations.stop import StopSignal
from s3batch.operations.task import ChunkWork
from tests.keys import keys


def _work(names: list[str], rows: list[int], after: str | None = None) -> ChunkWork:
    return ChunkWork(
        bucket="b",
        keys=names,
        sizes=[1] * len(names),
        etags=["e"] * len(names),
        storage_classes=[None] * len(names),
        version_ids=None,
        rows=rows,
        after=after,
        is_first_attempt=True,
    )


@given(st.sets(st.integers(0, 30)))
def test_picked_values_are_those_of_the_rows(rows: set[int]) -> None:
    """A run without gaps, which is sliced, and any other rows give the same."""
    column = [f"v{number}" for number in range(31)]
    assert pick(column, sorted(rows)) == [column[row] for row in sorted(rows)]


@given(st.lists(keys(), unique=True, min_size=1), st.text(max_size=4))
def test_mapped_keys_keep_their_order(names: list[str], added: str) -> None:
    """What is listed in order on one side is in order on the other."""
    sources = sorted("x/" + name for name in names)
    targets = target_keys_of(KeyMapping(target_bucket="t", strip_prefix="x/", add_prefix=added), sources)
    assert targets == sorted(targets)
    assert targets == [added + source.removeprefix("x/") for source in sources]


def test_a_range_begins_at_the_key_below_its_first() -> None:
    """Start-after is exclusive, so the range begins at the key before, if need be of the chunk before (rule 12)."""
    work = _work(["b", "c", "d"], [0, 1, 2], after="a")
    assert key_before(work, [0, 1]) == "a"
    assert key_before(work, [2]) == "c"
    assert key_before(_work(["b"], [0]), [0]) is None


def test_own_targets_are_found_and_cost_nothing_elsewhere() -> None:
    """A key that another row of the chunk maps to is its target (safety.md rule 4)."""
    mapping = KeyMapping(target_bucket="b", strip_prefix="a/", add_prefix="a/a/")
    work = _work(["a/a/x", "a/b", "a/x"], [0, 1, 2])
    assert find_own_targets(work, mapping) == {"a/a/x"}
    assert find_own_targets(work, KeyMapping(target_bucket="other", strip_prefix="a/", add_prefix="a/a/")) == set()
    assert find_own_targets(work, KeyMapping(target_bucket="b", strip_prefix="a/", add_prefix="z/")) == set()
    assert find_own_targets(work, KeyMapping(target_bucket="b", strip_prefix="a/", add_prefix="a/aa/")) == set()
    assert find_own_targets(work, None) == set()


def test_a_delete_that_the_plan_should_have_refused_is_refused() -> None:
    """Without a mapping there is no copy to look at."""
    with pytest.raises(InconsistentError, match="mapping"):
        DeleteOperation(mapping=None)


def _signal() -> StopSignal:
    stop = StopSignal()
    stop.extend(60)
    return stop


def test_a_stop_breaks_off_what_is_waited_for_and_begins_nothing_more() -> None:
    """A read ends at once; of many items those that were begun are finished."""

    async def scenario() -> list[int]:
        stop, done = _signal(), list[int]()

        async def act(item: int) -> None:
            done.append(item)
            if item == 3:
                stop.request()

        await for_each(range(10), act, limit=1, stop=stop)
        with pytest.raises(StoppedError):
            await until_stopped(stop, asyncio.sleep(60))
        return done

    assert asyncio.run(scenario()) == [0, 1, 2, 3]


def test_a_write_that_is_answered_within_the_grace_is_not_lost() -> None:
    """The answer of a request that is on its way when the stop comes is still taken."""

    async def scenario() -> str:
        stop = _signal()
        stop.request()
        return await until_stopped(stop, asyncio.sleep(0.01, "answer"), grace_s=30)

    assert asyncio.run(scenario()) == "answer"


def test_one_item_that_fails_does_not_break_off_the_others() -> None:
    """What was begun is finished and recorded, nothing more is begun, and the error comes as it is."""

    async def scenario() -> list[int]:
        done, failed = list[int](), asyncio.Event()

        async def act(item: int) -> None:
            if item == 1:
                await asyncio.sleep(0)
                failed.set()
                raise ValueError(item)
            await failed.wait()
            await asyncio.sleep(0)
            done.append(item)

        with pytest.raises(ValueError, match="1"):
            await for_each(range(10), act, limit=3, stop=_signal())
        return done

    assert asyncio.run(scenario()) == [0, 2]


def test_nothing_is_begun_that_would_be_pointless() -> None:
    """In an outage the rest of the chunk is not tried row by row."""

    async def scenario() -> list[int]:
        done = list[int]()

        async def act(item: int) -> None:
            done.append(item)

        await for_each(range(10), act, limit=1, stop=_signal(), is_pointless=lambda: len(done) >= 4)
        return done

    assert asyncio.run(scenario()) == [0, 1, 2, 3]
