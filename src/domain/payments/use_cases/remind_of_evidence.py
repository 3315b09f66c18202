"""Tell the operator of disputes whose time for evidence is nearly over: what is not answered is lost."""

from dataclasses import dataclass
from datetime import timedelta

from domain.payments.payment import Occasion
from domain.payments.ports import UnitOfWorkFactory
from domain.shared.system import Clock, IdFactory

REMIND_BEFORE = timedelta(days=3)
"""How long before its end; a bank gives 7 to 21 days (https://docs.stripe.com/disputes/responding)."""


@dataclass(frozen=True, slots=True)
class RemindOfEvidenceHandler:
    unit_of_work: UnitOfWorkFactory
    clock: Clock
    ids: IdFactory

    async def __call__(self, *, limit: int = 50) -> int:
        """Flag the payments of such disputes, each dispute once; how many there were."""
        now = self.clock.now()
        async with self.unit_of_work() as uow:
            due = await uow.disputes.due_for_evidence(before=now + REMIND_BEFORE, limit=limit)
        for found in due:
            async with self.unit_of_work() as uow:
                payment = await uow.payments.lock(found.payment_id)
                dispute = await uow.disputes.get(found.gateway_dispute_id)
                if payment and dispute and dispute.status.awaits_evidence and not dispute.reminded:
                    payment.remind_of_evidence(dispute, Occasion(now, self.ids.event_id))
                    await uow.disputes.put(dispute)
                    await uow.payments.save(payment)
                    await uow.commit()
        return len(due)
