"""Our own webhooks, made and joined: endpoints, their deliveries, and the sender behind them."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta

from adapters.standard_webhooks.sender import AiohttpWebhookSender
from adapters.system.randomness import new_signing_secret, spread
from domain.orders.ports import UnitOfWorkFactory
from domain.orders.use_cases.deliver_webhooks import DeliverWebhooksHandler
from domain.orders.use_cases.forget_deliveries import ForgetDeliveriesHandler
from domain.orders.use_cases.manage_endpoints import ConfiguredEndpoint, EndpointsHandler
from domain.orders.use_cases.queue_webhooks import QueueWebhooksHandler
from domain.orders.use_cases.replay_deliveries import DeliveriesHandler
from domain.orders.webhooks.ports import WebhookSender
from domain.shared.system import Clock, IdFactory
from entrypoints.settings import Settings


@dataclass(slots=True, kw_only=True)
class OutgoingWebhooks:
    endpoints: EndpointsHandler
    configured: ConfiguredEndpoint | None
    """The endpoint that the settings name."""
    deliveries: DeliveriesHandler
    queue: QueueWebhooksHandler
    deliver: DeliverWebhooksHandler
    forget: ForgetDeliveriesHandler
    _sender: AiohttpWebhookSender
    _is_configured: bool = False

    async def configure(self) -> None:
        """Bring the endpoint that the settings name to what they say; once in a process is enough."""
        if not self._is_configured:
            await self.endpoints.configure(self.configured)
            self._is_configured = True

    async def aclose(self) -> None:
        await self._sender.aclose()


def build_outgoing_webhooks(
    settings: Settings,
    unit_of_work: UnitOfWorkFactory,
    clock: Clock,
    ids: IdFactory,
    sender: WebhookSender | None = None,
    new_secret: Callable[[], str] = new_signing_secret,
) -> OutgoingWebhooks:
    """`sender` stands in for the real one."""
    real = AiohttpWebhookSender(settings.webhook_addresses())
    used = sender or real
    return OutgoingWebhooks(
        endpoints=EndpointsHandler(unit_of_work, used, new_secret, clock),
        configured=ConfiguredEndpoint(
            url=settings.fulfilment_url.reveal(), secret=settings.fulfilment_secret.reveal()
        )
        if settings.fulfilment_url
        else None,
        deliveries=DeliveriesHandler(unit_of_work, clock),
        queue=QueueWebhooksHandler(unit_of_work, clock, ids),
        deliver=DeliverWebhooksHandler(unit_of_work, used, clock, spread),
        forget=ForgetDeliveriesHandler(
            unit_of_work, clock, timedelta(days=settings.webhook_delivery_retention_days)
        ),
        _sender=real,
    )
