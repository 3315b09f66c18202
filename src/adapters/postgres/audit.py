"""The audit log of a service in its own schema. The table's trigger numbers, chains and hashes."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import asyncpg
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres.engine import DatabaseUnavailable, lost_connection
from adapters.postgres.transaction import AFTER, Transaction, Write
from domain.shared.audit import AuditEntry, AuditFilter, AuditRecord, canonical
from domain.shared.timeline import stamp

_COLUMNS = "position, hash, entry::text AS text"


@dataclass(slots=True)
class PostgresAudit:
    """What is appended waits for the commit, so that the chain's lock is the last one taken and shortly held."""

    transaction: Transaction
    schema: str
    _waiting: list[AuditEntry] = field(default_factory=list)

    async def append(self, entry: AuditEntry) -> None:
        self._waiting.append(entry)

    async def flush(self) -> None:
        """Let what waits travel with the last writes of the transaction."""
        if self._waiting:
            waiting, self._waiting = self._waiting, []
            await self.transaction.write(Write("audit", self._insert, [[*map(canonical, waiting)]]))

    @property
    def _insert(self) -> str:
        return f"""
            INSERT INTO {self.schema}.audit (entry)
            SELECT entry::json FROM unnest($1::text[]) WITH ORDINALITY AS e (entry, number) WHERE {AFTER}
            ORDER BY number
        """

    async def head(self) -> AuditRecord | None:
        return await self._one("ORDER BY position DESC LIMIT 1")

    async def get(self, position: int) -> AuditRecord | None:
        return await self._one("WHERE position = $1", position)

    async def after(self, position: int, *, limit: int) -> Sequence[AuditRecord]:
        driver = await self.transaction.reading()
        rows = await driver.fetch(
            f"SELECT {_COLUMNS} FROM {self.schema}.audit WHERE position > $1 ORDER BY position LIMIT $2",
            position,
            limit,
        )
        return [_read(row) for row in rows]

    async def find(self, wanted: AuditFilter, *, before: int | None, limit: int) -> Sequence[AuditRecord]:
        conditions, values = ["true"], []
        for condition, value in (
            ("entry ->> 'object_id' = ${}", wanted.object_id),
            ("entry ->> 'subject' = ${}", wanted.subject),
            # Texts of one form, which sort as the times do.
            ("entry ->> 'at' >= ${}", stamp(wanted.since)),
            ("entry ->> 'at' < ${}", stamp(wanted.until)),
            ("position < ${}", before),
        ):
            if value is not None:
                values.append(value)
                conditions.append(condition.format(len(values)))
        driver = await self.transaction.reading()
        rows = await driver.fetch(
            f"""
            SELECT {_COLUMNS} FROM {self.schema}.audit WHERE {" AND ".join(conditions)}
            ORDER BY position DESC LIMIT {limit:d}
            """,
            *values,
        )
        return [_read(row) for row in rows]

    async def _one(self, which: str, *values: int) -> AuditRecord | None:
        driver = await self.transaction.reading()
        row = await driver.fetchrow(f"SELECT {_COLUMNS} FROM {self.schema}.audit {which}", *values)
        return _read(row) if row else None


@dataclass(frozen=True, slots=True)
class PostgresAuditReader:
    """The log as it is committed; each call takes a connection of its own."""

    engine: AsyncEngine
    schema: str

    async def head(self) -> AuditRecord | None:
        async with self._log() as log:
            return await log.head()

    async def get(self, position: int) -> AuditRecord | None:
        async with self._log() as log:
            return await log.get(position)

    async def after(self, position: int, *, limit: int) -> Sequence[AuditRecord]:
        async with self._log() as log:
            return await log.after(position, limit=limit)

    async def find(self, wanted: AuditFilter, *, before: int | None, limit: int) -> Sequence[AuditRecord]:
        async with self._log() as log:
            return await log.find(wanted, before=before, limit=limit)

    @asynccontextmanager
    async def _log(self) -> AsyncIterator[PostgresAudit]:
        """Raises DatabaseUnavailable."""
        try:
            async with self.engine.connect() as connection:
                yield PostgresAudit(Transaction.within(connection), self.schema)
        except Exception as error:
            if lost_connection(error):
                raise DatabaseUnavailable from error
            raise


def _read(row: "asyncpg.Record") -> AuditRecord:
    return AuditRecord(row["position"], row["hash"], row["text"])
