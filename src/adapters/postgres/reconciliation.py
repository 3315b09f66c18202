"""What reconciliation keeps: findings, cursors, and the lock that lets one process at a time compare."""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres import tables
from adapters.postgres.audit import PostgresAudit
from adapters.postgres.engine import begin_of, driver_of_pooled, take_connection
from adapters.postgres.rows import HotRows
from adapters.postgres.transaction import Transaction, alone
from adapters.postgres.unit_of_work import UnitOfWork
from domain.reconciliation.finding import Finding, FindingStatus, FindingType
from domain.reconciliation.ports import FindingFilter

_FINDINGS = HotRows(Finding, tables.finding)

OF_ONE_ORDER = 500

LONGEST_ROUND_SECONDS = 600
"""How long a lock may be held by a process that is stopped and does not die."""


@dataclass(frozen=True, slots=True)
class PostgresFindings:
    transaction: Transaction

    async def add(self, finding: Finding) -> bool:
        done = await (await self.transaction.locking()).execute(_INSERT, *_FINDINGS.values(finding))
        return not done.endswith(" 0")

    async def save(self, finding: Finding) -> None:
        await (await self.transaction.locking()).execute(_UPDATE, *_FINDINGS.values(finding))

    async def lock(self, finding_id: str) -> Finding | None:
        row = await (await self.transaction.locking()).fetchrow(_LOCK, finding_id)
        return _FINDINGS.read(row) if row else None

    async def newest_of(self, object_ids: Collection[str]) -> Sequence[Finding]:
        rows = await (await self.transaction.locking()).fetch(_NEWEST, list(object_ids))
        return [_FINDINGS.read(row) for row in rows]

    async def list(self, wanted: FindingFilter, *, after: str | None, limit: int) -> Sequence[Finding]:
        driver = await self.transaction.reading()
        rows = await driver.fetch(_LIST, wanted.status, wanted.type, wanted.order_id, after, limit)
        return [_FINDINGS.read(row) for row in rows]

    async def of_order(self, order_id: str, payment_ids: Collection[str]) -> Sequence[Finding]:
        driver = await self.transaction.reading()
        rows = await driver.fetch(_OF_ORDER, order_id, list(payment_ids))
        return [_FINDINGS.read(row) for row in reversed(rows)]

    async def count_open(self) -> Mapping[FindingType, int]:
        rows = await (await self.transaction.reading()).fetch(_COUNT_OPEN)
        return {FindingType(row["type"]): row["findings"] for row in rows}

    async def count_seen(
        self, *, since: datetime, until: datetime
    ) -> Mapping[tuple[FindingType, FindingStatus], int]:
        rows = await (await self.transaction.reading()).fetch(_COUNT_SEEN, since, until)
        return {(FindingType(row["type"]), FindingStatus(row["status"])): row["findings"] for row in rows}

    async def oldest_open(self) -> datetime | None:
        oldest: datetime | None = await (await self.transaction.reading()).fetchval(_OLDEST_OPEN)
        return oldest


_INSERT = f"{alone(_FINDINGS.insert())} ON CONFLICT (type, object_id) WHERE status = 'OPEN' DO NOTHING"
_UPDATE = alone(_FINDINGS.update_one("finding_id"))
_LOCK = f"{_FINDINGS.select()} WHERE finding_id = $1 FOR UPDATE"
# In one order, so that two who record the same objects do not wait for one another.
_NEWEST = f"""
    {_FINDINGS.select()} WHERE finding_id IN (
        SELECT DISTINCT ON (object_id, type) finding_id FROM {tables.finding.fullname}
        WHERE object_id = ANY ($1::text[]) ORDER BY object_id, type, finding_id DESC
    ) ORDER BY finding_id FOR UPDATE
"""
_LIST = f"""
    {_FINDINGS.select()} WHERE ($1::text IS NULL OR status = $1) AND ($2::text IS NULL OR type = $2)
        AND ($3::text IS NULL OR order_id = $3) AND ($4::text IS NULL OR finding_id < $4)
    ORDER BY finding_id DESC LIMIT $5
"""
_OF_ORDER = f"""
    {_FINDINGS.select()} WHERE order_id = $1 OR payment_id = ANY ($2::text[])
    ORDER BY finding_id DESC LIMIT {OF_ONE_ORDER}
"""
_COUNT_OPEN = f"""
    SELECT type, count(*) AS findings FROM {tables.finding.fullname} WHERE status = 'OPEN' GROUP BY type
"""
_COUNT_SEEN = f"""
    SELECT type, status, count(*) AS findings FROM {tables.finding.fullname}
    WHERE first_seen >= $1 AND first_seen < $2 GROUP BY type, status
"""
_OLDEST_OPEN = f"SELECT min(first_seen) FROM {tables.finding.fullname} WHERE status = 'OPEN'"


@dataclass(frozen=True, slots=True)
class PostgresCursors:
    transaction: Transaction

    async def get(self, name: str) -> Mapping[str, Any] | None:
        driver = await self.transaction.reading()
        found: str | None = await driver.fetchval(
            "SELECT value::text FROM reconciliation.cursor WHERE name = $1", name
        )
        return None if found is None else msgspec.json.decode(found, type=dict[str, Any])

    async def put(self, name: str, value: Mapping[str, Any], now: datetime) -> None:
        await (await self.transaction.locking()).execute(
            """
            INSERT INTO reconciliation.cursor (name, value, updated_at) VALUES ($1, $2::text::jsonb, $3)
            ON CONFLICT (name) DO UPDATE SET value = excluded.value, updated_at = excluded.updated_at
            """,
            name,
            msgspec.json.encode(value).decode(),
            now,
        )


class PostgresReconciliationUnitOfWork(UnitOfWork):
    """Its rows stand in the database of the service that compares, and its audit entries in that service's log."""

    findings: PostgresFindings
    cursors: PostgresCursors

    def __init__(self, engine: AsyncEngine, service: str) -> None:
        """`service` is the schema of the audit log."""
        super().__init__(engine, after_commit=lambda: None)
        self._service = service

    def _open(self, transaction: Transaction) -> None:
        self.findings = PostgresFindings(transaction)
        self.cursors = PostgresCursors(transaction)
        self.audit = PostgresAudit(transaction, self._service)

    def _wrote_events(self) -> bool:
        return False


@dataclass(frozen=True, slots=True)
class PostgresLocks:
    """Advisory locks of a transaction, which PgBouncer's transaction mode carries too.

    The transaction holds nothing else, no snapshot either, and what is done under the lock runs on other
    connections.
    """

    engine: AsyncEngine

    @asynccontextmanager
    async def hold(self, name: str) -> AsyncIterator[bool]:
        taken = await take_connection(self.engine)
        try:
            driver = driver_of_pooled(taken)
            limit = f"SET LOCAL idle_in_transaction_session_timeout = '{LONGEST_ROUND_SECONDS}s'"
            await driver.execute(f"{begin_of(self.engine)}; {limit}")
            held: bool = await driver.fetchval(
                "SELECT pg_try_advisory_xact_lock(hashtextextended($1, 0))", f"reconciliation {name}"
            )
            yield held
        finally:
            taken.invalidate()  # the lock ends with its session, whatever state that is in
            taken.close()
