"""What reconciliation keeps, in memory; `tests/contract/repositories` holds it to the ports."""

from collections import Counter
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from domain.reconciliation.finding import Finding, FindingStatus, FindingType, Key
from domain.reconciliation.ports import FindingFilter
from tests.support.memory import Database, Transaction, _UnitOfWork


@dataclass(slots=True)
class MemoryFindings:
    transaction: Transaction

    async def add(self, finding: Finding) -> bool:
        await self.transaction.lock(f"findings of {finding.object_id}")
        others = [one for one in await self._all() if one.key == finding.key]
        if any(one.status is FindingStatus.OPEN for one in others) and finding.status is FindingStatus.OPEN:
            return False
        await self.transaction.insert("finding", finding.finding_id, finding)
        return True

    async def save(self, finding: Finding) -> None:
        await self.transaction.update("finding", finding.finding_id, finding)

    async def lock(self, finding_id: str) -> Finding | None:
        await self.transaction.lock(f"finding {finding_id}")
        found: Finding | None = await self.transaction.read("finding", finding_id)
        return found

    async def newest_of(self, object_ids: Collection[str]) -> Sequence[Finding]:
        newest: dict[Key, Finding] = {}
        for one in await self._all():
            if one.object_id in object_ids:
                newest[one.key] = one
        locked = [await self.lock(one.finding_id) for one in newest.values()]
        return [one for one in locked if one is not None]

    async def list(self, wanted: FindingFilter, *, after: str | None, limit: int) -> Sequence[Finding]:
        chosen = [
            one
            for one in await self._all()
            if wanted.status in (None, one.status)
            and wanted.type in (None, one.type)
            and wanted.order_id in (None, one.order_id)
            and (after is None or one.finding_id < after)
        ]
        return chosen[::-1][:limit]

    async def of_order(self, order_id: str, payment_ids: Collection[str]) -> Sequence[Finding]:
        return [one for one in await self._all() if one.order_id == order_id or one.payment_id in payment_ids]

    async def count_open(self) -> Mapping[FindingType, int]:
        return Counter(one.type for one in await self._all() if one.status is FindingStatus.OPEN)

    async def count_seen(
        self, *, since: datetime, until: datetime
    ) -> Mapping[tuple[FindingType, FindingStatus], int]:
        return Counter((one.type, one.status) for one in await self._all() if since <= one.first_seen < until)

    async def oldest_open(self) -> datetime | None:
        times = [one.first_seen for one in await self._all() if one.status is FindingStatus.OPEN]
        return min(times, default=None)

    async def _all(self) -> "Sequence[Finding]":
        """Oldest first."""
        return sorted(await self.transaction.read_all("finding"), key=lambda one: one.finding_id)


@dataclass(slots=True)
class MemoryCursors:
    transaction: Transaction

    async def get(self, name: str) -> Mapping[str, Any] | None:
        found: Mapping[str, Any] | None = await self.transaction.read("cursor", name)
        return found

    async def put(self, name: str, value: Mapping[str, Any], now: datetime) -> None:
        await self.transaction.update("cursor", name, dict(value))


class MemoryReconciliationUnitOfWork(_UnitOfWork):
    def __init__(self, database: Database) -> None:
        super().__init__(database)
        self.findings = MemoryFindings(self._transaction)
        self.cursors = MemoryCursors(self._transaction)


@dataclass
class MemoryLocks:
    held: set[str] = field(default_factory=set)

    @asynccontextmanager
    async def hold(self, name: str) -> AsyncIterator[bool]:
        if name in self.held:
            yield False
            return
        self.held.add(name)
        try:
            yield True
        finally:
            self.held.discard(name)
