"""The price table says what it is, and has every price of every class."""

from __future__ import annotations

import re
from dataclasses import asdict, fields
from datetime import date
from importlib.resources import files

import pytest

from s3batch.model.errors import InconsistentError
from s3batch.plan.class_figures import SMALLEST_BILLED_BYTES
from s3batch.plan.prices import ClassPrices, PriceTable, read_prices

TEXT = files("s3batch.plan").joinpath("prices.toml").read_text(encoding="utf-8")
CLASSES = {"STANDARD", "INTELLIGENT_TIERING", "STANDARD_IA", "ONEZONE_IA", "GLACIER_IR", "GLACIER", "DEEP_ARCHIVE"}


def test_the_table_tells_its_date_its_source_and_what_of_it_is_uncertain() -> None:
    """Whoever reads a cost can find out how old it is and where it comes from."""
    table = read_prices()
    assert date(2026, 1, 1) <= date.fromisoformat(table.date) <= date(2099, 1, 1)
    assert len(table.source) > 20
    assert table.uncertain
    assert all(len(each) > 20 for each in table.uncertain)
    assert table.home_region in table.regions


def test_every_class_of_s3_is_complete() -> None:
    """Each has each price, none of them negative, and a request that writes is never free."""
    table = read_prices()
    assert set(table.classes) == CLASSES
    for name, prices in table.classes.items():
        assert all(value >= 0 for value in asdict(prices).values()), name
        assert prices.put_per_1000 >= table.classes["STANDARD"].put_per_1000, name
        assert prices.get_per_1000 > 0 < prices.storage_per_gb_month, name
        assert prices.smallest_billed_bytes in {0, SMALLEST_BILLED_BYTES}, name
        assert bool(prices.minimum_days) is bool(prices.retrieval_per_gb), name


@pytest.mark.parametrize("member", [each.name for each in fields(ClassPrices)])
def test_a_table_that_lacks_a_price_is_damage(member: str) -> None:
    """A cost without it would be wrong in silence."""
    lacking = re.sub(rf"^{member} = .*\n", "", TEXT, count=1, flags=re.MULTILINE)
    assert lacking != TEXT
    with pytest.raises(InconsistentError, match=f"price table.*{member}"):
        PriceTable.from_toml(lacking)


@pytest.mark.parametrize(
    "text",
    ["", "no table", TEXT + "\n[more]\nx = 1\n", TEXT.replace("[classes.STANDARD]", "[classes.OTHER]")],
    ids=["empty", "not TOML", "unknown member", "no STANDARD"],
)
def test_what_is_no_table_is_refused(text: str) -> None:
    """With the way out."""
    with pytest.raises(InconsistentError, match="cannot be read") as caught:
        PriceTable.from_toml(text)
    assert (caught.value.code, caught.value.way_out) == ("BadPriceTable", "Install s3batch again.")


def test_transfer_costs_only_between_regions_that_are_known() -> None:
    """Less between the two near ones, in either direction."""
    table = read_prices()
    price = table.transfer_price
    assert price("us-east-1", "us-east-1") == price("", "us-east-1") == price("us-east-1", "") == 0.0
    assert price("us-east-1", "us-east-2") == price("us-east-2", "us-east-1") == table.near_transfer_per_gb
    assert price("us-east-1", "us-west-2") == table.transfer_per_gb > table.near_transfer_per_gb


def test_a_class_without_a_price_is_taken_for_standard() -> None:
    """The plan says so."""
    assert read_prices().of_class("SNOW") == read_prices().classes["STANDARD"]
