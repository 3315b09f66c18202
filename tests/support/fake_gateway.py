"""A gateway in memory, for the tests of use cases; `tests/contract/gateway` holds it to the port's contract.

What happens to a payment follows from its payment method, as with Stripe's test tokens
(https://docs.stripe.com/testing); what happens to a call can be scripted besides, in order.
"""

import json
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timedelta
from enum import Enum
from typing import Any

from domain.payments.balance import BalancePage, GatewayBalance, Payout
from domain.payments.dispute_status import DisputeStatus
from domain.payments.errors import (
    AmountNotRepresentable,
    AmountTooLarge,
    AmountTooSmall,
    CurrencyUnsupported,
    StatementDescriptorInvalid,
)
from domain.payments.gateway import (
    AUTHORIZATION_EXPIRED,
    CaptureMethod,
    Customer,
    DisputeSnapshot,
    FutureUsage,
    GatewayEvent,
    GatewayFailed,
    GatewayMethod,
    GatewayNotSent,
    GatewayRefundStatus,
    GatewayRefused,
    GatewayRequest,
    GatewayUnknown,
    IntentDraft,
    IntentSnapshot,
    IntentStatus,
    RefundSnapshot,
    Snapshot,
)
from domain.payments.gateway_lists import EventPage, ListPage
from domain.payments.line_data import LevelCheck, LineCheck, LineFault
from domain.payments.saved_method import MethodPage
from domain.shared.payment_events import CardMethod, LastError, NextAction, NextActionType
from domain.shared.system import Clock
from tests.support.fake_balance import FakeBalance, Moved
from tests.support.fake_lists import FakeLists
from tests.support.fake_methods import FakeMethods

HOLD = timedelta(days=7)
"""How long an authorization is held before it lapses."""

EVIDENCE_TIME = timedelta(days=9)
"""How long evidence may be given."""

_DECLINED = LastError("card_declined", "generic_decline", "Your card was declined.")
_NO_FUNDS = LastError("card_declined", "insufficient_funds", "Your card has insufficient funds.")
_NOT_AUTHENTICATED = LastError(
    "payment_intent_authentication_failure", None, "The customer failed the authentication."
)

_CHARGED = frozenset({"EUR", "GBP", "ISK", "JPY", "KWD", "USD"})

_NOT_PROCESSED = LastError(
    "generic_could_not_process", "generic_could_not_process", "The bank could not process this payment."
)
_MUST_AUTHENTICATE = LastError(
    "authentication_required",
    "authentication_required",
    "Your card was declined. This transaction requires authentication.",
)

_DECLINING = {
    "pm_card_chargeDeclined": _DECLINED,
    "pm_card_visa_chargeDeclined": _DECLINED,
    "pm_card_chargeDeclinedInsufficientFunds": _NO_FUNDS,
    "pm_card_visa_chargeDeclinedInsufficientFunds": _NO_FUNDS,
}
_DEBITS = {"pm_success_de": None, "pm_failed_de": _NOT_PROCESSED}
"""Bank accounts, whose debits are decided later, and how they fail."""

_TEST_TOKENS = {
    *_DECLINING,
    "pm_card_visa",
    "pm_card_credit_disableEnterpriseCardFeatures",
    "pm_card_authenticationRequired",
    "pm_card_refundFail",
    "pm_card_pendingRefund",
    "pm_card_createDispute",
    *_DEBITS,
}


def _usage(params: Mapping[str, Any]) -> FutureUsage | None:
    given = params["setup_future_usage"]
    return None if given is None else FutureUsage(given)


class Outcome(Enum):
    """What a scripted call of `execute` comes to."""

    NORMAL = "as its payment method says"
    DECLINED = "a confirmation is declined"
    ACTION_REQUIRED = "a confirmation asks for the customer"
    UNKNOWN_BEFORE = "nothing is done, and nobody knows"
    NOT_SENT = "the connection is refused"
    UNKNOWN_AFTER = "it is done, and nobody knows"


@dataclass(slots=True)
class _Intent:
    snapshot: IntentSnapshot
    capture_method: CaptureMethod
    created_at: datetime
    token: str | None


Answer = IntentSnapshot | RefundSnapshot


@dataclass
class FakeGateway:
    """Public fields are for tests to read; `script` and `down` are for them to set."""

    clock: Clock
    name: str = "fake"
    down: bool = False
    """Every coroutine raises GatewayUnknown, and nothing is done."""
    multicapture: bool = False
    """Whether authorizations can be captured in parts, where the card allows it."""
    sent: list[tuple[GatewayRequest, str]] = field(default_factory=list)
    """Every call of `execute` with its key, repetitions and failed ones included."""
    performed: dict[str, tuple[GatewayRequest, Answer | GatewayRefused]] = field(default_factory=dict)
    """What each idempotency key did: once, however often it was sent."""
    refunds: dict[str, RefundSnapshot] = field(default_factory=dict)
    disputes: dict[str, DisputeSnapshot] = field(default_factory=dict)
    customers: dict[str, str] = field(default_factory=dict)
    """Customer ids by the idempotency key of their creation."""
    deleted_customers: set[str] = field(default_factory=set)
    """Customers whom somebody has deleted in the gateway's dashboard."""
    methods: FakeMethods = field(init=False)
    lists: FakeLists = field(init=False)
    balance: FakeBalance = field(init=False)
    _intents: dict[str, _Intent] = field(default_factory=dict)
    _scripted: deque[Outcome | GatewayFailed] = field(default_factory=deque)
    _made: int = 0

    def __post_init__(self) -> None:
        self.methods = FakeMethods(self.clock, frozenset(_TEST_TOKENS))
        self.lists = FakeLists(self.clock, self._new_id)
        self.balance = FakeBalance(self.name, self.clock.now, self._moved)

    # What tests do to it.

    def script(self, *outcomes: Outcome | GatewayFailed) -> None:
        """The outcomes of the next calls of `execute`, in order; an error is raised, nothing done."""
        self._scripted.extend(outcomes)

    def unscript(self) -> None:
        """The next calls come to what their payment methods say."""
        self._scripted.clear()

    @property
    def intents(self) -> dict[str, IntentSnapshot]:
        return {intent_id: intent.snapshot for intent_id, intent in self._intents.items()}

    def attach(self, token: str, gateway_customer_id: str, *, kind: str = "pm_card_visa") -> None:
        """A saved payment method of this customer, which pays like the test token `kind`."""
        self.methods.attach(token, gateway_customer_id, kind)

    def pay_by_client_secret(self, intent_id: str, token: str) -> IntentSnapshot:
        """The customer's browser confirms the intent itself. Raises GatewayRefused where it cannot be confirmed."""
        params = {"intent_id": intent_id, "token": token, "setup_future_usage": None, "off_session": False}
        return self._confirm(params, Outcome.NORMAL)

    def complete_action(self, intent_id: str) -> IntentSnapshot:
        """The customer passes the authentication."""
        return self._pay(self._intents[intent_id])

    def fail_action(self, intent_id: str) -> IntentSnapshot:
        """The customer fails the authentication: no charge is made."""
        return self._decline(self._intents[intent_id], _NOT_AUTHENTICATED, charged=False)

    def settle_debit(self, intent_id: str) -> IntentSnapshot:
        """The bank answers, days later."""
        intent = self._intents[intent_id]
        error = _DEBITS[intent.token or ""]
        if error is not None:
            return self._decline(intent, error, charged=True)
        amount = intent.snapshot.amount
        return self.put_intent(intent_id, status=IntentStatus.SUCCEEDED, amount_captured=amount)

    def lapse(self, intent_id: str) -> IntentSnapshot:
        """The time of an authorization is over: what was captured before stays taken."""
        captured = self._intents[intent_id].snapshot.amount_captured
        return self.put_intent(
            intent_id,
            status=IntentStatus.SUCCEEDED if captured else IntentStatus.CANCELED,
            amount_capturable=0,
            capture_before=None,
            cancellation_reason=None if captured else AUTHORIZATION_EXPIRED,
        )

    def settle_refund(
        self, gateway_refund_id: str, status: GatewayRefundStatus, failure_reason: str | None = None
    ) -> RefundSnapshot:
        """The gateway decides on a refund later."""
        settled = replace(self.refunds[gateway_refund_id], status=status, failure_reason=failure_reason)
        self.refunds[gateway_refund_id] = settled
        self.lists.tell_refund(settled)
        return settled

    def refund_in_dashboard(self, intent_id: str, amount: int) -> RefundSnapshot:
        """Somebody gives money back without us."""
        snapshot = self._intents[intent_id].snapshot
        params = {"intent_id": intent_id, "amount": amount, "currency": snapshot.currency}
        params = {**params, "refund_id": None, "attempt": 1, "reason": "requested_by_customer"}
        return self._refund(params, Outcome.NORMAL)

    def cancel_in_dashboard(self, intent_id: str) -> IntentSnapshot:
        """Somebody cancels a payment without us."""
        return self._cancel({"intent_id": intent_id, "reason": "requested_by_customer"}, Outcome.NORMAL)

    def open_dispute(
        self, intent_id: str, status: DisputeStatus = DisputeStatus.NEEDS_RESPONSE, **changes: Any
    ) -> DisputeSnapshot:
        """The cardholder's bank disputes the charge, or inquires about it."""
        intent, inquiry = self._intents[intent_id].snapshot, status.value.startswith("warning_")
        dispute_id = self._new_id("du")
        opened = DisputeSnapshot(
            gateway_dispute_id=dispute_id,
            intent_id=intent_id,
            charge_id=intent.charge_id,
            amount=intent.amount_captured,
            currency=intent.currency,
            reason="fraudulent",
            status=status,
            charge_refundable=inquiry,
            evidence_due_by=self.clock.now() + EVIDENCE_TIME,
            amount_withdrawn=0 if inquiry else intent.amount_captured,
            opened_at=self.clock.now(),
        )
        return self.put_dispute(dispute_id, replace(opened, **changes))

    def put_dispute(self, dispute_id: str, dispute: DisputeSnapshot) -> DisputeSnapshot:
        if dispute_id not in self.disputes:
            self.lists.make(dispute_id)
        self.lists.tell_dispute(dispute, new=dispute_id not in self.disputes)
        self.disputes[dispute_id] = dispute
        return dispute

    def move_dispute(self, dispute_id: str, status: DisputeStatus, **changes: Any) -> DisputeSnapshot:
        """The bank goes on with a dispute; what is won is given back."""
        if status is DisputeStatus.WON:
            changes = {"amount_withdrawn": 0, **changes}
        return self.put_dispute(dispute_id, replace(self.disputes[dispute_id], status=status, **changes))

    def put_intent(self, intent_id: str, **changes: Any) -> IntentSnapshot:
        """Something happens to an intent at the gateway that we did not ask for."""
        intent = self._intents[intent_id]
        before, intent.snapshot = intent.snapshot, replace(intent.snapshot, **changes)
        self.lists.tell_intent(before, intent.snapshot)
        return intent.snapshot

    def webhook(self, type: str, snapshot: Snapshot) -> GatewayEvent:
        """The webhook that tells of a snapshot; an intent's lacks the charge's details, as Stripe's does."""
        if isinstance(snapshot, IntentSnapshot):
            snapshot = replace(snapshot, method=None, capture_before=None, multicapture=None)
        return GatewayEvent(
            event_id=self._new_id("evt"), type=type, created_at=self.clock.now(), snapshot=snapshot
        )

    # The port.

    def check_amount(self, amount: int, currency: str) -> None:
        """Of Stripe's rules one of each kind, for the currencies that tests pay in."""
        if currency not in _CHARGED:
            raise CurrencyUnsupported(pointer="/currency")
        if currency == "KWD" and amount % 10:
            raise AmountNotRepresentable(pointer="/amount")
        if currency in ("EUR", "USD") and amount < 50:
            raise AmountTooSmall(pointer="/amount")
        if amount > 99_999_999:
            raise AmountTooLarge(pointer="/amount")

    def check_lines(self, draft: IntentDraft) -> LineCheck:
        """Of Stripe's rules one of each kind: a sum, and what each level needs."""
        given = bool(draft.lines)
        total = sum(line.unit_amount * line.quantity + (line.tax_amount or 0) for line in draft.lines)
        total += (draft.shipping_amount or 0) + (draft.tax_amount or 0) - (draft.discount_amount or 0)
        wrong = (LineFault("/lines", f"They add up to {total}."),) if given and total != draft.amount else ()
        untaxed = draft.tax_amount is None and not any(line.tax_amount for line in draft.lines)
        level2 = (*wrong, *([LineFault("/taxAmount", "Missing.")] if untaxed else []))
        unmeasured = [
            LineFault(f"/lines/{number}/unitOfMeasure", "Missing.")
            for number, line in enumerate(draft.lines)
            if line.unit_of_measure is None
        ]
        level3 = (*wrong, *(unmeasured if given else [LineFault("/lines", "Missing.")]))
        return LineCheck(given=given, faults=wrong, level2=LevelCheck(level2), level3=LevelCheck(level3))

    def check_descriptor_suffix(self, suffix: str) -> None:
        if len(suffix) > 18 or not any(character.isalpha() for character in suffix) or "*" in suffix:
            raise StatementDescriptorInvalid(pointer="/statementDescriptorSuffix")

    def prepare_create(self, draft: IntentDraft) -> GatewayRequest:
        # Through JSON, so that a request equals itself after it was saved and loaded.
        return GatewayRequest("create", json.loads(json.dumps(asdict(draft))))

    def prepare_update(self, intent_id: str, draft: IntentDraft) -> GatewayRequest:
        return GatewayRequest("update", {"intent_id": intent_id, **json.loads(json.dumps(asdict(draft)))})

    def prepare_confirm(
        self,
        intent_id: str,
        *,
        payment_method_token: str | None,
        return_url: str,
        setup_future_usage: FutureUsage | None = None,
        off_session: bool = False,
    ) -> GatewayRequest:
        return GatewayRequest(
            "confirm",
            {
                "intent_id": intent_id,
                "token": payment_method_token,
                "return_url": return_url,
                "setup_future_usage": setup_future_usage,
                "off_session": off_session,
            },
        )

    def prepare_capture(self, intent_id: str, *, amount: int, currency: str, final: bool) -> GatewayRequest:
        return GatewayRequest(
            "capture", {"intent_id": intent_id, "amount": amount, "currency": currency, "final": final}
        )

    def prepare_cancel(self, intent_id: str, *, reason: str | None) -> GatewayRequest:
        return GatewayRequest("cancel", {"intent_id": intent_id, "reason": reason})

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
        return GatewayRequest(
            "refund",
            {
                "intent_id": intent_id,
                "refund_id": refund_id,
                "attempt": attempt,
                "payment_id": payment_id,
                "order_id": order_id,
                "amount": amount,
                "currency": currency,
                "reason": reason,
            },
        )

    async def execute(self, request: GatewayRequest, idempotency_key: str) -> Answer:
        self._must_be_up()
        self.sent.append((request, idempotency_key))
        outcome = self._scripted.popleft() if self._scripted else Outcome.NORMAL
        if isinstance(outcome, GatewayFailed):
            raise outcome
        if outcome is Outcome.NOT_SENT:
            raise GatewayNotSent("connection refused")
        if outcome is Outcome.UNKNOWN_BEFORE:
            raise GatewayUnknown("no answer")
        answer = self._perform_once(request, idempotency_key, outcome)
        if outcome is Outcome.UNKNOWN_AFTER:
            raise GatewayUnknown("no answer")
        if isinstance(answer, GatewayRefused):
            raise answer
        return answer

    async def get_intent(self, intent_id: str) -> IntentSnapshot:
        self._must_be_up()
        return self._intent(intent_id).snapshot

    async def find_intent(self, payment_id: str, *, created_after: datetime) -> IntentSnapshot | None:
        self._must_be_up()
        for intent in self._intents.values():
            if intent.snapshot.payment_id == payment_id and intent.created_at >= created_after:
                return intent.snapshot
        return None

    async def find_refund(self, intent_id: str, refund_id: str, attempt: int = 1) -> RefundSnapshot | None:
        self._must_be_up()
        for refund in self.refunds.values():
            if (refund.intent_id, refund.refund_id, refund.attempt) == (intent_id, refund_id, attempt):
                return refund
        return None

    async def get_dispute(self, gateway_dispute_id: str) -> DisputeSnapshot:
        self._must_be_up()
        if gateway_dispute_id not in self.disputes:
            raise GatewayRefused("resource_missing", f"No such dispute: '{gateway_dispute_id}'", param="id")
        return self.disputes[gateway_dispute_id]

    async def list_events(self, *, after: str | None, since: datetime) -> EventPage:
        self._must_be_up()
        return self.lists.event_page(after, since)

    async def list_intents(self, *, since: datetime, until: datetime, after: str | None) -> ListPage:
        self._must_be_up()
        return self.lists.page(self.intents, since, until, after)

    async def list_refunds(self, *, since: datetime, until: datetime, after: str | None) -> ListPage:
        self._must_be_up()
        return self.lists.page(self.refunds, since, until, after)

    async def list_disputes(self, *, since: datetime, until: datetime, after: str | None) -> ListPage:
        self._must_be_up()
        return self.lists.page(self.disputes, since, until, after)

    async def get_refund(self, gateway_refund_id: str) -> RefundSnapshot:
        self._must_be_up()
        if gateway_refund_id not in self.refunds:
            raise GatewayRefused("resource_missing", f"No such refund: '{gateway_refund_id}'", param="id")
        return self.refunds[gateway_refund_id]

    async def list_balance_transactions(
        self,
        *,
        created_from: datetime | None = None,
        created_before: datetime | None = None,
        payout_id: str | None = None,
        after: str | None = None,
        limit: int = 100,
    ) -> BalancePage:
        self._must_be_up()
        return self.balance.page(created_from, created_before, payout_id, after, limit)

    async def find_payout(self, payout_id: str) -> Payout | None:
        self._must_be_up()
        return self.balance.payouts.get(payout_id)

    async def list_payouts(self, *, limit: int) -> Sequence[Payout]:
        self._must_be_up()
        return list(reversed(self.balance.payouts.values()))[:limit]

    async def get_balance(self) -> Sequence[GatewayBalance]:
        self._must_be_up()
        return self.balance.balances()

    def _moved(self) -> Iterator[Moved]:
        for intent in self.intents.values():
            if intent.amount_captured:
                assert intent.charge_id is not None
                yield Moved(intent.charge_id, "charge", "charge", intent.amount_captured, intent.currency)
        undone = (GatewayRefundStatus.FAILED, GatewayRefundStatus.CANCELED)
        for name, refund in self.refunds.items():
            amount = 0 if refund.status in undone else -refund.amount
            yield Moved(name, "refund", "refund_failure", amount, refund.currency)
        for name, dispute in self.disputes.items():
            yield Moved(name, "adjustment", "adjustment", -dispute.amount_withdrawn, dispute.currency)

    async def create_customer(self, user_id: str, customer: Customer | None, idempotency_key: str) -> str:
        self._must_be_up()
        return self.customers.setdefault(idempotency_key, self._new_id("cus"))

    async def delete_customer(self, gateway_customer_id: str) -> None:
        self._must_be_up()
        self.deleted_customers.add(gateway_customer_id)
        for token, owner in self.methods.owners.items():
            if owner == gateway_customer_id:
                self.methods.detach(token)

    async def find_method(self, token: str) -> GatewayMethod | None:
        self._must_be_up()
        return self.methods.find(token)

    async def list_methods(self, gateway_customer_id: str, *, after: str | None, limit: int) -> MethodPage:
        self._must_be_up()
        if gateway_customer_id in self.deleted_customers:
            return MethodPage([], more=False)
        return self.methods.list(gateway_customer_id, after, limit)

    async def detach_method(self, token: str) -> None:
        self._must_be_up()
        self.methods.detach(token)

    async def check(self) -> None:
        self._must_be_up()

    async def aclose(self) -> None:
        """There is no connection."""

    # What it does.

    def _must_be_up(self) -> None:
        if self.down:
            raise GatewayUnknown("connection refused")

    def _new_id(self, prefix: str) -> str:
        self._made += 1
        return f"{prefix}_{self.name}_{self._made}"

    def _intent(self, intent_id: str) -> _Intent:
        if intent_id not in self._intents:
            raise GatewayRefused("resource_missing", f"No such payment_intent: '{intent_id}'", param="intent")
        return self._intents[intent_id]

    def _perform_once(self, request: GatewayRequest, key: str, outcome: Outcome) -> Answer | GatewayRefused:
        if key in self.performed:
            first, answer = self.performed[key]
            if first != request:
                raise GatewayUnknown("the key was used for another request")
            return answer
        actions: dict[str, Callable[[Mapping[str, Any], Outcome], Answer]] = {
            "create": self._create,
            "update": self._update,
            "confirm": self._confirm,
            "capture": self._capture,
            "cancel": self._cancel,
            "refund": self._refund,
        }
        try:
            answer = actions[request.path](request.params, outcome)
        except GatewayRefused as refused:
            answer = refused
        self.performed[key] = (request, answer)
        return answer

    def _create(self, params: Mapping[str, Any], outcome: Outcome) -> IntentSnapshot:
        if params["gateway_customer_id"] in self.deleted_customers:
            raise GatewayRefused("resource_missing", "No such customer.", param="customer")
        self._check_owner(params["payment_method_token"], params["gateway_customer_id"])
        intent_id, token = self._new_id("pi"), params["payment_method_token"]
        snapshot = IntentSnapshot(
            intent_id=intent_id,
            status=IntentStatus.REQUIRES_CONFIRMATION if token else IntentStatus.REQUIRES_PAYMENT_METHOD,
            amount=params["amount"],
            currency=params["currency"],
            amount_capturable=0,
            amount_captured=0,
            client_secret=f"{intent_id}_secret",
            next_action=None,
            last_error=None,
            failed_charge_id=None,
            charge_id=None,
            method=None,
            capture_before=None,
            multicapture=None,
            cancellation_reason=None,
            customer_id=params["gateway_customer_id"],
            payment_id=params["payment_id"],
            order_id=params["order_id"],
            setup_future_usage=_usage(params),
        )
        self._intents[intent_id] = _Intent(
            snapshot, CaptureMethod(params["capture_method"]), self.clock.now(), token
        )
        self.lists.make(intent_id)
        return snapshot

    def _update(self, params: Mapping[str, Any], outcome: Outcome) -> IntentSnapshot:
        intent = self._intent(params["intent_id"])
        self._check_status(intent, IntentStatus.REQUIRES_PAYMENT_METHOD, IntentStatus.REQUIRES_CONFIRMATION)
        return self.put_intent(intent.snapshot.intent_id, amount=params["amount"])

    def _confirm(self, params: Mapping[str, Any], outcome: Outcome) -> IntentSnapshot:
        intent = self._intent(params["intent_id"])
        self._check_status(
            intent,
            IntentStatus.REQUIRES_PAYMENT_METHOD,
            IntentStatus.REQUIRES_CONFIRMATION,
            IntentStatus.REQUIRES_ACTION,
        )
        self._check_owner(params["token"], intent.snapshot.customer_id)
        usage = _usage(params) or intent.snapshot.setup_future_usage
        if params["off_session"] and usage is not None:
            raise GatewayRefused("parameter_invalid", "The customer must be there.", param="off_session")
        intent.snapshot = replace(intent.snapshot, setup_future_usage=usage)
        intent.token = params["token"] or intent.token
        if intent.token is None:
            raise GatewayRefused("payment_intent_unexpected_state", "The intent has no payment method.")
        kind = self.methods.kinds.get(intent.token, intent.token)
        if outcome is Outcome.DECLINED or kind in _DECLINING:
            return self._decline(intent, _DECLINING.get(kind, _DECLINED), charged=True)
        if outcome is Outcome.ACTION_REQUIRED or kind == "pm_card_authenticationRequired":
            if params["off_session"]:
                return self._decline(intent, _MUST_AUTHENTICATE, charged=True)
            url = f"https://gateway.test/authenticate/{intent.snapshot.intent_id}"
            return self.put_intent(
                intent.snapshot.intent_id,
                status=IntentStatus.REQUIRES_ACTION,
                next_action=NextAction(NextActionType.REDIRECT, url),
                last_error=None,
                failed_charge_id=None,
            )
        if intent.token in _DEBITS:
            return self.put_intent(
                intent.snapshot.intent_id,
                status=IntentStatus.PROCESSING,
                next_action=None,
                last_error=None,
                failed_charge_id=None,
                charge_id=self._new_id("py"),
                method=None,
            )
        return self._pay(intent)

    def _pay(self, intent: _Intent) -> IntentSnapshot:
        manual, amount = intent.capture_method is CaptureMethod.MANUAL, intent.snapshot.amount
        self._save_method(intent)
        return self.put_intent(
            intent.snapshot.intent_id,
            status=IntentStatus.REQUIRES_CAPTURE if manual else IntentStatus.SUCCEEDED,
            amount_capturable=amount if manual else 0,
            amount_captured=0 if manual else amount,
            next_action=None,
            last_error=None,
            failed_charge_id=None,
            charge_id=self._new_id("ch"),
            method=CardMethod("visa", "4242"),
            capture_before=self.clock.now() + HOLD if manual else None,
            multicapture=manual
            and self.multicapture
            and intent.token != "pm_card_credit_disableEnterpriseCardFeatures",
        )

    def _save_method(self, intent: _Intent) -> None:
        """A test token makes a new method each time; one that is saved already stays as it is."""
        owner = intent.snapshot.customer_id
        if (
            intent.snapshot.setup_future_usage is not None
            and owner is not None
            and intent.token in _TEST_TOKENS
        ):
            self.attach(self._new_id("pm"), owner, kind=intent.token)

    def _decline(self, intent: _Intent, error: LastError, *, charged: bool) -> IntentSnapshot:
        charge_id = self._new_id("ch") if charged else None
        intent.token = None
        return self.put_intent(
            intent.snapshot.intent_id,
            status=IntentStatus.REQUIRES_PAYMENT_METHOD,
            next_action=None,
            last_error=error,
            failed_charge_id=charge_id,
            charge_id=charge_id or intent.snapshot.charge_id,
            method=CardMethod("visa", "0002") if charged else intent.snapshot.method,
        )

    def _capture(self, params: Mapping[str, Any], outcome: Outcome) -> IntentSnapshot:
        intent = self._intent(params["intent_id"])
        self._check_status(intent, IntentStatus.REQUIRES_CAPTURE)
        held = intent.snapshot
        if held.capture_before is not None and held.capture_before <= self.clock.now():
            raise GatewayRefused("charge_expired_for_capture", "The authorization has expired.")
        if params["amount"] > held.amount_capturable:
            raise GatewayRefused("amount_too_large", "More than can be captured.", param="amount_to_capture")
        if params["amount"] == 0 and not held.amount_captured:
            raise GatewayRefused("parameter_invalid_integer", "At least 1.", param="amount_to_capture")
        if not params["final"] and not held.multicapture:
            raise GatewayRefused("parameter_invalid", "No multicapture here.", param="final_capture")
        rest = 0 if params["final"] else held.amount_capturable - params["amount"]
        return self.put_intent(
            held.intent_id,
            status=IntentStatus.REQUIRES_CAPTURE if rest else IntentStatus.SUCCEEDED,
            amount_capturable=rest,
            amount_captured=held.amount_captured + params["amount"],
            capture_before=held.capture_before if rest else None,
        )

    def _cancel(self, params: Mapping[str, Any], outcome: Outcome) -> IntentSnapshot:
        intent = self._intent(params["intent_id"])
        final = (IntentStatus.PROCESSING, IntentStatus.SUCCEEDED, IntentStatus.CANCELED)
        if intent.snapshot.status in final or intent.snapshot.amount_captured:
            raise GatewayRefused("payment_intent_unexpected_state", "It can no longer be canceled.")
        return self.put_intent(
            intent.snapshot.intent_id,
            status=IntentStatus.CANCELED,
            amount_capturable=0,
            next_action=None,
            capture_before=None,
            cancellation_reason=params["reason"],
        )

    def _refund(self, params: Mapping[str, Any], outcome: Outcome) -> RefundSnapshot:
        intent = self._intent(params["intent_id"])
        taken = intent.snapshot.amount_captured
        undone = (GatewayRefundStatus.FAILED, GatewayRefundStatus.CANCELED)
        given_back = sum(
            refund.amount
            for refund in self.refunds.values()
            if refund.intent_id == params["intent_id"] and refund.status not in undone
        )
        if taken == 0:
            raise GatewayRefused("payment_intent_unexpected_state", "It has no successful charge to refund.")
        if any(
            one.intent_id == params["intent_id"] and not one.charge_refundable
            for one in self.disputes.values()
        ):
            raise GatewayRefused("charge_disputed", "It has been charged back.")
        if params["amount"] > taken - given_back:
            raise GatewayRefused("amount_too_large", "More than is left to refund.", param="amount")
        pending = intent.token == "pm_card_pendingRefund"
        refund = RefundSnapshot(
            gateway_refund_id=self._new_id("re"),
            intent_id=params["intent_id"],
            charge_id=intent.snapshot.charge_id,
            status=GatewayRefundStatus.PENDING if pending else GatewayRefundStatus.SUCCEEDED,
            amount=params["amount"],
            currency=params["currency"],
            failure_reason=None,
            refund_id=params["refund_id"],
            attempt=params["attempt"],
            reason=params["reason"],
        )
        self.refunds[refund.gateway_refund_id] = refund
        self.lists.make(refund.gateway_refund_id)
        self.lists.tell_refund(refund)
        return refund

    @staticmethod
    def _check_status(intent: _Intent, *allowed: IntentStatus) -> None:
        if intent.snapshot.status not in allowed:
            raise GatewayRefused(
                "payment_intent_unexpected_state", f"The intent is {intent.snapshot.status.lower()}."
            )

    def _check_owner(self, token: str | None, gateway_customer_id: str | None) -> None:
        """Raises GatewayRefused for a token nobody knows, or that belongs to another customer."""
        if token is None or token in _TEST_TOKENS:
            return
        if token not in self.methods.owners:
            raise GatewayRefused(
                "resource_missing", f"No such PaymentMethod: '{token}'", param="payment_method"
            )
        if self.methods.owners[token] is None:
            raise GatewayRefused("parameter_invalid", "It was detached.", param="payment_method")
        if self.methods.owners[token] != gateway_customer_id:
            raise GatewayRefused(
                "payment_method_customer_mismatch", "It belongs to another customer.", param="payment_method"
            )
