"""What reconciliation needs from outside: where findings are kept, and the books that it compares.

A book is what one side says of its objects. Reconciliation reads the books through these ports only,
never the tables of another context.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Any, Protocol, Self

from domain.reconciliation.finding import Finding, FindingStatus, FindingType
from domain.shared.audit import AuditLog


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingFilter:
    """Which findings are wanted; None means any."""

    status: FindingStatus | None = None
    type: FindingType | None = None
    order_id: str | None = None


class Findings(Protocol):
    async def add(self, finding: Finding) -> bool:
        """Insert it; False, and nothing, where an open one has its type and object."""
        ...

    async def save(self, finding: Finding) -> None: ...

    async def lock(self, finding_id: str) -> Finding | None:
        """The finding, locked until the end of this unit of work."""
        ...

    async def newest_of(self, object_ids: Collection[str]) -> Sequence[Finding]:
        """Of each type and object among these the newest finding, open or not; locked."""
        ...

    async def list(self, wanted: FindingFilter, *, after: str | None, limit: int) -> Sequence[Finding]:
        """Newest first; `after` is the id of the last one already seen."""
        ...

    async def of_order(self, order_id: str, payment_ids: Collection[str]) -> Sequence[Finding]:
        """Of an order and these payments of it, the oldest first; the newest 500."""
        ...

    async def count_open(self) -> Mapping[FindingType, int]: ...

    async def count_seen(
        self, *, since: datetime, until: datetime
    ) -> Mapping[tuple[FindingType, FindingStatus], int]:
        """Those first seen in [since, until), by type and by what has become of them."""
        ...

    async def oldest_open(self) -> datetime | None:
        """When the oldest open difference was first seen."""
        ...


class Cursors(Protocol):
    """How far each continuous comparison has come, by its name; the value is its own."""

    async def get(self, name: str) -> Mapping[str, Any] | None: ...
    async def put(self, name: str, value: Mapping[str, Any], now: datetime) -> None: ...


class ReconciliationUnitOfWork(Protocol):
    """`async with` opens the transaction; leaving without `commit` undoes it."""

    @property
    def findings(self) -> Findings: ...

    @property
    def cursors(self) -> Cursors: ...

    @property
    def audit(self) -> AuditLog: ...

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None: ...

    async def commit(self) -> None: ...


UnitOfWorkFactory = Callable[[], ReconciliationUnitOfWork]


class Locks(Protocol):
    def hold(self, name: str) -> AbstractAsyncContextManager[bool]:
        """While the block runs this process alone has the name; False where another one has it.

        It is free at once when the process dies.
        """
        ...
