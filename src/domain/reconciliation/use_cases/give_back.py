"""Give back a payment that no order has, or that its order does not follow, where the policy says so.

Whatever happens in between, the same finding asks for the same refund, so that money goes back once.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from domain.reconciliation.finding import Action, Finding, FindingStatus
from domain.reconciliation.giving_back import to_give_back
from domain.reconciliation.order_ports import Asked, MoneyBack, OrderBook, PaymentBook
from domain.reconciliation.ports import UnitOfWorkFactory
from domain.shared.audit import AuditEntry
from domain.shared.errors import DomainError, Unavailable
from domain.shared.statements import OrderStatement, PaymentStatement
from domain.shared.system import Clock

MOST_TRIES = 10
"""After so many a person must look. What waits, for the gateway or for an approval, is no try."""


@dataclass(frozen=True, slots=True)
class GiveBackHandler:
    orders: OrderBook
    payments: PaymentBook
    money: MoneyBack
    unit_of_work: UnitOfWorkFactory
    clock: Clock
    repairer: str
    """Who repairs, in the audit log."""

    async def __call__(self, finding: Finding) -> bool:
        """Whether that has ended it, by a repair of ours. Raises Unavailable where a book cannot be read."""
        order, payments = await self._look(finding)
        chosen = to_give_back(finding, order, payments)
        if chosen is None:
            return await self._end(finding, payments, finding.note or "")
        if isinstance(chosen, str):
            await self._say(finding, chosen)
            return False
        if finding.tries >= MOST_TRIES:
            return False
        asked = await self._ask(finding, chosen)
        order, payments = await self._look(finding)
        if to_give_back(finding, order, payments) is None:
            finding.payment_id = chosen.payment_id
            return await self._end(finding, payments, asked.said)
        await self._note(finding, chosen, asked)
        return False

    async def _look(self, finding: Finding) -> tuple[OrderStatement | None, Sequence[PaymentStatement]]:
        """The order before its payments: what these state can only be newer."""
        order_ids = [finding.order_id or ""]
        orders = await self.orders.of_orders(order_ids)
        return next(iter(orders), None), await self.payments.of_orders(order_ids)

    async def _ask(self, finding: Finding, payment: PaymentStatement) -> Asked:
        """Have it voided, and what it has captured given back."""
        # A finding is about one payment: once it has been asked for, another one is for a person.
        if finding.payment_id not in (None, payment.payment_id):
            return Asked(
                f"{finding.payment_id} was to be given back, and now {payment.payment_id} stands out"
            )
        request_id, reason = finding.finding_id.partition("_")[2], f"reconciliation: {finding.type}"
        said: list[str] = []
        try:
            if not payment.is_over:
                asked = await self.money.void(request_id, payment, reason)
                said.append(asked.said)
                _, payments = await self._look(finding)
                payment = next((one for one in payments if one.payment_id == payment.payment_id), payment)
                if asked.waits or not payment.is_over:
                    return Asked("; ".join(said), waits=asked.waits)
            if payment.amount_kept > 0:
                asked = await self.money.refund(request_id, payment, reason)
                return Asked("; ".join([*said, asked.said]), waits=asked.waits)
        except Unavailable as error:
            return Asked("; ".join([*said, f"{error.code}: {error.detail}"]), waits=True)
        except DomainError as error:
            return Asked("; ".join([*said, f"{error.code}: {error.detail}"]))
        return Asked("; ".join(said))

    async def _say(self, finding: Finding, note: str) -> None:
        async with self.unit_of_work() as uow:
            kept = await uow.findings.lock(finding.finding_id)
            if kept is not None and kept.status is FindingStatus.OPEN:
                kept.say(note, self.clock.now())
                await uow.findings.save(kept)
                await uow.commit()

    async def _note(self, finding: Finding, payment: PaymentStatement, asked: Asked) -> None:
        now = self.clock.now()
        async with self.unit_of_work() as uow:
            kept = await uow.findings.lock(finding.finding_id)
            if kept is None or kept.status is not FindingStatus.OPEN:
                return
            kept.payment_id = kept.payment_id or payment.payment_id
            if asked.waits and kept.tries:
                kept.say(asked.said, now)
            else:
                kept.note_try(asked.said, now)
            await uow.findings.save(kept)
            await uow.commit()

    async def _end(self, finding: Finding, payments: Sequence[PaymentStatement], said: str) -> bool:
        """Close it: as repaired where its payment is given back, else as gone by itself."""
        returned = next((one for one in payments if one.payment_id == finding.payment_id), None)
        now = self.clock.now()
        async with self.unit_of_work() as uow:
            kept = await uow.findings.lock(finding.finding_id)
            if kept is None or kept.status is not FindingStatus.OPEN:
                return False
            kept.payment_id = finding.payment_id
            if returned is None or not returned.is_settled:
                kept.vanish(now)
                await uow.findings.save(kept)
                await uow.commit()
                return False
            kept.repair(Action.REFUND, said, now)
            await uow.findings.save(kept)
            await uow.audit.append(
                AuditEntry(
                    at=now,
                    action="finding.repair",
                    subject=self.repairer,
                    object_type="finding",
                    object_id=kept.finding_id,
                    reason=f"{kept.type} of {kept.object_id}: {kept.note}",
                    before=dict(kept.found),
                    after={
                        "paymentId": returned.payment_id,
                        "status": returned.status,
                        "amountRefunded": returned.amount_refunded,
                    },
                )
            )
            await uow.commit()
        return True
