"""Repair what orders and payments differ in, where the policy says so: late events, and money to be given back."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from domain.reconciliation.finding import Action, Finding, FindingStatus, FindingType
from domain.reconciliation.giving_back import REFUNDED_TYPES
from domain.reconciliation.order_ports import OrderBook
from domain.reconciliation.ports import UnitOfWorkFactory
from domain.reconciliation.use_cases.give_back import GiveBackHandler
from domain.shared.audit import AuditEntry
from domain.shared.system import Clock

RECONCILER = "reconciler"
"""Who repairs, in the audit log."""
MOST_TRIES = 10
"""After so many a person must look: whatever stands in the way does not pass."""


class Redelivery(Protocol):
    async def __call__(self, payment_id: str, /) -> int:
        """Hand this payment's events to the order side's inbox once more; how many there were.

        The inbox applies each once and in order, whoever brings it. Raises Unavailable.
        """
        ...


@dataclass(frozen=True, slots=True)
class RepairOrdersHandler:
    redeliver: Redelivery
    orders: OrderBook
    give_back: GiveBackHandler
    unit_of_work: UnitOfWorkFactory
    clock: Clock
    repairer: str = RECONCILER

    async def __call__(self, findings: Sequence[Finding]) -> list[Finding]:
        """Try to end those of these findings that are to be; the ones that were. Raises Unavailable."""
        return [one for one in findings if is_to_be_repaired(one) and await self._repair(one)]

    async def _repair(self, finding: Finding) -> bool:
        """Whether that has ended it."""
        if finding.type is FindingType.EVENT_NOT_APPLIED:
            return await self._hand_over(finding)
        return await self.give_back(finding)

    async def _hand_over(self, finding: Finding) -> bool:
        """Whether the order has followed by then."""
        handed_over = await self.redeliver(finding.object_id)
        place = (await self.orders.places([finding.object_id])).get(finding.object_id, 0)
        now = self.clock.now()
        async with self.unit_of_work() as uow:
            kept = await uow.findings.lock(finding.finding_id)
            if kept is None or kept.status is not FindingStatus.OPEN:
                return False
            before = {"sequence": kept.found["sequence"]}
            has_followed = place >= int(kept.expected["sequence"] or 0)
            if has_followed:
                kept.repair(Action.APPLY, f"{handed_over} event(s) were handed to the order side again", now)
            else:
                kept.note_try(
                    f"{handed_over} event(s) were handed over again, and the order is at {place}", now
                )
            await uow.findings.save(kept)
            if has_followed:
                await uow.audit.append(
                    AuditEntry(
                        at=now,
                        action="finding.repair",
                        subject=self.repairer,
                        object_type="finding",
                        object_id=kept.finding_id,
                        reason=f"{kept.type} of {kept.object_id}: {kept.note}",
                        before=before,
                        after={"sequence": place},
                    )
                )
            await uow.commit()
        return has_followed


def is_to_be_repaired(finding: Finding) -> bool:
    """A parked event is for an operator to decide about: it has failed too often to be tried unasked."""
    if finding.status is not FindingStatus.OPEN:
        return False
    if finding.type in REFUNDED_TYPES:
        return finding.action is Action.REFUND
    return (
        finding.type is FindingType.EVENT_NOT_APPLIED
        and finding.action is Action.APPLY
        and not finding.found.get("parked")
        and finding.tries < MOST_TRIES
    )
