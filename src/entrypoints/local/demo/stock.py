"""The demo's goods: counted before the customers come, and compared with their orders in the end."""

import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from entrypoints.local.demo.client import Api, Json

_HOLD_NOTHING = frozenset({"DRAFT", "PAYMENT_FAILED", "CANCELED"})


@dataclass
class Stock:
    """The stock of one run, whose SKUs no other run has."""

    api: Api
    run: str = field(default_factory=lambda: secrets.token_hex(2))
    counted: dict[str, int] = field(default_factory=dict)

    def sku(self, name: str) -> str:
        return f"{name}-{self.run}"

    async def count(self, sku: str, pieces: int) -> None:
        """Say how many there are. Raises Unexpected."""
        await self.api.put(f"/v1/inventory/{sku}", {"onHand": pieces})
        self.counted[sku] = pieces

    async def read(self) -> list[Json]:
        """What there is of each SKU now. Raises Unexpected."""
        return [await self.api.get(f"/v1/inventory/{sku}") for sku in self.counted]

    def audit(self, items: Sequence[Json], orders: Sequence[Json]) -> dict[str, list[str]]:
        """Where the stock is not what all the orders leave of it, by SKU."""
        found = {item["sku"]: list(stock_faults(item, self.counted[item["sku"]], orders)) for item in items}
        return {sku: faults for sku, faults in found.items() if faults}


def stock_faults(item: Json, counted: int, orders: Sequence[Json]) -> Iterable[str]:
    """Where this SKU's sums disagree with the orders, each in one sentence."""
    shipped = sum(_pieces(item["sku"], order) for order in orders if order["fulfilledAt"])
    held = sum(_pieces(item["sku"], order) for order in orders if _holds(order))
    if item["onHand"] != counted - shipped:
        yield f"there are {item['onHand']} {item['sku']}, not {counted - shipped}"
    if item["reserved"] != held:
        yield f"{item['reserved']} {item['sku']} are reserved, not {held}"


def _holds(order: Json) -> bool:
    return order["status"] not in _HOLD_NOTHING and not order["fulfilledAt"]


def _pieces(sku: str, order: Json) -> int:
    return sum(line["quantity"] for line in order["lines"] if line["sku"] == sku)
