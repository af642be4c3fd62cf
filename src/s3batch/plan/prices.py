"""The price table: what Amazon S3 charges, by storage class, from the one data file that carries its date and source.

Out: values. The file is part of the package and read once. A table that lacks a price, or has one too many, is damage
and is not worked around: a plan that shows no cost for it would show a wrong one. Nothing is computed here.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from typing import Any, Self

from s3batch.model.errors import InconsistentError

STANDARD = "STANDARD"


@dataclass(frozen=True, kw_only=True, slots=True)
class ClassPrices:
    """Prices and rules of one storage class, in US dollars. The data file says what each member is."""

    put_per_1000: float
    get_per_1000: float
    storage_per_gb_month: float
    retrieval_per_gb: float
    minimum_days: int
    smallest_billed_bytes: int
    overhead_bytes: int
    monitoring_per_1000: float
    restore_per_1000: float
    parts_at_standard: bool


@dataclass(frozen=True, kw_only=True, slots=True)
class PriceTable:
    """All prices, with the day and the source that they are from."""

    date: str
    source: str
    uncertain: tuple[str, ...]
    """What of it was not checked, in sentences."""
    home_region: str
    """The region whose prices these are."""
    regions: tuple[str, ...]
    """All regions that have them."""
    kms_per_10000: float
    transfer_per_gb: float
    near_regions: tuple[str, ...]
    near_transfer_per_gb: float
    classes: Mapping[str, ClassPrices]

    @classmethod
    def from_toml(cls, text: str) -> Self:
        """Return the table that a data file holds.

        Raises:
            InconsistentError: code ``BadPriceTable``: a member is missing, or unknown, or no table at all.
        """
        try:
            raw: dict[str, Any] = tomllib.loads(text)
            classes = {name: ClassPrices(**members) for name, members in raw.pop("classes").items()}
            raw |= {name: tuple(raw[name]) for name in ("uncertain", "regions", "near_regions")}
            table = cls(classes=classes, **raw)
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise _bad(str(error)) from error
        if STANDARD not in table.classes:
            raise _bad(f"it has no {STANDARD}")
        return table

    def of_class(self, storage_class: str) -> ClassPrices:
        """Return the prices of a class; STANDARD's where the table does not have it."""
        return self.classes.get(storage_class) or self.classes[STANDARD]

    def transfer_price(self, source_region: str, target_region: str) -> float:
        """Return what a GB costs from one region to the other; nothing within a region or where one is not known."""
        if not source_region or not target_region or source_region == target_region:
            return 0.0
        are_near = {source_region, target_region} == set(self.near_regions)
        return self.near_transfer_per_gb if are_near else self.transfer_per_gb


@cache
def read_prices() -> PriceTable:
    """Return the table of this release.

    Raises:
        InconsistentError: the package is damaged.
    """
    return PriceTable.from_toml(files("s3batch.plan").joinpath("prices.toml").read_text(encoding="utf-8"))


def _bad(reason: str) -> InconsistentError:
    return InconsistentError(
        f"The price table of this release cannot be read: {reason}.",
        code="BadPriceTable",
        way_out="Install s3batch again.",
    )
