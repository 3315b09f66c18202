"""Look after payments that wait: authorizations that lapse soon, and what the gateway left undecided."""

from dataclasses import dataclass, field
from datetime import timedelta

from domain.payments.current import refresh
from domain.payments.errors import GatewayUnavailable
from domain.payments.gateway import GatewayFailed
from domain.payments.payment import Payment
from domain.payments.ports import UnitOfWorkFactory
from domain.payments.routing import Gateways
from domain.shared.system import Clock, IdFactory


@dataclass(slots=True)
class Checked:
    """What a round did, by the payments' ids."""

    warned: list[Payment] = field(default_factory=list)
    """Their authorizations lapse within the time of warning."""
    looked_up: list[str] = field(default_factory=list)
    failed: dict[str, str] = field(default_factory=dict)
    """The gateway did not tell, and why; they are looked up again later."""


@dataclass(frozen=True, slots=True)
class CheckPaymentsHandler:
    unit_of_work: UnitOfWorkFactory
    gateways: Gateways
    clock: Clock
    ids: IdFactory
    warn_before: timedelta
    """How long before its lapse an authorization is warned of."""

    async def __call__(self, *, limit: int = 50) -> Checked:
        """Do all that is due. Any number of processes may: each takes payments that no other has in hand."""
        done = Checked()
        while await self._warn(done, limit) == limit:
            continue
        while await self._look_up(done, limit) == limit:
            continue
        return done

    async def _warn(self, done: Checked, limit: int) -> int:
        now = self.clock.now()
        async with self.unit_of_work() as uow:
            expiring = await uow.payments.take_expiring(before=now + self.warn_before, limit=limit)
            for payment in expiring:
                payment.warn_of_lapse(now)
                await uow.payments.save(payment)
            await uow.commit()
        done.warned += expiring
        return len(expiring)

    async def _look_up(self, done: Checked, limit: int) -> int:
        now = self.clock.now()
        async with self.unit_of_work() as uow:
            due = await uow.payments.take_due(now=now, limit=limit)
            for payment in due:
                await uow.payments.put_off(payment.payment_id, payment.next_check(now))
            await uow.commit()
        for payment in due:
            try:
                gateway = self.gateways.of(payment.gateway)
                await refresh(self.unit_of_work, gateway, payment, self.clock, self.ids)
            except (GatewayFailed, GatewayUnavailable) as error:
                done.failed[payment.payment_id] = str(error)
            else:
                done.looked_up.append(payment.payment_id)
        return len(due)
