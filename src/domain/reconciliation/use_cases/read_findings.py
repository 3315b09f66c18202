"""Read findings, for operators and for `explain`."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from domain.reconciliation.finding import Finding
from domain.reconciliation.ports import FindingFilter, UnitOfWorkFactory


@dataclass(frozen=True, slots=True)
class ListFindingsHandler:
    unit_of_work: UnitOfWorkFactory

    async def __call__(self, wanted: FindingFilter, *, after: str | None, limit: int) -> Sequence[Finding]:
        """At most `limit` findings, newest first, after the one named `after`."""
        async with self.unit_of_work() as uow:
            return await uow.findings.list(wanted, after=after, limit=limit)


@dataclass(frozen=True, slots=True)
class FindingsOfOrderHandler:
    unit_of_work: UnitOfWorkFactory

    async def __call__(self, order_id: str, payment_ids: Collection[str]) -> Sequence[Finding]:
        """Those of the order and of its payments, the oldest first."""
        async with self.unit_of_work() as uow:
            return await uow.findings.of_order(order_id, payment_ids)
