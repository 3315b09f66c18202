"""Hold the ledger to the gateway: what it says that we have there, and each movement of it."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Protocol

from domain.reconciliation.finding import Difference, Finding, FindingStatus, FindingType
from domain.reconciliation.ports import FindingFilter, UnitOfWorkFactory
from domain.reconciliation.use_cases.compare_orders import Record
from domain.shared.system import Clock

EXPLAINED_WITHIN = timedelta(minutes=3)
"""A movement is imported, and what it belongs to is heard of, well within this."""
AT_ONCE = 500
_SEEN = "ledger: balances"


@dataclass(frozen=True, slots=True, kw_only=True)
class Balance:
    """Amounts in minor units of `currency`, pending and available together."""

    gateway: str
    currency: str
    clearing: int
    """What the ledger has there."""
    at_gateway: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Movement:
    gateway: str
    transaction_id: str
    type: str
    amount: int
    currency: str
    source_id: str | None
    created_at: datetime


class LedgerBook(Protocol):
    async def balances(self) -> Sequence[Balance]:
        """Raises Unavailable where a gateway is away."""
        ...

    async def unexplained(self, limit: int) -> Sequence[Movement]:
        """Movements at the gateways that no posting explains, as of the last import."""
        ...


@dataclass(frozen=True, slots=True)
class CompareLedgerHandler:
    book: LedgerBook
    record: Record
    unit_of_work: UnitOfWorkFactory
    clock: Clock
    grace: timedelta

    async def __call__(self) -> list[Finding]:
        """One round; the open findings. Raises Unavailable."""
        return [*await self._movements(), *await self._balances()]

    async def _movements(self) -> list[Finding]:
        type = FindingType.UNEXPLAINED_BALANCE_TRANSACTION
        before = self.clock.now() - EXPLAINED_WITHIN
        found = [one for one in await self.book.unexplained(AT_ONCE) if one.created_at < before]
        async with self.unit_of_work() as uow:
            wanted = FindingFilter(status=FindingStatus.OPEN, type=type)
            known = await uow.findings.list(wanted, after=None, limit=AT_ONCE)
        differences = [
            Difference(
                type=type,
                object_id=one.transaction_id,
                gateway=one.gateway,
                expected={},
                found={"amount": one.amount, "currency": one.currency, "sourceId": one.source_id},
                note=f"a balance transaction of type {one.type}",
            )
            for one in found
        ]
        examined = {one.transaction_id for one in found} | {one.object_id for one in known}
        return await self.record(differences, examined=sorted(examined), types=[type])

    async def _balances(self) -> list[Finding]:
        """A balance that moves differs for a moment: only one that stands still for the grace, and differs, counts."""
        balances = {f"{one.gateway} {one.currency}": one for one in await self.book.balances()}
        now = self.clock.now()
        async with self.unit_of_work() as uow:
            before: dict[str, Any] = dict(await uow.cursors.get(_SEEN) or {})
        seen: dict[str, list[Any]] = {}
        differences = []
        for key, one in balances.items():
            clearing, at_gateway, since = before.get(key, [None, None, now.isoformat()])
            if (clearing, at_gateway) != (one.clearing, one.at_gateway):
                since = now.isoformat()
            seen[key] = [one.clearing, one.at_gateway, since]
            stands = now - datetime.fromisoformat(since) >= self.grace
            if one.clearing != one.at_gateway and stands:
                differences.append(_difference(key, one))
        async with self.unit_of_work() as uow:
            await uow.cursors.put(_SEEN, seen, now)
            await uow.commit()
        settled = [key for key, one in balances.items() if one.clearing == one.at_gateway] + [
            one.object_id for one in differences
        ]
        return await self.record(differences, examined=sorted(settled), types=[FindingType.LEDGER_DIFFERS])


def _difference(key: str, one: Balance) -> Difference:
    return Difference(
        type=FindingType.LEDGER_DIFFERS,
        object_id=key,
        gateway=one.gateway,
        expected={"balance": one.at_gateway, "currency": one.currency},
        found={"balance": one.clearing, "currency": one.currency},
        note="the clearing account does not hold what the gateway says it holds for us",
    )
