"""Notifications where no mail server and no warehouse are configured: to the log."""

import structlog

from domain.orders.order import Effect

logger = structlog.get_logger(__name__)


class LogNotifier:
    async def notify(self, effect: Effect, idempotency_key: str) -> None:
        logger.info(
            "notification",
            effect=effect.type,
            about=effect.about,
            order_id=effect.order_id,
            idempotency_key=idempotency_key,
        )
