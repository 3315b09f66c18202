"""The gateway port: what payments ask of the outside that moves the money, and what it reports.

Every call that can move money is split in two. `prepare_*` is pure and gives the exact request,
which is saved before anything is sent; `execute` sends a saved request with its idempotency key,
the first time and at every repetition alike, so that a repetition is identical even across a
deployment. Everything the gateway reports, by answer, webhook or look-up, has the same snapshots.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any, Protocol

from domain.payments.dispute_status import DisputeStatus
from domain.payments.line_data import LineCheck
from domain.payments.saved_method import MethodPage
from domain.shared.payment_events import CardMethod, LastError, NextAction
from domain.shared.states import State


class IntentStatus(State):
    """A payment intent's states; the names are the contract's, the meaning is Stripe's.

    https://docs.stripe.com/payments/paymentintents/lifecycle
    """

    REQUIRES_PAYMENT_METHOD = (
        "REQUIRES_PAYMENT_METHOD",
        "Nothing was tried yet, or the last attempt failed and another method may be tried.",
    )
    REQUIRES_CONFIRMATION = "REQUIRES_CONFIRMATION", "The method is known; nobody has tried it yet."
    REQUIRES_ACTION = "REQUIRES_ACTION", "The customer has to authenticate, or to follow a redirect."
    PROCESSING = "PROCESSING", "The customer's bank was asked and may take days to answer."
    REQUIRES_CAPTURE = "REQUIRES_CAPTURE", "The funds are held, and are ours to take until the hold lapses."
    SUCCEEDED = "SUCCEEDED", "The money is taken; refunds and disputes change nothing about that."
    CANCELED = "CANCELED", "Given up, voided or lapsed: no attempt can be made any more."


class GatewayRefundStatus(StrEnum):
    """A refund's states at the gateway; Stripe's `requires_action` counts as pending."""

    PENDING = "PENDING"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    CANCELED = "CANCELED"


class CaptureMethod(StrEnum):
    AUTOMATIC = "AUTOMATIC"
    MANUAL = "MANUAL"


class FutureUsage(StrEnum):
    """What a method is saved for (https://docs.stripe.com/payments/payment-intents#future-usage)."""

    ON_SESSION = "ON_SESSION"
    """The customer will be there, and may be asked to authenticate."""
    OFF_SESSION = "OFF_SESSION"


AUTHORIZATION_EXPIRED = "authorization_expired"
"""Why an intent was canceled whose authorization lapsed, whatever the gateway calls it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class IntentSnapshot:
    """A payment intent as the gateway had it at one moment. Amounts in minor units of ISO 4217."""

    intent_id: str
    status: IntentStatus
    amount: int
    currency: str
    amount_capturable: int
    amount_captured: int
    """What was taken so far (Stripe's `amount_received`)."""
    client_secret: str | None
    next_action: NextAction | None
    last_error: LastError | None
    failed_charge_id: str | None
    """The charge of `last_error`, which tells one failed attempt from the next; None where no charge was made."""
    charge_id: str | None
    """The latest charge, failed or not."""
    method: CardMethod | None
    capture_before: datetime | None
    """When an uncaptured authorization lapses; None where the snapshot does not tell."""
    multicapture: bool | None
    """Whether the authorization can be captured in parts; None where the snapshot does not tell."""
    cancellation_reason: str | None
    """The gateway's own word, or AUTHORIZATION_EXPIRED."""
    customer_id: str | None
    payment_id: str | None
    """Our own id, from the object's metadata."""
    order_id: str | None
    setup_future_usage: FutureUsage | None = None
    """Whether the method is saved with the customer once the payment is confirmed."""
    line_items_error: str | None = None
    """Why the gateway passes the payment's line items on to nobody, though it took them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RefundSnapshot:
    """A refund as the gateway had it at one moment."""

    gateway_refund_id: str
    intent_id: str | None
    charge_id: str | None
    status: GatewayRefundStatus
    amount: int
    currency: str
    failure_reason: str | None
    refund_id: str | None
    """Our own id, from the object's metadata; None for a refund made in the gateway's dashboard."""
    reason: str | None
    attempt: int = 1
    """Which of our attempts at this refund it is, from the metadata."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DisputeSnapshot:
    """A chargeback or inquiry as the gateway had it at one moment."""

    gateway_dispute_id: str
    intent_id: str | None
    charge_id: str | None
    amount: int
    currency: str
    reason: str
    status: DisputeStatus
    charge_refundable: bool
    """Whether the gateway still lets the charge be refunded; that also answers an inquiry."""
    evidence_due_by: datetime | None
    """Until when evidence may be given; None where the bank takes none."""
    amount_withdrawn: int
    """What the dispute has taken from our balance and not given back, without fees."""
    opened_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class CustomerDeleted:
    """The gateway no longer has a customer object."""

    gateway_customer_id: str
    user_id: str | None
    """Our own id, from the object's metadata."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UnreadableReport:
    """Something that payments follow, in a form that this version does not know: nothing is guessed."""

    intent_id: str | None
    fault: str
    """What is wrong with it; names fields, never values."""


Snapshot = IntentSnapshot | RefundSnapshot | DisputeSnapshot | CustomerDeleted | UnreadableReport


@dataclass(frozen=True, slots=True, kw_only=True)
class GatewayEvent:
    """A verified webhook. `snapshot` is None for an event about something that payments do not follow."""

    event_id: str
    type: str
    created_at: datetime
    snapshot: Snapshot | None
    is_known: bool = True
    """False for a type that the gateway's adapter has never heard of."""

    @property
    def intent_id(self) -> str | None:
        """The intent it speaks of."""
        if self.snapshot is None or isinstance(self.snapshot, CustomerDeleted):
            return None
        return self.snapshot.intent_id


@dataclass(frozen=True, slots=True)
class GatewayRequest:
    """One money-moving call, exactly as it is sent: `params` is a JSON object of the gateway's own names."""

    path: str
    params: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Address:
    line1: str | None = None
    line2: str | None = None
    city: str | None = None
    state: str | None = None
    postal_code: str | None = None
    country: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Customer:
    """Who pays, as the client described them; personal data."""

    name: str | None = None
    email: str | None = None
    phone: str | None = None
    billing_address: Address | None = None
    shipping_address: Address | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class LineItem:
    """One position of the order for Level 2/3 data; amounts are of the whole line except `unit_amount`."""

    name: str
    quantity: int
    unit_amount: int
    sku: str | None = None
    discount_amount: int | None = None
    tax_amount: int | None = None
    commodity_code: str | None = None
    unit_of_measure: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class IntentDraft:
    """What a new payment intent is to be."""

    payment_id: str
    order_id: str
    amount: int
    currency: str
    capture_method: CaptureMethod
    gateway_customer_id: str | None = None
    payment_method_token: str | None = None
    description: str | None = None
    customer: Customer | None = None
    lines: tuple[LineItem, ...] = ()
    shipping_amount: int | None = None
    discount_amount: int | None = None
    tax_amount: int | None = None
    setup_future_usage: FutureUsage | None = None
    receipt_email: str | None = None
    statement_descriptor_suffix: str | None = None


class GatewayFailed(Exception):
    """The gateway did not do what was asked, or did not say."""


class GatewayUnknown(GatewayFailed):
    """Whether the gateway did it is not known: a time-out, a 5xx, a 409, a 429, an idempotency error."""

    def __init__(self, message: str, *, outage: bool = True) -> None:
        """`outage` is False where the gateway works and only this call has no clear answer (a key in flight)."""
        self.outage = outage
        super().__init__(message)


class GatewayNotSent(GatewayUnknown):
    """Nothing of this call has left us: the connection was refused, or the account's circuit is open.

    That proves nothing of another call with the same key, which may have been sent before.
    """


class GatewayUnreadable(GatewayUnknown):
    """The gateway works and told of the object in words that this version does not know (a new status)."""

    def __init__(self, message: str) -> None:
        super().__init__(message, outage=False)


class GatewayRefused(GatewayFailed):
    """The gateway understood the call and proved that it did nothing (a 4xx other than a decline)."""

    def __init__(
        self, code: str, message: str, *, param: str | None = None, pointer: str | None = None
    ) -> None:
        """`code` and `param` are the gateway's own (https://docs.stripe.com/error-codes).

        `pointer` is the JSON pointer of the field of our API that `param` was made of, where there is one.
        """
        self.code = code
        self.message = message
        self.param = param
        self.pointer = pointer
        super().__init__(f"{code}: {message}")


@dataclass(frozen=True, slots=True)
class GatewayMethod:
    """A saved payment method: who owns it (None: nobody yet)."""

    token: str
    gateway_customer_id: str | None


class PaymentGateway(Protocol):
    """A declined payment is a result (an intent back in REQUIRES_PAYMENT_METHOD with `last_error`), not an error.

    Every coroutine raises GatewayUnknown or GatewayRefused as their docstrings say, nothing else.
    """

    @property
    def name(self) -> str:
        """Of the account, as the operator called it."""
        ...

    def check_amount(self, amount: int, currency: str) -> None:
        """Whether a payment of this amount can be charged, as far as the gateway's published rules tell.

        Raises CurrencyUnsupported, AmountTooSmall, AmountTooLarge, AmountNotRepresentable.
        """
        ...

    def check_lines(self, draft: IntentDraft) -> LineCheck:
        """What `prepare_create` makes of the draft's lines and totals, and what they are good for."""
        ...

    def check_descriptor_suffix(self, suffix: str) -> None:
        """Whether this may stand on a cardholder's statement. Raises StatementDescriptorInvalid."""
        ...

    def prepare_create(self, draft: IntentDraft) -> GatewayRequest:
        """An unconfirmed intent. Level 2/3 data that breaks the gateway's rules is left out, never the payment."""
        ...

    def prepare_update(self, intent_id: str, draft: IntentDraft) -> GatewayRequest:
        """Another amount for an intent that nobody confirmed; its lines and totals are the draft's, or none."""
        ...

    def prepare_confirm(
        self,
        intent_id: str,
        *,
        payment_method_token: str | None,
        return_url: str,
        setup_future_usage: FutureUsage | None = None,
        off_session: bool = False,
    ) -> GatewayRequest:
        """`off_session`: the customer is not there, so what needs them is declined (`authentication_required`)."""
        ...

    def prepare_capture(self, intent_id: str, *, amount: int, currency: str, final: bool) -> GatewayRequest:
        """A final capture of 0 releases what is left after captures in parts."""
        ...

    def prepare_cancel(self, intent_id: str, *, reason: str | None) -> GatewayRequest: ...

    def prepare_refund(
        self,
        intent_id: str,
        *,
        refund_id: str,
        attempt: int = 1,
        payment_id: str,
        order_id: str,
        amount: int,
        currency: str,
        reason: str,
    ) -> GatewayRequest:
        """`attempt` tells the gateway's objects of one refund apart, of which all but the last have failed."""
        ...

    async def execute(self, request: GatewayRequest, idempotency_key: str) -> IntentSnapshot | RefundSnapshot:
        """Send a prepared request; a refund's answer is a RefundSnapshot, every other's an IntentSnapshot."""
        ...

    async def get_intent(self, intent_id: str) -> IntentSnapshot: ...

    async def find_intent(self, payment_id: str, *, created_after: datetime) -> IntentSnapshot | None:
        """The intent whose metadata names this payment, by listing (search lags and proves nothing)."""
        ...

    async def find_refund(self, intent_id: str, refund_id: str, attempt: int = 1) -> RefundSnapshot | None:
        """The refund of this intent whose metadata names this attempt at `refund_id`, by listing."""
        ...

    async def get_dispute(self, gateway_dispute_id: str) -> DisputeSnapshot: ...

    async def create_customer(self, user_id: str, customer: Customer | None, idempotency_key: str) -> str:
        """The gateway's id of a new customer object for this user."""
        ...

    async def delete_customer(self, gateway_customer_id: str) -> None:
        """Take away a customer object and all saved methods; the payments stay. One that is gone already is fine."""
        ...

    async def find_method(self, token: str) -> GatewayMethod | None:
        """A saved payment method, or None where the gateway knows no such token."""
        ...

    async def list_methods(self, gateway_customer_id: str, *, after: str | None, limit: int) -> MethodPage:
        """A customer's methods behind the token `after`, newest first; none where the customer was deleted.

        Raises Malformed where `after` is no method any more, so that nobody knows where to go on.
        """
        ...

    async def detach_method(self, token: str) -> None:
        """Take a method from its customer, for good; one that is nobody's stays so."""
        ...

    async def check(self) -> None:
        """Any call that needs the gateway to work and the key to be valid, and changes nothing."""
        ...

    async def aclose(self) -> None:
        """Close the connections; nothing is called afterwards."""
        ...
