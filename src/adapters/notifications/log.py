"""Notifications where no mail server and no warehouse are configured: to the log."""

import structlog

from domain.orders.messages import CustomerMessage
from domain.orders.order import Effect

logger = structlog.get_logger(__name__)


class LogCustomerNotifier:
    async def tell(self, message: CustomerMessage) -> None:
        logger.info(
            "customer_message",
            message=message.kind,
            message_id=message.message_id,
            order_id=message.order.order_id,
        )


class LogWarehouseNotifier:
    async def notify(self, effect: Effect, idempotency_key: str) -> None:
        logger.info(
            "notification",
            effect=effect.type,
            about=effect.about,
            order_id=effect.order_id,
            idempotency_key=idempotency_key,
        )
