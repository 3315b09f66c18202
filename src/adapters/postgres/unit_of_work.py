"""One transaction on one connection, the only place that commits."""

from collections.abc import Callable
from types import TracebackType
from typing import Self

from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres.audit import PostgresAudit
from adapters.postgres.engine import DatabaseUnavailable, lost_connection
from adapters.postgres.transaction import Transaction


class UnitOfWork:
    """`async with` takes a connection; leaving without `commit` undoes what was done on it.

    A lost connection is raised as DatabaseUnavailable.
    """

    audit: PostgresAudit

    def __init__(self, engine: AsyncEngine, after_commit: Callable[[], None]) -> None:
        self._engine = engine
        self._after_commit = after_commit
        self._transaction: Transaction | None = None

    def _open(self, transaction: Transaction) -> None:
        """Make the repositories of this transaction."""
        raise NotImplementedError

    def _wrote_events(self) -> bool:
        """Whether this transaction appended to the outbox."""
        raise NotImplementedError

    async def __aenter__(self) -> Self:
        try:
            self._transaction = await Transaction.take(self._engine)
        except Exception as error:
            if lost_connection(error):
                raise DatabaseUnavailable from error
            raise
        self._open(self._transaction)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        transaction, self._transaction = self._transaction, None
        assert transaction is not None, "the block was entered"
        lost = error is not None and lost_connection(error)
        interrupted = error is not None and not isinstance(error, Exception)
        await transaction.end(trusted=not (lost or interrupted))
        if lost:
            raise DatabaseUnavailable from error

    async def commit(self) -> None:
        """Raises NotCommitted where a statement failed before and its error was kept from us."""
        assert self._transaction is not None, "commit belongs inside the `async with` block"
        await self.audit.flush()
        await self._transaction.commit()
        if self._wrote_events():
            self._after_commit()
