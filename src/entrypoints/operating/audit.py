"""The audit logs of both services: to be read by commands, and their heads told to the world outside."""

import getpass
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime

import structlog
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from adapters.postgres.audit import PostgresAudit, PostgresAuditReader
from adapters.postgres.engine import make_engine
from adapters.postgres.transaction import Transaction
from adapters.security.audit_heads import SignedHead
from adapters.security.snapshots import SnapshotSigner
from adapters.system.clock import SystemClock
from domain.shared.audit import AuditEntry, AuditReader
from domain.shared.callers import Caller
from domain.shared.timeline import Detail, known
from entrypoints.settings import Settings
from outbox.database import transaction
from outbox.operations import Note

logger = structlog.stdlib.get_logger(__name__)

SERVICES = ("payments", "orders")


@asynccontextmanager
async def audit_logs(settings: Settings) -> AsyncIterator[Mapping[str, AuditReader]]:
    """The logs in the databases of these settings, which need nothing else. Raises SettingsInvalid."""
    urls = {
        name: url
        for name in SERVICES
        if settings.service in ("all", name) and (url := getattr(settings, f"{name}_database_url"))
    }
    if not urls:
        settings.require("database_url")
    pooled = settings.database_pooler == "transaction"
    engines = {
        name: make_engine(url.reveal(), pool_size=1, application="payonce-operator", pooled=pooled)
        for name, url in urls.items()
    }
    try:
        yield {name: PostgresAuditReader(engine, name) for name, engine in engines.items()}
    finally:
        for engine in engines.values():
            await engine.dispose()


def operator() -> Caller:
    """Whoever runs a command: the operating system's user and host, who needs no token."""
    return Caller(subject=f"cli:{getpass.getuser()}@{socket.gethostname()}", scopes=frozenset())


def noting(caller: Caller, action: str, consumer: str, reason: str | None = None) -> Note:
    """Tells the audit log of what was done to a stream or an event, in the transaction that did it.

    All inboxes lie with the orders, so that their log is the one.
    """

    async def note(connection: AsyncConnection, name: str) -> None:
        entry = AuditEntry.of(
            caller,
            action,
            "inbox",
            name,
            at=SystemClock().now(),
            reason=reason,
            after={"consumer": consumer},
        )
        log = PostgresAudit(Transaction.within(connection), "orders")
        await log.append(entry)
        await log.flush()

    return note


async def note_replay(engine: AsyncEngine, caller: Caller, consumer: str, what: Mapping[str, Detail]) -> None:
    """Tells that events are published again, before they are: it is no change in the database."""
    entry = AuditEntry.of(
        caller, "outbox.replay", "inbox", consumer, at=SystemClock().now(), after=known(**what)
    )
    async with transaction(engine) as connection:
        log = PostgresAudit(Transaction.within(connection), "orders")
        await log.append(entry)
        await log.flush()


@dataclass(slots=True)
class AnchorHeads:
    """Signs each log's head and says it in our own log, which is kept elsewhere than the database.

    By such a head `payonce audit verify --anchor` finds what even the database's owner cuts off or writes anew.
    A log that has not grown since is told of once.
    """

    logs: Mapping[str, AuditReader]
    sign: SnapshotSigner
    now: Callable[[], datetime]
    _told: dict[str, int] = field(default_factory=dict)

    async def __call__(self) -> None:
        for service, log in self.logs.items():
            head = await log.head()
            if head is None or self._told.get(service) == head.position:
                continue
            statement = SignedHead(service, head.position, head.hash.hex(), self.now())
            logger.info(
                "audit_head",
                service=service,
                position=head.position,
                hash=head.hash.hex(),
                audit_anchor=self.sign(statement),
            )
            self._told[service] = head.position
