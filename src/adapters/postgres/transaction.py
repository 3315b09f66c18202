"""The statements of one unit of work: read at once, written together."""

import re
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple, Self

import asyncpg
from sqlalchemy import Connection
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine
from sqlalchemy.pool import PoolProxiedConnection

from adapters.postgres.engine import (
    autocommitting,
    begin_of,
    begins_always,
    driver_of_pooled,
    driver_under,
    take_connection,
    vault_of,
)
from adapters.postgres.sealing import RecordKey, Vault
from outbox import Event, Outbox
from outbox.database import NotCommitted

AFTER = ":after"
"""Stands in a statement that is to be written together with others, where a condition may stand."""

_PARAMETER = re.compile(r"\$(\d+)")


class Write(NamedTuple):
    """A statement with AFTER in it that writes at least one row, and its parameters.

    `row` is the id of what it writes: two writes of one row never travel together. `refusals` are the
    errors that unique constraints tell of, by their names.
    """

    row: str
    statement: str
    values: Sequence[Any]
    refusals: Mapping[str, type[Exception]] = {}


class NothingWritten(Exception):
    """A row that was to be written is not there: nothing was."""


class Transaction:
    """A connection, and the transaction on it from the first statement on that needs one.

    What is read before anything is locked or written needs none: under READ COMMITTED each statement sees
    what is committed when it begins, inside a transaction or not. Writes wait until the next read or the
    commit and travel as one statement, which by itself is a transaction.
    """

    def __init__(self, connection: AsyncConnection | PoolProxiedConnection, engine: AsyncEngine) -> None:
        self._connection = connection
        self._engine = engine
        self._begun = False
        self._waiting: list[Write] | None = []
        self.record_keys: dict[str, RecordKey] = {}
        """The data keys of records that this transaction has read or made."""

    @classmethod
    async def take(cls, engine: AsyncEngine) -> Self:
        """On a connection of the pool."""
        return cls(await take_connection(engine), engine)

    @classmethod
    def within(cls, connection: AsyncConnection) -> Self:
        """In a transaction that somebody else has begun and commits: nothing waits here."""
        inside = cls(connection, connection.engine)
        inside._begun, inside._waiting = True, None
        return inside

    @property
    def vault(self) -> Vault:
        return vault_of(self._engine)

    @property
    def _driver(self) -> "asyncpg.Connection[Any]":
        if isinstance(self._connection, AsyncConnection):
            return driver_under(self._connection)
        return driver_of_pooled(self._connection)

    async def reading(self) -> "asyncpg.Connection[Any]":
        """The driver, for a statement that neither locks nor writes."""
        if self._waiting or begins_always(self._engine):
            return await self.locking()
        return self._driver

    async def locking(self, first: str = "") -> "asyncpg.Connection[Any]":
        """The driver, in the transaction; what waits is written. `first`, a statement without parameters, begins it."""
        if not self._begun:
            begin = begin_of(self._engine)
            await self._driver.execute(f"{begin}; {first}" if first else begin)
            self._begun = True
        elif first:
            await self._driver.execute(first)
        await self._send()
        return self._driver

    async def sqlalchemy(self) -> AsyncConnection:
        """SQLAlchemy's connection on the same transaction, for what is not run for every payment."""
        await self.locking()
        if isinstance(self._connection, AsyncConnection):
            return self._connection
        engine = autocommitting(self._engine)
        return AsyncConnection(engine, Connection(engine.sync_engine, self._connection))

    async def write(self, *writes: Write) -> None:
        """Write these, in this order, before anything else is read; or all of them at the commit.

        Raises what their `refusals` name, here or there.
        """
        if self._waiting is None:
            await self._execute(writes)
            return
        if not {one.row for one in self._waiting}.isdisjoint(one.row for one in writes):
            await self.locking()
        self._waiting += writes

    async def commit(self) -> None:
        """Raises NotCommitted where a statement failed before and its error was kept from us."""
        if begins_always(self._engine):
            await self.locking()
        await self._send()
        if self._begun:
            self._begun = False
            if (outcome := await self._driver.execute("COMMIT")) != "COMMIT":
                raise NotCommitted(outcome)

    async def end(self, *, trusted: bool) -> None:
        """Give the connection back; what was not committed is undone. One not `trusted` is given up."""
        assert not isinstance(self._connection, AsyncConnection), "it was taken from the pool"
        try:
            if not (trusted and await self._rolled_back()):
                self._connection.invalidate()
        finally:
            self._connection.close()

    async def _rolled_back(self) -> bool:
        """Whether the session is free again. What was committed is not in a transaction any more."""
        driver = self._driver
        try:
            if driver.is_in_transaction():
                await driver.execute("ROLLBACK")
        except Exception:  # noqa: BLE001 - answered: the caller gives the connection up
            return False
        return True

    async def _send(self) -> None:
        if self._waiting:
            waiting, self._waiting = self._waiting, []
            await self._execute(waiting)

    async def _execute(self, writes: Sequence[Write]) -> None:
        statement = _joined(tuple((one.statement, len(one.values)) for one in writes))
        values = [value for one in writes for value in one.values]
        try:
            outcome = await self._driver.execute(statement, *values)
        except asyncpg.UniqueViolationError as error:
            for one in writes:
                if refusal := one.refusals.get(error.constraint_name or ""):
                    raise refusal from error
            raise
        if outcome.endswith(" 0"):
            raise NothingWritten(", ".join(one.row for one in writes))


def appended(outbox: Outbox, events: Sequence[Event]) -> list[Write]:
    """The events as they travel with what they tell of."""
    if not events:
        return []
    return [Write("events", *outbox.insertion(events, condition=AFTER))]


def alone(statement: str) -> str:
    """A statement that waits for no other."""
    return statement.replace(AFTER, "true")


@cache
def _joined(writes: tuple[tuple[str, int], ...]) -> str:
    """The statements, each with so many parameters, as one that carries them out in this order.

    PostgreSQL promises no order among the parts of a statement: so each waits for the one before, whose rows
    it counts. A constraint or a trigger then finds what it would have found had they come one by one.
    """
    parts: list[str] = []
    condition, passed = "true", 0
    for number, (statement, width) in enumerate(writes, 1):
        shifted = _PARAMETER.sub(lambda found, by=passed: f"${int(found[1]) + by}", statement)  # type: ignore[misc]
        parts.append(shifted.replace(AFTER, condition))
        condition, passed = f"(SELECT count(*) FROM part_{number}) > 0", passed + width
    *before, last = parts
    if not before:
        return last
    named = (f"part_{number} AS ({part} RETURNING 1)" for number, part in enumerate(before, 1))
    return f"WITH {', '.join(named)} {last}"
