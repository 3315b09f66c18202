"""What is outside the process, and may be replaced by a fake."""

from dataclasses import dataclass, field

from adapters.notifications.log import LogWarehouseNotifier
from adapters.system.clock import SystemClock
from adapters.system.ids import SystemIds
from domain.orders.ports import CustomerNotifier, WarehouseNotifier
from domain.orders.webhooks.ports import WebhookSender
from domain.payments.gateway import PaymentGateway
from domain.reconciliation.summary import OperatorNotifier
from domain.shared.system import Clock


@dataclass(slots=True, kw_only=True)
class Outside:
    """A test replaces what it likes."""

    clock: Clock = field(default_factory=SystemClock)
    ids: SystemIds = field(default_factory=SystemIds)
    gateway: PaymentGateway | None = None
    """Stands in for the gateway of the first account."""
    customers: CustomerNotifier | None = None
    """Stands in for what the settings say."""
    operators: OperatorNotifier | None = None
    """The same, for the daily summary."""
    warehouse: WarehouseNotifier = field(default_factory=LogWarehouseNotifier)
    webhook_sender: WebhookSender | None = None
    """Sends our webhooks instead of the real one."""
