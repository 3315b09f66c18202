"""Somebody has counted what there is of a SKU; the first count makes it a tracked one."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from domain.orders.ports import UnitOfWorkFactory
from domain.orders.stock import StockItem
from domain.shared.audit import AuditEntry
from domain.shared.callers import Caller
from domain.shared.errors import VersionStale
from domain.shared.system import Clock


@dataclass(frozen=True, slots=True, kw_only=True)
class CountStock:
    """`on_hand` is all that is there, what orders have reserved included."""

    caller: Caller
    sku: str
    on_hand: int
    tracked: bool | None = None
    """Whether the caller takes the SKU for a tracked one; None where that is all the same."""
    versions: Collection[int] | None = None
    """Those that the caller takes for the present one; None where any will do."""


@dataclass(frozen=True, slots=True)
class Counted:
    item: StockItem
    first: bool


@dataclass(frozen=True, slots=True)
class CountStockHandler:
    unit_of_work: UnitOfWorkFactory
    clock: Clock

    async def __call__(self, command: CountStock) -> Counted:
        """Raises VersionStale, OnHandBelowReserved."""
        sku, now = command.sku, self.clock.now()
        async with self.unit_of_work() as uow:
            item = (await uow.stock.lock([sku])).items.get(sku)
            if item is None and not command.tracked:
                item = StockItem(sku=sku, on_hand=command.on_hand, updated_at=now)
                if await uow.stock.add(item):
                    await uow.audit.append(_told(command, None, now))
                    await uow.commit()
                    return Counted(item, first=True)
                item = (await uow.stock.lock([sku])).items.get(sku)  # another was quicker
            if item is None:
                raise VersionStale
            if command.tracked is False or (
                command.versions is not None and item.version not in command.versions
            ):
                raise VersionStale(item.version)
            before = item.on_hand
            item.count(command.on_hand, now)
            await uow.stock.save(item)
            await uow.audit.append(_told(command, before, now))
            await uow.commit()
        return Counted(item, first=False)


def _told(command: CountStock, before: int | None, now: datetime) -> AuditEntry:
    return AuditEntry.of(
        command.caller,
        "stock.count",
        "sku",
        command.sku,
        at=now,
        before={"onHand": before},
        after={"onHand": command.on_hand},
    )
