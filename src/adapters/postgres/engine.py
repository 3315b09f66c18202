"""Engines, and the driver underneath their connections."""

from collections.abc import Mapping
from typing import Any
from weakref import WeakKeyDictionary

import asyncpg
import msgspec
from sqlalchemy import Connection, event
from sqlalchemy.exc import DBAPIError, InterfaceError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import PoolProxiedConnection

from adapters.postgres.sealing import Vault
from domain.shared.errors import Unavailable

STATEMENT_SECONDS = 10
IDLE_IN_TRANSACTION_SECONDS = 10

# Options of the engine:
_BEGIN = "payonce_begin"  # what begins a unit of work
VAULT = "payonce_vault"  # what seals and opens the values of its rows


class DatabaseUnavailable(Unavailable):
    """The database cannot be reached now."""

    code = "database_unavailable"


UNPREPARED: Mapping[str, Any] = {"statement_cache_size": 0, "prepared_statement_cache_size": 0}
"""How a connection through a pooler leaves nothing behind: with both caches off, asyncpg gives a statement
no name and parses it in the message that executes it, since the next may go to another server."""


def make_engine(
    url: str, *, pool_size: int, application: str, pooled: bool = False, vault: Vault | None = None
) -> AsyncEngine:
    """A pool of connections to `url` (`postgresql://…`), whose statements end within 10 s.

    `vault` seals what is personal or secret; whoever touches no such row needs none.
    `pooled` where it leads to PgBouncer in transaction mode: nothing is then kept between transactions,
    and the limits, which PgBouncer refuses at the start of a connection, begin each transaction.
    """
    limits = {
        "statement_timeout": str(STATEMENT_SECONDS * 1000),
        "idle_in_transaction_session_timeout": str(IDLE_IN_TRANSACTION_SECONDS * 1000),
    }
    engine = create_async_engine(
        url.replace("postgresql://", "postgresql+asyncpg://", 1),
        pool_size=pool_size,
        max_overflow=0,
        pool_timeout=5,
        pool_use_lifo=True,  # the session used last has its plans made and its caches warm
        hide_parameters=True,  # an error's text goes into the log; values may be personal data
        json_serializer=lambda value: msgspec.json.encode(value).decode(),
        json_deserializer=msgspec.json.decode,
        connect_args={
            "timeout": 5,
            "server_settings": {"application_name": application, **({} if pooled else limits)},
            **(UNPREPARED if pooled else {}),
        },
    )
    engine.update_execution_options(**{VAULT: vault})
    if pooled:
        calls = ", ".join(f"set_config('{name}', '{value}', true)" for name, value in limits.items())
        begin = "; ".join(["BEGIN", *(f"SET LOCAL {name} = '{value}'" for name, value in limits.items())])
        engine.update_execution_options(**{_BEGIN: begin})

        def limit(connection: Connection) -> None:
            # Outside a transaction, as the idempotency keys' statements are, they would have no effect.
            if connection.get_execution_options().get("isolation_level") != "AUTOCOMMIT":
                connection.exec_driver_sql(f"SELECT {calls}")

        event.listen(engine.sync_engine, "begin", limit)
    return engine


def lost_connection(error: BaseException) -> bool:
    """Whether the database, not the statement, is at fault.

    asyncpg's own errors come without SQLAlchemy's from the statements that run on the driver itself.
    """
    if isinstance(error, PoolTimeout | OSError | InterfaceError | asyncpg.InternalClientError):
        return True
    if isinstance(error, asyncpg.InterfaceError):
        return not isinstance(error, ValueError)  # of a parameter that does not fit its type
    if isinstance(error, DBAPIError | asyncpg.PostgresError):
        said = error.orig if isinstance(error, DBAPIError) else error
        state = getattr(said, "sqlstate", None) or ""
        invalidated = isinstance(error, DBAPIError) and error.connection_invalidated
        # 08 connection, 57 shutdown, 53 resources, 25P03 idle too long, none: the driver's own
        return invalidated or state[:2] in ("08", "57", "53") or state in ("", "25P03")
    return False


def autocommitting(engine: AsyncEngine) -> AsyncEngine:
    """The same pool, for connections that commit each statement as far as SQLAlchemy knows.

    Made once: to change a connection at every use costs more than a statement.
    """
    made = _autocommitting.get(engine)
    if made is None:
        made = _autocommitting[engine] = engine.execution_options(isolation_level="AUTOCOMMIT")
    return made


_autocommitting: WeakKeyDictionary[AsyncEngine, AsyncEngine] = WeakKeyDictionary()


def driver_under(connection: AsyncConnection) -> "asyncpg.Connection[Any]":
    """asyncpg's connection, in the same transaction, for statements that are run for every payment."""
    assert connection.sync_connection is not None, "the connection is open"
    driver = connection.sync_connection.connection.driver_connection
    assert driver is not None, "the connection was not invalidated"
    return driver


async def take_connection(engine: AsyncEngine) -> PoolProxiedConnection:
    """A connection of the pool, to be closed by the caller; the driver works on it without SQLAlchemy.

    Taken so, and given back, it costs a third of what SQLAlchemy's own `connect` does.
    """
    taken = await engine.raw_connection()
    if driver_of_pooled(taken).is_closed():  # the server ended the session while nobody looked
        taken.invalidate()
        taken.close()
        taken = await engine.raw_connection()
    return taken


def driver_of_pooled(taken: PoolProxiedConnection) -> "asyncpg.Connection[Any]":
    driver = taken.driver_connection
    assert driver is not None, "the connection was not invalidated"
    return driver


def begin_of(engine: AsyncEngine) -> str:
    """What begins a transaction, with its limits where a pooler refuses them for a session."""
    begin: str = engine.get_execution_options().get(_BEGIN, "BEGIN")
    return begin


def begins_always(engine: AsyncEngine) -> bool:
    """Whether a statement outside a transaction would have no limits."""
    return _BEGIN in engine.get_execution_options()


def vault_of(engine: AsyncEngine) -> Vault:
    """What seals and opens the values of this engine's rows."""
    vault: Vault | None = engine.get_execution_options().get(VAULT)
    assert vault is not None, "whoever reads or writes sealed rows makes the engine with a vault"
    return vault
