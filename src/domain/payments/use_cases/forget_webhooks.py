"""Remove the bodies of webhooks after the retention time, and their ids when no repeat can come any more."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import timedelta

from domain.payments.ports import PaymentsUnitOfWork, UnitOfWorkFactory
from domain.payments.webhook import KEEP_IDS_FOR
from domain.shared.system import Clock

AT_ONCE = 1000
"""Rows in one transaction: short, so that no vacuum and no other process waits for it."""


@dataclass(frozen=True, slots=True)
class ForgetWebhooksHandler:
    unit_of_work: UnitOfWorkFactory
    clock: Clock
    keep_bodies_for: timedelta

    async def __call__(self) -> None:
        """Any number of processes may do this at the same time: each takes other rows."""
        now = self.clock.now()

        async def drop_bodies(uow: PaymentsUnitOfWork) -> int:
            return await uow.webhooks.drop_bodies(received_before=now - self.keep_bodies_for, limit=AT_ONCE)

        async def forget(uow: PaymentsUnitOfWork) -> int:
            return await uow.webhooks.forget(received_before=now - KEEP_IDS_FOR, limit=AT_ONCE)

        await self._in_batches(drop_bodies)
        await self._in_batches(forget)

    async def _in_batches(self, remove: Callable[[PaymentsUnitOfWork], Awaitable[int]]) -> None:
        removed = AT_ONCE
        while removed == AT_ONCE:
            async with self.unit_of_work() as uow:
                removed = await remove(uow)
                await uow.commit()
