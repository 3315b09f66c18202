"""Transactions as this package begins and ends them, on any SQLAlchemy engine over asyncpg."""

import json
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import asyncpg
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

_IDENTIFIER = re.compile(r"[a-z_][a-z0-9_]{0,50}")

# SQLSTATE classes after which the session is gone, whatever the driver thinks:
# connection exceptions and operator intervention (but not a statement's own time-out).
_LOST_CLASSES = ("08", "57P", "25P03")


# The planner's statistics are behind the growth of a log at any time, and a plan that was made for a small
# table is kept: by index, each statement costs what it finds.
BY_INDEX = {
    "enable_seqscan": "off",
    "enable_bitmapscan": "off",
    "jit": "off",
    "plan_cache_mode": "force_generic_plan",  # planning over many partitions takes longer than running
}


def identifier(name: str) -> str:
    """The name, fit to stand in SQL without quotes. Raises ValueError for any other."""
    if not _IDENTIFIER.fullmatch(name):
        raise ValueError(f"not a plain SQL identifier: {name!r}")
    return name


def sqlstate_of(error: BaseException) -> str | None:
    """The server's own code for this error; None where it did not come from the server."""
    said = error.orig if isinstance(error, DBAPIError) else error
    code = getattr(said, "sqlstate", None)
    return code if isinstance(code, str) else None


def is_trustworthy_after(error: BaseException) -> bool:
    """Whether the server itself reported the error on a session that lives on.

    asyncpg raises errors outside its usual classes when a backend is killed under it, so
    every other error counts as a lost connection.
    """
    code = sqlstate_of(error)
    return code is not None and not code.startswith(_LOST_CLASSES)


class NotCommitted(Exception):
    """The transaction had failed before, and its error was kept from us: PostgreSQL rolled it back instead."""


@asynccontextmanager
async def transaction(
    engine: AsyncEngine,
    *,
    before: str | None = None,
    first: str | None = None,
    last: str | None = None,
    **settings: str,
) -> AsyncIterator[AsyncConnection]:
    """One transaction; a connection whose state is in doubt afterwards is terminated, not returned.

    The keywords are PostgreSQL's settings for this transaction alone, as
    `idle_in_transaction_session_timeout="30s"`: a stopped process then cannot keep its locks.
    Begun and ended on the driver itself, so that it takes one round trip each: to SQLAlchemy,
    which must not begin a transaction of its own, the connection commits each statement. Statements
    without parameters (see `hex_array`) share these round trips: `before` is committed before the
    transaction begins, `first` and `last` are its own. Raises NotCommitted.
    """
    committed = ["BEGIN", before, "COMMIT"] if before else []
    limits = (f"SET LOCAL {name} = '{value}'" for name, value in settings.items())
    begin = "; ".join([*committed, "BEGIN", *limits, *([first] if first else [])])
    async with engine.connect() as connection:
        await _reconnected(connection)
        await connection.execution_options(isolation_level="AUTOCOMMIT")
        driver = _driver(connection)
        try:
            await driver.execute(begin)
            yield connection
            if (outcome := await driver.execute(f"{last}; COMMIT" if last else "COMMIT")) != "COMMIT":
                raise NotCommitted(outcome)
        except BaseException as error:
            if not (is_trustworthy_after(error) and await _rolled_back(driver)):
                await connection.invalidate()
            raise


async def _reconnected(connection: AsyncConnection) -> None:
    """Where the server ended the pooled session while nobody looked, take a new one."""
    if _driver(connection).is_closed():
        await connection.invalidate()
        await connection.get_raw_connection()


async def _rolled_back(driver: "asyncpg.Connection[Any]") -> bool:
    try:
        await driver.execute("ROLLBACK")
    except Exception:  # noqa: BLE001 - answered: the caller terminates the connection
        return False
    return True


def hex_array(texts: Sequence[str]) -> str:
    """SQL for a set of rows, one for each text in this order, in a statement without parameters.

    Hexadecimal all through: no text, whatever it holds, can be taken for SQL.
    """
    encoded = json.dumps(texts).encode("ascii").hex()
    return f"jsonb_array_elements_text(convert_from(decode('{encoded}', 'hex'), 'UTF8')::jsonb)"


async def execute_alone(engine: AsyncEngine, statement: str) -> None:
    """One statement without parameters that is a transaction by itself: one round trip."""
    async with engine.connect() as connection:
        await _reconnected(connection)
        try:
            await _driver(connection).execute(statement)
        except BaseException as error:
            if not is_trustworthy_after(error):
                await connection.invalidate()
            raise


async def driver_of(connection: AsyncConnection) -> "asyncpg.Connection[Any]":
    """asyncpg's connection underneath, in the same transaction, for statements run many times a second.

    SQLAlchemy's part of a round trip costs more than the database's.
    """
    driver = _driver(connection)
    if not driver.is_in_transaction():
        await connection.execute(text("SELECT 1"))  # SQLAlchemy begins with its own first statement
    return driver


def _driver(connection: AsyncConnection) -> "asyncpg.Connection[Any]":
    assert connection.sync_connection is not None, "the connection is open"
    driver = connection.sync_connection.connection.driver_connection
    assert driver is not None, "the connection was not invalidated"
    return driver


def cause_of(error: BaseException) -> str:
    """One line that says what failed, to be stored. A database error comes without its parameters."""
    said = error.orig if isinstance(error, DBAPIError) else error
    return f"{type(said).__name__}: {said}"[:1000]
