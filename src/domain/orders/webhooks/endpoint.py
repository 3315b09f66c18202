"""An endpoint: an address of somebody else's that is sent events, and whether it takes them."""

from collections.abc import Collection
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum

from domain.orders.webhooks.delivery import SendResult
from domain.orders.webhooks.errors import EndpointConfigured
from domain.shared.payment_events import EVENT_TYPES

EVERY_PAYMENT_EVENT = "*"
FULFILMENT_REQUESTED = "FulfilmentRequested"
"""The order side's own: a paid order for the warehouse. It holds the customer's address, and its 2xx accepts
the order, so that `*` does not mean it: it has to be named."""

FULFILMENT_CANCELED = "FulfilmentCanceled"
"""Also for the warehouse alone: an order whose money is given back, which is not to be shipped any more."""

FULFILMENT_TYPES = (FULFILMENT_REQUESTED, FULFILMENT_CANCELED)
OFFERED_TYPES = (*EVENT_TYPES, *FULFILMENT_TYPES)

BOTH_SECRETS_FOR = timedelta(hours=24)
"""How long the secret before the last rotation signs beside the new one."""

DISABLE_AFTER = timedelta(days=3)
"""An endpoint that has only failed for so long is sent nothing more until an operator enables it."""

LONGEST_PAUSE = timedelta(hours=1)
"""The most that a `Retry-After` holds back an endpoint's other deliveries."""

CONFIGURED_ID = "whe_configured"
"""The endpoint that the settings name."""


class DisabledReason(StrEnum):
    OPERATOR = "OPERATOR"
    """Somebody disabled it."""
    UNCONFIGURED = "UNCONFIGURED"
    """The settings name it no more."""
    GONE = "GONE"
    """It answered 410."""
    FAILING = "FAILING"
    """It only failed for three days."""


@dataclass(slots=True, kw_only=True)
class WebhookEndpoint:
    """While it is disabled its deliveries wait; enabled again, they go on where they were."""

    endpoint_id: str
    url: str
    event_types: tuple[str, ...]
    secret: str = field(repr=False)
    created_at: datetime
    updated_at: datetime
    description: str | None = None
    previous_secret: str | None = field(default=None, repr=False)
    previous_secret_until: datetime | None = None
    disabled_at: datetime | None = None
    disabled_reason: DisabledReason | None = None
    failing_since: datetime | None = None
    """The first failure after which nothing succeeded."""
    paused_until: datetime | None = None
    """It asked, with `Retry-After`, to be left alone until then."""
    rotated_by: str | None = None
    """The request of the last rotation, which may come again after a crash."""
    deleted_at: datetime | None = None

    @property
    def is_enabled(self) -> bool:
        return self.disabled_at is None

    @property
    def is_configured(self) -> bool:
        """Whether the settings, not a caller of the API, say its address and secret."""
        return self.endpoint_id == CONFIGURED_ID

    @property
    def is_retired(self) -> bool:
        """Whether the settings named it once and do no more."""
        return self.disabled_reason is DisabledReason.UNCONFIGURED

    def wants(self, event_type: str) -> bool:
        """Whether deliveries are made of such events; they are for a disabled one too, and wait."""
        if self.is_retired:
            return False
        if event_type in self.event_types:
            return True
        return EVERY_PAYMENT_EVENT in self.event_types and event_type in EVENT_TYPES

    def secrets_at(self, now: datetime) -> tuple[str, ...]:
        """What signs a message now, the newest first."""
        if self.previous_secret is None or self.previous_secret_until is None:
            return (self.secret,)
        return (self.secret, self.previous_secret) if now < self.previous_secret_until else (self.secret,)

    # What operators ask

    def change(
        self,
        now: datetime,
        *,
        url: str | None = None,
        event_types: Collection[str] | None = None,
        description: str | None = None,
        enabled: bool | None = None,
    ) -> None:
        """What is None stays; an empty description takes it away. Raises EndpointConfigured."""
        if url is not None or event_types is not None:
            self.check_changeable()
        self.url = url or self.url
        self.event_types = tuple(dict.fromkeys(event_types)) if event_types else self.event_types
        if description is not None:
            self.description = description or None
        if enabled is True and not self.is_enabled:
            self._enable()
        elif enabled is False and self.is_enabled:
            self._disable(DisabledReason.OPERATOR, now)
        self.updated_at = now

    def configure(self, url: str, secret: str, now: datetime) -> None:
        """Take over what the settings say."""
        self.url = url
        self.event_types = FULFILMENT_TYPES  # a former version had it asked, and never told to stop
        self.rotate(secret, now)
        if self.is_retired:
            self._enable()
        self.updated_at = now

    def retire(self, now: datetime) -> None:
        """The settings name it no more."""
        self._disable(DisabledReason.UNCONFIGURED, now)
        self.updated_at = now

    def rotate(self, secret: str, now: datetime) -> None:
        """Sign with this secret from now on, and for a day with the one before as well; the same again does nothing."""
        if secret != self.secret:
            self.previous_secret, self.secret = self.secret, secret
            self.previous_secret_until = now + BOTH_SECRETS_FOR
            self.updated_at = now

    def delete(self, now: datetime) -> None:
        """Raises EndpointConfigured."""
        self.check_changeable()
        self.deleted_at = self.deleted_at or now

    def check_changeable(self) -> None:
        """Raises EndpointConfigured."""
        if self.is_configured:
            raise EndpointConfigured

    # What its answers bring

    def follow(self, result: SendResult, now: datetime) -> bool:
        """Take one answer into account; whether that changed anything."""
        if result.is_accepted:
            changed = self.failing_since is not None or self.paused_until is not None
            self.failing_since = self.paused_until = None
            return changed
        changed = False
        if self.failing_since is None:
            self.failing_since, changed = now, True
        if result.retry_after is not None:
            self.paused_until, changed = now + min(result.retry_after, LONGEST_PAUSE), True
        if self.is_enabled and result.is_gone:
            self._disable(DisabledReason.GONE, now)
            changed = True
        elif self.is_enabled and now - self.failing_since >= DISABLE_AFTER:
            self._disable(DisabledReason.FAILING, now)
            changed = True
        return changed

    def _enable(self) -> None:
        self.disabled_at = self.disabled_reason = self.failing_since = self.paused_until = None

    def _disable(self, reason: DisabledReason, now: datetime) -> None:
        self.disabled_at, self.disabled_reason = now, reason
