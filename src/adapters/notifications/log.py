"""Notifications where no mail server and no warehouse are configured: to the log."""

import structlog

from domain.orders.effects import Effect, EffectType
from domain.orders.messages import CustomerMessage, NotTold
from domain.reconciliation.summary import DaySummary

logger = structlog.get_logger(__name__)


class LogCustomerNotifier:
    async def tell(self, message: CustomerMessage) -> NotTold | None:
        logger.info(
            "notification",
            effect=EffectType.NOTIFY_CUSTOMER,
            about=message.kind,
            order_id=message.order.order_id,
            idempotency_key=message.message_id,
        )
        return NotTold.NO_MAIL_SERVER


class LogWarehouseNotifier:
    async def notify(self, effect: Effect, idempotency_key: str) -> None:
        logger.info(
            "notification",
            effect=effect.type,
            about=effect.about,
            order_id=effect.order_id,
            idempotency_key=idempotency_key,
        )


class LogOperatorNotifier:
    async def tell(self, summary: DaySummary) -> None:
        logger.info(
            "daily_summary",
            subject=summary.subject,
            lines=list(summary.lines()),
            idempotency_key=summary.message_id,
        )
