"""A webhook: who verifies it, how it is kept, and what became of it."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Protocol

from domain.payments.gateway import GatewayEvent

KEEP_IDS_FOR = timedelta(days=400)
"""How long an event's id is remembered after its receipt, to recognise a repeat.

Stripe sends an event again for three days by itself and for 30 days by request
(https://docs.stripe.com/webhooks#automatically-retry); a proxy's queue or an archive may hold one
longer. One that comes later still is judged as if it were new, and finds nothing new.
"""


class WebhookSignatureInvalid(Exception):
    """The webhook was not signed with our secret within the tolerance, so nobody knows who sent it."""


class WebhookBodyInvalid(Exception):
    """The webhook is rightly signed and is not an event that can be read."""


class WebhookVerifier(Protocol):
    @property
    def signature_header(self) -> str:
        """The HTTP header that holds the signature."""
        ...

    def verify(self, body: bytes, signature: str) -> GatewayEvent:
        """The event in a signed raw body. Raises WebhookSignatureInvalid or WebhookBodyInvalid."""
        ...

    def read(self, body: bytes) -> GatewayEvent:
        """The event in a body that was verified when it was kept. Raises WebhookBodyInvalid."""
        ...


class WebhookOutcome(StrEnum):
    APPLIED = "APPLIED"
    NOTHING_NEW = "NOTHING_NEW"
    """The payment knew of it, or had moved on."""
    REPEATED = "REPEATED"
    """This very event was kept before; nothing is kept of the repeat."""
    WAITING = "WAITING"
    """No payment of ours is known for it yet."""
    IGNORED = "IGNORED"
    """It is about something that payments do not follow; kept all the same."""
    UNREADABLE = "UNREADABLE"
    """It is about something that payments follow and cannot be read by this version; kept, to be replayed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredWebhook:
    """A webhook of the account `gateway` as it came; `intent_id` is the gateway's intent it speaks of, None where it speaks of none."""

    gateway: str
    event_id: str
    type: str
    created_at: datetime
    received_at: datetime
    body: bytes | None
    """None once the retention time is over."""
    intent_id: str | None
    payment_id: str | None
    """None while no payment of ours is known for it."""
    outcome: WebhookOutcome | None
    """What became of it when it came, or later when that was not yet decided; None: kept by an older version."""
    is_known: bool
    """False where its type is none that this version has heard of."""


class WebhookKept(Exception):
    """This event was kept before: nothing of what was to be done with it now is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookFilter:
    """Which kept webhooks are wanted; None means any."""

    type: str | None = None
    outcome: WebhookOutcome | None = None
    payment_id: str | None = None
    is_known: bool | None = None
    begin: datetime | None = None
    """Received at this time or later."""
    end: datetime | None = None
    """Received before this time."""


@dataclass(frozen=True, slots=True, kw_only=True)
class WebhookTypeCount:
    """How many webhooks of one type are kept."""

    type: str
    is_known: bool
    count: int
    last_received_at: datetime
