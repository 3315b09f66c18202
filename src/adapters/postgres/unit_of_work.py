"""One transaction on one connection, the only place that commits."""

from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self
from weakref import WeakKeyDictionary

import asyncpg
import msgspec
from sqlalchemy import Connection, event
from sqlalchemy.exc import DBAPIError, InterfaceError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from domain.shared.errors import Unavailable
from outbox.database import NotCommitted

STATEMENT_SECONDS = 10
IDLE_IN_TRANSACTION_SECONDS = 10

_BEGIN = "payonce_begin"  # an option of the engine: what begins a unit of work


class DatabaseUnavailable(Unavailable):
    """The database cannot be reached now."""

    code = "database_unavailable"


UNPREPARED: Mapping[str, Any] = {"statement_cache_size": 0, "prepared_statement_cache_size": 0}
"""How a connection through a pooler leaves nothing behind: with both caches off, asyncpg gives a statement
no name and parses it in the message that executes it, since the next may go to another server."""


def make_engine(url: str, *, pool_size: int, application: str, pooled: bool = False) -> AsyncEngine:
    """A pool of connections to `url` (`postgresql://…`), whose statements end within 10 s.

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


class UnitOfWork:
    """`async with` opens the transaction; leaving without `commit` rolls it back.

    Begun and ended on the driver itself, one round trip each; to SQLAlchemy, which must not begin one of
    its own, the connection commits each statement. A lost connection is raised as DatabaseUnavailable.
    """

    def __init__(self, engine: AsyncEngine, after_commit: Callable[[], None]) -> None:
        self._engine = autocommitting(engine)
        self._after_commit = after_commit
        self._connection: AsyncConnection | None = None

    def _open(self, connection: AsyncConnection) -> None:
        """Make the repositories of this transaction."""
        raise NotImplementedError

    def _wrote_events(self) -> bool:
        """Whether this transaction appended to the outbox."""
        raise NotImplementedError

    async def __aenter__(self) -> Self:
        connection: AsyncConnection | None = None
        try:
            connection = await self._engine.connect()
            await (await live_driver(connection)).execute(_begin_of(self._engine))
        except BaseException as error:
            if connection is not None:
                await connection.invalidate()
                await connection.close()
            if lost_connection(error):
                raise DatabaseUnavailable from error
            raise
        self._connection = connection
        self._open(connection)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        connection, self._connection = self._connection, None
        assert connection is not None, "the block was entered"
        lost = error is not None and lost_connection(error)
        interrupted = error is not None and not isinstance(error, Exception)
        try:
            if lost or interrupted or not await _rolled_back(driver_under(connection)):
                await connection.invalidate()
        finally:
            await connection.close()
        if lost:
            raise DatabaseUnavailable from error

    async def commit(self) -> None:
        """Raises NotCommitted where a statement failed before and its error was kept from us."""
        assert self._connection is not None, "commit belongs inside the `async with` block"
        if (outcome := await driver_under(self._connection).execute("COMMIT")) != "COMMIT":
            raise NotCommitted(outcome)
        if self._wrote_events():
            self._after_commit()


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


async def live_driver(connection: AsyncConnection) -> "asyncpg.Connection[Any]":
    """The same of a connection just taken; where the server ended its session while nobody looked, of a new one."""
    if driver_under(connection).is_closed():
        await connection.invalidate()
        await connection.get_raw_connection()
    return driver_under(connection)


async def _rolled_back(driver: "asyncpg.Connection[Any]") -> bool:
    """Whether the session is free again. What was committed is not in a transaction any more."""
    try:
        if driver.is_in_transaction():
            await driver.execute("ROLLBACK")
    except Exception:  # noqa: BLE001 - answered: the caller gives the connection up
        return False
    return True


def _begin_of(engine: AsyncEngine) -> str:
    begin: str = engine.get_execution_options().get(_BEGIN, "BEGIN")
    return begin
