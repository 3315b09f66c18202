"""Look at kept webhooks."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from domain.payments.ports import UnitOfWorkFactory
from domain.payments.webhook import StoredWebhook, WebhookFilter


@dataclass(frozen=True, slots=True)
class ListWebhooksHandler:
    unit_of_work: UnitOfWorkFactory

    async def __call__(
        self, wanted: WebhookFilter, *, after: tuple[datetime, str] | None, limit: int
    ) -> Sequence[StoredWebhook]:
        """At most `limit` of those that are wanted, the newest first, behind the time and id of the last one seen."""
        async with self.unit_of_work() as uow:
            return await uow.webhooks.find(wanted, newest_first=True, after=after, limit=limit)
