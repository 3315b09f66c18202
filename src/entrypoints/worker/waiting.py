"""Payments that wait for time to pass: a round of looking after them, told in the log."""

import structlog

from entrypoints.bootstrap import Container

logger = structlog.stdlib.get_logger(__name__)


async def check_payments(container: Container) -> None:
    """Warn of authorizations that lapse soon, and look up what the gateway left undecided."""
    done = await container.payments.check_payments()
    for payment in done.warned:
        logger.warning(
            "authorization_expiring",
            payment_id=payment.payment_id,
            order_id=payment.order_id,
            capture_before=payment.capture_before,
        )
    for payment_id, error in done.failed.items():
        logger.warning("payment_not_looked_up", payment_id=payment_id, error=error)
