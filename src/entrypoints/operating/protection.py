"""Whether the database itself keeps the application from changing what is append-only."""

from collections.abc import Sequence
from dataclasses import dataclass

import structlog
from sqlalchemy.ext.asyncio import AsyncEngine

from adapters.postgres.readiness import only_triggers_protect

logger = structlog.stdlib.get_logger(__name__)

BY_TRIGGERS = (
    "the audit log is protected by triggers only: the application logs in as a role that could take them off; "
    "see docs/audit.md, Database roles"
)


@dataclass(slots=True)
class ProtectionCheck:
    """Tells what it finds, and the log the first time; a system that runs as one role is ready all the same."""

    engines: Sequence[AsyncEngine]
    _told: bool = False

    async def __call__(self) -> str | None:
        for engine in self.engines:
            if await only_triggers_protect(engine):
                if not self._told:
                    self._told = True
                    logger.warning("append_only_by_triggers", remark=BY_TRIGGERS)
                return BY_TRIGGERS
        return None
