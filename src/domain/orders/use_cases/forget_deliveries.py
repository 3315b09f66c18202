"""Remove deliveries after the retention time, and what is left of deleted endpoints."""

from dataclasses import dataclass
from datetime import timedelta

from domain.orders.ports import UnitOfWorkFactory
from domain.shared.system import Clock

AT_ONCE = 1000
"""Rows in one transaction: short, so that no vacuum and no other process waits for it."""


@dataclass(frozen=True, slots=True)
class ForgetDeliveriesHandler:
    unit_of_work: UnitOfWorkFactory
    clock: Clock
    keep_for: timedelta

    async def __call__(self) -> None:
        """Any number of processes may do this at the same time: each takes other rows."""
        before = self.clock.now() - self.keep_for
        removed = AT_ONCE
        while removed == AT_ONCE:
            async with self.unit_of_work() as uow:
                removed = await uow.deliveries.forget(finished_before=before, limit=AT_ONCE)
                await uow.endpoints.remove_deleted()
                await uow.commit()
