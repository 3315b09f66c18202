"""Read what there is of SKUs."""

from collections.abc import Sequence
from dataclasses import dataclass

from domain.orders.errors import SkuUntracked
from domain.orders.ports import UnitOfWorkFactory
from domain.orders.stock import StockItem


@dataclass(frozen=True, slots=True)
class GetStockHandler:
    unit_of_work: UnitOfWorkFactory

    async def __call__(self, sku: str) -> StockItem:
        """Raises SkuUntracked."""
        async with self.unit_of_work() as uow:
            item = await uow.stock.get(sku)
        if item is None:
            raise SkuUntracked
        return item


@dataclass(frozen=True, slots=True)
class ListStockHandler:
    unit_of_work: UnitOfWorkFactory

    async def __call__(self, *, after: str | None, limit: int) -> Sequence[StockItem]:
        """At most `limit` tracked SKUs behind the one named `after`."""
        async with self.unit_of_work() as uow:
            return await uow.stock.list(after=after, limit=limit)
