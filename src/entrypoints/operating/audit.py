"""The audit logs of both services: to be read by commands, and their heads told to the world outside."""

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime

import structlog

from adapters.postgres.audit import PostgresAuditReader
from adapters.postgres.engine import make_engine
from adapters.security.audit_heads import SignedHead
from adapters.security.snapshots import SnapshotSigner
from domain.shared.audit import AuditReader
from entrypoints.settings import Settings

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
