"""One transaction on one connection, the only place that commits."""

from collections.abc import Callable, Mapping
from types import TracebackType
from typing import Any, Self

import asyncpg
import msgspec
from sqlalchemy import Connection, event
from sqlalchemy.exc import DBAPIError, InterfaceError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from domain.shared.errors import Unavailable

STATEMENT_SECONDS = 10
IDLE_IN_TRANSACTION_SECONDS = 10


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

    A lost connection is raised as DatabaseUnavailable.
    """

    def __init__(self, engine: AsyncEngine, after_commit: Callable[[], None]) -> None:
        self._engine = engine
        self._after_commit = after_commit
        self._connection: AsyncConnection | None = None

    def _open(self, connection: AsyncConnection) -> None:
        """Make the repositories of this transaction."""
        raise NotImplementedError

    def _wrote_events(self) -> bool:
        """Whether this transaction appended to the outbox."""
        raise NotImplementedError

    async def __aenter__(self) -> Self:
        try:
            self._connection = await self._engine.connect()
        except Exception as error:
            if lost_connection(error):
                raise DatabaseUnavailable from error
            raise
        self._open(self._connection)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        connection, self._connection = self._connection, None
        lost = error is not None and lost_connection(error)
        if connection is not None:
            if lost:
                await connection.invalidate()
            await connection.close()
        if lost:
            raise DatabaseUnavailable from error

    async def commit(self) -> None:
        assert self._connection is not None, "commit belongs inside the `async with` block"
        await self._connection.commit()
        if self._wrote_events():
            self._after_commit()
