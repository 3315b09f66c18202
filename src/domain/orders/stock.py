"""Stock: how many there are of each SKU, and how many of these orders hold.

Quantities are in pieces. A SKU that nobody ever counted is untracked: always available, and no order
holds any of it. An order holds all that it needs of the tracked ones, or nothing; what it holds stands
in its own row, so that exactly that is given back or used up, whatever was counted since.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from itertools import islice

from domain.orders.errors import Lack, OnHandBelowReserved, StockInsufficient


@dataclass(slots=True, kw_only=True)
class StockItem:
    """What there is of one SKU; of `on_hand`, orders hold `reserved`."""

    sku: str
    on_hand: int
    reserved: int = 0
    updated_at: datetime
    version: int = 1

    @property
    def available(self) -> int:
        return self.on_hand - self.reserved

    def count(self, on_hand: int, now: datetime) -> None:
        """Somebody has counted what is there, reserved ones included. Raises OnHandBelowReserved."""
        if on_hand < self.reserved:
            raise OnHandBelowReserved(
                f"{self.reserved} of this SKU are reserved by orders", pointer="/onHand"
            )
        self.on_hand, self.updated_at = on_hand, now


@dataclass(frozen=True, slots=True)
class StockChange:
    """By how much an order changes the sums of one SKU. On an untracked one it has no effect."""

    sku: str
    on_hand: int = 0
    reserved: int = 0


@dataclass(slots=True)
class Shelf:
    """The tracked ones of some SKUs, locked by this transaction."""

    items: Mapping[str, StockItem] = field(default_factory=dict)

    def take(self, lines: Sequence[tuple[str, int]]) -> dict[str, int]:
        """What these lines (SKU and quantity) need of each tracked SKU, now reserved on the shelf.

        Raises StockInsufficient, which names every SKU that lacks, and takes nothing then.
        """
        wanted: dict[str, int] = {}
        for sku, quantity in lines:
            if sku in self.items:
                wanted[sku] = wanted.get(sku, 0) + quantity
        skus = [sku for sku, _ in lines]
        lacking = [
            Lack(skus.index(sku), sku, quantity, self.items[sku].available)
            for sku, quantity in wanted.items()
            if quantity > self.items[sku].available
        ]
        if lacking:
            raise StockInsufficient(lacking)
        for sku, quantity in wanted.items():
            self.items[sku].reserved += quantity
        return wanted


NOTHING_TRACKED = Shelf()

MOST_LISTED = 20
"""SKUs that an entry of the history names; an order may have 500."""


def listed(quantities: Mapping[str, int] | None) -> str | None:
    """For the history: `2 OAK, 1 ASH`, and how many SKUs more; None where there is nothing to tell."""
    if not quantities:
        return None
    told = [f"{quantity} {sku}" for sku, quantity in islice(quantities.items(), MOST_LISTED)]
    more = len(quantities) - len(told)
    return ", ".join(told) + (f" and {more} more" if more else "")


def reserved(quantities: Mapping[str, int]) -> Iterator[StockChange]:
    return (StockChange(sku, reserved=quantity) for sku, quantity in quantities.items())


def released(quantities: Mapping[str, int]) -> Iterator[StockChange]:
    """The order needs them no more, and others may have them."""
    return (StockChange(sku, reserved=-quantity) for sku, quantity in quantities.items())


def consumed(quantities: Mapping[str, int]) -> Iterator[StockChange]:
    """They have left the warehouse."""
    return (StockChange(sku, on_hand=-quantity, reserved=-quantity) for sku, quantity in quantities.items())


def returned(quantities: Mapping[str, int]) -> Iterator[StockChange]:
    """They were in the customer's hands, and are back on the shelf."""
    return (StockChange(sku, on_hand=quantity) for sku, quantity in quantities.items())


def summed(changes: Iterable[StockChange]) -> Sequence[StockChange]:
    """One change for each SKU, as the database applies one of several to a row."""
    sums: dict[str, tuple[int, int]] = {}
    for change in changes:
        on_hand, held = sums.get(change.sku, (0, 0))
        sums[change.sku] = (on_hand + change.on_hand, held + change.reserved)
    return [StockChange(sku, *sums[sku]) for sku in sorted(sums) if sums[sku] != (0, 0)]
